"""The arithmetic of the multi-temporal features, one band at a time: compiled, and free of the interpreter's lock.

The order of every sum is that of the original (OpenCV's separable filter, NumPy's masked reductions), since a decision
tree can turn on the last bit. OpenCV sums the taps of a row with fused multiplications wherever the processor has them,
hence the ``contract`` of one function here; the columns are summed without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from eotasks.models.compiled import kernel

NEVER_SEEN = 1e20
"""What the model was trained with where a minimum or a maximum is over nothing."""

C1, C2 = 1e-6, 1e-5
"""Stabilisers of the structural similarity, for reflectances 0..1."""


@njit(nogil=True, fastmath={"contract"})  # kept on disk with the kernels that call it
def _blur_along_rows(image: Any, taps: Any, columns: Any, out: Any) -> None:
    width = out.shape[1]
    size = len(taps)
    padded = np.empty(len(columns), dtype=np.float64)
    for row in range(image.shape[0]):
        line = out[row]
        for at in range(len(columns)):
            padded[at] = image[row, columns[at]]
        for at in range(width):
            line[at] = taps[0] * padded[at]
        tap = 1
        while tap + 8 <= size:  # eight taps a pass: the sums stay in registers, their order stays the same
            t0, t1, t2, t3 = taps[tap], taps[tap + 1], taps[tap + 2], taps[tap + 3]
            t4, t5, t6, t7 = taps[tap + 4], taps[tap + 5], taps[tap + 6], taps[tap + 7]
            part = padded[tap : tap + width + 7]
            for at in range(width):
                total = line[at]
                total += t0 * part[at]
                total += t1 * part[at + 1]
                total += t2 * part[at + 2]
                total += t3 * part[at + 3]
                total += t4 * part[at + 4]
                total += t5 * part[at + 5]
                total += t6 * part[at + 6]
                total += t7 * part[at + 7]
                line[at] = total
            tap += 8
        while tap < size:
            factor = taps[tap]
            for at in range(width):
                line[at] += factor * padded[at + tap]
            tap += 1


@kernel
def _blur_along_columns(image: Any, taps: Any, rows: Any, out: Any) -> None:
    half = len(taps) // 2
    width = image.shape[1]
    for row in range(out.shape[0]):
        line = out[row]
        middle = image[rows[row + half]]
        for at in range(width):
            line[at] = taps[half] * middle[at]
        reach = 1
        while reach + 4 <= half + 1:  # four pairs of taps a pass
            t0, t1 = taps[half + reach], taps[half + reach + 1]
            t2, t3 = taps[half + reach + 2], taps[half + reach + 3]
            below, above = row + half + reach, row + half - reach
            a0, b0 = image[rows[below]], image[rows[above]]
            a1, b1 = image[rows[below + 1]], image[rows[above - 1]]
            a2, b2 = image[rows[below + 2]], image[rows[above - 2]]
            a3, b3 = image[rows[below + 3]], image[rows[above - 3]]
            for at in range(width):
                total = line[at]
                total += t0 * (a0[at] + b0[at])
                total += t1 * (a1[at] + b1[at])
                total += t2 * (a2[at] + b2[at])
                total += t3 * (a3[at] + b3[at])
                line[at] = total
            reach += 4
        while reach <= half:
            factor = taps[half + reach]
            lower, upper = image[rows[row + half + reach]], image[rows[row + half - reach]]
            for at in range(width):
                line[at] += factor * (lower[at] + upper[at])
            reach += 1


@kernel
def blur(image: Any, taps: Any, rows: Any, columns: Any) -> Any:
    """Gaussian average of a float64 plane.

    :param image: float64 (H, W), the tile and what of its surroundings the taps reach.
    :param taps: float64, odd number of weights.
    :param rows: For every row of the result and the reach of the taps around them, the row of ``image`` to take
        (mirrored at the border of the frame): (h + taps - 1) indices.
    :param columns: The same for columns.
    :return: float64 (h, w).
    """
    reach = len(taps) - 1
    along = np.empty((image.shape[0], len(columns) - reach), dtype=np.float64)
    _blur_along_rows(image, taps, columns, along)
    out = np.empty((len(rows) - reach, along.shape[1]), dtype=np.float64)
    _blur_along_columns(along, taps, rows, out)
    return out


@kernel
def local_moments(values: Any, share: Any, taps: Any, rows: Any, columns: Any) -> Any:
    """Local mean and variance of a frame.

    The variance is not corrected for pixels without data: near them it is off and can be negative, as in training.

    :param values: float32 (H, W), the tile and its surroundings.
    :param share: float64 (h, w), local share of valid pixels, 1 where there are none.
    :return: float64 (h, w) each.
    """
    mean = blur(values.astype(np.float64), taps, rows, columns)
    mean /= share
    variance = blur((values * values).astype(np.float64), taps, rows, columns)
    variance -= mean * mean
    return mean, variance


@kernel
def pair_similarity(
    one: Any,
    other: Any,
    both_valid: Any,
    mean_one: Any,
    mean_other: Any,
    variance_one: Any,
    variance_other: Any,
    taps: Any,
    rows: Any,
    columns: Any,
) -> Any:
    """Structural similarity of two frames in one band; the same to the last bit whichever comes first.

    :param one: float32 (H, W), and ``other``: the tile and its surroundings.
    :param both_valid: boolean (H, W).
    :param mean_one: float64 (h, w), as the three after it: of ``local_moments``.
    :return: float64 (h, w).
    """
    product = np.empty(one.shape, dtype=np.float64)
    for row in range(one.shape[0]):
        for at in range(one.shape[1]):
            kept = np.float64(one[row, at]) * np.float64(other[row, at])
            product[row, at] = kept if both_valid[row, at] else 0.0
    out = blur(product, taps, rows, columns)
    for row in range(out.shape[0]):
        for at in range(out.shape[1]):
            m1, m2 = mean_one[row, at], mean_other[row, at]
            cross = m1 * m2
            covariance = out[row, at] - cross
            numerator = (2.0 * cross + C1) * (2.0 * covariance + C2)
            spread = variance_one[row, at] + variance_other[row, at] + C2
            denominator = (m1 * m1 + m2 * m2 + C1) * spread
            out[row, at] = numerator / denominator
    return out


@kernel
def similarity_statistics(similarity: Any, counted: Any, highest: Any, mean: Any, deviation: Any) -> None:
    """Largest, mean and standard deviation (population) over the frames that a pixel can be compared with.

    :param similarity: float64 (frames, pixels).
    :param counted: boolean (frames, pixels): both frames are valid there.
    :param highest: float64 (pixels), written, as the two after it: single precision, as in training. Without any
        frame: 1e20, 0 and 0.
    """
    for at in range(similarity.shape[1]):
        count, total, top = 0, 0.0, -np.inf
        for frame in range(similarity.shape[0]):
            if counted[frame, at]:
                count += 1
                total += similarity[frame, at]
                top = max(top, similarity[frame, at])
        if count == 0:
            highest[at], mean[at], deviation[at] = np.float32(NEVER_SEEN), 0.0, 0.0
            continue
        average = total / count
        squares = 0.0
        for frame in range(similarity.shape[0]):
            if counted[frame, at]:
                squares += (similarity[frame, at] - average) * (similarity[frame, at] - average)
        highest[at] = np.float32(top)
        mean[at] = np.float32(average)
        deviation[at] = np.float32(np.sqrt(squares / count))


@kernel
def temporal_statistics(
    values: Any, valid: Any, target: Any, lowest: Any, mean: Any, above_lowest: Any, above_mean: Any
) -> None:
    """Lowest and mean reflectance over the valid frames of a window, and how far the target lies above them.

    :param values: float32 (frames, pixels).
    :param valid: boolean (frames, pixels).
    :param target: Index of the target among the frames.
    :param lowest: float64 (pixels), written, as the three after it. Where no frame is valid: 1e20 and 0; where the
        target is not, the two differences are its value. ``above_mean`` is the difference to the mean of the other
        frames when all are valid, and 0 when there is no other.
    """
    frames = values.shape[0]
    scale = 1.0 + 1.0 / (frames - 1) if frames > 1 else 0.0
    for at in range(values.shape[1]):
        count, total, least = 0, np.float32(0.0), np.float32(NEVER_SEEN)
        for frame in range(frames):
            if valid[frame, at]:
                count += 1
                total += values[frame, at]
                least = min(least, values[frame, at])
        average = np.float64(total) / count if count else 0.0
        lowest[at], mean[at] = least, average
        value = values[target, at]
        if not valid[target, at]:
            above_lowest[at], above_mean[at] = value, value
        else:
            above_lowest[at] = value - least
            above_mean[at] = np.float64(value) * scale - frames * average / (frames - 1) if frames > 1 else 0.0

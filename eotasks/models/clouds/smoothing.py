"""Disks and Gaussians over one frame: what cloud probabilities are smoothed, and cloud masks eroded and dilated, with.

Beyond the border the frame is taken as mirrored, its edge pixels repeated (OpenCV's REFLECT, SciPy's "reflect"), also
where the frame is smaller than the kernel. Pixels that do not count are left out of a mean: taken as zeros they would
hide cloud along the edge of the swath.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = tuple[int, int]
"""(y, x) radius of a disk, whole pixels."""


def mean_over_disk(
    values: NDArray[np.float32], radius: Pixels, counting: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Mean over the disk round every pixel.

    :param values: float32 (h, w), 0 where a pixel does not count.
    :param radius: (y, x) pixels.
    :param counting: Boolean (h, w), or None when every pixel counts.
    :return: float32 (h, w); where pixels of the disk do not count, the mean of the others. Of no use where the pixel
        itself does not count.
    """
    kernel = disk(radius)
    weights = kernel / np.sum(kernel)
    smoothed = _filtered(values, weights)
    if counting is None:
        return smoothed
    return _of_counting(smoothed, _filtered(counting.astype(np.float32), weights), counting, kernel)


def gaussian(
    values: NDArray[np.float32], sigma: tuple[float, float], counting: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Gaussian smoothing, cut off at four standard deviations.

    :param values: float32 (h, w), 0 where a pixel does not count.
    :param sigma: (y, x) standard deviation in pixels, above 0.
    :param counting: Boolean (h, w), or None when every pixel counts.
    :return: float32 (h, w), as ``mean_over_disk``.
    """
    smoothed = _blurred(values, sigma)
    if counting is None:
        return smoothed
    reach = np.ones([2 * math.ceil(4 * each) + 1 for each in sigma], dtype=np.uint8)
    return _of_counting(smoothed, _blurred(counting.astype(np.float32), sigma), counting, reach)


def eroded(mask: NDArray[np.uint8], radius: Pixels) -> NDArray[np.uint8]:
    """A mask 0/1 shrunk by a disk; nothing eats into it from outside the frame."""
    return np.asarray(_opencv().erode(mask, disk(radius)), dtype=np.uint8)


def dilated(mask: NDArray[np.uint8], radius: Pixels) -> NDArray[np.uint8]:
    """A mask 0/1 grown by a disk; nothing grows into it from outside the frame."""
    return np.asarray(_opencv().dilate(mask, disk(radius)), dtype=np.uint8)


@functools.cache
def disk(radius: Pixels) -> NDArray[np.uint8]:
    """Filled circle of 0/1 in a square of ``2 * radius + 1`` pixels, drawn as s2cloudless draws it.

    Where the radii differ (a pixel that is no square) an ellipse: the pixels whose centres lie within.
    """
    y_radius, x_radius = radius
    if y_radius == x_radius:
        square = np.zeros((2 * y_radius + 1, 2 * y_radius + 1), dtype=np.uint8)
        _opencv().circle(square, (y_radius, y_radius), y_radius, color=(1,), thickness=-1)
    else:
        y, x = np.ogrid[-y_radius : y_radius + 1, -x_radius : x_radius + 1]
        square = np.asarray((y * x_radius) ** 2 + (x * y_radius) ** 2 <= (y_radius * x_radius) ** 2, dtype=np.uint8)
    square.flags.writeable = False  # the cache hands the same array to every caller
    return square


def _opencv() -> Any:
    import cv2  # 15 MB, and none before there is a mask to be made: a product's pixels are gone then

    return cv2


def _filtered(values: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    cv2 = _opencv()
    return np.asarray(cv2.filter2D(values, -1, weights, borderType=cv2.BORDER_REFLECT), dtype=np.float32)


def _blurred(values: NDArray[np.float32], sigma: tuple[float, float]) -> NDArray[np.float32]:
    y_sigma, x_sigma = sigma
    blurred = _opencv().GaussianBlur(
        values, (0, 0), sigmaX=x_sigma, sigmaY=y_sigma, borderType=_opencv().BORDER_REFLECT
    )
    return np.asarray(blurred, dtype=np.float32)


def _of_counting(
    smoothed: NDArray[np.float32],
    share: NDArray[np.float32],
    counting: NDArray[np.bool_],
    reach: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """Scale values that lack pixels up to the share that counts; all others keep their very value."""
    complete = _opencv().erode(counting.astype(np.uint8), reach) == 1
    return np.divide(smoothed, share, out=smoothed.copy(), where=counting & ~complete)

"""Statistics of polygons over the pixels of one image, each weighted by the part of it that lies in the polygon.

The definitions are those of exactextract (https://isciences.github.io/exactextract/operations.html): mean and standard
deviation of the population are weighted, minimum and maximum are over every pixel that is touched, and quantiles are
interpolated between weighted positions. With n different values in ascending order, x(k) with weight w(k) (equal values
are one, with the sum of their weights), the position of the k-th, from 0, is
``s(k) = k w(k) + (n - 1) (w(0) + ... + w(k-1))``, and the quantile q lies at ``q (n - 1) sum(w)`` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.compiled import kernel

Float = NDArray[np.float64]


class PixelState(IntEnum):
    """What a pixel shows at a time."""

    CLEAR = 0
    CLOUD = 1
    SHADOW = 2
    NO_DATA = 3


MEAN, STD, MIN, MAX, MEDIAN, PIXELS = range(6)
"""Places of the statistics; percentiles follow."""

FIXED = 6

CLEAR_ROW, ALL_ROW = 0, 1
"""Places of what is over clear pixels, and over all with data."""

_CLEAR, _NO_DATA = int(PixelState.CLEAR), int(PixelState.NO_DATA)


@dataclass(frozen=True)
class PolygonPixels:
    """Which pixels of a grid lie in which polygon, and with what part: polygon after polygon, as in a sparse matrix."""

    starts: NDArray[np.int64]
    """(polygons + 1): where those of a polygon begin in the others, and where the last one ends."""

    pixels: NDArray[np.int64]
    """Numbers of pixels, row after row from the north-west corner; ascending within a polygon."""

    weights: Float
    """Part of each pixel that lies in the polygon, 0..1."""

    def __len__(self) -> int:
        """Polygons."""
        return len(self.starts) - 1

    @property
    def areas(self) -> Float:
        """(polygons): sum of the parts, the polygon's area in pixels of the grid."""
        return sums_of(self.weights, self.starts)

    def part(self, chosen: NDArray[np.intp]) -> PolygonPixels:
        """Some of the polygons, in the order given."""
        counts = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1] - self.starts[chosen], counts)
        return PolygonPixels(starts, self.pixels[inside], self.weights[inside])


@dataclass(frozen=True)
class FrameStatistics:
    """What the pixels of one image say of each polygon."""

    values: Float
    """(polygons, bands, 2, 6 + percentiles): mean, std, min, max, median, pixels (sum of parts) and percentiles, over
    clear pixels and over all with data; NaN where none counts, pixels 0."""

    parts: Float
    """(polygons, 4): sum of the parts of the pixels of each ``PixelState``."""


def sums_of(values: Float, starts: NDArray[np.int64]) -> Float:
    """Sums of the values of each polygon; 0 for one without any."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[starts[1:]] - total[starts[:-1]])


def check_percentiles(percentiles: Sequence[float]) -> tuple[float, ...]:
    """Percentiles in ascending order.

    :raises ConfigurationError: when one is no number from 0 to 100, or is named twice.
    """
    values = [each for each in percentiles if isinstance(each, int | float | np.number) and 0 <= each <= 100]
    if len(values) != len(percentiles) or len(set(values)) != len(values):
        raise ConfigurationError(f"percentiles={list(percentiles)!r}: give each once, as numbers from 0 to 100.")
    return tuple(sorted(float(each) for each in values))


def frame_statistics(
    values: NDArray[Any],
    states: NDArray[np.uint8],
    polygons: PolygonPixels,
    *,
    percentiles: Sequence[float] = (),
) -> FrameStatistics:
    """Statistics of polygons over one image.

    :param values: (h, w, bands) or (pixels, bands), any number; NaN and infinity do not count.
    :param states: (h, w) or (pixels) of ``PixelState``.
    :param polygons: Pixels of the same grid.
    :param percentiles: 0..100.
    :raises GridError: when the shapes differ, or polygons have pixels beyond them.
    """
    if values.shape[:-1] != states.shape:
        raise GridError(f"Values of {values.shape[:-1]} pixels and states of {states.shape}: give those of one image.")
    flat = values.reshape(-1, values.shape[-1])
    if polygons.pixels.size and not 0 <= polygons.pixels.min() <= polygons.pixels.max() < len(flat):
        raise GridError(f"Polygons have pixels beyond the {len(flat)} of the image: find theirs on its own grid.")
    quantiles = np.array([0.5, *(each / 100 for each in percentiles)], dtype=np.float64)
    result = np.full((len(polygons), flat.shape[1], 2, FIXED - 1 + len(quantiles)), np.nan)
    parts = np.zeros((len(polygons), len(PixelState)))
    _of_frame(
        np.ascontiguousarray(flat, dtype=np.float64),  # of any dtype, since each kernel takes seconds to compile
        np.ascontiguousarray(states.reshape(-1), dtype=np.uint8),
        polygons.starts,
        polygons.pixels,
        polygons.weights,
        quantiles,
        result,
        parts,
    )
    return FrameStatistics(result, parts)


@kernel
def _of_frame(
    values: NDArray[Any],
    states: NDArray[np.uint8],
    starts: NDArray[np.int64],
    pixels: NDArray[np.int64],
    weights: Float,
    quantiles: Float,
    result: Float,
    parts: Float,
) -> None:
    longest = 0
    for polygon in range(len(starts) - 1):
        longest = max(longest, starts[polygon + 1] - starts[polygon])
    x, w = np.empty(longest), np.empty(longest)
    for polygon in range(len(starts) - 1):
        first, end = starts[polygon], starts[polygon + 1]
        for each in range(first, end):
            parts[polygon, states[pixels[each]]] += weights[each]
        for band in range(values.shape[1]):
            counts = np.zeros(2, dtype=np.int64)
            for row in range(2):
                count = 0
                for each in range(first, end):
                    pixel = pixels[each]
                    state, value = states[pixel], values[pixel, band]
                    if (state == _CLEAR if row == CLEAR_ROW else state != _NO_DATA) and np.isfinite(value):
                        x[count] = value
                        w[count] = weights[each]
                        count += 1
                counts[row] = count
                if row == ALL_ROW and count == counts[CLEAR_ROW]:
                    result[polygon, band, ALL_ROW] = result[polygon, band, CLEAR_ROW]
                else:
                    _summarise(x[:count], w[:count], quantiles, result[polygon, band, row])


@kernel
def _summarise(x: Float, w: Float, quantiles: Float, result: Float) -> None:
    """Statistics of values; both arrays are sorted in place.

    :param quantiles: 0..1; the first is the median.
    """
    count = len(x)
    result[PIXELS] = w.sum()
    if count == 0:
        return
    mean = (x * w).sum() / result[PIXELS]
    squares = 0.0
    for each in range(count):
        squares += w[each] * (x[each] - mean) ** 2
    result[MEAN], result[STD] = mean, np.sqrt(squares / result[PIXELS])
    _sort_pairs(x, w)
    result[MIN], result[MAX] = x[0], x[count - 1]
    count = _merged(x, w)
    for index in range(len(quantiles)):
        place = MEDIAN if index == 0 else FIXED - 1 + index
        result[place] = _quantile(x[:count], w[:count], quantiles[index], result[PIXELS])


@kernel
def _merged(x: Float, w: Float) -> int:
    """Makes one of equal values, in ascending order, in place; gives how many are left."""
    last = 0
    for each in range(1, len(x)):
        if x[each] == x[last]:
            w[last] += w[each]
        else:
            last += 1
            x[last], w[last] = x[each], w[each]
    return last + 1


@kernel
def _quantile(x: Float, w: Float, q: float, total: float) -> float:
    """Of different values in ascending order; the module's text has the definition."""
    last = len(x) - 1
    wanted = q * total * last
    position, before = 0.0, 0.0
    for each in range(1, last + 1):
        before += w[each - 1]
        here = each * w[each] + last * before
        if here > wanted:
            return float(x[each - 1] + (wanted - position) * (x[each] - x[each - 1]) / (here - position))
        position = here
    return float(x[last])


@kernel
def _sort_pairs(x: Float, w: Float) -> None:
    """Ascending by x, in place: Shell's sort with the steps of Tokuda 1992, which compiles in a moment."""
    count, step = len(x), 1.0
    while step * 9 / 4 + 1 < count:
        step = step * 9 / 4 + 1
    while True:
        gap = max(1, int(np.ceil(step)))
        for each in range(gap, count):
            value, weight, place = x[each], w[each], each
            while place >= gap and value < x[place - gap]:
                x[place], w[place] = x[place - gap], w[place - gap]
                place -= gap
            x[place], w[place] = value, weight
        if gap == 1:
            return
        step = (step - 1) * 4 / 9

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
_FEW, _DEPTH = 16, 64
"""Values that are left to the sort by insertion; parts that wait for theirs, at most."""


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

    :raises ConfigurationError: when one is no number from 0 to 100, or two are the same in six digits, as columns are
        named.
    """
    values = [each for each in percentiles if isinstance(each, int | float | np.number) and 0 <= each <= 100]
    if len(values) != len(percentiles) or len({f"{each:g}" for each in values}) != len(values):
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
    if states.size and not 0 <= states.min() <= states.max() < len(PixelState):
        raise GridError(f"A pixel has the state {states.max()}: there are 0 to {len(PixelState) - 1}.")
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
    values: Float,
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
    x, w, clear_x, clear_w = np.empty(longest), np.empty(longest), np.empty(longest), np.empty(longest)
    for polygon in range(len(starts) - 1):
        first, end = starts[polygon], starts[polygon + 1]
        for each in range(first, end):
            parts[polygon, states[pixels[each]]] += weights[each]
        for band in range(values.shape[1]):
            count, clear = 0, 0
            for each in range(first, end):
                state, value = states[pixels[each]], values[pixels[each], band]
                if state != _NO_DATA and np.isfinite(value):
                    x[count] = value
                    w[count] = weights[each] if state == _CLEAR else -weights[each]  # sorted once for both
                    count += 1
            _sort_pairs(x[:count], w[:count])
            for each in range(count):
                if w[each] > 0:
                    clear_x[clear], clear_w[clear] = x[each], w[each]
                    clear += 1
                else:
                    w[each] = -w[each]
            _summarise(x[:count], w[:count], quantiles, result[polygon, band, ALL_ROW])
            if clear == count:
                result[polygon, band, CLEAR_ROW] = result[polygon, band, ALL_ROW]
            else:
                _summarise(clear_x[:clear], clear_w[:clear], quantiles, result[polygon, band, CLEAR_ROW])


@kernel
def _summarise(x: Float, w: Float, quantiles: Float, result: Float) -> None:
    """Statistics of values in ascending order; both arrays are changed.

    :param quantiles: 0..1; the first is the median.
    """
    count, total, mean, squares = len(x), 0.0, 0.0, 0.0
    for each in range(count):
        total += w[each]
        mean += x[each] * w[each]
    result[PIXELS] = total
    if count == 0:
        return
    mean /= total
    for each in range(count):
        squares += w[each] * (x[each] - mean) ** 2
    result[MEAN], result[STD] = mean, np.sqrt(squares / total)
    result[MIN], result[MAX] = x[0], x[count - 1]
    different = _merged(x, w)
    for index in range(len(quantiles)):
        place = MEDIAN if index == 0 else FIXED - 1 + index
        result[place] = _quantile(x[:different], w[:different], quantiles[index], total)


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
    """Ascending by x, in place: quicksort by the median of three down to parts of sixteen, then insertion.

    Numpy's own takes an order first, and three times as long to compile.
    """
    stack = np.empty((_DEPTH, 2), dtype=np.int64)
    stack[0, 0], stack[0, 1] = 0, len(x)
    height = 1
    while height > 0:
        height -= 1
        first, end = stack[height, 0], stack[height, 1]
        while end - first > _FEW:
            cut = _partition(x, w, first, end)
            # the larger part waits, so that no more than the logarithm of their number do
            if cut - first > end - cut:
                stack[height, 0], stack[height, 1] = first, cut
                first = cut
            else:
                stack[height, 0], stack[height, 1] = cut, end
                end = cut
            height += 1
    for each in range(1, len(x)):
        value, weight, place = x[each], w[each], each
        while place > 0 and value < x[place - 1]:
            x[place], w[place] = x[place - 1], w[place - 1]
            place -= 1
        x[place], w[place] = value, weight


@kernel
def _partition(x: Float, w: Float, first: int, end: int) -> int:
    """Splits a part in two that have values each, none in the lower one above one in the upper; where that begins."""
    low, middle, high = x[first], x[first + (end - first) // 2], x[end - 1]
    pivot = max(min(low, middle), min(max(low, middle), high))
    left, right = first - 1, end
    while True:
        left += 1
        while x[left] < pivot:
            left += 1
        right -= 1
        while x[right] > pivot:
            right -= 1
        if left >= right:
            return max(left, first + 1)
        x[left], x[right] = x[right], x[left]
        w[left], w[right] = w[right], w[left]

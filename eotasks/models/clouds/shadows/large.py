"""Cloud shadow of frames that are too large to be searched pixel by pixel: searched in cells, thrown by pixels.

What decides (heights of clouds, directions, how light and shade differ, what the ground's looks are worth) is told by
cells of several pixels, where the whole frame is seen at once. Outlines are thrown, and single pixels looked at, at the
full resolution, a strip of rows after the other. How high a strip is makes no difference: what is taken together over
strips are whole numbers, and each strip is looked at with the rows about it that have a say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from eotasks.models.clouds.shadows.angles import mean_shift
from eotasks.models.clouds.shadows.geometric import CloudHeights, GeometricMethod, Reason, heights_of, is_enough
from eotasks.models.clouds.shadows.looks import Neighbourhood, Sight, beyond, told_apart
from eotasks.models.clouds.shadows.packed import (
    ADDED,
    BLACK,
    CLOUD,
    DARK,
    KEPT,
    THROWN,
    TURBID,
    UNITS,
    VALID,
    Cells,
    PackedLight,
    has,
    strips_of,
)
from eotasks.models.clouds.shadows.projection import ProjectionMethod, dark_in_reach, rows_in_reach, untold
from eotasks.models.clouds.shadows.search import clouds_of

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

SEARCHED_PIXELS = 4_000_000
"""Cells that heights are searched in, at most; frames of no more pixels are searched by these. In a full tile cells are
of 60 m, at which cumuli still have outlines, and the search takes 0.4 GB."""

_TOUCHING = np.ones((3, 3), dtype=bool)


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether a frame (h, w, ...) is searched in cells."""
    return shape[0] * shape[1] > SEARCHED_PIXELS


def large_shadow(
    light: PackedLight,
    shift: Floats,
    *,
    pixel_size: tuple[float, float],
    method: GeometricMethod | ProjectionMethod,
    where: str,
) -> Reason | None:
    """Find the shadow of a frame: pixels that are KEPT among the bits of ``light`` afterwards, on ground in view.

    :param light: With its clouds; used up by this.
    :param shift: Rows and columns from cloud to shadow per metre of height, (2,) or (h, w, 2).
    :param pixel_size: Metres (y, x).
    :return: Why no shadow can be told though there are clouds.
    """
    if isinstance(method, ProjectionMethod):
        return _projected(light, shift, pixel_size, method, where)
    step = math.ceil(math.sqrt(light.shape[0] * light.shape[1] / SEARCHED_PIXELS))
    cells = light.cells(step)
    size = (pixel_size[0] * step, pixel_size[1] * step)
    labels, _ = ndimage.label(cells.touched, structure=_TOUCHING)
    lone = np.bincount(labels[cells.cloud], minlength=labels.max() + 1) == 0
    cloud = cells.cloud | (cells.touched & lone[labels])
    clouds = clouds_of(cloud, cells.valid, _of_cells(shift, step) / step, touched=cells.touched, where=where)
    found = heights_of(clouds, cells, cells.touched, pixel_size=size, method=method)
    if found is None or isinstance(found, str):
        return found
    matched = _throw(light, found, step)
    data = sum(int(np.count_nonzero(light.bits[rows] & VALID)) for rows in strips_of(light.shape))
    if is_enough(matched, data):
        _Looks(light, cells, found, step, pixel_size, method).decide()
    else:
        for rows in strips_of(light.shape):
            light.bits[rows] |= has(light.bits[rows], THROWN) * KEPT
    return None


def _of_cells(shift: Floats, step: int) -> Floats:
    """A shift that goes with the pixels at the middle of every cell: the angles change over kilometres."""
    if shift.ndim == 1:
        return shift
    rows, columns = (np.minimum(np.arange(step // 2, side + step // 2, step), side - 1) for side in shift.shape[:2])
    return np.asarray(shift[np.ix_(rows, columns)])


def _throw(light: PackedLight, found: CloudHeights, step: int) -> int:
    """Throw all outlines, each by the way of its cloud in the cells.

    :return: Pixels of ground that they cover.
    """
    (height, width), clouds = light.shape, found.clouds
    matched = np.isfinite(found.heights)
    moves = np.rint(clouds.shifts * step * np.nan_to_num(found.heights)[:, None]).astype(np.int64)
    for strip in strips_of(light.shape):
        rows, columns = np.nonzero(light.bits[strip] & CLOUD)
        rows += strip.start
        owners = clouds.labels[rows // step, columns // step] - 1
        rows, columns = rows + moves[owners, 0], columns + moves[owners, 1]
        inside = matched[owners] & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        light.bits[rows[inside], columns[inside]] |= THROWN
    count = 0
    for strip in strips_of(light.shape):
        bits = light.bits[strip]
        ground = has(bits, VALID) & ~has(bits, CLOUD)
        bits &= ~(~ground * THROWN)
        count += int(np.count_nonzero(bits & THROWN))
    return count


@dataclass(frozen=True)
class _Window:
    """A strip with the rows about it."""

    inner: slice
    """The strip in the frame."""

    rows: slice
    """With the rows about it."""

    @property
    def cut(self) -> slice:
        """The strip in the window."""
        return slice(self.inner.start - self.rows.start, self.inner.stop - self.rows.start)


def _windows(shape: tuple[int, int], around: int) -> Iterator[_Window]:
    for inner in strips_of(shape):
        yield _Window(inner, slice(max(inner.start - around, 0), min(inner.stop + around, shape[0])))


class _Looks:
    """A look at each pixel after the throw, as ``looks.refined`` and ``looks.beyond``."""

    def __init__(
        self,
        light: PackedLight,
        cells: Cells,
        found: CloudHeights,
        step: int,
        pixel_size: tuple[float, float],
        method: GeometricMethod,
    ) -> None:
        self._light, self._cells, self._found, self._step = light, cells, found, step
        self._pixel_size, self._method = pixel_size, method
        size = (pixel_size[0] * step, pixel_size[1] * step)
        self._thrown = self._shares_of(THROWN) > 0
        self._sight = Sight(found.sunlight, cells.valid & ~cells.cloud, cells.black, cells.turbid, found.clear, size)
        self._around = Neighbourhood.of(self._sight, self._thrown)

    def _shares_of(self, bit: np.uint8) -> NDArray[np.float32]:
        """(cells) share of the pixels that have a bit, of those in view."""
        step, found = self._step, []
        for rows in strips_of(self._light.shape, of=step):
            bits = self._light.bits[rows]
            ground = has(bits, VALID) & ~has(bits, CLOUD)
            over = [np.arange(0, side, step) for side in bits.shape]
            counts = [
                np.add.reduceat(np.add.reduceat(mask, over[0], axis=0, dtype=np.int32), over[1], axis=1)
                for mask in (ground & has(bits, bit), ground)
            ]
            found.append((counts[0] / np.maximum(counts[1], 1)).astype(np.float32))
        return np.concatenate(found)

    def decide(self) -> None:
        """Mark what is shadow as KEPT."""
        around = self._around
        difference = None if around is None else self._contrast(around)
        for window in _windows(self._light.shape, Sight.ABOUT):
            bits = self._light.bits[window.rows]
            thrown = has(bits, THROWN)
            kept, added = thrown, np.zeros_like(thrown)
            if difference is not None and around is not None:
                sight = self._window_sight(window)
                share = self._darker(sight, window, around) / np.float32(difference)
                kept, added = sight.parted(thrown, share, self._spread(around.near, window.rows))
            inner = self._light.bits[window.inner]
            inner |= kept[window.cut] * KEPT | added[window.cut] * ADDED
        _keep_touching(self._light)
        if self._found.tells_beyond(self._method):
            self._add_beyond()

    def _window_sight(self, window: _Window) -> Sight:
        bits = self._light.bits[window.rows]
        seen = has(bits, VALID) & ~has(bits, CLOUD)
        black, turbid = has(bits, BLACK), has(bits, TURBID)
        clear = seen & ~black & ~turbid & self._spread(self._found.clear, window.rows)
        sunlight = self._light.sunlight[window.rows].astype(np.float32) / np.float32(UNITS)
        return Sight(np.clip(sunlight, *self._found.usual), seen, black, turbid, clear, self._pixel_size)

    def _darker(self, sight: Sight, window: _Window, around: Neighbourhood) -> NDArray[np.float32]:
        """How much darker than lit ground about them pixels are."""
        return self._interpolated(around.expected, window.rows) - sight.smooth()

    def _contrast(self, around: Neighbourhood) -> float | None:
        """How much darker shaded ground is, None where that tells nothing of a pixel: in whole numbers, whose sums do
        not depend on the strips.
        """
        sums = np.zeros((2, 3), dtype=object)
        for window in _windows(self._light.shape, Sight.ABOUT):
            sight = self._window_sight(window)
            darker = np.rint(self._darker(sight, window, around) * np.float32(UNITS)).astype(np.int64)[window.cut]
            thrown = has(self._light.bits[window.inner], THROWN)
            for index, mask in enumerate((thrown, ~thrown)):
                values = darker[mask & sight.clear[window.cut]]
                sums[index] += np.array([len(values), int(values.sum()), int(np.square(values).sum())], dtype=object)
        if not sums[0, 0] or not sums[1, 0]:
            return None
        counts, totals, squares = sums.T
        (shaded, lit) = means = [int(total) / int(count) / UNITS for total, count in zip(totals, counts, strict=True)]
        of_shaded, of_lit = (
            int(square) / int(count) / UNITS**2 - mean**2
            for square, count, mean in zip(squares, counts, means, strict=True)
        )
        return told_apart(shaded - lit, of_lit, of_shaded)

    def _add_beyond(self) -> None:
        found, clouds = self._found, self._found.clouds
        typical = found.typical
        dark = beyond(self._sight, self._shares_of(KEPT) > 0.5, clouds.origin_known(typical), found.lit, found.shaded)
        down, right = np.rint(typical * clouds.mean_shift * self._step).astype(int)
        for rows in strips_of(self._light.shape):
            bits = self._light.bits[rows]
            seen = has(bits, VALID) & ~has(bits, CLOUD)
            known = _moved(self._light.bits, rows, int(down), int(right))
            bits |= (seen & ~known & self._spread(dark, rows)) * KEPT

    def _spread(self, cells: Mask, rows: slice) -> Mask:
        """Cells as pixels of some rows."""
        width, step = self._light.shape[1], self._step
        lines = cells[np.arange(rows.start, rows.stop) // step]
        return np.asarray(np.repeat(lines, step, axis=1)[:, :width])

    def _interpolated(self, cells: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
        """The same of numbers, linear between the middles of cells."""
        first, second, share = _between(np.arange(rows.start, rows.stop), self._step, cells.shape[0])
        lines = cells[first] + (cells[second] - cells[first]) * share[:, None]
        first, second, share = _between(np.arange(self._light.shape[1]), self._step, cells.shape[1])
        return np.asarray(lines[:, first] + (lines[:, second] - lines[:, first]) * share)


def _between(
    pixels: NDArray[np.int64], step: int, cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The two cells whose middles a pixel lies between, and how near it is to the second, 0..1."""
    place = np.clip((pixels + 0.5) / step - 0.5, 0, cells - 1)
    first = place.astype(np.int64)
    return first, np.minimum(first + 1, cells - 1), (place - first).astype(np.float32)


def _moved(bits: NDArray[np.uint8], rows: slice, down: int, right: int) -> Mask:
    """(rows, w) whether there is data so many pixels up and left."""
    height, width = bits.shape
    found = np.zeros((rows.stop - rows.start, width), dtype=bool)
    start, stop = max(rows.start - down, 0), min(rows.stop - down, height)
    left, end = max(-right, 0), min(width - right, width)
    if start < stop and left < end:
        there = slice(start + down - rows.start, stop + down - rows.start)
        found[there, left + right : end + right] = has(bits[start:stop, left:end], VALID)
    return found


def _keep_touching(light: PackedLight) -> None:
    """Of what is ADDED only what touches KEPT, through others of its kind, becomes KEPT; across strips too."""
    above, below, starts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], []
    seeded = [np.zeros(1, dtype=bool)]
    last: NDArray[np.int64] | None = None
    total = 0
    for rows in strips_of(light.shape):
        bits = light.bits[rows]
        labels, count = _labelled(bits)
        seeds = np.zeros(count + 1, dtype=bool)
        seeds[labels[has(bits, KEPT)]] = True
        seeded.append(seeds[1:])
        first, final = (np.where(line > 0, line.astype(np.int64) + total, 0) for line in (labels[0], labels[-1]))
        for one, other in () if last is None else _neighbours(last, first):
            above.append(one)
            below.append(other)
        last = final
        starts.append(total)
        total += count
    ends = np.concatenate(above), np.concatenate(below)
    graph = sparse.coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(total + 1, total + 1))
    _, parts = connected_components(graph, directed=False)
    kept = np.zeros(parts.max() + 1, dtype=bool)
    kept[parts[np.concatenate(seeded)]] = True
    kept = kept[parts]
    kept[0] = False
    for rows, start in zip(strips_of(light.shape), starts, strict=True):
        bits = light.bits[rows]
        labels, _ = _labelled(bits)
        places = np.where(labels > 0, labels + start, 0)
        bits |= kept[places] * KEPT


def _labelled(bits: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    labels, count = ndimage.label(bits & (KEPT | ADDED), structure=_TOUCHING, output=np.int32)
    return labels, count


def _neighbours(
    above: NDArray[np.int64], below: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Labels of two rows that touch, at a side or a corner."""
    for one, other in ((above, below), (above[1:], below[:-1]), (above[:-1], below[1:])):
        both = (one > 0) & (other > 0)
        yield one[both], other[both]


def _projected(
    light: PackedLight, shift: Floats, pixel_size: tuple[float, float], method: ProjectionMethod, where: str
) -> Reason | None:
    """The projection, whose reach is short."""
    direction = mean_shift(shift, where=where)
    clouds = ground = False
    for window in _windows(light.shape, rows_in_reach(direction, pixel_size=pixel_size, method=method)):
        bits = light.bits[window.rows]
        cloud, valid, black = has(bits, CLOUD), has(bits, VALID), has(bits, BLACK)
        shadow = dark_in_reach(
            has(bits, DARK) & ~black,
            valid,
            cloud,
            direction,
            pixel_size=pixel_size,
            method=method,
        )
        light.bits[window.inner] |= shadow[window.cut] * KEPT
        clouds |= bool(cloud.any())
        ground |= bool((valid & ~black & ~cloud).any())
    return untold(clouds=clouds, moves=bool(direction.any()), ground=ground)

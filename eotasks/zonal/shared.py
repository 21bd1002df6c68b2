"""Polygons that lie on several images beside each other: their pixels are put together before statistics are made.

Percentiles of parts cannot be joined, so each image gives the pixels themselves of the polygons that it has in part.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.models.zonal import PixelState, PolygonPixels, frame_statistics
from eotasks.zonal.coverage import Coverage, area_beyond, on_grid, outlines_in
from eotasks.zonal.frames import ZonalBlock, ZonalFrame, with_beyond
from eotasks.zonal.polygons import Polygons

SAME_PASS = dt.timedelta(minutes=30)
"""Images beside each other whose times differ by less are of one pass of the satellite."""

_ON_LATTICE = 1e-3
"""Of a pixel, by which two images of one lattice may miss each other."""


@dataclass(frozen=True)
class Share:
    """What polygons an image gives statistics of."""

    own: NDArray[np.intp]
    """Those that it has whole, each of one image or several of the same grid only."""

    shared: NDArray[np.intp]
    """Those that it has in part, and no other image whole."""


@dataclass(frozen=True)
class Pieces:
    """Pixels of the shared polygons of an image."""

    grid: Grid
    polygons: NDArray[np.intp]
    """(n): which."""

    pixels: PolygonPixels
    """(n) of them, p in all."""

    times: tuple[dt.datetime, ...]
    """(t) UTC, naive."""

    values: NDArray[np.float64]
    """(t, p, quantities)."""

    states: NDArray[np.uint8]
    """(t, p) of ``PixelState``."""

    def lattice_pixels(self, own: slice, origin: Grid) -> NDArray[np.int64]:
        """(m, 2): rows and columns of some of the pixels, counted from the corner of another grid of the lattice."""
        rows, columns = np.divmod(self.pixels.pixels[own], self.grid.width)
        down = round((origin.top - self.grid.top) / self.grid.down)
        right = round((self.grid.left - origin.left) / self.grid.across)
        return np.stack([rows + down, columns + right], axis=1)

    def of(self, polygon: int) -> slice:
        """Which of the pixels are of a polygon."""
        at = int(np.searchsorted(self.polygons, polygon))
        if at == len(self.polygons) or self.polygons[at] != polygon:
            return slice(0, 0)
        return slice(int(self.pixels.starts[at]), int(self.pixels.starts[at + 1]))


class PieceKeeper:
    """Takes pixels of the shared polygons out of the frames that pass."""

    def __init__(self, grid: Grid, coverage: Coverage) -> None:
        self._grid, self._coverage = grid, coverage
        self._times: list[dt.datetime] = []
        self._values: list[NDArray[np.float64]] = []
        self._states: list[NDArray[np.uint8]] = []

    def take(self, frame: ZonalFrame) -> None:
        """One more time."""
        pixels = self._coverage.pixels.pixels
        self._times.append(frame.time)
        self._values.append(frame.values.reshape(-1, frame.values.shape[-1])[pixels].astype(np.float64))
        self._states.append(frame.states.reshape(-1)[pixels])

    def pieces(self) -> Pieces | None:
        """All of them; None where no time was."""
        if not self._times:
            return None
        return Pieces(
            self._grid,
            self._coverage.polygons,
            self._coverage.pixels,
            tuple(self._times),
            np.stack(self._values),
            np.stack(self._states),
        )


def shares_of(polygons: Polygons, grids: Sequence[Grid]) -> list[Share]:
    """Which polygons each image gives statistics of.

    A polygon that several images have whole is taken from those of one grid: the first.
    """
    indices = list(dict.fromkeys(grids))
    number = {grid: index for index, grid in enumerate(indices)}
    bounds = _bounds_by_system(polygons, indices)
    inside = [_inside(bounds[grid.crs][1], grid) for grid in indices]
    owner = np.full(len(polygons), -1)
    for index in range(len(indices) - 1, -1, -1):  # the first has the last word
        owner[inside[index]] = index
    shares = []
    for index, grid in enumerate(indices):
        touching = _touching(bounds[grid.crs][0], grid)
        shares.append(Share(np.flatnonzero(owner == index), touching[owner[touching] < 0]))
    return [shares[number[grid]] for grid in grids]


def _bounds_by_system(
    polygons: Polygons, grids: Sequence[Grid]
) -> dict[str, tuple[NDArray[np.object_], NDArray[np.float64]]]:
    """By the coordinate systems of the grids: geometries of the polygons there, and their bounds."""
    usable, found = polygons.usable, {}
    for crs in dict.fromkeys(grid.crs for grid in grids):
        of_system = [grid for grid in grids if grid.crs == crs]
        whole = _around(of_system)
        shapes = np.full(len(polygons), None, dtype=object)
        shapes[usable] = on_grid(polygons.shapes[usable], polygons.crs, whole)
        found[crs] = shapes, shapely.bounds(shapes)
    return found


def _around(grids: Sequence[Grid]) -> Grid:
    """One pixel that holds all grids of a system."""
    left, bottom, right, top = np.array([grid.bounds for grid in grids]).T
    west, south, east, north = left.min(), bottom.min(), right.max(), top.max()
    return Grid(grids[0].crs, west, north, east - west, 1, 1, pixel_height=north - south)


def _inside(bounds: NDArray[np.float64], grid: Grid) -> NDArray[np.intp]:
    left, bottom, right, top = grid.bounds
    near = _ON_LATTICE * _ON_LATTICE * grid.across
    low = (bounds[:, 0] >= left - near) & (bounds[:, 1] >= bottom - near)
    return np.flatnonzero(low & (bounds[:, 2] <= right + near) & (bounds[:, 3] <= top + near))


def _touching(shapes: NDArray[np.object_], grid: Grid) -> NDArray[np.intp]:
    found = shapely.STRtree(shapes).query(shapely.box(*grid.bounds), predicate="intersects")
    return np.sort(found)


class Outlines:
    """Polygons, brought to the systems of images when they are asked for: some together, each system once."""

    def __init__(self, polygons: Polygons, indices: Sequence[int]) -> None:
        """:param indices: Which of the polygons are asked for."""
        self._polygons, self._indices = polygons, np.array(sorted(indices), dtype=np.intp)
        self._found: dict[str, NDArray[np.object_]] = {}

    def of(self, polygon: int, crs: str) -> Any:
        """A polygon in a system; empty where that has no coordinates for it."""
        if crs not in self._found:
            shapes = self._polygons.shapes[self._indices]
            self._found[crs] = outlines_in(shapes, self._polygons.crs, crs)
        return self._found[crs][np.searchsorted(self._indices, polygon)]


def joined_block(
    polygon: int, parts: Iterable[Pieces], percentiles: Sequence[float], outlines: Outlines
) -> ZonalBlock | None:
    """Statistics of a polygon whose pixels are on several images; None where none has any.

    Images of one lattice (coordinate system, size of pixels, origin) are put together: where two show a pixel at one
    time, the first that has data counts. Of several lattices, as those of two UTM zones, the one that has most of the
    polygon is taken alone. What of the polygon lies on none of them has no data.

    :param outlines: Of the polygons, this among them.
    """
    lattices: list[list[tuple[Pieces, slice]]] = []
    for piece in parts:
        own = piece.of(polygon)
        if own.stop == own.start:
            continue
        fitting = next((each for each in lattices if on_one_lattice(each[0][0].grid, piece.grid)), None)
        if fitting is None:
            lattices.append([(piece, own)])
        else:
            fitting.append((piece, own))
    if not lattices:
        return None
    chosen = max(lattices, key=_ground)
    grid = chosen[0][0].grid
    ground = shapely.union_all([shapely.box(*piece.grid.bounds) for piece, _ in chosen])
    return _block(chosen, percentiles, float(area_beyond(outlines.of(polygon, grid.crs), ground, grid)))


def on_one_lattice(one: Grid, other: Grid) -> bool:
    """Whether the pixels of two grids are pixels of one larger grid."""
    if pyproj.CRS.from_user_input(one.crs) != pyproj.CRS.from_user_input(other.crs):
        return False
    sizes = ((one.across, other.across, one.left - other.left), (one.down, other.down, one.top - other.top))
    return all(
        abs(a / b - 1) < _ON_LATTICE**2 and abs(apart / a - round(apart / a)) < _ON_LATTICE for a, b, apart in sizes
    )


def _ground(parts: list[tuple[Pieces, slice]]) -> float:
    """Square metres, or square degrees, that the parts of a polygon have."""
    return sum(float(piece.pixels.weights[own].sum()) * piece.grid.across * piece.grid.down for piece, own in parts)


def _block(parts: list[tuple[Pieces, slice]], percentiles: Sequence[float], beyond: float) -> ZonalBlock:
    """:param beyond: Pixels of the polygon outside of the images."""
    places = np.concatenate([piece.lattice_pixels(own, parts[0][0].grid) for piece, own in parts])
    weights = np.concatenate([piece.pixels.weights[own] for piece, own in parts])
    different, first, numbers = np.unique(places, axis=0, return_index=True, return_inverse=True)
    times = passes([piece.times for piece, _ in parts])
    count, quantities = len(different), parts[0][0].values.shape[-1]
    values = np.full((len(times), count, quantities), np.nan)
    states = np.full((len(times), count), PixelState.NO_DATA, dtype=np.uint8)
    start, each_pixel = 0, numbers.reshape(-1)
    for index, (piece, own) in enumerate(parts):
        pixels = each_pixel[start : start + own.stop - own.start]
        start += own.stop - own.start
        for time, members in enumerate(times):
            frame = members[1].get(index)
            if frame is None:
                continue
            free = states[time, pixels] == PixelState.NO_DATA
            values[time, pixels[free]] = piece.values[frame, own][free]
            states[time, pixels[free]] = piece.states[frame, own][free]
    rows = PolygonPixels(
        np.arange(len(times) + 1, dtype=np.int64) * count,
        np.arange(len(times) * count, dtype=np.int64),
        np.tile(weights[first], len(times)),
    )
    found = frame_statistics(values.reshape(-1, quantities), states.reshape(-1), rows, percentiles=percentiles)
    sums = with_beyond(found.parts, beyond)
    return ZonalBlock(tuple(time for time, _ in times), found.values[np.newaxis], sums[np.newaxis])


def passes(times: Sequence[Sequence[dt.datetime]]) -> list[tuple[dt.datetime, dict[int, int]]]:
    """Times of several images that belong together: the earliest, and for each image which of its times it is.

    Two times of one image are never one.
    """
    found: list[tuple[dt.datetime, dict[int, int]]] = []
    order = sorted((time, index, frame) for index, each in enumerate(times) for frame, time in enumerate(each))
    for time, index, frame in order:
        recent = [each for each in found[-len(times) :] if time - each[0] < SAME_PASS and index not in each[1]]
        if recent:
            recent[0][1][index] = frame
        else:
            found.append((time, {index: frame}))
    return found

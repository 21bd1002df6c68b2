"""Sun and view angles of a tile, from the 5 km grids of its metadata to any grid.

The metadata of a tile (MTD_TL.xml) holds 23 x 23 nodes, the first at the tile's north-west corner, 5 km apart: one pair
of zenith and azimuth for the sun, one for the view of each band and detector, NaN where that detector did not look.
Angles are interpolated as directions, so that azimuths of 359 and 1 degree meet at 0 and not at 180.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform

from eotasks.errors import BandError
from eotasks.imagery.grid import Grid, parse_crs

_STRIP = 1_000_000
"""Pixels that are worked on at a time."""

AnglePair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Zenith and azimuth, (rows, columns) of nodes, degrees."""


@dataclass(frozen=True, eq=False)
class AngleGrids:
    """Angles of a tile at the nodes of its metadata."""

    crs: str
    left: float
    """Of the first node, in units of the CRS."""

    top: float
    column_step: float
    """Between nodes, in units of the CRS."""

    row_step: float

    sun_nodes: AnglePair
    view_nodes: Mapping[str, Sequence[AnglePair]]
    """By band: a pair for each detector."""

    def sun(self, grid: Grid, *, nearest: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Zenith and azimuth (clockwise from north) of the sun over a grid.

        :param nearest: Those of the nearest node; else they are interpolated.
        :return: Two float32 (h, w) in degrees.
        """
        return self._at(_directions(self.sun_nodes), grid, nearest=nearest)

    def view(
        self, grid: Grid, band: str | None = None, *, nearest: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Zenith and azimuth (clockwise from north) of the satellite, as seen from the ground.

        Where the footprints of two detectors overlap, their directions are averaged.

        :param band: A band, or None for the mean direction of all bands.
        :param nearest: As of :meth:`sun`, of the nodes around that are known.
        :return: Two float32 (h, w) in degrees, NaN where no detector looked.
        :raises BandError: when there are no angles of that band.
        """
        if band is not None and band not in self.view_nodes:
            known = ", ".join(self.view_nodes) or "none"
            raise BandError(f"No view angles of {band} in the metadata, there are: {known}. Give one of these.")
        chosen = self.view_nodes.values() if band is None else [self.view_nodes[band]]
        detectors = [_directions(pair) for pairs in chosen for pair in pairs]
        if not detectors:
            nothing = np.full(grid.shape, np.nan, dtype=np.float32)
            return nothing, nothing.copy()
        return self._at(_mean(detectors), grid, nearest=nearest)

    def _at(
        self, nodes: NDArray[np.float64], grid: Grid, *, nearest: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        zenith, azimuth = (np.empty(grid.shape, dtype=np.float32) for _ in range(2))
        rows = max(_STRIP // grid.width, 1)
        pick = _nearest if nearest else _interpolate
        for start in range(0, grid.height, rows):
            strip = slice(start, min(start + rows, grid.height))
            zenith[strip], azimuth[strip] = _angles(pick(nodes, *self._position(grid, strip)))
        return zenith, azimuth

    def _position(self, grid: Grid, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row and column among the nodes of the centres of some rows of a grid; they broadcast to these rows."""
        x = grid.left + (np.arange(grid.width, dtype=np.float64) + 0.5)[np.newaxis] * grid.resolution
        y = grid.top - (np.arange(rows.start, rows.stop, dtype=np.float64) + 0.5)[:, np.newaxis] * grid.down
        source, target = parse_crs(grid.crs), parse_crs(self.crs)
        if source != target:
            x, y = (np.broadcast_to(each, (y.shape[0], x.shape[1])) for each in (x, y))
            shape = x.shape
            there = transform(source, target, x.ravel(), y.ravel())
            x, y = (np.asarray(each, dtype=np.float64).reshape(shape) for each in there)
        return (self.top - y) / self.row_step, (x - self.left) / self.column_step


def _directions(pair: AnglePair) -> NDArray[np.float64]:
    """Unit vectors (east, north, up) of a pair: (rows, columns, 3), NaN where it is."""
    zenith, azimuth = np.radians(pair[0]), np.radians(pair[1])
    across = np.sin(zenith)
    return np.stack([across * np.sin(azimuth), across * np.cos(azimuth), np.cos(zenith)], axis=-1)


def _mean(directions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean of what is known at each node, NaN where nothing is."""
    stack = np.stack(directions)
    known = np.isfinite(stack).all(axis=-1, keepdims=True)
    count = known.sum(axis=0)
    total = np.where(known, stack, 0).sum(axis=0)
    mean: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _among(
    height: int, width: int, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Places held to the nodes that there are, and of each the node in the north-west."""
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    i = np.minimum(rows.astype(np.intp), max(height - 2, 0))
    j = np.minimum(columns.astype(np.intp), max(width - 2, 0))
    return rows, columns, i, j


def _interpolate(
    nodes: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear between nodes that are known; beyond the outermost their value goes on. (h, w, 3)."""
    height, width = nodes.shape[:2]
    rows, columns, i, j = _among(height, width, rows, columns)
    down, across = rows - i, columns - j
    known: NDArray[np.bool_] = np.asarray(np.isfinite(nodes).all(axis=-1))
    filled = np.where(known[..., np.newaxis], nodes, 0)
    total: NDArray[np.float64] = np.zeros((*np.broadcast_shapes(rows.shape, columns.shape), 3))
    weights: NDArray[np.float64] = np.zeros(total.shape[:2])
    for step_down, vertical in ((0, 1 - down), (1, down)):
        for step_across, horizontal in ((0, 1 - across), (1, across)):
            at = np.minimum(i + step_down, height - 1), np.minimum(j + step_across, width - 1)
            weight = vertical * horizontal * known[at]
            weights += weight
            total += weight[..., np.newaxis] * filled[at]
    mean: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, weights[..., np.newaxis], out=mean, where=weights[..., np.newaxis] > 0)
    return mean


def _nearest(
    nodes: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The nearest of the four nodes around that are known; of two as near the north-western one. (h, w, 3)."""
    height, width = nodes.shape[:2]
    rows, columns, i, j = _among(height, width, rows, columns)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(nodes).all(axis=-1))
    shape = np.broadcast_shapes(rows.shape, columns.shape)
    found: NDArray[np.float64] = np.full((*shape, 3), np.nan)
    best: NDArray[np.float64] = np.full(shape, np.inf)
    for at in ((i + down, j + across) for down in (0, 1) for across in (0, 1)):
        node = np.broadcast_arrays(np.minimum(at[0], height - 1), np.minimum(at[1], width - 1))
        distance = np.where(known[node[0], node[1]], (rows - node[0]) ** 2 + (columns - node[1]) ** 2, np.inf)
        nearer = distance < best
        best[nearer], found[nearer] = distance[nearer], nodes[node[0], node[1]][nearer]
    return found


def _angles(directions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Zenith and azimuth of vectors of any length, degrees."""
    east, north, up = np.moveaxis(directions, -1, 0)
    zenith = np.degrees(np.arctan2(np.hypot(east, north), up))
    azimuth = np.degrees(np.arctan2(east, north)) % 360
    return zenith.astype(np.float64), azimuth.astype(np.float64)

"""Where the centres of a grid's pixels lie in another coordinate system, found once for all files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform

from eotasks.errors import AreaError
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.grid import Grid, parse_crs

_SNAP = 1e-6
"""Edges this near (in pixels) coincide: coordinates are not exact in floating point."""

_AT_ONCE = 100_000
"""Places that are found at a time: rasterio gives them as lists of Python, of 64 bytes each."""

Index = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class Places:
    """Centres of the pixels of a grid."""

    crs: CRS
    """In which they are."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    """(1, w) and (h, 1) in the grid's own system, else both (h, w); infinite where they are of no place."""

    is_separable: bool
    """Whether they are of the first kind: an array of one column does not tell."""

    @classmethod
    def of(cls, grid: Grid, crs: CRS, rows: slice = slice(None), columns: slice = slice(None)) -> Places:
        """In a coordinate system; of some rows and columns exactly as they are among all.

        :raises AreaError: when none of them can be expressed there.
        """
        x: NDArray[np.float64] = (grid.left + (np.arange(grid.width, dtype=np.float64) + 0.5) * grid.across)[
            np.newaxis, columns
        ]
        y: NDArray[np.float64] = (grid.top - (np.arange(grid.height, dtype=np.float64) + 0.5) * grid.down)[
            rows, np.newaxis
        ]
        own = parse_crs(grid.crs)
        if own == crs:
            return cls(crs, x, y, is_separable=True)
        shape = y.shape[0], x.shape[1]
        there = np.empty((2, *shape), dtype=np.float64)
        at_once = max(_AT_ONCE // max(shape[1], 1), 1)
        for first in range(0, shape[0], at_once):
            some = slice(first, first + at_once)
            here = np.broadcast_arrays(x, y[some])
            try:
                found = transform(own, crs, here[0].ravel(), here[1].ravel())
            except GDAL_ERRORS as error:
                raise AreaError(
                    f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away."
                ) from error
            there[:, some] = np.reshape(found[:2], (2, *here[0].shape))
        return cls(crs, there[0], there[1], is_separable=False)

    def part(self, rows: slice, columns: slice) -> Places:
        """Those of some rows and columns."""
        if self.is_separable:
            return replace(self, x=self.x[:, columns], y=self.y[rows])
        return replace(self, x=self.x[rows, columns], y=self.y[rows, columns])

    def picker(self, origin: Affine, shape: tuple[int, int]) -> Picker:
        """Takes the pixels of an image in which these places lie; a place on an edge belongs to the south-east.

        :param origin: Of the image, from (column, row) to (x, y).
        :param shape: Its rows and columns.
        """
        columns, rows = (
            np.floor(np.nan_to_num((each - start) / step, nan=-1, posinf=-1, neginf=-1) + _SNAP).astype(np.intp)
            for each, start, step in ((self.x, origin.c, origin.a), (self.y, origin.f, origin.e))
        )
        outside = (rows < 0) | (rows >= shape[0]), (columns < 0) | (columns >= shape[1])
        is_outside = any(each.any() for each in outside)
        if is_outside:
            rows, columns = np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1)
        return Picker((rows, columns), (outside[0] | outside[1]) if is_outside else None, self.is_separable)


@dataclass(frozen=True, eq=False)
class Picker:
    """Pixels of an image by their rows and columns."""

    index: Index
    outside: NDArray[np.bool_] | None
    """(h, w): places outside the image; None when there are none."""

    is_separable: bool
    """As of `Places`."""

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """(h, w), a copy: of places outside the pixel that is nearest to them, which says nothing."""
        rows, columns = self.index
        if not self.is_separable:
            picked: NDArray[Any] = values[self.index]
            return picked
        return _taken(_taken(values, rows[:, 0], 0), columns[0], 1).copy()

    def known(self, valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """(h, w): places in the image that are valid; None where all are.

        :param valid: Of the image; None for all.
        """
        inside = None if self.outside is None else ~self.outside
        if valid is None:
            return inside
        picked: NDArray[np.bool_] = self(valid)
        return picked if inside is None else picked & inside


def _taken(values: NDArray[Any], index: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """Rows or columns; without a copy where they follow one another."""
    first, last = int(index[0]), int(index[-1])
    if last - first == len(index) - 1 and bool((np.diff(index) == 1).all()):
        return values[first : last + 1] if axis == 0 else values[:, first : last + 1]
    return values.take(index, axis=axis)


PlacesOf = Callable[[CRS], Places]
"""Gives the places of one grid in the system of a file."""

"""The grid of an array on the ground: coordinate system, origin, pixel size, shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine

from eotasks.errors import GridError
from eotasks.limits import GRID_PIXELS
from eotasks.text import excerpt

WHOLE_PIXEL_TOLERANCE = 1e-6
"""How far, in pixels, an extent may be from a whole number of pixels."""


@dataclass(frozen=True)
class Grid:
    """A north-up grid. Its pixels are squares, unless a height of them is given."""

    crs: str
    """Coordinate reference system, such as ``"EPSG:32633"``."""

    left: float
    """Western edge, in units of the CRS."""

    top: float
    """Northern edge, in units of the CRS."""

    resolution: float
    """Side of a pixel, in units of the CRS (metres in UTM); its width where it has a height of its own."""

    height: int
    """Rows."""

    width: int
    """Columns."""

    pixel_height: float | None = None
    """Height of a pixel that is no square, in units of the CRS; None for a square."""

    def __post_init__(self) -> None:
        if self.pixel_height == self.resolution:  # so that grids of squares are equal however they were made
            object.__setattr__(self, "pixel_height", None)
        if not (math.isfinite(self.down) and self.down > 0):
            raise GridError(f"Grid: pixel height {self.down!r} is no pixel size: give a number above 0.")
        if not (math.isfinite(self.resolution) and self.resolution > 0):
            raise GridError(f"Grid: resolution {self.resolution!r} is no pixel size: give a number above 0.")
        if self.height < 1 or self.width < 1:
            raise GridError(f"Grid: {self.height} x {self.width} pixels: a grid has at least one row and one column.")
        if not (math.isfinite(self.left) and math.isfinite(self.top)):
            raise GridError(f"Grid: origin ({self.left!r}, {self.top!r}) is not finite.")
        check_pixels(self.height, self.width, f"Grid of {self.resolution:g}")
        parse_crs(self.crs)

    @property
    def across(self) -> float:
        """Width of a pixel, in units of the CRS."""
        return self.resolution

    @property
    def down(self) -> float:
        """Height of a pixel, in units of the CRS."""
        return self.resolution if self.pixel_height is None else self.pixel_height

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top), in units of the CRS."""
        return (
            self.left,
            self.top - self.height * self.down,
            self.left + self.width * self.resolution,
            self.top,
        )

    @property
    def transform(self) -> Affine:
        """Affine transform from (column, row) of the upper left corner of a pixel to (x, y)."""
        return Affine(self.resolution, 0.0, self.left, 0.0, -self.down, self.top)

    def part(self, rows: slice, columns: slice) -> Grid:
        """Some rows and columns of it; both slices have a start and a stop."""
        return replace(
            self,
            left=self.left + columns.start * self.resolution,
            top=self.top - rows.start * self.down,
            height=rows.stop - rows.start,
            width=columns.stop - columns.start,
        )

    @classmethod
    def from_bounds(cls, bounds: Sequence[float], crs: str, resolution: float) -> Grid:
        """The grid that fills an extent exactly.

        :param bounds: (left, bottom, right, top) in units of the CRS.
        :param crs: Coordinate reference system, such as ``"EPSG:32633"``.
        :param resolution: Side of a pixel in units of the CRS.
        :raises GridError: when the extent is empty or no whole number of pixels: shifting pixels silently would
            put labels and bands on different ground.
        """
        if len(bounds) != 4 or not all(math.isfinite(value) for value in bounds):
            raise GridError(f"Extent {tuple(bounds)!r}: give four finite numbers (left, bottom, right, top).")
        if not (math.isfinite(resolution) and resolution > 0):
            raise GridError(f"Resolution {resolution!r} is no pixel size: give a number above 0.")
        left, bottom, right, top = (float(value) for value in bounds)
        if right <= left or top <= bottom:
            raise GridError(f"Extent {(left, bottom, right, top)}: empty, right must exceed left and top bottom.")
        columns, rows = (right - left) / resolution, (top - bottom) / resolution
        check_pixels(rows, columns, f"Extent {(left, bottom, right, top)} in pixels of {resolution:g}")
        width, height = round(columns), round(rows)
        if max(abs(columns - width), abs(rows - height)) > WHOLE_PIXEL_TOLERANCE or not (width and height):
            cure_right, cure_bottom = left + max(width, 1) * resolution, top - max(height, 1) * resolution
            raise GridError(
                f"Extent {(left, bottom, right, top)}: {columns:.10g} x {rows:.10g} pixels of {resolution:g} are no"
                f" whole number. Use right {cure_right!r} and bottom {cure_bottom!r}, or widen the box to whole"
                " pixels by eotasks.snap_bbox, or use another resolution."
            )
        return cls(crs=crs, left=left, top=top, resolution=float(resolution), height=height, width=width)


def check_pixels(height: float, width: float, where: str) -> None:
    """Refuse more pixels than arrays are made for, before any is.

    :raises GridError: when they are.
    """
    if height * width > GRID_PIXELS.value:
        raise GridError(
            f"{where}: {height:,.0f} x {width:,.0f} pixels, {GRID_PIXELS.excess()}. Choose a larger pixel or a smaller"
            " area."
        )


def parse_crs(crs: Any) -> CRS:
    """A coordinate system from its name or code.

    :raises GridError: when it is not known, or is of no place on Earth, as that of a building site.
    """
    try:
        found = CRS.from_user_input(crs)
        if found.is_projected or found.is_geographic:
            return found
        raise GridError(f"Coordinate system {excerpt(crs)} is of no place on Earth: give one such as 'EPSG:32633'.")
    except CRSError as error:
        raise GridError(f"Coordinate system {crs!r} is not known: give an EPSG code such as 'EPSG:32633'.") from error

"""A patch, and how patches are named."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sentinelhub.geometry import BBox

TOLERANCE = 1e-6
"""Of a pixel: what an extent may miss a whole number of pixels by."""


@dataclass(frozen=True)
class Patch:
    """One box of the grid that an area is worked through in."""

    name: str
    """Unique among the patches of a run; also the name of its EOPatch in storage."""

    bbox: BBox
    """Extent in a CRS in metres."""

    row: int
    """Row of the grid, 0 = north."""

    column: int
    """Column of the grid, 0 = west."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    @property
    def crs(self) -> str:
        """Such as ``EPSG:32633``."""
        return str(self.bbox.crs.ogc_string())


def name_of(row: int, column: int, zone: str | None = None) -> str:
    """Name of a patch; with its zone where there are several."""
    return f"patch_{zone}_r{row:02d}_c{column:02d}" if zone else f"patch_r{row:02d}_c{column:02d}"


def whole(value: float) -> int | None:
    """A number that is whole within the tolerance; None for others."""
    if not math.isfinite(value):
        return None
    nearest = round(value)
    return nearest if abs(value - nearest) <= TOLERANCE else None

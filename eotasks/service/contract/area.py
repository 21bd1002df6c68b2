"""The ground of a request: an extent in any coordinate system, as rows and columns, and the part of it that counts."""

from __future__ import annotations

from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class OutputArea:
    """Where an image lies. Its pixels need not be squares."""

    crs: str
    """Such as "EPSG:32633"; in degrees x is the longitude."""

    bounds: tuple[float, float, float, float]
    """(left, bottom, right, top), in units of the CRS."""

    height: int
    width: int
    geometry: BaseGeometry | None = None
    """What counts of it, in units of the CRS; outside it `dataMask` and all bands are 0. None for all."""

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height of a pixel, in units of the CRS."""
        left, bottom, right, top = self.bounds
        return (right - left) / self.width, (top - bottom) / self.height

"""Places on the ground in pictures, whatever draws them: axes of maps, and the pixels that a page can show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import CRSError
from rasterio.warp import transform

from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.workflows.report.raster import Bounds, Raster

MAX_PIXELS = 1200
"""Longest side of an image on the page."""

_PIXELS_AT_A_TIME = 1 << 22
"""Of which means are taken."""


@dataclass(frozen=True)
class Axis:
    """How map coordinates are written: kilometres for projected systems, degrees for geographic ones."""

    crs: str

    @property
    def geographic(self) -> bool:
        """True for longitude and latitude."""
        return self.crs.upper() in {"EPSG:4326", "OGC:CRS84", "WGS84"}

    @property
    def scale(self) -> float:
        """Map units in one unit of the axis."""
        return 1.0 if self.geographic else 1000.0

    def labels(self) -> tuple[str, str]:
        """Labels of the x and y axes."""
        if self.geographic:
            return "Longitude (°)", "Latitude (°)"
        return "Easting (km)", "Northing (km)"

    def aspect(self, bounds: Bounds) -> float:
        """Length of a unit of y over a unit of x, as drawn."""
        if not self.geographic:
            return 1.0
        return 1.0 / max(math.cos(math.radians((bounds[1] + bounds[3]) / 2)), 0.05)


def decimate(raster: Raster, *, mean: bool, max_pixels: int = MAX_PIXELS) -> Raster:
    """Reduce an image to what the page can show.

    :param mean: average blocks over what is not NaN (quantities); else take each block's centre pixel (classes).
    :return: the image with its longest side at most ``max_pixels``, bounds enlarged to whole blocks.
    """
    height, width = raster.values.shape[:2]
    factor = math.ceil(max(height, width) / max_pixels)
    if factor <= 1:
        return raster
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    left, bottom, right, top = raster.bounds
    pixel_x, pixel_y = (right - left) / width, (top - bottom) / height
    bounds = (left, top - rows * factor * pixel_y, left + columns * factor * pixel_x, top)
    if not mean:
        row = np.minimum(np.arange(rows) * factor + factor // 2, height - 1)
        column = np.minimum(np.arange(columns) * factor + factor // 2, width - 1)
        return Raster(raster.values[np.ix_(row, column)], bounds, raster.time)
    return Raster(_block_mean(raster.values, factor), bounds, raster.time)


def _block_mean(values: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Some rows at a time: of a full tile at 10 m, 0.5 GB, it would take three times as much."""
    step = max(_PIXELS_AT_A_TIME // (values.shape[1] * factor), 1) * factor
    return np.concatenate([_mean_of(values[row : row + step], factor) for row in range(0, len(values), step)])


def _mean_of(values: NDArray[Any], factor: int) -> NDArray[np.float32]:
    starts = [np.arange(0, size, factor) for size in values.shape[:2]]
    known = np.isfinite(values)
    total = np.add.reduceat(np.add.reduceat(np.where(known, values, 0).astype(np.float32), starts[0], 0), starts[1], 1)
    count = np.add.reduceat(np.add.reduceat(known.astype(np.float32), starts[0], 0), starts[1], 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def round_length(longest: float) -> float:
    """The greatest of 1, 2, 5, 10, ... (times any power of ten) that is not above ``longest``."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def centre(bounds: Bounds, crs: str) -> str:
    """The middle of the bounds for people: ``52.48° N, 12.60° E``; empty for an unknown coordinate system."""
    middle = [(bounds[0] + bounds[2]) / 2], [(bounds[1] + bounds[3]) / 2]
    try:
        (longitude,), (latitude,) = transform(crs, "EPSG:4326", *middle)
    except (CRSError, *GDAL_ERRORS):
        return ""
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return ""
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.2f}° {north}, {abs(longitude):.2f}° {east}"

"""From the pixels of one grid to those of another, by their coordinates."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from eotasks.imagery.grid import Grid, parse_crs
from models.errors import ConfigurationError

ResamplingName = Literal["nearest", "bilinear", "cubic", "mean"]

_METHODS: dict[str, Resampling] = {
    "nearest": Resampling.nearest,
    "bilinear": Resampling.bilinear,
    "cubic": Resampling.cubic,
    "mean": Resampling.average,
}


def check_resampling(name: str) -> None:
    """Refuse a method that does not exist.

    :raises ConfigurationError: naming the methods that do.
    """
    if name not in _METHODS:
        known = ", ".join(get_args(ResamplingName))
        raise ConfigurationError(f"resampling={name!r} is not known: use one of {known}.")


def resample(
    values: NDArray[np.generic],
    transform: Affine,
    crs: CRS,
    grid: Grid,
    *,
    valid: NDArray[np.bool_] | None = None,
    method: ResamplingName = "mean",
) -> NDArray[np.float32]:
    """Bring one band to a grid.

    GDAL's warper does the work, with exact (not approximated) coordinates. "mean" weighs each source pixel by the
    area it shares with the target pixel; on a finer grid that gives the source pixel a target pixel lies in.
    "bilinear" and "cubic" interpolate between the centres of pixels, and on a coarser grid widen their kernel.

    :param values: Array (h, w).
    :param transform: Transform of ``values``, from (column, row) to (x, y).
    :param crs: Coordinate system of ``values``.
    :param grid: The target.
    :param valid: Boolean (h, w): pixels that hold data. The others take no part. None: all hold data.
    :param method: "nearest", "bilinear", "cubic" or "mean".
    :return: float32 (grid.height, grid.width), NaN where no valid source pixel contributes.
    """
    check_resampling(method)
    source = values.astype(np.float32)
    if valid is not None:
        source[~valid] = np.nan
    target = np.full(grid.shape, np.nan, dtype=np.float32)
    reproject(
        source,
        target,
        src_transform=transform,
        src_crs=crs,
        src_nodata=np.nan,
        dst_transform=grid.transform,
        dst_crs=parse_crs(grid.crs),
        dst_nodata=np.nan,
        resampling=_METHODS[method],
        tolerance=0.0,
        num_threads=1,
    )
    return target

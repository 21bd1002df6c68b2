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

_SNAP = 1e-6
"""Edges this near (in pixels) coincide: coordinates are not exact in floating point."""


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

    "mean" weighs each source pixel by the area it shares with the target pixel; on a finer grid that gives the source
    pixel a target pixel lies in. Within one CRS it is exact, from integrals of the source: the average of GDAL's
    warper is not, off by a tenth of the values where the grids have different origins. "bilinear" and "cubic"
    interpolate between the centres of pixels, and on a coarser grid widen their kernel; they and "nearest" are GDAL's,
    with exact (not approximated) coordinates.

    :param values: Array (h, w).
    :param transform: Transform of ``values``, from (column, row) to (x, y).
    :param crs: Coordinate system of ``values``.
    :param grid: The target.
    :param valid: Boolean (h, w): pixels that hold data. The others take no part. None: all hold data.
    :param method: "nearest", "bilinear", "cubic" or "mean".
    :return: float32 (grid.height, grid.width), NaN where no valid source pixel contributes.
    """
    check_resampling(method)
    target_crs = parse_crs(grid.crs)
    if method == "mean" and crs == target_crs:
        return _area_mean(values, transform, grid, valid)
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
        dst_crs=target_crs,
        dst_nodata=np.nan,
        resampling=_METHODS[method],
        tolerance=0.0,
        num_threads=1,
    )
    return target


def _area_mean(
    values: NDArray[np.generic], transform: Affine, grid: Grid, valid: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Mean of the valid source pixels under each target pixel, weighted by shared area."""
    rows = _edges(grid.top, grid.height, grid.resolution, transform.f, -transform.e, values.shape[0], down=True)
    columns = _edges(grid.left, grid.width, grid.resolution, transform.c, transform.a, values.shape[1], down=False)
    numbers = values.astype(np.float64)
    if valid is None:
        area = np.outer(np.diff(rows), np.diff(columns))
    else:
        numbers[~valid] = 0
        area = _sums(_sums(valid.astype(np.float64), rows).T, columns).T
    sums = _sums(_sums(numbers, rows).T, columns).T
    mean = np.full(grid.shape, np.nan)
    np.divide(sums, area, out=mean, where=area > _SNAP)
    return mean.astype(np.float32)


def _edges(
    origin: float, count: int, step: float, source_origin: float, source_step: float, size: int, *, down: bool
) -> NDArray[np.float64]:
    """Edges of target pixels along an axis, counted in source pixels and clipped to where there are any."""
    offset = source_origin - origin if down else origin - source_origin
    edges = (offset + np.arange(count + 1) * step) / source_step
    whole = np.rint(edges)
    return np.clip(np.where(np.abs(edges - whole) < _SNAP, whole, edges), 0, size)


def _sums(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrals of piecewise constant rows between consecutive edges, along the first axis."""
    before = np.minimum(np.floor(edges).astype(np.intp), values.shape[0] - 1)
    running = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    integral = running[before] + (edges - before)[:, np.newaxis] * values[before]
    return np.diff(integral, axis=0)

"""From the pixels of one grid to those of another, by their coordinates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from eotasks.errors import WARNING_FILTERS, ConfigurationError
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.interpolation import interpolate
from eotasks.imagery.pixels.places import Places, PlacesOf
from eotasks.imagery.pixels.raster import pixel_sides_in
from eotasks.imagery.pixels.reduction import area_mean

ResamplingName = Literal["nearest", "bilinear", "cubic", "mean", "fast"]

_GDAL: dict[str, Resampling] = {
    "nearest": Resampling.nearest,
    "bilinear": Resampling.bilinear,
    "cubic": Resampling.cubic,
}
_MEANS = ("mean", "fast")

_SAMPLES = 4
"""Samples along a side of a pixel of the target, or half of them along one of the source, whichever are more, when an
area mean crosses coordinate systems."""

_MOST_SAMPLES = 64
"""Along a side of a target pixel."""

_SAMPLED_AT_ONCE = 4_000_000

_SNAP = 1e-6
"""Edges this near (in pixels) coincide: coordinates are not exact in floating point."""


def check_resampling(name: str) -> None:
    """Refuse a method that does not exist.

    :raises ConfigurationError: naming the methods that do.
    """
    if name not in get_args(ResamplingName):
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
    sides: tuple[float, float] | None = None,
    places: PlacesOf | None = None,
) -> NDArray[np.float32]:
    """Bring one band to a grid.

    "mean" weighs each source pixel by the area it shares with the target pixel; on a finer grid that gives the source
    pixel a target pixel lies in. Within one CRS it is exact (the average of GDAL's warper is not, off by a tenth of the
    values where the grids have different origins); across coordinate systems it is the mean at points spread over the
    target pixel, two and more along the side of a source pixel. "fast" is "mean": the difference is the level that is
    decoded (eotasks.imagery.pixels.reduction). "nearest" is the source pixel in which the centre of the target pixel
    lies. "bilinear" and "cubic" interpolate between the centres of pixels, and on a coarser grid widen their kernel;
    they are GDAL's, with exact coordinates (`eotasks.imagery.pixels.interpolation`). The points of a mean are found as
    its warper finds them, to an eighth of a source pixel.

    :param values: Array (h, w).
    :param transform: Transform of ``values``, from (column, row) to (x, y).
    :param crs: Coordinate system of ``values``.
    :param grid: The target.
    :param valid: Boolean (h, w): pixels that hold data. The others take no part. None: all hold data.
    :param method: "nearest", "bilinear", "cubic", "mean" or "fast".
    :param sides: Width and height of a target pixel in units of ``crs``, by which kernels widen and means are sampled;
        None for those of the pixel in the middle of the grid, which makes values depend on what else the grid has.
    :param places: Of the grid's pixels, where they are known; None to find them.
    :return: float32 (grid.height, grid.width), NaN where no valid source pixel contributes.
    """
    check_resampling(method)
    if method in _MEANS:
        if crs == parse_crs(grid.crs):
            return area_mean(values, transform, grid, valid)
        return _sampled_mean(_with_gaps(values, valid), transform, crs, grid, sides or pixel_sides_in(grid, crs))
    if crs == parse_crs(grid.crs):
        if method == "nearest":
            return _nearest(values, transform, grid, valid)
        return _warp(_with_gaps(values, valid), transform, crs, grid, _GDAL[method], sides or pixel_sides_in(grid, crs))
    there = Places.of(grid, crs) if places is None else places(crs)
    if method == "nearest":
        return _picked(values, transform, there, valid)
    is_cubic, sides = method == "cubic", sides or pixel_sides_in(grid, crs)
    return interpolate(_with_gaps(values, valid), transform, there, is_cubic=is_cubic, sides=sides)


def _picked(
    values: NDArray[np.generic], transform: Affine, places: Places, valid: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    pick = places.picker(transform, (values.shape[0], values.shape[1]))
    found, known = pick(values).astype(np.float32), pick.known(valid)
    if known is not None:
        found[~known] = np.nan
    return found


def _nearest(
    values: NDArray[np.generic], transform: Affine, grid: Grid, valid: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """The source pixel in which the centre of a target pixel lies; a centre on an edge belongs to the south-east."""
    x = (grid.left + (np.arange(grid.width) + 0.5) * grid.resolution - transform.c) / transform.a
    y = (grid.top - (np.arange(grid.height) + 0.5) * grid.down - transform.f) / transform.e
    columns, rows = (np.floor(centres + _SNAP).astype(np.intp) for centres in (x, y))
    height, width = values.shape
    inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    target = np.full(grid.shape, np.nan, dtype=np.float32)
    if not (inside_rows.any() and inside_columns.any()):
        return target
    picked = np.ix_(rows[inside_rows], columns[inside_columns])
    found = values[picked].astype(np.float32)
    if valid is not None:
        found[~valid[picked]] = np.nan
    target[np.ix_(inside_rows, inside_columns)] = found
    return target


def _with_gaps(values: NDArray[np.generic], valid: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """The values as a copy that holds NaN where they are not valid."""
    source = values.astype(np.float32)
    if valid is not None:
        source[~valid] = np.nan
    return source


def _sampled_mean(
    source: NDArray[np.float32], transform: Affine, crs: CRS, grid: Grid, sides: tuple[float, float]
) -> NDArray[np.float32]:
    """Mean of the source pixels at points spread evenly over each target pixel.

    Across coordinate systems a target pixel is no rectangle of the source. GDAL's average takes whole source pixels of
    its bounding box there; points know better.
    """
    ratio = max(sides) / transform.a
    samples = min(max(math.ceil(_SAMPLES / 2 * ratio), _SAMPLES), _MOST_SAMPLES)
    result = np.empty(grid.shape, dtype=np.float32)
    rows = max(_SAMPLED_AT_ONCE // (grid.width * samples**2), 1)
    for start in range(0, grid.height, rows):
        height = min(rows, grid.height - start)
        points = replace(
            grid,
            top=grid.top - start * grid.down,
            resolution=grid.resolution / samples,
            pixel_height=None if grid.pixel_height is None else grid.pixel_height / samples,
            height=height * samples,
            width=grid.width * samples,
        )
        found = _warp(source, transform, crs, points, Resampling.nearest, (sides[0] / samples, sides[1] / samples))
        found = found.reshape(height, samples, grid.width, samples)
        known = np.isfinite(found)
        count = known.sum(axis=(1, 3))
        total = np.where(known, found, 0).sum(axis=(1, 3), dtype=np.float64)
        mean = np.full(count.shape, np.nan)
        np.divide(total, count, out=mean, where=count > 0)
        result[start : start + height] = mean
    return result


def _warp(
    source: NDArray[np.float32],
    transform: Affine,
    crs: CRS,
    grid: Grid,
    method: Resampling,
    sides: tuple[float, float],
) -> NDArray[np.float32]:
    target = np.full(grid.shape, np.nan, dtype=np.float32)
    with WARNING_FILTERS:
        reproject(
            source,
            target,
            src_transform=transform,
            src_crs=crs,
            src_nodata=np.nan,
            dst_transform=grid.transform,
            dst_crs=parse_crs(grid.crs),
            dst_nodata=np.nan,
            resampling=method,
            tolerance=0.0,
            num_threads=1,
            # GDAL would take it from the sizes of the arrays, and kernels would be as wide as a window happens to be.
            XSCALE=transform.a / sides[0],
            YSCALE=transform.a / sides[1],
        )
    return target

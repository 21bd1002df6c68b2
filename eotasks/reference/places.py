"""Where labels lie: what of a file is read for a grid, and geometries brought to the grid's coordinate system.

In degrees, labels may be written in any way over the antimeridian (`eotasks.geometry.antimeridian`).
"""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import rasterio.warp
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from eotasks.geometry.antimeridian import box_of, normalised
from eotasks.geometry.degrees import in_degrees
from eotasks.models.rasters import Bounds

_MARGIN = 0.02
"""Share of a patch's size read around it, for edges that bend between two coordinate systems."""

_SEGMENTS = 200
"""Parts of an edge as long as a patch when it is moved to another system: 25 m of a 5 km patch, far below 1 mm off."""

_NEAR_EDGE = 10.0
"""Degrees from the antimeridian within which labels that jump over it, and are less wide than this, reach."""

_ALL_ROUND = 1_080.0
"""Degrees, east and west, of a window that leaves no longitude out however it is written."""


def window_of(grid_crs: Any, bounds: Bounds, crs: Any, extent: Bounds | None) -> Bounds | None:
    """What of a file is read for a grid; None for all of it.

    Near the antimeridian it is all that lies between two latitudes, since numbers do not say there what is near.

    :param bounds: Of the grid, in its coordinate system.
    :param crs: Of the file.
    :param extent: Of all in the file, where that is known.
    """
    left, bottom, right, top = _bounds_in(grid_crs, bounds, crs)
    margin_x, margin_y = _MARGIN * (right - left), _MARGIN * (top - bottom)
    window = (left - margin_x, bottom - margin_y, right + margin_x, top + margin_y)
    if not np.isfinite(window).all():
        return None
    beyond = extent is not None and (extent[0] < -180 or extent[2] > 180)
    if in_degrees(CRS.from_user_input(crs)) and (beyond or right > 180 - _NEAR_EDGE or left < -180 + _NEAR_EDGE):
        return -_ALL_ROUND, window[1], _ALL_ROUND, window[3]
    return window


def in_one_form(shapes: NDArray[Any], crs: Any) -> NDArray[Any]:
    """Geometries that are cut at the antimeridian where they are in degrees; those that need no cut as they are.

    :raises GeometryError: when one lies at no place on Earth.
    """
    if not in_degrees(CRS.from_user_input(crs)):
        return shapes
    west, _, east, _ = shapely.bounds(shapes).T
    odd = np.flatnonzero((west < -180) | (east > 180) | (east - west > 180))
    if not odd.size:
        return shapes
    shapes = shapes.copy()
    for index in odd:
        shapes[index] = normalised(shapes[index])
    return shapes


def reprojected(shapes: NDArray[Any], crs: Any, grid_crs: Any, bounds: Bounds) -> NDArray[Any]:
    """Geometries in the coordinate system of the grid, those that reach far beyond it cut.

    An edge stays the straight line that it is in its own system: only corners can be moved, so long edges get more of
    them, and what lies far away, where the grid's system may have no coordinates, is left out.

    :param shapes: As :func:`in_one_form` gives them.
    :param bounds: Of the grid.
    """
    shapes = shapely.force_2d(shapes)
    if pyproj.CRS.from_user_input(crs) == pyproj.CRS.from_user_input(grid_crs):
        return shapes
    left, bottom, right, top = _bounds_in(grid_crs, bounds, crs)
    if np.isfinite([left, bottom, right, top]).all():
        around = shapely.box(2 * left - right, 2 * bottom - top, 2 * right - left, 2 * top - bottom)
        west, south, east, north = around.bounds
        if in_degrees(CRS.from_user_input(crs)) and (west < -180 or east > 180):
            around = box_of(west, max(south, -90.0), east, min(north, 90.0))
        shapes = np.where(shapely.within(shapes, around), shapes, shapely.intersection(shapes, around))
        shapes = shapely.segmentize(shapes, max(right - left, top - bottom) / _SEGMENTS)
    moved: NDArray[Any] = np.asarray(gpd.GeoSeries(shapes, crs=crs).to_crs(grid_crs).array, dtype=object)
    return moved


def _bounds_in(grid_crs: Any, bounds: Bounds, crs: Any) -> Bounds:
    """Bounds of a grid in another system; over the antimeridian, east is beyond 180."""
    left, bottom, right, top = rasterio.warp.transform_bounds(grid_crs, crs, *bounds, densify_pts=51)
    return left, bottom, right + 360 if right < left else right, top

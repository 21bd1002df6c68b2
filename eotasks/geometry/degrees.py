"""Geometries of any coordinate system in degrees of WGS 84."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError, reason_of
from eotasks.geometry.antimeridian import normalised
from eotasks.geometry.systems import is_wgs84

WGS84 = "EPSG:4326"

EDGE_PARTS = 32
"""Into how many pieces an edge is cut before it is brought to degrees, where straight lines become curves."""

FARTHEST = 1e9
"""Units of any coordinate system: what lies farther away is a mistake."""


def in_degrees(crs: CRS) -> bool:
    """Whether a system has degrees of longitude and latitude, of whatever datum."""
    return bool(crs.is_geographic and crs.units_factor[0].lower().startswith("degree"))


def to_degrees(geometry: BaseGeometry, crs: Any, *, edge_parts: int = EDGE_PARTS) -> BaseGeometry:
    """In degrees of WGS 84, longitude first, as :func:`eotasks.geometry.antimeridian.normalised` has them.

    :param geometry: In units of the system, x or longitude first.
    :param crs: A projected or geographic system: rasterio's, or what it takes.
    :param edge_parts: Into how many pieces the longest edge is cut.
    :raises GeometryError: when it is no place on Earth, or lies where the system has no coordinates.
    """
    system = CRS.from_user_input(crs)
    if is_wgs84(system):
        return normalised(geometry)
    if not np.abs(shapely.get_coordinates(geometry)).max(initial=0) < FARTHEST:  # NaN and infinity too
        raise GeometryError("it is no place on Earth: check its coordinate system")
    if in_degrees(system):
        geometry = normalised(geometry)
    west, south, east, north = geometry.bounds
    step = max(east - west, north - south) / edge_parts
    fine = geometry.segmentize(step) if step > 0 else geometry
    points = shapely.get_coordinates(fine)
    try:
        degrees = np.column_stack(transform(system, WGS84, points[:, 0], points[:, 1]))
    except (RasterioError, CPLE_BaseError) as error:  # of some systems far away, where others give infinity
        raise GeometryError(f"it lies outside of what its coordinate system can show ({reason_of(error)})") from error
    if not np.isfinite(degrees).all():
        raise GeometryError("it lies outside of what its coordinate system can show: check the system")
    return normalised(shapely.set_coordinates(fine, degrees))

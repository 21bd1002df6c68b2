"""The ground of a request: its grid, how large its pixels are in metres, and which of them lie in the geometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.warp import transform
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from eotasks.errors import WARNING_FILTERS, AreaError, ConfigurationError, EOTasksError, GridError, message_of
from eotasks.geometry.degrees import WGS84, in_degrees
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.service.contract.area import OutputArea
from eotasks.service.errors import RequestError

_RADIUS, _FLATTENING = 6_378_137.0, 1 / 298.257223563
"""Of WGS84: metres of the equator's radius."""

_SLACK = 1_000.0
"""Metres by which a search looks beyond the area: edges of footprints are straight in degrees and curved on the ground,
by 300 m on a tile."""

_ROUNDING = 1e-3
"""Share by which pixels may be wider than the limit: clients compute sizes in degrees."""


def grid_of(area: OutputArea) -> Grid:
    """The grid of an area, of pixels that need not be squares.

    :raises RequestError: when there is no such grid.
    """
    across, down = area.pixel_size
    left, _, _, top = area.bounds
    try:
        return Grid(area.crs, left, top, across, area.height, area.width, pixel_height=down)
    except GridError as error:
        raise RequestError(message_of(error)) from error


def check_metres(size: tuple[float, float], limit: float, collection: str) -> None:
    """Refuse pixels that are wider than what is served.

    :param size: Of :func:`metres_of`.
    :raises RequestError: says the limit.
    """
    widest = max(size)
    if not widest <= limit * (1 + _ROUNDING):
        raise RequestError(
            f"Pixels of {widest:,.0f} m are wider than the {limit:,.0f} m that {collection} is served at. Ask for a"
            " smaller area, or for more pixels."
        )


def metres_of(area: OutputArea) -> tuple[float, float]:
    """Width and height of the pixel in the middle of an area, in metres: as they are in a zone of UTM, else measured on
    the ellipsoid.

    :raises RequestError: when its middle is of no place on Earth.
    """
    across, down = area.pixel_size
    try:
        system = parse_crs(area.crs)
    except GridError as error:
        raise RequestError(message_of(error)) from error
    if is_utm(system):
        return across, down
    left, bottom, right, top = area.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    try:
        longitudes, latitudes = transform(
            system, WGS84, [x - across / 2, x + across / 2, x, x], [y, y, y - down / 2, y + down / 2]
        )
    except GDAL_ERRORS as error:
        raise _of_no_place(area) from error
    if not np.isfinite([*longitudes, *latitudes]).all():
        raise _of_no_place(area)
    return (
        _distance(longitudes[0], latitudes[0], longitudes[1], latitudes[1]),
        _distance(longitudes[2], latitudes[2], longitudes[3], latitudes[3]),
    )


def is_utm(system: CRS) -> bool:
    """Whether a coordinate system is a zone of UTM on WGS84, in whose metres products are."""
    code = system.to_epsg()
    return code is not None and (32601 <= code <= 32660 or 32701 <= code <= 32760)


def _of_no_place(area: OutputArea) -> RequestError:
    return RequestError(f"The area {area.bounds} in {area.crs} is of no place on Earth: check its coordinate system.")


def _distance(west: float, south: float, east: float, north: float) -> float:
    """Metres between two near places, by the radii of curvature between them."""
    latitude = math.radians((south + north) / 2)
    squared = _FLATTENING * (2 - _FLATTENING)
    bend = 1 - squared * math.sin(latitude) ** 2
    meridian, prime = _RADIUS * (1 - squared) / bend**1.5, _RADIUS / math.sqrt(bend)
    turn = math.radians((east - west + 180) % 360 - 180)
    return math.hypot(turn * prime * math.cos(latitude), math.radians(north - south) * meridian)


def wanted(area: OutputArea) -> BaseGeometry:
    """What counts of an area, in its units: the geometry as far as it lies in the extent."""
    extent = box(*area.bounds)
    if area.geometry is None:
        return extent
    return shapely.intersection(shapely.make_valid(area.geometry), extent)


def around(area: OutputArea) -> BaseGeometry:
    """What a search looks for: the extent of what counts, and a little beyond it; in units of the area."""
    left, bottom, right, top = wanted(area).bounds
    across = down = _SLACK
    if in_degrees(parse_crs(area.crs)):
        down = math.degrees(_SLACK / _RADIUS)
        across = down / max(math.cos(math.radians(max(abs(bottom), abs(top)))), 0.01)
        return box(left - across, max(bottom - down, -90.0), right + across, min(top + down, 90.0))
    return box(left - across, bottom - down, right + across, top + down)


def searched(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """A geometry in degrees, as searches take it.

    :raises RequestError: when it is of no place on Earth.
    """
    from eotasks.catalogue.request import area_of

    try:
        found = area_of(None, geometry, crs)
    except (AreaError, GridError, ConfigurationError, EOTasksError) as error:
        raise RequestError(message_of(error)) from error
    assert found is not None  # a geometry was given
    return found


def inside(area: OutputArea, grid: Grid) -> NDArray[np.bool_] | None:
    """(h, w): pixels whose centre lies in the geometry; None where there is none, and all do."""
    if area.geometry is None:
        return None
    shapes: list[Any] = [part for part in _polygons(area.geometry) if not part.is_empty]
    if not shapes:
        return np.zeros(grid.shape, dtype=bool)
    with WARNING_FILTERS:
        found: NDArray[np.bool_] = geometry_mask(shapes, out_shape=grid.shape, transform=grid.transform, invert=True)
    return None if found.all() else found


def _polygons(geometry: BaseGeometry) -> list[BaseGeometry]:
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    return [part for part in shapely.get_parts(valid).tolist() if part.area > 0]

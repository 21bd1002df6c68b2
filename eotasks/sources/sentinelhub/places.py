"""Where boxes and polygons lie, for a service that takes numbers as they are: over the antimeridian above all.

In a UTM zone an area over the antimeridian is one piece, and the service has its pixels. In degrees, and in systems of
the whole world such as EPSG:3857, it would have two ends, or be a band round the world: sentinelhub's BBox exchanges a
west that is greater than its east without a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError, GridError
from eotasks.geometry.antimeridian import boxes_of, crosses, unrolled
from eotasks.geometry.degrees import WGS84, to_degrees
from eotasks.geometry.systems import check_ground_metres, has_ground_metres, in_degrees, utm_of

_HALF_A_TURN = 180.0
_SAME_PLACE = 1e-3
"""Of the larger side: what corners may move by on the way to degrees and back."""


def search_boxes(bbox: BBox) -> list[BBox]:
    """Boxes in degrees that hold a box: one, or one on each side of the antimeridian.

    :param bbox: In any CRS, as :func:`check_place` lets pass.
    """
    ground = to_degrees(shapely.box(*bbox), bbox.crs.ogc_string())
    return [BBox(box, CRS.WGS84) for box in boxes_of(ground)]


def check_place(shape: BaseGeometry, crs: CRS, what: str, *, ground_metres: bool = True) -> None:
    """Refuse what the service would take for another place than its user, or for a band round the world.

    :param shape: A box or polygon, in units of the system.
    :param what: What it is, for the message, such as "Polygon 3".
    :param ground_metres: Whether metres have to be those of the ground.
    :raises GridError: when it lies at no place on Earth, beyond the edge of its system, on both of its edges, or in
        metres that are not the ground's; with the UTM zone to use.
    """
    bounds = shape.bounds
    try:
        ground = to_degrees(shapely.box(*bounds), crs.ogc_string())
    except GeometryError as error:
        raise GridError(f"{what} at {bounds} in {crs.ogc_string()}: {error}.") from error
    west, south, east, north = ground.bounds
    round_a_pole = max(abs(south), abs(north)) > 90 - 1e-6
    if east - west > _HALF_A_TURN and not crosses(ground) and not round_a_pole:
        raise GridError(
            f"{what} reaches over {east - west:.4g} degrees of longitude in {crs.ogc_string()}: what crosses the"
            f" antimeridian has two ends there. {_cure(shape, crs)}"
        )
    if not _comes_back(bounds, crs):
        raise GridError(f"{what} at {bounds} lies beyond the edge of {crs.ogc_string()}. {_cure(shape, crs)}")
    if ground_metres and not has_ground_metres(crs, bounds):
        check_ground_metres(crs, bounds, what, _cure(shape, crs))


def utm_zone(shape: BaseGeometry, crs: Any) -> CRS:
    """The UTM zone of the middle of a shape, whose long edges are taken to cross the antimeridian.

    :raises GeometryError: when it lies at no place on Earth.
    """
    ground = unrolled(to_degrees(shape, crs, edge_parts=1))
    west, south, east, north = ground.bounds
    return utm_of((west + east) / 2, (south + north) / 2)


def _cure(shape: BaseGeometry, crs: CRS) -> str:
    """What to do, for a message: places cost milliseconds each to find a zone for, and nearly all are sound."""
    try:
        zone = utm_zone(shape, crs.ogc_string())
    except GeometryError:
        return "Give it in the UTM zone of the place."
    return f"Give it in the UTM zone of the place, {zone.ogc_string()}."


def _comes_back(bounds: Sequence[float], crs: CRS) -> bool:
    """Whether the corners, brought to degrees of -180 to 180, are the same in the system again."""
    if in_degrees(crs):
        return True
    left, bottom, right, top = bounds
    corners = [(x, y) for x in (left, right) for y in (bottom, top)]
    given = gpd.GeoSeries([shapely.MultiPoint(corners)], crs=crs.pyproj_crs())
    again = shapely.get_coordinates(given.to_crs(WGS84).to_crs(crs.pyproj_crs()).iloc[0])
    slack = _SAME_PLACE * max(right - left, top - bottom, 1.0)
    return bool(np.isfinite(again).all()) and math.isfinite(slack) and bool((np.abs(again - corners) <= slack).all())

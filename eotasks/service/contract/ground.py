"""The ground of a request: coordinate systems, boxes and polygons of strangers, within bounds."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError, reason_of
from eotasks.geometry.degrees import FARTHEST
from eotasks.geometry.repair import repaired
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.request import Bounds
from eotasks.service.errors import RequestError
from eotasks.text import excerpt

DEFAULT_SIDE = 256
"""Rows and columns where a request does not say any."""

_CRS = re.compile(
    r"(?:https?://www\.opengis\.net/(?:gml/)?def/crs/EPSG/0/|urn:ogc:def:crs:EPSG:[\d.]*:|EPSG:)(\d{4,6})",
    re.IGNORECASE,
)
_CRS84 = re.compile(r"https?://www\.opengis\.net/def/crs/OGC/1\.3/CRS84|urn:ogc:def:crs:OGC:1\.3:CRS84|(?:OGC:)?CRS84")
MOST_CORNERS = 5_000
"""Of a geometry: whether one is valid may take a time that grows with the square, two seconds for so many."""
_TOLD = 10**15
"""From which on a number is written without separators, and its beginning alone."""

_MOST_PARTS = 1_000
"""Polygons of a geometry, and rings of each."""


def area_of(
    bounds: Bounds,
    *,
    width: int | None = None,
    height: int | None = None,
    resx: float | None = None,
    resy: float | None = None,
    max_side: int = 2500,
    where: str = "output",
) -> OutputArea:
    """The grid of a request.

    :param width: Columns; `height` are the rows. 256 where neither they nor `resx` and `resy` are given.
    :param resx: Width of a pixel in units of the CRS; `resy` is the height. Columns are extent / width, rounded.
    :param max_side: Columns and rows that an image may have.
    :param where: The field that has width and height, for messages.
    :raises RequestError: when there is no such place, or the image would be too large or empty.
    """
    crs = crs_of(bounds.properties.crs)
    geometry = None if bounds.geometry is None else geometry_of(bounds.geometry)
    box = _box(bounds.bbox, geometry)
    _check_place(box, crs)
    if (width is not None or height is not None) and (resx is not None or resy is not None):
        raise RequestError(f"{where} has both width or height and resx or resy: give one of the pairs.")
    if (resx is None) != (resy is None):
        raise RequestError(f"{where} has one of resx and resy: give both.")
    if resx is not None and resy is not None:
        unit = "degrees" if _is_geographic(crs) else "units of its coordinate system"
        width = cells_of(box[2] - box[0], resx, f"{where}.resx", unit)
        height = cells_of(box[3] - box[1], resy, f"{where}.resy", unit)
    columns, rows = (DEFAULT_SIDE if side is None else side for side in (width, height))
    for name, side in (("width", columns), ("height", rows)):
        if not 1 <= side <= max_side:
            told = f"{side:,}" if abs(side) < _TOLD else excerpt(side)
            raise RequestError(f"{where}: the {name} is {told} pixels: give 1 to {max_side:,}, or larger pixels.")
    return OutputArea(crs, box, rows, columns, geometry)


@lru_cache(maxsize=256)
def crs_of(text: str | None) -> str:
    """A coordinate system as "EPSG:32633"; EPSG:4326 where none is said, longitude first.

    :raises RequestError: when it is not known, or has no places on a plane.
    """
    if text is None or _CRS84.fullmatch(text.strip()):
        return "EPSG:4326"
    found = _CRS.fullmatch(text.strip())
    where = "input.bounds.properties.crs"
    if found is None:
        raise RequestError(
            f"{where} is {excerpt(text)}, which is no coordinate system of the service: write it as"
            " http://www.opengis.net/def/crs/EPSG/0/32633, or .../def/crs/OGC/1.3/CRS84."
        )
    try:
        system = pyproj.CRS.from_epsg(int(found[1]))
    except pyproj.exceptions.CRSError:
        raise RequestError(f"{where}: there is no EPSG:{found[1]}. Give the code of a coordinate system.") from None
    if not (system.is_projected or system.is_geographic) or len(system.axis_info) != 2:
        raise RequestError(f"{where}: EPSG:{found[1]} has no two coordinates on the ground. Give one that has.")
    return f"EPSG:{int(found[1])}"


def geometry_of(document: dict[str, Any]) -> BaseGeometry:
    """A polygon or several of GeoJSON, valid.

    :raises RequestError: for what is none, has no area, or crosses itself without end.
    """
    kind, coordinates = document.get("type"), document.get("coordinates")
    where = "input.bounds.geometry"
    if kind not in ("Polygon", "MultiPolygon"):
        raise RequestError(f"{where} is of type {excerpt(kind)}: give a Polygon or a MultiPolygon of GeoJSON.")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    try:
        parts = [_polygon(polygon) for polygon in _list(polygons, _MOST_PARTS)]
        if sum(shapely.get_num_coordinates(parts)) > MOST_CORNERS:
            raise GeometryError(f"more than {MOST_CORNERS:,} corners")
        shape = repaired(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    except (GeometryError, shapely.errors.ShapelyError) as error:
        raise RequestError(f"{where}: {reason_of(error)}. Give polygons as RFC 7946 has them.") from None
    areas = [part for part in shapely.get_parts(shape).tolist() if part.geom_type in ("Polygon", "MultiPolygon")]
    united = areas[0] if len(areas) == 1 else shapely.union_all(areas)
    if not united.area > 0:
        raise RequestError(f"{where} has no area: give a polygon that has one.")
    return united


def _polygon(rings: Any) -> BaseGeometry:
    outer, *holes = [_ring(ring) for ring in _list(rings, _MOST_PARTS)]
    return shapely.Polygon(outer, holes)


def _ring(positions: Any) -> NDArray[np.float64]:
    points = []
    for position in _list(positions, MOST_CORNERS):
        pair = _list(position, 4)[:2]
        if len(pair) < 2 or any(type(value) not in (int, float) for value in pair):
            raise GeometryError(f"{excerpt(position)} is no position of two numbers")
        points.append(pair)
    try:
        ring = np.array(points, dtype=np.float64)
    except OverflowError:
        raise GeometryError("a corner at no place on Earth") from None
    if len(np.unique(ring, axis=0)) < 3:
        raise GeometryError("a ring of less than three corners")
    if not (np.abs(ring) < FARTHEST).all():  # NaN and infinity too
        raise GeometryError("a corner at no place on Earth")
    return ring


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise GeometryError(f"{excerpt(value)} where a list of coordinates is due")
    if len(value) > most:
        raise GeometryError(f"{len(value):,} parts, more than {most:,}")
    return value


def _box(bbox: list[float] | None, geometry: BaseGeometry | None) -> tuple[float, float, float, float]:
    if bbox is None:
        if geometry is None:
            raise RequestError("input.bounds has neither bbox nor geometry: give one of them.")
        left, bottom, right, top = geometry.bounds
        return left, bottom, right, top
    if len(bbox) != 4 or not all(math.isfinite(value) and abs(value) < FARTHEST for value in bbox):
        raise RequestError("input.bounds.bbox: give four numbers (left, bottom, right, top) at a place on Earth.")
    left, bottom, right, top = map(float, bbox)
    if not (left < right and bottom < top):
        raise RequestError(
            f"input.bounds.bbox: ({left:.10g}, {bottom:.10g}, {right:.10g}, {top:.10g}) is empty: left has to be less"
            " than right, bottom less than top. In degrees the longitude comes first."
        )
    return left, bottom, right, top


def _check_place(box: tuple[float, float, float, float], crs: str) -> None:
    """In degrees, numbers that are at a place; of projected systems, such as the system has."""
    if not _is_geographic(crs):
        return
    left, bottom, right, top = box
    if left < -360 or right > 360 or right - left > 360 or bottom < -90 or top > 90:
        raise RequestError(
            f"input.bounds: ({left:.10g}, {bottom:.10g}, {right:.10g}, {top:.10g}) in degrees is at no place on Earth."
            " Numbers in metres need their coordinate system in properties.crs; the longitude comes first."
        )


@lru_cache(maxsize=256)
def _is_geographic(crs: str) -> bool:
    return bool(pyproj.CRS.from_user_input(crs).is_geographic)


def cells_of(extent: float, size: float, where: str, unit: str) -> int:
    """Pixels of a size that an extent has, rounded.

    :param unit: Of both, for messages.
    :raises RequestError: when it has none: metres where degrees are due, as a rule.
    """
    if not (math.isfinite(size) and size > 0):
        raise RequestError(f"{where} is {size:g}: give a size above 0, in {unit}.")
    cells = extent / size
    if round(min(cells, 1e9)) < 1:
        raise RequestError(
            f"{where} is {size:g}, in {unit}: the area has {extent:.6g} of them, less than half a pixel. Give a smaller"
            " size, or width and height."
        )
    return round(cells) if cells < 1e9 else 10**9

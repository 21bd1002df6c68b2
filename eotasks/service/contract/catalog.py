"""Requests of the Catalog API as they are written, in a body or behind the question mark of an address."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any

import shapely
from pydantic import Field
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.request import area_of
from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError, GeometryError, GridError, reason_of
from eotasks.geometry.degrees import WGS84
from eotasks.geometry.repair import repaired
from eotasks.limits import FOOTPRINT_CORNERS
from eotasks.service.contract.request import Count, Wire, end_of, time_of
from eotasks.service.errors import RequestError
from eotasks.text import excerpt

DEFAULT_LIMIT = 10
MOST_FEATURES = 100
"""Of an answer; who asks for more gets so many, and `next`."""

MOST_SKIPPED = 10_000
MOST_IDS = 500
_MOST_NAMES = 100
_DIMENSIONS = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
}  # fmt: skip
"""Lists around a position."""

Name = Annotated[str, Field(min_length=1, max_length=200)]


class Fields(Wire):
    """What of a feature is answered."""

    include: list[Name] = Field([], max_length=_MOST_NAMES)
    exclude: list[Name] = Field([], max_length=_MOST_NAMES)


class CatalogSearch(Wire):
    """A search of the Catalog API."""

    collections: list[Name] = Field(min_length=1, max_length=10)
    time: str | None = Field(
        None,
        alias="datetime",
        max_length=100,
        description="A time, or two with / between them; .. leaves an end open. A day means all of it.",
    )
    bbox: list[int | float] | None = Field(None, description="West, south, east, north, in degrees.")
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON in degrees, instead of bbox.")
    ids: list[Name] | None = Field(None, max_length=MOST_IDS)
    filter: str | dict[str, Any] | None = Field(None, description="CQL2, as text or JSON: eo:cloud_cover < 80.")
    filter_lang: str | None = Field(None, alias="filter-lang", max_length=40, description="cql2-text or cql2-json.")
    filter_crs: str | None = Field(None, alias="filter-crs", max_length=200)
    fields: Fields | None = Field(None, description="What of a feature is answered; all without it.")
    distinct: Name | None = Field(None, description="The values of a property instead of features: date.")
    limit: Annotated[Count, Field(ge=1)] = DEFAULT_LIMIT
    next: Annotated[Count, Field(ge=0, le=MOST_SKIPPED)] = Field(0, description="Of the answer before.")


def search_document(parameters: Mapping[str, str]) -> dict[str, Any]:
    """A search that is written behind an address, as a body has it.

    :raises RequestError: for a number that is none.
    """
    document: dict[str, Any] = dict(parameters)
    for name in ("collections", "ids"):
        if name in document:
            document[name] = parameters[name].split(",")
    if "bbox" in document:
        document["bbox"] = [_number("bbox", part) for part in parameters["bbox"].split(",")]
    for name in ("limit", "next"):
        if name in document:
            document[name] = _number(name, parameters[name])
    if "intersects" in document:
        document["intersects"] = _object("intersects", parameters["intersects"])
    if parameters.get("filter-lang", "").lower() == "cql2-json" and "filter" in document:
        document["filter"] = _object("filter", parameters["filter"])
    if "fields" in document:
        names = [name for name in parameters["fields"].split(",") if name]
        document["fields"] = {
            "include": [name.removeprefix("+") for name in names if not name.startswith("-")],
            "exclude": [name[1:] for name in names if name.startswith("-")],
        }
    return document


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"{name}: {excerpt(text)} is no number.") from None


def _object(name: str, text: str) -> dict[str, Any]:
    return parse_json_object(text, lambda reason: RequestError(f"{name} is {reason}: give a JSON object."))


def times_of(text: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    """First and last moment of a search, naive UTC; None where it is open.

    A time by itself is all that it says, and so is the last of two: of a day the day, of a second the second.

    :raises RequestError: when it is no time, or ends before it starts.
    """
    if text is None:
        return None, None
    parts = [part.strip() for part in text.split("/")]
    if len(parts) == 1:
        return time_of(parts[0], "datetime"), end_of(parts[0], "datetime")
    if len(parts) != 2:
        raise RequestError(f"datetime is {excerpt(text)}: give a time, or two with / between them.")
    first, last = (None if part in ("", "..") else part for part in parts)
    begin = None if first is None else time_of(first, "datetime")
    end = None if last is None else end_of(last, "datetime")
    if begin is not None and end is not None and end < begin:
        raise RequestError(f"datetime is {excerpt(text)}, which ends before it starts: exchange the two.")
    return begin, end


def place_of(search: CatalogSearch) -> BaseGeometry | None:
    """The ground of a search, in degrees; None for all the world.

    :raises RequestError: when it is no place on Earth, or both a box and a geometry.
    """
    if search.bbox is not None and search.intersects is not None:
        raise RequestError("bbox and intersects are two ways to name an area: give one of them.")
    if search.bbox is None and search.intersects is None:
        return None
    bbox = search.bbox
    if bbox is not None and len(bbox) == 6:  # with heights, which do not count
        bbox = [*bbox[:2], *bbox[3:5]]
    try:
        if bbox is not None:
            if not all(abs(value) < 1e9 for value in bbox):
                raise RequestError("bbox: give four finite numbers (west, south, east, north) in degrees.")
            return area_of(bbox, None, WGS84)
        return area_of(None, _geometry(search.intersects or {}), WGS84)
    except (ConfigurationError, GeometryError, GridError) as error:
        raise RequestError(f"{'intersects' if bbox is None else 'bbox'}: {reason_of(error)}") from None


def _geometry(document: Mapping[str, Any]) -> BaseGeometry:
    kind, coordinates = document.get("type"), document.get("coordinates")
    if not isinstance(kind, str) or kind not in _DIMENSIONS:
        raise RequestError(f"intersects is of type {excerpt(kind)}: give one of {', '.join(_DIMENSIONS)}.")
    _check_coordinates(coordinates, _DIMENSIONS[kind])
    try:
        geometry = shapely.force_2d(shapely.geometry.shape({"type": kind, "coordinates": coordinates}))
        return repaired(geometry) if kind in ("Polygon", "MultiPolygon") else geometry
    except (GeometryError, ValueError, TypeError, IndexError, shapely.errors.ShapelyError) as error:
        raise RequestError(f"intersects is no {kind} ({reason_of(error)}): give one as RFC 7946 has it.") from None


def _check_coordinates(coordinates: Any, dimensions: int) -> None:
    """Lists of lists of positions, as many as a geometry may have, and numbers in them."""
    level = [coordinates]
    for _ in range(dimensions):
        if not all(isinstance(each, list) and each for each in level):
            raise RequestError("intersects has coordinates that are no lists: give them as RFC 7946 has them.")
        level = [child for each in level for child in each]
        if len(level) > FOOTPRINT_CORNERS.value:
            raise RequestError(f"intersects: {FOOTPRINT_CORNERS.excess(len(level))}. Give fewer corners.")
    for position in level:
        if not isinstance(position, list) or not 2 <= len(position) <= 4:
            raise RequestError(f"intersects: {excerpt(position)} is no position of two numbers.")
        if not all(type(value) in (int, float) and abs(value) < 1e9 for value in position):
            raise RequestError(f"intersects: {excerpt(json.dumps(position[:2]))} is at no place on Earth.")

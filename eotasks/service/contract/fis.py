"""Requests of FIS, the older service of zonal statistics, as requests of the Statistical API.

It is gone from the client sentinelhub; who asks it still, writes parameters: `LAYER`, `TIME`, `GEOMETRY` (WKT) or
`BBOX`, `CRS`, `RESOLUTION`, `BINS`, `TYPE`, `MAXCC`, `EVALSCRIPT`. Their names are taken in any case.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import shapely
from pydantic import ValidationError
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from eotasks.documents import first_problem
from eotasks.geometry.degrees import in_degrees
from eotasks.imagery.grid import parse_crs
from eotasks.service.contract.ground import cells_of, crs_of
from eotasks.service.contract.layers import LAYERS, layer_of
from eotasks.service.contract.request import time_of
from eotasks.service.contract.statistics import MOST_BINS, StatisticsRequest
from eotasks.service.errors import RequestError
from eotasks.text import excerpt, shortened, unknown_words

HistogramType = Literal["EQUIDISTANT", "EQUALFREQUENCY"]

_KNOWN = frozenset(
    {"layer", "time", "geometry", "bbox", "crs", "resolution", "bins", "type", "maxcc", "evalscript", "priority",
     "upsampling", "downsampling"}
)  # fmt: skip
_WITHOUT_EFFECT = frozenset(
    {"service", "request", "version", "warnings", "style", "styles", "showlogo", "transparent", "format", "quality",
     "preview", "bgcolor", "atmfilter"}
)  # fmt: skip
"""Of pictures, which are not drawn here."""

_RESOLUTION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(m?)", re.ASCII)
_CHARACTERS = 1_000_000
_NAME = 100
"""Characters of the name of a parameter that are told."""
_LEAST_SCRIPT = 8
_ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True)
class FisRequest:
    """A request of FIS."""

    statistics: StatisticsRequest
    """What it asks for: each day of its time."""

    bins: int | None
    kind: HistogramType


def fis_request(given: Mapping[str, Any]) -> FisRequest:
    """A request from its parameters.

    :param given: Texts and numbers by name.
    :raises RequestError: for a parameter that is not known, missing, or says nothing usable.
    """
    parameters = _texts(given)
    layer = layer_of(_needed(parameters, "layer"))
    script = _script(parameters["evalscript"]) if "evalscript" in parameters else layer.script
    if script is None:
        raise RequestError(
            f"LAYER {layer.name} has no script of its own: give EVALSCRIPT, or one of {', '.join(LAYERS)}."
        )
    bounds, place, is_degrees = _ground(parameters)
    document = {
        "input": {"bounds": bounds, "data": [_data(parameters, layer.collection)]},
        "aggregation": {
            "evalscript": script,
            "timeRange": _days(_needed(parameters, "time")),
            "aggregationInterval": {"of": "P1D", "lastIntervalBehavior": "EXTEND"},
            **_grid(parameters.get("resolution", "10m"), place, is_degrees=is_degrees),
        },
    }
    try:
        asked = StatisticsRequest.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{first_problem(error, 'request')}.") from None
    return FisRequest(asked, *_histogram(parameters))


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in given.items():
        if value is None or name.lower() in _WITHOUT_EFFECT:
            continue
        if name.lower() not in _KNOWN:
            unknown = unknown_words([shortened(name.lower(), _NAME)], _KNOWN)
            raise RequestError(f"Unknown {unknown}; known are {', '.join(sorted(_KNOWN)).upper()}.")
        if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > _CHARACTERS:
            raise RequestError(f"{name.upper()} is no text of up to {_CHARACTERS:,} characters.")
        parameters[name.lower()] = str(value)
    return parameters


def _needed(parameters: Mapping[str, str], name: str) -> str:
    if not parameters.get(name, "").strip():
        raise RequestError(f"{name.upper()} is missing.")
    return parameters[name].strip()


def _script(text: str) -> str:
    """A script that is written as it is, or in base64, with the signs of either alphabet."""
    packed = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    try:
        script = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text
    return script if len(script) >= _LEAST_SCRIPT and any(sign in script for sign in "([=;") else text


def _data(parameters: Mapping[str, str], collection: str) -> dict[str, Any]:
    data_filter: dict[str, Any] = {}
    if "maxcc" in parameters:
        data_filter["maxCloudCoverage"] = _number("MAXCC", parameters["maxcc"])
    if "priority" in parameters:
        data_filter["mosaickingOrder"] = parameters["priority"]
    processing = {name: parameters[name] for name in ("upsampling", "downsampling") if name in parameters}
    return {"type": collection, "dataFilter": data_filter, "processing": processing}


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(f"{name} is {excerpt(text)}, which is no number.")
    return number


def _days(text: str) -> dict[str, str]:
    """All days that a time meets, as an answer has one entry a day."""
    parts = text.split("/")
    if len(parts) > 2:
        raise RequestError(f"TIME is {excerpt(text)}: give a day, or two with / between them.")
    first, last = time_of(parts[0], "TIME"), time_of(parts[-1], "TIME", last=True)
    if last < first:
        raise RequestError(f"TIME is {excerpt(text)}, which ends before it starts: exchange the two.")
    midnight = dt.datetime.combine(first.date(), dt.time())
    return {"from": f"{midnight.isoformat()}Z", "to": f"{last.date().isoformat()}T23:59:59Z"}


def _ground(parameters: Mapping[str, str]) -> tuple[dict[str, Any], BaseGeometry, bool]:
    """`bounds` of a request, the same as a geometry, and whether it is in degrees.

    Systems in degrees, such as EPSG:4326, have the latitude first here, as in WCS 1.1.1; CRS:84 has not.
    """
    text = parameters.get("crs", "EPSG:3857").strip()
    is_longitude_first = text.upper() in ("CRS:84", "OGC:CRS84")
    crs = crs_of("OGC:CRS84" if is_longitude_first else text)
    is_degrees = in_degrees(parse_crs(crs))
    if ("geometry" in parameters) == ("bbox" in parameters):
        raise RequestError("Give one of GEOMETRY (WKT) and BBOX.")
    place = _wkt(parameters["geometry"]) if "geometry" in parameters else _box(parameters["bbox"])
    if is_degrees and not is_longitude_first:
        place = shapely.transform(place, lambda points: points[:, ::-1])
    bounds: dict[str, Any] = {"properties": {"crs": crs}}
    if "geometry" in parameters:
        bounds["geometry"] = _geojson(place)
    else:
        bounds["bbox"] = list(place.bounds)
    return bounds, place, is_degrees


def _wkt(text: str) -> BaseGeometry:
    if re.match(r"\s*(?:MULTI)?POLYGON\s*\(", text, re.IGNORECASE) is None:
        raise RequestError(f"GEOMETRY is {excerpt(text)}: give POLYGON or MULTIPOLYGON in WKT.")
    try:
        place = shapely.force_2d(shapely.from_wkt(text))
    except (shapely.errors.ShapelyError, ValueError, TypeError) as error:
        raise RequestError(f"GEOMETRY is no WKT ({str(error)[:200]}).") from None
    if place.is_empty:
        raise RequestError("GEOMETRY is empty: give a polygon that has an area.")
    return place


def _box(text: str) -> BaseGeometry:
    numbers = [_number("BBOX", part) for part in text.split(",", 4)]
    if len(numbers) != 4:
        raise RequestError(f"BBOX is {excerpt(text)}: give four numbers.")
    left, bottom, right, top = numbers
    if left >= right or bottom >= top:
        raise RequestError(f"BBOX is {excerpt(text)}, which is empty: give the lesser corner first.")
    return shapely.box(left, bottom, right, top)


def _geojson(place: BaseGeometry) -> dict[str, Any]:
    rings = [
        [shapely.get_coordinates(ring).tolist() for ring in (part.exterior, *part.interiors)]
        for part in shapely.get_parts(place).tolist()
    ]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _grid(text: str, place: BaseGeometry, *, is_degrees: bool) -> dict[str, Any]:
    """Rows and columns of a place in degrees, where a resolution is in metres; else the resolution."""
    found = _RESOLUTION.fullmatch(text.strip())
    size = 0.0 if found is None else float(found[1])
    if found is None or not size:
        raise RequestError(f"RESOLUTION is {excerpt(text)}: give the size of a pixel, such as 10m.")
    if not is_degrees or not found[2]:
        return {"resx": size, "resy": size}
    west, south, east, north = place.bounds
    if not (-360 <= west < east <= 360 and -90 <= south < north <= 90):
        raise RequestError("The area is at no place on Earth: in EPSG codes of degrees the latitude comes first here.")
    across = _ELLIPSOID.line_length([west, east], [(south + north) / 2] * 2)
    down = _ELLIPSOID.line_length([west, west], [south, north])
    return {
        "width": cells_of(across, size, "RESOLUTION", "metres"),
        "height": cells_of(down, size, "RESOLUTION", "metres"),
    }


def _histogram(parameters: Mapping[str, str]) -> tuple[int | None, HistogramType]:
    kind = parameters.get("type", "EQUIDISTANT").strip().upper()
    if kind not in ("EQUIDISTANT", "EQUALFREQUENCY"):
        raise RequestError(f"TYPE is {excerpt(kind)}: histograms here are EQUIDISTANT or EQUALFREQUENCY.")
    if "bins" not in parameters:
        return None, kind  # type: ignore[return-value]  # one of the two
    text = parameters["bins"].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_BINS):
        raise RequestError(f"BINS is {excerpt(text)}: give a number from 1 to {MOST_BINS:,}.")
    return int(text), kind  # type: ignore[return-value]  # one of the two

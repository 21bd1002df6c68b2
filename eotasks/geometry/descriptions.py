"""Coordinate systems as others describe them: WKT, PROJJSON and strings of PROJ, looked at before PROJ gets them.

PROJ opens what a description names: grids of transformations and of geoids, lists of initial values, and files of
methods that are programs of its own (``PROJ pipeline ...``, ``PROJ-based operation method: ...``). A name is enough, in
a text that looks like a remark. Here all that a system of fields and rasters needs is let through by lists, and the
rest is refused.

The forms are those of ISO 19162 (WKT, of 2015 and 2019), of the OGC's older WKT, and of PROJ's schema (PROJJSON 0.7).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from eotasks.errors import reason_of
from eotasks.geometry.wkt import Node, parse_wkt
from eotasks.text import excerpt

if TYPE_CHECKING:
    import pyproj

LONGEST = 1 << 16
"""Characters of a description: those of the EPSG's systems have up to 11,000."""

_LEVELS = 16
"""Of nesting, as PROJ has them for WKT."""

_CURE = "reproject it to EPSG:4326, or to a system with a code, and write it again"

_CODE = re.compile(r"[A-Za-z]{2,10}:\w{1,20}", re.ASCII)
_NAMES = re.compile(
    r"(?:(?:WGS ?84|WGS72|NAD27|NAD83|CRS84|CRS83|CRS27)"
    r"|urn:(?:x-)?ogc:def:crs:[\w:.,-]{1,80}"
    r"|https?://www\.opengis\.net/(?:def/crs|gml/srs)/[\w/.#-]{1,80})",
    re.ASCII | re.IGNORECASE,
)

_ROTATED_POLE = re.compile(r"PROJ ob_tran o_proj=(?:longlat|lonlat|latlong|latlon)")
"""How PROJ calls a rotated pole, the only one of its own methods that is let through: all its parameters are angles."""
_ANGLES = frozenset({
    "o_lon_p", "o_lat_p", "o_alpha", "o_lon_c", "o_lat_c", "o_lon_1", "o_lat_1", "o_lon_2", "o_lat_2", "lon_0", "lat_0",
})  # fmt: skip
_REMARK = re.compile("proj crs string:", re.IGNORECASE)
"""After which PROJ takes a string of its own, anywhere in a remark."""
_OWN = re.compile(r"\s*PROJ[\s-]", re.IGNORECASE)
"""How names begin that PROJ takes for methods of its own (``PROJ ...``, ``PROJ-based operation method: ...``), and for
files of geoids."""

_PARAMETERS = frozenset({
    "a", "alpha", "axis", "azi", "b", "datum", "ellps", "f", "gamma", "h", "h_0", "hyperbolic", "k", "k_0", "lat_0",
    "lat_1", "lat_2", "lat_3", "lat_b", "lat_ts", "lon_0", "lon_1", "lon_2", "lon_3", "lon_wrap", "lonc", "m", "n",
    "no_defs", "no_off", "no_rot", "no_uoff", "over", "pm", "proj", "R", "R_A", "R_C", "R_V", "r_a", "r_v", "rf",
    "south", "sweep", "tilt", "to_meter", "towgs84", "type", "units", "vto_meter", "vunits", "wktext", "x_0", "y_0",
    "zone", "o_proj", *_ANGLES,
})  # fmt: skip
_VALUE = re.compile(r"[\w.,+-]{0,200}", re.ASCII)
_NO_FILE = "@null"
"""In the place of a file of a grid: none, as Mercator on a sphere has it."""
_HARMLESS = re.compile(r"\+?(?:nadgrids=@null|init=epsg:\d{1,6})", re.ASCII | re.IGNORECASE)

_SYSTEMS = frozenset({
    "GeographicCRS", "GeodeticCRS", "ProjectedCRS", "VerticalCRS", "CompoundCRS", "EngineeringCRS",
    "DerivedGeographicCRS", "DerivedGeodeticCRS", "DerivedProjectedCRS", "DerivedVerticalCRS",
})  # fmt: skip
_PARTS = _SYSTEMS | {
    "AngularUnit", "Axis", "Conversion", "CoordinateSystem", "DatumEnsemble", "DynamicGeodeticReferenceFrame",
    "DynamicVerticalReferenceFrame", "Ellipsoid", "EngineeringDatum", "GeodeticReferenceFrame", "LinearUnit",
    "Meridian", "OperationMethod", "ParameterValue", "PrimeMeridian", "ScaleUnit", "Unit", "VerticalReferenceFrame",
}  # fmt: skip
_OF_OPERATIONS = ("source_crs", "target_crs", "transformation", "steps")

_WORDS = frozenset({  # of WKT
    "ABRIDGEDTRANSFORMATION", "ANCHOR", "ANCHOREPOCH", "ANGLEUNIT", "AREA", "AUTHORITY", "AXIS", "AXISMAXVALUE",
    "AXISMINVALUE", "BASEGEODCRS", "BASEGEOGCRS", "BASEPROJCRS", "BASEVERTCRS", "BBOX", "BOUNDCRS", "CITATION",
    "COMPD_CS", "COMPOUNDCRS", "CONVERSION", "CS", "DATUM", "DERIVEDPROJCRS", "DERIVINGCONVERSION", "DYNAMIC",
    "EDATUM", "ELLIPSOID", "ENGCRS", "ENGINEERINGCRS", "ENGINEERINGDATUM", "ENSEMBLE", "ENSEMBLEACCURACY",
    "EXTENSION", "FRAMEEPOCH", "GEOCCS", "GEODCRS", "GEODETICCRS", "GEODETICDATUM", "GEOGCRS", "GEOGCS",
    "GEOGRAPHICCRS", "GEOIDMODEL", "ID", "LENGTHUNIT", "LINUNIT", "LOCAL_CS", "LOCAL_DATUM", "MEMBER", "MERIDIAN",
    "METHOD", "MODEL", "OPERATIONACCURACY", "ORDER", "PARAMETER", "PRIMEM", "PRIMEMERIDIAN", "PROJCRS", "PROJCS",
    "PROJECTEDCRS", "PROJECTION", "RANGEMEANING", "REMARK", "SCALEUNIT", "SCOPE", "SOURCECRS", "SPHEROID",
    "TARGETCRS", "TIMEEXTENT", "TIMEUNIT", "TOWGS84", "TRF", "UNIT", "URI", "USAGE", "VDATUM", "VERSION", "VERTCRS",
    "VERTCS", "VERTICALCRS", "VERTICALDATUM", "VERTICALEXTENT", "VERT_CS", "VERT_DATUM", "VRF",
})  # fmt: skip


def system_of(given: object) -> pyproj.CRS:
    """The coordinate system that a file of others describes.

    A transformation to WGS 84 around the whole (BoundCRS of PROJJSON) is left out.

    :param given: A code or a name of the OGC, WKT, or PROJJSON as text or as the object that it is.
    :raises ValueError: when it is none, or names what PROJ would open; with the reason, for the end of a message.
    """
    import pyproj  # here: who only looks at a text does not need it

    try:
        if isinstance(given, str):
            check_description(given)
            return _system(given)
        return _system(json.dumps(dict(_checked_json(given))))
    except (pyproj.exceptions.CRSError, TypeError) as error:
        raise ValueError(f"its coordinate system is none: {reason_of(error)}") from error


@lru_cache(maxsize=64)
def _system(text: str) -> pyproj.CRS:
    """Of a text that has been looked at: PROJ takes some 10 ms for one, and files of a place have the same."""
    import pyproj

    if _is_json(text):
        return pyproj.CRS.from_json_dict(dict(_checked_json(json.loads(text))))
    return pyproj.CRS.from_user_input(text)


@lru_cache(maxsize=256)
def check_description(text: str) -> None:
    """Refuse a text that PROJ, GDAL or pyproj would open other files for.

    :param text: A code or a name of the OGC, WKT, PROJJSON, or a string of PROJ.
    :raises ValueError: when it is of no such form, or names what PROJ would open; with the reason.
    """
    if len(text) > LONGEST:
        raise ValueError(f"its coordinate system has {len(text):,} characters, more than {LONGEST:,}")
    bare = text.strip()
    if _CODE.fullmatch(bare) or _NAMES.fullmatch(bare):
        return
    if _is_json(bare):
        try:
            content = json.loads(bare, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its coordinate system is no PROJJSON ({reason_of(error)})") from error
        _checked_json(content)
    elif "[" in bare or "(" in bare:
        _check_nodes(parse_wkt(bare, levels=_LEVELS))
    elif "=" in bare:
        _check_proj_string(bare)
    else:
        raise ValueError(f"its coordinate system is {excerpt(text)}: {_CURE}")


def check_texts(content: Mapping[Any, Any]) -> None:
    """Refuse names of files in the attributes by which CF describes a system.

    :raises ValueError: when there are; with the reason.
    """
    for value in content.values():
        if isinstance(value, str):
            _check_name(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _checked_json(given: object) -> Mapping[str, Any]:
    """PROJJSON, or the inner one of a bound system.

    :raises ValueError: when it is none, or names what PROJ would open.
    """
    if not isinstance(given, dict) or "type" not in given or given.keys() & {"proj", "init"}:
        raise ValueError(f"its coordinate system is {excerpt(given)}: {_CURE}")
    given = given.get("source_crs") if given["type"] == "BoundCRS" else given
    if not isinstance(given, dict) or not _is_of(given.get("type"), _SYSTEMS):
        kind = given.get("type") if isinstance(given, dict) else given
        raise ValueError(f"its coordinate system is {excerpt(kind)}, which is none of fields: {_CURE}")
    _check_parts(given)
    return given


def _check_parts(whole: Mapping[str, Any]) -> None:
    """All of PROJJSON, level by level, as calls for each would end where Python's own do."""
    size, level, methods, names = 0, [whole], [], []
    for _ in range(_LEVELS):
        below: list[Any] = []
        for part in level:
            values = [*part, *part.values()] if isinstance(part, dict) else part
            size += sum(1 + len(each) if isinstance(each, str) else 1 for each in values)
            if size > LONGEST:
                raise ValueError(f"its coordinate system has more than {LONGEST:,} characters and values")
            if isinstance(part, dict):
                _check_part(part)
                methods += [part["method"].get("name")] if isinstance(part.get("method"), dict) else []
                names += _names_of(part.get("parameters"))
            below += [each for each in values if isinstance(each, dict | list)]
        if not below:
            return _check_rotation(methods, names)
        level = below
    raise ValueError(f"its coordinate system nests more than {_LEVELS} levels")


def _check_part(part: Mapping[str, Any]) -> None:
    if "type" in part and not _is_of(part["type"], _PARTS):
        raise ValueError(f"its coordinate system holds a {excerpt(part['type'])}, which may name files: {_CURE}")
    for key in _OF_OPERATIONS:
        if key in part:
            raise ValueError(f"its coordinate system holds an operation ({key}), which may name files: {_CURE}")
    if isinstance(part.get("value"), str | list | dict):
        raise ValueError(
            f"its coordinate system has the parameter {excerpt(part['value'])}, which may name a file: {_CURE}"
        )
    for key, value in part.items():
        if isinstance(value, str):
            _check_name(value, is_method=key == "name")
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, str):
                    _check_name(each)


def _is_of(kind: object, known: frozenset[str]) -> bool:
    return isinstance(kind, str) and kind in known


def _names_of(parameters: object) -> list[object]:
    listed = parameters if isinstance(parameters, list) else []
    return [each.get("name") for each in listed if isinstance(each, dict)]


def _check_nodes(roots: list[Node]) -> None:
    """WKT; a transformation to WGS 84 by numbers may be around the whole, and nowhere else."""
    nodes, methods, names = [*roots], [], []
    while nodes:
        node = nodes.pop()
        if node.word == "PARAMETERFILE" and node.texts[1:] == [_NO_FILE]:
            continue
        if node.word not in _WORDS or (node.word == "BOUNDCRS" and node is not roots[0]):
            raise ValueError(f"its coordinate system holds {excerpt(node.word)}, which may name files: {_CURE}")
        is_method = node.word in ("METHOD", "PROJECTION")
        if node.word == "EXTENSION":
            _check_extension(node.texts)
        else:
            for text in node.texts:
                _check_name(text, is_method=is_method)
        if is_method:
            methods += node.texts[:1]
        elif node.word == "PARAMETER":
            names += node.texts[:1]
        nodes += node.children
    _check_rotation(methods, names)


def _check_extension(texts: list[str]) -> None:
    """PROJ reads those of two names: its own string, and a list of grids."""
    name, *rest = [text.strip() for text in texts] or [""]
    if name.upper() == "PROJ4":
        for text in rest:
            _check_proj_string(text)
    elif name.upper().startswith("PROJ") and rest != [_NO_FILE]:
        raise ValueError(f"its coordinate system names grids ({excerpt(name)} {excerpt(' '.join(rest))}): {_CURE}")
    else:
        for text in rest:
            _check_name(text)


def _check_name(text: str, *, is_method: bool = False) -> None:
    if is_method and _ROTATED_POLE.fullmatch(text):
        return
    first, *remarks = _REMARK.split(text)
    for remark in remarks:
        _check_proj_string(remark.partition(". ")[0])  # up to where PROJ ends it
    if _OWN.match(text if not remarks else first):
        raise ValueError(f"its coordinate system names a file or a program of PROJ ({excerpt(text)}): {_CURE}")


def _check_rotation(methods: list[Any], names: list[Any]) -> None:
    """PROJ puts names of parameters into a string of its own, where one could stand for several."""
    if any(isinstance(each, str) and _ROTATED_POLE.fullmatch(each) for each in methods):
        for name in names:
            if name not in _ANGLES:
                raise ValueError(f"its coordinate system has the parameter {excerpt(name)} of a rotated pole: {_CURE}")


def _check_proj_string(text: str) -> None:
    for part in text.split():
        name, _, value = part.removeprefix("+").partition("=")
        known = name in _PARAMETERS and _VALUE.fullmatch(value) and value.casefold() not in ("pipeline", "utm_grid")
        if not known and not _HARMLESS.fullmatch(part):
            raise ValueError(f"its coordinate system has {excerpt(part)}, which may name a file: {_CURE}")

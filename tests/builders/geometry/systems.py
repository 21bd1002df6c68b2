"""Coordinate systems that name files, which PROJ would open, and honest ones."""

from __future__ import annotations

import copy
from typing import Any

from pyproj import CRS

from eotasks.geometry.descriptions import LONGEST

FILE = "/named/by/a/stranger"
DEGREES = CRS(4326).to_json_dict()
UTM = {key: value for key, value in CRS(32633).to_json_dict().items() if key != "id"}
EGM96 = CRS(5773).to_json_dict()
ROTATED = CRS("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229").to_json_dict()
GEOGCS = (
    'GEOGCS["a",DATUM["b",SPHEROID["c",6378137,298.25]{}],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]{}]'
)
ROTATED_WKT = CRS.from_json_dict(ROTATED).to_wkt()


def changed(system: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(system), **changes}


def converted(method: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return changed(UTM, conversion={"name": "a", "method": {"name": method}, "parameters": list(parameters)})


def bound(source: dict[str, Any]) -> dict[str, Any]:
    file = {"name": "Latitude and longitude difference file", "value": FILE, "id": {"authority": "EPSG", "code": 8656}}
    shift = {"name": "a", "method": {"name": "NTv2"}, "parameters": [file]}
    return {"type": "BoundCRS", "source_crs": source, "target_crs": DEGREES, "transformation": shift}


def compound(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "CompoundCRS", "name": "a", "components": list(parts)}


def operation(kind: str) -> dict[str, Any]:
    return {"type": kind, "name": "a", "source_crs": DEGREES, "target_crs": UTM, **bound(UTM)["transformation"]} | {
        "type": kind
    }


def nested(levels: int) -> dict[str, Any]:
    return changed(UTM, area={"a": nested(levels - 1)} if levels else "x")


ROTATION = {"name": f"o_lon_p=0 +nadgrids={FILE} +a", "value": 1, "unit": "degree"}
PROJJSON: dict[str, tuple[Any, str]] = {
    "bound in a bound one": (bound(bound(UTM)), "BoundCRS"),
    "bound in a compound one": (compound(bound(UTM), EGM96), "BoundCRS"),
    "geoid": (compound(DEGREES, changed(EGM96, geoid_model={"name": f"PROJ {FILE}"})), f"PROJ {FILE}"),
    "method": (converted(f"PROJ hgridshift grids={FILE}"), "PROJ hgridshift"),
    "method of a program": (converted(f"PROJ pipeline step proj=hgridshift grids={FILE}"), "PROJ pipeline"),
    "method by its long name": (
        converted(f"PROJ-based operation method: +proj=gridshift +grids={FILE}"),
        "PROJ-based operation",
    ),
    "method with initial values": (converted(f"PROJ init={FILE}"), "PROJ init"),
    "rotated pole with a file": (converted(f"PROJ ob_tran o_proj=longlat nadgrids={FILE}"), "PROJ ob_tran"),
    "parameter's name": (converted("PROJ ob_tran o_proj=longlat", ROTATION), "o_lon_p=0"),
    "parameter named as a grid": (
        converted("PROJ ob_tran o_proj=longlat", {"name": "nadgrids", "value": 1, "unit": "degree"}),
        "nadgrids",
    ),
    "parameter's value": (converted("NTv2", {"name": "file", "value": FILE}), FILE),
    "remark": (changed(UTM, remarks=f"PROJ CRS string: +proj=longlat +nadgrids={FILE}"), "nadgrids"),
    "remark, later": (changed(UTM, remarks=f"Good. PROJ CRS string: +init={FILE}:1"), "init"),
    "second remark": (
        changed(UTM, remarks=f"PROJ CRS string: +proj=utm. PROJ CRS string: +geoidgrids={FILE}"),
        "geoidgrids",
    ),
    "transformation": (operation("Transformation"), "Transformation"),
    "concatenated": (operation("ConcatenatedOperation"), "ConcatenatedOperation"),
    "movement": (operation("PointMotionOperation"), "PointMotionOperation"),
    "conversion": (changed(UTM["conversion"], type="Conversion"), "Conversion"),
    "with a transformation": (changed(UTM, transformation=bound(UTM)["transformation"]), "transformation"),
    "no type that is known": (changed(UTM, datum={"type": "CoordinateMetadata"}), "CoordinateMetadata"),
    "type that is no text": (changed(UTM, type=["ProjectedCRS"]), "ProjectedCRS"),
    "deep": (nested(20), "nests more than"),
    "long": (changed(UTM, remarks="a" * LONGEST), "more than 65,536"),
    "string of PROJ": ({"type": "ProjectedCRS", "proj": "pipeline", "grids": FILE}, "proj"),
    "initial values": ({"type": "ProjectedCRS", "init": f"{FILE}:1"}, "init"),
}

WKT: dict[str, tuple[str, str]] = {
    "bound": (CRS.from_json_dict(bound(UTM)).to_wkt(), "PARAMETERFILE"),
    "grids of a datum": (GEOGCS.format(f',EXTENSION["PROJ4_GRIDS","{FILE}"]', ""), "PROJ4_GRIDS"),
    "grids without quotes": (GEOGCS.format(f",EXTENSION[PROJ4_GRIDS,{FILE[1:5]}]", ""), "PROJ4_GRIDS"),
    "string of PROJ": (GEOGCS.format("", f',EXTENSION["PROJ4","+proj=longlat +nadgrids={FILE}"]'), "nadgrids"),
    "program of PROJ": (GEOGCS.format("", ',EXTENSION["PROJ4","+proj=pipeline +step"]'), "pipeline"),
    "initial values": (GEOGCS.format("", f',extension("proj4","+init={FILE}:1")'), "init"),
    "method": (CRS.from_json_dict(converted(f"PROJ hgridshift grids={FILE}")).to_wkt(), "PROJ hgridshift"),
    "method by its long name": (
        CRS(32633).to_wkt().replace("Transverse Mercator", "PROJ-based operation method: +proj=gridshift +grids=a"),
        "PROJ-based operation",
    ),
    "parameter's name": (ROTATED_WKT.replace("o_lon_p", f"o_lon_p=0 +nadgrids={FILE} +a"), "o_lon_p=0"),
    "geoid": (CRS.from_json_dict(PROJJSON["geoid"][0]).to_wkt(), f"PROJ {FILE}"),
    "remark": (CRS(32633).to_wkt()[:-1] + f',REMARK["PROJ CRS string: +proj=utm +geoidgrids={FILE}"]]', "geoidgrids"),
    "printed quotes": (GEOGCS.format("", ",REMARK[\u201cPROJ CRS string: +init=a:1\u201d]"), "no WKT"),
    "bound in another": (f"COMPOUNDCRS[{CRS.from_json_dict(bound(UTM)).to_wkt()}]", "BOUNDCRS"),
    "operation": (f'COORDINATEOPERATION["a",PARAMETERFILE["b","{FILE}"]]', "COORDINATEOPERATION"),
    "behind its end": (GEOGCS.format("", "") + f" {FILE}", "no WKT"),
    "second": (GEOGCS.format("", "") + f',VERTCS["a",GEOIDMODEL["PROJ {FILE}"]]', "PROJ "),
    "deep": ("GEOGCS[" * 20 + "]" * 20, "no WKT"),
    "long": (GEOGCS.format("", "," * LONGEST), "more than 65,536"),
}

TEXTS: dict[str, str] = {
    "path": FILE,
    "address": f"file://{FILE}",
    "address of the web": "http://127.0.0.1:9/a",
    "ESRI's": f"ESRI::{FILE}",
    "initial values": f"+init={FILE}:1",
    "initial values, bare": f"init={FILE}:1",
    "grid": f"+proj=longlat +nadgrids={FILE}",
    "grids": f"+proj=longlat +nadgrids=@null,{FILE}",
    "program": f"+proj=pipeline +step +proj=hgridshift +grids={FILE}",
    "catalogue": "+proj=longlat +catalog=a",
    "value that is a path": f"+proj=longlat +datum={FILE}",
    "PROJJSON with a name twice": '{"type": "GeographicCRS", "type": "Transformation"}',
    "no PROJJSON": '{"type": ',
}

HONEST = {
    "EPSG:4326": CRS(4326),
    "OGC:CRS84": CRS("OGC:CRS84"),
    "UTM": CRS(32633),
    "LAEA Europe": CRS(3035),
    "MGI Slovenia": CRS(3912),
    "Lambert": CRS(2154),
    "WebMercator": CRS(3857),
    "ETRS89 with heights": CRS("EPSG:25832+5783"),
    "three dimensions": CRS(4979),
    "EGM96": CRS.from_json_dict(compound(DEGREES, changed(EGM96, geoid_model={"name": "EGM96"}))),
    "rotated pole": CRS.from_json_dict(ROTATED),
}


class Reached(BaseException):
    """Nobody may catch it."""


def reached(*_: Any, **__: Any) -> None:
    raise Reached

"""Coordinate systems of others: PROJ opens what they name, so it never sees one that names a file.

Nothing here proves it by what PROJ does: whoever gets a text that should have been refused ends the test.
"""

from __future__ import annotations

import copy
import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
import xarray
from eolearn.core import FeatureType
from fs.osfs import OSFS
from pyarrow import parquet
from pyproj import CRS
from rioxarray.rioxarray import XRasterBase

from eotasks.area import read_area
from eotasks.eopatches.formats import stored
from eotasks.errors import AreaError, EOTasksError, GridError, ImageryError
from eotasks.geometry import stored_systems
from eotasks.geometry.descriptions import LONGEST, check_description, system_of
from eotasks.geometry.stored_systems import check_sidecars
from eotasks.geometry.systems import is_wgs84
from eotasks.geometry.vector_head import check_head, check_info
from eotasks.imagery.files.gdal import open_raster
from eotasks.limits import MEGABYTE
from eotasks.xarray.grid import ground_of
from eotasks.zonal.polygons import read_polygons

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


@pytest.fixture
def no_proj(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROJ and GDAL get nothing."""
    for name in [each for each in dir(CRS) if each.startswith("from_")]:
        monkeypatch.setattr(pyproj.CRS, name, reached)
    monkeypatch.setattr(pyproj.CRS, "__init__", reached)
    for name in ("read_info", "list_layers", "read_dataframe"):
        monkeypatch.setattr(pyogrio, name, reached)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(12, 52, 12.1, 52.1)], crs=4326)


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize(("given", "named"), PROJJSON.values(), ids=PROJJSON)
def test_projjson_that_names_files(given: Any, named: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system") as refusal:
        system_of(given)
    assert named in str(refusal.value)
    with pytest.raises(ValueError, match="its coordinate system"):
        system_of(json.dumps(given))


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize(("given", "named"), WKT.values(), ids=WKT)
def test_wkt_that_names_files(given: str, named: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system") as refusal:
        system_of(given)
    assert named in str(refusal.value)


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize("given", TEXTS.values(), ids=TEXTS)
def test_texts_that_name_files(given: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system"):
        system_of(given)


def test_grids_of_a_bound_system_are_left_out() -> None:
    assert system_of(bound(UTM)) == CRS.from_json_dict(UTM)


@pytest.mark.parametrize("system", HONEST.values(), ids=HONEST)
def test_honest_systems(system: CRS) -> None:
    for form in (system.to_json_dict(), system.to_json(), system.to_wkt()):
        assert system_of(form) == CRS.from_user_input(form)
    for version in ("WKT1_GDAL", "WKT1_ESRI"):
        try:
            older = system.to_wkt(version)
        except pyproj.exceptions.CRSError:  # as that of a rotated pole
            continue
        if older:
            check_description(older)


@pytest.mark.parametrize("given", ["EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84", "+proj=utm +zone=33 +datum=WGS84"])
def test_honest_texts(given: str) -> None:
    assert system_of(given) == CRS(given)


def test_mercator_on_a_sphere_has_a_grid_that_is_none() -> None:
    given = "+proj=merc +a=6378137 +b=6378137 +nadgrids=@null +wktext"
    for text in (rasterio.CRS.from_proj4(given).to_wkt(), CRS(given).to_wkt(), given):
        assert "@null" in text
        check_description(text)
        with pytest.raises(ValueError, match="its coordinate system"):
            check_description(text.replace("@null", f"@null,{FILE}"))


def test_names_in_the_web_of_the_ogc() -> None:
    check_description("http://www.opengis.net/def/crs/OGC/1.3/CRS84")
    assert is_wgs84(system_of("OGC:CRS84"))


def in_geoparquet(folder: Path, fields: gpd.GeoDataFrame, _: str) -> Path:
    path = folder / "fields.parquet"
    fields.to_parquet(path)
    table = parquet.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    geo["columns"]["geometry"]["crs"] = PROJJSON["geoid"][0]
    parquet.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path)
    return path


def in_geopackage(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    path = folder / "fields.gpkg"
    fields.to_file(path)
    with sqlite3.connect(path) as base:
        base.execute("UPDATE gpkg_spatial_ref_sys SET definition = ?, organization = 'a' WHERE srs_id = 4326", (text,))
    base.close()
    return path


def in_journal(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """Not in the file itself, but in what GDAL reads with it."""
    path = folder / "fields.gpkg"
    fields.to_file(path)
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("PRAGMA journal_mode = wal")
    base.execute("UPDATE gpkg_spatial_ref_sys SET definition = ? WHERE srs_id = 4326", (text,))
    journal = Path(f"{path}-wal").read_bytes()
    content = path.read_bytes()
    base.close()
    path.write_bytes(content)
    Path(f"{path}-wal").write_bytes(journal)
    return path


def in_shapefile(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    fields.to_file(folder / "fields.shp")
    (folder / "fields.prj").write_text(text)
    return folder / "fields.shp"


def in_folder(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    return in_shapefile(folder, fields, text).parent


def in_zip(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    inner = in_shapefile(folder, fields, text)
    with zipfile.ZipFile(folder / "fields.shz", "w") as packed:
        for each in inner.parent.glob("fields.*"):
            if each.suffix != ".shz":
                packed.write(each, each.name)
    return folder / "fields.shz"


def in_zipped_geopackage(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """GDAL takes a single file in a zip for what it is."""
    return zipped(in_geopackage(folder, fields, text))


def in_zipped_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    return zipped(in_geojson(folder, fields, text))


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as packed:
        packed.write(path, path.name)
    return path.with_suffix(".zip")


def in_spatialite(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """The layer's number is one to GDAL, which takes the first digits."""
    path = folder / "fields.sqlite"
    fields.to_file(path, driver="SQLite")
    with sqlite3.connect(path) as base:
        base.execute("INSERT INTO spatial_ref_sys (srid, auth_name, srtext) VALUES (7, 'a', ?)", (text,))
        base.execute("UPDATE geometry_columns SET srid = '7x'")
    base.close()
    return path


def in_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    path = folder / "fields.geojson"
    fields.to_file(path)
    content = json.loads(path.read_text()) | {"crs": {"type": "name", "properties": {"name": text}}}
    path.write_text(json.dumps(content))
    return path


def in_escaped_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    path = in_geojson(folder, fields, text)
    path.write_text(path.read_text().replace('"crs"', '"\\u0063r\\u0073"'))
    return path


def in_loud_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """GDAL does not tell small letters from capitals."""
    path = in_geojson(folder, fields, text)
    path.write_text(path.read_text().replace('"crs"', '"cRs"'))
    return path


def in_odd_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """As some readers take it: single quotes, and comments."""
    path = in_geojson(folder, fields, text)
    path.write_text(path.read_text().replace('"crs":', "'crs' /* coordinate system */ :"))
    return path


def in_long_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    """Where two pieces of it meet."""
    path = in_geojson(folder, fields, text)
    content = path.read_text()
    at = content.index('"crs"')
    path.write_text(content[:at] + " " * (MEGABYTE - at - 2) + content[at:])
    return path


def in_flatgeobuf(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
    path = folder / "fields.fgb"
    fields.to_file(path)
    path.write_bytes(path.read_bytes()[:100] + text.encode())
    return path


PLACES = [
    in_geoparquet, in_geopackage, in_journal, in_shapefile, in_folder, in_zip, in_geojson, in_escaped_geojson,
    in_loud_geojson, in_odd_geojson, in_long_geojson, in_flatgeobuf, in_zipped_geopackage, in_zipped_geojson,
    in_spatialite,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__.removeprefix("in_"))
def test_vector_files_that_name_files(
    place: Callable[[Path, gpd.GeoDataFrame, str], Path],
    tmp_path: Path,
    fields: gpd.GeoDataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = place(tmp_path, fields, WKT["string of PROJ"][0])
    for name in ("read_info", "list_layers", "read_dataframe"):
        monkeypatch.setattr(pyogrio, name, reached)
    monkeypatch.setattr(pyproj.CRS, "__init__", reached)
    with pytest.raises(AreaError, match="coordinate system"):
        read_polygons(path)
    with pytest.raises(AreaError, match="coordinate system"):
        read_area(file=path)


def test_honest_vector_files(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    mercator = fields.to_crs(3857)
    for ending in ("gpkg", "shp", "geojson", "fgb", "sqlite"):
        path = tmp_path / f"fields.{ending}"
        mercator.to_file(path, driver="SQLite" if ending == "sqlite" else None)
        assert len(read_polygons(path).ids) == 1
    for ending in ("gpkg", "geojson"):
        assert len(read_polygons(zipped(tmp_path / f"fields.{ending}")).ids) == 1
    wkt = tmp_path / "fields.prj"
    wkt.write_text(mercator.crs.to_wkt("WKT1_GDAL"))  # with a string of PROJ, and its grid "@null"
    assert len(read_polygons(wkt.with_suffix(".shp")).ids) == 1


@pytest.mark.parametrize(
    "crs",
    [
        '{"type": "link", "properties": {"href": "http:\\/\\/127.0.0.1:9/a", "type": "proj4"}}',
        '{"type": "url", "properties": {"url": "HTTPS://127.0.0.1:9/a"}}',
        '{"type": "link", "properties": {"URL": "http://127.0.0.1:9/a", "url": "a", "Url": {"url": "b"}}}',
        '{"properties": {"href": "http://127.0.0.1:9/a"}, "type": "link", "properties": {"name": "EPSG:4326"}}',
    ],
    ids=["link", "address", "in capitals", "twice"],
)
def test_systems_that_geojson_has_elsewhere(crs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL asks the address, wherever it leads."""
    path = tmp_path / "fields.geojson"
    path.write_text(f'{{"type": "FeatureCollection", "crs": {crs}, "features": []}}')
    monkeypatch.setattr(pyogrio, "list_layers", reached)
    with pytest.raises(AreaError, match=r"its coordinate system is '(?i:http)"):
        read_area(file=path)


def test_names_of_the_ogc_in_geojson(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    path = in_geojson(tmp_path, fields, "http://www.opengis.net/def/crs/OGC/1.3/CRS84")
    assert len(read_polygons(path).ids) == 1


def test_members_that_are_no_system(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    path = tmp_path / "fields.geojson"
    fields.assign(crs="of (1999) = old", other='"crs"').to_file(path)
    assert len(read_polygons(path).ids) == 1


@pytest.mark.parametrize(
    "made",
    [
        "create  VIRTUAL table a USING \"VirtualOGR\"('/etc/passwd')",
        "CREATE VIRTUAL TABLE a USING/**/VirtualOGR('/etc/passwd')",
        "CREATE VIRTUAL TABLE a /* using rtree */ USING VirtualOGR('/etc/passwd')",
        "CREATE /* a */ VIRTUAL TABLE a USING[VirtualOGR]('/etc/passwd')",
        "CREATE VIRTUAL TABLE \"using rtree\" USING[VirtualOGR]('/etc/passwd')",
    ],
    ids=["quoted", "comment", "module in a comment", "comment before", "module in a name"],
)
def test_tables_of_other_files_in_a_geopackage(made: str, tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "fields.gpkg")
    base.execute("CREATE TABLE a (b)")
    base.execute("PRAGMA writable_schema = on")
    name = "using rtree" if '"using rtree"' in made else "a"
    base.execute("UPDATE sqlite_master SET name = ?, tbl_name = ?, sql = ?", (name, name, made))
    base.commit()
    base.close()
    with pytest.raises(ValueError, match="may lead to other files"):
        check_head(tmp_path / "fields.gpkg")


def test_words_of_a_virtual_table_elsewhere(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    path = tmp_path / "fields.gpkg"
    fields.to_file(path)
    with sqlite3.connect(path) as base:
        base.execute("CREATE VIEW both AS SELECT fid AS virtual FROM fields JOIN fields AS others USING (fid) -- all")
    base.close()
    check_head(path)


def test_systems_that_change_in_a_geopackage(tmp_path: Path) -> None:
    """A view need not say the same to GDAL as here; nor is it hidden by another name in the list of tables."""
    path = tmp_path / "fields.gpkg"
    base = sqlite3.connect(path)
    base.execute("CREATE VIEW gpkg_spatial_ref_sys AS SELECT iif(random() > 0, 'undefined', 'x') AS definition")
    base.commit()
    with pytest.raises(ValueError, match="is no table"):
        check_head(path)
    base.execute("PRAGMA writable_schema = on")
    base.execute("UPDATE sqlite_master SET name = 'another'")
    base.commit()
    base.close()
    with pytest.raises(ValueError, match="cannot be read"):
        check_head(path)


def test_systems_without_end_in_a_geopackage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_systems, "_STEPS", 2000)
    base = sqlite3.connect(tmp_path / "fields.gpkg")
    base.execute("CREATE TABLE gpkg_spatial_ref_sys (definition)")
    base.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?)", [("undefined",)] * 1000)
    base.commit()
    base.close()
    with pytest.raises(ValueError, match="interrupted"):
        check_head(tmp_path / "fields.gpkg")


def test_a_sidecar_that_goes_on(tmp_path: Path) -> None:
    """More bytes than are looked at, of characters that have several."""
    name = "\u00e9" * 50
    text = GEOGCS.format("", "").replace('"a"', f'"{name}"')
    (tmp_path / "fields.prj").write_text(text + " " * LONGEST + f',VERTCS["a",GEOIDMODEL["PROJ {FILE}"]]')
    with pytest.raises(ValueError, match="more than 65,536"):
        check_sidecars(tmp_path)


def test_what_gdal_made_of_a_system() -> None:
    with pytest.raises(ValueError, match="PROJ4_GRIDS"):
        check_info({"crs": WKT["grids of a datum"][0]})
    check_info({"crs": None})


@pytest.mark.parametrize("is_packed", [False, True])
def test_vectors_of_an_eopatch(tmp_path: Path, fields: gpd.GeoDataFrame, is_packed: bool) -> None:
    path = in_geopackage(tmp_path, fields, WKT["program of PROJ"][0])
    if is_packed:
        path = path.with_suffix(".gpkg.gz")
        path.write_bytes(gzip.compress((tmp_path / "fields.gpkg").read_bytes()))
    with pytest.raises(ValueError, match="pipeline"):
        stored(FeatureType.VECTOR_TIMELESS, tmp_path, path.name, OSFS(str(tmp_path)))


def test_honest_vectors_of_an_eopatch(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    fields.to_file(tmp_path / "fields.gpkg")
    kept = stored(FeatureType.VECTOR_TIMELESS, tmp_path, "fields.gpkg", OSFS(str(tmp_path)))
    assert len(kept.load()) == 1


@pytest.mark.parametrize("name", ["spatial_ref", "crs_wkt", "geoid_name", "crs"])
def test_attributes_of_a_dataset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"PROJ {FILE}" if name == "geoid_name" else f"+proj=longlat +nadgrids={FILE}"
    dataset = xarray.Dataset({"a": (("y", "x"), np.zeros((2, 2)))}, attrs={"crs": text} if name == "crs" else {})
    if name != "crs":
        dataset = dataset.assign_coords(spatial_ref=xarray.DataArray(0, attrs={name: text}))
    monkeypatch.setattr(XRasterBase, "crs", property(reached))
    with pytest.raises(GridError, match="its coordinate system"):
        ground_of(dataset)


def test_another_text_of_a_dataset_than_that_of_its_system() -> None:
    corners = {"y": [15.0, 5.0], "x": [5.0, 15.0]}
    dataset = xarray.Dataset({"a": (("y", "x"), np.zeros((2, 2)))}, corners).rio.write_crs("EPSG:32633")
    assert ground_of(dataset.assign_attrs(crs="WGS 84 / UTM zone 33N")).bbox.crs.epsg == 32633


def test_rasters(tmp_path: Path) -> None:
    path = tmp_path / "labels.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="2" rasterYSize="2"><SRS>{in_xml(WKT["string of PROJ"][0])}</SRS>'
        "<GeoTransform>0,1,0,0,0,-1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(ImageryError, match="nadgrids") as refusal, open_raster(path, "The labels"):
        pytest.fail("it was opened")
    assert isinstance(refusal.value, EOTasksError)


SIDECARS = {
    "system": "<PAMDataset><SRS>{}</SRS></PAMDataset>",
    "system in small letters": "<PAMDataset><srs>{}</srs></PAMDataset>",
    "points": '<PAMDataset><GCPList Projection="{}"/></PAMDataset>',
    "ESRI's": '<PAMDataset><Metadata domain="xml:ESRI" format="xml"><GeodataXform><SpatialReference><WKT>{}</WKT>'
    "</SpatialReference></GeodataXform></Metadata></PAMDataset>",
    "no XML": "<PAMDataset><SRS>{}",
}


@pytest.mark.parametrize("form", SIDECARS.values(), ids=SIDECARS)
def test_files_beside_rasters(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "width": 2, "height": 2, "count": 1, "dtype": "uint8", "crs": 32633}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(1, 0, 0, 0, -1, 2)):
        pass
    sidecar = tmp_path / "labels.tif.aux.xml"
    if form.endswith("</PAMDataset>"):
        sidecar.write_text(form.format(in_xml(HONEST["WebMercator"].to_wkt("WKT1_GDAL"))))
        with open_raster(path, "The labels"):
            pass
    sidecar.write_text(form.format(in_xml(WKT["grids of a datum"][0])))
    monkeypatch.setattr(rasterio, "open", reached)
    with pytest.raises(ImageryError, match=r"aux\.xml"), open_raster(path, "The labels"):
        pass


def in_xml(text: str) -> str:
    return text.replace('"', "&quot;")

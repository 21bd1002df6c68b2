"""Coordinate systems in vector files of others: looked at before GDAL opens them, which hands them to PROJ.

As in `test_coordinate_systems`, whoever gets a file that should have been refused ends the test.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import geopandas as gpd
import pyogrio
import pyproj
import pytest
import shapely
from eolearn.core import FeatureType
from fs.osfs import OSFS
from pyarrow import parquet

from eotasks.area import read_area
from eotasks.eopatches.formats import stored
from eotasks.errors import AreaError
from eotasks.geometry import stored_systems
from eotasks.geometry.descriptions import LONGEST
from eotasks.geometry.stored_systems import check_sidecars
from eotasks.geometry.vector_head import check_head
from eotasks.limits import MEGABYTE
from eotasks.zonal.polygons import read_polygons
from tests.builders.geometry.systems import FILE, GEOGCS, PROJJSON, WKT, reached


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(12, 52, 12.1, 52.1)], crs=4326)


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


def in_respelt_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str, *, member: str) -> Path:
    path = in_geojson(folder, fields, text)
    path.write_text(path.read_text().replace('"crs":', member))
    return path


def in_long_geojson(folder: Path, fields: gpd.GeoDataFrame, text: str) -> Path:
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


PLACES: dict[str, Callable[[Path, gpd.GeoDataFrame, str], Path]] = {
    "geoparquet": in_geoparquet,
    "geopackage": in_geopackage,
    "journal": in_journal,
    "shapefile": in_shapefile,
    "folder": in_folder,
    "zip": in_zip,
    "geojson": in_geojson,
    "geojson with escapes": partial(in_respelt_geojson, member='"\\u0063r\\u0073":'),
    "geojson in capitals": partial(in_respelt_geojson, member='"cRs":'),  # GDAL does not tell small letters from them
    "geojson as some readers take it": partial(in_respelt_geojson, member="'crs' /* coordinate system */ :"),
    "geojson where two pieces meet": in_long_geojson,
    "flatgeobuf": in_flatgeobuf,
    "zipped geopackage": in_zipped_geopackage,
    "zipped geojson": in_zipped_geojson,
    "spatialite": in_spatialite,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
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
    base.execute("CREATE VIEW gpkg_spatial_ref_sys AS SELECT CASE WHEN random() > 0 THEN 'undefined' END AS definition")
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


METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_damaged_files_in_a_zip(method: int, tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    """Whatever is raised for it: a zlib.error, an OSError without a number, an EOFError."""
    fields.to_file(tmp_path / "fields.geojson")
    path = tmp_path / "fields.zip"
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.write(tmp_path / "fields.geojson", "fields.geojson")
    content = bytearray(path.read_bytes())
    if method == zipfile.ZIP_STORED:  # it goes on behind the end of the file, says the list at the end
        at = content.rindex(b"PK\x01\x02") + 20
        content[at : at + 8] = 2 * MEGABYTE.to_bytes(4, "little")
    else:
        begin = 30 + len("fields.geojson")
        content[begin + 12 : begin + 40] = bytes(28)
    path.write_bytes(content)
    with pytest.raises(AreaError, match="its zip cannot be read"):
        read_area(file=path)


def test_files_in_a_zip_that_say_how_much_memory_they_take(tmp_path: Path, fields: gpd.GeoDataFrame) -> None:
    fields.to_file(tmp_path / "fields.geojson")
    with zipfile.ZipFile(tmp_path / "fields.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.write(tmp_path / "fields.geojson", "fields.geojson")
    with pytest.raises(AreaError, match="packed by LZMA, which is not read"):
        read_area(file=tmp_path / "fields.zip")


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

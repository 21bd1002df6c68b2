"""Vector files that lead GDAL elsewhere by their names, by what lies beside them, and by zips of two contents."""

from __future__ import annotations

import html
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from eotasks.area import read_area
from eotasks.errors import AreaError
from eotasks.geometry.packed import path_for_gdal
from eotasks.geometry.vector_head import check_vector
from tests.builders.geometry.vectors import KML

GRIDS = (
    'GEOGCS["a",DATUM["b",SPHEROID["c",6378137,298],EXTENSION["PROJ4_GRIDS","/tmp/a.gsb"]],PRIMEM["d",0],'
    'UNIT["degree",0.017453]]'
)
GML = """<?xml version="1.0"?><ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/"
xmlns:gml="http://www.opengis.net/gml"><gml:featureMember><ogr:a fid="x"><ogr:place><gml:Polygon srsName="{}">
<gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>12,52 12.1,52 12.1,52.1 12,52.1 12,52</gml:coordinates>
</gml:LinearRing></gml:outerBoundaryIs></gml:Polygon></ogr:place></ogr:a></gml:featureMember></ogr:FeatureCollection>"""
JSON = b'{"type": "FeatureCollection", "features": []}'
GPS = b"$PMGNWPL,1\n" * 40


@pytest.fixture(scope="module")
def fields() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(12, 52, 12.1, 52.1)], crs=4326)


def packed(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def zip_of_two_contents(first: bytes, second: bytes) -> bytes:
    """Python finds the first one; GDAL the second, by the 64-bit end that a comment tells of."""
    hidden, seen = packed(("a.geojson", second)), packed(("a.geojson", first))
    end = hidden.rfind(b"PK\5\6")
    size, offset = struct.unpack("<II", hidden[end + 12 : end + 20])
    before = hidden[:end] + struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    last = seen.rfind(b"PK\5\6")
    size, offset = struct.unpack("<II", seen[last + 12 : last + 20])
    files, directory = seen[:offset], bytearray(seen[offset:last])
    directory[42:46] = struct.pack("<I", len(before))
    comment = b"  " + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    end_of_all = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, size, len(before) + offset, len(comment))
    return before + files + bytes(directory) + end_of_all + comment


@pytest.mark.parametrize("name", ["a.moaw", "a.csv", "A.MIF", "a.dbf", "a.xlsx", "a.mbtiles"])
@pytest.mark.parametrize("in_zip", [False, True], ids=["plain", "in a zip"])
def test_names_by_which_gdal_takes_another_format(name: str, in_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / ("a.zip" if in_zip else name)
    path.write_bytes(packed((name, JSON)) if in_zip else JSON)
    with pytest.raises(ValueError, match="of another format, none of the formats that are read"):
        check_vector(path)


@pytest.mark.parametrize("name", ["b!a.geojson", "a;b.geojson", "a.geojson?", "a\n.geojson"])
def test_names_that_are_no_names_to_gdal(name: str, fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(fields.to_json())
    with pytest.raises(AreaError, match="which leads GDAL to another file"):
        read_area(file=path)


def test_relative_names_that_begin_as_a_driver(
    fields: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("GPSBabel:nmea:a").write_text(fields.to_json())
    assert read_area(file="GPSBabel:nmea:a").geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))


@pytest.mark.parametrize("name", ["fields.shx", "fields.SHX"])
def test_a_shapefile_by_the_name_of_its_index(name: str, fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    fields.to_file(tmp_path / "fields.shp")
    (tmp_path / "fields.prj").write_text(GRIDS)
    path = (tmp_path / "fields.shx").rename(tmp_path / name)
    with pytest.raises(ValueError, match="names grids"):
        check_vector(path)


@pytest.mark.parametrize(
    "system",
    [html.escape(GRIDS), html.escape(GRIDS).replace("PROJ4", "PR&#79;J4"), "+proj=longlat +nadgrids=@null,/tmp/a"],
    ids=["plain", "a letter by its number", "a list of grids"],
)
@pytest.mark.parametrize("where", ["beside", "far behind", "in the head"])
def test_systems_of_gml(where: str, system: str, tmp_path: Path) -> None:
    path = tmp_path / "fields.gml"
    path.write_text(GML.format("EPSG:4326" if where == "beside" else system))
    if where == "beside":
        path.with_suffix(".gfs").write_text(f"<GMLFeatureClassList><SRSName>{system}</SRSName></GMLFeatureClassList>")
    elif where == "far behind":
        path.write_text(path.read_text().replace("<gml:featureMember>", f"<!--{'-' * 70_000}--><gml:featureMember>"))
    with pytest.raises(ValueError, match=r"names (grids|files)|nadgrids"):
        check_vector(path)


@pytest.mark.parametrize("system", [html.escape(GRIDS), f"<![CDATA[{GRIDS}]]>"], ids=["plain", "as it is"])
def test_a_system_beside_a_geopackage(system: str, fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "fields.gpkg"
    fields.to_file(path, driver="GPKG", engine="pyogrio")
    beside = tmp_path / "fields.gpkg.aux.xml"
    beside.write_text("<PAMDataset><SRS>EPSG:4326</SRS></PAMDataset>")
    check_vector(path)
    beside.write_text(f"<PAMDataset><SRS>{system}</SRS></PAMDataset>")
    with pytest.raises(ValueError, match=r"names grids|more than GDAL writes"):
        check_vector(path)


@pytest.mark.parametrize("root", ["wfs:FeatureCollection", "base:SpatialDataSet", "CityModel"])
def test_roots_of_gml(root: str, tmp_path: Path) -> None:
    path = tmp_path / "fields.gml"
    path.write_text(GML.format("EPSG:4326").replace("ogr:FeatureCollection", root))
    check_vector(path)
    path.write_text(GML.format(html.escape(GRIDS)).replace("ogr:FeatureCollection", root))
    with pytest.raises(ValueError, match=r"names grids|names files"):
        check_vector(path)


def test_a_type_of_document_without_entities(tmp_path: Path) -> None:
    path = tmp_path / "fields.kml"
    path.write_text(KML.replace("<!-- by hand -->", '<!DOCTYPE kml PUBLIC "-//OGC//KML" "kml.dtd">'))
    assert read_area(file=path).geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))


def test_a_geodatabase_that_a_desktop_has_shown(fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "fields.gdb"
    fields.to_file(path, driver="OpenFileGDB", engine="pyogrio")
    (path / ".DS_Store").write_text("a")
    assert read_area(file=path).geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))


@pytest.mark.parametrize(
    "system", ["http://www.opengis.net/def/crs/EPSG/0/4326", "urn:ogc:def:crs:EPSG::4326", "urn:adv:crs:ETRS89_UTM32"]
)
def test_honest_systems_of_gml(system: str, tmp_path: Path) -> None:
    path = tmp_path / "fields.gml"
    path.write_text(GML.format(system))
    path.with_suffix(".gfs").write_text(f"<GMLFeatureClassList><SRSName>{system}</SRSName></GMLFeatureClassList>")
    check_vector(path)


BEGINNINGS = {
    "Parquet by another name": (b"PAR1" * 20, "none of the formats that are read"),  # GDAL loads a library for it
    "a shapefile after a line": (b"\n\0\0\x27\x0a" + b"\0" * 96, "none of the formats that are read"),
    "FlatGeobuf after a space": (b" fgb", "none of the formats that are read"),
    "no FlatGeobuf": (b"fgb\n", "none of the formats that are read"),
    "a zip in a zip": (packed(("a.zip", packed(("a.geojson", JSON)))), "has to be unpacked before"),
    "Parquet in a zip": (packed(("a.parquet", b"PAR1")), "has to be unpacked before"),
    "a name twice": (packed(("a.geojson", JSON), ("A.geojson", JSON)), "twice"),
    "two folders": (packed(("a/a.shp", b""), ("b/a.shp", b"")), "2 folders"),
    "a journal": (packed(("a.gpkg", b""), ("a.gpkg-wal", b"")), "holds 2 files"),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_beginnings_and_zips(kind: str, tmp_path: Path) -> None:
    content, reason = BEGINNINGS[kind]
    path = tmp_path / "fields"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        check_vector(path)


def test_a_zip_of_two_contents(fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "fields.zip"
    path.write_bytes(zip_of_two_contents(fields.to_json().encode(), GPS))
    assert read_area(file=path).geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))
    path.write_bytes(zip_of_two_contents(GPS, fields.to_json().encode()))
    with pytest.raises(AreaError, match="does not begin as geojson does"):
        read_area(file=path)


def test_zips_as_others_make_them(fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    fields.to_file(made / "fields.shp")
    shapes = [(f"data/{path.name}", path.read_bytes()) for path in sorted(made.iterdir())]
    beside = [("readme.txt", b"a"), ("__MACOSX/._readme.txt", b"b"), (".DS_Store", b"c"), ("data/fields.shp.xml", b"d")]
    single: list[Callable[[], bytes]] = [
        lambda: packed(*shapes, *beside),
        lambda: packed(("fields.kml", KML.encode()), *beside),
        lambda: packed(("fields.geojson", fields.to_json().encode()), *beside[1:3]),
    ]
    for number, content in enumerate(single):
        path = tmp_path / f"fields{number}.ZIP"
        path.write_bytes(content())
        assert read_area(file=path).geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))


def test_a_zip_is_unpacked_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "fields.zip"
    path.write_bytes(packed(("a.geojson", JSON)))
    first = path_for_gdal(path)
    assert path_for_gdal(path) == first
    assert Path(first).parent.stat().st_mode & 0o777 == 0o700
    path.write_bytes(packed(("b.geojson", JSON)))
    assert path_for_gdal(path).endswith("b.geojson")
    assert not Path(first).exists()

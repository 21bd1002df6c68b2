"""Vector files by the format that they begin as: GDAL knows many more, and opens for some of them what they name."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely

from eotasks.area import read_area
from eotasks.errors import AreaError, ReferenceDataError
from eotasks.geometry.vector_head import check_vector
from eotasks.reference.labels import check_vector_labels
from eotasks.zonal.polygons import read_polygons
from tests.builders.geometry.vectors import KML

GPS = {
    "magellan": b"$PMGNWPL,1\n",
    "mapsource": b"MsRcd\0aaaa",
    "garmin": b"MsRcf\0aaaa",
    "nmea": b"a\n$GPGGA,1\n",
    "ozi": b"OziExplorer Waypoint File\n",
    "garmin text": b"Grid\tLat\nDatum\tWGS 84\nHeader\tName\n",
    "training": b"<TrainingCenterDatabase>",
    "in GeoJSON": b'{"type": "$GPGSA"}',
    "in GeoJSON, text": b'{"Grid": "Datum", "Header": "a"}',
    "in KML": b"<kml><!-- <TrainingCenterDatabase> --></kml>",
    "in a database": b"SQLite format 3\0$PMGNRTE",
}
"""Beginnings that GDAL has gpsbabel read."""

OTHERS = {
    "a label of PDS": b'<?xml version="1.0"?><Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1"/>',
    "a label of PDS in KML": b"<kml><!-- Product_Observational http://pds.nasa.gov/pds4 --></kml>",
    "an older label of PDS": b'{"a": "PDS_VERSION_ID = PDS3"}',
    "MapInfo": b"!table\n!version 300\n",
    "Edigeo": b"BOMT 12:E0000A01.THF\n",
    "DXF": b"0\nSECTION\n",
    "OpenStreetMap": b'<?xml version="1.0"?><osm version="0.6"/>',
    "rows of text": b"a,WKT\n1,POINT (1 1)\n",
    "a type of document": b'<!DOCTYPE kml [<!ENTITY a "b">]><kml>&a;</kml>',
    "a comment without end": b"<!-- <kml>",
    "a zip's end": b"PK\x01\x02",
    "nothing": b"",
}
READERS: dict[str, Callable[[Path], object]] = {
    "area": lambda path: read_area(file=path),
    "fields": read_polygons,
    "labels": lambda path: check_vector_labels(path, column="name"),
}


@pytest.fixture
def gpsbabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, first of all; whoever starts it leaves this file."""
    called = tmp_path / "called"
    program = tmp_path / "bin" / "gpsbabel"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> "{called}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return called


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "in a zip"])
@pytest.mark.parametrize("kind", GPS)
def test_no_program_reads_files_of_a_gps(kind: str, packed: bool, gpsbabel: Path, tmp_path: Path) -> None:
    path = tmp_path / ("fields.zip" if packed else "fields.json")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("fields", GPS[kind])
    else:
        path.write_bytes(GPS[kind])
    with pytest.raises(AreaError, match="cannot be read as a vector file"):
        read_area(file=path)
    assert not gpsbabel.exists()


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_starts_a_program(reader: str, gpsbabel: Path, tmp_path: Path) -> None:
    path = tmp_path / "fields.gpx"
    path.write_bytes(GPS["magellan"])
    with pytest.raises((AreaError, ReferenceDataError), match=r"[Cc]an ?not (be )?read"):
        READERS[reader](path)
    assert not gpsbabel.exists()


@pytest.mark.parametrize("reader", READERS)
def test_a_system_that_is_no_text(reader: str, fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    """Over which pyogrio raises what is no error of its own."""
    path = tmp_path / "fields.shp"
    fields.to_file(path)
    sidecar = path.with_suffix(".prj")
    sidecar.write_bytes(sidecar.read_bytes().replace(b"D_WGS_1984", b"D\xff\xffGS_1984"))
    with pytest.raises((AreaError, ReferenceDataError), match="its coordinate system cannot be read"):
        READERS[reader](path)


@pytest.mark.parametrize("kind", OTHERS)
def test_formats_that_are_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "fields"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(ValueError, match=r"names other files|none of the formats that are read: GeoPackage, GeoJSON"):
        check_vector(path)


@pytest.fixture(scope="module")
def fields() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(12, 52, 12.1, 52.1)], crs=4326)


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("FlatGeobuf", "fields.fgb"),
        ("ESRI Shapefile", "fields.shp"),
        ("ESRI Shapefile", "fields"),
        ("OpenFileGDB", "fields.gdb"),
        ("GeoJSONSeq", "fields.geojsonl"),
        ("GML", "fields.gml"),
        ("SQLite", "fields.sqlite"),
        ("GPKG", "fields.zip"),
        ("OpenFileGDB", "fields.gdb.zip"),
        (None, "fields.kml"),
        pytest.param(
            None,
            "fields.kmz",
            marks=pytest.mark.skipif("LIBKML" not in pyogrio.list_drivers(), reason="this GDAL has no library for KMZ"),
        ),
    ],
)
def test_formats_that_are_read(driver: str | None, name: str, fields: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / name
    made = tmp_path / "made" / path.stem if name.endswith("zip") else path
    made.parent.mkdir(exist_ok=True)
    if driver is None:
        made.write_text(KML)
    else:
        fields.to_file(made, driver=driver)
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as packed:
            for each in sorted(path for path in made.parent.rglob("*") if path.is_file()):
                packed.write(each, each.relative_to(made.parent))
    elif name.endswith("kmz"):
        made.unlink()
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("doc.kml", KML)
            packed.writestr("files/icon.png", b"\x89PNG")
    assert read_area(file=path).geometry.bounds == pytest.approx((12, 52, 12.1, 52.1))


@pytest.mark.parametrize(
    ("folder", "names", "reason"),
    [
        ("fields.gdb", ["gdb", "fields.tab"], "holds 'fields.tab', as no geodatabase does"),
        ("fields.gdb", [], "holds nothing"),
        ("fields", ["fields.csv"], "a folder without shapefiles"),
        ("fields", ["fields.shp", "fields.tab"], r"files \.tab of another format"),
    ],
    ids=["geodatabase", "empty", "no shapefile", "shapefile and another"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["on disk", "in a zip"])
def test_folders_of_other_formats(folder: str, names: list[str], reason: str, packed: bool, tmp_path: Path) -> None:
    place = tmp_path / folder
    place.mkdir()
    for name in names:
        (place / name).write_text("!table\n")
    if packed:
        path = tmp_path / "fields.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.write(place / name, f"{folder}/{name}")
        place, reason = path, reason if "fields.shp" in names or "gdb" in names else "none of the formats|holds 0 files"
    with pytest.raises(ValueError, match=reason):
        check_vector(place)


@pytest.mark.parametrize("name", ["https://example.com/a.gpkg", "/vsicurl/https://example.com/a.gpkg", "zip://a.zip!a"])
def test_labels_that_gdal_would_fetch(name: str) -> None:
    with pytest.raises(ReferenceDataError, match=r"no label file .* on this machine"):
        check_vector_labels(name, column="a")

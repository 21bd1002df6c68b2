"""Vector files of the other formats that GDAL reads for areas, fields and lakes, or of their parts one."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
from shapely.geometry import box

from eotasks.area import read_area
from eotasks.errors import EOTasksError
from eotasks.zonal.polygons import read_polygons
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.geometry.vectors import KML

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ZIP_TOKENS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"../", b"\0", b".shp", b".prj", b".tab")
_SYSTEM_TOKENS = (b"PROJCS[", b"GEOGCS[", b"PARAMETERFILE[", b"+nadgrids=a", b"EPSG:4326", b"\xff" * 8, b"\0" * 8)
_XML_TOKENS = (b"<", b">", b"]]>", b"<!DOCTYPE a>", b"xlink:href=", b"gml:", b"kml:", b"\xef\xbb\xbf", b"&lt;")


def _frame() -> gpd.GeoDataFrame:
    shapes = [box(12, 52, 12.1, 52.1), box(12.2, 52, 12.3, 52.1)]
    return gpd.GeoDataFrame({"name": ["a", "b"], "row": [0, 1]}, geometry=shapes, crs=4326)


def _used(path: Path) -> object:
    with contextlib.suppress(EOTasksError):
        read_polygons(path, id_column="name", crs=4326)
    return read_area(file=path)


def _flatgeobufs(folder: Path) -> tuple[Sequence[bytes], Read]:
    file, samples = folder / "area.fgb", []
    for options in ({}, {"SPATIAL_INDEX": "NO"}):
        _frame().to_file(file, driver="FlatGeobuf", **options)
        samples.append(file.read_bytes())

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return _used(file)

    return samples, read


def _documents(folder: Path) -> tuple[Sequence[bytes], Read]:
    """KML and GML; GDAL keeps what it finds out of a GML beside it."""
    file = folder / "given" / "area.xml"
    file.parent.mkdir()
    _frame().to_file(folder / "made.gml", driver="GML")
    samples = [KML.encode(), (folder / "made.gml").read_bytes()]

    def read(content: bytes) -> object:
        for each in file.parent.iterdir():
            each.unlink()
        file.write_bytes(content)
        return _used(file)

    return samples, read


def _shapes(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A shapefile of which one part is spoiled: the first line says which."""
    made = folder / "made"
    made.mkdir()
    _frame().to_file(made / "area.shp")
    return _parts(made, folder / "spoiled", folder / "spoiled" / "area.shp")


def _geodatabases(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The same of a File Geodatabase."""
    made = folder / "made.gdb"
    _frame().to_file(made, driver="OpenFileGDB")
    return _parts(made, folder / "spoiled.gdb", folder / "spoiled.gdb")


def _parts(made: Path, spoiled: Path, path: Path) -> tuple[Sequence[bytes], Read]:
    sound = {each.name: each.read_bytes() for each in sorted(made.iterdir())}
    shutil.copytree(made, spoiled)
    samples = [f"{name}\n".encode() + content for name, content in sound.items() if content]

    def read(content: bytes) -> object:
        name, _, part = content.partition(b"\n")
        chosen = name.decode("latin-1")
        if chosen not in sound:  # the line itself was spoiled
            chosen, part = next(iter(sound)), content
        (spoiled / chosen).write_bytes(part)
        try:
            return _used(path)
        finally:
            (spoiled / chosen).write_bytes(sound[chosen])

    return samples, read


def _zips(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A shapefile in a zip, by each method of packing that is read."""
    made, file = folder / "made", folder / "area.zip"
    made.mkdir()
    _frame().to_file(made / "area.shp")
    samples = []
    for method in _METHODS:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for each in sorted(made.iterdir()):
                archive.writestr(zipfile.ZipInfo(each.name), each.read_bytes(), method)
        samples.append(packed.getvalue())

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return _used(file)

    return samples, read


FORMATS = (
    Format("area-shapefile", "bytes", _shapes, _SYSTEM_TOKENS),
    Format("area-zip", "bytes", _zips, _ZIP_TOKENS),
    Format("area-flatgeobuf", "bytes", _flatgeobufs, (b"fgb\x03", *_SYSTEM_TOKENS)),
    Format("area-xml", "xml", _documents, _XML_TOKENS),
    Format("area-geodatabase", "bytes", _geodatabases, _SYSTEM_TOKENS),
)

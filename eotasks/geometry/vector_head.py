"""How a vector file begins: GDAL goes by that, and not by the name. It knows over sixty formats, of which some name
other files and addresses, all of which it opens, and one runs a program: those of the list below are let through.
"""

from __future__ import annotations

import html
import mmap
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

from eotasks.geometry.descriptions import check_description
from eotasks.geometry.geoparquet import is_geoparquet
from eotasks.geometry.packed import ZIP, check_path, is_zip, opened_zip, path_for_gdal
from eotasks.geometry.stored_systems import (
    SQLITE,
    check_members,
    check_sidecars,
    check_sqlite,
)
from eotasks.limits import METADATA_BYTES, VECTOR_BYTES
from eotasks.reading import check_regular, open_regular, read_regular
from eotasks.text import excerpt

_FORMATS = "GeoPackage, GeoJSON, shapefiles, FlatGeobuf, GeoParquet, KML, GML, GPX and File Geodatabase"
_HEADS = {".gpkg": SQLITE, ".geojson": b"{", ".json": b"{"}
_JSON = (b"{", b"\x1e", b"loadGeoJSON(", b"jsonp(")
_SHAPES = b"\0\0\x27\x0a"
_BINARY = (SQLITE, _SHAPES, b"fgb\x03fgb", *ZIP)
"""Of the first byte on; the others may have white space before them."""
_PARQUET = b"PAR1"
_GML_ROOTS = (b"featurecollection", b"spatialdataset", b"citymodel")
"""Of GML as a WFS, INSPIRE and models of cities have it."""
_ROOTS = (b"kml", b"gpx", *_GML_ROOTS)
"""Of XML."""
_BEFORE_ROOT = re.compile(rb"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[<>]*>|\s+", re.DOTALL)
"""A type of document as long as it has no entities of its own."""
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)")

_DESCRIPTION = b"<ogrvrt"
_ELSEWHERE = (
    _DESCRIPTION,
    b"gdal_streamed_alg",
    b"wfs_capabilities",
    b"<ogrwfs",
    b"describefeaturetype",
    b"product_observational",
    b"pds_version_id",
)
"""In the heads of what says where the data lie, in small letters: OGR's own description, GDAL's recorded command, what
a WFS says of itself, the address of a schema that GML is read by, labels of PDS. GDAL looks for them anywhere in a
head, whatever that begins with.
"""
_PROGRAMS = (b"$gpgsa", b"$gpgga", b"$pmgnwpl", b"$pmgnrte", b"<trainingcenterdatabase", b"<osm")
"""In the heads of what GDAL has the program gpsbabel read, wherever they are; so do these three together:"""
_GARMIN = (b"Grid", b"Datum", b"Header")

_OF_OTHERS = frozenset({
    ".000", ".adf", ".csv", ".dbf", ".dgn", ".dxf", ".e00", ".gmt", ".igc", ".jml", ".map", ".mbtiles",
    ".mid", ".mif", ".moaw", ".mps", ".mvt", ".ods", ".osm", ".pbf", ".pdf", ".pix", ".pmtiles", ".psv",
    ".sql", ".sxf", ".tab", ".tcx", ".thf", ".tsv", ".vct", ".vfk", ".x10", ".xlsm", ".xlsx",
})  # fmt: skip
"""Endings of names by which GDAL may take a file for another format, whatever is in it: one of these asks addresses."""

_OTHERS = frozenset({".adf", ".e00", ".mid", ".mif", ".tab", ".thf", ".vct"})
"""Files by which GDAL takes a folder for another format, when its shapefiles are damaged."""
_IN_GEODATABASE = re.compile(r"gdb|timestamps|a[0-9a-f]{8}\..*|.*\.lock", re.IGNORECASE)
_OF_SYSTEMS = (".ds_store", "desktop.ini", "thumbs.db")
"""What macOS and Windows put into folders, in small letters."""

_GRIDS = (
    b"proj4_grids",
    b"nadgrids=",
    b"geoidgrids=",
    b"parameterfile",
    b"gridshift",
    b"proj pipeline",
    b"proj-based operation",
)
_NO_GRID = re.compile(rb"nadgrids=@null(?=[\s\"'<&\0])")
"""What coordinate systems of other formats name files by, and what stands for none."""

_LEADS = "it names other files or addresses, as what its name says does not"
_NAMES_GRIDS = "its coordinate system names files: reproject it to EPSG:4326, and write it again"

_NAME_OF_SYSTEM = re.compile(rb"srsName\s*=\s*[\"']([^\"'>]*)")
_SYSTEM_BESIDE = re.compile(
    rb"<\s*(?:srsname|srs|wkt)\b[^>]*>([^<]*)|\bprojection\s*=\s*[\"']([^\"'>]*)", re.IGNORECASE
)
_ADDRESS = re.compile(r"https?://[^\s\[({]*")
"""Names of systems that GDAL does not ask for, where it reads GML."""

_MARK = b"\xef\xbb\xbf"
_BYTES = 1 << 16
"""Of the head."""


def check_vector(path: str | os.PathLike[str]) -> None:
    """Refuse a vector file, or a folder that is one, before GDAL opens it.

    :raises OSError: it is not there, no regular file, too large, or cannot be read.
    :raises ValueError: with the reason, for the end of a message.
    """
    check_path(path)
    if Path(path).is_dir():
        names = [each.name for each in Path(path).iterdir()]
        _check_names(names, is_geodatabase=PurePath(path).suffix.lower() == ".gdb")
        check_sidecars(path)
    else:
        check_regular(path, VECTOR_BYTES)
        check_head(path)


def check_head(path: str | os.PathLike[str]) -> None:
    """Refuse a file on this machine whose content is not of the format that its name says, or leads elsewhere.

    A description of OGR (``.vrt``) is opened where that is its name: who gives it by that name knows what it is.

    Coordinate systems that name files are refused as well: in GeoPackage, shapefiles and GeoJSON wherever they are, in
    other formats where the head has them.

    :raises OSError: it is no regular file, or cannot be read.
    :raises ValueError: with the reason, for the end of a message.
    """
    suffix = PurePath(path).suffix.lower()
    with open_regular(path) as stream:
        raw = stream.read(_BYTES)
    begin = raw.removeprefix(_MARK).lstrip()
    head = _HEADS.get(suffix)
    if head is not None and not begin.startswith(head):
        raise ValueError(f"it does not begin as {suffix[1:]} does")
    if suffix == ".vrt" and _DESCRIPTION in begin.lower():
        _refuse_words(begin, _GRIDS, _NAMES_GRIDS)
        return
    if suffix in _OF_OTHERS:
        raise ValueError(f"files {suffix} are of another format, none of the formats that are read: {_FORMATS}")
    if raw.startswith(ZIP):
        _check_zip(path)
        return
    if raw.startswith(_PARQUET) and is_geoparquet(Path(path)):  # which GDAL does not get
        return
    _check_format(raw, begin)
    if raw.startswith(SQLITE):
        check_sqlite(path)
        _check_beside(Path(f"{os.fspath(path)}.aux.xml"))
    elif begin.startswith(_JSON):
        check_members(path)
    elif raw.startswith(_SHAPES):  # by the names of its files beside it as well
        check_sidecars(PurePath(path).parent, PurePath(path).stem)
    else:
        _refuse_words(begin, _GRIDS, _NAMES_GRIDS)
        if _root(begin) in _GML_ROOTS:
            _check_gml(path)


def layer_info(path: str | os.PathLike[str], layer: str | None, *, bounds: bool = False) -> dict[str, Any]:
    """What pyogrio says of a layer, whose features are counted (``read_info``).

    :param bounds: Whether they are looked at for where all of them lie.
    :raises ValueError: its coordinate system names files, or is none; with the reason, for the end of a message.
    :raises DataSourceError, DataLayerError: of pyogrio.
    """
    import pyogrio  # here: who has GeoParquet does not need it

    try:
        info: dict[str, Any] = pyogrio.read_info(
            path_for_gdal(path), layer=layer, force_feature_count=True, force_total_bounds=bounds
        )
    except UnboundLocalError as error:  # pyogrio's own, where GDAL cannot write the system as text
        raise ValueError("its coordinate system cannot be read") from error
    check_info(info)
    return info


def check_info(info: Mapping[str, Any]) -> None:
    """Refuse a layer whose coordinate system names files, before it is made one of pyproj.

    :param info: What pyogrio says of it.
    :raises ValueError: with the reason, for the end of a message.
    """
    if info["crs"] is not None:
        check_description(str(info["crs"]))


def _refuse_words(begin: bytes, words: tuple[bytes, ...], reason: str) -> None:
    small = _NO_GRID.sub(b"", begin.lower())
    if any(word in small for word in words):
        raise ValueError(reason)


def _check_format(raw: bytes, begin: bytes) -> None:
    """Refuse what begins as none of the formats that are read, or what GDAL could take for another one.

    :param raw: The first bytes.
    :param begin: As far as they are text, without what may stand before it.
    """
    _refuse_words(begin, _ELSEWHERE, _LEADS)
    if not raw.startswith(_BINARY) and not begin.startswith(_JSON) and _root(begin) not in _ROOTS:
        raise ValueError(f"it begins as none of the formats that are read: {_FORMATS}")
    if any(word in begin.lower() for word in _PROGRAMS) or all(word in begin for word in _GARMIN):
        raise ValueError("it has words by which GDAL takes it for a file of a GPS, which it has a program read")


def _root(begin: bytes) -> bytes | None:
    """The outermost element of XML, in small letters."""
    at = 0
    while (between := _BEFORE_ROOT.match(begin, at)) is not None:
        at = between.end()
    root = _ROOT.match(begin, at)
    return None if root is None else root[1].lower()


def _check_gml(path: str | os.PathLike[str]) -> None:
    """Refuse GML whose places, or whose description beside it, are in a system that names files."""
    with open_regular(path) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in _NAME_OF_SYSTEM.finditer(content):
            _check_name_of_system(found[1])
    _check_beside(Path(path).with_suffix(".gfs"))


def _check_beside(path: Path) -> None:
    """Refuse XML of GDAL's own beside a file, in which it looks for a system, as `_check_gml`."""
    if not path.exists():
        return
    content = read_regular(path, METADATA_BYTES)
    if b"<!" in content:  # as GDAL writes none: a comment, or a text, in which a system could be hidden
        raise ValueError(f"{path.name} beside it has more than GDAL writes: remove that")
    for found in _SYSTEM_BESIDE.finditer(content):
        _check_name_of_system(found[1] or found[2] or b"")


def _check_name_of_system(value: bytes) -> None:
    text = html.unescape(value.decode("utf-8", "replace")).strip()
    if any(sign in text for sign in "[({=") and not _ADDRESS.fullmatch(text):
        check_description(text)


def _check_names(names: Collection[str], *, is_geodatabase: bool) -> None:
    """Refuse a folder that GDAL could take for one of another format."""
    if is_geodatabase:
        names = [name for name in names if name.lower() not in _OF_SYSTEMS]
        strange = [name for name in names if _IN_GEODATABASE.fullmatch(name) is None]
        if strange or not names:
            what = excerpt(min(strange)) if strange else "nothing"
            raise ValueError(f"its folder holds {what}, as no geodatabase does")
        return
    suffixes = {PurePath(name).suffix.lower() for name in names}
    if ".shp" not in suffixes:
        raise ValueError(f"it is a folder without shapefiles: give a file of {_FORMATS}")
    if strange := sorted(suffixes & _OTHERS):
        raise ValueError(f"beside its shapefiles are files {strange[0]} of another format: name one shapefile")


def _check_zip(path: str | os.PathLike[str]) -> None:
    if not is_zip(path):
        _check_kmz(path)
        return
    inner = path_for_gdal(path)
    if Path(inner).is_file() and (is_zip(inner) or is_geoparquet(inner)):
        raise ValueError("its zip holds what has to be unpacked before: give that")
    check_vector(inner)


def _check_kmz(path: str | os.PathLike[str]) -> None:
    with opened_zip(path) as packed:
        for member in packed.infolist():
            if member.filename.lower().endswith(".kml"):
                with packed.open(member) as stream:
                    raw = stream.read(_BYTES)
                _check_format(raw, raw.removeprefix(_MARK).lstrip())

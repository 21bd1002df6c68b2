"""How a vector file begins: GDAL goes by that, and not by the name, and some of its formats name other files and
addresses, all of which it opens.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import IO, Any

from eotasks.errors import reason_of
from eotasks.geometry.descriptions import check_description
from eotasks.geometry.stored_systems import (
    SQLITE,
    check_members,
    check_sidecar,
    check_sidecars,
    check_sqlite,
)
from eotasks.limits import MEGABYTE, VECTOR_BYTES
from eotasks.reading import ZIP_DAMAGES, open_regular, too_large

_HEADS = {".gpkg": SQLITE, ".geojson": b"{", ".json": b"{"}
_DESCRIPTION = b"<ogrvrt"
_ELSEWHERE = (_DESCRIPTION, b"gdal_streamed_alg", b"wfs_capabilities", b"<ogrwfs", b"describefeaturetype")
"""In the heads of what says where the data lie, in small letters: OGR's own description, GDAL's recorded command, what
a WFS says of itself, and the address of a schema that GML is read by. GDAL looks for the first two anywhere in a head.
"""

_GRIDS = (
    b"proj4_grids",
    b"nadgrids=",
    b"geoidgrids=",
    b"parameterfile[",
    b"gridshift",
    b"proj pipeline",
    b"proj-based operation",
)
_NO_GRID = b"nadgrids=@null"
"""What coordinate systems of other formats name files by, and what stands for none."""

_LEADS = "it names other files or addresses, as what its name says does not"
_NAMES_GRIDS = "its coordinate system names files: reproject it to EPSG:4326, and write it again"
_JSON = (b"{", b"\x1e", b"loadGeoJSON(", b"jsonp(")

_MARK = b"\xef\xbb\xbf"
_BYTES = 1 << 16
"""Of the head."""


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
        begin = stream.read(_BYTES).removeprefix(_MARK).lstrip()
    head = _HEADS.get(suffix)
    if head is not None and not begin.startswith(head):
        raise ValueError(f"it does not begin as {suffix[1:]} does")
    if not (suffix == ".vrt" and _DESCRIPTION in begin.lower()):
        _refuse_words(begin, _ELSEWHERE, _LEADS)
    if begin.startswith(SQLITE):
        check_sqlite(path)
    elif begin.startswith(_JSON):
        check_members(path)
    elif begin.startswith(b"PK"):
        _check_zip(path)
    elif suffix == ".shp":
        check_sidecars(PurePath(path).parent, PurePath(path).stem)
    else:
        _refuse_words(begin, _GRIDS, _NAMES_GRIDS)


def check_info(info: Mapping[str, Any]) -> None:
    """Refuse a layer whose coordinate system names files, before it is made one of pyproj.

    :param info: What pyogrio says of the layer (``read_info``).
    :raises ValueError: with the reason, for the end of a message.
    """
    if info["crs"] is not None:
        check_description(str(info["crs"]))


def _refuse_words(begin: bytes, words: tuple[bytes, ...], reason: str) -> None:
    small = begin.lower().replace(_NO_GRID, b"")
    if any(word in small for word in words):
        raise ValueError(reason)


def _check_zip(path: str | os.PathLike[str]) -> None:
    """GDAL looks into it: for shapefiles, else for what a single file in it is."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            has_shapes = any(name.lower().endswith(".shp") for name in names)
            for name in names:
                if name.lower().endswith(".prj"):
                    with packed.open(name) as stream:
                        check_sidecar(stream)
                elif not has_shapes:
                    with packed.open(name) as stream:
                        _check_packed(stream)
    except ValueError:
        raise
    except (*ZIP_DAMAGES, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, or too large
            raise
        raise ValueError(f"its zip cannot be read: {reason_of(error)}") from error


def _check_packed(stream: IO[bytes]) -> None:
    begin = stream.read(_BYTES)
    bare = begin.removeprefix(_MARK).lstrip()
    _refuse_words(bare, _ELSEWHERE, _LEADS)
    check = check_sqlite if begin.startswith(SQLITE) else check_members if bare.startswith(_JSON) else None
    if check is None:
        _refuse_words(bare, _GRIDS, _NAMES_GRIDS)
        return
    with tempfile.TemporaryDirectory() as folder, Path(folder, "unpacked").open("wb") as unpacked:
        while begin:
            unpacked.write(begin)
            if unpacked.tell() > VECTOR_BYTES.value:
                raise too_large(VECTOR_BYTES)
            begin = stream.read(MEGABYTE)
        unpacked.flush()
        check(unpacked.name)

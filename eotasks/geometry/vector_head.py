"""How a vector file begins: GDAL goes by that, and not by the name, and some of its formats name other files and
addresses, all of which it opens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from eotasks.geometry.descriptions import check_description
from eotasks.geometry.stored_systems import SQLITE, check_members, check_sidecars, check_sqlite, check_zip
from eotasks.reading import open_regular

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
    b"hgridshift",
    b"vgridshift",
    b"proj pipeline",
)
_NO_GRID = b"nadgrids=@null"
"""What coordinate systems of other formats name files by, and what stands for none."""
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
    small = begin.lower()
    if any(words in small for words in _ELSEWHERE) and not (suffix == ".vrt" and _DESCRIPTION in small):
        raise ValueError("it names other files or addresses, as what its name says does not")
    if begin.startswith(SQLITE):
        check_sqlite(path)
    elif begin.startswith(_JSON):
        check_members(path)
    elif begin.startswith(b"PK"):
        check_zip(path)
    elif suffix == ".shp":
        check_sidecars(PurePath(path).parent, PurePath(path).stem)
    elif any(word in small.replace(_NO_GRID, b"") for word in _GRIDS):
        raise ValueError("its coordinate system names files: reproject it to EPSG:4326, and write it again")


def check_info(info: Mapping[str, Any]) -> None:
    """Refuse a layer whose coordinate system names files, before it is made one of pyproj.

    :param info: What pyogrio says of the layer (``read_info``).
    :raises ValueError: with the reason, for the end of a message.
    """
    if info["crs"] is not None:
        check_description(str(info["crs"]))

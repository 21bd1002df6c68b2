"""Files that GDAL finds beside a raster, looked at before it opens them.

Overviews and masks there are rasters that it opens by any of its drivers, some of which go to other files and
addresses; coordinate systems there it hands to PROJ, which opens what they name.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from eotasks.errors import EOTasksError, ImageryError
from eotasks.geometry.descriptions import check_description
from eotasks.geometry.stored_systems import check_sidecar
from eotasks.imagery.xml import local_name, parse_xml
from eotasks.limits import METADATA_BYTES
from eotasks.reading import open_regular, read_regular

LISTING = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}
"""Of GDAL: it looks for names in small letters and capitals, not for those that are like them, or in a list of all."""

_RASTERS = (".ovr", ".msk", ".msk.ovr", ".aux", ".rrd")
_ENDINGS = (*_RASTERS, ".aux.xml", *(f"{ending}.aux.xml" for ending in _RASTERS))
_HEADERS = (".prj", ".hdr")
_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"EHFA_HEADER_TAG")
"""Of TIFF, BigTIFF and Erdas Imagine, as GDAL and ArcGIS write overviews and masks."""

_IN_HEADER = re.compile(r"^\s*coordinate system string\s*=\s*\{?(.*?)\}?\s*$", re.IGNORECASE | re.MULTILINE)
"""Of ENVI; GDAL joins lines up to a closing brace."""


def check_beside(path: str, where: str, *, headers: bool) -> None:
    """Refuse a raster beside which lies what would lead GDAL elsewhere.

    :param path: Of the raster, on this machine.
    :param where: The raster, for messages.
    :param headers: Whether it may be of a format whose header and system lie beside (ENVI, EHdr, ASCII grids).
    :raises ImageryError: when there is such a file.
    :raises OSError: when one is no regular file.
    """
    for beside in _beside(path, (*_ENDINGS, *(_HEADERS if headers else ()))):
        try:
            _check(beside, where)
        except ValueError as error:
            if isinstance(error, EOTasksError):
                raise
            raise ImageryError(f"{where}: {beside}: {error}.") from error


def _beside(path: str, endings: Sequence[str]) -> Iterator[Path]:
    """What of the names that GDAL looks for is there: the raster's own, and its stem, with an ending."""
    bases = dict.fromkeys([path, str(Path(path).with_suffix(""))])
    for base, ending in itertools.product(bases, endings):
        for written in (ending, ending.upper()):
            if os.path.lexists(base + written) and base + written != path:
                yield Path(base + written)


def _check(beside: Path, where: str) -> None:
    ending = beside.suffix.lower()
    if ending == ".prj":
        with open_regular(beside) as stream:
            check_sidecar(stream)
    elif ending in _RASTERS:
        with open_regular(beside) as stream:
            if not stream.read(16).startswith(_BEGINNINGS):
                raise ValueError("it is no TIFF, and could name other files: remove it")
    elif ending == ".xml":
        _check_metadata(beside, where)
    elif ending == ".hdr":
        text = " ".join(read_regular(beside, METADATA_BYTES).decode("utf-8", "replace").split(" "))
        for found in _IN_HEADER.finditer(re.sub(r"\{[^}]*\}", lambda braces: braces[0].replace("\n", " "), text)):
            if found[1].strip():
                check_description(found[1])


def _check_metadata(beside: Path, where: str) -> None:
    for element in parse_xml(read_regular(beside, METADATA_BYTES), f"{where}: {beside}").iter():
        attributes = [value for name, value in element.attrib.items() if name.lower() == "projection"]
        texts = [element.text] if local_name(element).lower() in ("srs", "wkt") else []
        for text in (*texts, *attributes):
            if text is not None and text.strip():
                check_description(text)

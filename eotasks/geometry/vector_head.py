"""How a vector file begins: GDAL goes by that, and not by the name, and one of its formats names other files and
addresses, all of which it opens.
"""

from __future__ import annotations

import os
from pathlib import PurePath

from eotasks.reading import open_regular

_HEADS = {".gpkg": b"SQLite format 3\0", ".geojson": b"{", ".json": b"{"}
_ELSEWHERE = b"<OGR"
"""Of what OGR's own formats begin with, which say where the data lie."""

_MARK = b"\xef\xbb\xbf"
_BYTES = 4096


def check_head(path: str | os.PathLike[str]) -> None:
    """Refuse a file on this machine whose content is not of the format that its name says, or leads elsewhere.

    A description of OGR (``.vrt``) is opened where that is its name: who gives it by that name knows what it is.

    :raises OSError: it is no regular file, or cannot be read.
    :raises ValueError: with the reason, for the end of a message.
    """
    suffix = PurePath(path).suffix.lower()
    with open_regular(path) as stream:
        begin = stream.read(_BYTES).removeprefix(_MARK).lstrip()
    head = _HEADS.get(suffix)
    if head is not None and not begin.startswith(head):
        raise ValueError(f"it does not begin as {suffix[1:]} does")
    if begin.startswith(_ELSEWHERE) and suffix != ".vrt":
        raise ValueError("it names another file instead of what its name says")

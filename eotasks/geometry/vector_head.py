"""How a vector file begins: GDAL goes by that, and not by the name, and some of its formats name other files and
addresses, all of which it opens.
"""

from __future__ import annotations

import os
from pathlib import PurePath

from eotasks.reading import open_regular

_HEADS = {".gpkg": b"SQLite format 3\0", ".geojson": b"{", ".json": b"{"}
_DESCRIPTION = b"<ogrvrt"
_ELSEWHERE = (_DESCRIPTION, b"gdal_streamed_alg", b"wfs_capabilities", b"<ogrwfs", b"describefeaturetype")
"""In the heads of what says where the data lie, in small letters: OGR's own description, GDAL's recorded command, what
a WFS says of itself, and the address of a schema that GML is read by. GDAL looks for the first two anywhere in a head.
"""

_MARK = b"\xef\xbb\xbf"
_BYTES = 1 << 16
"""Of the head."""


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
    small = begin.lower()
    if any(words in small for words in _ELSEWHERE) and not (suffix == ".vrt" and _DESCRIPTION in small):
        raise ValueError("it names other files or addresses, as what its name says does not")

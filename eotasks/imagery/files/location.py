"""Where files of products lie, and what may be believed of names and sizes that others say.

What is inside an archive or behind an address is not ours: names that lead elsewhere are refused, nothing is unpacked,
and no file of metadata is read that is larger than any real one.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from eotasks.errors import ImageryError
from eotasks.storage.location import is_web

MAX_METADATA = 64 * 1024**2
"""Bytes of a file of metadata: those of a data strip reach 13 MB, those of a tile half of one."""

MAX_NAMES = 20_000
"""Files of one product: real ones have some hundred."""


def redacted(location: str) -> str:
    """A location for messages: no user, password or signature in it."""
    if not is_web(location):
        return location
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def checked_name(name: str, where: str) -> str:
    """A name inside a product.

    :raises ImageryError: when it leads out of it.
    """
    parts = name.split("/")
    if not name or "\\" in name or "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise ImageryError(f"{where}: holds a file named {name!r}, which leads out of the product. It is not read.")
    return name


def check_size(name: str, size: int, where: str) -> None:
    """Refuse to read a file into memory that is larger than it can be.

    :raises ImageryError: when it is.
    """
    if size > MAX_METADATA:
        raise ImageryError(
            f"{where}: {name} has {size:,} bytes, metadata has less than {MAX_METADATA:,}. It is not read."
        )

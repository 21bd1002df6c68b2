"""Where files of products lie, and what may be believed of names, sizes and versions that others say.

What is inside an archive or behind an address is not ours: names that lead elsewhere are refused, nothing is unpacked,
and no file of metadata is read that is larger than any real one.
"""

from __future__ import annotations

from typing import NamedTuple

from eotasks.errors import ImageryError
from eotasks.limits import METADATA_BYTES
from eotasks.text import excerpt


def checked_name(name: str, where: str) -> str:
    """A name inside a product.

    :raises ImageryError: when it leads out of it.
    """
    parts = name.split("/")
    if not name or "\\" in name or "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise ImageryError(
            f"{where}: holds a file named {excerpt(name, longest=200)}, which leads out of the product. It is not read."
        )
    return name


def check_size(name: str, size: int, where: str) -> None:
    """Refuse to read a file into memory that is larger than it can be.

    :raises ImageryError: when it is.
    """
    if size > METADATA_BYTES.value:
        raise ImageryError(f"{where}: {name} has {METADATA_BYTES.excess(size)}. It is not read.")


def is_other(tag: str | None, known: str | None) -> bool:
    """Whether two answers are of different versions of a file, as far as they say: an ETag is compared to ETags.

    :param tag: An ETag, or ``changed`` and a time.
    """
    if tag is None or known is None or tag.startswith("changed ") != known.startswith("changed "):
        return False
    return tag != known


class Version(NamedTuple):
    """Of a file on a server, or of the archive there that it lies in."""

    size: int
    """Bytes of what lies on the server."""

    tag: str | None
    """As of `is_other`; None when the server says nothing of it."""

    start: int = 0
    """Where the file lies in the archive."""

    def differs(self, known: Version) -> bool:
        """Whether this is certainly another version."""
        return self.size != known.size or self.start != known.start or is_other(self.tag, known.tag)

"""Versions of a file on a server: what tells that it was replaced while parts of it were read."""

from __future__ import annotations

from typing import NamedTuple


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

"""What of a text may be kept or printed: no password or signature of an address, nothing that a terminal obeys."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def redacted(location: str) -> str:
    """A location for messages: no user, password or signature in it."""
    if not location.startswith(("http://", "https://")):
        return location
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

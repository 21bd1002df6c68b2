"""What a location names, by its text alone: a path on disk, an object or prefix on S3, or an address on the web.

A location is a text, a path, or what has its location as its text, as `eotasks.storage.place.Place`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

Location = TypeVar("Location", str, Path)
"""A file on disk, or ``s3://bucket/key`` as text: what gives back the path that it was given."""


def is_s3(location: object) -> bool:
    """Whether a location is ``s3://bucket/…``."""
    return str(location)[:5].lower() == "s3://"


def is_web(location: object) -> bool:
    """Whether a location is ``http://…`` or ``https://…``."""
    return str(location)[:8].lower().startswith(("http://", "https://"))


def is_remote(location: object) -> bool:
    """Whether a location is an address, on S3 or on the web, and no path on disk."""
    return is_s3(location) or is_web(location)


def plain_scheme(location: str) -> str:
    """A location with its scheme in small letters, as all here compare it: ``HTTPS://`` and ``S3://`` mean the same."""
    if not is_remote(location):
        return location
    scheme, mark, rest = location.partition("://")
    return f"{scheme.lower()}{mark}{rest}"


def absolute(location: str | os.PathLike[str]) -> str:
    """A location that means the same from any folder: URLs stay, paths become absolute."""
    text = os.fspath(location)
    return text if "://" in text or text.startswith("/vsi") else os.path.abspath(text)  # noqa: PTH100 - keeps symlinks

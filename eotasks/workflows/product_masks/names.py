"""Names of products, of which folders and files of results are named."""

from __future__ import annotations

import os
from pathlib import Path

from eotasks.errors import ImageryError
from eotasks.text import NAME_BYTES, redacted, refuse_name

_ENDING_BYTES = len("_quicklook.png")
"""Of the longest ending that files of results have."""


def check_name(name: str, location: str) -> None:
    """Refuse a product whose name cannot be that of the folder and files of its results, before any work.

    :raises ImageryError: it holds what nobody sees, leads elsewhere, or is too long.
    """
    reason = refuse_name(name, longest=NAME_BYTES - _ENDING_BYTES)
    if reason is not None:
        raise ImageryError(f"{redacted(location)}: its name {name!r} cannot be that of a folder: {reason}.")


def product_name(location: str | Path) -> str:
    """Name of a product by where it lies: that of its folder, archive or item, without .SAFE, .zip and .json."""
    text = redacted(str(location))
    name = text.rstrip("/").rpartition("/")[2] if "://" in text else resolved(location).name
    for ending in (".zip", ".json", ".SAFE"):
        name = name.removesuffix(ending)
    return name


def resolved(location: str | Path) -> Path:
    """A path without links, as far as it can be followed."""
    try:
        return Path(location).resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, a character that no path has
        return Path(os.path.abspath(location))  # noqa: PTH100 - looks at nothing

"""Where the files of an archive lie, and what they are called."""

from __future__ import annotations

import datetime as dt
import re

from eotasks.catalogue.store import ARCHIVE_CATALOGUE, Catalogue
from eotasks.storage.place import Place

ARCHIVE_FILE = "archive.json"
CATALOGUE_FILE = ARCHIVE_CATALOGUE
MASKS = "masks"
STAGE = "archive"
"""Name of the batch that makes masks."""

_TILE = re.compile(r"^\d{2}[A-Z]{3}$")
_OTHER = "other"
_PARTS = 5
"""Of the path of a file of masks in its archive."""


def folder_of(name: str, tile: str | None, time: dt.datetime) -> str:
    """The folder of a product's masks in its archive: by tile and year, so that none holds more than some thousands.

    :param name: Of the product, checked by `eotasks.workflows.product_masks.names.check_name`.
    :param tile: Such as "33UUU"; what is no tile of the military grid goes to ``other``.
    :param time: Of the acquisition.
    """
    there = tile if tile is not None and _TILE.match(tile) else _OTHER
    return f"{MASKS}/{there}/{time.year:04d}/{name}"


def folder_below(href: str) -> str | None:
    """The folder of a product that a file of masks lies in, in whichever archive; None where it lies in none."""
    parts = href.split("/")[-_PARTS:-1]
    fits = len(parts) == _PARTS - 1 and parts[0] == MASKS and not {"", ".", ".."} & set(parts)
    return "/".join(parts) if fits else None


def folder_in(place: Place, href: str) -> str | None:
    """The same of a file in this archive; None where it lies elsewhere."""
    folder = folder_below(href)
    return folder if folder is not None and href.startswith(f"{place}/{folder}/") else None


def catalogue_of_archive(place: Place) -> Catalogue:
    """The catalogue of an archive; its file need not be there yet."""
    return Catalogue(f"{place}/{CATALOGUE_FILE}")

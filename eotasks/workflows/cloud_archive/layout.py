"""Where the files of an archive lie, and what they are called."""

from __future__ import annotations

import datetime as dt
import re

from eotasks.catalogue.store import Catalogue
from eotasks.storage.place import Place

ARCHIVE_FILE = "archive.json"
CATALOGUE_FILE = "catalogue.parquet"
MASKS = "masks"
STAGE = "archive"
"""Name of the batch that makes masks."""

_TILE = re.compile(r"^\d{2}[A-Z]{3}$")
_OTHER = "other"


def folder_of(name: str, tile: str | None, time: dt.datetime) -> str:
    """The folder of a product's masks in its archive: by tile and year, so that none holds more than some thousands.

    :param name: Of the product, checked by `eotasks.workflows.product_masks.names.check_name`.
    :param tile: Such as "33UUU"; what is no tile of the military grid goes to ``other``.
    :param time: Of the acquisition.
    """
    there = tile if tile is not None and _TILE.match(tile) else _OTHER
    return f"{MASKS}/{there}/{time.year:04d}/{name}"


def catalogue_of_archive(place: Place) -> Catalogue:
    """The catalogue of an archive; its file need not be there yet."""
    return Catalogue(f"{place}/{CATALOGUE_FILE}")

"""What names of products say of a frame: when it was taken, and whether its numbers carry an offset."""

from __future__ import annotations

import datetime as dt
import re

from eotasks.imagery.products.metadata import parse_product_name
from eotasks.imagery.products.offsets import carries_offset
from eotasks.models.sentinel2 import BANDS, BASELINE_OFFSET

_TIME = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)")
_OLD_TIME = re.compile(r"_V(\d{8}T\d{6})")
"""In names of before December 2016 the first times are those of making."""


def time_in(name: str) -> dt.datetime | None:
    """The time that a name says, naive UTC: the start of the data take. None where it says none.

    :param name: Of a product in any of ESA's forms, or an identifier of Earth Engine (TIME_TIME_TILE).
    """
    found = _OLD_TIME.search(name) or _TIME.search(name)
    if found is None:
        return None
    try:
        return dt.datetime.strptime(found[1], "%Y%m%dT%H%M%S")  # noqa: DTZ007 - naive UTC, as everywhere here
    except ValueError:  # a month 13
        return None


def offset_of(name: str) -> int:
    """What is to be added to digital numbers of a product: -1000 from processing baseline 04.00 on, else 0.

    A name that says no baseline gives 0. An offset that is there all the same is found later: detectors refuse bands
    whose B10 is nowhere dark.
    """
    facts = parse_product_name(name.partition(".")[0])
    return -BASELINE_OFFSET if facts is not None and carries_offset(facts.baseline) else 0


def band_called(name: str) -> str | None:
    """The band that others call "1", "B1", "B01", "8a" or "B8A"; None for what is none."""
    plain = name.strip().upper().removeprefix("B").lstrip("0")
    wanted = f"B{plain.zfill(2)}"
    return wanted if wanted in BANDS else None

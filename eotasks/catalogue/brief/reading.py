"""Reading brief items of files, by a search or a window of time after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.brief.items import COLUMNS, BriefItem, brief_items
from eotasks.catalogue.engine import has_times, matching_rows, read_found, times_of
from eotasks.catalogue.fields import MADE_OF
from eotasks.catalogue.request import SearchRequest
from eotasks.imagery.files.origin import Origin

_MARKS = ("id", MADE_OF, "assets.CLM.href")


def read_brief(
    database: Any, paths: Sequence[str], request: SearchRequest, where: str, origin: Origin
) -> list[BriefItem]:
    """Items that a request is for, ordered by time and then by id.

    :param where: The catalogue, for messages.
    """
    found = matching_rows(database, paths, request) if paths else []
    items: list[Any] = [None] * len(found)
    for table, places in read_found(paths, found, columns=COLUMNS):
        for place, item in zip(places, brief_items(table, where, origin), strict=True):
            items[place] = item
    return items


def read_marks(database: Any, paths: Sequence[str], request: SearchRequest) -> dict[str, tuple[str, str | None]]:
    """File of CLM, and what it was made of where that is said, of items with masks, by their ids."""
    found = matching_rows(database, paths, request) if paths else []
    marks: dict[str, tuple[str, str | None]] = {}
    for table, _ in read_found(paths, found, columns=_MARKS):
        if "assets" not in table.column_names:
            continue
        made = table.column(MADE_OF).to_pylist() if MADE_OF in table.column_names else [None] * table.num_rows
        for name, assets, made_of in zip(
            table.column("id").to_pylist(), table.column("assets").to_pylist(), made, strict=True
        ):
            href = ((assets or {}).get("CLM") or {}).get("href")
            if isinstance(href, str):
                marks[name] = href, made_of
    return marks


def window_edges(
    database: Any, paths: Sequence[str], request: SearchRequest, rows: int
) -> tuple[NDArray[np.int64], int]:
    """Times between windows of about so many items of a request, and how many of them, at least, have no time.

    :return: Microseconds since 1970 (UTC), where each window begins; empty without items.
    """
    if not paths:
        return np.empty(0, np.int64), 0
    if not all(map(has_times, paths)):  # but texts, which others may write
        return np.empty(0, np.int64), 1
    times, undated = times_of(database, paths, request)
    times.sort()
    return np.unique(times[::rows]), undated

"""What a catalogue holds, counted by DuckDB over its files."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eotasks.catalogue.engine import columns_of, patterns_of

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC
_FILES = "read_parquet(?, hive_partitioning = false)"


@dataclass(frozen=True)
class CatalogueSummary:
    """What a catalogue holds."""

    items: int
    first: dt.datetime | None
    """UTC, naive."""

    last: dt.datetime | None
    tiles: int
    levels: Mapping[str, int]
    """Items by level."""

    platforms: Mapping[str, int]
    """Items by satellite."""

    masks: int
    """Items with CLP and CLM."""

    shadows: int
    """Items with SHADOW."""

    bounds: tuple[float, float, float, float] | None
    """(west, south, east, north) in degrees; west is greater than east where it goes over the antimeridian."""


def summarise(database: Any, paths: Sequence[str]) -> dict[str, Any]:
    """Fields of :class:`CatalogueSummary` but for the bounds.

    :param paths: Files of one catalogue.
    """
    total: dict[str, Any] = {"items": 0, "first": None, "last": None, "masks": 0, "shadows": 0}
    tiles, levels, platforms = set[str](), Counter[str](), Counter[str]()
    for group in _alike(paths):
        columns, assets = columns_of(group[0]), _kinds_of_assets(database, group[0])
        files = [patterns_of(group)]
        masks = "assets.CLP IS NOT NULL AND assets.CLM IS NOT NULL" if {"CLP", "CLM"} <= assets else "false"
        shadows = "assets.SHADOW IS NOT NULL" if "SHADOW" in assets else "false"
        row = database.execute(
            "SELECT count(*), epoch_us(min(datetime)), epoch_us(max(datetime)),"  # noqa: S608 - columns of ours
            f" count(*) FILTER ({masks}), count(*) FILTER ({shadows}) FROM {_FILES}",
            files,
        ).fetchone()
        total["items"] += row[0]
        total["first"] = min((each for each in (total["first"], row[1]) if each is not None), default=None)
        total["last"] = max((each for each in (total["last"], row[2]) if each is not None), default=None)
        total["masks"] += row[3]
        total["shadows"] += row[4]
        if "grid:code" in columns:
            tiles.update(_counts(database, group, '"grid:code"', stated=True))
        levels.update(_counts(database, group, '"processing:level"' if "processing:level" in columns else "NULL"))
        platforms.update(_counts(database, group, "platform" if "platform" in columns else "NULL"))
    return {
        **total,
        "first": _naive(total["first"]),
        "last": _naive(total["last"]),
        "tiles": len(tiles),
        "levels": dict(sorted(levels.items())),
        "platforms": dict(sorted(platforms.items())),
    }


@dataclass(frozen=True, slots=True)
class MaskRow:
    """An item with CLM."""

    id: str
    href: str
    """Of CLM."""

    time: dt.datetime | None
    """UTC, naive."""


def rows_with_masks(database: Any, path: str) -> list[MaskRow]:
    """The items of a file that have CLM."""
    columns_of(path)
    if "CLM" not in _kinds_of_assets(database, path):
        return []
    rows = database.execute(
        f"SELECT id, assets.CLM.href, epoch_us(datetime) FROM {_FILES} WHERE assets.CLM.href IS NOT NULL",  # noqa: S608 - no value
        [patterns_of([path])],
    ).fetchall()
    return [MaskRow(str(name), str(href), _naive(time)) for name, href, time in rows]


def _alike(paths: Sequence[str]) -> list[list[str]]:
    """Files of the same columns and assets together."""
    if len(paths) == 1:
        columns_of(paths[0])
        return [list(paths)]
    groups: dict[object, list[str]] = {}
    for path in paths:
        groups.setdefault(columns_of(path), []).append(path)
    return list(groups.values())


def _kinds_of_assets(database: Any, path: str) -> frozenset[str]:
    """Words of the type of the assets, their keys among them."""
    kind = database.execute(f"SELECT typeof(assets) FROM {_FILES} LIMIT 1", [patterns_of([path])]).fetchone()  # noqa: S608 - no value
    return frozenset(re.findall(r"\w+", kind[0]) if kind is not None else ())


def _counts(database: Any, paths: Sequence[str], column: str, *, stated: bool = False) -> dict[str, int]:
    """How often each value is there.

    :param stated: Whether only rows with one count.
    """
    rows = database.execute(
        f"SELECT {column}, count(*) FROM {_FILES} GROUP BY 1 ORDER BY 1",  # noqa: S608 - a column of ours
        [patterns_of(paths)],
    ).fetchall()
    return {
        str(value if value is not None else "not stated"): count
        for value, count in rows
        if value is not None or not stated
    }


def _naive(microseconds: int | None) -> dt.datetime | None:
    """Naive UTC. DuckDB's own conversion of times with a zone wants a package more."""
    return None if microseconds is None else _EPOCH + dt.timedelta(microseconds=microseconds)

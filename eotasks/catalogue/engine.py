"""Searching a GeoParquet file with DuckDB, and reading the rows that were found.

The search looks at few columns and gives numbers of rows; only the row groups that hold these are read whole. Boxes are
compared first, which row groups without a match do not survive, and footprints after that.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.packages import package
from eotasks.catalogue.places import check_places
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.table import pick_rows
from eotasks.errors import ImageryError
from eotasks.limits import CATALOGUE_BYTES
from eotasks.parquet_pages import chunks_of_group, footer, version_of

if TYPE_CHECKING:
    import pyarrow as pa

_NEEDED = ("id", "geometry", "datetime")
_BOX = "(bbox.xmin <= ? AND bbox.xmax >= ? AND bbox.ymin <= ? AND bbox.ymax >= ?)"  # east, west, north, south
_IN_ROWS = "list_contains(CAST(? AS BIGINT[]), file_row_number)"
_ASSETS, _DOTS_OF_FIELD = "assets.", 2
_ROUNDING = 1e-9
"""Per cent: 0.29 * 100 is less than 29."""

_LEVELS = ("processing:level", "product:type", "s2:product_type", "collection")


def matching_rows(database: Any, paths: Sequence[str], request: SearchRequest) -> list[tuple[int, int]]:
    """The rows that a request is for, ordered by time and then by id: number of the file, and of the row in it.

    :param database: A cursor of :func:`eotasks.catalogue.packages.database`.
    :param paths: Files of one catalogue.
    :raises ImageryError: when a file has no places and times, or a place that is no polygon.
    """
    if len(paths) == 1:
        query, values = _query(paths, request, "file_row_number")
        return [(0, row) for (row,) in database.execute(query, values).fetchall()]
    found: list[tuple[Any, str, int, int]] = []
    for group in _of_one_form(paths, request):
        if len(group) == 1:
            (number,) = group
            query, values = _query([paths[number]], request, "epoch_us(datetime), id, file_row_number")
            found += [(time, name, number, row) for time, name, row in database.execute(query, values).fetchall()]
            continue
        chosen = [paths[number] for number in group]
        query, values = _query(chosen, request, "epoch_us(datetime), id, filename, file_row_number")
        numbers = dict(zip(chosen, group, strict=True))
        rows = database.execute(query, values).fetchall()
        found += [(time, name, numbers[path], row) for time, name, path, row in rows]
    found.sort(key=lambda each: (each[0] is None, each[0], each[1] or ""))
    return [(file, row) for _, _, file, row in found[: request.limit]]


def _query(paths: Sequence[str], request: SearchRequest, wanted: str, *, ordered: bool = True) -> tuple[str, list[Any]]:
    """A query over files of one form, and its values.

    :param wanted: What is selected.
    """
    foreign = check_places(paths[0]).foreign if request.area is not None and len(paths) == 1 else {}
    conditions, values = _conditions(request, columns_of(paths[0]), foreign)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = "" if request.limit is None else f"LIMIT {request.limit:d}"
    names = "filename = true, " if len(paths) > 1 else ""
    # What is put into the text are names of columns and numbers; values of the user are bound.
    query = (
        f"SELECT {wanted} FROM read_parquet(?, {names}file_row_number = true, hive_partitioning = false)"  # noqa: S608
        f" {where} {'ORDER BY datetime, id' if ordered else ''} {limit}"
    )
    return query, [patterns_of(paths), *values]


def _of_one_form(paths: Sequence[str], request: SearchRequest) -> list[list[int]]:
    """Numbers of files that one query can search: of the same columns, and places in our form or one file alone."""
    groups: dict[object, list[int]] = {}
    for number, path in enumerate(paths):
        columns = columns_of(path)
        alone = "filename" in columns or (request.area is not None and check_places(path).foreign)
        groups.setdefault(number if alone else columns, []).append(number)
    return list(groups.values())


def times_of(database: Any, paths: Sequence[str], request: SearchRequest) -> tuple[NDArray[np.int64], int]:
    """(n,) times of the rows that a request is for, in microseconds since 1970 (UTC), and how many have none."""
    times: list[NDArray[np.int64]] = []
    undated = 0
    for group in _of_one_form(paths, request):
        query, values = _query([paths[number] for number in group], request, "epoch_us(datetime) AS t", ordered=False)
        found = database.execute(query, values).fetchnumpy()["t"]
        absent = np.ma.getmaskarray(found)
        undated += int(absent.sum())
        times.append(np.asarray(np.ma.getdata(found)[~absent], dtype=np.int64))
    return np.concatenate(times) if times else np.empty(0, np.int64), undated


def read_found(
    paths: Sequence[str], found: Sequence[tuple[int, int]], *, columns: Sequence[str] | None = None
) -> list[tuple[pa.Table, list[int]]]:
    """Rows of several files: a table for each file, and where its rows stand among those asked for.

    :param found: Of :func:`matching_rows`.
    :param columns: As of :func:`read_rows`.
    :raises ImageryError: when they are more than a catalogue has.
    """
    places: dict[int, list[int]] = {}
    for place, (file, _) in enumerate(found):
        places.setdefault(file, []).append(place)
    tables, size = [], 0
    for file, wanted in places.items():
        table = read_rows(paths[file], [found[place][1] for place in wanted], columns=columns)
        tables.append((table, wanted))
        size += table.nbytes
        if size > CATALOGUE_BYTES.value:
            raise ImageryError(f"{paths[file]}: rows of {CATALOGUE_BYTES.excess()}. Search for fewer.")
    return tables


def rows_named(paths: Sequence[str], found: Sequence[tuple[int, int]], names: frozenset[str]) -> list[tuple[int, int]]:
    """Those of the rows found whose items have one of some ids."""
    wanted = set[int]()
    for table, places in read_found(paths, found, columns=["id"]):
        ids = table.column("id").to_pylist()
        wanted.update(place for place, name in zip(places, ids, strict=True) if name in names)
    return [found[place] for place in sorted(wanted)]


def read_rows(path: str, rows: Sequence[int], *, columns: Sequence[str] | None = None) -> pa.Table:
    """Some rows of a file, in the order asked for; only row groups that hold one of them are read.

    :param columns: Names of columns, or of their leaves; None for all that have a value there.
    """
    metadata = footer(path)
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    wanted: NDArray[np.int64] = np.asarray(rows, dtype=np.int64)
    groups, group_of = np.unique(np.searchsorted(starts, wanted, side="right") - 1, return_inverse=True)
    before = np.cumsum([0, *(sizes[group] for group in groups)])[:-1]
    inside = wanted - starts[groups][group_of] + before[group_of]
    if columns is None:
        columns = sorted(
            {name for group in groups for name in _leaves_with_values(path, *version_of(path), int(group))}
        )
    return pick_rows(path, metadata, path, groups.tolist(), inside, columns=columns)


@lru_cache(maxsize=1024)
def _leaves_with_values(path: str, modified: int, size: int, inode: int, group: int) -> frozenset[str]:  # noqa: ARG001
    """Leaves of the columns of a row group, without those of assets that it has no value of: each takes its time, and
    most items have few of the fields that a file has room for.
    """
    leaves = chunks_of_group(path, group)
    empty = {leaf.name for leaf in leaves if leaf.name.startswith(_ASSETS) and leaf.is_empty}

    def is_absent(name: str) -> bool:
        # A list that is empty says more than one that is absent, where there is an asset at all.
        return name in empty and (name.count(".") <= _DOTS_OF_FIELD or f"{_ASSETS}{name.split('.')[1]}.href" in empty)

    return frozenset(leaf.name for leaf in leaves if not is_absent(leaf.name))


def _pattern(path: str) -> str:
    """A path for DuckDB, which takes names for patterns: of other files whose names match it would mix in rows.

    :raises ImageryError: when it cannot be said as a pattern.
    """
    pattern = re.sub(r"[*?\[]", r"[\g<0>]", path)
    if pattern != path and "\\" in path:  # there it would mean something else, too
        raise ImageryError(f"{path}: a name with both \\ and one of * ? [ cannot be searched. Rename the catalogue.")
    return pattern


def patterns_of(paths: Sequence[str]) -> list[str]:
    """Paths for DuckDB."""
    return [_pattern(path) for path in paths]


def columns_of(path: str) -> frozenset[str]:
    """Names of the columns of a file.

    :raises ImageryError: when it is no file of STAC items.
    """
    return _columns_of(path, *version_of(path))


def has_times(path: str) -> bool:
    """Whether the column of times of a file is one.

    :raises ImageryError: when it is no file of STAC items.
    """
    columns_of(path)
    return bool(package("pyarrow").types.is_timestamp(footer(path).schema.to_arrow_schema().field("datetime").type))


@lru_cache(maxsize=1024)
def _columns_of(path: str, *_: int) -> frozenset[str]:
    columns = frozenset(footer(path).schema.to_arrow_schema().names)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise ImageryError(f"{path}: no column {', '.join(missing)}, so this is no GeoParquet file of STAC items.")
    return columns


def _conditions(
    request: SearchRequest, columns: frozenset[str], foreign: Mapping[int, BaseGeometry]
) -> tuple[list[str], list[Any]]:
    """Conditions of a query, and the values that they are for.

    :param foreign: Places that the file has in another form than ours, by row; they are compared here.
    """
    conditions: list[str] = []
    values: list[Any] = []
    if request.area is not None:
        place = ["ST_Intersects(geometry, ST_GeomFromWKB(?))"]
        if "bbox" in columns:
            place.insert(0, "(" + " OR ".join([_BOX] * len(request.boxes)) + ")")
            for west, south, east, north in request.boxes:
                values += [east, west, north, south]
        values.append(shapely.to_wkb(request.area))
        if foreign:
            rows = np.array(list(foreign))
            found = rows[shapely.intersects(request.area, np.array(list(foreign.values()), dtype=object))]
            place = [f"(({' AND '.join(place)} AND NOT {_IN_ROWS}) OR {_IN_ROWS})"]
            values += [rows.tolist(), found.tolist()]
        conditions += place
    for sign, moment in ((">=", request.start), ("<=", request.end)):
        if moment is not None:
            conditions.append(f"datetime {sign} ?")
            values.append(moment.replace(tzinfo=dt.UTC))
    if request.max_cloud_cover is not None and "eo:cloud_cover" in columns:
        conditions.append('("eo:cloud_cover" IS NULL OR "eo:cloud_cover" <= ?)')
        values.append(request.max_cloud_cover * 100 + _ROUNDING)
    if request.level is not None:
        known = ", ".join(f'"{name}"' for name in _LEVELS if name in columns)
        value = f"coalesce({known}, id)" if known else "id"
        conditions.append(f"contains(upper({value}), ?)")
        values.append(request.level[1:])
    if request.tile is not None:
        codes = [f"MGRS-{request.tile.lstrip('0')}", f"MGRS-{request.tile}"]
        column = '"grid:code"' if "grid:code" in columns else "'MGRS-' || \"s2:mgrs_tile\""
        conditions.append(f"{column} IN (?, ?)")
        values += codes
    return conditions, values

"""Searching a GeoParquet file with DuckDB, and reading the rows that were found.

The search looks at few columns and gives numbers of rows; only the row groups that hold these are read whole. Boxes are
compared first, which row groups without a match do not survive, and footprints after that.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.pages import footer
from eotasks.catalogue.places import check_places
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.table import pick_rows
from eotasks.errors import ImageryError

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC
_NEEDED = ("id", "geometry", "datetime")
_BOX = "(bbox.xmin <= ? AND bbox.xmax >= ? AND bbox.ymin <= ? AND bbox.ymax >= ?)"  # east, west, north, south
_IN_ROWS = "list_contains(CAST(? AS BIGINT[]), file_row_number)"
_LEVELS = ("processing:level", "product:type", "s2:product_type", "collection")


def matching_rows(database: Any, path: str, request: SearchRequest) -> list[int]:
    """Numbers of the rows that a request is for, ordered by time and then by id.

    :param database: A cursor of :func:`eotasks.catalogue.packages.database`.
    :raises ImageryError: when the file has no places and times, or a place that is no polygon.
    """
    columns = columns_of(path)
    foreign = check_places(path).foreign if request.area is not None else {}
    conditions, values = _conditions(request, columns, foreign)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = "" if request.limit is None else f"LIMIT {request.limit:d}"
    # What is put into the text are names of columns and numbers; values of the user are bound.
    query = (
        "SELECT file_row_number FROM read_parquet(?, file_row_number = true, hive_partitioning = false) "  # noqa: S608
        f"{where} ORDER BY datetime, id {limit}"
    )
    return [row[0] for row in database.execute(query, [_pattern(path), *values]).fetchall()]


def read_rows(path: str, rows: Sequence[int]) -> pa.Table:
    """Some rows of a file, in the order asked for; only row groups that hold one of them are read."""
    metadata = footer(path)
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    wanted: NDArray[np.int64] = np.asarray(rows, dtype=np.int64)
    groups, group_of = np.unique(np.searchsorted(starts, wanted, side="right") - 1, return_inverse=True)
    before = np.cumsum([0, *(sizes[group] for group in groups)])[:-1]
    return pick_rows(path, metadata, path, groups.tolist(), wanted - starts[groups][group_of] + before[group_of])


def _pattern(path: str) -> str:
    """A path for DuckDB, which takes names for patterns: of other files whose names match it would mix in rows.

    :raises ImageryError: when it cannot be said as a pattern.
    """
    pattern = re.sub(r"[*?\[]", r"[\g<0>]", path)
    if pattern != path and "\\" in path:  # there it would mean something else, too
        raise ImageryError(f"{path}: a name with both \\ and one of * ? [ cannot be searched. Rename the catalogue.")
    return pattern


def columns_of(path: str) -> frozenset[str]:
    """Names of the columns of a file.

    :raises ImageryError: when it is no file of STAC items.
    """
    columns = frozenset(footer(path).schema.to_arrow_schema().names)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise ImageryError(f"{path}: no column {', '.join(missing)}, so this is no GeoParquet file of STAC items.")
    return columns


def summarise(database: Any, path: str) -> dict[str, Any]:
    """Fields of :class:`eotasks.catalogue.store.CatalogueSummary`."""
    columns = columns_of(path)
    places = check_places(path)
    tile = '"grid:code"' if "grid:code" in columns else "NULL"
    level = '"processing:level"' if "processing:level" in columns else "NULL"
    platform = "platform" if "platform" in columns else "NULL"
    assets = _kinds_of_assets(database, path)
    masks = "assets.CLP IS NOT NULL AND assets.CLM IS NOT NULL" if {"CLP", "CLM"} <= assets else "false"
    shadows = "assets.SHADOW IS NOT NULL" if "SHADOW" in assets else "false"
    row = database.execute(
        "SELECT count(*), epoch_us(min(datetime)), epoch_us(max(datetime)),"  # noqa: S608 - columns of ours
        f" count(DISTINCT {tile}), count(*) FILTER ({masks}), count(*) FILTER ({shadows})"
        " FROM read_parquet(?, hive_partitioning = false)",
        [_pattern(path)],
    ).fetchone()
    return {
        "items": row[0],
        "first": _naive(row[1]),
        "last": _naive(row[2]),
        "tiles": row[3],
        "masks": row[4],
        "shadows": row[5],
        "bounds": places.bounds,
        "levels": _counts(database, path, level),
        "platforms": _counts(database, path, platform),
    }


def files_of_masks(database: Any, path: str) -> dict[str, str]:
    """The file of CLM of each item that has one, by the item's id."""
    columns_of(path)
    if "CLM" not in _kinds_of_assets(database, path):
        return {}
    rows = database.execute(
        "SELECT id, assets.CLM.href FROM read_parquet(?, hive_partitioning = false) WHERE assets.CLM.href IS NOT NULL",
        [_pattern(path)],
    ).fetchall()
    return {str(name): str(href) for name, href in rows}


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
        values.append(request.max_cloud_cover * 100)
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


def _kinds_of_assets(database: Any, path: str) -> frozenset[str]:
    """Words of the type of the assets, their keys among them."""
    kind = database.execute(
        "SELECT typeof(assets) FROM read_parquet(?, hive_partitioning = false) LIMIT 1", [_pattern(path)]
    ).fetchone()
    return frozenset(re.findall(r"\w+", kind[0]) if kind is not None else ())


def _counts(database: Any, path: str, column: str) -> dict[str, int]:
    rows = database.execute(
        f"SELECT {column}, count(*) FROM read_parquet(?, hive_partitioning = false) GROUP BY 1 ORDER BY 1",  # noqa: S608 - a column of ours
        [_pattern(path)],
    ).fetchall()
    return {str(value if value is not None else "not stated"): count for value, count in rows}


def _naive(microseconds: int | None) -> dt.datetime | None:
    """Naive UTC. DuckDB's own conversion of times with a zone wants a package more."""
    return None if microseconds is None else _EPOCH + dt.timedelta(microseconds=microseconds)

"""GeoParquet of others: what it says of itself, its pages and its places are looked at before Arrow and GEOS get them.

The readers of geopandas and GDAL believe it all: a place of WKB that nests deep ends the process, and a page of some
bytes may unpack to gigabytes. Read are plain columns of version 1 with places as WKB, as nearly all files have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.errors import EOTasksError, GeometryError, reason_of
from eotasks.extras import OptionalPackages
from eotasks.geometry.descriptions import system_of
from eotasks.geometry.wkb import check_wkb
from eotasks.limits import VECTOR_BYTES, VECTOR_FEATURES
from eotasks.parquet_pages import columns_by_dictionary
from eotasks.reading import check_regular
from eotasks.text import excerpt

_ENDINGS = (".parquet", ".geoparquet", ".pq")
_CODE = re.compile(r"[A-Za-z]{2,10}:\w{1,20}")
_LONGITUDE_FIRST = "OGC:CRS84"
"""Of a file that says nothing of its coordinate system."""

_package = OptionalPackages("zonal", "Files of GeoParquet need").package

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class GeoParquet:
    """What the end of a file says."""

    count: int
    """Of its rows."""

    columns: tuple[str, ...]
    """Those with one value in each row, without that of the geometries."""

    geometry: str
    """The column of the geometries that count."""

    crs: pyproj.CRS | None
    """None where it says that there is none."""

    groups: int


def is_geoparquet(path: str | Path) -> bool:
    """Whether a file is one, by its name."""
    return str(path).lower().endswith(_ENDINGS)


def _refusing(read: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Whatever is raised for the content of a file is our error, which does not say of which file."""

    @wraps(read)
    def reading(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        arrow = _package("pyarrow")
        try:
            return read(*arguments, **named)
        except GeometryError:
            raise
        except EOTasksError as error:  # of pages
            raise GeometryError(str(error)) from error
        except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else reason_of(error)
            raise GeometryError(f"cannot be read as GeoParquet ({reason})") from error

    return reading


@_refusing
def describe_geoparquet(path: str | Path) -> GeoParquet:
    """The columns of a file; no geometry is read.

    :raises GeometryError: it is damaged, too large, no GeoParquet of version 1, or has places that are not WKB; says
        what, but not of which file.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    check_regular(path, VECTOR_BYTES)
    metadata = _package("pyarrow.parquet").read_metadata(path)
    rows = metadata.num_rows
    if rows > VECTOR_FEATURES.value:
        raise GeometryError(VECTOR_FEATURES.excess(rows))
    name, crs = _places(metadata)
    columns = list(_plain_columns(metadata.schema))
    if name not in columns:
        raise GeometryError(f"has no column {excerpt(name)} of places as WKB")
    return GeoParquet(rows, tuple(each for each in columns if each != name), name, crs, metadata.num_row_groups)


@_refusing
def read_geoparquet(path: str | Path, columns: Sequence[str] | None = None) -> gpd.GeoDataFrame:
    """A file with its geometries, in longitude and latitude (OGC:CRS84) where it does not say its system.

    :param columns: Those to read, where they are there; None for all. Columns of lists and records are left out.
    :raises GeometryError: as `describe_geoparquet`.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    there = describe_geoparquet(path)
    wanted = there.columns if columns is None else [name for name in columns if name in there.columns]
    table = _table(path, there, [*wanted, there.geometry])
    shapes = _shapes(table.column(there.geometry))
    frame = table.drop_columns([there.geometry]).to_pandas()
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=there.crs)


@_refusing
def values_of(path: str | Path, column: str) -> Any:
    """The values of one column, without the geometries.

    :raises GeometryError: as `describe_geoparquet`.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    return _table(path, describe_geoparquet(path), [column]).to_pandas()[column]


def _table(path: str | Path, there: GeoParquet, columns: list[str]) -> Any:
    """Columns, read by their dictionaries where their values may be repeated often."""
    repeated = columns_by_dictionary(str(path), "it", groups=range(there.groups), limit=VECTOR_BYTES, together=True)
    with _package("pyarrow.parquet").ParquetFile(path, read_dictionary=sorted(repeated & set(columns))) as file:
        table = file.read(columns=columns, use_threads=False)
    return table.replace_schema_metadata(None)  # which pandas would believe


def _places(metadata: Any) -> tuple[str, pyproj.CRS | None]:
    """The column of places, and their coordinate system."""
    stored = (metadata.metadata or {}).get(b"geo")
    if stored is None:
        raise ValueError("it has no geometries: a table, and no GeoParquet")
    facts = parse_json_object(stored, ValueError)
    name, columns = facts.get("primary_column"), facts.get("columns")
    column = columns.get(name) if isinstance(columns, dict) and isinstance(name, str) else None
    if not isinstance(name, str) or not isinstance(column, dict):
        raise ValueError("it does not say which of its columns has places")
    if column.get("encoding") != "WKB":
        raise ValueError(f"its places are {excerpt(column.get('encoding'))}, not WKB")
    given = column.get("crs", _LONGITUDE_FIRST)
    if given is None:
        return name, None
    if isinstance(given, str) and not _CODE.fullmatch(given):
        raise ValueError(f"its coordinate system is {excerpt(given)}, neither a code nor PROJJSON")
    return name, system_of(given)


def _plain_columns(schema: Any) -> Iterator[str]:
    """Columns that have one value in each row."""
    for number in range(len(schema)):
        leaf = schema.column(number)
        if leaf.path == leaf.name and not leaf.max_repetition_level and leaf.max_definition_level <= 1:
            yield leaf.name


def _shapes(column: Any) -> NDArray[Any]:
    """(n,) geometries, None where there is none; those of a dictionary are made once."""
    found: list[NDArray[Any]] = [np.empty(0, dtype=object)]
    row = 0
    for chunk in column.chunks:
        is_packed = hasattr(chunk, "dictionary")
        index = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) if is_packed else np.arange(len(chunk))
        values = np.array([*(chunk.dictionary if is_packed else chunk).to_pylist(), None], dtype=object)
        used, first = np.unique(index, return_index=True)
        for number, where in zip(used.tolist(), first.tolist(), strict=True):
            _check_place(values[number], row + where)
        shapes = np.full(len(values), None, dtype=object)
        shapes[used] = shapely.from_wkb(values[used])
        found.append(shapes[index])
        row += len(chunk)
    return np.concatenate(found)


def _check_place(value: Any, row: int) -> None:
    if value is None:
        return
    try:
        if not isinstance(value, bytes):
            raise ValueError(f"{type(value).__name__}, not WKB")
        check_wkb(value)
    except ValueError as error:
        raise GeometryError(f"row {row}: its place is no geometry ({error})") from error

"""GeoParquet of others: what it says of itself, its pages and its places are looked at before Arrow and GEOS get them.

The readers of geopandas and GDAL believe it all: a place of WKB that nests deep ends the process, and a page of some
bytes may unpack to gigabytes. Read are plain columns of version 1 with places as WKB, as nearly all files have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.catalogue.pages import columns_by_dictionary
from eotasks.documents import parse_json_object
from eotasks.errors import AreaError, ImageryError, reason_of
from eotasks.extras import OptionalPackages
from eotasks.geometry.wkb import check_wkb
from eotasks.limits import VECTOR_BYTES, VECTOR_FEATURES
from eotasks.reading import check_regular
from eotasks.text import excerpt

ENDINGS = (".parquet", ".geoparquet", ".pq")

_package = OptionalPackages("zonal", "GeoParquet needs").package
_CODE = re.compile(r"[A-Za-z]{2,10}:\w{1,20}")
_LONGITUDE_FIRST = "OGC:CRS84"
"""Of a file that says nothing of its coordinate system."""


def read_geoparquet(path: Path) -> gpd.GeoDataFrame:
    """Plain columns and the places of a file; columns of lists and records are left out.

    :raises AreaError: it is absent, no GeoParquet of version 1, damaged, too large, or has places that are not WKB.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    if not path.exists():
        raise AreaError(f"{path} is not there: check the path.")
    try:
        check_regular(path, VECTOR_BYTES)
    except OSError as error:
        raise AreaError(f"{path} cannot be read as GeoParquet ({error.strerror}): give another file.") from error
    arrow, parquet = _package("pyarrow"), _package("pyarrow.parquet")
    try:
        return _read(path, parquet.read_metadata(path), parquet)
    except AreaError:
        raise
    except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
        raise AreaError(f"{path} cannot be read as GeoParquet ({reason_of(error)}): give another file.") from error


def _read(path: Path, metadata: Any, parquet: Any) -> gpd.GeoDataFrame:
    rows = metadata.num_rows
    if rows > VECTOR_FEATURES.value:
        raise AreaError(f"{path}: {VECTOR_FEATURES.excess(rows)}. Give a file of fewer features.")
    name, system = _description(path, metadata)
    columns = list(_plain_columns(metadata.schema))
    if name not in columns:
        raise AreaError(f"{path} has no column {excerpt(name)} of places as WKB: write it as GeoParquet with WKB.")
    try:
        groups = range(metadata.num_row_groups)
        repeated = columns_by_dictionary(str(path), str(path), groups=groups, limit=VECTOR_BYTES)
    except ImageryError as error:
        raise AreaError(str(error)) from error
    file = parquet.ParquetFile(path, metadata=metadata, read_dictionary=sorted(repeated & set(columns)))
    with file:
        table = file.read(columns=columns, use_threads=False)
    shapes = _shapes(table.column(name), path)
    plain = table.drop_columns([name]).replace_schema_metadata(None)  # what it holds for pandas has no say
    frame = plain.to_pandas()
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=system)


def _description(path: Path, metadata: Any) -> tuple[str, pyproj.CRS | None]:
    """The column of places, and their coordinate system."""

    def refuse(reason: str) -> AreaError:
        return AreaError(f"{path} cannot be read as GeoParquet ({reason}): give another file.")

    stored = (metadata.metadata or {}).get(b"geo")
    if stored is None:
        raise refuse("it does not say which of its columns has places")
    facts = parse_json_object(stored, refuse)
    name, columns = facts.get("primary_column"), facts.get("columns")
    column = columns.get(name) if isinstance(columns, dict) and isinstance(name, str) else None
    if not isinstance(name, str) or not isinstance(column, dict):
        raise refuse("it does not say which of its columns has places")
    if column.get("encoding") != "WKB":
        raise refuse(f"its places are {excerpt(column.get('encoding'))}, not WKB")
    given = column.get("crs", _LONGITUDE_FIRST)
    if given is None:
        return name, None
    if not (
        isinstance(given, dict) or (isinstance(given, str) and _CODE.fullmatch(given))
    ):  # PROJ opens files by texts
        raise refuse(f"its coordinate system is {excerpt(given)}")
    try:
        system = pyproj.CRS.from_user_input(given)
    except (pyproj.exceptions.CRSError, TypeError, ValueError) as error:
        raise refuse(f"its coordinate system is none: {reason_of(error)}") from error
    return name, system.source_crs if system.is_bound else system


def _plain_columns(schema: Any) -> Iterator[str]:
    """Columns that have one value in each row."""
    for number in range(len(schema)):
        leaf = schema.column(number)
        if leaf.path == leaf.name and not leaf.max_repetition_level and leaf.max_definition_level <= 1:
            yield leaf.name


def _shapes(column: Any, path: Path) -> NDArray[Any]:
    """(n,) geometries, None where there is none; those of a dictionary are made once."""
    found: list[NDArray[Any]] = [np.empty(0, dtype=object)]
    row = 0
    for chunk in column.chunks:
        is_packed = hasattr(chunk, "dictionary")
        index = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) if is_packed else np.arange(len(chunk))
        values = np.array([*(chunk.dictionary if is_packed else chunk).to_pylist(), None], dtype=object)
        used, first = np.unique(index, return_index=True)
        for number, where in zip(used.tolist(), first.tolist(), strict=True):
            _check_place(values[number], f"{path}, row {row + where}")
        shapes = np.full(len(values), None, dtype=object)
        shapes[used] = shapely.from_wkb(values[used])
        found.append(shapes[index])
        row += len(chunk)
    return np.concatenate(found)


def _check_place(value: Any, where: str) -> None:
    if value is None:
        return
    try:
        if not isinstance(value, bytes):
            raise ValueError(f"{type(value).__name__}, not WKB")
        check_wkb(value)
    except ValueError as error:
        raise AreaError(f"{where}: its place is no geometry ({error}). Write the file again.") from error

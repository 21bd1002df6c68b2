"""What workers leave for whoever joins it: tables of the fields that an image has whole; `pieces` has the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from eotasks.errors import ImageryError, StorageError, reason_of
from eotasks.limits import ARRAY_BYTES
from eotasks.parquet_pages import columns_by_dictionary
from eotasks.storage.place import Place
from eotasks.zonal.packages import package
from eotasks.zonal.table import POLYGON

PARTS = "parts"
PICTURES = "pictures"
"""Folders of results; pictures are drawn of the joined table."""


def table_path(name: str) -> str:
    """The table of an image."""
    return f"{PARTS}/{name}.parquet"


def pieces_path(name: str) -> str:
    """The pixels of an image."""
    return f"{PARTS}/{name}.npz"


def is_there(place: Place, name: str) -> bool:
    """Whether an image has been measured."""
    return place.exists(pieces_path(name)) and place.exists(table_path(name))


def write_tables(place: Place, name: str, tables: Iterable[pd.DataFrame], empty: pd.DataFrame) -> None:
    """Tables of one set of columns, each as a group of rows: whoever reads takes one at a time.

    :param empty: A table of these columns without rows.
    :raises StorageError: the place cannot be written.
    """
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    schema = arrow.Schema.from_pandas(empty, preserve_index=False)
    with (
        place.writing(table_path(name)) as path,
        parquet.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer,
    ):
        for table in tables:
            writer.write_table(arrow.Table.from_pandas(table, schema=schema, preserve_index=False))


def _columns(schema: Any) -> list[tuple[str, Any, bool]]:
    """Names and types; of dictionaries that of their values, as some Arrows read indices as wider."""
    kinds = package("pyarrow").types
    return [
        (each.name, each.type.value_type, True) if kinds.is_dictionary(each.type) else (each.name, each.type, False)
        for each in schema
    ]


def read_tables(place: Place, name: str, empty: pd.DataFrame, polygons: int) -> Iterator[pd.DataFrame]:
    """The tables of an image. Others may have put the file there: it is looked at before Arrow reads it.

    :param empty: A table of the columns that are due without rows.
    :param polygons: How many there are, whose indices the tables have.
    :raises StorageError: they are not there, damaged, or of other columns or polygons.
    """
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    due = arrow.Schema.from_pandas(empty, preserve_index=False)
    with place.reading(table_path(name)) as path:
        try:
            metadata = parquet.read_metadata(path)
            # Of a file that is opened by its dictionaries, as below, the schema says other types of their indices.
            if _columns(parquet.read_schema(path)) != _columns(due):
                raise ValueError("a table of other columns")
            groups = range(metadata.num_row_groups)
            packed = columns_by_dictionary(str(path), table_path(name), groups=groups, limit=ARRAY_BYTES)
            with parquet.ParquetFile(path, metadata=metadata, read_dictionary=sorted(packed & set(due.names))) as file:
                for group in groups:
                    table = file.read_row_group(group, use_threads=False).replace_schema_metadata(None).to_pandas()
                    if len(table) and not 0 <= table[POLYGON].min() <= table[POLYGON].max() < polygons:
                        raise ValueError("a table of other polygons")
                    yield table
        except (arrow.ArrowException, ImageryError, OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(place, table_path(name), error) from error


def damaged(place: Place, path: str, error: BaseException) -> StorageError:
    """The error for a file that workers have left and that is damaged."""
    return StorageError(f"{place}/{path} is damaged ({reason_of(error)}): remove it, and repeat the command.")

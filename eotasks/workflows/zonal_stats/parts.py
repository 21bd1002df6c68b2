"""What workers leave for whoever joins it: tables of the fields that an image has whole; `pieces` has the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from eotasks.errors import StorageError, reason_of
from eotasks.storage.place import Place
from eotasks.zonal.packages import package

PARTS = "parts"


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


def read_tables(place: Place, name: str) -> Iterator[pd.DataFrame]:
    """The tables of an image.

    :raises StorageError: they are not there, or damaged.
    """
    parquet = package("pyarrow.parquet")
    with place.reading(table_path(name)) as path:
        try:
            with parquet.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group).to_pandas()
        except (OSError, ValueError) as error:
            raise damaged(place, table_path(name), error) from error


def damaged(place: Place, path: str, error: BaseException) -> StorageError:
    """The error for a file that workers have left and that is damaged."""
    return StorageError(f"{place}/{path} is damaged ({reason_of(error)}): remove it, and repeat the command.")

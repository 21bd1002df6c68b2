"""What workers leave for whoever joins it: tables of the fields that an image has whole, pixels of the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from eotasks.errors import StorageError, reason_of
from eotasks.imagery.grid import Grid
from eotasks.limits import ARRAY_BYTES
from eotasks.models.zonal import PolygonPixels
from eotasks.storage.place import Place
from eotasks.zonal.packages import package
from eotasks.zonal.shared import Pieces

PARTS = "parts"
_NOTHING = "no pixels of fields that other images share"


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
            raise _damaged(place, table_path(name), error) from error


def write_pieces(place: Place, name: str, pieces: Pieces | None) -> None:
    """Pixels of an image; a file without any where there are none, which says that it was looked for.

    :raises StorageError: the place cannot be written.
    """
    content: dict[str, Any] = {"nothing": np.array(_NOTHING)}
    if pieces is not None:
        content = {
            "grid": np.array(json.dumps(asdict(pieces.grid))),
            "polygons": pieces.polygons,
            "starts": pieces.pixels.starts,
            "pixels": pieces.pixels.pixels,
            "weights": pieces.pixels.weights,
            "times": np.array(pieces.times, dtype="datetime64[us]"),
            "values": pieces.values,
            "states": pieces.states,
        }
    with place.writing(pieces_path(name)) as path, path.open("wb") as file:
        np.savez(file, **content)


def read_pieces(place: Place, name: str) -> Pieces | None:
    """The pixels of an image; None where it has none.

    :raises StorageError: they are not there, or damaged.
    """
    with place.reading(pieces_path(name)) as path:
        try:
            if path.stat().st_size > ARRAY_BYTES.value:
                raise StorageError(f"{place}/{pieces_path(name)}: {ARRAY_BYTES.excess(path.stat().st_size)}.")
            with np.load(path, allow_pickle=False) as found:
                if "nothing" in found:
                    return None
                return Pieces(
                    Grid(**json.loads(str(found["grid"]))),
                    found["polygons"],
                    PolygonPixels(found["starts"], found["pixels"], found["weights"]),
                    tuple(found["times"].tolist()),
                    found["values"],
                    found["states"],
                )
        except StorageError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(place, pieces_path(name), error) from error


def _damaged(place: Place, path: str, error: BaseException) -> StorageError:
    return StorageError(f"{place}/{path} is damaged ({reason_of(error)}): remove it, and repeat the command.")

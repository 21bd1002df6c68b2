"""The table as a file: GeoParquet or CSV, long or wide, written part by part and complete or absent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.storage.place import Place
from eotasks.workflows.report.cells import text_of_cell, with_plain_cells
from eotasks.zonal.packages import package
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.spectrum import with_mean_spectrum_probability
from eotasks.zonal.table import POLYGON, wide_table
from eotasks.zonal.vocabulary import ID, TIME

Form = Literal["long", "wide"]
Format = Literal["geoparquet", "csv"]

FILES: dict[str, str] = {"geoparquet": "fields.parquet", "csv": "fields.csv"}
"""Names of the results by format."""

_GEOMETRY = "geometry"


class Writer(Protocol):
    """Takes tables in long form, whose polygons are indices."""

    def write(self, table: pd.DataFrame) -> None:
        """One more."""


@contextlib.contextmanager
def table_writer(
    place: Place, polygons: Polygons, *, form: Form, file_format: Format, mean_spectrum: bool = False
) -> Iterator[Writer]:
    """Writes the result as tables come; the file is put in place when the block ends well, and not otherwise.

    :param mean_spectrum: Whether it has a column of the cloud probability of mean spectra.
    :raises StorageError: the place cannot be written.
    """
    opened = _parquet_writer if file_format == "geoparquet" else _csv_writer
    with place.writing(FILES[file_format]) as path, opened(path, polygons) as write:
        yield _Shaped(polygons, form, write, mean_spectrum=mean_spectrum)


class _Shaped:
    def __init__(
        self,
        polygons: Polygons,
        form: Form,
        write: Callable[[pd.DataFrame, NDArray[np.intp]], None],
        *,
        mean_spectrum: bool,
    ) -> None:
        self._polygons, self._form, self._write, self._mean_spectrum = polygons, form, write, mean_spectrum

    def write(self, table: pd.DataFrame) -> None:
        table = table.rename(columns={POLYGON: ID})
        if self._mean_spectrum:
            table = with_mean_spectrum_probability(table)
        if self._form == "wide":
            table = wide_table(table)
        indices = table[ID].to_numpy()
        table[ID] = self._polygons.ids[indices]
        self._write(table, indices)


@contextlib.contextmanager
def _csv_writer(path: Path, polygons: Polygons) -> Iterator[Callable[[pd.DataFrame, NDArray[np.intp]], None]]:  # noqa: ARG001 - as the other one
    with path.open("w", encoding="utf-8", newline="") as file:

        def write(table: pd.DataFrame, indices: NDArray[np.intp]) -> None:  # noqa: ARG001 - without geometries
            plain = with_plain_cells(table)
            texts = plain.assign(**{TIME: plain[TIME].dt.strftime("%Y-%m-%dT%H:%M:%SZ")})
            texts.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")

        yield write


@contextlib.contextmanager
def _parquet_writer(path: Path, polygons: Polygons) -> Iterator[Callable[[pd.DataFrame, NDArray[np.intp]], None]]:
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    wkb, ids = shapely.to_wkb(polygons.shapes), arrow.array(polygons.ids)  # of all: parts may look like another type
    writers: list[Any] = []

    def write(table: pd.DataFrame, indices: NDArray[np.intp]) -> None:
        flat = arrow.Table.from_pandas(_plain(table), preserve_index=False)
        flat = flat.set_column(flat.schema.get_field_index(ID), ID, ids.take(arrow.array(indices)))
        flat = flat.append_column(_GEOMETRY, arrow.array(wkb[indices], type=arrow.binary()))
        if not writers:
            schema = flat.schema.with_metadata({b"geo": json.dumps(_geo(polygons)).encode()})
            writers.append(parquet.ParquetWriter(path, schema, compression="zstd"))
        writers[0].write_table(flat.replace_schema_metadata(writers[0].schema.metadata))

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as texts: readers of other programs need not know dictionaries, and Parquet packs them anyway."""
    categories = [name for name in table.columns if isinstance(table[name].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(categories, str))


def _geo(polygons: Polygons) -> dict[str, Any]:
    """What GeoParquet 1.0.0 says of the column of geometries."""
    shapes = polygons.shapes[polygons.usable]
    facts: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({str(each.geom_type) for each in shapes}),
        "crs": pyproj.CRS.from_wkt(polygons.crs).to_json_dict(),
    }
    if len(shapes):
        facts["bbox"] = list(shapely.total_bounds(shapes))
    return {"version": "1.0.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: facts}}


def read_result(place: Place, file_format: Format, *, has_texts: bool) -> pd.DataFrame:
    """A written table, times as of UTC; of GeoParquet without its geometries.

    :param has_texts: Whether the ids are texts: a CSV file does not tell ``7`` from a text of that digit, and pandas
        takes ``NA`` and an empty text for none.
    :raises StorageError: it is not there.
    """
    with place.reading(FILES[file_format]) as path:
        if file_format == "csv":
            texts = {ID: text_of_cell} if has_texts else None  # pandas looks for nothing in what is converted
            table = pd.read_csv(path, converters=texts)
            return table.assign(**{TIME: pd.to_datetime(table[TIME], utc=True)})
        found = package("pyarrow.parquet").read_table(path)
        plain: pd.DataFrame = found.drop_columns([_GEOMETRY]).to_pandas()
        return plain

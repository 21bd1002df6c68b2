"""Places of a file that are in another form than ours: they are brought to it once for a file, and compared by us.

Others write what crosses the antimeridian in other ways than we do (`eotasks.geometry.antimeridian`), and the boxes of
such places by RFC 7946, with west greater than east. DuckDB compares all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.packages import package
from eotasks.errors import ImageryError
from eotasks.geometry.antimeridian import Bounds, bounds_of, boxes_of
from eotasks.imagery.footprints import from_wkb
from eotasks.limits import CATALOGUE_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

_SIDES = ("bbox.xmin", "bbox.xmax")

_BYTES = 1_000
"""That a place kept takes beside its corners, with its row."""


@dataclass(frozen=True)
class Places:
    """What the places of a file are."""

    foreign: Mapping[int, BaseGeometry]
    """In our form, those of rows that have them in another one, or whose `bbox` has west greater than east."""

    bounds: Bounds | None
    """Of all, in degrees; west is greater than east where they go over the antimeridian. None without any."""


def columns_of_places(file: Any) -> list[str]:
    """Columns of a Parquet file that :class:`PlacesReader` needs.

    :param file: A ``pyarrow.parquet.ParquetFile``.
    """
    there = {file.schema.column(number).path for number in range(len(file.schema))}
    return ["geometry", *(_SIDES if there.issuperset(_SIDES) else ())]


class PlacesReader:
    """Reads the places of a file, batch after batch; they are checked to be polygons before.

    :param path: For messages.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._foreign: dict[int, BaseGeometry] = {}
        self._boxes = np.empty((0, 4))
        self._row = self._size = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows, with the columns of :func:`columns_of_places`.

        :raises ImageryError: when a place is at none on Earth, or more are in another form than memory has room for.
        """
        column = batch.column(batch.schema.get_field_index("geometry"))
        stored, index = _each_once(column)
        with np.errstate(invalid="ignore"):  # of NaN, which is refused
            given = shapely.from_wkb(stored, on_invalid="ignore")  # a dictionary may hold what no row has
            bounds = shapely.bounds(given)
        turned = _turned(batch)
        there = np.append(~shapely.is_missing(given), False)  # the last stands for rows without a place
        odd = np.append(may_cross(bounds), False)
        rows = np.flatnonzero(there[index] & (odd[index] | turned))
        ours: dict[int, BaseGeometry] = {}
        for row in rows.tolist():
            number = int(index[row])
            content = stored[number]
            if number not in ours:
                ours[number] = from_wkb(content, f"{self._path}: row {self._row + row}")
            if turned[row] or shapely.to_wkb(ours[number]) != shapely.to_wkb(given[number]):
                self._foreign[self._row + row] = ours[number]
                self._size += _BYTES + len(content or b"")
            if self._size > CATALOGUE_BYTES.value:
                raise ImageryError(
                    f"{self._path}: places in a form of others of {CATALOGUE_BYTES.excess()}. Make a smaller catalogue."
                )
        usual = np.ones(len(bounds), np.bool_)
        usual[list(ours)] = False
        cut = [box for place in ours.values() for box in boxes_of(place)]
        usual &= ~np.isnan(bounds[:, 0])
        self._boxes = _merged(np.concatenate([self._boxes, bounds[usual], np.array(cut).reshape(-1, 4)]))
        self._row += len(batch)

    def places(self) -> Places:
        """What was read so far."""
        boxes = shapely.geometrycollections(shapely.box(*self._boxes.T)) if len(self._boxes) else None
        return Places(self._foreign, None if boxes is None else bounds_of(boxes))


def _each_once(column: Any) -> tuple[list[bytes | None], NDArray[np.int64]]:
    """Values of a column, those of a dictionary once, and for each row which it is; -1 for none."""
    column = getattr(column, "storage", column)
    if hasattr(column, "dictionary"):
        index = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return column.dictionary.to_pylist(), index
    return column.to_pylist(), np.arange(len(column))


def _turned(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """(n,) rows whose box has west greater than east."""
    number = batch.schema.get_field_index("bbox")
    if number < 0:
        return np.zeros(len(batch), np.bool_)
    compute = package("pyarrow.compute")
    west, east = (compute.struct_field(batch.column(number), name.partition(".")[2]) for name in _SIDES)
    return np.asarray(compute.fill_null(compute.greater(west, east), False), dtype=np.bool_)


def may_cross(bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) places that are wider than half the world, or reach out of it."""
    west, south, east, north = bounds.T
    inside: NDArray[np.bool_] = (west >= -180) & (east <= 180) & (east - west <= 180) & (south >= -90) & (north <= 90)
    return ~inside


def _merged(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) boxes of the same longitudes as many others, none of which meet; all of the same latitudes."""
    if not len(boxes):
        return boxes
    boxes = boxes[np.argsort(boxes[:, 0])]
    reached = np.maximum.accumulate(boxes[:, 2])
    first = np.flatnonzero(np.concatenate([[True], boxes[1:, 0] > reached[:-1]]))
    last = np.concatenate([first[1:], [len(boxes)]]) - 1
    south, north = np.full(len(first), boxes[:, 1].min()), np.full(len(first), boxes[:, 3].max())
    return np.column_stack([boxes[first, 0], south, reached[last], north])

"""The column of places of a GeoParquet file, checked before DuckDB or GEOS gets it.

Others write what crosses the antimeridian in other ways than we do: such places are brought to our form here, once for
a file, and compared by us. DuckDB compares all others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.packages import package
from eotasks.catalogue.pages import columns_by_dictionary, footer
from eotasks.errors import ImageryError
from eotasks.geometry.antimeridian import Bounds, bounds_of, boxes_of
from eotasks.imagery.footprints import check_wkb, from_wkb
from eotasks.limits import CATALOGUE_BYTES, FOOTPRINT_CORNERS

if TYPE_CHECKING:
    import pyarrow as pa

_SIDES = ("bbox.xmin", "bbox.xmax")

_USUAL = 13
"""Bytes before the corners of a polygon of one ring."""


@dataclass(frozen=True)
class Places:
    """What the places of a file are."""

    foreign: Mapping[int, BaseGeometry]
    """In our form, those of rows that have them in another one, or whose `bbox` has west greater than east."""

    bounds: Bounds | None
    """Of all, in degrees; west is greater than east where they go over the antimeridian. None without any."""


def check_places(path: str) -> Places:
    """Refuse a file of whose places one is no polygon; a file is looked at again when it has changed.

    :raises ImageryError: naming the row.
    """
    facts = Path(path).stat()
    return _check_file(path, facts.st_mtime_ns, facts.st_size, facts.st_ino)


@lru_cache(maxsize=8)
def _check_file(path: str, *_: int) -> Places:
    metadata = footer(path)
    groups = range(metadata.num_row_groups)
    by_dictionary = columns_by_dictionary(path, metadata, path, groups=groups, column="geometry")
    file = package("pyarrow.parquet").ParquetFile(path, metadata=metadata, read_dictionary=sorted(by_dictionary))
    row = size = 0
    foreign: dict[int, BaseGeometry] = {}
    boxes = np.empty((0, 4))
    wanted = ["geometry", *(name for name in _SIDES if _has(file, name))]
    batches = (file.iter_batches(columns=wanted, row_groups=[group]) for group in groups)
    for batch in chain.from_iterable(batches):  # each group has a dictionary of its own
        places = batch.column(batch.schema.get_field_index("geometry"))
        check_column(places, f"{path}: row", first=row)
        stored, number = _distinct(getattr(places, "storage", places))
        with np.errstate(invalid="ignore"):  # of NaN, which is refused
            bounds = shapely.bounds(shapely.from_wkb(stored))[number]
        absent = np.array([each is None for each in stored], np.bool_)[number]
        turned, cut = _turned(batch), []
        for index in np.flatnonzero(_may_cross(bounds) & ~absent | turned):
            content = stored[number[index]]
            found = from_wkb(content, f"{path}: row {row + index}")
            bounds[index] = np.nan
            cut += boxes_of(found)
            if turned[index] or shapely.to_wkb(found) != shapely.to_wkb(shapely.from_wkb(content)):
                foreign[row + int(index)] = found
                size += len(content)
        if size > CATALOGUE_BYTES.value:
            raise ImageryError(
                f"{path}: places in a form of others of {CATALOGUE_BYTES.excess()}. Make a smaller catalogue."
            )
        boxes = _merged(np.concatenate([boxes, bounds[~np.isnan(bounds[:, 0])], np.array(cut).reshape(-1, 4)]))
        row += len(batch)
    return Places(foreign, bounds_of(shapely.geometrycollections(shapely.box(*boxes.T))) if len(boxes) else None)


def _distinct(places: pa.Array) -> tuple[list[bytes | None], NDArray[np.int64]]:
    """Places, those by a dictionary once however often they are there; and (n,) which of them a row has."""
    arrow = package("pyarrow")
    if not arrow.types.is_dictionary(places.type):
        return places.to_pylist(), np.arange(len(places))
    indices = places.indices.fill_null(-1).to_numpy().astype(np.int64)
    wanted, number = np.unique(indices, return_inverse=True)
    present = wanted[wanted >= 0]
    return [None] * (len(wanted) - len(present)) + places.dictionary.take(arrow.array(present)).to_pylist(), number


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


def _has(file: Any, name: str) -> bool:
    """Whether a file has a column inside of a structure, such as bbox.xmin."""
    return any(file.schema.column(number).path == name for number in range(len(file.schema)))


def _turned(batch: Any) -> NDArray[np.bool_]:
    """(n,) rows whose box has west greater than east."""
    number = batch.schema.get_field_index("bbox")
    if number < 0:
        return np.zeros(len(batch), np.bool_)
    compute = package("pyarrow.compute")
    west, east = (compute.struct_field(batch.column(number), name.partition(".")[2]) for name in _SIDES)
    return np.asarray(compute.fill_null(compute.greater(west, east), False), dtype=np.bool_)


def _may_cross(bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) places that are wider than half the world, or reach out of it."""
    west, south, east, north = bounds.T
    inside: NDArray[np.bool_] = (west >= -180) & (east <= 180) & (east - west <= 180) & (south >= -90) & (north <= 90)
    return ~inside


def check_column(places: pa.Array, where: str, *, first: int = 0) -> None:
    """Refuse places that are no polygons in WKB; absent ones pass.

    :param first: Number of the first, for the message.
    :raises ImageryError: naming the first that is none.
    """
    arrow = package("pyarrow")
    kind, rows = getattr(places.type, "storage_type", places.type), None
    if arrow.types.is_dictionary(kind):  # each place once, however often it is there
        wanted, rows = np.unique(places.indices.drop_null().to_numpy(), return_index=True)
        places = places.dictionary.take(arrow.array(wanted))
        kind = places.type
    if kind not in (arrow.binary(), arrow.large_binary()):
        raise ImageryError(f"{where} {first}: its place is {places.type}, not WKB. Write it again.")
    stored = getattr(places, "storage", places).cast(arrow.large_binary())
    for index in np.flatnonzero(~_is_usual(stored)):
        content = stored[int(index)].as_py()
        try:
            if content is not None:
                check_wkb(content)
        except (ValueError, struct.error) as error:
            row = first + int(index if rows is None else rows[index])
            raise ImageryError(f"{where} {row}: its place is no polygon ({error}). Write it again.") from error


def _is_usual(places: Any) -> NDArray[np.bool_]:
    """(n,) little-endian polygons of one ring of two numbers a corner, which all but few are, and nothing behind it."""
    _, offsets, data = places.buffers()
    if data is None:
        return np.zeros(len(places), np.bool_)
    edges = np.frombuffer(offsets, np.int64)[places.offset : places.offset + len(places) + 1]
    content = np.frombuffer(data, np.uint8)
    lengths = np.diff(edges)
    usual = (lengths >= _USUAL) & (lengths <= _USUAL + 16 * FOOTPRINT_CORNERS.value)
    starts = edges[:-1][usual]
    heads = np.ascontiguousarray(content[starts[:, None] + np.arange(_USUAL)])
    kind, rings, corners = heads[:, 1:].copy().view("<u4").T
    sound = (heads[:, 0] == 1) & (kind == 3) & (rings == 1)
    usual[usual] = sound & (_USUAL + 16 * corners.astype(np.int64) == lengths[usual])
    return usual

"""The column of places of a GeoParquet file, checked before DuckDB or GEOS gets it."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.foreign import Places, PlacesReader, columns_of_places
from eotasks.catalogue.packages import package
from eotasks.errors import ImageryError
from eotasks.geometry.antimeridian import Bounds
from eotasks.imagery.footprints import check_wkb
from eotasks.limits import FOOTPRINT_CORNERS
from eotasks.parquet_pages import columns_by_dictionary, footer, version_of

if TYPE_CHECKING:
    import pyarrow as pa

_USUAL = 13
"""Bytes before the corners of a polygon of one ring."""


_SOUND: dict[tuple[str, int, int, int], Bounds | None] = {}
"""Files whose places are all in our form, of which a catalogue in parts has many, and the bounds of these."""

_MOST_SOUND = 4096


def check_places(path: str) -> Places:
    """Refuse a file of whose places one is no polygon; a file is looked at again when it has changed.

    :return: What they are.
    :raises ImageryError: naming the row.
    """
    key = (path, *version_of(path))
    if key in _SOUND:
        return Places({}, _SOUND[key])
    found = _check_file(*key)
    if not found.foreign:
        while len(_SOUND) >= _MOST_SOUND:
            _SOUND.pop(next(iter(_SOUND)), None)
        _SOUND[key] = found.bounds
    return found


@lru_cache(maxsize=8)
def _check_file(path: str, *_: int) -> Places:
    metadata = footer(path)
    groups = range(metadata.num_row_groups)
    by_dictionary = columns_by_dictionary(path, path, groups=groups, column="geometry")
    file = package("pyarrow.parquet").ParquetFile(path, metadata=metadata, read_dictionary=sorted(by_dictionary))
    row, reader, columns = 0, PlacesReader(path), columns_of_places(file)
    batches = (file.iter_batches(columns=columns, row_groups=[group]) for group in groups)
    for batch in chain.from_iterable(batches):  # each group has a dictionary of its own
        index = batch.schema.get_field_index("geometry")
        if index < 0:  # none of that name, or several
            raise ImageryError(f"{path}: it has not one column geometry, as catalogues have. Make the catalogue anew.")
        check_column(batch.column(index), f"{path}: row", first=row)
        reader.add(batch)
        row += len(batch)
    return reader.places()


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
        except ValueError as error:
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

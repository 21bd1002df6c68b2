"""Tables of the fields that lie on several images, some dates of their pixels at a time."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import shapely

from eotasks.errors import AreaError
from eotasks.limits import ARRAY_BYTES
from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.pieces import PieceFile, bytes_of_date, open_pieces
from eotasks.workflows.zonal_stats.sources.base import ImagePlace
from eotasks.zonal.coverage import on_grid
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.shared import SAME_PASS, Outlines, Pieces, Share, joined_block
from eotasks.zonal.table import POLYGON, joined, long_table

_HELD = 8
"""Images whose pixels of shared fields are at hand at once, at least."""

_TOGETHER = 200
"""Tables of shared fields that are given at once."""

CHUNK_BYTES = 128 * 1024**2
"""Of values of the images of a field that are read at once; a single date may be more."""


def images_of_shared(shares: Sequence[Share], there: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Shared polygons with the images that have parts of them, neighbours one after the other.

    Those of which an image is not there are left out: statistics of a part are not those of the polygon.

    :param there: Images that could be read.
    """
    lost = set(range(len(shares))) - set(there)
    halved = {polygon for index in lost for polygon in shares[index].shared.tolist()}
    found: dict[int, list[int]] = {}
    for index in there:
        for polygon in shares[index].shared.tolist():
            if polygon not in halved:
                found.setdefault(polygon, []).append(index)
    return sorted(((polygon, tuple(each)) for polygon, each in found.items()), key=lambda each: (each[1], each[0]))


def refuse_too_large(
    polygons: Polygons, images: Sequence[ImagePlace], shares: Sequence[Share], quantities: int
) -> None:
    """Fields whose pixels cannot be put together even for a single date.

    :param quantities: How many values a pixel has.
    :raises AreaError: names the field and the limit.
    """
    for polygon, places in images_of_shared(shares, range(len(images))):
        grids = {images[index].grid: None for index in places}
        pixels = float(sum(grid.height * grid.width for grid in grids))
        if bytes_of_date(round(pixels), quantities) <= ARRAY_BYTES.value:
            continue
        grid = next(iter(grids))
        (shape,) = on_grid(polygons.shapes[[polygon]], polygons.crs, grid)
        pixels = min(pixels, float(shapely.area(shape)) / (grid.across * grid.down))
        needed = bytes_of_date(round(pixels), quantities)
        if needed > ARRAY_BYTES.value:
            raise AreaError(
                f"Polygon {polygons.ids[polygon]} lies on {len(grids):,} images, and its {round(pixels):,} pixels of"
                f" {quantities} indices are {ARRAY_BYTES.excess(needed)} at a date. Allow more, ask for fewer indices,"
                " or cut it."
            )


def shared_tables(
    place: Place,
    polygons: Polygons,
    images: Sequence[ImagePlace],
    shares: Sequence[Share],
    there: Sequence[int],
    bands: Sequence[str],
    percentiles: Sequence[float],
) -> Iterator[pd.DataFrame]:
    """Tables in long form, whose polygons are indices.

    :param there: Images that could be read.
    :raises StorageError: what workers left of them is not there, or damaged.
    """
    shared = images_of_shared(shares, there)
    outlines = Outlines(polygons, [polygon for polygon, _ in shared])
    tables: list[pd.DataFrame] = []
    with _Held(place, images, len(bands)) as held:
        for places, group in itertools.groupby(shared, key=lambda each: each[1]):
            own = [polygon for polygon, _ in group]
            for parts in _parts(held.files(places)):
                for polygon in own:
                    block = joined_block(polygon, parts, percentiles, outlines)
                    if block is not None and block.times:
                        tables.append(long_table(np.array([polygon]), block, bands, percentiles, key=POLYGON))
                    if len(tables) == _TOGETHER:
                        yield joined(tables)
                        tables = []
    if tables:
        yield joined(tables)


def _parts(files: Sequence[PieceFile]) -> Iterator[list[Pieces]]:
    """Pixels of the same images at some times after the others."""
    together = max(1, CHUNK_BYTES // max(1, sum(file.bytes_of_date() for file in files)))
    for numbers in times_together([file.times for file in files], together):
        yield [file.pieces(each) for file, each in zip(files, numbers, strict=True)]


def times_together(times: Sequence[Sequence[dt.datetime]], most: int) -> Iterator[list[list[int]]]:
    """Which times of each image are taken together: passes are never cut.

    :param times: Of each image.
    :param most: Of one image, about; more where its times are less than those of a pass apart.
    """
    chosen: list[list[int]] = [[] for _ in times]
    before: dt.datetime | None = None
    for time, index, number in sorted((t, i, n) for i, each in enumerate(times) for n, t in enumerate(each)):
        is_next_pass = before is not None and time - before >= SAME_PASS
        if is_next_pass and max(map(len, chosen)) >= most:
            yield chosen
            chosen = [[] for _ in times]
        chosen[index].append(number)
        before = time
    if before is not None:
        yield chosen


class _Held:
    """Files of the images that were asked for last."""

    def __init__(self, place: Place, images: Sequence[ImagePlace], quantities: int) -> None:
        self._place, self._images, self._quantities = place, images, quantities
        self._files: dict[int, tuple[PieceFile | None, contextlib.ExitStack]] = {}

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *details: object) -> None:
        while self._files:
            self._close(next(iter(self._files)))

    def files(self, places: Sequence[int]) -> list[PieceFile]:
        """Those of images, without the ones that have no pixel of shared fields."""
        for index in places:
            self._files[index] = self._files.pop(index) if index in self._files else self._open(index)
        while len(self._files) > max(_HELD, len(places)):
            self._close(next(iter(self._files)))
        return [file for index in places if (file := self._files[index][0]) is not None]

    def _open(self, index: int) -> tuple[PieceFile | None, contextlib.ExitStack]:
        stack = contextlib.ExitStack()
        image = self._images[index]
        return stack.enter_context(open_pieces(self._place, image.name, self._quantities, image.grid)), stack

    def _close(self, index: int) -> None:
        self._files.pop(index)[1].close()

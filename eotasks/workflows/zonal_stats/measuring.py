"""The step that workers run: statistics of the fields of one image place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import shapely
from eolearn.core import EOTask
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.parts import write_tables
from eotasks.workflows.zonal_stats.pieces import PieceWriter, piece_writer
from eotasks.workflows.zonal_stats.sources.base import ImagePlace, ImageSource
from eotasks.zonal.coverage import Coverage, coverage_of
from eotasks.zonal.frames import ZonalFrame, blocks_of
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity
from eotasks.zonal.table import POLYGON, long_table, rows_without_numbers
from eotasks.zonal.vocabulary import Status

ROWS = 100_000
"""Of polygons and times, that are held in memory before they are written."""


class MeasureFieldsTask(EOTask):
    """Measures the fields of one image place, and leaves table and pixels in the place of results.

    Images pass one at a time, and rows are written as they come: memory does not grow with the dates.
    """

    def __init__(
        self, source: ImageSource, place: Place, quantities: Sequence[Quantity], percentiles: Sequence[float]
    ) -> None:
        self.source = source
        self.place = place
        self.quantities = tuple(quantities)
        self.percentiles = tuple(percentiles)

    def execute(
        self, *, image: ImagePlace, crs: str, own: tuple[NDArray[np.intp], list[bytes]],
        shared: tuple[NDArray[np.intp], list[bytes]],
    ) -> None:  # fmt: skip
        """
        :param image: What is read.
        :param crs: Of the polygons, as WKT.
        :param own: Polygons that it has whole: their indices, and their geometries as WKB.
        :param shared: Polygons that it has in part.
        :raises EOTasksError: the images cannot be read, or the place cannot be written.
        """
        mine, mine_of = _coverage(crs, tuple(own[1]), image.grid), own[0]
        parts, parts_of = _coverage(crs, tuple(shared[1]), image.grid), shared[0]
        shares = Coverage(parts_of[parts.polygons], parts.pixels, parts.whole, parts.beyond)
        empty = rows_without_numbers(
            np.zeros(0, dtype=np.int64), (), [each.name for each in self.quantities], self.percentiles, key=POLYGON
        )
        with piece_writer(self.place, image.name, image.grid, shares, len(self.quantities)) as pieces:
            frames = self._passing(image, pieces)
            write_tables(self.place, image.name, self._tables(frames, mine, mine_of), empty)

    def _passing(self, image: ImagePlace, pieces: PieceWriter) -> Iterator[ZonalFrame]:
        for frame in self.source.frames(image, self.quantities):
            pieces.take(frame)
            yield frame

    def _tables(
        self, frames: Iterator[ZonalFrame], coverage: Coverage, indices: NDArray[np.intp]
    ) -> Iterator[pd.DataFrame]:
        bands = [each.name for each in self.quantities]
        for block in blocks_of(
            frames, coverage.pixels, percentiles=self.percentiles, most=ROWS, beyond=coverage.beyond
        ):  # fmt: skip
            yield long_table(indices[coverage.polygons], block, bands, self.percentiles, key=POLYGON)


def _coverage(crs: str, shapes: tuple[bytes, ...], grid: Grid) -> Coverage:
    digest = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in shapes)).hexdigest()
    key = (crs, digest, grid)
    if key not in _KEPT:
        if len(_KEPT) >= _MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
        polygons = Polygons(
            np.arange(len(shapes)), shapely.from_wkb(np.array(shapes, dtype=object)), (Status.OK,) * len(shapes), crs
        )
        _KEPT[key] = coverage_of(polygons, grid)
    return _KEPT[key]


_MOST_KEPT = 4
_KEPT: dict[tuple[str, str, Grid], Coverage] = {}
"""Parts of pixels by polygons and grid, in each worker: products of one tile come one after the other."""

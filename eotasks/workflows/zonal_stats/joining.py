"""From what workers left to the table: fields of one image as they are, those of several put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.options import SHOWN
from eotasks.workflows.zonal_stats.output import Writer
from eotasks.workflows.zonal_stats.parts import read_tables
from eotasks.workflows.zonal_stats.shared_fields import shared_tables
from eotasks.workflows.zonal_stats.sources.base import ImagePlace
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.shared import Share
from eotasks.zonal.table import POLYGON, joined, rows_without_numbers
from eotasks.zonal.vocabulary import AREA_PIXELS, OVER, STATUS, TIME, Over, Status


@dataclass
class Totals:
    """What the rows of a table say, counted as they pass."""

    rows: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """Rows over clear pixels by status."""

    times: set[pd.Timestamp] = field(default_factory=set)
    smaller: set[int] = field(default_factory=set)
    """Polygons that are smaller than a pixel."""

    written: set[int] = field(default_factory=set)
    """Polygons with rows, of a time or of none."""

    def take(self, table: pd.DataFrame) -> None:
        """Count the rows of a table."""
        self.rows += len(table)
        self.written.update(table[POLYGON].unique().tolist())
        clear = table[table[OVER] == Over.CLEAR]
        self.states.update(clear[STATUS].astype(str).tolist())
        timed = clear[clear[TIME].notna()]
        self.times.update(timed[TIME].unique())
        self.smaller.update(timed.loc[timed[AREA_PIXELS] < 1, POLYGON].unique().tolist())


class Joiner:
    """Writes the rows of all polygons: those of one image, of several, and of none."""

    def __init__(self, polygons: Polygons, bands: Sequence[str], percentiles: Sequence[float], writer: Writer) -> None:
        self._polygons, self._bands, self._percentiles, self._writer = polygons, bands, percentiles, writer
        self.totals = Totals()
        self._shown: dict[int, list[pd.DataFrame]] = {}

    @property
    def shown(self) -> pd.DataFrame:
        """The rows of the first fields that have any, for pictures: long form, with indices in the place of ids."""
        tables = [table for each in self._shown.values() for table in each]
        return joined(tables) if tables else pd.DataFrame()

    def take(self, tables: Iterable[pd.DataFrame]) -> None:
        """Tables of a source that makes them itself, and the rows of those that it has none of."""
        for table in tables:
            self._write(table)
        self._write_others([self._polygons.unseen_state(index) for index in range(len(self._polygons))])

    def join(
        self,
        place: Place,
        images: Sequence[ImagePlace],
        shares: Sequence[Share],
        failed: Collection[str],
        advance: Callable[[int, int], None],
    ) -> None:
        """What workers left.

        :param failed: Images that could not be read.
        :param advance: Is told how many images are done, of how many.
        """
        there = [index for index, image in enumerate(images) if image.name not in failed]
        empty = rows_without_numbers(np.array([], dtype=np.intp), [], self._bands, self._percentiles, key=POLYGON)
        for done, index in enumerate(there, start=1):
            for table in read_tables(place, images[index].name, empty, len(self._polygons)):
                self._write(table)
            advance(done, len(there))
        for table in shared_tables(place, self._polygons, images, shares, there, self._bands, self._percentiles):
            self._write(table)
        states = [self._polygons.unseen_state(index) for index in range(len(self._polygons))]
        for image, share in zip(images, shares, strict=True):
            status = Status.FAILED if image.name in failed else Status.NO_DATA
            for index in (*share.own, *share.shared):
                if states[index] != Status.FAILED:
                    states[index] = status
        self._write_others(states)

    def _write(self, table: pd.DataFrame) -> None:
        if len(table):
            self.totals.take(table)
            self._show(table)
            self._writer.write(table)

    def _show(self, table: pd.DataFrame) -> None:
        timed = table[table[TIME].notna()]
        new = [each for each in timed[POLYGON].unique().tolist() if each not in self._shown]
        for polygon in new[: SHOWN - len(self._shown)]:
            self._shown[polygon] = []
        wanted = timed[timed[POLYGON].isin(list(self._shown))]
        for polygon in wanted[POLYGON].unique().tolist():
            self._shown[polygon].append(wanted[wanted[POLYGON] == polygon])

    def _write_others(self, states: Sequence[Status]) -> None:
        """Rows without a time, of polygons that have no row yet."""
        written = np.array(sorted(self.totals.written), dtype=np.intp)
        others = np.setdiff1d(np.arange(len(self._polygons)), written)
        chosen = [states[index] for index in others]
        self._write(rows_without_numbers(others, chosen, self._bands, self._percentiles, key=POLYGON))

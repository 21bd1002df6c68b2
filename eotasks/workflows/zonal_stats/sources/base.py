"""What a source of field statistics is: images of places, or finished tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import pandas as pd

from eotasks.imagery.grid import Grid
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity


@dataclass(frozen=True)
class ImagePlace:
    """Images of one grid, at one time or several: a patch, a product, what one worker reads at once."""

    name: str
    """No two alike in a source; a folder's name."""

    grid: Grid

    version: str = ""
    """Another one where the images have changed: they are measured anew then. Empty where they never change."""


Window: TypeAlias = tuple[slice, slice]
"""Rows and columns, each with a start and a stop."""


@runtime_checkable
class ImageSource(Protocol):
    """A source of images. It is sent to worker processes, so it is configuration alone."""

    @property
    def title(self) -> str:
        """What it is, for the summary."""

    @property
    def simulated(self) -> bool:
        """Whether its numbers say nothing of the field."""

    @property
    def notes(self) -> Sequence[str]:
        """Lines for the summary: what of the numbers a reader has to know."""

    def places(self, quantities: Sequence[Quantity]) -> Sequence[ImagePlace]:
        """Its images, found without reading pixels.

        :raises EOTasksError: there are none, or they have not what the quantities are made of.
        """

    def frames(
        self, place: ImagePlace, quantities: Sequence[Quantity], window: Window | None = None
    ) -> Iterator[ZonalFrame]:
        """Images of a place, one at a time, in the order of time; asked for in a worker process.

        :param window: Rows and columns of the place that are wanted; None for all.
        :raises EOTasksError: they cannot be read.
        """


@runtime_checkable
class TableSource(Protocol):
    """A source that makes the statistics itself, as a service does."""

    @property
    def title(self) -> str:
        """What it is, for the summary."""

    @property
    def simulated(self) -> bool:
        """Whether its numbers say nothing of the field."""

    @property
    def notes(self) -> Sequence[str]:
        """Lines for the summary."""

    @property
    def failed(self) -> Mapping[str, str]:
        """Products or polygons of which no statistics could be made, and why: known when the tables have been taken."""

    def tables(
        self,
        polygons: Polygons,
        quantities: Sequence[Quantity],
        percentiles: Sequence[float],
        advance: Callable[[int, int], None],
    ) -> Iterator[pd.DataFrame]:
        """Tables in long form, in which the column `eotasks.zonal.table.POLYGON` has indices of the polygons in the
        place of ``id``; all rows of a polygon and time are in one table, in the order of `long_table`.

        :param advance: Is told how many parts are done, of how many.
        :raises EOTasksError: it does not answer.
        """


Source: TypeAlias = ImageSource | TableSource

"""A simulated year over the embedded scene as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import geopandas as gpd
from eolearn.core import EOPatch

from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import SimulateYearTask
from eotasks.workflows.water_level.sources.base import (
    BANDS,
    FINEST,
    IS_DATA,
    PixelSource,
    SourceRequest,
    lake_box,
)
from eotasks.workflows.water_level.sources.sample import SceneSource

ACQUISITIONS = 24


class SimulatedSource(SceneSource):
    """A year of the real ground of one scene; its lakes keep their size, so that their levels should stay."""

    title: ClassVar[str] = "a simulated year over the embedded scene"
    is_simulated: ClassVar[bool] = True

    def __init__(self, request: SourceRequest) -> None:
        self._surroundings = request.surroundings
        self._size = request.resolution or FINEST
        self._task = SimulateYearTask(
            BANDS, IS_DATA, seed=request.seed, acquisitions=ACQUISITIONS, snow=True, resolution=self._size
        )

    def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
        box, _ = lake_box(outline, self._size, self._surroundings, SAMPLE_BBOX.crs)
        yield self._task.execute(bbox=box)


def open_source(request: SourceRequest) -> PixelSource:
    """The source."""
    return SimulatedSource(request)

"""Simulated lakes with known levels as a source: what `--demo` measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import geopandas as gpd
import pandas as pd
from eolearn.core import EOPatch

from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.placing import place_lakes
from eotasks.models.simulation.lakes.season import LakeState
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import (
    LAKE_OUTLINES,
    TRUTH_LAKE_LEVEL,
    TRUTH_LAKE_STATE,
    SimulateYearTask,
    lake_outlines,
    sample_ground,
)
from eotasks.water.columns import TIME
from eotasks.water.outlines import ID, checked_outlines
from eotasks.workflows.water_level.sources.base import (
    BANDS,
    IS_DATA,
    LakeSource,
    PixelSource,
    SourceRequest,
    lake_box,
)

LAKES, ACQUISITIONS = 3, 24
SMALLEST, LARGEST = 350.0, 700.0
"""Metres, of disks with the area of the full lakes."""

CLOUDINESS = 0.15

PIXEL = 20.0
"""Metres, where no other size is asked for: a year of these lakes is simulated in seconds."""


class DemoSource(LakeSource):
    """A simulated year in which lakes of known basins fall, freeze, and turn muddy."""

    title: ClassVar[str] = "simulated lakes"
    is_simulated: ClassVar[bool] = True
    attribution: ClassVar[str] = "Contains modified Copernicus Sentinel data 2017."

    def __init__(self, request: SourceRequest) -> None:
        self._surroundings = request.surroundings
        self._size = request.resolution or PIXEL
        ground = sample_ground(self._size, request.seed)
        self._lakes: tuple[Lake, ...] = place_lakes(
            ground, LAKES, seed=request.seed, smallest=SMALLEST, largest=LARGEST
        )
        self._task = SimulateYearTask(
            BANDS,
            IS_DATA,
            seed=request.seed,
            acquisitions=ACQUISITIONS,
            snow=True,
            cloudiness=CLOUDINESS,
            resolution=self._size,
            lakes=self._lakes,
        )

    def own_outlines(self) -> gpd.GeoDataFrame:
        return checked_outlines(lake_outlines(self._lakes))

    def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
        box, _ = lake_box(outline, self._size, self._surroundings, SAMPLE_BBOX.crs)
        yield self._task.execute(bbox=box)

    def truth(self, eopatch: EOPatch) -> pd.DataFrame:
        levels, states = eopatch[TRUTH_LAKE_LEVEL], eopatch[TRUTH_LAKE_STATE]
        rows = [
            (name, time, float(levels[index, position]), LakeState(states[index, position]).name.lower())
            for index, time in enumerate(eopatch.timestamps or ())
            for position, name in enumerate(eopatch[LAKE_OUTLINES][ID])
        ]
        return pd.DataFrame(rows, columns=[ID, TIME, "true_level", "true_state"])


def open_source(request: SourceRequest) -> PixelSource:
    """The source."""
    return DemoSource(request)

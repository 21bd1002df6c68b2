"""The embedded acquisition as a source, and the lakes that OpenStreetMap has on its ground."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import geopandas as gpd
import pyogrio
from eolearn.core import EOPatch

from eotasks.sources.sample import SAMPLE_BBOX, LoadSampleTask
from eotasks.sources.sample_files import sample_reference_path
from eotasks.water.outlines import checked_outlines
from eotasks.workflows.water_level.sources.base import (
    BANDS,
    IS_DATA,
    LakeSource,
    PixelSource,
    SourceRequest,
    lake_box,
    on_scene,
)

LEAST_AREA = 20_000.0
"""Square metres of the lakes of the scene that are taken: 200 pixels."""

ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2017. Outlines of the lakes of the scene: © OpenStreetMap contributors"
    " (ODbL)."
)


def scene_lakes() -> gpd.GeoDataFrame:
    """The bodies of water of at least 2 ha that OpenStreetMap has on the embedded scene, the largest first."""
    frame = pyogrio.read_dataframe(sample_reference_path(), columns=["osm_id", "fclass", "name"])
    frame = frame[(frame["fclass"] == "water") & (frame.area >= LEAST_AREA)]
    frame = frame.iloc[(-frame.area).argsort(kind="stable")]
    return checked_outlines(frame.rename(columns={"osm_id": "id"}))


class SceneSource(LakeSource):
    """Pixels of the embedded scene, or made over it."""

    attribution: ClassVar[str] = ATTRIBUTION

    def own_outlines(self) -> gpd.GeoDataFrame:
        return scene_lakes()

    def _reached(self, outlines: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return on_scene(outlines, SAMPLE_BBOX, self.title)


class SampleSource(SceneSource):
    """One real date."""

    title: ClassVar[str] = "the embedded scene of 16 February 2017"

    def __init__(self, request: SourceRequest) -> None:
        self._surroundings = request.surroundings
        self._resolution = request.resolution

    def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
        box, size = lake_box(outline, self._resolution, self._surroundings, SAMPLE_BBOX.crs)
        yield LoadSampleTask(BANDS, IS_DATA, resolution=size).execute(bbox=box)


def open_source(request: SourceRequest) -> PixelSource:
    """The source."""
    return SampleSource(request)

"""What each date of simulated lakes is in truth, and what each method reads on it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import warnings
from collections.abc import Iterator, Sequence

from eolearn.core import EOPatch, FeatureType
from sentinelhub.geometry import BBox
from shapely.geometry.polygon import Polygon

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.shadows import AddCloudShadowTask
from eotasks.errors import ShadowWarning
from eotasks.features import Feature
from eotasks.models.rasters import pixel_transform
from eotasks.models.simulation.lakes.basin import outline
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.placing import place_lakes
from eotasks.models.simulation.lakes.season import LakeState
from eotasks.models.simulation.year import PLAIN, Realism
from eotasks.models.water.extent import outline_pixels
from eotasks.models.water.measure import WaterLevelSettings
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import (
    TRUTH_CIRRUS,
    TRUTH_CLOUD,
    TRUTH_LAKE_LEVEL,
    TRUTH_LAKE_STATE,
    TRUTH_SHADOW,
    SimulateYearTask,
    lake_outlines,
    sample_ground,
)
from eotasks.water.task import WaterLevelTask

SHADOW: Feature = (FeatureType.MASK, "SHADOW")
LEVELS: Feature = (FeatureType.VECTOR, "WATER_LEVEL")
IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")

SURROUNDINGS = 1000.0
"""Metres around a lake's frame that are simulated too, for the clouds that shade it."""

TOUCHED = 0.02
"""Share of the outline from which cloud, shadow or cirrus in truth makes a date one of that kind."""

_NO_CHECKS_OF_OURS = {
    "max_water_cloud_fraction": None,
    "max_frozen_fraction": None,
    "max_beyond_fraction": None,
    "min_threshold": None,
}

METHODS: dict[str, tuple[WaterLevelSettings, Feature | None]] = {
    "ours": (WaterLevelSettings(), SHADOW),
    "ours, no shadow mask": (WaterLevelSettings(), None),
    "BlueDot's own checks": (WaterLevelSettings("bluedot", **_NO_CHECKS_OF_OURS), None),
    "water-monitor's own": (WaterLevelSettings("water-monitor", **_NO_CHECKS_OF_OURS), None),
}
"""Name -> limits, and the mask of shadows."""

CLEAR = ("open", "turbid")
KINDS = (*CLEAR, "thin cirrus", "cloud shadow", "partly cloudy", "cloudy", "partly frozen", "frozen", "no data")
"""What a date is in truth over the outline: cloud goes before shadow, both before ice, ice before cirrus."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """One lake on one date by one method."""

    method: str
    seed: int
    lake: str
    time: dt.datetime
    kind: str
    truth: float
    status: str
    level: float
    """NaN where there is none."""

    @property
    def error(self) -> float:
        """In percent of the area of the full lake."""
        return 100 * (self.level - self.truth)


def readings(
    seeds: Sequence[int], *, lakes: int, acquisitions: int, resolution: float, realism: Realism = PLAIN
) -> Iterator[Reading]:
    """All of all seeds; the lakes of a seed have their own places and shapes."""
    for seed in seeds:
        for lake in place_lakes(sample_ground(resolution, seed), lakes, seed=seed):
            task = SimulateYearTask(
                seed=seed, acquisitions=acquisitions, snow=True, resolution=resolution, lakes=[lake], realism=realism
            )
            patch = task(bbox=surroundings(lake, resolution))
            yield from read(patch, lake, seed)


def surroundings(lake: Lake, resolution: float) -> BBox:
    """The frame of a lake and its surroundings, on the grid of the ground."""
    west, south, east, north = Polygon(outline(lake)).bounds
    wide = SURROUNDINGS + 0.1 * max(east - west, north - south) + 2 * resolution
    left, top = SAMPLE_BBOX.min_x, SAMPLE_BBOX.max_y
    columns = math.floor((west - wide - left) / resolution), math.ceil((east + wide - left) / resolution)
    rows = math.floor((top - north - wide) / resolution), math.ceil((top - south + wide) / resolution)
    return BBox(
        (
            left + columns[0] * resolution, top - rows[1] * resolution,
            left + columns[1] * resolution, top - rows[0] * resolution,
        ),
        SAMPLE_BBOX.crs,
    )  # fmt: skip


def read(patch: EOPatch, lake: Lake, seed: int) -> Iterator[Reading]:
    """What all methods read in the patch of one lake."""
    AddCloudProbabilityTask(is_data_feature=IS_DATA, resolution=80)(patch)
    AddCloudMaskTask(is_data_feature=IS_DATA, unit="metre")(patch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShadowWarning)  # most of overcast dates
        AddCloudShadowTask(is_data_feature=IS_DATA)(patch)
    kinds = kinds_of(patch, lake)
    for name, (settings, shadow) in METHODS.items():
        task = WaterLevelTask(lake_outlines([lake]), shadow_feature=shadow, settings=settings)
        table = task(patch)[LEVELS]
        rows = zip(table["status"], table["level"], strict=True)
        for index, (status, level) in enumerate(rows):
            truth = float(patch[TRUTH_LAKE_LEVEL][index, 0])
            time = patch.timestamps[index]
            yield Reading(name, seed, lake.name, time, kinds[index], truth, str(status), float(level))


def kinds_of(patch: EOPatch, lake: Lake) -> list[str]:
    """What each date is in truth, over the outline of the lake."""
    shape = patch[IS_DATA].shape[1:3]
    inside = outline_pixels(Polygon(outline(lake)), shape, pixel_transform(tuple(patch.bbox), shape))

    def share(feature: Feature, index: int) -> float:
        return float(patch[feature][index, ..., 0][inside].mean())

    def kind(index: int) -> str:
        state = LakeState(int(patch[TRUTH_LAKE_STATE][index, 0]))
        cloud = share(TRUTH_CLOUD, index)
        if share(IS_DATA, index) < 1 - TOUCHED:
            return "no data"
        if cloud >= TOUCHED:
            return "cloudy" if cloud >= 0.5 else "partly cloudy"
        if share(TRUTH_SHADOW, index) >= TOUCHED:
            return "cloud shadow"
        if state in (LakeState.PARTLY_FROZEN, LakeState.FROZEN):
            return state.name.lower().replace("_", " ")
        return "thin cirrus" if share(TRUTH_CIRRUS, index) >= TOUCHED else state.name.lower()

    return [kind(index) for index in range(len(patch.timestamps))]

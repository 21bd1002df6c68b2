"""Every lake of a source: pixels, clouds, levels. One that fails is a row that says so, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.errors import AreaError, TooFewFramesError, message_of
from eotasks.features import bbox_of
from eotasks.imagery.elevation import ElevationFile
from eotasks.models.sentinel2 import band_indices
from eotasks.models.water.measure import WaterLevelSettings
from eotasks.models.water.vocabulary import MeasurementStatus, Sensor
from eotasks.sources.bbox import grid_of_bbox
from eotasks.water.columns import COLUMNS, NO_ALGORITHM, TIME
from eotasks.water.outlines import ID, NAME
from eotasks.water.series import levels_without_hidden_shadows
from eotasks.water.task import WaterLevelTask
from eotasks.workflows.water_level.clouds import add_clouds
from eotasks.workflows.water_level.sources.base import BANDS, CLM, IS_DATA, SHADOW, Job, PixelSource
from eotasks.workflows.water_level.views import LakeView, keep_views, settle_views

LOGGER = logging.getLogger(__name__)

WGS84 = "EPSG:4326"
TRUE_LEVEL, TRUE_STATE = "true_level", "true_state"

_ELEVATION = (FeatureType.DATA_TIMELESS, "ELEVATION")
_LEVELS = (FeatureType.VECTOR, "WATER_LEVEL")


@dataclass(frozen=True)
class RunOptions:
    """How levels are measured."""

    settings: WaterLevelSettings = field(default_factory=WaterLevelSettings)
    elevation: ElevationFile | None = None
    shadows: bool = True
    """Whether cloud shadow is looked for, which counts as cloud over the water does."""

    threads: int | None = None
    views: int = 20
    """Lakes of which images are kept for pictures."""


@dataclass(eq=False)
class Outcome:
    """What a run found."""

    source: PixelSource
    outlines: gpd.GeoDataFrame
    options: RunOptions
    levels: gpd.GeoDataFrame
    """Rows of all lakes (`COLUMNS`), extents in EPSG:4326; true_level and true_state beside them where known."""

    views: dict[str, LakeView]
    failures: list[tuple[str, str]]
    """Jobs that failed, and why."""

    untold_shadows: int = 0
    """Lakes and dates with clouds whose shadows cannot be told."""

    @property
    def has_truth(self) -> bool:
        """Whether true levels are known."""
        return TRUE_LEVEL in self.levels


def measure_lakes(
    source: PixelSource,
    outlines: gpd.GeoDataFrame,
    options: RunOptions,
    *,
    begin: Callable[[int], None] = lambda _: None,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Levels of all outlines.

    :param begin: Called with the number of jobs.
    :param advance: Called after each.
    :raises EOTasksError: the source cannot be used at all.
    """
    jobs = source.jobs(outlines)
    begin(len(jobs))
    tables = [_without_pixels(outlines[outlines.geometry.is_empty], MeasurementStatus.INVALID_POLYGON, _EMPTY)]
    views: dict[str, LakeView] = {}
    failures: list[tuple[str, str]] = []
    untold = [0]
    for job in jobs:
        try:
            tables += list(_measured(source, job, options, views, untold))
        except (AreaError, TooFewFramesError) as error:
            tables.append(_without_pixels(job.outlines, MeasurementStatus.NO_DATA, message_of(error)))
        except Exception as error:  # whatever one job does, the others go on
            LOGGER.warning("%s: %s", job.name, message_of(error))
            LOGGER.info("%s failed", job.name, exc_info=error)
            failures.append((job.name, message_of(error)))
            tables.append(_without_pixels(job.outlines, MeasurementStatus.REQUEST_ERROR, message_of(error)))
        advance()
    told = {name for table in tables for name in table[ID]}
    tables.append(_without_pixels(outlines[~outlines[ID].isin(told)], MeasurementStatus.NO_DATA, _NO_DATE))
    levels = levels_without_hidden_shadows(_together(tables, outlines), options.settings)
    settle_views(views, levels)
    return Outcome(source, outlines, options, levels, views, failures, untold[0])


_EMPTY = "the outline is empty, no polygon, or cannot be repaired"
_NO_DATE = "the source has no date of those that were asked for"


def new_task(source: PixelSource, outlines: gpd.GeoDataFrame, options: RunOptions) -> WaterLevelTask:
    """What measures the outlines of a job.

    :raises EOTasksError: the bands of the source lack one that is needed.
    """
    return WaterLevelTask(
        outlines,
        BANDS,
        _LEVELS,
        clm_feature=CLM,
        is_data_feature=IS_DATA,
        shadow_feature=SHADOW if options.shadows else None,
        elevation_feature=None if options.elevation is None else _ELEVATION,
        bands=source.band_names,
        settings=replace(options.settings, max_beyond_fraction=None),  # all dates of a lake are compared at the end
    )


def _measured(
    source: PixelSource, job: Job, options: RunOptions, views: dict[str, LakeView], untold: list[int]
) -> Iterator[gpd.GeoDataFrame]:
    for patch in job.load():
        box = bbox_of(patch)
        untold[0] += add_clouds(patch, source.band_names, shadows=options.shadows, threads=options.threads)
        if options.elevation is not None:
            size = (box.max_x - box.min_x) / patch[BANDS].shape[2]
            patch[_ELEVATION] = options.elevation.read(grid_of_bbox(box, size))[..., np.newaxis]
        levels = new_task(source, job.outlines, options).execute(patch)[_LEVELS]
        seen = levels_without_hidden_shadows(levels, options.settings)  # no picture of what only this patch refuses
        keep_views(views, seen, job.outlines, box, _true_colors(patch, source.band_names), options.views)
        levels = levels.to_crs(WGS84)
        truth = source.truth(patch)
        yield levels if truth is None else levels.merge(truth, on=[ID, TIME], how="left")


def _true_colors(patch: EOPatch, bands: tuple[str, ...]) -> Callable[[int, Any], NDArray[np.float32]] | None:
    """Reflectance (h, w, 3) of a frame's window; None where a band is missing."""
    if not {"B02", "B03", "B04"} <= set(bands):
        return None
    chosen, values, is_data = band_indices(("B04", "B03", "B02"), bands), patch[BANDS], patch[IS_DATA]
    divisor = np.float32(1 if values.dtype.kind == "f" else 10_000)

    def colors(index: int, window: Any) -> NDArray[np.float32]:
        picture = values[index][window][..., chosen].astype(np.float32) / divisor
        return np.where(is_data[index][window], picture, np.float32(np.nan))

    return colors


def _without_pixels(outlines: gpd.GeoDataFrame, status: MeasurementStatus, reason: str) -> gpd.GeoDataFrame:
    """Rows of outlines for which there is no date at all."""
    columns: dict[str, Any] = {name: [np.nan] * len(outlines) for name in COLUMNS}
    columns |= {
        ID: outlines[ID].to_numpy(),
        NAME: outlines[NAME].to_numpy(),
        TIME: pd.Series([pd.NaT] * len(outlines), dtype="datetime64[ns]").to_numpy(),
        "status": status.name.lower(),
        "reason": reason,
        "algorithm_status": NO_ALGORITHM,
        "sensor": str(Sensor.NDWI),
    }
    del columns["geometry"]
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries([None] * len(outlines), crs=WGS84), crs=WGS84)


def _together(tables: list[gpd.GeoDataFrame], outlines: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """One table, in the order of the outlines and of time."""
    filled = [table for table in tables if len(table)]
    frame = pd.concat(filled, ignore_index=True)
    order = {name: position for position, name in enumerate(outlines[ID])}
    frame = frame.assign(_order=frame[ID].map(order)).sort_values(["_order", TIME], kind="stable")
    frame = frame.drop(columns="_order").reset_index(drop=True)
    names = [*COLUMNS, *(name for name in (TRUE_LEVEL, TRUE_STATE) if name in frame)]
    return gpd.GeoDataFrame(frame[names], geometry="geometry", crs=WGS84)

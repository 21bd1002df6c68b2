"""The two workflows of the land-cover example, made of the project's tasks.

Observe: source -> cloud probability -> cloud mask -> valid data -> indices -> labels -> save -> filter -> resample ->
erode -> sample -> save. Map: load -> predict -> export -> save.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eolearn.core import EONode, EOTask, EOWorkflow, ExtractBandsTask, FeatureType, MergeFeatureTask
from eolearn.mask import MaskFeatureTask

from eotasks.area import Patch
from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.validity import AddValidCountTask, AddValidDataMaskTask
from eotasks.eopatches.load import LoadSavedEOPatchTask
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.export.tasks import ExportCogTask
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.prediction import PredictLandCoverTask
from eotasks.reference.tasks import ErodeReferenceTask, ImportReferenceRasterTask, RasterizeReferenceTask, SampleTask
from eotasks.series import INDICES, AddNormalizedDifferenceTask, ResampleTimeSeriesTask
from eotasks.sources.eopatches import LoadEOPatchTask
from eotasks.sources.sample import LoadSampleTask, sample_reference_path
from eotasks.sources.sentinelhub import DownloadBandsTask
from eotasks.sources.simulated import (
    RECONSTRUCTED,
    TRUTH_CIRRUS,
    TRUTH_CLOUD,
    TRUTH_SHADOW,
    TRUTH_SNOW,
    SimulateYearTask,
)
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import (
    EOPatchesSource,
    LandCoverConfig,
    SampleSource,
    SentinelHubSource,
    SimulatedSource,
)

BANDS = (FeatureType.DATA, "BANDS")
CLP = (FeatureType.DATA, "CLP")
CLM = (FeatureType.MASK, "CLM")
IS_DATA = (FeatureType.MASK, "IS_DATA")
IS_VALID = (FeatureType.MASK, "IS_VALID")
VALID_COUNT = (FeatureType.MASK_TIMELESS, "VALID_COUNT")
FEATURES = (FeatureType.DATA, "FEATURES")
LULC = (FeatureType.MASK_TIMELESS, "LULC")
LULC_ERODED = (FeatureType.MASK_TIMELESS, "LULC_ERODED")
PREDICTION = (FeatureType.MASK_TIMELESS, "PREDICTION")
SCORES = (FeatureType.DATA_TIMELESS, "SCORES")
SIMULATED = (FeatureType.META_INFO, "SIMULATED")

PREDICTION_FOLDER = "prediction"
SCORES_FOLDER = "scores"
MAP_NAME = "{name}.tif"

TRUE_COLOR_BANDS = ("B04", "B03", "B02")
SNOW_AND_WATER_BANDS = ("B03", "B08", "B11")

SAMPLE_REFERENCE_COLUMN = "fclass"
SAMPLE_REFERENCE_CLASSES = {
    "farm": "Cultivated land",
    "forest": "Forest",
    "meadow": "Grassland",
    "grass": "Grassland",
    "scrub": "Shrubland",
    "water": "Water",
    "wetland": "Wetland",
    "residential": "Artificial surface",
}
"""OpenStreetMap land use of the embedded scene -> the example's classes."""


@dataclass(frozen=True)
class ObserveWorkflow:
    """The first workflow and the nodes that take values of one patch."""

    workflow: EOWorkflow
    source: EONode
    save_observed: EONode
    sample: EONode
    save_features: EONode

    def arguments(self, patch: Patch, config: LandCoverConfig) -> dict[EONode, dict[str, object]]:
        """Input of one execution: where the patch lies and its name."""
        source: dict[str, object] = {"bbox": patch.bbox}
        if isinstance(config.source, EOPatchesSource):
            source = {"name": patch.name}
        elif isinstance(config.source, SentinelHubSource):
            source["time_interval"] = (config.time.start.isoformat(), config.time.end.isoformat())
        return {
            self.source: source,
            self.save_observed: {"name": patch.name},
            self.sample: {"name": patch.name},
            self.save_features: {"name": patch.name},
        }


def source_bands(config: LandCoverConfig) -> tuple[str, ...] | None:
    """Bands that the source brings, in order; None for an EOPatch whose bands are known by their number only."""
    source = config.source
    if isinstance(source, SampleSource | SimulatedSource):
        return L1C_BANDS
    if isinstance(source, SentinelHubSource):
        return source.bands
    return source.bands if "BANDS" in source.features else ()


def kept_bands(config: LandCoverConfig) -> tuple[str, ...]:
    """Bands that are stored: what the model uses, and what a true colour picture needs, as far as they are there."""
    available = source_bands(config)
    if available is None:
        available = L1C_BANDS
    wanted = {*config.features.bands, *TRUE_COLOR_BANDS}
    return tuple(band for band in available if band in wanted)


def feature_names(config: LandCoverConfig) -> tuple[str, ...]:
    """Names of the model's features of one date, in their order."""
    return (*config.features.bands, *config.features.indices)


def observe_workflow(config: LandCoverConfig, observed: Place, features: Place) -> ObserveWorkflow:
    """Source to samples, for one patch at a time.

    :param observed: Place of the EOPatches with what was observed: bands, clouds, valid data, labels.
    :param features: Place of the EOPatches with what the model sees: resampled features, samples.
    """
    nodes: list[EONode] = []

    def add(task: EOTask, name: str) -> EONode:
        node = EONode(task, inputs=nodes[-1:], name=name)
        nodes.append(node)
        return node

    source = add(source_task(config), "source")
    for task, name in _observation_tasks(config):
        add(task, name)
    save_observed = add(SaveEOPatchTask(observed, features=_observed_features(config)), "save observations")
    for task, name in _feature_tasks(config):
        add(task, name)
    sample = add(SampleTask(LULC_ERODED, [FEATURES], fraction=config.sampling.fraction, seed=config.seed), "sample")
    save_features = add(SaveEOPatchTask(features), "save features")
    return ObserveWorkflow(EOWorkflow(nodes), source, save_observed, sample, save_features)


def source_task(config: LandCoverConfig) -> EOTask:
    """The task that brings the pixels."""
    source, resolution = config.source, config.area.resolution
    if isinstance(source, SampleSource):
        return LoadSampleTask(BANDS, IS_DATA, resolution=resolution)
    if isinstance(source, SimulatedSource):
        return SimulateYearTask(
            BANDS,
            IS_DATA,
            seed=config.seed,
            year=source.year,
            acquisitions=source.acquisitions,
            snow=source.snow,
            resolution=resolution,
        )
    if isinstance(source, SentinelHubSource):
        own_mask = config.clouds.method == "source"
        return DownloadBandsTask(
            BANDS,
            IS_DATA,
            bands=source.bands,
            resolution=resolution,
            data_collection=source.collection,
            clm_feature=CLM if own_mask else None,
            clp_feature=CLP if own_mask else None,
            maxcc=source.maxcc,
            time_difference=dt.timedelta(minutes=source.time_difference_minutes),
            mosaicking_order=source.mosaicking_order,
            cache_folder=source.cache_folder,
            profile=source.profile,
            max_threads=source.max_threads,
        )
    return LoadEOPatchTask(source.folder, source.features, start=config.time.start, end=config.time.end)


def _observation_tasks(config: LandCoverConfig) -> list[tuple[EOTask, str]]:
    clouds, valid = config.clouds, config.valid
    bands = source_bands(config)
    steps: list[tuple[EOTask, str]] = []
    if clouds.method == "single-scene":
        probability = AddCloudProbabilityTask(
            BANDS,
            CLP,
            is_data_feature=IS_DATA,
            bands=bands or None,
            resolution=clouds.resolution,
            sampling=clouds.sampling,
        )
        mask = AddCloudMaskTask(
            CLP,
            CLM,
            is_data_feature=IS_DATA,
            threshold=clouds.threshold,
            average_over=clouds.average_over,
            dilation_size=clouds.dilation_size,
        )
        steps += [(probability, "cloud probability"), (mask, "cloud mask")]
    aware = valid.snow != "ignore" or valid.water != "ignore"
    valid_data = AddValidDataMaskTask(
        IS_DATA,
        IS_VALID,
        cloud_masks=(CLM,),
        bands_feature=BANDS if aware else None,
        bands=bands or None,
        snow=valid.snow,
        water=valid.water,
    )
    steps += [(valid_data, "valid data"), (AddValidCountTask(IS_VALID, VALID_COUNT), "valid count")]
    for name in config.features.indices:
        if name not in source_features(config):
            index = AddNormalizedDifferenceTask(
                BANDS, (FeatureType.DATA, name), bands=INDICES[name], available=bands or L1C_BANDS
            )
            steps.append((index, name))
    if bands != ():
        available = list(bands or L1C_BANDS)
        kept = [available.index(band) for band in kept_bands(config)]
        steps.append((ExtractBandsTask(BANDS, BANDS, kept), "keep bands"))
    reference = reference_task(config)
    if reference is not None:
        steps.append((reference, "labels"))
    return steps


def _feature_tasks(config: LandCoverConfig) -> list[tuple[EOTask, str]]:
    kept, wanted = kept_bands(config), config.features.bands
    parts: list[tuple[FeatureType, str]] = [(FeatureType.DATA, name) for name in config.features.indices]
    steps: list[tuple[EOTask, str]] = [
        (
            FilterCloudyTimestampsTask(
                IS_VALID,
                min_valid_fraction=config.valid.min_valid_fraction,
                keep_at_least=config.valid.keep_at_least,
                min_frames=config.valid.min_frames,
            ),
            "filter cloudy dates",
        )
    ]
    if wanted:
        model_bands = (FeatureType.DATA, "MODEL_BANDS")
        steps.append((ExtractBandsTask(BANDS, model_bands, [kept.index(band) for band in wanted]), "model bands"))
        parts.insert(0, model_bands)
    steps.append((MergeFeatureTask(parts, FEATURES), "merge features"))
    if config.features.step_days is None:
        steps.append((MaskFeatureTask(FEATURES, IS_VALID, mask_values=[0]), "blank invalid pixels"))
    else:
        resample = ResampleTimeSeriesTask(
            FEATURES,
            FEATURES,
            valid_feature=IS_VALID,
            start=config.time.start,
            end=config.time.end,
            step_days=config.features.step_days,
            edges=config.features.edges,
        )
        steps.append((resample, "resample in time"))
    steps.append((ErodeReferenceTask(LULC, LULC_ERODED, radius=config.reference.erosion_radius), "erode labels"))
    return steps


def source_features(config: LandCoverConfig) -> Mapping[str, str]:
    """Features that existing EOPatches bring under our names; empty for other sources."""
    return config.source.features if isinstance(config.source, EOPatchesSource) else {}


def reference_task(config: LandCoverConfig) -> EOTask | None:
    """The task that brings labels; None when the source has them."""
    reference = config.reference
    if reference.kind == "feature":
        return None
    ids = config.class_table.by_name
    if reference.kind == "raster":
        by_value = {int(value): ids[name].id for value, name in (reference.classes or {}).items()}
        return ImportReferenceRasterTask(LULC, path=str(reference.path), classes=by_value or None)
    if reference.kind == "sample":
        source, column = str(sample_reference_path()), SAMPLE_REFERENCE_COLUMN
        names: Mapping[str, str] | None = SAMPLE_REFERENCE_CLASSES
    else:
        source, column, names = str(reference.path), reference.column, reference.classes
    return RasterizeReferenceTask(
        LULC,
        source=source,
        layer=reference.layer,
        column=column,
        classes=None if names is None else {value: ids[name].id for value, name in names.items()},
        overlap=reference.overlap,
        ignore_unmapped=reference.ignore_unmapped,
    )


def _observed_features(config: LandCoverConfig) -> list[tuple[FeatureType, str]]:
    """What is kept of the observations; the full set of bands is not."""
    brought = source_features(config)
    features = [IS_DATA, CLM, IS_VALID, VALID_COUNT, LULC]
    features += [(FeatureType.DATA, name) for name in config.features.indices]
    if kept_bands(config):
        features.append(BANDS)
    if not brought or "CLP" in brought or config.clouds.method == "single-scene":
        features.append(CLP)
    if isinstance(config.source, SimulatedSource):
        features += [TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW, TRUTH_SNOW, RECONSTRUCTED, SIMULATED]
    return features


@dataclass(frozen=True)
class MapWorkflow:
    """The second workflow and the nodes that take values of one patch."""

    workflow: EOWorkflow
    load: EONode
    exports: tuple[EONode, ...]
    save: EONode

    def arguments(self, patch: Patch) -> dict[EONode, dict[str, Any]]:
        """Input of one execution."""
        return {node: {"name": patch.name} for node in (self.load, *self.exports, self.save)}


def map_workflow(
    config: LandCoverConfig, model: Place, features: Place, predictions: Place, maps: Place, *, simulated: bool
) -> MapWorkflow:
    """Features to the map, for one patch at a time.

    :param model: Place of the saved model: every worker loads it once.
    :param features: Place of the first workflow's features.
    :param predictions: Place of the EOPatches with labels and scores.
    :param maps: Place of the Cloud Optimized GeoTIFFs.
    :param simulated: Whether the maps say that they were made of simulated data.
    """
    tags = {"SIMULATED": "true"} if simulated else {}
    load = EONode(LoadSavedEOPatchTask(features, features=[FEATURES, LULC]), name="load features")
    predict = EONode(
        PredictLandCoverTask(
            FEATURES, PREDICTION, model=model, scores_feature=SCORES, feature_names=feature_names(config)
        ),
        inputs=[load],
        name="predict",
    )
    export = EONode(
        ExportCogTask(
            PREDICTION,
            folder=maps.child(PREDICTION_FOLDER),
            filename=MAP_NAME,
            classes=config.class_table,
            tags=tags,
        ),
        inputs=[predict],
        name="export map",
    )
    exports = [export]
    if config.output.scores:
        scores = ExportCogTask(SCORES, folder=maps.child(SCORES_FOLDER), filename=MAP_NAME, tags=tags)
        exports.append(EONode(scores, inputs=[export], name="export scores"))
    save = EONode(
        SaveEOPatchTask(predictions, features=[PREDICTION, SCORES]), inputs=[exports[-1]], name="save prediction"
    )
    return MapWorkflow(EOWorkflow([load, predict, *exports, save]), load, tuple(exports), save)

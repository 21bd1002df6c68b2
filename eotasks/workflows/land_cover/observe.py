"""The first workflow: from a source of pixels to samples, one patch at a time.

Source -> cloud probability -> cloud mask -> valid data -> indices -> labels -> save -> filter -> resample -> erode ->
sample -> save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from eolearn.core import EONode, EOTask, EOWorkflow, ExtractBandsTask, FeatureType, MergeFeatureTask
from eolearn.mask import MaskFeatureTask

from eotasks.area import Patch
from eotasks.clouds.detectors.tasks import detector_tasks
from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.validity import AddValidCountTask, AddValidDataMaskTask
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.features import Feature
from eotasks.models.classes import ClassTable
from eotasks.reference.tasks import ErodeReferenceTask, ImportReferenceRasterTask, RasterizeReferenceTask, SampleTask
from eotasks.series import INDICES, AddNormalizedDifferenceTask, ResampleTimeSeriesTask
from eotasks.sources.sample import sample_reference_path
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import (
    FEATURES,
    IS_VALID,
    LULC,
    LULC_ERODED,
    SHADOW,
    VALID_COUNT,
    ResolvedFeatures,
)
from eotasks.workflows.land_cover.sections import ReferenceConfig
from eotasks.workflows.land_cover.sources.base import BANDS, CLM, CLP, IS_DATA

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
    """The first workflow, where it saves, and the nodes that take values of one patch."""

    workflow: EOWorkflow
    observed: Place
    """Place of the EOPatches with what was observed: bands, clouds, valid data, labels."""

    features: Place
    """Place of the EOPatches with what the model sees: resampled features, samples."""

    source: EONode
    named: tuple[EONode, ...]
    """Nodes that take the name of the patch."""

    source_arguments: Callable[[Patch], dict[str, object]]

    def arguments(self, patch: Patch) -> dict[EONode, dict[str, object]]:
        """Input of one execution: where the patch lies and its name."""
        by_name: dict[EONode, dict[str, object]] = {node: {"name": patch.name} for node in self.named}
        return {self.source: self.source_arguments(patch), **by_name}


def observe_workflow(config: LandCoverConfig, resolved: ResolvedFeatures, place: Place) -> ObserveWorkflow:
    """Source to samples, for one patch at a time; the tasks check their own parameters.

    :param place: Place of the chain.
    """
    nodes: list[EONode] = []

    def add(task: EOTask, name: str) -> EONode:
        node = EONode(task, inputs=nodes[-1:], name=name)
        nodes.append(node)
        return node

    observed, features = place.child("observed"), place.child("features")
    source = add(config.source.task(config), "source")
    for task, name in _observation_tasks(config, resolved):
        add(task, name)
    save_observed = add(SaveEOPatchTask(observed, features=list(resolved.observed)), "save observations")
    for task, name in _feature_tasks(config, resolved):
        add(task, name)
    sample = add(SampleTask(LULC_ERODED, [FEATURES], fraction=config.sampling.fraction, seed=config.seed), "sample")
    save_features = add(SaveEOPatchTask(features), "save features")
    return ObserveWorkflow(
        workflow=EOWorkflow(nodes),
        observed=observed,
        features=features,
        source=source,
        named=(save_observed, sample, save_features),
        source_arguments=partial(config.source.arguments, settings=config),
    )


def _observation_tasks(config: LandCoverConfig, resolved: ResolvedFeatures) -> list[tuple[EOTask, str]]:
    clouds, valid = config.clouds, config.valid
    bands = resolved.source_bands
    steps: list[tuple[EOTask, str]] = []
    if clouds.method == "single-scene":
        steps += detector_tasks(
            clouds.detector,
            clouds.detector_settings,
            bands_feature=BANDS,
            is_data_feature=IS_DATA,
            bands=bands or None,
            probability_feature=CLP,
            mask_feature=CLM,
            shadow_feature=SHADOW,
        )
    else:
        steps += config.source.mask_steps(config)
    aware = valid.snow != "ignore" or valid.water != "ignore"
    valid_data = AddValidDataMaskTask(
        IS_DATA,
        IS_VALID,
        cloud_masks=resolved.cloud_masks,
        bands_feature=BANDS if aware else None,
        bands=bands or None,
        snow=valid.snow,
        water=valid.water,
    )
    steps += [(valid_data, "valid data"), (AddValidCountTask(IS_VALID, VALID_COUNT), "valid count")]
    for name in resolved.computed_indices:
        index = AddNormalizedDifferenceTask(
            BANDS, (FeatureType.DATA, name), bands=INDICES[name], available=resolved.named_bands
        )
        steps.append((index, name))
    if bands != ():
        kept = [resolved.named_bands.index(band) for band in resolved.kept_bands]
        steps.append((ExtractBandsTask(BANDS, BANDS, kept), "keep bands"))
    reference = _reference_task(config.reference, resolved.classes)
    if reference is not None:
        steps.append((reference, "labels"))
    return steps


def _feature_tasks(config: LandCoverConfig, resolved: ResolvedFeatures) -> list[tuple[EOTask, str]]:
    parts: list[Feature] = [(FeatureType.DATA, name) for name in resolved.indices]
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
    if resolved.bands:
        model_bands = (FeatureType.DATA, "MODEL_BANDS")
        chosen = [resolved.kept_bands.index(band) for band in resolved.bands]
        steps.append((ExtractBandsTask(BANDS, model_bands, chosen), "model bands"))
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


def _reference_task(reference: ReferenceConfig, classes: ClassTable) -> EOTask | None:
    """The task that brings labels; None when the source has them."""
    if reference.kind == "feature":
        return None
    ids = classes.by_name
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

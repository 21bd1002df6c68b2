"""Inputs of every step, made once with our tasks, so that both sides get the same ones."""

from __future__ import annotations

from importlib.metadata import version
from itertools import pairwise

import geopandas as gpd
import numpy as np
from eolearn.core import EOPatch, ExtractBandsTask, MergeFeatureTask
from sentinelhub.geometry import BBox

from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.validity import AddValidDataMaskTask
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.models.sentinel2 import band_indices
from eotasks.reference.tasks import ErodeReferenceTask, RasterizeReferenceTask, SampleTask
from eotasks.series import AddNormalizedDifferenceTask, ResampleTimeSeriesTask
from eotasks.sources.sample import SAMPLE_BBOX, sample_reference_path
from eotasks.sources.simulated import SimulateYearTask
from eotasks.workflows.land_cover.observe import SAMPLE_REFERENCE_CLASSES, SAMPLE_REFERENCE_COLUMN
from tests.benchmarks.land_cover.features import (
    BANDS,
    CLM,
    CLP,
    FEATURES,
    FEATURES_SAMPLED,
    INDICES,
    IS_DATA,
    IS_VALID,
    LABELS_SAMPLED,
    LULC,
    LULC_ERODED,
    PREDICTION,
)
from tests.benchmarks.land_cover.layout import (
    CLOUD_RESOLUTION,
    MODEL_BANDS,
    SAMPLED_FRACTION,
    SAMPLES_STAGE,
    SEED,
    STEP_DAYS,
    YEAR,
    Prepared,
    Setup,
    write_pickle,
)

MIN_FRAMES = 3
FRACTIONS = (0.8, 0.6, 0.4, 0.2, 0.1, 0.0)
"""Of valid pixels: the example's, and less where that leaves too few frames of a small patch."""


def prepare(setup: Setup) -> Prepared:
    """Write the polygons and the patches of every stage."""
    _write_reference(setup)
    observed = [_observe(setup, bbox) for bbox in patch_boxes(setup)]
    fraction = _usable_fraction(observed)
    sampled = [_write_stages(setup, number, patch, fraction) for number, patch in enumerate(observed)]
    together = EOPatch(bbox=sampled[0].bbox, timestamps=sampled[0].timestamps)
    together[FEATURES_SAMPLED] = np.concatenate([patch[FEATURES_SAMPLED] for patch in sampled], axis=1)
    together[LABELS_SAMPLED] = np.concatenate([patch[LABELS_SAMPLED] for patch in sampled], axis=0)
    write_pickle(setup.stage(SAMPLES_STAGE, 0), together)
    labels = together[LABELS_SAMPLED]
    return Prepared(
        frames=min(int(_passing(patch, fraction).sum()) for patch in observed),
        min_valid_fraction=fraction,
        samples=labels.size,
        classes=len(np.unique(labels)),
        versions={name: version(name) for name in ("eo-learn", "s2cloudless", "lightgbm", "numpy", "numba")},
    )


def patch_boxes(setup: Setup) -> list[BBox]:
    """Patches side by side from the top left corner of the embedded scene."""
    left, _, _, top = tuple(SAMPLE_BBOX)
    side = setup.patch_size * setup.resolution
    edges = [left + number * side for number in range(setup.patches + 1)]
    return [BBox((start, top - side, end, top), SAMPLE_BBOX.crs) for start, end in pairwise(edges)]


def _write_reference(setup: Setup) -> None:
    """The embedded land use with class ids in a number column, which is what eo-learn's rasterisation takes."""
    landuse = gpd.read_file(sample_reference_path(), engine="pyogrio")
    ids = {value: SLOVENIAN_CLASSES.by_name[name].id for value, name in SAMPLE_REFERENCE_CLASSES.items()}
    landuse["lulcid"] = landuse[SAMPLE_REFERENCE_COLUMN].map(ids).astype(int)
    landuse[["lulcid", "geometry"]].to_file(setup.reference, driver="GPKG", engine="pyogrio")


def _observe(setup: Setup, bbox: BBox) -> EOPatch:
    source = SimulateYearTask(
        BANDS, IS_DATA, seed=SEED, year=YEAR, acquisitions=setup.dates, resolution=setup.resolution
    )
    patch = source.execute(bbox=bbox).copy(features=[BANDS, IS_DATA])
    # Coarse here: it is an input of the later steps, the probability itself is measured in full.
    coarse = max(CLOUD_RESOLUTION, setup.resolution)
    AddCloudProbabilityTask(BANDS, CLP, is_data_feature=IS_DATA, resolution=coarse).execute(patch)
    AddCloudMaskTask(CLP, CLM, is_data_feature=IS_DATA).execute(patch)
    AddValidDataMaskTask(IS_DATA, IS_VALID, cloud_masks=(CLM,)).execute(patch)
    for feature in INDICES:
        AddNormalizedDifferenceTask(BANDS, feature, available=L1C_BANDS).execute(patch)
    return RasterizeReferenceTask(LULC, source=setup.reference, column="lulcid", overlap="last").execute(patch)


def _usable_fraction(patches: list[EOPatch]) -> float:
    return next(limit for limit in FRACTIONS if all(_passing(patch, limit).sum() >= MIN_FRAMES for patch in patches))


def _passing(patch: EOPatch, limit: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray(patch[IS_VALID].mean(axis=(1, 2, 3)) > limit)


def _write_stages(setup: Setup, number: int, observed: EOPatch, fraction: float) -> EOPatch:
    """Write the stages of a patch.

    :return: The patch with its samples.
    """
    write_pickle(setup.stage("observed", number), observed)
    kept = ExtractBandsTask(BANDS, BANDS, band_indices(MODEL_BANDS)).execute(observed.copy())
    write_pickle(setup.stage("kept", number), kept)
    filtered = FilterCloudyTimestampsTask(IS_VALID, min_valid_fraction=fraction).execute(kept)
    MergeFeatureTask([BANDS, *INDICES], FEATURES).execute(filtered)
    write_pickle(setup.stage("filtered", number), filtered)
    resampled = ResampleTimeSeriesTask(
        FEATURES, valid_feature=IS_VALID, start=f"{YEAR}-01-01", end=f"{YEAR}-12-31", step_days=STEP_DAYS
    ).execute(filtered)
    ErodeReferenceTask(LULC, LULC_ERODED).execute(resampled)
    resampled[PREDICTION] = resampled[LULC]
    write_pickle(setup.stage("resampled", number), resampled)
    return SampleTask(LULC_ERODED, [FEATURES], fraction=SAMPLED_FRACTION, seed=SEED).execute(resampled)

"""The chain made of this project's tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from eolearn.core import EOPatch, MergeFeatureTask

from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.validity import AddValidCountTask, AddValidDataMaskTask
from eotasks.eopatches.load import LoadSavedEOPatchTask
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.export.tasks import ExportCogTask
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.training import MODEL_FILE, LandCoverModel, load_model, train
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.models.series import interpolate
from eotasks.prediction import PredictLandCoverTask
from eotasks.reference.tasks import ErodeReferenceTask, RasterizeReferenceTask, SampleTask
from eotasks.series import AddNormalizedDifferenceTask, ResampleTimeSeriesTask
from eotasks.storage.place import Place
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
    SCORES,
    VALID_COUNT,
)
from tests.benchmarks.land_cover.layout import (
    AVERAGE_OVER,
    CLOUD_RESOLUTION,
    DILATION_SIZE,
    INDEX_NAMES,
    MODEL_BANDS,
    SAMPLED_FRACTION,
    SEED,
    STEP_DAYS,
    THRESHOLD,
    YEAR,
    Prepared,
    Setup,
    effective_hours,
)
from tests.benchmarks.land_cover.step import (
    Outcome,
    Step,
    arrays,
    class_counts,
    everything,
    in_order,
    map_on_disk,
    sampled_rows,
    tree_lines,
)


def steps(setup: Setup, prepared: Prepared) -> dict[str, Step]:
    """Every step; the tasks are made here, outside of what is measured."""
    chain = _Chain(setup)
    return {
        "cloud probability": in_order(
            AddCloudProbabilityTask(BANDS, CLP, is_data_feature=IS_DATA, threads=setup.threads),
            outcome=arrays(CLP, IS_DATA),
        ),
        "cloud probability 160 m": in_order(
            AddCloudProbabilityTask(
                BANDS,
                CLP,
                is_data_feature=IS_DATA,
                resolution=max(CLOUD_RESOLUTION, setup.resolution),
                threads=setup.threads,
            ),
            outcome=arrays(CLP, IS_DATA),
        ),
        "cloud mask": in_order(
            AddCloudMaskTask(
                CLP,
                CLM,
                is_data_feature=IS_DATA,
                threshold=THRESHOLD,
                average_over=AVERAGE_OVER,
                dilation_size=DILATION_SIZE,
            ),
            outcome=arrays(CLM, IS_DATA),
        ),
        "valid data + count": in_order(
            AddValidDataMaskTask(IS_DATA, IS_VALID, cloud_masks=(CLM,)),
            AddValidCountTask(IS_VALID, VALID_COUNT),
            outcome=arrays(IS_VALID, VALID_COUNT),
        ),
        "indices": in_order(
            *[AddNormalizedDifferenceTask(BANDS, feature, available=L1C_BANDS) for feature in INDICES],
            outcome=arrays(*INDICES),
        ),
        "labels from vectors": in_order(
            RasterizeReferenceTask(LULC, source=setup.reference, column="lulcid", overlap="last"), outcome=arrays(LULC)
        ),
        "filter": in_order(
            FilterCloudyTimestampsTask(IS_VALID, min_valid_fraction=prepared.min_valid_fraction), outcome=everything
        ),
        "merge": in_order(MergeFeatureTask([BANDS, *INDICES], FEATURES), outcome=arrays(FEATURES)),
        "resample in time": Step(chain.resample, chain.resampled),
        "erode": in_order(ErodeReferenceTask(LULC, LULC_ERODED, radius=1), outcome=arrays(LULC_ERODED)),
        "sample": in_order(
            SampleTask(LULC_ERODED, [FEATURES], fraction=SAMPLED_FRACTION, seed=SEED),
            outcome=lambda patch: class_counts(patch[LABELS_SAMPLED]),
        ),
        "train": Step(chain.train, chain.trained),
        "predict": Step(chain.predict, arrays(PREDICTION, SCORES)),
        "export": Step(chain.export, map_on_disk),
        "save": Step(chain.save, chain.saved),
        "load": Step(chain.load, everything),
    }


class _Chain:
    """Steps that need a name, or what an earlier step of this process has left."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.folder = setup.folder / "ours"
        self.model: LandCoverModel | None = None
        self.saved_as = ""
        self._resample = ResampleTimeSeriesTask(
            FEATURES, valid_feature=IS_VALID, start=f"{YEAR}-01-01", end=f"{YEAR}-12-31", step_days=STEP_DAYS
        )
        self._export = ExportCogTask(PREDICTION, folder=self.folder / "maps", classes=SLOVENIAN_CLASSES)
        self._save = SaveEOPatchTask(Place(self.folder / "eopatches"))
        self._load = LoadSavedEOPatchTask(Place(self.folder / "eopatches"))

    def resample(self, patch: EOPatch, name: str) -> tuple[EOPatch, EOPatch]:
        return patch, self._resample.execute(patch)

    def resampled(self, patches: tuple[EOPatch, EOPatch]) -> Outcome:
        """The result, and what it is at the times that eo-learn takes for the true ones."""
        before, after = patches
        hours = effective_hours(before.timestamps or [], after.timestamps or [])
        rounded = interpolate(before[FEATURES], before[IS_VALID], *map(np.asarray, hours))
        return arrays(FEATURES, LULC)(after) | {"ROUNDED": rounded}

    def train(self, patch: EOPatch, name: str) -> LandCoverModel:
        self.model = train(
            sampled_rows(patch[FEATURES_SAMPLED]),
            patch[LABELS_SAMPLED].ravel(),
            classes=SLOVENIAN_CLASSES,
            feature_names=[*MODEL_BANDS, *INDEX_NAMES],
            dates=[time.date() for time in patch.timestamps or []],
            bands=MODEL_BANDS,
            parameters={"num_iterations": self.setup.rounds},
            seed=SEED,
            threads=self.setup.threads,
        )
        return self.model

    def trained(self, model: LandCoverModel) -> Outcome:
        """The trees; the model is kept for the repeats that do not train."""
        return tree_lines((model.save(self.folder / "model") / MODEL_FILE).read_text())

    def predict(self, patch: EOPatch, name: str) -> EOPatch:
        if self.model is None:
            self.model = load_model(self.folder / "model")
        task = PredictLandCoverTask(
            FEATURES, PREDICTION, model=self.model, scores_feature=SCORES, threads=self.setup.threads
        )
        return task.execute(patch)

    def export(self, patch: EOPatch, name: str) -> Path:
        self._export.execute(patch, name=name)
        return self._export.path(name)

    def save(self, patch: EOPatch, name: str) -> str:
        self._save.execute(patch, name=name)
        self.saved_as = name
        return name

    def saved(self, name: str) -> Outcome:
        return everything(self._load.execute(name=name))

    def load(self, patch: EOPatch, name: str) -> EOPatch:
        return self._load.execute(name=self.saved_as)

"""The same chain of plain eo-learn 1.5.7 tasks, and the small tasks that its land-cover example defines beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, LoadTask, MergeFeatureTask, SaveTask
from eolearn.features import NormalizedDifferenceIndexTask, SimpleFilterTask
from eolearn.features.extra.interpolation import LinearInterpolationTask
from eolearn.features.feature_manipulation import SpatialResizeTask
from eolearn.features.utils import ResizeParam
from eolearn.geometry import ErosionTask, VectorToRasterTask
from eolearn.io import ExportToTiffTask, VectorImportTask
from eolearn.mask.extra.cloud_mask import CloudMaskTask
from eolearn.ml_tools import FractionSamplingTask
from lightgbm import LGBMClassifier
from numpy.typing import NDArray

from eotasks.models.sentinel2 import band_indices
from eotasks.series import INDICES as INDEX_BANDS
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
    REFERENCE,
    SCORES,
    VALID_COUNT,
    Feature,
)
from tests.benchmarks.land_cover.layout import (
    AVERAGE_OVER,
    CLOUD_RESOLUTION,
    DILATION_SIZE,
    SAMPLED_FRACTION,
    SEED,
    STEP_DAYS,
    THRESHOLD,
    YEAR,
    Prepared,
    Setup,
    read_pickle,
    write_pickle,
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


class CloudProbabilityTask(CloudMaskTask):
    """The first half of CloudMaskTask, so that probability and mask are measured one by one."""

    def execute(self, eopatch: EOPatch) -> EOPatch:
        data = eopatch[self.data_feature].astype(np.float32)
        valid = eopatch[self.valid_data_feature].astype(bool)
        probability = self.classifier.get_cloud_probability_maps(data)
        eopatch[self.output_proba_feature or CLP] = (probability[..., np.newaxis] * valid).astype(np.float32)
        return eopatch


class CloudMaskFromProbabilityTask(CloudMaskTask):
    """Its second half."""

    def execute(self, eopatch: EOPatch) -> EOPatch:
        valid = eopatch[self.valid_data_feature].astype(bool)
        mask = self.classifier.get_mask_from_prob(eopatch[CLP][..., 0], threshold=self.threshold)
        eopatch[self.output_mask_feature] = (mask[..., np.newaxis] * valid).astype(bool)
        return eopatch


class ValidDataTask(EOTask):
    """Data that is no cloud."""

    def execute(self, eopatch: EOPatch) -> EOPatch:
        eopatch[IS_VALID] = eopatch[IS_DATA].astype(bool) & ~eopatch[CLM].astype(bool)
        return eopatch


class ValidCountTask(EOTask):
    """Number of valid observations."""

    def execute(self, eopatch: EOPatch) -> EOPatch:
        eopatch[VALID_COUNT] = np.count_nonzero(eopatch[IS_VALID], axis=0)
        return eopatch


class ValidDataFraction:
    """Whether a frame shows enough."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, frame: NDArray[np.bool_]) -> bool:
        return bool(np.sum(frame) / np.size(frame) > self.threshold)


class PredictPatchTask(EOTask):
    """Labels by ``predict`` and scores by ``predict_proba``: the classifier runs twice, as in the example."""

    def __init__(self, model: LGBMClassifier) -> None:
        self.model = model

    def execute(self, eopatch: EOPatch) -> EOPatch:
        features = eopatch[FEATURES]
        dates, height, width, channels = features.shape
        rows = np.moveaxis(features, 0, 2).reshape(height * width, dates * channels)
        eopatch[PREDICTION] = np.asarray(self.model.predict(rows)).reshape(height, width, 1)
        eopatch[SCORES] = np.asarray(self.model.predict_proba(rows)).reshape(height, width, -1)
        return eopatch


class CoarseCloudProbabilityTask(EOTask):
    """Probability at a coarser resolution: resized bands, the detector, and the probability resized back."""

    def __init__(self, resolution: float) -> None:
        coarse: dict[Feature, Feature] = {each: (each[0], f"{each[1]}_COARSE") for each in (BANDS, IS_DATA, CLP)}
        self.shrink = SpatialResizeTask(
            features=[(*BANDS, coarse[BANDS][1]), (*IS_DATA, coarse[IS_DATA][1])],
            resize_type=ResizeParam.RESOLUTION,
            height_param=resolution,
            width_param=resolution,
        )
        self.detect = CloudProbabilityTask(coarse[BANDS], coarse[IS_DATA], CLM, coarse[CLP])
        self.coarse_probability = coarse[CLP]

    def execute(self, eopatch: EOPatch) -> EOPatch:
        height, width = eopatch.get_spatial_dimension(*BANDS)
        coarse = self.detect.execute(self.shrink.execute(eopatch))
        grow = SpatialResizeTask(
            features=[(*self.coarse_probability, CLP[1])],
            resize_type=ResizeParam.NEW_SIZE,
            height_param=height,
            width_param=width,
        )
        return grow.execute(coarse)


def steps(setup: Setup, prepared: Prepared) -> dict[str, Step]:
    """Every step; the tasks are made here, outside of what is measured."""
    chain = _Chain(setup)
    clouds: dict[str, Any] = {
        "data_feature": BANDS,
        "valid_data_feature": IS_DATA,
        "output_mask_feature": CLM,
        "output_proba_feature": CLP,
        "threshold": THRESHOLD,
        "average_over": AVERAGE_OVER,
        "dilation_size": DILATION_SIZE,
    }
    positions = {feature: band_indices(INDEX_BANDS[feature[1]]) for feature in INDICES}
    return {
        "cloud probability": in_order(CloudProbabilityTask(**clouds), outcome=arrays(CLP)),
        "cloud probability 160 m": in_order(
            CoarseCloudProbabilityTask(max(CLOUD_RESOLUTION, setup.resolution)), outcome=arrays(CLP)
        ),
        "cloud mask": in_order(CloudMaskFromProbabilityTask(**clouds), outcome=arrays(CLM)),
        "valid data + count": in_order(
            ValidDataTask(), ValidCountTask(), outcome=arrays(IS_VALID, VALID_COUNT), ready=_boolean_mask
        ),
        "indices": in_order(
            *[
                NormalizedDifferenceIndexTask(BANDS, feature, (first, second))
                for feature, (first, second) in positions.items()
            ],
            outcome=arrays(*INDICES),
        ),
        "labels from vectors": in_order(
            VectorImportTask(REFERENCE, str(setup.reference)),
            VectorToRasterTask(REFERENCE, LULC, values_column="lulcid", raster_shape=IS_DATA, raster_dtype=np.uint8),
            outcome=arrays(LULC),
        ),
        "filter": in_order(
            SimpleFilterTask(IS_VALID, ValidDataFraction(prepared.min_valid_fraction)), outcome=everything
        ),
        "merge": in_order(MergeFeatureTask([BANDS, *INDICES], FEATURES), outcome=arrays(FEATURES)),
        "resample in time": in_order(
            LinearInterpolationTask(
                FEATURES,
                mask_feature=IS_VALID,
                copy_features=[LULC],
                resample_range=(f"{YEAR}-01-01", f"{YEAR}-12-31", STEP_DAYS),
            ),
            outcome=arrays(FEATURES, LULC),
        ),
        "erode": in_order(ErosionTask((*LULC, LULC_ERODED[1]), disk_radius=1), outcome=_eroded),
        "sample": Step(chain.sample, lambda patch: class_counts(patch[LABELS_SAMPLED])),
        "train": Step(chain.train, chain.trained),
        "predict": Step(chain.predict, arrays(PREDICTION, SCORES)),
        "export": Step(chain.export, map_on_disk),
        "save": Step(chain.save, chain.saved),
        "load": Step(chain.load, everything),
    }


class _Chain:
    """Steps that need a name or a seed, or what an earlier step of this process has left."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.folder = setup.folder / "eo-learn"
        self.model: LGBMClassifier | None = None
        self.saved_as = ""
        self._sample = FractionSamplingTask(
            [(*FEATURES, FEATURES_SAMPLED[1]), (*LULC_ERODED, LABELS_SAMPLED[1])],
            sampling_feature=LULC_ERODED,
            fraction=SAMPLED_FRACTION,
            exclude_values=[0],
        )
        self._export = ExportToTiffTask(PREDICTION, str(self.folder / "maps"))
        self._save = SaveTask(str(self.folder / "eopatches"))
        self._load = LoadTask(str(self.folder / "eopatches"))

    def sample(self, patch: EOPatch, name: str) -> EOPatch:
        return self._sample.execute(patch, seed=SEED)

    def train(self, patch: EOPatch, name: str) -> LGBMClassifier:
        labels = patch[LABELS_SAMPLED].ravel()
        self.model = LGBMClassifier(
            objective="multiclass",
            num_class=len(np.unique(labels)),
            metric="multi_logloss",
            random_state=SEED,
            n_estimators=self.setup.rounds,
            n_jobs=self.setup.threads,
            verbosity=-1,
        )
        self.model.fit(sampled_rows(patch[FEATURES_SAMPLED]), labels)
        return self.model

    def trained(self, model: LGBMClassifier) -> Outcome:
        """The trees; the model is kept for the repeats that do not train."""
        write_pickle(self.setup.folder / "eo-learn-model.pickle", model)
        return tree_lines(model.booster_.model_to_string())

    def predict(self, patch: EOPatch, name: str) -> EOPatch:
        if self.model is None:
            self.model = read_pickle(self.setup.folder / "eo-learn-model.pickle")
        return PredictPatchTask(self.model).execute(patch)

    def export(self, patch: EOPatch, name: str) -> Path:
        self._export.execute(patch, filename=f"{name}.tif")
        return self.folder / "maps" / f"{name}.tif"

    def save(self, patch: EOPatch, name: str) -> str:
        self._save.execute(patch, eopatch_folder=name)
        self.saved_as = name
        return name

    def saved(self, name: str) -> Outcome:
        return everything(self._load.execute(eopatch_folder=name))

    def load(self, patch: EOPatch, name: str) -> EOPatch:
        return self._load.execute(eopatch_folder=self.saved_as)


def _boolean_mask(patch: EOPatch) -> EOPatch:
    """Cloud as eo-learn's masks have it."""
    patch[CLM] = patch[CLM] == 1
    return patch


def _eroded(patch: EOPatch) -> Outcome:
    """The result; the labels it started from; and that of size 3, the kernel that a radius of 1 stands for."""
    wider = ErosionTask((*LULC, "WIDER"), disk_radius=3).execute(patch.copy())
    return {"LULC_ERODED": patch[LULC_ERODED], "LULC": patch[LULC], "SIZE_3": wider[LULC[0], "WIDER"]}

"""Detectors in workflows of EOTasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA, frames_of
from eotasks.clouds.detectors.protocol import Detector
from eotasks.clouds.detectors.registry import find_detector, package_of
from eotasks.clouds.detectors.run import detect_clouds
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import ConfigurationError
from eotasks.features import Feature, feature_of
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA

CLP: Feature = (FeatureType.DATA, "CLP")
CLM: Feature = (FeatureType.MASK, "CLM")
SHADOW_MASK: Feature = (FeatureType.MASK, "SHADOW")


class DetectCloudsTask(EOTask):
    """Adds what a detector finds: a cloud mask, and a probability and a shadow mask where it answers them.

    For s2cloudless, AddCloudProbabilityTask and AddCloudMaskTask have more settings. The mask/SCL, mask/CLM and
    scalar/SUN_ANGLES of an EOPatch are given to the detectors that need them.
    """

    def __init__(
        self,
        detector: str,
        bands_feature: Feature = BANDS,
        mask_feature: Feature = CLM,
        *,
        probability_feature: Feature = CLP,
        shadow_feature: Feature = SHADOW_MASK,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        settings: DetectorSettings | None = None,
    ):
        """
        :param detector: Name of a detector of eotasks or of a plugin (``eotasks.clouds.detectors.registry``).
        :param bands_feature: Bands (t, h, w, bands): float reflectance (1.0 = 100 %), or integer DN = reflectance *
            10000 with the baseline offset removed.
        :param mask_feature: Output, uint8 (t, h, w, 1): 0 clear, 1 cloud, 255 no data.
        :param probability_feature: Output, float32 (t, h, w, 1), 0..1, NaN without data; of a detector that has one.
        :param shadow_feature: Output, uint8 (t, h, w, 1): 0 none, 1 shadow, 255 no data; of a detector that has one.
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all but those of a fill value in every
            band.
        :param bands: Names of the bands in their order; None tells by count (13, or the ten of the cloud model).
        :param settings: None for the defaults; the detector says which it uses.
        :raises ConfigurationError: an argument that is not usable, or no such detector.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.probability_feature = feature_of(probability_feature, {FeatureType.DATA})
        self.shadow_feature = feature_of(shadow_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        self.settings = settings or DetectorSettings()
        self.detector = detector
        self.package = package_of(detector)
        """Name and version of a plugin's package: a batch that is repeated with another one is noticed."""
        missing = [band for band in self._detector.bands if self.bands is not None and band not in self.bands]
        if missing:
            raise ConfigurationError(f"detector {detector!r} needs {', '.join(missing)}, which bands does not name.")

    @cached_property
    def _detector(self) -> Detector:
        return find_detector(self.detector)

    def __getstate__(self) -> dict[str, Any]:
        """Without the detector, which a worker finds by its name."""
        return {key: value for key, value in vars(self).items() if key != "_detector"}

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the masks.

        :raises EOTasksError: as :func:`eotasks.clouds.detectors.run.detect_clouds`.
        """
        frames = frames_of(eopatch, self.bands_feature, is_data_feature=self.is_data_feature, bands=self.bands)
        detection = detect_clouds(self._detector, frames, self.settings)
        mask = detection.mask
        unknown = mask == NO_DATA
        eopatch[self.mask_feature] = np.where(unknown, NO_DATA, mask == CLOUD).astype(np.uint8)[..., np.newaxis]
        if "shadow" in self._detector.answers:
            shadow = np.where(mask == SHADOW, CLOUD, CLEAR)
            eopatch[self.shadow_feature] = np.where(unknown, NO_DATA, shadow).astype(np.uint8)[..., np.newaxis]
        if detection.probability is not None:
            eopatch[self.probability_feature] = detection.probability[..., np.newaxis]
        return eopatch


def detector_tasks(
    detector: str,
    settings: DetectorSettings,
    *,
    bands_feature: Feature = BANDS,
    is_data_feature: Feature | None = IS_DATA,
    bands: Sequence[str] | None = None,
    probability_feature: Feature = CLP,
    mask_feature: Feature = CLM,
    shadow_feature: Feature = SHADOW_MASK,
) -> list[tuple[EOTask, str]]:
    """The tasks that find clouds by a detector, each with the name of its step.

    :raises ConfigurationError: an argument that is not usable, or no such detector.
    :raises BandError: s2cloudless, and a band that it needs is not named.
    """
    if detector == DEFAULT_DETECTOR:  # two steps, which can be followed and told apart
        probability = AddCloudProbabilityTask(
            bands_feature,
            probability_feature,
            is_data_feature=is_data_feature,
            bands=bands,
            resolution=settings.resolution,
            sampling=settings.sampling,
            threads=settings.threads,
        )
        mask = AddCloudMaskTask(
            probability_feature,
            mask_feature,
            is_data_feature=is_data_feature,
            preset=settings.preset,
            **settings.mask_arguments(),
        )
        return [(probability, "cloud probability"), (mask, "cloud mask")]
    task = DetectCloudsTask(
        detector,
        bands_feature,
        mask_feature,
        probability_feature=probability_feature,
        shadow_feature=shadow_feature,
        is_data_feature=is_data_feature,
        bands=bands,
        settings=settings,
    )
    return [(task, "clouds")]

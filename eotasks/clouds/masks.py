"""Cloud masks: from a cloud probability, or from the scene classification of L2A."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks._features import Feature, describe, feature_of
from eotasks.clouds._frames import mask_beside, single_channel
from models.clouds.postprocess import CLOUD, check_mask_settings, cloud_mask
from models.clouds.scene_classification import SCL_INVALID, mask_of_classes, scene_classes


class AddCloudMaskTask(EOTask):
    """Adds a cloud mask made from a cloud probability: average, threshold, dilate.

    The semantics are those of s2cloudless 1.7.3 (whose own mask fails when averaging is off and dilation on): cloud is
    strictly above the threshold. Without data the mask is 255.
    """

    def __init__(
        self,
        probability_feature: Feature = (FeatureType.DATA, "CLP"),
        mask_feature: Feature = (FeatureType.MASK, "CLM"),
        *,
        is_data_feature: Feature | None = None,
        threshold: float = 0.4,
        average_over: int | None = 4,
        dilation_size: int | None = 2,
        boolean: bool = False,
    ):
        """
        :param probability_feature: Cloud probability (t, h, w, 1): float 0..1, or uint8 0..255.
        :param mask_feature: Output (t, h, w, 1).
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data, or None when all have.
        :param threshold: Probability above which a pixel is cloud, 0..1.
        :param average_over: Radius in pixels of the disk the probability is averaged over; None or 0 for none.
        :param dilation_size: Radius in pixels by which cloud grows; None or 0 for none. Both radii are in pixels of
            the patch: at 20 m, half of what suits 10 m.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 clear, 1 cloud, 255 no data.
        :raises ConfigurationError: an argument that is not usable.
        """
        check_mask_settings(threshold, average_over, dilation_size)
        self.probability_feature = feature_of(probability_feature, {FeatureType.DATA})
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.threshold = threshold
        self.average_over = average_over
        self.dilation_size = dilation_size
        self.boolean = boolean

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing or holds no probability.
        :raises GridError: probability and data mask do not fit.
        """
        probability = single_channel(eopatch, self.probability_feature, "run AddCloudProbabilityTask first")
        valid = None
        if self.is_data_feature is not None:
            valid = mask_beside(eopatch, self.is_data_feature, probability, self.probability_feature)
        mask = cloud_mask(
            probability,
            threshold=self.threshold,
            average_over=self.average_over,
            dilation_size=self.dilation_size,
            valid=valid,
            where=describe(self.probability_feature),
        )
        eopatch[self.mask_feature] = _as_stored(mask, self.boolean)
        return eopatch


class AddSceneClassificationMaskTask(EOTask):
    """Adds a cloud mask made from the scene classification (SCL) of L2A, for which the cloud model lacks B10."""

    def __init__(
        self,
        classification_feature: Feature = (FeatureType.MASK, "SCL"),
        mask_feature: Feature = (FeatureType.MASK, "CLM"),
        *,
        invalid: Sequence[str] = SCL_INVALID,
        boolean: bool = False,
    ):
        """
        :param classification_feature: SCL (t, h, w, 1), integers 0..11.
        :param mask_feature: Output (t, h, w, 1).
        :param invalid: Names (``models.sentinel2.SceneClass``) of the classes to mask. The default masks saturated
            pixels, cloud shadow, medium and high cloud probability and cirrus, as the L2A edition of the land-cover
            example; ``models.clouds.scene_classification.SCL_CLOUD`` is cloud alone.
        :param boolean: True gives booleans (no data is False) instead of uint8 0, 1, and 255 for NO_DATA.
        :raises ConfigurationError: a name that is no class, NO_DATA among them, or a wrong feature.
        """
        self.classification_feature = feature_of(classification_feature, {FeatureType.MASK})
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.invalid = scene_classes(invalid)
        self.boolean = boolean

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: SCL is missing or holds other values than 0..11.
        """
        classes = single_channel(eopatch, self.classification_feature, "load the SCL band of L2A first")
        mask = mask_of_classes(classes, self.invalid, where=describe(self.classification_feature))
        eopatch[self.mask_feature] = _as_stored(mask, self.boolean)
        return eopatch


def _as_stored(mask: NDArray[np.uint8], boolean: bool) -> NDArray[np.generic]:
    return (mask == CLOUD if boolean else mask)[..., np.newaxis]

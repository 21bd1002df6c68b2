"""Cloud masks: from a cloud probability, or from the scene classification of L2A."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.checks import as_stored, mask_beside, pixel_size, single_channel
from eotasks.errors import FeatureError, GridError
from eotasks.features import Feature, bbox_of, describe, feature_of
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import FROM_PRESET, FromPreset, Preset, Smoothing, Unit, mask_settings
from eotasks.models.clouds.scene_classification import SCL_INVALID, mask_of_classes, scene_classes
from eotasks.models.clouds.validity import split_cloud_mask
from eotasks.models.scales import ProbabilityScale, check_scale


class AddCloudMaskTask(EOTask):
    """Adds a cloud mask made from a cloud probability: smooth, threshold, erode, dilate.

    The semantics are those of s2cloudless 1.7.3 (whose own mask fails when averaging is off and dilation on): cloud is
    strictly above the threshold. Without data the mask is 255. The settings come from a preset, each of them can be
    given instead:

    | preset | threshold | smoothing | erosion | dilation | made for pixels of |
    | --- | --- | --- | --- | --- | --- |
    | "s2cloudless" | 0.4 | mean over a disk, radius 1 | none | 1 | 10 m |
    | "eo-learn" (the default) | 0.4 | mean over a disk, radius 4 | none | 2 | 10 m |
    | "sentinel-hub" | 0.6 | Gaussian, sigma 3 | none | none | not published |
    | "gee" | 0.5 | none | 2 | 5 | 20 m |

    These are pixels of the patch, whatever a pixel measures, as with the peers they come from: at 20 m, half of what
    suits 10 m covers the same ground. ``unit="metre"`` covers the same ground at any pixel size: it multiplies the
    preset's radii by the last column ("eo-learn": 40 m and 20 m). ``eotasks.models.clouds.presets`` names the sources.
    """

    def __init__(
        self,
        probability_feature: Feature = (FeatureType.DATA, "CLP"),
        mask_feature: Feature = (FeatureType.MASK, "CLM"),
        *,
        is_data_feature: Feature | None = None,
        snow_feature: Feature | None = None,
        thin_cloud_feature: Feature | None = None,
        preset: Preset = "eo-learn",
        threshold: float | FromPreset = FROM_PRESET,
        smoothing: Smoothing | FromPreset = FROM_PRESET,
        average_over: float | FromPreset | None = FROM_PRESET,
        sigma: float | FromPreset | None = FROM_PRESET,
        erosion_size: float | FromPreset | None = FROM_PRESET,
        dilation_size: float | FromPreset | None = FROM_PRESET,
        unit: Unit = "pixel",
        scale: ProbabilityScale | None = None,
        boolean: bool = False,
    ):
        """
        :param probability_feature: Cloud probability (t, h, w, 1): float 0..1, uint8 0..255, or of the named scale.
        :param mask_feature: Output (t, h, w, 1).
        :param is_data_feature: Boolean mask (t, h, w, 1) of the pixels with data, or None when all have but for NaN.
        :param snow_feature: Mask (t, h, w, 1) of snow, as AddSnowMaskTask adds it. Snow has no say in the mask and
            comes out clear, but where the dilation of a cloud beside it covers it. None leaves the mask as s2cloudless
            makes it, bright snow among the clouds.
        :param thin_cloud_feature: Mask (t, h, w, 1) of thin cloud, as AddThinCloudMaskTask adds it, which is treated as
            snow is: the mask is then of opaque cloud and what it grows over. None leaves thin cloud to the probability.
        :param preset: "s2cloudless", "eo-learn", "sentinel-hub" or "gee": where settings that are not given come from.
        :param threshold: Probability above which a pixel is cloud, 0..1.
        :param smoothing: "disk" or "gaussian"; another than the preset's takes nothing of the preset's smoothing.
        :param average_over: Radius of the disk the probability is averaged over; None or 0 for none.
        :param sigma: Standard deviation of the Gaussian, which is cut off at four of them.
        :param erosion_size: Radius of the disk by which cloud shrinks before it grows, which removes specks; None or 0
            for none.
        :param dilation_size: Radius of the disk by which cloud grows; None or 0 for none.
        :param unit: "pixel" (radii are whole numbers) or "metre", of the radii and sigma. The patch then needs a
            bounding box in metres; radii are rounded to whole pixels, and below half a pixel the step is skipped.
        :param scale: What the numbers of the probability are: "0..1", "percent" (as Earth Engine's
            COPERNICUS/S2_CLOUD_PROBABILITY and MSK_CLDPRB of L2A are) or "0..255". None: floats are 0..1, uint8 0..255.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 clear, 1 cloud, 255 no data.
        :raises ConfigurationError: an argument that is not usable.
        """
        self.probability_feature = feature_of(probability_feature, {FeatureType.DATA})
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.snow_feature = None if snow_feature is None else feature_of(snow_feature, {FeatureType.MASK})
        self.thin_cloud_feature = None
        if thin_cloud_feature is not None:
            self.thin_cloud_feature = feature_of(thin_cloud_feature, {FeatureType.MASK})
        self.settings = mask_settings(
            preset,
            threshold=threshold,
            smoothing=smoothing,
            average_over=average_over,
            sigma=sigma,
            erosion_size=erosion_size,
            dilation_size=dilation_size,
            unit=unit,
        )
        check_scale(scale, ProbabilityScale)
        self.scale: ProbabilityScale | None = scale
        self.boolean = boolean

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing, holds no probability or is no mask.
        :warns ScaleWarning: uint8 that ends at exactly 100, where no scale is named.
        :raises GridError: probability and masks do not fit, or metres are asked for that the patch's grid does not
            allow.
        """
        probability = single_channel(eopatch, self.probability_feature, "run AddCloudProbabilityTask first")
        valid = None
        if self.is_data_feature is not None:
            valid = mask_beside(eopatch, self.is_data_feature, probability, self.probability_feature)
        elif probability.dtype.kind in "iu":
            where = describe(self.probability_feature)
            raise FeatureError(
                f"{where} is {probability.dtype}, which is 0 where there is no data as well as where it is clear: give"
                " is_data_feature, or a probability of type float32."
            )
        mask = mask_of(
            probability,
            self.settings,
            pixel_size=self._pixel_size(eopatch, probability),
            valid=valid,
            snow=self._apart(eopatch),
            scale=self.scale,
            where=describe(self.probability_feature),
        )
        eopatch[self.mask_feature] = as_stored(mask, self.boolean)
        return eopatch

    def _apart(self, eopatch: EOPatch) -> NDArray[np.bool_] | None:
        """Pixels (t, h, w) of snow and of thin cloud, None where neither is kept apart."""
        apart = None
        for feature, task, name in (
            (self.snow_feature, "AddSnowMaskTask", "snow_feature"),
            (self.thin_cloud_feature, "AddThinCloudMaskTask", "thin_cloud_feature"),
        ):
            if feature is not None:
                mask = single_channel(eopatch, feature, f"run {task} first, or leave {name} out")
                pixels, _ = split_cloud_mask(mask, where=describe(feature))
                if apart is not None and apart.shape != pixels.shape:
                    raise GridError(
                        f"{describe(feature)} has shape {pixels.shape}, snow {apart.shape}: make both alike."
                    )
                apart = pixels if apart is None else apart | pixels
        return apart

    def _pixel_size(self, eopatch: EOPatch, probability: NDArray[Any]) -> tuple[float, float] | None:
        if self.settings.unit == "pixel":
            return None
        try:
            return pixel_size(bbox_of(eopatch), *probability.shape[1:], wanted_for="radius")
        except GridError as error:
            raise GridError(f"{describe(self.probability_feature)}: {error}") from error


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
        :param invalid: Names (``eotasks.models.sentinel2.SceneClass``) of the classes to mask. The default masks
            saturated pixels, cloud shadow, medium and high cloud probability and cirrus, as the L2A edition of the
            land-cover example; ``eotasks.models.clouds.scene_classification.SCL_CLOUD`` is cloud alone.
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
        eopatch[self.mask_feature] = as_stored(mask, self.boolean)
        return eopatch

"""Which pixels can be used, how many there are, and which frames are worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.checks import frame_name, mask_beside, refuse_wrong_scale, single_channel, valid_pixels
from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.features import Feature, array_of, describe, feature_of
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.surface import SURFACE_BANDS, surface_masks
from eotasks.models.clouds.validity import Treatment, split_cloud_mask, valid_count, valid_data, valid_fraction
from eotasks.models.clouds.validity import cloud_coverage as coverage_of
from eotasks.models.scales import ReflectanceScale, check_mask, check_scale
from eotasks.models.sentinel2 import band_indices
from eotasks.text import did_you_mean


class AddValidDataMaskTask(EOTask):
    """Adds the mask of usable pixels: data is there and no mask calls it cloud, with an eye to snow and water.

    Snow and bright lakes are what cloud masks take for cloud, so the surface can be told to stay valid ("keep"); or to
    be left out of a series that is about plants ("exclude"), which also removes snow that no mask noticed. Water never
    counts as snow. Both need the bands; without them the task works on masks alone.
    """

    def __init__(
        self,
        is_data_feature: Feature | None = (FeatureType.MASK, "IS_DATA"),
        valid_feature: Feature = (FeatureType.MASK, "IS_VALID"),
        *,
        cloud_masks: Sequence[Feature] = ((FeatureType.MASK, "CLM"),),
        bands_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        snow: Treatment = "ignore",
        water: Treatment = "ignore",
        max_snow_swir: float | None = None,
        scale: ReflectanceScale | None = None,
    ):
        """
        :param is_data_feature: Boolean mask (t, h, w, 1) of the pixels with data. None when the cloud masks say it
            themselves (255), then there must be one.
        :param valid_feature: Output, boolean (t, h, w, 1).
        :param cloud_masks: Masks (t, h, w, 1) of what is not to be used, cloud and shadow: boolean, or 0 clear, 1
            cloud, 255 no data. May be empty.
        :param bands_feature: Reflectance or DN (t, h, w, bands) with B03, B08 and B11; needed for snow and water.
            With B04 among them surf and muddy water are no snow; without it they can be.
        :param bands: Names of the bands in their order; None when they are the 13 of L1C.
        :param snow: "ignore" (no difference), "exclude" (never valid), or "keep" (valid though a mask calls it cloud).
        :param water: The same for clear open water.
        :param max_snow_swir: Highest B11 reflectance of snow, which keeps high ice clouds from passing as snow; None
            for no limit.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack one that is needed.
        """
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.valid_feature = feature_of(valid_feature, {FeatureType.MASK})
        self.cloud_masks = [feature_of(feature, {FeatureType.MASK}) for feature in cloud_masks]
        self.bands_feature = None if bands_feature is None else feature_of(bands_feature, {FeatureType.DATA})
        self.bands = None if bands is None else tuple(bands)
        self.snow, self.water = _treatment(snow, "snow"), _treatment(water, "water")
        self.max_snow_swir = max_snow_swir
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        if self.is_data_feature is None and not self.cloud_masks:
            raise ConfigurationError("neither is_data_feature nor cloud_masks are given: give one of them at least.")
        if self._wants_surface and self.bands_feature is None:
            raise ConfigurationError(
                f"snow={snow!r}, water={water!r} need the bands {', '.join(SURFACE_BANDS)}: give bands_feature, or"
                ' "ignore" both.'
            )
        if self._wants_surface and self.bands is not None:
            band_indices(SURFACE_BANDS, self.bands, where=describe(self.bands_feature or self.valid_feature))

    @property
    def _wants_surface(self) -> bool:
        return "keep" in (self.snow, self.water) or "exclude" in (self.snow, self.water)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing or is no mask.
        :raises GridError: shapes that differ.
        :raises BandError: a band is missing.
        :raises ReflectanceError: values that are no reflectance where there is data.
        """
        masks = [
            single_channel(eopatch, each, "make it first, or take it off cloud_masks") for each in self.cloud_masks
        ]
        is_data = self._is_data(eopatch, masks)
        snow, water = self._surfaces(eopatch, is_data)
        valid = valid_data(
            is_data,
            masks,
            snow=snow,
            water=water,
            snow_treatment=self.snow,
            water_treatment=self.water,
            where=self._where,
        )
        eopatch[self.valid_feature] = valid[..., np.newaxis]
        return eopatch

    @property
    def _where(self) -> str:
        return ", ".join(map(describe, self.cloud_masks or filter(None, [self.is_data_feature])))

    def _is_data(self, eopatch: EOPatch, masks: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        """The mask of pixels with data, from its feature or from the cloud masks that can tell."""
        if self.is_data_feature is None:
            telling = [mask for mask in masks if mask.dtype != bool]
            if not telling:
                raise FeatureError(
                    f"{self._where}: boolean masks cannot say where there is no data. Give is_data_feature, or a cloud"
                    " mask of 0, 1 and 255."
                )
            return ~split_cloud_mask(telling[0], where=self._where)[1]
        is_data = single_channel(eopatch, self.is_data_feature, "a source adds it beside the bands")
        return check_mask(is_data, name=describe(self.is_data_feature))

    def _surfaces(
        self, eopatch: EOPatch, is_data: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        if self.bands_feature is None or not self._wants_surface:
            return None, None
        frames = array_of(eopatch, self.bands_feature, "load or download the bands first")
        names = band_names(frames.shape[-1], self.bands, where=describe(self.bands_feature))
        if is_data.shape != frames.shape[:3]:
            raise GridError(
                f"{self._where}: the masks have shape {is_data.shape}, {describe(self.bands_feature)}"
                f" {frames.shape[:3]}: bring both to one grid and one time axis."
            )
        refuse_wrong_scale(eopatch, self.bands_feature, frames, is_data, names=names, scale=self.scale)
        snow, water = np.zeros(is_data.shape, dtype=bool), np.zeros(is_data.shape, dtype=bool)
        for index in range(len(frames)):
            snow[index], water[index] = surface_masks(
                frames[index],
                is_data[index],
                names,
                max_snow_swir=self.max_snow_swir,
                scale=self.scale,
                check_bands=False,  # of all frames together, above
                where=frame_name(eopatch, self.bands_feature, index),
            )
        return snow, water


class AddValidCountTask(EOTask):
    """Adds the number of valid observations of every pixel."""

    def __init__(
        self,
        valid_feature: Feature = (FeatureType.MASK, "IS_VALID"),
        count_feature: Feature = (FeatureType.MASK_TIMELESS, "VALID_COUNT"),
    ):
        """
        :param valid_feature: Boolean mask (t, h, w, 1) of valid pixels.
        :param count_feature: Output, uint16 (h, w, 1).
        :raises ConfigurationError: a feature that does not fit.
        """
        self.valid_feature = feature_of(valid_feature, {FeatureType.MASK})
        self.count_feature = feature_of(count_feature, {FeatureType.MASK_TIMELESS})

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the count.

        :raises FeatureError: the mask is missing or not boolean.
        """
        valid = valid_pixels(eopatch, self.valid_feature)
        eopatch[self.count_feature] = valid_count(valid)
        return eopatch


class AddValidFractionTask(EOTask):
    """Adds the share of valid pixels of every frame."""

    def __init__(
        self,
        valid_feature: Feature = (FeatureType.MASK, "IS_VALID"),
        fraction_feature: Feature = (FeatureType.SCALAR, "VALID_FRACTION"),
    ):
        """
        :param valid_feature: Boolean mask (t, h, w, 1) of valid pixels.
        :param fraction_feature: Output, float32 (t, 1), 0..1.
        :raises ConfigurationError: a feature that does not fit.
        """
        self.valid_feature = feature_of(valid_feature, {FeatureType.MASK})
        self.fraction_feature = feature_of(fraction_feature, {FeatureType.SCALAR})

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the fractions.

        :raises FeatureError: the mask is missing or not boolean.
        """
        valid = valid_pixels(eopatch, self.valid_feature)
        eopatch[self.fraction_feature] = valid_fraction(valid).astype(np.float32)[:, np.newaxis]
        return eopatch


class AddCloudCoverageTask(EOTask):
    """Adds the share of cloud among the pixels with data of every frame."""

    def __init__(
        self,
        mask_feature: Feature = (FeatureType.MASK, "CLM"),
        coverage_feature: Feature = (FeatureType.SCALAR, "CLOUD_COVERAGE"),
        *,
        is_data_feature: Feature | None = None,
    ):
        """
        :param mask_feature: Cloud mask (t, h, w, 1): boolean, or 0/1/255.
        :param coverage_feature: Output, float32 (t, 1), 0..1, NaN for a frame without data.
        :param is_data_feature: Mask of the pixels with data; None when the cloud mask says it itself (255).
        :raises ConfigurationError: a feature that does not fit.
        """
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.coverage_feature = feature_of(coverage_feature, {FeatureType.SCALAR})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the coverage.

        :raises FeatureError: a mask is missing or none.
        :raises GridError: shapes that differ.
        """
        coverage = coverage_in(eopatch, self.mask_feature, self.is_data_feature)
        eopatch[self.coverage_feature] = coverage.astype(np.float32)[:, np.newaxis]
        return eopatch


def coverage_in(eopatch: EOPatch, mask_feature: Feature, is_data_feature: Feature | None) -> NDArray[np.float64]:
    """Cloud coverage (t,) of the frames of a patch, NaN for a frame without data."""
    mask = single_channel(eopatch, mask_feature, "run AddCloudMaskTask first")
    is_data = None if is_data_feature is None else mask_beside(eopatch, is_data_feature, mask, mask_feature)
    return coverage_of(mask, is_data, where=describe(mask_feature))


def _treatment(value: Any, name: str) -> Treatment:
    if value not in get_args(Treatment):
        known = get_args(Treatment)
        raise ConfigurationError(
            f"{name}={value!r} is unknown{did_you_mean(value, known)}: give {', '.join(map(repr, known))}."
        )
    treatment: Treatment = value
    return treatment

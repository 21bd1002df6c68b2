"""Cloud masks by consensus over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.clouds.checks import as_stored, beside, refuse_wrong_scale, seen_pixels, snow_of
from eotasks.errors import FeatureError
from eotasks.features import Feature, array_of, describe, feature_of
from eotasks.models.band_sets import band_names
from eotasks.models.checks import check_number, check_whole
from eotasks.models.clouds.temporal.consensus import BLUE, MARGIN, MIN_BRIGHTENING, cloud_consensus
from eotasks.models.clouds.temporal.neighbours import DATES, LEAST
from eotasks.models.scales import ReflectanceScale, as_reflectance, check_scale
from eotasks.models.sentinel2 import MAX_REFLECTANCE, band_indices


class AddCloudConsensusTask(EOTask):
    """Adds a cloud mask of what a detector calls cloud and the ground's own brightness on other dates does too.

    Where there is a series, cloud has to be brighter in the blue than its ground was on the clear dates nearest in
    time. Bright ground and faint haze, which detectors of single dates take for cloud, come back; nothing becomes
    cloud. It works on the mask of any detector, that of single scenes or the multi-temporal one. For shadows
    use it on the mask before it was dilated too, with ``margin=0``: they are found better by clouds that are ones.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        consensus_feature: Feature = (FeatureType.MASK, "CLM_CONSENSUS"),
        *,
        mask_feature: Feature = (FeatureType.MASK, "CLM"),
        is_data_feature: Feature | None = None,
        snow_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        min_brightening: float = MIN_BRIGHTENING,
        margin: int = MARGIN,
        dates: int = DATES,
        scale: ReflectanceScale | None = None,
        boolean: bool = False,
    ):
        """
        :param bands_feature: Bands (t, h, w, bands) with B02: float reflectance or integer DN, L1C or L2A.
        :param consensus_feature: Output (t, h, w, 1).
        :param mask_feature: Cloud mask (t, h, w, 1) of a detector, boolean or 0 clear, 1 cloud, 255 no data.
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value
            in every band (``eotasks.models.clouds.validity.is_fill``).
        :param snow_feature: Mask (t, h, w, 1) of snow, as AddSnowMaskTask adds it. Other dates are not compared with
            snow, which is as bright as cloud.
        :param bands: Names of the bands in their order; None tells by count (13 or 10).
        :param min_brightening: Reflectance by which cloud is brighter than its ground in B02, at least; with 0.06
            most haze and thin cirrus come back too, and some thin cloud.
        :param margin: Pixels about such cloud that stay cloud where the mask says so: that by which the mask was
            dilated.
        :param dates: How many clear dates a pixel is compared with, at most; ground that was clear on fewer than two
            stays what the mask says.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 clear, 1 cloud, 255 no data.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack B02.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.consensus_feature = feature_of(consensus_feature, {FeatureType.MASK})
        self.mask_feature = feature_of(mask_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.snow_feature = None if snow_feature is None else feature_of(snow_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        if self.bands is not None:
            band_indices((BLUE,), self.bands, where=describe(self.bands_feature))
        self.min_brightening = check_number(
            min_brightening, "min_brightening", "reflectance", lowest=0, highest=MAX_REFLECTANCE
        )
        self.margin = check_whole(margin, "margin", "number of pixels", at_least=0)
        self.dates = check_whole(dates, "dates", "number of dates", at_least=LEAST)
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        self.boolean = boolean

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature or the timestamps are missing, or the mask is none.
        :raises BandError: B02 is missing.
        :raises ReflectanceError: values that are no reflectance where there is data.
        :raises GridError: shapes that differ.
        """
        frames = array_of(eopatch, self.bands_feature, "load or download the bands first")
        seen = seen_pixels(eopatch, self.is_data_feature, frames, self.bands_feature)
        names = band_names(frames.shape[-1], self.bands, where=describe(self.bands_feature))
        (index,) = band_indices((BLUE,), names, where=describe(self.bands_feature))
        refuse_wrong_scale(eopatch, self.bands_feature, frames, seen, names=names, scale=self.scale)
        mask = beside(eopatch, self.mask_feature, frames, self.bands_feature)
        times = eopatch.timestamps
        if times is None:
            raise FeatureError(
                f"{describe(self.bands_feature)}: dates are compared by their timestamps, and the EOPatch has none."
            )
        valid = np.ones(frames.shape[:3], dtype=bool) if seen is None else seen
        blue = as_reflectance(frames[..., index], valid, scale=self.scale, where=describe(self.bands_feature))
        result = cloud_consensus(
            np.where(valid, blue, np.float32(0)).astype(np.float32),
            mask,
            times,
            valid=valid,
            snow=snow_of(eopatch, self.snow_feature, frames, self.bands_feature),
            min_brightening=self.min_brightening,
            margin=self.margin,
            dates=self.dates,
            where=describe(self.mask_feature),
        )
        eopatch[self.consensus_feature] = as_stored(result, self.boolean)
        return eopatch

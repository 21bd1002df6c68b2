"""Thin cloud, told from opaque cloud where the cirrus band can tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.clouds.checks import as_stored
from eotasks.clouds.frame_masks import frame_masks
from eotasks.features import Feature, describe, feature_of
from eotasks.models.checks import check_number
from eotasks.models.clouds.thin_cloud import MAX_THIN_BLUE, MIN_THIN_CIRRUS, THIN_CLOUD_BANDS, thin_cloud_in
from eotasks.models.scales import ReflectanceScale, check_scale
from eotasks.models.sentinel2 import MAX_REFLECTANCE, band_indices


class AddThinCloudMaskTask(EOTask):
    """Adds a mask of thin cloud: cirrus that the ground is seen through, bright in B10 and not in the blue.

    Detectors call thin cirrus cloud here and clear there. Where all or nothing helps no one, it is a class of its own:
    ``AddCloudMaskTask(thin_cloud_feature=...)`` leaves it out of the cloud mask, and each use decides.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        thin_cloud_feature: Feature = (FeatureType.MASK, "THIN_CLOUD"),
        *,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        min_cirrus: float = MIN_THIN_CIRRUS,
        max_blue: float = MAX_THIN_BLUE,
        scale: ReflectanceScale | None = None,
        boolean: bool = False,
    ):
        """
        :param bands_feature: L1C bands (t, h, w, bands), reflectance or integer DN, with B02 and B10.
        :param thin_cloud_feature: Output (t, h, w, 1).
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value
            in every band (``eotasks.models.clouds.validity.is_fill``).
        :param bands: Names of the bands in their order; None when they are those of L1C, 13 or the model's ten.
        :param min_cirrus: B10 reflectance strictly above which there is cirrus. Raise it over high mountains, where B10
            sees the ground.
        :param max_blue: B02 reflectance from which cloud is opaque.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 none, 1 thin cloud, 255 no data.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack one that is needed.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.thin_cloud_feature = feature_of(thin_cloud_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        self.min_cirrus = check_number(min_cirrus, "min_cirrus", "reflectance", lowest=0, highest=MAX_REFLECTANCE)
        self.max_blue = check_number(max_blue, "max_blue", "reflectance", lowest=0, highest=MAX_REFLECTANCE)
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        self.boolean = boolean
        if self.bands is not None:
            band_indices(THIN_CLOUD_BANDS, self.bands, where=describe(self.bands_feature))

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing.
        :raises BandError: a band is missing.
        :raises ReflectanceError: values that are no reflectance where there is data.
        :raises GridError: shapes that differ.
        """
        find = partial(thin_cloud_in, min_cirrus=self.min_cirrus, max_blue=self.max_blue)
        mask = frame_masks(eopatch, self.bands_feature, self.is_data_feature, find, bands=self.bands, scale=self.scale)
        eopatch[self.thin_cloud_feature] = as_stored(mask, self.boolean)
        return eopatch

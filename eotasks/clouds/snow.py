"""Snow, kept apart from cloud where the spectrum can tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.clouds.checks import as_stored
from eotasks.clouds.frame_masks import frame_masks
from eotasks.features import Feature, describe, feature_of
from eotasks.models.checks import check_number
from eotasks.models.clouds.surface import MAX_SNOW_CIRRUS, MIN_SNOW_GREEN, MIN_SNOW_NDSI, snow_bands, snow_in
from eotasks.models.scales import ReflectanceScale, check_scale
from eotasks.models.sentinel2 import MAX_REFLECTANCE, band_indices


class AddSnowMaskTask(EOTask):
    """Adds a mask of snow, which cloud detectors are known to take for cloud.

    It sees snow on clear ground: bright in the visible and near infrared and not red, dark in short-wave infrared
    (NDSI) and in the cirrus band. Surf and mud, which darken from red to near infrared, are no snow, under haze and a
    low sun either; snow in the shade of hills and clouds is missed. ``AddCloudMaskTask(snow_feature=...)`` gives such
    pixels back. Where there is no snow it does little harm: in a tropical scene it marked 0.11 % of the pixels, and
    changed 0.02 % of the cloud mask.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        snow_feature: Feature = (FeatureType.MASK, "SNOW"),
        *,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        min_ndsi: float = MIN_SNOW_NDSI,
        min_green: float = MIN_SNOW_GREEN,
        max_swir: float | None = None,
        max_cirrus: float | None = MAX_SNOW_CIRRUS,
        scale: ReflectanceScale | None = None,
        boolean: bool = False,
    ):
        """
        :param bands_feature: L1C bands (t, h, w, bands), reflectance or integer DN, with B02, B03, B04, B08, B11 and
            B10.
        :param snow_feature: Output (t, h, w, 1).
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value
            in every band (``eotasks.models.clouds.validity.is_fill``).
        :param bands: Names of the bands in their order; None when they are the 13 of L1C.
        :param min_ndsi: Lowest NDSI of snow, -1..1; higher is surer, and misses old snow and snow in forests.
        :param min_green: Lowest B03 reflectance of snow, which keeps out flooded ground; 0.10 suits L2A, where the
            light of the air is taken off.
        :param max_swir: Highest B11 reflectance of snow; None for no limit.
        :param max_cirrus: Highest B10 reflectance of snow, which keeps high ice clouds from passing as snow (and may
            keep out snow on the highest mountains); None does without B10, as L2A must.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 no snow, 1 snow, 255 no data.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack one that is needed.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.snow_feature = feature_of(snow_feature, {FeatureType.MASK})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        for name, limit in (("max_swir", max_swir), ("max_cirrus", max_cirrus)):
            if limit is not None:
                check_number(limit, name, "reflectance", lowest=0, highest=MAX_REFLECTANCE)
        self.min_ndsi = check_number(min_ndsi, "min_ndsi", "NDSI", lowest=-1, highest=1)
        self.min_green = check_number(min_green, "min_green", "reflectance", lowest=0, highest=MAX_REFLECTANCE)
        self.max_swir, self.max_cirrus = max_swir, max_cirrus
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        self.boolean = boolean
        if self.bands is not None:
            band_indices(snow_bands(max_cirrus), self.bands, where=describe(self.bands_feature))

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing.
        :raises BandError: a band is missing.
        :raises ReflectanceError: values that are no reflectance where there is data.
        :raises GridError: shapes that differ.
        """
        find = partial(
            snow_in,
            min_ndsi=self.min_ndsi,
            min_green=self.min_green,
            max_swir=self.max_swir,
            max_cirrus=self.max_cirrus,
        )
        mask = frame_masks(eopatch, self.bands_feature, self.is_data_feature, find, bands=self.bands, scale=self.scale)
        eopatch[self.snow_feature] = as_stored(mask, self.boolean)
        return eopatch

"""Shadows of clouds on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.checks import (
    as_stored,
    frame_name,
    pixel_size,
    refuse_wrong_scale,
    seen_pixels,
    single_channel,
    snow_of,
)
from eotasks.clouds.elevation import Elevation, Heights, elevation_source, heights_of
from eotasks.errors import ConfigurationError, FeatureError, GridError, warn_caller
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of
from eotasks.models.band_sets import band_names
from eotasks.models.checks import check_number, check_whole
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.clouds.shadows.angles import NADIR
from eotasks.models.clouds.shadows.frame import MethodName, ShadowMethod, cloud_shadow, shadow_method
from eotasks.models.clouds.shadows.geometric import GeometricMethod
from eotasks.models.clouds.shadows.light import SHADOW_BANDS, light_of
from eotasks.models.clouds.shadows.series import Search, Tell, shadows_of_series
from eotasks.models.clouds.temporal.neighbours import LEAST
from eotasks.models.clouds.validity import split_cloud_mask
from eotasks.models.scales import ProbabilityScale, ReflectanceScale, as_probability, check_scale, warn_of_percent
from eotasks.models.sentinel2 import band_indices

Angles = Feature | tuple[float, float]
"""A feature SCALAR (t, 2) or DATA (t, h, w, 2), or two numbers: zenith and azimuth in degrees."""


class AddCloudShadowTask(EOTask):
    """Adds a mask of cloud shadows, from the bands, a cloud mask and the angles of the sun and the sensor.

    The geometric method searches the height of every cloud and throws its outline to the ground; the projection is that
    of the Earth Engine tutorial. ``eotasks.models.clouds.shadows`` says how both work. Frames are worked on one at a
    time. Of frames above 4,000,000 pixels the geometric method searches heights in cells of several
    pixels (60 m of a full tile), and throws outlines at full resolution.

    Hills throw shade too. Where the height of the ground is given, terrain shade is computed and told apart: a mask of
    its own, in which there is no cloud shadow.

    Frames are searched each by itself, unless ``dates`` asks to compare them: then the ground of a frame is looked at
    against its own sunlight on the clear dates nearest in time, which leaves shade alone
    (``eotasks.models.clouds.shadows.series``).
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        shadow_feature: Feature = (FeatureType.MASK, "SHADOW"),
        *,
        cloud_feature: Feature = (FeatureType.MASK, "CLM"),
        cloud_threshold: float = 0.5,
        outline_feature: Feature | None = None,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        sun_angles: Angles = (FeatureType.SCALAR, "SUN_ANGLES"),
        view_angles: Angles = NADIR,
        elevation: Elevation | None = None,
        terrain_shade_feature: Feature = (FeatureType.MASK, "TERRAIN_SHADE"),
        method: MethodName | ShadowMethod = "geometric",
        dates: int | None = None,
        snow_feature: Feature | None = None,
        scale: ReflectanceScale | None = None,
        probability_scale: ProbabilityScale | None = None,
        boolean: bool = False,
    ):
        """
        :param bands_feature: Bands (t, h, w, bands) with B02, B08 and B11, and B03, B04 and B12 where they are there:
            float reflectance or integer DN, L1C or L2A.
        :param shadow_feature: Output (t, h, w, 1).
        :param cloud_feature: Cloud mask (t, h, w, 1), boolean or 0 clear, 1 cloud, 255 no data; or, of type DATA, a
            cloud probability, float 0..1 with NaN for no data, or uint8 0..255. Ground under it is no
            shadow.
        :param cloud_threshold: Probability above which a pixel is cloud, where a probability is given; 0.5 is the
            tutorial's.
        :param outline_feature: The cloud mask or probability before it was dilated, which shadows are searched with:
            the outline of a shadow is that of its cloud. None: ``cloud_feature`` itself, so that shadows are dilated as
            it is, and found less well. ``AddCloudMaskTask`` with ``dilation_size=None`` adds one.
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value
            in every band (``eotasks.models.clouds.validity.is_fill``).
        :param bands: Names of the bands in their order; None tells by count (13 or 10).
        :param sun_angles: Zenith and azimuth in degrees, azimuth clockwise from the grid's north and towards the sun:
            a scalar feature (t, 2), a grid as DATA feature (t, h, w, 2) with NaN where unknown, or two numbers for all
            frames. Frames without a cloud may have NaN, unless hills are told apart by an elevation.
        :param view_angles: The same of the sensor, azimuth towards the sensor. The default looks straight down.
        :param elevation: The height of the ground: a feature DATA_TIMELESS (h, w, 1) in metres, NaN where unknown; or
            where a DEM lies as a GeoTIFF, in any coordinate system (a path, ``s3://…``, ``https://…``), of which hills
            10 km about the patch count too. None: the ground is taken as flat.
        :param terrain_shade_feature: Output (t, h, w, 1) where an elevation is given: ground that hills shade, coded as
            the shadow is; slopes that are turned away from the sun are among it.
        :param method: "geometric" or "projection"; or ``GeometricMethod(...)`` or ``ProjectionMethod(...)`` of
            ``eotasks.models.clouds.shadows.geometric`` and ``.projection``, to change a setting.
        :param dates: With how many clear dates nearest in time the ground of a frame is compared; 5 is a good number.
            None: each frame by itself. Frames that have too few, or show nothing that way, are looked at by themselves.
            Needs timestamps and the geometric method, and takes about twice the time. For series of a date a month
            and more: what lies farther apart are other seasons.
        :param snow_feature: With ``dates``: mask (t, h, w, 1) of snow, as AddSnowMaskTask adds it. Ground under snow is
            compared with none, and none with it.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param probability_scale: "0..1", "percent" or "0..255" of a cloud probability; None for what the dtype says.
        :param boolean: True gives booleans (no data is False) instead of uint8 0 no shadow, 1 shadow, 255 no data.
            Clouds themselves are 0.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack one of the three.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.shadow_feature = feature_of(shadow_feature, {FeatureType.MASK})
        self.cloud_feature = feature_of(cloud_feature, {FeatureType.MASK, FeatureType.DATA})
        self.cloud_threshold = check_number(cloud_threshold, "cloud_threshold", "probability", lowest=0, highest=1)
        self.outline_feature = (
            None if outline_feature is None else feature_of(outline_feature, {FeatureType.MASK, FeatureType.DATA})
        )
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        if self.bands is not None:
            band_indices(SHADOW_BANDS, self.bands, where=describe(self.bands_feature))
        self.sun_angles = _angles(sun_angles, "sun_angles")
        self.view_angles = _angles(view_angles, "view_angles")
        self.elevation = elevation_source(elevation)
        self.terrain_shade_feature = feature_of(terrain_shade_feature, {FeatureType.MASK})
        if self.elevation is not None and self.terrain_shade_feature == self.shadow_feature:
            raise ConfigurationError(
                f"{describe(self.shadow_feature)} is named for cloud shadow and for terrain shade: give each its own."
            )
        self.method = shadow_method(method)
        self.dates = None if dates is None else check_whole(dates, "dates", "number of dates", at_least=LEAST)
        if self.dates is not None and not isinstance(self.method, GeometricMethod):
            raise ConfigurationError(f"dates={dates} goes with method='geometric': leave out one of the two.")
        self.snow_feature = None if snow_feature is None else feature_of(snow_feature, {FeatureType.MASK})
        if self.snow_feature is not None and self.dates is None:
            raise ConfigurationError("snow_feature makes no difference without dates: give both, or leave it out.")
        check_scale(scale, ReflectanceScale)
        check_scale(probability_scale, ProbabilityScale, "probability_scale")
        self.scale: ReflectanceScale | None = scale
        self.probability_scale: ProbabilityScale | None = probability_scale
        self.boolean = boolean

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: a feature is missing, or holds no cloud mask, no probability or no angles.
        :raises BandError: B02, B08 or B11 are not among the bands.
        :raises ReflectanceError: values that are no reflectance inside valid data; the message names the frame.
        :raises GridError: shapes differ, the bounding box is not in metres, or the elevation lies elsewhere.
        :raises ImageryError: an elevation that cannot be read.
        :warns ShadowWarning: a frame has clouds whose shadows cannot be told, with the frame and the reason.
        :warns ElevationWarning: ground whose height is not known.
        """
        frames = array_of(eopatch, self.bands_feature, "load or download the bands first")
        seen = seen_pixels(eopatch, self.is_data_feature, frames, self.bands_feature)
        valid = np.ones(frames.shape[:3], dtype=bool) if seen is None else seen
        names = band_names(frames.shape[-1], self.bands, where=describe(self.bands_feature))
        band_indices(SHADOW_BANDS, names, where=describe(self.bands_feature))
        refuse_wrong_scale(eopatch, self.bands_feature, frames, seen, names=names, scale=self.scale)
        cure = "run AddCloudProbabilityTask and AddCloudMaskTask first"
        cloud = self._cloud(eopatch, self.cloud_feature, frames, valid, cure)
        outlines = None
        if self.outline_feature is not None:
            cure = "run AddCloudMaskTask(..., dilation_size=None) first, which adds the mask before it grows"
            outlines = self._cloud(eopatch, self.outline_feature, frames, valid, cure)
        size = self._pixel_size(eopatch, frames)
        sun, view = (_per_frame(eopatch, each, frames) for each in (self.sun_angles, self.view_angles))
        shade = None
        if self.elevation is not None:
            shade = self._shade(eopatch, heights_of(eopatch, self.elevation, frames, valid, size), sun, valid)

        def search(frame: int, *, expected: NDArray[np.float32] | None, tell: Tell) -> NDArray[np.uint8]:
            return cloud_shadow(
                frames[frame],
                cloud[frame],
                outlines=None if outlines is None else outlines[frame],
                sun=sun[frame],
                view=view[frame],
                pixel_size=size,
                valid=valid[frame],
                terrain_shade=None if shade is None else shade[frame],
                expected=expected,
                names=self.bands,
                method=self.method,
                scale=self.scale,
                check_bands=False,  # of all frames together, above
                where=frame_name(eopatch, self.bands_feature, frame),
                tell=tell,
            )

        result = np.empty(frames.shape[:3], dtype=np.uint8)
        if self.dates is None:
            for index in range(len(frames)):
                result[index] = search(index, expected=None, tell=warn_caller)
        else:
            told = valid if shade is None else valid & ~shade  # hills' shade says nothing of how lit ground looks
            result = self._of_series(eopatch, search, frames, cloud, told)
        eopatch[self.shadow_feature] = as_stored(result, self.boolean)
        if shade is not None:
            coded = np.where(valid, shade.astype(np.uint8), np.uint8(NO_DATA))
            eopatch[self.terrain_shade_feature] = as_stored(coded, self.boolean)
        return eopatch

    def _of_series(
        self, eopatch: EOPatch, search: Search, frames: NDArray[Any], cloud: NDArray[Any], valid: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        times = eopatch.timestamps
        if times is None or self.dates is None:
            raise FeatureError(
                f"{describe(self.bands_feature)}: dates are compared by their timestamps, and the EOPatch has none. Add"
                " them, or leave out dates."
            )
        sunlight = np.stack(
            [
                light_of(bands, data, names=self.bands, scale=self.scale, check_bands=False).sunlight
                for bands, data in zip(frames, valid, strict=True)
            ]
        )
        hidden, unknown = split_cloud_mask(cloud, where=describe(self.cloud_feature))
        return shadows_of_series(
            search,
            sunlight,
            hidden,
            valid & ~unknown,
            times,
            snow=snow_of(eopatch, self.snow_feature, frames, self.bands_feature),
            dates=self.dates,
            tell=warn_caller,
        )

    def _shade(
        self, eopatch: EOPatch, heights: Heights, sun: NDArray[np.float64], valid: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Terrain shade (t, h, w); none in frames without data, which often have no angles either."""
        shade = np.zeros(valid.shape, dtype=bool)
        for index in np.flatnonzero(valid.any(axis=(1, 2))):
            where = frame_name(eopatch, self.bands_feature, int(index))
            shade[index] = heights.shade(sun[index], where) & valid[index]
        return shade

    def _cloud(
        self, eopatch: EOPatch, feature: Feature, frames: NDArray[Any], valid: NDArray[np.bool_], cure: str
    ) -> NDArray[Any]:
        """A cloud mask (t, h, w): boolean, or 0, 1 and 255."""
        where = describe(feature)
        cloud = single_channel(eopatch, feature, cure)
        if cloud.shape != frames.shape[:3]:
            raise GridError(
                f"{where} has shape {cloud.shape}, {describe(self.bands_feature)} {frames.shape[:3]}: bring both to one"
                " grid and one time axis."
            )
        if feature[0] is FeatureType.MASK:
            split_cloud_mask(cloud, where=where)
            return cloud
        missing = np.isnan(cloud) if cloud.dtype.kind == "f" else np.zeros(cloud.shape, dtype=bool)
        warn_of_percent(cloud, valid, scale=self.probability_scale, where=where)
        probability = as_probability(cloud, valid & ~missing, scale=self.probability_scale, where=where)
        return np.where(missing, np.uint8(NO_DATA), (probability > np.float32(self.cloud_threshold)).astype(np.uint8))

    def _pixel_size(self, eopatch: EOPatch, frames: NDArray[Any]) -> tuple[float, float]:
        try:
            return pixel_size(bbox_of(eopatch), frames.shape[1], frames.shape[2])
        except GridError as error:
            raise GridError(f"{describe(self.bands_feature)}, shadows: {error}") from error


def _angles(value: Any, name: str) -> Angles:
    """Two checked numbers, or a checked feature."""
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], FeatureType):
        return feature_of(value, {FeatureType.SCALAR, FeatureType.DATA})
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigurationError(
            f"{name}={value!r}: give (zenith, azimuth) in degrees, or a feature of type SCALAR (t, 2) or DATA"
            " (t, h, w, 2)."
        )
    zenith = check_number(value[0], f"{name} zenith", "zenith below the horizon's 90 degrees", lowest=0, highest=89.9)
    return zenith, check_number(value[1], f"{name} azimuth", "azimuth in degrees", lowest=-360, highest=360)


def _per_frame(eopatch: EOPatch, angles: Angles, frames: NDArray[Any]) -> NDArray[np.float64]:
    """(t, 2) or (t, h, w, 2).

    :raises FeatureError: a feature that is missing or has another shape.
    """
    if not isinstance(angles[0], FeatureType):
        return np.tile(np.asarray(angles, dtype=np.float64), (len(frames), 1))
    feature: Feature = angles
    values = array_of(eopatch, feature, "give the angles as two numbers, or as a feature that is there")
    due = (len(frames), 2) if feature[0] is FeatureType.SCALAR else (*frames.shape[:3], 2)
    if values.shape != due:
        raise FeatureError(
            f"Feature {describe(feature)} has shape {values.shape} where {due} is due: zenith and azimuth"
            f" {'of every frame' if len(due) == 2 else 'on the grid of the bands'}."
        )
    return np.asarray(values, dtype=np.float64)

"""How likely a pixel is cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.checks import frame_name, moment, pixel_size, seen_pixels
from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of
from eotasks.models.clouds.frame import frame_probability
from eotasks.models.clouds.pixel import cloud_band_indices
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import MAX_CLP
from eotasks.models.clouds.resampling import Sampling, Upsampling
from eotasks.models.scales import ReflectanceScale, check_scale
from eotasks.models.threads import resolve_threads
from eotasks.text import did_you_mean

ProbabilityType = Literal["float32", "uint8"]


class AddCloudProbabilityTask(EOTask):
    """Adds the cloud probability of every frame by itself: the single-scene model of s2cloudless.

    At the resolution of the bands, the values equal those of s2cloudless 1.7.3 to the last bit. Unlike s2cloudless it
    refuses NaN, raw digital numbers, a baseline offset and bands out of order inside valid data, and gives NaN where
    there is no data, of which AddCloudMaskTask makes 255. One frame is worked on at a time, so memory does not grow
    with the length of the series.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        probability_feature: Feature = (FeatureType.DATA, "CLP"),
        *,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        resolution: float | None = None,
        sampling: Sampling = "mean",
        upsampling: Upsampling = "bilinear",
        dtype: ProbabilityType = "float32",
        scale: ReflectanceScale | None = None,
        check_bands: bool = True,
        threads: int | None = None,
    ):
        """
        :param bands_feature: L1C bands (t, h, w, bands): float reflectance (1.0 = 100 %), or integer DN = reflectance *
            10000 with the baseline offset removed.
        :param probability_feature: Output (t, h, w, 1).
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; elsewhere the probability is NaN and values
            are not checked. None: pixels of 0 or NaN in all bands have none
            (``eotasks.models.clouds.validity.is_fill``).
        :param bands: Names of the bands in their order. None tells by count: all 13 of L1C, or the model's ten in the
            order of ``eotasks.models.sentinel2.CLOUD_BANDS``.
        :param resolution: Metres at which the probability is computed, such as 160; None for that of the bands. The
            patch then needs a bounding box in metres.
        :param sampling: How bands come to that resolution: "mean" (exact area mean, agrees best with the mean of fine
            probabilities) or "nearest" (as Sentinel Hub does).
        :param upsampling: How the probability comes back: "bilinear" or "nearest".
        :param dtype: "float32" 0..1, or "uint8" 0..255 as Sentinel Hub serves CLP, which is 0 where there is no data:
            only with ``is_data_feature``, which the mask task then needs too.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param check_bands: Whether bands are refused that are of another scale, carry the offset of processing baseline
            04.00 and later, had it removed twice, or are in another order (``eotasks.models.clouds.plausibility``).
            Where the source is sure of them, False spares a storm over a whole frame from being taken for an offset.
        :param threads: Threads of the engine, None for the setting. The values do not depend on it.
        :raises ConfigurationError: an argument that is not usable.
        :raises BandError: when the named bands lack one the model needs.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.probability_feature = feature_of(probability_feature, {FeatureType.DATA})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        self.resolution = resolution
        self.sampling: Sampling = _one_of(sampling, Sampling, "sampling")
        self.upsampling: Upsampling = _one_of(upsampling, Upsampling, "upsampling")
        self.dtype: ProbabilityType = _one_of(dtype, ProbabilityType, "dtype")
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        self.check_bands = check_bands
        self.threads = threads
        if self.bands is not None:
            cloud_band_indices(len(self.bands), self.bands, where=describe(self.bands_feature))
        if resolution is not None and not resolution > 0:
            raise ConfigurationError(f"resolution={resolution!r} is none: give metres above 0, or None.")
        if threads is not None:
            resolve_threads(threads)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the probability.

        :raises FeatureError: a feature is missing, or uint8 is to tell apart what has no data.
        :raises BandError: the bands are not those of the model, or not in their order.
        :raises ReflectanceError: values that are no reflectance inside valid data, or a baseline offset; the message
            names the frame.
        :raises GridError: shapes differ, or a resolution is asked for that the patch's grid does not allow.
        """
        frames = array_of(eopatch, self.bands_feature, "load or download the bands first")
        cloud_band_indices(frames.shape[-1], self.bands, where=describe(self.bands_feature))
        valid = seen_pixels(eopatch, self.is_data_feature, frames, self.bands_feature)
        if valid is not None and self.is_data_feature is None and self.dtype == "uint8":
            raise FeatureError(
                f"{describe(self.bands_feature)}: {np.count_nonzero(~valid)} pixels are 0 or NaN in all bands, no data,"
                " which uint8 cannot say. Give is_data_feature, or dtype='float32'."
            )
        if self.check_bands:
            names = [moment(eopatch, index) for index in range(len(frames))]
            refuse_implausible(
                frames, valid, bands=self.bands, scale=self.scale, frame_names=names, where=describe(self.bands_feature)
            )
        size = self._pixel_size(eopatch, frames)
        result = np.empty((*frames.shape[:3], 1), dtype=self.dtype)
        for index in range(len(frames)):
            where = frame_name(eopatch, self.bands_feature, index)
            seen = None if valid is None else valid[index]
            probability = frame_probability(
                frames[index],
                seen,
                names=self.bands,
                pixel_size=size,
                resolution=self.resolution,
                sampling=self.sampling,
                upsampling=self.upsampling,
                scale=self.scale,
                check_bands=False,  # of all frames together, above
                threads=self.threads,
                where=where,
            )
            if self.dtype == "uint8":
                result[index, ..., 0] = np.rint(probability * MAX_CLP)
            else:
                result[index, ..., 0] = probability if seen is None else np.where(seen, probability, np.nan)
        eopatch[self.probability_feature] = result
        return eopatch

    def _pixel_size(self, eopatch: EOPatch, frames: NDArray[Any]) -> tuple[float, float] | None:
        if self.resolution is None:
            return None
        try:
            return pixel_size(bbox_of(eopatch), frames.shape[1], frames.shape[2])
        except GridError as error:
            raise GridError(f"{describe(self.bands_feature)}: {error}") from error


def _one_of(value: Any, choices: Any, name: str) -> Any:
    if value not in get_args(choices):
        known = get_args(choices)
        raise ConfigurationError(
            f"{name}={value!r} is unknown{did_you_mean(value, known)}: give {' or '.join(map(repr, known))}."
        )
    return value

"""How likely a pixel is cloud, and whether it is, seen through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geo_utils import bbox_to_resolution

from eotasks.clouds.checks import frame_name, seen_pixels
from eotasks.errors import ConfigurationError, GridError
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of
from eotasks.models.checks import check_number
from eotasks.models.clouds.pixel import cloud_band_indices
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.clouds.temporal.model import Classifier, check_classifier
from eotasks.models.clouds.temporal.series import multi_temporal_clouds
from eotasks.models.clouds.temporal.settings import Output, TemporalSettings
from eotasks.models.scales import ReflectanceScale, check_scale
from eotasks.models.threads import resolve_threads

_MAX_RESOLUTION = 1e6


class AddMultiTemporalCloudProbabilityTask(EOTask):
    """Adds clouds as seen through time: the InterSSIM method of ``CloudMaskTask`` in eo-learn-mask 1.4.2.

    A pixel is compared with itself in the frames around it, which tells cloud from bright ground. Outputs: probability
    and mask of the multi-temporal model, probability and mask of the single-scene one, and the mask of both (their
    intersection, dilated), which is the method's result. Values equal the original's; unlike there, no output depends
    on which others are asked for (its mask grows twice when the single ones are wanted too), a single frame works, and
    so does a patch smaller than a cell of the resolution. At ``resolution=120`` (with ``average_over=16,
    dilation_size=8``), as its authors advise, it is a hundred times less work than at 10 m, and less noisy.

    Memory is that of a window of frames on a part of the patch, whatever the length of the series.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        probability_feature: Feature | None = (FeatureType.DATA, "CLP_MULTI"),
        *,
        mask_feature: Feature | None = (FeatureType.MASK, "CLM_INTERSSIM"),
        multi_mask_feature: Feature | None = None,
        mono_probability_feature: Feature | None = None,
        mono_mask_feature: Feature | None = None,
        is_data_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        resolution: float | tuple[float, float] | None = None,
        max_frames: int = 11,
        mono_threshold: float = 0.4,
        multi_threshold: float = 0.5,
        average_over: int | None = 4,
        dilation_size: int | None = 2,
        boolean: bool = False,
        mono_classifier: Classifier | None = None,
        multi_classifier: Classifier | None = None,
        scale: ReflectanceScale | None = None,
        check_bands: bool = True,
        threads: int | None = None,
    ):
        """
        :param bands_feature: L1C bands (t, h, w, bands) in the order of time: float reflectance (1.0 = 100 %), or
            integer DN = reflectance * 10000 with the baseline offset removed; 0 where there is no data.
        :param probability_feature: Output (t, h, w, 1), float32 0..1, not averaged: probability of the
            multi-temporal model. Without data it is 0 where ``is_data_feature`` says so, as the original has it (give
            it to AddCloudMaskTask too), NaN where the bands do. None leaves it out, as for every output.
        :param mask_feature: Output (t, h, w, 1): cloud by both models.
        :param multi_mask_feature: Output: cloud by the multi-temporal model alone.
        :param mono_probability_feature: Output: probability of the single-scene model, at the same resolution.
        :param mono_mask_feature: Output: cloud by the single-scene model alone.
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value
            in every band (``eotasks.models.clouds.validity.is_fill``).
        :param bands: Names of the bands in their order. None tells by count: all 13 of L1C, or the model's ten in the
            order of ``eotasks.models.sentinel2.CLOUD_BANDS``.
        :param resolution: Metres at which probabilities are computed, one number or (x, y) as the original has it; None
            for that of the bands. Sizes are rounded down to whole cells, one at least.
        :param max_frames: Frames a frame is compared with, itself among them; near the ends of the series they lie more
            to one side.
        :param mono_threshold: Averaged probability from which on (not above which) the single-scene model says cloud.
        :param multi_threshold: The same for the multi-temporal model.
        :param average_over: Radius of the disk the probabilities are averaged over for the masks; None or 0 for none.
        :param dilation_size: Radius by which masks grow; None or 0 for none. Both in pixels of the patch, also when a
            resolution is given.
        :param boolean: True gives masks as booleans (no data is False) instead of uint8 0 clear, 1 cloud, 255 no data.
        :param mono_classifier: A model of ten reflectances to take instead of s2cloudless'.
        :param multi_classifier: A model of the 90 features to take instead of the original's.
        :param scale: What the numbers of the bands are: "reflectance", "percent", "0..255", "dn" or "0..65535"
            (``eotasks.models.scales``). None: floats are reflectance, integers DN.
        :param check_bands: False leaves out the check of ``eotasks.models.clouds.plausibility``, which refuses a
            baseline offset left in or removed twice, be it in some frames only, and bands in a wrong order.
        :param threads: Threads, None for the setting. The values do not depend on it.
        :raises ConfigurationError: an argument that is not usable, or no output at all.
        :raises BandError: when the named bands lack one the model needs.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        asked: dict[Output, Feature | None] = {
            "multi_probability": probability_feature,
            "mask": mask_feature,
            "multi_mask": multi_mask_feature,
            "mono_probability": mono_probability_feature,
            "mono_mask": mono_mask_feature,
        }
        self.outputs = _checked_outputs(asked)
        if self.bands_feature in self.outputs.values():
            raise ConfigurationError(
                f"{describe(self.bands_feature)} is input and output: give the output another name."
            )
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        self.bands = None if bands is None else tuple(bands)
        if self.bands is not None:
            cloud_band_indices(len(self.bands), self.bands, where=describe(self.bands_feature))
        self.settings = TemporalSettings(
            resolution=_y_and_x(resolution),
            max_frames=max_frames,
            mono_threshold=mono_threshold,
            multi_threshold=multi_threshold,
            average_over=average_over,
            dilation_size=dilation_size,
        )
        self.boolean = boolean
        self.mono_classifier = check_classifier(mono_classifier, "mono_classifier")
        self.multi_classifier = check_classifier(multi_classifier, "multi_classifier")
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        self.check_bands = check_bands
        self.threads = None if threads is None else resolve_threads(threads)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the outputs.

        :raises FeatureError: a feature is missing.
        :raises BandError: the bands are not those of the model, or not in their order.
        :raises ReflectanceError: values that are no reflectance inside valid data, or carry a baseline offset; the
            message names the frames.
        :raises GridError: shapes differ, the patch has no bounding box, or the resolution is finer than its pixels.
        :raises ModelError: a classifier that gives no probabilities.
        """
        frames = array_of(eopatch, self.bands_feature, "load or download the bands first")
        valid = seen_pixels(eopatch, self.is_data_feature, frames, self.bands_feature)
        names = [frame_name(eopatch, self.bands_feature, index) for index in range(len(frames))]
        if self.check_bands:
            cloud_band_indices(frames.shape[-1], self.bands, where=describe(self.bands_feature))
            where = describe(self.bands_feature)
            refuse_implausible(frames, valid, bands=self.bands, scale=self.scale, frame_names=names, where=where)
        results = multi_temporal_clouds(
            frames,
            valid,
            pixel_size=self._pixel_size(eopatch, frames),
            outputs=list(self.outputs),
            settings=self.settings,
            names=self.bands,
            mono_classifier=self.mono_classifier,
            multi_classifier=self.multi_classifier,
            scale=self.scale,
            check_bands=False,  # here or not at all
            threads=self.threads,
            where=names,
        )
        for output, feature in self.outputs.items():
            result = results.pop(output)
            if result.dtype != bool:
                if valid is not None and self.is_data_feature is None:
                    result[~valid] = np.nan  # no mask tells the next task
            elif not self.boolean:
                result = _as_clm(result, valid)
            eopatch[feature] = result[..., np.newaxis]
        return eopatch

    def _pixel_size(self, eopatch: EOPatch, frames: NDArray[Any]) -> tuple[float, float]:
        """Metres (y, x) of a pixel on the ground, whatever the coordinate system of the patch."""
        try:
            bbox = bbox_of(eopatch)
        except GridError as error:
            raise GridError(f"{describe(self.bands_feature)}: {error}") from error
        along_x, along_y = bbox_to_resolution(bbox, max(frames.shape[2], 1), max(frames.shape[1], 1))
        return along_y, along_x


def _checked_outputs(asked: dict[Output, Feature | None]) -> dict[Output, Feature]:
    outputs: dict[Output, Feature] = {}
    for output, feature in asked.items():
        if feature is not None:
            allowed = FeatureType.DATA if output.endswith("probability") else FeatureType.MASK
            outputs[output] = feature_of(feature, {allowed})
    if not outputs:
        raise ConfigurationError("every output feature is None: name one of them.")
    twice = sorted({describe(feature) for feature in outputs.values() if list(outputs.values()).count(feature) > 1})
    if twice:
        raise ConfigurationError(f"{', '.join(twice)} is asked for more than once: give each output a name of its own.")
    return outputs


def _y_and_x(resolution: float | tuple[float, float] | None) -> tuple[float, float] | None:
    """Metres (y, x) of a resolution given as one number or (x, y)."""
    if resolution is None:
        return None
    pair = resolution if isinstance(resolution, tuple | list) else (resolution, resolution)
    if len(pair) != 2:
        raise ConfigurationError(f"resolution={resolution!r} is none: give metres, or (x, y) metres.")
    along_x, along_y = (
        check_number(size, "resolution", "number of metres", lowest=1e-3, highest=_MAX_RESOLUTION) for size in pair
    )
    return along_y, along_x


def _as_clm(cloud: NDArray[np.bool_], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    mask = np.where(cloud, np.uint8(CLOUD), np.uint8(CLEAR))
    if valid is not None:
        mask[~valid] = NO_DATA
    return mask

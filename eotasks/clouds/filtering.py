"""Leaving out the frames that show too little."""

from __future__ import annotations

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.checks import scalar_fraction, valid_pixels
from eotasks.clouds.validity import coverage_in
from eotasks.errors import ConfigurationError, FeatureError
from eotasks.features import Feature, describe, feature_of
from eotasks.models.checks import check_number, check_whole
from eotasks.models.clouds.validity import select_frames, valid_fraction

DEFAULT_VALID_FRACTION = 0.8


class FilterCloudyTimestampsTask(EOTask):
    """Keeps the frames that show enough ground: by valid fraction, or by cloud coverage.

    Every temporal feature and the timestamps are filtered, into a new EOPatch that shares the timeless features. When
    too few frames are left the task says so, with how many of how many pass and the best dates, where eo-learn goes on
    with a patch that fails in the interpolation.
    """

    def __init__(
        self,
        mask_feature: Feature | None = None,
        *,
        min_valid_fraction: float | None = None,
        max_cloud_coverage: float | None = None,
        is_data_feature: Feature | None = None,
        keep_at_least: int | None = None,
        min_frames: int = 1,
    ):
        """
        :param mask_feature: Mask (t, h, w, 1): of valid pixels, or, with ``max_cloud_coverage``, of cloud (boolean or
            0/1/255). Or the number itself, SCALAR (t, 1): the valid fraction that AddValidFractionTask adds, or the
            cloud coverage of AddCloudCoverageTask. None: IS_VALID, or CLM with ``max_cloud_coverage``.
        :param min_valid_fraction: A frame stays when its share of valid pixels is strictly greater, as in the
            land-cover example; 0.8 when neither limit is given.
        :param max_cloud_coverage: A frame stays when its share of cloud among pixels with data is not greater; a frame
            without data goes. Give one of the two limits.
        :param is_data_feature: With ``max_cloud_coverage``: the mask of pixels with data, where a boolean cloud mask
            cannot say it.
        :param keep_at_least: When fewer frames pass, the best ones are kept too, up to this number; of equals the
            earlier. A frame that shows nothing at all is never kept.
        :param min_frames: Fewest frames a patch is of use with, at least 1.
        :raises ConfigurationError: an argument that is not usable.
        """
        default = (FeatureType.MASK, "IS_VALID" if max_cloud_coverage is None else "CLM")
        self.mask_feature = feature_of(mask_feature or default, {FeatureType.MASK, FeatureType.SCALAR})
        self.is_data_feature = None if is_data_feature is None else feature_of(is_data_feature, {FeatureType.MASK})
        if min_valid_fraction is not None and max_cloud_coverage is not None:
            raise ConfigurationError("min_valid_fraction and max_cloud_coverage are both given: give one of them.")
        if is_data_feature is not None and max_cloud_coverage is None:
            raise ConfigurationError("is_data_feature goes with max_cloud_coverage; a mask of valid data includes it.")
        if is_data_feature is not None and self.mask_feature[0] is FeatureType.SCALAR:
            raise ConfigurationError(
                "is_data_feature goes with a mask: a coverage as a scalar has been counted already."
            )
        self.by_clouds = max_cloud_coverage is not None
        if max_cloud_coverage is not None:
            self.limit = check_number(max_cloud_coverage, "max_cloud_coverage", "fraction", lowest=0, highest=1)
        else:
            fraction = DEFAULT_VALID_FRACTION if min_valid_fraction is None else min_valid_fraction
            self.limit = check_number(fraction, "min_valid_fraction", "fraction", lowest=0, highest=1)
        frames = "number of frames"
        self.keep_at_least = (
            None if keep_at_least is None else check_whole(keep_at_least, "keep_at_least", frames, at_least=0)
        )
        self.min_frames = check_whole(min_frames, "min_frames", frames, at_least=1)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """A new EOPatch of the frames that stay.

        :raises FeatureError: the mask or the timestamps are missing, or a feature has another number of frames.
        :raises TooFewFramesError: fewer frames are left than ``min_frames`` or ``keep_at_least``.
        """
        times = eopatch.timestamps
        if times is None:
            raise FeatureError("the EOPatch has no timestamps, so there are no frames to choose from.")
        quality, passing, rule = self._judge(eopatch)
        _check_time_axes(eopatch, len(times))
        kept = select_frames(
            quality,
            passing,
            keep_at_least=self.keep_at_least,
            min_frames=self.min_frames,
            times=times,
            rule=rule,
        )
        return eopatch.copy() if len(kept) == len(times) else eopatch.temporal_subset(kept)

    def _judge(self, eopatch: EOPatch) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
        """Quality of every frame, whether it passes, and the rule in words."""
        if self.mask_feature[0] is FeatureType.SCALAR:
            return self._judge_scalar(eopatch)
        if self.by_clouds:
            coverage = coverage_in(eopatch, self.mask_feature, self.is_data_feature)
            rule = f"{describe(self.mask_feature)}: cloud coverage <= {self.limit:g}"
            return 1 - coverage, coverage <= self.limit, rule
        fraction = valid_fraction(valid_pixels(eopatch, self.mask_feature))
        return fraction, fraction > self.limit, f"{describe(self.mask_feature)}: valid fraction > {self.limit:g}"

    def _judge_scalar(self, eopatch: EOPatch) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
        cure = "run AddCloudCoverageTask first" if self.by_clouds else "run AddValidFractionTask first"
        values = scalar_fraction(eopatch, self.mask_feature, cure)
        limit = values.dtype.type(self.limit)  # 0.8 as float32 is above 0.8: both sides are rounded alike
        if self.by_clouds:
            rule = f"{describe(self.mask_feature)}: cloud coverage <= {self.limit:g}"
            return 1 - values.astype(np.float64), np.asarray(values <= limit), rule
        rule = f"{describe(self.mask_feature)}: valid fraction > {self.limit:g}"
        return values.astype(np.float64), np.asarray(values > limit), rule


def _check_time_axes(eopatch: EOPatch, frames: int) -> None:
    for feature_type, name in eopatch.get_features():
        if feature_type.is_temporal() and feature_type.is_array():
            count = len(eopatch[feature_type, name])
            if count != frames:
                raise FeatureError(
                    f"Feature {describe((feature_type, name))} has {count} frames, the EOPatch {frames} timestamps:"
                    " remove the feature, or bring it to the time axis of the patch."
                )

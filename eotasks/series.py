"""Time series of a patch: indices of its bands, and resampling to regular dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import get_args

from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.clouds.checks import mask_beside
from eotasks.errors import ConfigurationError, FeatureError, TooFewFramesError
from eotasks.features import Feature, array_of, describe, feature_of
from eotasks.models.band_sets import band_names
from eotasks.models.checks import check_whole
from eotasks.models.sentinel2 import BANDS, band_indices
from eotasks.models.series import (
    Edges,
    Negative,
    check_negative,
    interpolate,
    normalized_difference,
    resampling_dates,
    seconds_since_1970,
)
from eotasks.text import did_you_mean
from eotasks.times import naive_utc

Date = str | dt.date
"""ISO 8601 text, a date (its midnight) or a datetime (UTC when it has no zone)."""

INDICES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "NDVI": ("B08", "B04"),  # vegetation: Rouse et al. 1973
        "NDWI": ("B03", "B08"),  # open water: McFeeters 1996
        "NDBI": ("B11", "B08"),  # built-up: Zha et al. 2003
        "NDMI": ("B08", "B11"),  # leaf moisture: Gao 1996, Wilson and Sader 2002
        "MNDWI": ("B03", "B11"),  # open water beside built-up land: Xu 2006
        "NDSI": ("B03", "B11"),  # snow: Dozier 1989
        "NDRE": ("B08", "B05"),  # chlorophyll by the red edge: Barnes et al. 2000
        "NBR": ("B08", "B12"),  # burnt land: Key and Benson 2006
    }
)
"""Normalised differences (a - b) / (a + b) by name: the bands a and b."""


class AddNormalizedDifferenceTask(EOTask):
    """Adds a normalised difference (a - b) / (a + b) of two bands in float32, NaN where both are 0 or one is negative.

    Unlike eo-learn's task it takes band names, integer DN without overflow, and stays within -1..1.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        index_feature: Feature = (FeatureType.DATA, "NDVI"),
        *,
        bands: tuple[str, str] | None = None,
        available: Sequence[str] | None = None,
        negative: Negative = "nan",
    ):
        """
        :param bands_feature: Reflectance or DN (t, h, w, bands).
        :param index_feature: Output, float32 (t, h, w, 1).
        :param bands: The bands a and b. None takes them from ``INDICES`` by the name of the output.
        :param available: Names of the bands of the input in their order; None tells by count (13 or 10).
        :param negative: Where a band is negative, as dark ground can be without offset or atmosphere: "nan" (no
            observation), or "clip", which takes the band for 0.
        :raises ConfigurationError: an argument that is not usable, or no bands are given and the output's name is no
            known index.
        :raises BandError: a and b are not among the available bands.
        """
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.index_feature = feature_of(index_feature, {FeatureType.DATA})
        self.bands = _index_bands(self.index_feature[1]) if bands is None else tuple(bands)
        if len(self.bands) != 2:
            raise ConfigurationError(f"bands={bands!r}: a normalised difference is of two bands, such as (B08, B04).")
        check_negative(negative)
        self.negative: Negative = negative
        self.available = None if available is None else tuple(available)
        band_indices(self.bands, self.available or BANDS, where=describe(self.bands_feature))

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the index.

        :raises FeatureError: the bands are missing.
        :raises BandError: the number of bands does not fit their names, or is not known.
        """
        values = array_of(eopatch, self.bands_feature, "load or download the bands first")
        where = describe(self.bands_feature)
        names = band_names(values.shape[-1], self.available, where=where)
        first, second = band_indices(self.bands, names, where=where)
        eopatch[self.index_feature] = normalized_difference(
            values[..., first : first + 1], values[..., second : second + 1], negative=self.negative
        )
        return eopatch


class ResampleTimeSeriesTask(EOTask):
    """Resamples a feature to regular dates by linear interpolation between the valid observations of every pixel.

    float32 in and out, exact against ``numpy.interp``, times taken as they are; eo-learn's LinearInterpolationTask
    gives float64, rounds times to hours and leaves edges NaN. The result is a new EOPatch: bounding box, the new
    dates, the resampled feature, and every timeless feature and meta info of the old one. Temporal features of the old
    time axis are left behind.
    """

    def __init__(
        self,
        feature: Feature = (FeatureType.DATA, "FEATURES"),
        resampled_feature: Feature | None = None,
        *,
        valid_feature: Feature | None = (FeatureType.MASK, "IS_VALID"),
        start: Date | None = None,
        end: Date | None = None,
        step_days: float | None = None,
        dates: Iterable[Date] | None = None,
        edges: Edges = "nan",
        min_frames: int = 2,
    ):
        """
        :param feature: Float feature (t, h, w, c). A value that is NaN is not valid.
        :param resampled_feature: Output, float32 (n, h, w, c); None keeps the name.
        :param valid_feature: Boolean mask (t, h, w, 1) of the observations to use, or None for all that are no NaN.
        :param start: First date, with ``end`` (excluded) and ``step_days``: 2019-01-01, 2019-12-31 and 15 give 25.
        :param dates: The dates themselves, ascending, instead of the three above.
        :param edges: Before the first and after the last valid observation of a pixel: "nan", or the "nearest" one.
            A pixel that is never valid is NaN.
        :param min_frames: Fewest frames to interpolate between.
        :raises ConfigurationError: an argument that is not usable.
        """
        self.feature = feature_of(feature, {FeatureType.DATA})
        self.resampled_feature = feature_of(resampled_feature or feature, {FeatureType.DATA})
        self.valid_feature = None if valid_feature is None else feature_of(valid_feature, {FeatureType.MASK})
        self.dates = _target_dates(start, end, step_days, dates)
        if edges not in get_args(Edges):
            raise ConfigurationError(
                f"edges={edges!r} is unknown{did_you_mean(edges, get_args(Edges))}:"
                f" give {' or '.join(map(repr, get_args(Edges)))}."
            )
        self.edges: Edges = edges
        self.min_frames = check_whole(min_frames, "min_frames", "number of frames", at_least=1)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """A new EOPatch on the new dates.

        :raises FeatureError: a feature or the timestamps are missing, the feature is of integers, or the mask is not
            boolean.
        :raises TooFewFramesError: fewer than ``min_frames`` frames.
        :raises GridError: feature, mask and timestamps do not fit.
        """
        where = describe(self.feature)
        values = array_of(eopatch, self.feature, "merge or compute it first")
        if values.dtype.kind != "f":
            raise FeatureError(
                f"{where} is {values.dtype}; only floats are interpolated. Turn DN into reflectance first."
            )
        times = eopatch.timestamps
        if times is None:
            raise FeatureError("the EOPatch has no timestamps, so there is no time to interpolate in.")
        if len(values) < self.min_frames:
            raise TooFewFramesError(
                f"{where}: {len(values)} frames, interpolation needs {self.min_frames}. Keep more frames in the filter"
                " (keep_at_least), or widen the time interval."
            )
        valid = None
        if self.valid_feature is not None:
            valid = mask_beside(eopatch, self.valid_feature, values, self.feature)[..., None]
        result = _timeless_part(eopatch, self.dates)
        result[self.resampled_feature] = interpolate(
            values, valid, seconds_since_1970(times), seconds_since_1970(self.dates), edges=self.edges
        )
        return result


def _index_bands(name: str) -> tuple[str, str]:
    if name not in INDICES:
        raise ConfigurationError(f"{name!r} is no known index ({', '.join(INDICES)}): give its two bands.")
    return INDICES[name]


def _target_dates(
    start: Date | None, end: Date | None, step_days: float | None, dates: Iterable[Date] | None
) -> list[dt.datetime]:
    if dates is not None:
        if (start, end, step_days) != (None, None, None):
            raise ConfigurationError("dates are given beside start, end or step_days: give the one or the others.")
        targets = [_datetime(date) for date in dates]
        if not targets or any(later <= earlier for earlier, later in pairwise(targets)):
            raise ConfigurationError("dates must be at least one, in ascending order, none of them twice.")
        return targets
    if start is None or end is None or step_days is None:
        raise ConfigurationError("no dates to resample to: give start, end and step_days, or dates.")
    return resampling_dates(_datetime(start), _datetime(end), step_days)


def _datetime(date: Date) -> dt.datetime:
    if isinstance(date, str):
        try:
            date = dt.datetime.fromisoformat(date)
        except ValueError as error:
            raise ConfigurationError(f"{date!r} is no date: give it as 2019-01-31 or 2019-01-31T10:00:00.") from error
    if not isinstance(date, dt.datetime):
        return dt.datetime(date.year, date.month, date.day)  # noqa: DTZ001 - EOPatch timestamps are UTC without a zone
    return naive_utc(date)


def _timeless_part(eopatch: EOPatch, dates: list[dt.datetime]) -> EOPatch:
    """A patch on other dates with what has no time axis."""
    timeless = [feature for feature in eopatch.get_features() if not feature[0].is_temporal()]
    if not timeless:
        return EOPatch(bbox=eopatch.bbox, timestamps=dates)
    part = eopatch.copy(features=timeless, copy_timestamps=False)
    part.timestamps = dates
    return part

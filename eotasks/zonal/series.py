"""The series of one field and band out of a table of field statistics: what was seen, and what of it is used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.errors import FeatureError, TooFewFramesError
from eotasks.models.checks import check_number
from eotasks.zonal.smoothing import SmoothCurve, smooth_series
from eotasks.zonal.vocabulary import (
    AREA_PIXELS,
    BAND,
    CLOUD_FRACTION,
    ID,
    MEAN,
    OVER,
    PIXELS,
    SHADOW_FRACTION,
    TIME,
    Over,
)

MAX_HIDDEN = 0.3
"""Share of a field under cloud or in shadow up to which what is left of it is used."""

MIN_CLEAR = 0.3
"""Share of a field that has to be clear: the rest may have no data."""

_COLUMNS = (ID, TIME, BAND, OVER, MEAN, PIXELS, AREA_PIXELS, CLOUD_FRACTION, SHADOW_FRACTION)


@dataclass(frozen=True)
class FieldSeries:
    """Observations of a field in one band, in the order of time; arrays are (n,)."""

    field: Hashable
    band: str
    times: list[dt.datetime]
    """UTC, naive."""

    seen: NDArray[np.float64]
    """Mean over all pixels with data, clouds too; NaN without data."""

    clear: NDArray[np.float64]
    """Mean over clear pixels; NaN where there are none."""

    cloud: NDArray[np.float64]
    """Share of the field under cloud, 0..1."""

    shadow: NDArray[np.float64]
    """Share of the field in shadow, 0..1."""

    weights: NDArray[np.float64]
    """Clear share of the field, 0..1."""

    used: NDArray[np.bool_]
    """Those that are clear enough for the curve."""

    @property
    def masked(self) -> NDArray[np.bool_]:
        """Those that were seen and are left out."""
        return np.isfinite(self.seen) & ~self.used

    def curve(self, *, smoothing: float | None = None) -> SmoothCurve | None:
        """The smooth curve through what is used, each date weighed by the clear share of the field.

        :param smoothing: As of `smooth_series`.
        :return: None with fewer than three days to use.
        """
        values = np.where(self.used, self.clear, np.nan)
        try:
            return smooth_series(self.times, values, self.weights, smoothing=smoothing)
        except TooFewFramesError:
            return None


def field_series(
    table: pd.DataFrame,
    field: Hashable,
    band: str,
    *,
    max_hidden: float = MAX_HIDDEN,
    min_clear: float = MIN_CLEAR,
) -> FieldSeries:
    """The series of a field and band.

    :param table: Long form of field statistics, with rows over clear and over all pixels.
    :param field: Its `id`.
    :param band: Of the table: ``"NDVI"``.
    :param max_hidden: Share of the field, 0..1, that may be under cloud or in shadow on a date that is used.
    :param min_clear: Share of the field, 0..1, that has to be clear then.
    :raises FeatureError: the table is none of field statistics, or has no row of this field and band.
    :raises ConfigurationError: a share that is none.
    """
    check_number(max_hidden, "max_hidden", "share of a field", lowest=0, highest=1)
    check_number(min_clear, "min_clear", "share of a field", lowest=0, highest=1)
    check_columns(table)
    own = table[(table[ID] == field) & (table[BAND].astype(str) == band)]
    own = own[own[TIME].notna()]
    if own.empty:
        raise FeatureError(
            f"The table has no row of {band} of field {field!r}: it has {some_words(table[BAND])} of"
            f" {table[ID].nunique()} fields."
        )
    over_clear, over_all = (
        own[own[OVER].astype(str) == over].drop_duplicates(TIME).set_index(TIME) for over in (Over.CLEAR, Over.ALL)
    )
    times = pd.DatetimeIndex(sorted(set(own[TIME])))
    at_clear, at_all = over_clear.reindex(times), over_all.reindex(times)
    clear = at_clear[MEAN].to_numpy(np.float64)
    both = at_all.combine_first(at_clear)
    cloud, shadow, area = (both[name].to_numpy(np.float64) for name in (CLOUD_FRACTION, SHADOW_FRACTION, AREA_PIXELS))
    weights = np.nan_to_num(at_clear[PIXELS].to_numpy(np.float64) / np.where(area > 0, area, np.nan))
    hidden = np.nan_to_num(cloud) + np.nan_to_num(shadow)
    used = np.isfinite(clear) & (hidden <= max_hidden) & (weights >= min_clear) & (weights > 0)
    naive = times.tz_convert("UTC").tz_localize(None) if times.tz is not None else times
    return FieldSeries(
        field=field, band=band, times=list(naive.to_pydatetime()), seen=at_all[MEAN].to_numpy(np.float64),
        clear=clear, cloud=cloud, shadow=shadow, weights=weights, used=used,
    )  # fmt: skip


def check_columns(table: pd.DataFrame) -> None:
    """Refuse what is no table of field statistics in long form.

    :raises FeatureError: for these; it names the columns that are missing.
    """
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise FeatureError(
            f"The table has no column {', '.join(missing)}: give field statistics in long form, as"
            " ZonalStatisticsTask and eotasks zonal-stats make them."
        )


def some_words(values: pd.Series) -> str:
    """The different texts of a column, the first few of many."""
    words = sorted(set(values.astype(str)))
    return ", ".join(words[:8]) + (" and more" if len(words) > 8 else "")

"""A smooth curve through the observations of a field: Whittaker's smoother, its smoothing by the V-curve.

The smoother is that of Whittaker (1923) and Eilers (2003), "A perfect smoother", Analytical Chemistry 75(14), solved by
the package whittaker-eilers: of all curves z the one that minimises sum(w * (y - z)²) + smoothing * sum((D z)²), where
D takes second differences. It is solved on a grid of days, on which days without an observation have weight 0: gaps
and uneven dates need nothing more, and smoothing means the same for every field. How strong it is says the V-curve of
Frasso and Eilers (2015), "L- and V-curves for optimal smoothing", Statistical Modelling 15(1): over the strengths,
log(misfit) and log(roughness) are walked along, and the strength is taken at which both change least.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError, TooFewFramesError
from eotasks.models.checks import check_number
from eotasks.models.series import seconds_since_1970
from eotasks.zonal.packages import package

Times = NDArray[np.datetime64] | Sequence[dt.datetime]

STRENGTHS: NDArray[np.float64] = 10.0 ** np.arange(1.0, 5.01, 0.25)
"""Strengths of smoothing that the V-curve is walked along, in days³ per unit of weight.

Of waves of 2 pi (strength / density)^(1/4) days, where density is the weight of the observations of a day, half is
left: with an observation in eight days, from waves of three weeks to waves of half a year. Beyond that a curve does not
follow a season, and of a few scattered observations the V-curve would choose such a one."""

_DIFFERENCES = 2
_LEAST_DAYS = 3
_MOST_DAYS = 36_600
"""Of a grid: a hundred years."""

_DAY_S = 86_400.0
_EXACT = 1e-10
"""Of the spread of values: beyond that, numbers are rounding."""


@dataclass(frozen=True)
class SmoothCurve:
    """A curve with a value for every step of days."""

    times: NDArray[np.datetime64]
    """(n,) datetime64[D]: the first day of an observation to the last."""

    values: NDArray[np.float64]
    """(n,), in the unit of the observations; never NaN."""

    smoothing: float
    """Strength of the smoothing."""

    def at(self, times: Times) -> NDArray[np.float64]:
        """The curve at other times, linear between its days; NaN before the first and after the last.

        :param times: As of `smooth_series`.
        """
        days = np.floor(_days(times))
        return np.interp(days, self.times.astype(np.int64), self.values, left=np.nan, right=np.nan)


def smooth_series(
    times: Times,
    values: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    smoothing: float | None = None,
) -> SmoothCurve:
    """The smooth curve of a series of observations.

    :param times: (n,) in UTC, in any order; observations of one day count together. Uneven spacing is fine.
    :param values: (n,); NaN is no observation.
    :param weights: (n,) from 0 (does not count), such as the clear share of a field; NaN is 0. None weighs all by 1.
    :param smoothing: How strong, in days³ per unit of weight: 1e3 follows weeks, 1e5 seasons. None for the V-curve's.
    :raises TooFewFramesError: fewer than three days with an observation that counts.
    :raises GridError: shapes that differ.
    :raises ConfigurationError: a weight below 0 or that is infinite, an observation that is infinite, a strength that
        is none, or times that are more than a hundred years apart.
    :raises MissingDependencyError: the extra `zonal` is not installed.
    """
    first, observed, counted = _on_days(times, values, weights)
    if smoothing is None:
        smoothing = v_curve(observed, counted)
    else:
        check_number(smoothing, "smoothing", "strength", lowest=1e-6, highest=1e12)
    curve = _solve(observed, counted, smoothing)
    days = np.datetime64(first, "D") + np.arange(len(curve))
    return SmoothCurve(times=days, values=curve, smoothing=float(smoothing))


def v_curve(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The strength of smoothing at the least of the V-curve, between two of `STRENGTHS`.

    Observations on a straight line have no misfit at any strength: they get the greatest.

    :param values: (n,) of consecutive days, finite.
    :param weights: (n,), 0 on days without an observation.
    """
    counted = weights > 0
    straight = np.polynomial.Polynomial.fit(
        np.flatnonzero(counted), values[counted], 1, w=np.sqrt(weights[counted])
    )  # fmt: skip
    rest = np.abs(values[counted] - straight(np.flatnonzero(counted))).max()
    if rest <= _EXACT * max(np.abs(values[counted]).max(), np.finfo(float).tiny):
        return float(STRENGTHS[-1])
    misfits, roughnesses = [], []
    for strength in STRENGTHS:
        curve = _solve(values, weights, float(strength))
        misfits.append(np.sum(weights * (values - curve) ** 2))
        roughnesses.append(np.sum(np.diff(curve, _DIFFERENCES) ** 2))
    least = np.finfo(float).tiny  # a misfit of nothing has no logarithm
    steps = np.hypot(*(np.diff(np.log(np.maximum(each, least))) for each in (misfits, roughnesses)))
    best = int(np.argmin(steps))
    return float(np.sqrt(STRENGTHS[best] * STRENGTHS[best + 1]))


def _on_days(
    times: Times, values: NDArray[np.floating], weights: NDArray[np.floating] | None
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """The first day (since 1970), and the value and weight of every day from it to the last observation."""
    days, observed = np.floor(_days(times)).astype(np.int64), np.asarray(values, dtype=np.float64)
    weighed = np.ones(observed.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if not days.shape == observed.shape == weighed.shape or days.ndim != 1:
        raise GridError(
            f"times {days.shape}, values {observed.shape} and weights {weighed.shape} of a series: give one of each an"
            " observation."
        )
    if np.isinf(observed).any():
        raise ConfigurationError("An observation of the series is infinite: give NaN where there is none.")
    if (weighed < 0).any() or np.isinf(weighed).any():
        raise ConfigurationError("Weights of a series are finite numbers from 0.")
    counts = np.isfinite(observed) & (np.nan_to_num(weighed) > 0)
    days, observed, weighed = days[counts], observed[counts], weighed[counts]
    if np.unique(days).size < _LEAST_DAYS:
        raise TooFewFramesError(
            f"{np.unique(days).size} days with an observation that counts: a smooth curve needs {_LEAST_DAYS}. Widen"
            " the time, or accept more cloud."
        )
    first, length = int(days.min()), int(np.ptp(days)) + 1
    if length > _MOST_DAYS:
        raise ConfigurationError(f"Observations over {length:,} days: at most {_MOST_DAYS:,} make one curve.")
    total, summed = np.zeros(length), np.zeros(length)
    np.add.at(total, days - first, weighed)
    np.add.at(summed, days - first, weighed * observed)
    # one of the mean and the sum of the weights costs what all of a day do, but for a constant
    return first, np.divide(summed, total, out=np.zeros(length), where=total > 0), total


def _days(times: Times) -> NDArray[np.float64]:
    """Days since 1970."""
    if isinstance(times, np.ndarray) and np.issubdtype(times.dtype, np.datetime64):
        if np.isnat(times).any():
            raise ConfigurationError("A time of the series is missing (NaT).")
        return times.astype("datetime64[us]").astype(np.int64) / (_DAY_S * 1e6)
    return seconds_since_1970(list(times)) / _DAY_S


def _solve(values: NDArray[np.float64], weights: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    made = package("whittaker_eilers").WhittakerSmoother
    smoother = made(smoothing, _DIFFERENCES, len(values), None, weights.tolist())
    return np.asarray(smoother.smooth(values.tolist()), dtype=np.float64)

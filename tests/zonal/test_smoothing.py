"""The smoother against a dense solution of its equations, and the V-curve by what it is for."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import numpy as np
import pytest

from eotasks.errors import ConfigurationError, GridError, MissingDependencyError, TooFewFramesError
from eotasks.zonal.smoothing import STRENGTHS, smooth_series

FIRST = np.datetime64("2024-03-01")


def series(seed: int = 0, days: int = 120, count: int = 25) -> tuple[Any, Any, Any]:
    """Uneven days in any order, noisy values, weights."""
    random = np.random.default_rng(seed)
    chosen = random.choice(days, count, replace=False)
    values = np.sin(chosen / 30) + random.normal(0, 0.05, count)
    return FIRST + chosen, values, random.uniform(0.2, 1, count)


def dense(days: Any, values: Any, weights: Any, smoothing: float) -> Any:
    """The curve by a full matrix."""
    length = int(np.ptp(days)) + 1
    choice = np.zeros((len(days), length))
    choice[np.arange(len(days)), days - days.min()] = 1
    differences = np.diff(np.eye(length), 2, axis=0)
    matrix = choice.T @ np.diag(weights) @ choice + smoothing * differences.T @ differences
    return np.linalg.solve(matrix, choice.T @ (weights * values))


@pytest.mark.parametrize("smoothing", [10.0, 1e4, 1e7])
def test_equals_a_dense_solution(smoothing: float) -> None:
    times, values, weights = series()
    curve = smooth_series(times, values, weights, smoothing=smoothing)
    days = (times - FIRST).astype(int)
    np.testing.assert_allclose(curve.values, dense(days, values, weights, smoothing), atol=1e-7)
    assert (curve.times[0], curve.times[-1], curve.smoothing) == (times.min(), times.max(), smoothing)


def test_observations_of_one_day_count_together() -> None:
    times, values, weights = series(count=20)
    twice = np.concatenate([times, times[:5]])
    more, most = np.concatenate([values, values[:5] + 0.3]), np.concatenate([weights, weights[:5] / 3])
    days = (twice - FIRST).astype(int)
    curve = smooth_series(twice, more, most, smoothing=1e3)
    np.testing.assert_allclose(curve.values, dense(days, more, most, 1e3), atol=1e-9)


def test_what_does_not_count_is_as_if_it_were_not_there() -> None:
    times, values, weights = series()
    alone = smooth_series(times[3:], values[3:], weights[3:])
    values[:2], weights[2] = np.nan, 0.0
    values[2] = 1e6
    together = smooth_series(times, values, weights)
    np.testing.assert_array_equal(together.values, alone.values)
    assert together.smoothing == alone.smoothing


def test_times_with_zones_and_hours_are_days_of_utc() -> None:
    times, values, _ = series()
    midnight = smooth_series(times, values)
    zone = dt.timezone(dt.timedelta(hours=-9))
    moments = [dt.datetime.fromisoformat(f"{each}T20:00:00+00:00").astimezone(zone) for each in times]
    np.testing.assert_array_equal(smooth_series(moments, values).values, midnight.values)


def test_the_v_curve_smooths_noise_and_follows_what_is_there() -> None:
    """Nearer to the truth than what was observed, and than curves far smoother or rougher."""
    days = np.arange(0, 240, 4)
    truth = 0.3 + 0.3 * np.exp(-(((np.arange(237) - 120) / 35) ** 2))
    values = truth[days] + np.random.default_rng(3).normal(0, 0.03, len(days))

    def error(smoothing: float | None) -> float:
        return float(np.sqrt(np.mean((smooth_series(FIRST + days, values, smoothing=smoothing).values - truth) ** 2)))

    assert error(None) < 0.5 * 0.03
    assert error(None) < 0.5 * min(error(1e-3), error(1e8))


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_a_straight_line_stays_one(slope: float) -> None:
    times = FIRST + np.arange(0, 100, 10)
    curve = smooth_series(times, 0.5 + slope * np.arange(10) * 10)
    assert curve.smoothing == STRENGTHS[-1]
    np.testing.assert_allclose(curve.values, 0.5 + slope * np.arange(91), atol=1e-6)


def test_the_curve_at_other_times() -> None:
    curve = smooth_series(FIRST + np.array([0, 5, 10]), np.array([0.0, 0.5, 1.0]))
    there = curve.at(FIRST + np.array([-1, 0, 5, 10, 11]))
    np.testing.assert_allclose(there, [np.nan, 0, 0.5, 1, np.nan], atol=1e-6)


TIMES = FIRST + np.arange(5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((TIMES, np.ones(4)), GridError, r"times \(5,\), values \(4,\)"),
        ((TIMES[:2], np.ones(2)), TooFewFramesError, "2 days"),
        ((TIMES, np.full(5, np.nan)), TooFewFramesError, "0 days"),
        ((TIMES, np.array([1, 2, 3, 4, np.inf])), ConfigurationError, "infinite"),
        ((TIMES, np.ones(5), -np.ones(5)), ConfigurationError, "finite numbers from 0"),
        ((np.array([0, 1, 40_000]) + FIRST, np.ones(3)), ConfigurationError, "40,001 days"),
        ((np.array(["2024-01-01", "NaT", "2024-01-03"], "datetime64[D]"), np.ones(3)), ConfigurationError, "NaT"),
    ],
    ids=["shapes", "two days", "nothing", "infinity", "weights", "centuries", "no time"],
)
def test_says_what_it_cannot_smooth(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        smooth_series(*arguments)


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "whittaker_eilers", None)
    with pytest.raises(MissingDependencyError, match=r"whittaker_eilers: .*zonal"):
        smooth_series(TIMES, np.ones(5))


def test_a_strength_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="smoothing=-1"):
        smooth_series(TIMES, np.ones(5), smoothing=-1)

"""Interpolation equals numpy.interp to the last bit; differences are safe for zeros and integers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.models import series
from eotasks.models.series import interpolate, normalized_difference, resampling_dates, seconds_since_1970

DAY = 86_400.0
day = dt.datetime.fromisoformat


def by_numpy(values: Any, valid: Any, times: Any, new_times: Any, edges: str) -> Any:
    """Every series by itself through numpy.interp, in float64, rounded to float32 at the end."""
    _, height, width, features = values.shape
    usable = np.isfinite(values) & np.broadcast_to(valid.astype(bool), values.shape)
    result = np.full((len(new_times), height, width, features), np.nan, dtype=np.float32)
    order = np.argsort(times, kind="stable")
    for place in np.ndindex(height, width, features):
        keep = [index for index in order if usable[(index, *place)]]
        if keep:
            outside = {"left": np.nan, "right": np.nan} if edges == "nan" else {}
            observed = values[(keep, *place)].astype(np.float64)
            result[(slice(None), *place)] = np.interp(new_times, np.asarray(times)[keep], observed, **outside)
    return result


def equal_bits(first: Any, second: Any) -> bool:
    """Equal to the last bit, the sign of zero included; any NaN equals any other."""
    same = first.view(np.uint32) == second.view(np.uint32)
    return first.dtype == second.dtype == np.float32 and bool((same | (np.isnan(first) & np.isnan(second))).all())


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 9),
    features=st.integers(1, 3),
    targets=st.integers(0, 7),
    share=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    own_gaps=st.sampled_from(["none", "mask", "nan"]),
    dtype=st.sampled_from([np.float32, np.float64]),
    edges=st.sampled_from(["nan", "nearest"]),
    shuffled=st.booleans(),
)
def test_equal_to_numpy_to_the_last_bit(
    seed: int,
    frames: int,
    features: int,
    targets: int,
    share: float,
    own_gaps: str,
    dtype: Any,
    edges: Any,
    shuffled: bool,
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, rng.choice([1e-3, 1.0, 1e6]), (frames, 2, 3, features)).astype(dtype)
    values[rng.random(values.shape) < 0.2] = rng.choice([0.0, -0.0, 1.0])
    valid = rng.random((frames, 2, 3, features if own_gaps == "mask" else 1)) < share
    if own_gaps == "nan":
        values[rng.random(values.shape) < 0.2] = rng.choice([np.nan, np.inf])
    times = np.sort(rng.choice(np.arange(40) * 86_400.0 + 0.125, frames, replace=False))
    if shuffled:
        times = rng.permutation(times)
    new_times = np.concatenate([rng.uniform(-DAY, 41 * DAY, targets), rng.choice(times, min(targets, frames))])
    result = interpolate(values, valid, times, new_times, edges=edges)
    assert equal_bits(result, by_numpy(values, valid, times, new_times, edges))


@pytest.mark.parametrize("edges", ["nan", "nearest"])
def test_tiles_do_not_change_values(monkeypatch: pytest.MonkeyPatch, edges: Any) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((12, 9, 7, 3), dtype=np.float32)
    values[3, 4:, :, 1] = np.nan  # some tiles have gaps of their own, some do not
    valid = rng.random((12, 9, 7, 1)) < 0.6
    times, new_times = np.sort(rng.random(12)), np.linspace(-0.1, 1.1, 15)
    expected = by_numpy(values, valid, times, new_times, edges)
    for tile_values in (1, 100, 1 << 20):
        monkeypatch.setattr(series, "TILE_VALUES", tile_values)
        assert equal_bits(interpolate(values, valid, times, new_times, edges=edges), expected)


def test_inputs_stay_as_they_are_and_views_are_welcome() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((8, 4, 5, 6), dtype=np.float32)[..., ::2]
    valid = np.asfortranarray(rng.random((8, 4, 5, 1)) < 0.5)
    times, new_times = np.arange(8.0)[::-1], np.array([1.5, 0.25])
    copies = [each.copy() for each in (values, valid, times, new_times)]
    for each in (values, valid, times, new_times):
        each.setflags(write=False)
    result = interpolate(values, valid, times, new_times)
    assert equal_bits(result, by_numpy(values, valid, times, new_times, "nan"))
    for each, copy in zip((values, valid, times, new_times), copies, strict=True):
        assert np.array_equal(each, copy)


def test_none_and_one_valid_observation() -> None:
    values = np.array([[[[0.25], [0.5]]], [[[0.75], [1.0]]]], dtype=np.float32)
    valid = np.array([[[[False], [False]]], [[[False], [True]]]])
    times, new_times = np.array([0.0, 10.0]), np.array([5.0, 10.0, 15.0])
    nan = interpolate(values, valid, times, new_times)[:, 0, :, 0]
    np.testing.assert_array_equal(nan, [[np.nan, np.nan], [np.nan, 1.0], [np.nan, np.nan]])
    nearest = interpolate(values, valid, times, new_times, edges="nearest")[:, 0, :, 0]
    np.testing.assert_array_equal(nearest, [[np.nan, 1.0], [np.nan, 1.0], [np.nan, 1.0]])


def test_frames_of_the_same_time_are_their_mean() -> None:
    values = np.array([0.1, 0.2, 0.4, np.nan, 0.8], dtype=np.float32).reshape(5, 1, 1, 1)
    valid = np.array([True, True, True, True, True]).reshape(5, 1, 1, 1)
    times = np.array([0.0, 5.0, 5.0, 5.0, 10.0])
    shuffled = [3, 4, 2, 0, 1]
    for order in (list(range(5)), shuffled):
        result = interpolate(values[order], valid, times[order], np.array([0.0, 5.0, 7.5, 10.0]))[:, 0, 0, 0]
        mean = np.float32((np.float64(values[1, 0, 0, 0]) + np.float64(values[2, 0, 0, 0])) / 2)
        expected = np.interp([0, 5, 7.5, 10], [0, 5, 10], np.float64([values[0, 0, 0, 0], mean, values[4, 0, 0, 0]]))
        assert np.array_equal(result, expected.astype(np.float32))
    valid[1:4] = False
    assert interpolate(values, valid, times, np.array([5.0]))[0, 0, 0, 0] == np.interp(
        5, [0, 10], values[[0, 4], 0, 0, 0].astype(np.float64)
    ).astype(np.float32)


def test_boolean_masks_no_mask_and_others() -> None:
    values = np.array([0.0, 8.0, 1.0], dtype=np.float32).reshape(3, 1, 1, 1)
    mask = np.array([1, 0, 255], dtype=np.uint8).reshape(3, 1, 1, 1)
    times = np.arange(3.0)
    assert interpolate(values, mask != 0, times, np.array([1.0])).item() == 0.5
    with pytest.raises(FeatureError, match="the valid mask is uint8 where a boolean mask is due"):
        interpolate(values, mask, times, np.array([1.0]))  # type: ignore[arg-type]  # refused
    assert interpolate(values, None, times, np.array([1.0])).item() == 8.0


def test_no_frames_and_no_dates() -> None:
    nothing = interpolate(np.empty((0, 2, 3, 1), dtype=np.float32), None, np.empty(0), np.arange(4.0))
    assert nothing.shape == (4, 2, 3, 1)
    assert np.isnan(nothing).all()
    assert interpolate(np.ones((2, 2, 3, 1)), None, np.arange(2.0), np.empty(0)).shape == (0, 2, 3, 1)
    assert interpolate(np.ones((2, 0, 3, 1)), None, np.arange(2.0), np.arange(4.0)).shape == (4, 0, 3, 1)


@pytest.mark.parametrize(
    ("values", "valid", "times"),
    [((3, 2, 2), None, 3), ((3, 2, 2, 1), None, 2), ((3, 2, 2, 4), (3, 2, 2, 2), 3), ((3, 2, 2, 1), (2, 2, 2, 1), 3)],
)
def test_shapes_that_do_not_fit_are_refused(values: Any, valid: Any, times: int) -> None:
    mask = None if valid is None else np.ones(valid, dtype=bool)
    with pytest.raises(GridError):
        interpolate(np.ones(values, dtype=np.float32), mask, np.arange(float(times)), np.arange(2.0))


def test_normalized_difference() -> None:
    a = np.array([0.5, 0.0, 0.3, -0.2, np.nan], dtype=np.float32)
    b = np.array([0.25, 0.0, 0.0, 0.2, 0.1], dtype=np.float32)
    result = normalized_difference(a, b)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.array([1 / 3, np.nan, 1, np.nan, np.nan], dtype=np.float32))


def test_normalized_difference_of_digital_numbers_does_not_overflow() -> None:
    a, b = np.array([3, 60_000, 0], dtype=np.uint16), np.array([5, 60_000, 0], dtype=np.uint16)
    np.testing.assert_allclose(normalized_difference(a, b), [-0.25, 0, np.nan], rtol=1e-6)
    numbers = np.random.default_rng(2).integers(1, 9000, (2, 50), dtype=np.uint16)
    floats = numbers.astype(np.float32) / np.float32(10_000)
    assert np.array_equal(normalized_difference(*numbers), normalized_difference(*floats))


def test_normalized_difference_of_unequal_shapes_is_refused() -> None:
    with pytest.raises(GridError, match=r"\(2,\) and \(3,\)"):
        normalized_difference(np.ones(2), np.ones(3))


def test_dates_of_the_example() -> None:
    dates = resampling_dates(day("2019-01-01"), day("2019-12-31"), 15)
    assert len(dates) == 25
    assert dates[0] == day("2019-01-01")
    assert dates[-1] == day("2019-12-27")
    assert len(resampling_dates(day("2017-01-01"), day("2017-12-31"), 16)) == 23


@given(
    st.datetimes(day("2015-01-01"), day("2030-01-01")),
    st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(days=400)),
    st.floats(0.5, 90),
)
def test_dates_fill_the_interval_and_stop_before_its_end(start: dt.datetime, length: dt.timedelta, step: float) -> None:
    dates = resampling_dates(start, start + length, step)
    assert dates[0] == start
    assert dates[-1] < start + length <= dates[-1] + dt.timedelta(days=step)


@pytest.mark.parametrize(("days", "step"), [(0, 15), (-3, 15), (10, 0), (10, -1), (10, float("nan"))])
def test_intervals_without_dates_are_refused(days: int, step: float) -> None:
    start = day("2019-01-01")
    with pytest.raises(ConfigurationError):
        resampling_dates(start, start + dt.timedelta(days=days), step)


def test_seconds_are_exact_and_zones_are_turned_into_utc() -> None:
    naive = day("2017-02-16T10:21:01.123456")
    zoned = naive.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=5)))
    first, second = seconds_since_1970([naive, zoned])
    assert first == second == naive.replace(tzinfo=dt.UTC).timestamp()

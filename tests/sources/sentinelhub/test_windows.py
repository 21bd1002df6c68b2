"""The interval that each frame of a download is asked for: no acquisition is in two of them."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from sentinelhub.time_utils import filter_times

from eotasks.sources.sentinelhub.plan import windows

START = dt.datetime(2019, 6, 1, 10, 10, 31)  # noqa: DTZ001 - naive UTC
MINUTES = st.lists(st.integers(0, 20_000), min_size=1, max_size=30)


@given(MINUTES, st.integers(0, 6_000))
def test_every_acquisition_is_in_the_frame_of_the_first_that_it_is_near_property(minutes: list[int], near: int) -> None:
    times = [START + dt.timedelta(minutes=each) for each in minutes]
    difference = dt.timedelta(minutes=near)
    dates = filter_times(times, difference)
    for time in times:
        holding = [
            date for date, (start, end) in zip(dates, windows(dates, difference), strict=True) if start <= time <= end
        ]
        assert holding == [max(date for date in dates if date <= time)]


@given(MINUTES, st.integers(0, 6_000))
def test_dates_of_others_share_no_moment_property(minutes: list[int], near: int) -> None:
    dates = [START + dt.timedelta(minutes=each) for each in minutes]  # in any order, near each other, twice
    intervals = dict(zip(dates, windows(dates, dt.timedelta(minutes=near)), strict=True))
    ordered = sorted(intervals)
    for date, after in zip(ordered, [*ordered[1:], None], strict=True):
        start, end = intervals[date]
        assert start == date
        assert date <= end <= date + max(dt.timedelta(minutes=near), dt.timedelta(seconds=1))
        assert after is None or end < after


def test_no_difference_is_the_second_of_the_date() -> None:
    ((start, end),) = windows([START], dt.timedelta(0))
    assert (start, end) == (START, START + dt.timedelta(seconds=1))

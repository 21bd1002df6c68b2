"""Intervals of an aggregation: the documented examples, the edges that are decided here, and what always holds."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.service.contract.statistics import LastInterval
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.statistics.intervals import Interval, Period, intervals_of
from eotasks.service.statistics.plan import with_products

PERIODS = ("P1D", "P5D", "P7D", "P30D", "P1W", "P2W", "P1M", "P3M", "P1Y", "P1M3D", "PT24H", "PT36H", "PT90061S")
BEHAVIOURS: tuple[LastInterval, ...] = ("SKIP", "SHORTEN", "EXTEND")


def time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def cut(start: str, end: str, period: str, last: LastInterval = "SKIP") -> list[str]:
    found = intervals_of(time(start), time(end), Period.of(period), last, most=1_000)
    return [f"{each.start.isoformat()}/{each.end.isoformat()}".replace("T00:00:00", "") for each in found]


def test_the_documented_examples() -> None:
    assert cut("2020-06-01", "2020-07-31", "P10D") == [
        "2020-06-01/2020-06-11", "2020-06-11/2020-06-21", "2020-06-21/2020-07-01", "2020-07-01/2020-07-11",
        "2020-07-11/2020-07-21", "2020-07-21/2020-07-31",
    ]  # fmt: skip
    assert cut("2020-07-01", "2020-07-15", "P5D") == ["2020-07-01/2020-07-06", "2020-07-06/2020-07-11"]
    year = cut("2020-01-01", "2020-12-31", "P30D")
    assert (len(year), year[0], year[-1]) == (12, "2020-01-01/2020-01-31", "2020-11-26/2020-12-26")
    months = cut("2020-01-01", "2021-01-01", "P1M")
    assert (len(months), months[1], months[-1]) == (12, "2020-02-01/2020-03-01", "2020-12-01/2021-01-01")


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("SKIP", ["2019-06-01/2019-06-04"]),
        ("SHORTEN", ["2019-06-01/2019-06-04", "2019-06-04/2019-06-06"]),
        ("EXTEND", ["2019-06-01/2019-06-04", "2019-06-04/2019-06-07"]),
    ],
)
def test_a_last_interval_that_is_not_full(last: LastInterval, expected: list[str]) -> None:
    assert cut("2019-06-01", "2019-06-06", "P3D", last) == expected


@pytest.mark.parametrize("last", BEHAVIOURS)
@pytest.mark.parametrize("end", ["2019-06-03T23:59:59", "2019-06-03T23:59:59.999999", "2019-06-04"])
def test_a_day_that_is_written_to_its_last_second_is_full(last: LastInterval, end: str) -> None:
    assert cut("2019-06-01", end, "P1D", last) == [f"2019-06-0{day}/2019-06-0{day + 1}" for day in (1, 2, 3)]


def test_a_day_that_ends_earlier_is_not() -> None:
    assert cut("2019-06-01", "2019-06-02T23:59:58", "P1D") == ["2019-06-01/2019-06-02"]
    assert cut("2019-06-01", "2019-06-02T23:59:58", "P1D", "SHORTEN")[1] == "2019-06-02/2019-06-02T23:59:58"


def test_a_range_of_whole_intervals_is_taken_as_it_is() -> None:
    """Also where it begins and ends in the last second of a day."""
    one = ["2019-06-01T23:59:59/2019-06-02T23:59:59"]
    for last in BEHAVIOURS:
        assert cut("2019-06-01T23:59:59", "2019-06-02T23:59:59", "P1D", last) == one


def test_a_range_shorter_than_an_interval() -> None:
    assert cut("2019-06-01", "2019-06-01T12:00:00", "P1D") == []
    assert cut("2019-06-01", "2019-06-01T12:00:00", "P1D", "SHORTEN") == ["2019-06-01/2019-06-01T12:00:00"]
    assert cut("2019-06-01", "2019-06-01T12:00:00", "P1D", "EXTEND") == ["2019-06-01/2019-06-02"]


def test_months_end_with_the_month() -> None:
    assert cut("2019-01-31", "2019-04-30", "P1M", "SHORTEN") == [
        "2019-01-31/2019-02-28", "2019-02-28/2019-03-28", "2019-03-28/2019-04-28", "2019-04-28/2019-04-30",
    ]  # fmt: skip
    assert cut("2020-02-29", "2021-02-28", "P1Y") == ["2020-02-29/2021-02-28"]


@pytest.mark.parametrize("text", PERIODS)
def test_durations(text: str) -> None:
    start = time("2019-06-01")
    assert Period.of(text).after(start) >= start + dt.timedelta(days=1)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P0D", "PT12H", "P-1D", "1D", "P1", "P1.5D", "P1DT1H", "P1D ", "p1d", "P9999999D", "P1D\n", "P٣D"],
)
def test_what_is_no_duration_of_a_day_or_more(text: str) -> None:
    with pytest.raises(RequestError, match=r"aggregationInterval\.of"):
        Period.of(text)


def test_too_many_intervals() -> None:
    with pytest.raises(TooLargeError, match="more than 1,000 intervals"):
        cut("0001-01-01", "9999-12-31", "P1D")


@pytest.mark.parametrize(("start", "end"), [("2019-06-02", "2019-06-01"), ("2019-06-01", "2019-06-01")])
def test_an_empty_range(start: str, end: str) -> None:
    with pytest.raises(RequestError, match="later than"):
        cut(start, end, "P1D")


@pytest.mark.parametrize("period", ["P1D", "P1M", "P999D", "P9999Y", "PT99999999H"])
def test_the_end_of_the_calendar(period: str) -> None:
    with pytest.raises(RequestError, match="9999"):
        cut("9999-12-01", "9999-12-31T23:59:59", period, "EXTEND")


MOMENTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1))  # noqa: DTZ001 - naive UTC
DAYS = MOMENTS.map(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0))
STARTS = MOMENTS | DAYS | DAYS.map(lambda day: day + dt.timedelta(hours=23, minutes=59, seconds=59))
SPANS = st.timedeltas(dt.timedelta(microseconds=1), dt.timedelta(days=60))
ENDS = SPANS | st.integers(1, 60).map(lambda count: dt.timedelta(days=count, seconds=-1))


@settings(max_examples=60)
@given(STARTS, ENDS, st.sampled_from(PERIODS), st.sampled_from(BEHAVIOURS))
def test_what_holds_of_all_intervals(start: dt.datetime, span: dt.timedelta, text: str, last: LastInterval) -> None:
    period = Period.of(text)
    found = intervals_of(start, start + span, period, last, most=100)
    assert all(first.end == second.start for first, second in pairwise(found))
    assert all(each.end == period.after(each.start) for each in found[:-1])
    if found:
        assert found[0].start == start
        assert start < found[-1].end
    end = found[-1].end if found else start
    if last == "SKIP":
        assert end <= start + span + dt.timedelta(seconds=1)
        assert period.after(end) > start + span
    elif last == "SHORTEN":
        assert dt.timedelta(0) <= end - (start + span) <= dt.timedelta(seconds=1)
    else:
        assert end >= start + span
        assert end == period.after(found[-1].start)
    if last != "SHORTEN":
        assert all(each.end == period.after(each.start) for each in found)


@settings(max_examples=60)
@given(STARTS, ENDS, st.sampled_from(PERIODS), st.sampled_from(BEHAVIOURS), st.data())
def test_who_asks_for_one_interval_gets_it(
    start: dt.datetime, span: dt.timedelta, text: str, last: LastInterval, data: st.DataObject
) -> None:
    """A client posts a failed interval again, as the range of time: the answer's first has to be that."""
    period = Period.of(text)
    found = intervals_of(start, start + span, period, last, most=100)
    if found:
        one = data.draw(st.sampled_from(found))
        assert intervals_of(one.start, one.end, period, last, most=100)[0] == one


@settings(max_examples=60)
@given(st.lists(STARTS, max_size=20), STARTS, ENDS, st.sampled_from(PERIODS), st.sampled_from(BEHAVIOURS))
def test_every_moment_is_in_one_interval_at_most(
    times: list[dt.datetime], start: dt.datetime, span: dt.timedelta, text: str, last: LastInterval
) -> None:
    found = intervals_of(start, start + span, Period.of(text), last, most=100)
    holding = [[each for each in found if each.start <= time <= each.last] for time in times]
    assert all(len(each) <= 1 for each in holding)
    assert with_products(found, times) == sorted({interval for each in holding for interval in each})


def test_an_interval_has_not_its_end() -> None:
    one = Interval(time("2019-06-01"), time("2019-06-02"))
    assert one.last == time("2019-06-01T23:59:59.999999")
    assert with_products([one], [one.end]) == []
    assert with_products([one], [one.last]) == [one]

"""Intervals of an aggregation: a range of time cut into periods.

What the documentation of the Statistical API leaves open is decided here. All times are UTC, naive. An interval holds
its first moment and not its last, so that no moment is in two. Each begins where the one before ended, and what comes
after does not depend on what was before: a client that asks again for one interval gets this one, also of months.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from eotasks.service.contract.statistics import LastInterval
from eotasks.service.errors import RequestError, TooLargeError

DAY = dt.timedelta(days=1)
RESOLUTION = dt.timedelta(microseconds=1)
"""The shortest time that there is between two moments."""

_DATES = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?", re.ASCII)
_TIMES = re.compile(r"PT(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10})S)?", re.ASCII)
_LAST_SECOND = dt.time(23, 59, 59)


class Interval(NamedTuple):
    """From a moment until before another one."""

    start: dt.datetime
    end: dt.datetime

    @property
    def last(self) -> dt.datetime:
        """The last moment in it."""
        return self.end - RESOLUTION


@dataclass(frozen=True)
class Period:
    """How long an interval is: months of the calendar and a time."""

    months: int
    time: dt.timedelta

    @classmethod
    def of(cls, text: str) -> Period:
        """Of a duration of ISO 8601: of years, months, weeks and days, or of hours, minutes and seconds.

        :raises RequestError: when it is none, or shorter than a day.
        """
        dates, times = _DATES.fullmatch(text), _TIMES.fullmatch(text)
        found = dates or times
        if found is None or not any(found.groups()):
            raise RequestError(
                f"aggregationInterval.of is {text[:40]!r}: give days, weeks or months, such as P1D, P10D, P2W, P1M."
            )
        numbers = [int(number or 0) for number in found.groups()]
        if dates is not None:
            years, months, weeks, days = numbers
            period = cls(12 * years + months, dt.timedelta(days=7 * weeks + days))
        else:
            hours, minutes, seconds = numbers
            period = cls(0, dt.timedelta(hours=hours, minutes=minutes, seconds=seconds))
        if not period.months and period.time < DAY:
            raise RequestError(f"aggregationInterval.of is {text[:40]}: an interval is a day at least, such as P1D.")
        return period

    def after(self, moment: dt.datetime) -> dt.datetime:
        """The moment a period later; of a day that a month has not, it is the month's last.

        :raises RequestError: when it lies beyond the year 9999.
        """
        years, month = divmod(moment.month - 1 + self.months, 12)
        year, month = moment.year + years, month + 1
        if year <= dt.MAXYEAR:
            day = min(moment.day, calendar.monthrange(year, month)[1])
            try:
                return moment.replace(year=year, month=month, day=day) + self.time
            except OverflowError:
                pass
        raise RequestError(f"An interval from {moment.isoformat()}Z ends after the year 9999: ask for an earlier time.")


def intervals_of(
    start: dt.datetime, end: dt.datetime, period: Period, last: LastInterval, *, most: int
) -> list[Interval]:
    """The intervals of a range of time, in order.

    A range that ends in the last second of a day (23:59:59, as clients write a day) ends with that day, unless it is
    a whole number of intervals as it is.

    :param last: What becomes of a last interval that the range does not fill: it is left out ("SKIP"), ends with the
        range ("SHORTEN"), or goes beyond it ("EXTEND").
    :param most: Intervals that there may be.
    :raises RequestError: when the range is empty.
    :raises TooLargeError: when there are more.
    """
    if end <= start:
        raise RequestError(
            f"timeRange is from {start.isoformat()}Z to {end.isoformat()}Z: `to` has to be later than `from`."
        )
    found = list(_bounded(_periods(start, end, period), most))
    if found[-1].end != end and end.time() >= _LAST_SECOND and end.date() < dt.date.max:
        end = dt.datetime.combine(end.date() + DAY, dt.time())
        found = list(_bounded(_periods(start, end, period), most))
    if found[-1].end > end:
        if last == "SKIP":
            found.pop()
        elif last == "SHORTEN":
            found[-1] = Interval(found[-1].start, end)
    return found


def _periods(start: dt.datetime, end: dt.datetime, period: Period) -> Iterator[Interval]:
    """Whole periods until one reaches the end."""
    while start < end:
        following = period.after(start)
        yield Interval(start, following)
        start = following


def _bounded(intervals: Iterator[Interval], most: int) -> Iterator[Interval]:
    for number, interval in enumerate(intervals):
        if number == most:
            raise TooLargeError(f"The time range has more than {most:,} intervals: ask for longer ones, or less time.")
        yield interval

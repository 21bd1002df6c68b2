"""First and last time of what is read, as the command line has them."""

from __future__ import annotations

import datetime as dt

from eotasks.errors import ConfigurationError
from eotasks.times import naive_utc, parse_time

_DAY = len("2024-05-01")


def day_or_time(text: str) -> dt.date:
    """A day or a time; a day is meant whole.

    :raises ConfigurationError: when it is neither.
    """
    try:
        return dt.date.fromisoformat(text) if len(text) <= _DAY else parse_time(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no day or time of ISO 8601, such as 2024-05-01: correct it.") from error


def moments_of(first: str | None, last: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    """First and last moment, UTC and naive, of days or times; None leaves an end open.

    :raises ConfigurationError: when one is neither, or the last lies before the first.
    """
    start = None if first is None else _moment(day_or_time(first), dt.time.min)
    end = None if last is None else _moment(day_or_time(last), dt.time.max)
    if start is not None and end is not None and end < start:
        raise ConfigurationError(f"{last} lies before {first}: exchange them.")
    return start, end


def _moment(day: dt.date, time: dt.time) -> dt.datetime:
    return naive_utc(day) if isinstance(day, dt.datetime) else dt.datetime.combine(day, time)

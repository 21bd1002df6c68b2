"""Times as eotasks keeps them everywhere: UTC, naive (without saying so)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from eotasks.errors import ConfigurationError


def naive_utc(time: dt.datetime) -> dt.datetime:
    """A time in UTC, without its zone; one without a zone is in UTC already.

    :raises ConfigurationError: a ValueError too: in UTC it lies before the year 1 or after the year 9999.
    """
    if time.tzinfo is None:
        return time
    try:
        return time.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ConfigurationError(f"{time.isoformat()} lies in no year from 1 to 9999: give a time in UTC.") from error


def parse_time(text: str) -> dt.datetime:
    """A time of ISO 8601, in UTC without its zone.

    :raises ValueError: when it is none.
    """
    return naive_utc(dt.datetime.fromisoformat(text))


def same_times(times: Iterable[dt.datetime], others: Iterable[dt.datetime]) -> bool:
    """Whether two series are of the same instants, whatever their zones.

    :raises ConfigurationError: a time that is none in UTC.
    """
    return [naive_utc(time) for time in times] == [naive_utc(time) for time in others]

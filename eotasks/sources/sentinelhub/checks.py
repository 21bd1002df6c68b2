"""Arguments of tasks, checked before any work."""

from __future__ import annotations

import datetime as dt
import math
import numbers
from collections.abc import Sequence

from sentinelhub.time_utils import parse_time_interval

from eotasks.errors import ConfigurationError

TimeInterval = tuple[str | dt.date, str | dt.date]


def check_interval(interval: TimeInterval) -> None:
    """Refuse what is no two times in order.

    :raises ConfigurationError: for these.
    """
    try:
        first, last = interval
        parse_time_interval((first, last))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"time_interval={interval!r}: {str(error).rstrip('.')}. Give (first day, last day), such as"
            " ('2019-01-01', '2019-12-31')."
        ) from error


def check_number(name: str, value: object, *, least: float, most: float = math.inf) -> None:
    """Refuse what is no number from least to most.

    :raises ConfigurationError: for these.
    """
    if not isinstance(value, numbers.Real) or not least <= float(value) <= most:
        limit = "" if most == math.inf else f" and at most {most}"
        raise ConfigurationError(f"{name}={value!r}: give a number at least {least}{limit}.")


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number of at least 1.

    :raises ConfigurationError: for these.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: give a whole number of at least 1.")


def check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    """Refuse what is neither None nor known.

    :raises ConfigurationError: for these.
    """
    if value is not None and value not in known:
        raise ConfigurationError(f"{name}={value!r} is not known: use one of {', '.join(known)}.")


def whole_percent(fraction: float) -> float:
    """What the client, which rounds down (0.29 to 28), makes the whole per cent at or above a cloud cover."""
    return min(math.ceil(round(fraction * 100, 6)) / 100 + 1e-9, 1.0)

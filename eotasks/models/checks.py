"""Checks of settings that several tasks share."""

from __future__ import annotations

import math
import numbers

from eotasks.errors import ConfigurationError


def check_whole(value: object, name: str, what: str, *, at_least: int) -> int:
    """A whole number, of Python or of NumPy.

    :param value: The setting.
    :param name: Its name, for the message.
    :param what: What it is, for the message.
    :raises ConfigurationError: when it is not a whole number of at least ``at_least``.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ConfigurationError(f"{name}={value!r} is no {what}: give a whole number from {at_least}.")
    return int(value)


MAX_RADIUS = 1000
"""Pixels. A disk beyond it is a slip of the unit, and takes memory by its square."""


def check_radius(radius: object, name: str = "radius") -> int:
    """The radius of a disk in pixels.

    :raises ConfigurationError: when it is not a whole number from 0 to ``MAX_RADIUS``.
    """
    number = check_whole(radius, name, "radius in pixels", at_least=0)
    if number > MAX_RADIUS:
        raise ConfigurationError(f"{name}={number} pixels is beyond {MAX_RADIUS}: give a smaller radius.")
    return number


def check_number(value: object, name: str, what: str, *, lowest: float, highest: float) -> float:
    """A number between two limits, both included, of Python or of NumPy.

    :raises ConfigurationError: when it is no number, or outside the limits.
    """
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # of a whole number
        number = math.nan
    if not lowest <= number <= highest:
        raise ConfigurationError(f"{name}={value!r} is no {what}: give a number from {lowest:g} to {highest:g}.")
    return number

"""What ground looks like on the dates nearest in time: what a frame of a series is compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.times import naive_utc

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

DATES = 5
"""How many dates a pixel is compared with: fewer are noise, more lie in other seasons."""

LEAST = 2
"""Dates that have to be there: one alone may be haze."""


def usual(
    values: NDArray[np.floating],
    clear: Mask,
    times: Sequence[dt.datetime],
    frame: int,
    *,
    dates: int = DATES,
    least: int = LEAST,
) -> Floats:
    """The median of a pixel on the clear dates nearest in time to a frame, before and after it.

    :param values: (t, h, w).
    :param clear: (t, h, w) where a value is of clear ground.
    :param times: (t,) of the frames; of two equally near the earlier counts first.
    :param frame: Index of the frame, which itself does not count.
    :param dates: How many clear dates of a pixel count, at most.
    :param least: How many there must be.
    :return: (h, w), NaN where there are fewer.
    :raises GridError: shapes or times that do not fit.
    """
    if values.shape != clear.shape or len(times) != len(values):
        raise GridError(
            f"a series of {values.shape} with a mask of {clear.shape} and {len(times)} times: give them for the same"
            " frames."
        )
    moments = np.array([naive_utc(time) for time in times], dtype="datetime64[us]")
    nearest = np.argsort(np.abs(moments - moments[frame]), kind="stable")
    found = np.full((min(dates, max(len(values) - 1, 1)), *values.shape[1:]), np.inf, dtype=np.float32)
    count = np.zeros(values.shape[1:], dtype=np.intp)
    for other in nearest[nearest != frame]:
        rows, columns = np.nonzero(clear[other] & (count < len(found)))
        found[count[rows, columns], rows, columns] = values[other, rows, columns]
        count[rows, columns] += 1
        if (count == len(found)).all():
            break
    found.sort(axis=0)
    known = count >= max(least, 1)
    lower, upper = (np.take_along_axis(found, index[np.newaxis], axis=0)[0] for index in _middle(count))
    return np.where(known, (np.where(known, lower, 0) + np.where(known, upper, 0)) / 2, np.float32(np.nan))


def _middle(count: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the two values in the middle, which are one for an odd number."""
    return np.maximum(count - 1, 0) // 2, np.minimum(count // 2, np.maximum(count - 1, 0))

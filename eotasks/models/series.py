"""Time series of rasters: normalised differences, and linear resampling in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.checks import check_number
from eotasks.models.scales import check_mask
from eotasks.models.sentinel2 import QUANTIFICATION
from eotasks.times import naive_utc

Edges = Literal["nan", "nearest"]
Negative = Literal["nan", "clip"]
"""What becomes of an index where a band is negative: nothing, or that of a band of 0."""

TILE_VALUES = 1 << 20
"""Values (frames x pixels x features) worked on at a time, so that a tile stays in the processor's cache."""

_SECOND = 1 / 86_400
_CENTURIES = 100_000.0
"""Days between two dates at the least and at the most: far from where dates overflow or steps vanish."""


def normalized_difference(
    a: NDArray[np.generic], b: NDArray[np.generic], *, negative: Negative = "nan"
) -> NDArray[np.float32]:
    """(a - b) / (a + b) in float32, -1..1; NaN where both are 0, or one is NaN.

    Where a band is negative, as dark ground is once offset or atmosphere are taken off, the quotient leaves -1..1 and
    tends to infinity: a reflectance of 0.02 and one of -0.0199 would give 399. There the result is NaN, which
    resampling takes for no observation; or the band counts as 0.

    :param a: First band, any shape: reflectance, or integer DN (which do not overflow here).
    :param b: Second band, the same shape.
    :param negative: "nan" gives NaN where a band is negative, "clip" takes it for 0.
    :return: float32 of that shape.
    :raises GridError: when the shapes differ.
    :raises ConfigurationError: another ``negative``.
    """
    check_negative(negative)
    if a.shape != b.shape:
        raise GridError(f"two bands of shapes {a.shape} and {b.shape} where one shape is due.")
    first, second = _as_float32(a), _as_float32(b)
    if negative == "clip":
        first, second = np.maximum(first, np.float32(0)), np.maximum(second, np.float32(0))
    total = first + second
    difference = np.full(total.shape, np.nan, dtype=np.float32)
    np.divide(first - second, total, out=difference, where=(total != 0) & (first >= 0) & (second >= 0))
    return difference


def check_negative(negative: object) -> None:
    """Refuse what says nothing about negative bands.

    :raises ConfigurationError: for these.
    """
    if negative not in get_args(Negative):
        raise ConfigurationError(f"negative={negative!r}: give {' or '.join(map(repr, get_args(Negative)))}.")


def _as_float32(band: NDArray[np.generic]) -> NDArray[np.float32]:
    floats = band.astype(np.float32, copy=False)
    # the same numbers from DN as from the reflectance they stand for
    return floats / np.float32(QUANTIFICATION) if band.dtype.kind in "iu" else floats


def resampling_dates(start: dt.datetime, end: dt.datetime, step_days: float) -> list[dt.datetime]:
    """Dates from ``start`` in steps of days, ``end`` excluded.

    2019-01-01 to 2019-12-31 in steps of 15 days gives 25 dates, as the Slovenian land-cover example has them.

    :param start: First date.
    :param end: Excluded end.
    :param step_days: Days between two dates, at least a second.
    :raises ConfigurationError: a step or an interval without dates.
    """
    days = check_number(step_days, "step_days", "step in days", lowest=_SECOND, highest=_CENTURIES)
    if not start < end:
        raise ConfigurationError(f"no dates from {start:%Y-%m-%d} to {end:%Y-%m-%d}: the end must be after the start.")
    step = dt.timedelta(days=days)
    count = -((start - end) // step)  # rounded up, so the end itself is never a date
    return [start + index * step for index in range(count)]


def seconds_since_1970(times: Sequence[dt.datetime]) -> NDArray[np.float64]:
    """Times as seconds, exact to the microsecond; naive times are UTC."""
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - both sides are UTC
    return np.array([(naive_utc(time) - epoch).total_seconds() for time in times], dtype=np.float64)


def interpolate(
    values: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_] | None,
    times: NDArray[np.floating[Any]],
    new_times: NDArray[np.floating[Any]],
    *,
    edges: Edges = "nan",
) -> NDArray[np.float32]:
    """Linear interpolation in time of every pixel and feature between its valid observations.

    For every series the result is ``numpy.interp`` of its valid observations in float64, rounded to float32: equal to
    the last bit. Times are not rounded. A value that is NaN or infinite is not valid. Frames of the very same time are
    one observation, the mean of their valid values. eo-learn's LinearInterpolationTask gives float64, rounds times to
    the hour and always leaves the edges NaN.

    :param values: float (t, h, w, features).
    :param valid: Boolean (t, h, w, 1) or (t, h, w, features), True where valid. None: every finite value.
    :param times: float (t,), any unit, any order.
    :param new_times: float (n,) of that unit, any order.
    :param edges: Before the first and after the last valid observation: "nan", or the "nearest" one.
    :return: float32 (n, h, w, features), NaN where a series has no valid observation.
    :raises GridError: shapes that do not fit.
    :raises FeatureError: a mask that is not boolean.
    """
    if valid is not None:
        check_mask(valid, name="the valid mask")
    _check_shapes(values, valid, times)
    frames, height, width, features = values.shape
    targets = np.asarray(new_times, dtype=np.float64)
    result = np.empty((len(targets), height, width, features), dtype=np.float32)
    if frames == 0:
        result.fill(np.nan)
        return result
    order = np.argsort(times, kind="stable")
    moments = np.asarray(times, dtype=np.float64)[order]
    flat = values.reshape(frames, height * width, features)
    flat_valid = None if valid is None else valid.reshape(frames, height * width, -1)
    flat_result = result.reshape(len(targets), height * width, features)
    step = max(1, TILE_VALUES // (frames * max(features, 1)))
    for start in range(0, height * width, step):
        tile = np.s_[:, start : start + step]
        tile_valid = None if flat_valid is None else flat_valid[tile][order]
        _interpolate_tile(flat[tile][order], tile_valid, moments, targets, edges, flat_result[tile])
    return result


def _check_shapes(
    values: NDArray[np.floating[Any]], valid: NDArray[np.bool_] | None, times: NDArray[np.floating[Any]]
) -> None:
    if values.ndim != 4:
        raise GridError(f"values have shape {values.shape} where (time, height, width, features) is due.")
    if times.shape != values.shape[:1]:
        raise GridError(f"{times.size} times for {values.shape[0]} frames: give one time a frame.")
    if valid is not None and valid.shape not in ((*values.shape[:3], 1), values.shape):
        raise GridError(f"the valid mask has shape {valid.shape}, the values {values.shape}. Give both on one grid.")


def _interpolate_tile(
    values: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_] | None,
    times: NDArray[np.float64],
    targets: NDArray[np.float64],
    edges: Edges,
    result: NDArray[np.float32],
) -> None:
    """Fill ``result`` (n, pixels, features) from ``values`` (t, pixels, features) with times in ascending order."""
    usable = np.isfinite(values)
    if valid is not None:
        usable &= valid
    values, usable, times = _merge_same_times(values, usable, times)
    frames, pixels, features = values.shape
    shared = usable[..., :1]
    if features > 1 and not np.array_equal(usable, np.broadcast_to(shared, usable.shape)):
        # features with gaps of their own: each is a series by itself
        values, shared = values.reshape(frames, -1, 1), usable.reshape(frames, -1, 1)
    before, after = _neighbours(shared[..., 0])
    rows = np.ascontiguousarray(values).reshape(-1, values.shape[2])
    for index, target in enumerate(targets):
        position = int(np.searchsorted(times, target, side="right"))
        between = _between(rows, times, before[position], after[position], target, edges)
        result[index] = between.reshape(pixels, features)


def _neighbours(usable: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For every position 0..t between the frames: the last usable frame before and the first one after.

    :param usable: boolean (t, series).
    :return: int (t + 1, series) each; -1 where there is none before, t where there is none after.
    """
    frames, series = usable.shape
    number = np.arange(frames)[:, np.newaxis]
    before = np.full((frames + 1, series), -1, dtype=np.intp)
    after = np.full((frames + 1, series), frames, dtype=np.intp)
    np.maximum.accumulate(np.where(usable, number, -1), axis=0, out=before[1:])
    np.minimum.accumulate(np.where(usable, number, frames)[::-1], axis=0, out=after[:-1][::-1])
    return before, after


def _between(
    rows: NDArray[np.floating[Any]],
    times: NDArray[np.float64],
    before: NDArray[np.intp],
    after: NDArray[np.intp],
    target: np.float64,
    edges: Edges,
) -> NDArray[np.float64]:
    """Values (series, features) at one time, by the very operations of numpy.interp.

    :param rows: (t * series, features), frame after frame.
    :param before: The usable frame at or before the target, -1 for none.
    :param after: The usable frame after the target, t for none.
    """
    frames, series = len(times), np.arange(len(before))
    no_before, no_after = before < 0, after >= frames
    empty = no_before & no_after
    left = np.where(empty, 0, np.where(no_before, after, before))
    right = np.where(empty, 0, np.where(no_after, before, after))
    start = times[left]
    gap = times[right] - start
    flat = left == right
    gap[flat] = 1.0
    first = rows[left * len(series) + series].astype(np.float64, copy=False)
    value = rows[right * len(series) + series].astype(np.float64)
    with np.errstate(invalid="ignore"):  # series without any observation may hold infinities; they become NaN below
        value -= first
        value /= gap[:, np.newaxis]
        value *= (target - start)[:, np.newaxis]
        value += first
    hit = flat | (start == target)
    if hit.any():  # the observation itself, the sign of its zero too
        value[hit] = first[hit]
    missing = empty if edges == "nearest" else empty | no_before | (no_after & (start != target))
    value[missing] = np.nan
    return value


def _merge_same_times(
    values: NDArray[np.floating[Any]], usable: NDArray[np.bool_], times: NDArray[np.float64]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_], NDArray[np.float64]]:
    """One observation for frames of the same time: the mean of their usable values, in float64."""
    distinct, starts = np.unique(times, return_index=True)
    if len(distinct) == len(times):
        return values, usable, times
    merged = np.empty((len(distinct), *values.shape[1:]), dtype=values.dtype)
    merged_usable = np.logical_or.reduceat(usable, starts, axis=0)
    for index, frames in enumerate(np.split(np.arange(len(times)), starts[1:])):
        count = usable[frames].sum(axis=0)
        total = np.sum(values[frames], axis=0, dtype=np.float64, where=usable[frames])
        merged[index] = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return merged, merged_usable, distinct

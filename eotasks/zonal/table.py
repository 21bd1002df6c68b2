"""The table of field statistics: long, wide, and as an xarray Dataset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.errors import FeatureError
from eotasks.extras import install_line, is_installed
from eotasks.models.zonal import ALL_ROW, FIXED, PIXELS, PixelState
from eotasks.zonal import vocabulary as names
from eotasks.zonal.frames import ZonalBlock
from eotasks.zonal.vocabulary import Over, Status, percentile_name

if TYPE_CHECKING:
    import xarray

POLYGON = "polygon"
"""Index of a polygon among all, in the tables of parts; who joins these puts the ids in its place."""

_OVERS = (Over.CLEAR, Over.ALL)
_STATES = tuple(Status)
_KINDS = pd.CategoricalDtype([str(each) for each in Over]), pd.CategoricalDtype([str(each) for each in _STATES])


def utc_times(times: Sequence[dt.datetime]) -> pd.DatetimeIndex:
    """Naive times of UTC as those of the column ``time``."""
    return pd.DatetimeIndex(np.array(times, dtype="datetime64[us]")).tz_localize("UTC").as_unit("ns")


def long_table(
    ids: NDArray[Any], block: ZonalBlock, bands: Sequence[str], percentiles: Sequence[float], *, key: str = names.ID
) -> pd.DataFrame:
    """Rows of polygon, time, band and kind of pixels, in this order; its columns are those of the vocabulary.

    :param ids: (polygons) of the block.
    :param bands: Names of the quantities of the block.
    :param key: Name of the column of the ids.
    """
    polygons, times, quantities, overs, _ = block.values.shape
    per_date = quantities * overs
    values = block.values.reshape(-1, FIXED + len(percentiles))
    area = block.parts.sum(axis=-1).ravel()
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = block.parts.reshape(-1, len(PixelState)) / area[:, np.newaxis]
    columns: dict[str, Any] = {
        key: np.repeat(ids, times * per_date),
        names.TIME: np.tile(np.repeat(utc_times(block.times), per_date), polygons),
        names.BAND: pd.Categorical.from_codes(
            np.tile(np.repeat(np.arange(quantities), overs), polygons * times), dtype=pd.CategoricalDtype(list(bands))
        ),
        names.OVER: pd.Categorical.from_codes(
            np.tile(np.arange(overs), polygons * times * quantities), dtype=_KINDS[0]
        ),
        **{name: values[:, index] for index, name in enumerate(names.STATISTICS)},
        **{percentile_name(each): values[:, FIXED + index] for index, each in enumerate(percentiles)},
        names.PIXELS: values[:, PIXELS],
        names.AREA_PIXELS: np.repeat(area, per_date),
    }
    for name, state in zip(names.FRACTIONS, (PixelState.CLOUD, PixelState.SHADOW, PixelState.NO_DATA), strict=True):
        columns[name] = np.repeat(np.clip(shares[:, state], 0, 1), per_date)
    columns[names.STATUS] = pd.Categorical.from_codes(_states(block), dtype=_KINDS[1])
    return pd.DataFrame(columns)


def _states(block: ZonalBlock) -> NDArray[np.int8]:
    """Codes of the status of each row."""
    pixels = block.values[..., PIXELS]
    no_data = pixels[..., ALL_ROW : ALL_ROW + 1] == 0
    codes = np.full(pixels.shape, _STATES.index(Status.OK), dtype=np.int8)
    codes[pixels == 0] = _STATES.index(Status.NO_CLEAR_PIXEL)
    codes[np.broadcast_to(no_data, pixels.shape)] = _STATES.index(Status.NO_DATA)
    return codes.ravel()


def rows_without_numbers(
    ids: NDArray[Any],
    states: Sequence[Status],
    bands: Sequence[str],
    percentiles: Sequence[float],
    *,
    key: str = names.ID,
) -> pd.DataFrame:
    """Rows of polygons that no image has: one for each band and kind of pixels, without a time."""
    per_polygon = len(bands) * len(_OVERS)
    count = len(ids) * per_polygon
    columns: dict[str, Any] = {
        key: np.repeat(ids, per_polygon),
        names.TIME: pd.DatetimeIndex([pd.NaT] * count, tz="UTC").as_unit("ns"),
        names.BAND: pd.Categorical(np.tile(np.repeat(list(bands), len(_OVERS)), len(ids)), categories=list(bands)),
        names.OVER: pd.Categorical.from_codes(np.tile(np.arange(len(_OVERS)), len(ids) * len(bands)), dtype=_KINDS[0]),
    }
    for name in names.columns(percentiles)[len(names.KEYS) : -1]:
        zero = name in (names.PIXELS, names.AREA_PIXELS)
        columns[name] = np.zeros(count) if zero else np.full(count, np.nan)
    codes = np.repeat([_STATES.index(each) for each in states], per_polygon).astype(np.int8)
    columns[names.STATUS] = pd.Categorical.from_codes(codes, dtype=_KINDS[1])
    return pd.DataFrame(columns)


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns as one, ids of the first one's kind."""
    tables = [each for each in tables if len(each)] or list(tables[:1])
    return pd.concat(tables, ignore_index=True)


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each polygon and time: of each band and kind of pixels the statistics as columns of their own.

    Columns are ``NDVI_mean`` over clear pixels and ``NDVI_mean_all`` over all with data, and so on with the status;
    what belongs to a polygon and time has its name alone.

    :param table: Long form, with all bands and both kinds for every polygon and time.
    """
    check_long(table)
    bands = list(dict.fromkeys(table[names.BAND]))
    overs = list(dict.fromkeys(table[names.OVER]))
    per_date = len(bands) * len(overs)
    shared = _per_date(table)
    own = [name for name in table.columns if name not in (*names.KEYS, *shared)]
    if len(table) % max(per_date, 1) or not _is_regular(table, bands, overs):
        raise FeatureError("The table is not complete: every polygon and time needs a row for each band and kind.")
    first = table.iloc[:: max(per_date, 1)].reset_index(drop=True)
    columns: dict[str, Any] = {name: first[name] for name in (names.ID, names.TIME, *shared)}
    for number, (band, over) in enumerate((band, over) for band in bands for over in overs):
        part = table.iloc[number::per_date].reset_index(drop=True)
        suffix = "" if over == Over.CLEAR else f"_{over}"
        for name in own:
            columns[f"{band}_{name}{suffix}"] = part[name]
    return pd.DataFrame(columns)


def _per_date(table: pd.DataFrame) -> list[str]:
    """Columns that are the same in all rows of a polygon and time."""
    return [*names.PER_DATE, *(name for name in names.PER_DATE_IF_THERE if name in table)]


def _is_regular(table: pd.DataFrame, bands: Sequence[str], overs: Sequence[str]) -> bool:
    """Whether rows come as `long_table` orders them."""
    count = len(table) // (len(bands) * len(overs)) if len(table) else 0
    expected_bands = np.tile(np.repeat(bands, len(overs)), count)
    expected_overs = np.tile(overs, count * len(bands))
    return bool(
        (table[names.BAND].astype(str).to_numpy() == expected_bands).all()
        and (table[names.OVER].astype(str).to_numpy() == expected_overs).all()
    )


def dataset_of(table: pd.DataFrame) -> xarray.Dataset:
    """The table as an xarray Dataset over id, time, band and over; rows without a time have no place in it.

    What belongs to a polygon and time is over these two, NaN where a polygon has no row at a time.

    :raises MissingDependencyError: when xarray is not installed.
    """
    from eotasks.errors import MissingDependencyError

    check_long(table)
    if not is_installed("xarray"):
        raise MissingDependencyError(f"A Dataset needs the package xarray: {install_line('xarray')}")

    timed = table[table[names.TIME].notna()].copy()
    timed[names.TIME] = timed[names.TIME].dt.tz_convert(None)
    for name in (names.BAND, names.OVER, names.STATUS):
        timed[name] = timed[name].astype(str)
    keys = list(names.KEYS)
    own = timed.drop(columns=_per_date(table)).set_index(keys)
    per_date = timed.drop_duplicates(keys[:2]).set_index(keys[:2])[_per_date(table)]
    result: xarray.Dataset = own.to_xarray().merge(per_date.to_xarray())
    result[names.TIME].attrs["long_name"] = "time, UTC"
    return result


def check_long(table: pd.DataFrame) -> None:
    """Refuse what is no table of the long form.

    :raises FeatureError: names the columns that are missing.
    """
    missing = [name for name in names.columns() if name not in table.columns]
    if missing:
        raise FeatureError(f"This is no table of field statistics in long form: it lacks {', '.join(missing)}.")

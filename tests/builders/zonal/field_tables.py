"""Tables of field statistics whose numbers a test knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.models.zonal import FIXED, MAX, MEAN, MEDIAN, MIN, PIXELS, STD
from eotasks.zonal.frames import ZonalBlock
from eotasks.zonal.table import long_table

AREA = 50.0
"""Pixels of a field."""


def dates(count: int, *, step: int = 8, first: str = "2024-03-01") -> list[dt.datetime]:
    """Dates at ten past ten."""
    start = dt.datetime.fromisoformat(f"{first}T10:10:00")
    return [start + dt.timedelta(days=step * number) for number in range(count)]


def field_table(
    fields: Sequence[object],
    bands: Sequence[str],
    means: NDArray[np.float64],
    *,
    cloud: NDArray[np.float64] | None = None,
    no_data: NDArray[np.float64] | None = None,
    times: Sequence[dt.datetime] | None = None,
) -> pd.DataFrame:
    """The table of fields whose clear pixels all have one value, and whose clouds have 0.

    :param means: (fields, times, bands) of clear pixels.
    :param cloud: (fields, times) share of each under cloud.
    :param no_data: (fields, times) share of each without data.
    """
    count, moments, _ = means.shape
    hidden = np.zeros((count, moments)) if cloud is None else cloud
    missing = np.zeros((count, moments)) if no_data is None else no_data
    clear = 1 - hidden - missing
    parts = np.stack([clear, hidden, np.zeros_like(hidden), missing], axis=-1) * AREA
    values = np.full((*means.shape, 2, FIXED), np.nan)
    for row, weight in ((0, clear), (1, clear + hidden)):
        there = weight[..., np.newaxis] > 0
        share = np.divide(clear, weight, out=np.zeros_like(weight), where=weight > 0)[..., np.newaxis]
        of_row = means if row == 0 else means * share
        for place in (MEAN, STD, MIN, MAX, MEDIAN):
            values[..., row, place] = np.where(there, 0.0 if place == STD else of_row, np.nan)
        values[..., row, PIXELS] = weight[..., np.newaxis] * AREA
    block = ZonalBlock(tuple(times or dates(moments)), values, parts)
    return long_table(np.array(fields, dtype=object), block, bands, ())

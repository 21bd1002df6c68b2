"""Names of the table of field statistics: its columns, and what a row's status may be.

One row for each polygon, time, band and kind of pixels (``over``); polygons that no image shows have one without a time
for each band and kind. What makes such a table, from whatever source, uses
these names, and so does what draws it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

ID = "id"
"""Of the polygon: values of the column that was named, else its index."""

TIME = "time"
"""datetime64[ns, UTC]: when the ground was seen."""

BAND = "band"
"""Name of a band or an index: B04, NDVI."""

OVER = "over"
"""Whether the statistics are over clear pixels or over all that have data: ``Over``."""

MEAN, STD, MIN, MAX, MEDIAN = "mean", "std", "min", "max", "median"
"""Weighted by the part of each pixel that lies in the polygon; std is that of the population. float64, NaN where no
pixel counts."""

PIXELS = "pixels"
"""float64: sum of the parts of the pixels that count in this row."""

AREA_PIXELS = "area_pixels"
"""float64: sum of the parts of all pixels of the grid that the polygon covers, also where no image reaches: its whole
area, the same at every time and of every source."""

CLOUD_FRACTION, SHADOW_FRACTION, NO_DATA_FRACTION = "cloud_fraction", "shadow_fraction", "no_data_fraction"
"""float64 0..1: parts of ``area_pixels`` under cloud, in a shadow that no cloud hides, without data (or beyond the
images); they and the clear part add up to 1. NaN where the polygon covers no pixel."""

MEAN_SPECTRUM_CLOUD_PROBABILITY = "mean_spectrum_cloud_probability"
"""Where it was asked for: float64 0..1, what the cloud model says of the means of its ten bands over all pixels; NaN
where one of them has none."""

STATUS = "status"
"""``Status``."""

KEYS = (ID, TIME, BAND, OVER)
"""What tells rows apart, in the order of the columns."""

STATISTICS = (MEAN, STD, MIN, MAX, MEDIAN)
FRACTIONS = (CLOUD_FRACTION, SHADOW_FRACTION, NO_DATA_FRACTION)
PER_DATE = (AREA_PIXELS, *FRACTIONS)
"""The same in all rows of a polygon and time."""

PER_DATE_IF_THERE = (MEAN_SPECTRUM_CLOUD_PROBABILITY,)
"""The same, of a table that has it."""


class Over(StrEnum):
    """Which pixels count."""

    CLEAR = "clear"
    """Those with data, and neither cloud nor shadow."""

    ALL = "all"
    """All with data, clouds too."""


class Status(StrEnum):
    """What a row's numbers are, or why there are none."""

    OK = "ok"
    NO_CLEAR_PIXEL = "no clear pixel"
    """The polygon has data at this time, all of it under cloud or in shadow; in rows over clear pixels only."""

    NO_DATA = "no data"
    """No pixel of the polygon has data at this time, or none has a value of this band (0/0 of an index)."""

    FAILED = "failed"
    """The images that show the polygon could not be read; the log of the run says why."""

    OUTSIDE = "outside"
    """The polygon covers no pixel of any image."""

    EMPTY = "empty polygon"
    """The geometry is missing, empty, or has no area (a point, a line)."""

    INVALID = "invalid polygon"
    """The geometry cannot be repaired, or lies at no place."""


def percentile_name(percentile: float) -> str:
    """The column of a percentile: 5 -> p05, 97.5 -> p97.5."""
    whole, _, part = f"{percentile:g}".partition(".")
    return f"p{whole.zfill(2)}{'.' if part else ''}{part}"


def columns(percentiles: Iterable[float] = ()) -> list[str]:
    """The columns of the long form, in their order.

    :param percentiles: 0..100, in the order of their columns.
    """
    names = [percentile_name(each) for each in percentiles]
    return [*KEYS, *STATISTICS, *names, PIXELS, *PER_DATE, STATUS]

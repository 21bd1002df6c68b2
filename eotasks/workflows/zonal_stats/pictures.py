"""Pictures of field statistics: the year of one field with what it looked like, and pages of many fields.

The first is the picture of the article on s2cloudless: every observation of a meadow, those that clouds spoil, and the
curve that is left once they are masked.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from eotasks.durable import atomic_path
from eotasks.errors import ConfigurationError
from eotasks.workflows.report import palette, style
from eotasks.workflows.report.raster import Bounds
from eotasks.zonal.series import MAX_HIDDEN, FieldSeries, check_columns, field_series
from eotasks.zonal.smoothing import SmoothCurve
from eotasks.zonal.vocabulary import BAND, ID

PICTURE_DPI = 160

CLEAR, MASKED, CURVE, CLOUD, SHADOW = palette.GREEN, palette.VERMILION, "#00694d", "#9aa3a8", "#4a5560"
PER_PAGE = 24
"""Fields on a page of small multiples."""

MOST_IMAGES = 9
"""Below the axis of time of one field."""

_COLUMNS = 4
_NAME_CHARACTERS = 28
_PANEL_HEIGHT = 1.5
_ROOM = style.CHART_WIDTH - 0.9
"""Inches of the axis of time."""

_IMAGE_ROOM = 0.9
"""Of the part of the axis that an image has."""

_FEWEST_PLACES = 5
_LARGEST_IMAGE = 1.2
_ABOVE_IMAGE, _BELOW_IMAGE = 0.24, 0.22
"""Inches: for the line to its date, and for the date."""


@dataclass(frozen=True)
class FieldImage:
    """What a field and its surroundings looked like."""

    time: dt.datetime
    """UTC, naive: that of a row of the table."""

    picture: NDArray[np.uint8]
    """(h, w, 3) or (h, w, 4), the first row in the north."""

    bounds: Bounds
    """Of the picture, in the coordinate system of the outline."""

    outline: Polygon | MultiPolygon | None = None
    """Of the field."""


@style.styled
def field_figure(
    table: pd.DataFrame,
    field: Hashable,
    band: str = "NDVI",
    *,
    images: Sequence[FieldImage] = (),
    title: str | None = None,
    max_hidden: float = MAX_HIDDEN,
    smoothing: float | None = None,
) -> Figure:
    """All observations of a field, those that are masked marked as such, and the smooth curve of the others.

    :param table: Field statistics in long form.
    :param field: Its `id`.
    :param band: Of the table.
    :param images: True-colour images at times of the table; of many, some that are spread over the year.
    :param title: Above the picture; None for the name of the field.
    :param max_hidden: Share of the field, 0..1, that may be under cloud or in shadow on a date that is used.
    :param smoothing: Strength of the curve (`eotasks.zonal.smoothing.smooth_series`); None for the V-curve's.
    :raises FeatureError: the table has no such field and band.
    """
    series = field_series(table, field, band, max_hidden=max_hidden)
    curve = series.curve(smoothing=smoothing)
    shown = chosen_images(images, series)
    side = min(_IMAGE_ROOM * _ROOM / max(len(shown), _FEWEST_PLACES), _LARGEST_IMAGE)
    heights = [3.2, 0.55, *([_ABOVE_IMAGE + side + _BELOW_IMAGE] if shown else [])]
    figure = style.new_figure(sum(heights) + 1.0)
    figure.set_layout_engine("constrained", hspace=0.0, h_pad=0.03)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    values, hidden = axes[:2]
    _draw_observations(values, series, joined=True)
    _draw_curve(values, curve)
    values.set_ylabel(f"mean {band} of the field")
    values.grid(axis="y")
    values.yaxis.set_major_locator(MaxNLocator(nbins=7))
    values.legend(handles=_handles(series, curve), loc="upper left", ncols=2)
    _leave_room_above(values)
    _draw_hidden(hidden, series)
    style.date_axis(hidden, series.times)
    values.set_xlim(hidden.get_xlim())
    values.tick_params(labelbottom=False, length=0)
    if shown:
        _draw_images(axes[2], shown, series, hidden.get_xlim(), side)
    name = _short(field, 60)
    heading = title or f"{band}, {name if isinstance(field, str) else f'field {name}'}"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def field_pages(
    table: pd.DataFrame,
    band: str = "NDVI",
    *,
    fields: Sequence[Hashable] | None = None,
    title: str | None = None,
    max_hidden: float = MAX_HIDDEN,
    smoothing: float | None = None,
) -> Iterator[Figure]:
    """Pages of many fields, `PER_PAGE` on each: small pictures of one scale, in the order of the table.

    :param fields: Their `id`; None for all of the table that have this band.
    :param title: Above each page; its number is added where there are several.
    :raises FeatureError: the table is none of field statistics, or has not these fields.
    :raises ConfigurationError: no field to draw.
    """
    check_columns(table)
    chosen = list(fields) if fields is not None else list(dict.fromkeys(table.loc[table[BAND].astype(str) == band, ID]))
    if not chosen:
        raise ConfigurationError(f"No field to draw: the table has no row of {band}, or none was named.")
    pages = [chosen[start : start + PER_PAGE] for start in range(0, len(chosen), PER_PAGE)]
    groups: dict[Any, pd.DataFrame] = dict(
        tuple(table[table[BAND].astype(str) == band].groupby(ID, sort=False, observed=True))
    )
    for number, page in enumerate(pages, start=1):
        series = [field_series(groups.get(each, table[:0]), each, band, max_hidden=max_hidden) for each in page]
        heading = (title or f"{band} of {len(chosen)} fields") + (f", page {number} of {len(pages)}" * (len(pages) > 1))
        yield _page(series, [each.curve(smoothing=smoothing) for each in series], heading)


def write_picture(figure: Figure, path: Path) -> None:
    """A picture as PNG, complete or not at all; the same picture gives the same bytes.

    :raises OSError: when it cannot be written.
    """
    with atomic_path(path) as beside:
        figure.savefig(beside, format="png", dpi=PICTURE_DPI, facecolor="white", metadata={"Software": None})


def chosen_images(images: Sequence[FieldImage], series: FieldSeries, most: int = MOST_IMAGES) -> list[FieldImage]:
    """Images in the order of time, at most some of them: two of three are of dates that are used, the others of dates
    that are masked, each kind spread evenly over the year. Dates on which the field has no data have none.
    """
    used = {time for time, use in zip(series.times, series.used, strict=True) if use}
    masked = {time for time, hide in zip(series.times, series.masked, strict=True) if hide}
    clear, hidden = ([each for each in images if each.time in times] for times in (used, masked))
    shown = min(len(hidden), max(most // 3, most - len(clear)))
    return sorted([*spread(clear, most - shown), *spread(hidden, shown)], key=lambda each: each.time)


def spread(images: Sequence[FieldImage], most: int) -> list[FieldImage]:
    """Images in the order of time, at most some of them: the first, the last, and of the others those nearest to even
    steps between.
    """
    ordered = sorted(images, key=lambda each: each.time)
    if len(ordered) <= most:
        return ordered
    days = style.time_values([each.time for each in ordered])
    chosen: list[int] = []
    for target in np.linspace(days[0], days[-1], most):
        left = [index for index in range(len(ordered)) if index not in chosen]
        chosen.append(min(left, key=lambda index: abs(days[index] - target)))
    return [ordered[index] for index in sorted(chosen)]


@style.styled
def _page(series: Sequence[FieldSeries], curves: Sequence[SmoothCurve | None], title: str) -> Figure:
    columns = min(_COLUMNS, len(series))
    rows = math.ceil(len(series) / columns)
    figure = style.new_figure(rows * _PANEL_HEIGHT + 1.1, max(columns * 2.6, 6.0))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for panel, each, curve in zip(axes.flat, series, curves, strict=False):
        _draw_observations(panel, each, joined=False, size=3.2)
        _draw_curve(panel, curve, width=1.5)
        panel.set_title(_short(each.field, _NAME_CHARACTERS), fontsize=9, pad=3)
        panel.grid(axis="y")
        panel.tick_params(labelsize=8, length=2)
    times = [time for each in series for time in each.times]
    style.date_axis(axes[0, 0], times)
    dates: Any = mdates  # parts of it have no type hints
    locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # panels are narrow
    axes[0, 0].xaxis.set_major_locator(locator)
    axes[0, 0].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes[0, 0].yaxis.set_major_locator(MaxNLocator(nbins=4))
    for panel in list(axes.flat)[len(series) :]:
        panel.set_visible(False)
    for column in range(columns):  # the lowest panel of a column that is not full
        lowest = max(row for row in range(rows) if row * columns + column < len(series))
        axes[lowest, column].tick_params(labelbottom=True)
    figure.legend(
        handles=_handles(None, next((each for each in curves if each is not None), None)),
        loc="outside lower left", ncols=3, fontsize=9,
    )  # fmt: skip
    figure.supylabel(f"mean {series[0].band}", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def _draw_observations(axes: Axes, series: FieldSeries, *, joined: bool, size: float = 5.5) -> None:
    days = style.time_values(series.times)
    if joined:
        there = np.isfinite(series.seen)
        axes.plot(days[there], series.seen[there], color=palette.RULE, linewidth=1.2, zorder=1)
    masked = series.masked
    axes.plot(
        days[masked], series.seen[masked], "x", color=MASKED, markersize=size, markeredgewidth=size / 4, zorder=3
    )  # fmt: skip
    axes.plot(
        days[series.used], series.clear[series.used], "o", color=CLEAR, markersize=size, markeredgecolor="white",
        markeredgewidth=size / 8, zorder=4,
    )  # fmt: skip


def _draw_curve(axes: Axes, curve: SmoothCurve | None, *, width: float = 2.2) -> None:
    if curve is not None:
        days = curve.times.astype("datetime64[D]").astype(np.int64) + 0.5  # noon of each
        axes.plot(days, curve.values, color=CURVE, linewidth=width, alpha=0.85, zorder=2)


def _handles(series: FieldSeries | None, curve: SmoothCurve | None) -> list[Line2D]:
    used = "" if series is None else f" ({int(series.used.sum())})"
    masked = "" if series is None else f" ({int(series.masked.sum())})"
    handles = [
        Line2D([], [], marker="o", color=CLEAR, linestyle="", markersize=5.5, label=f"clear{used}"),
        Line2D([], [], marker="x", color=MASKED, linestyle="", markersize=5.5, markeredgewidth=1.4,
               label=f"masked{masked}"),
    ]  # fmt: skip
    if curve is not None:
        handles.append(Line2D([], [], color=CURVE, label="smoothed"))
    if series is not None:
        handles.append(Line2D([], [], color=palette.RULE, linewidth=1.2, label="without a mask"))
    return handles


def _short(field: Hashable, most: int) -> str:
    """The name of a field in one line; of a long one the beginning."""
    text = " ".join(str(field).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _leave_room_above(axes: Axes) -> None:
    """For the legend."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))


def _draw_hidden(axes: Axes, series: FieldSeries) -> None:
    """How much of the field is hidden on each date."""
    days = style.time_values(series.times)
    width = max(float(np.ptp(days)) / 180, 0.6) if days.size else 1.0
    cloud, shadow = np.nan_to_num(series.cloud), np.nan_to_num(series.shadow)
    axes.bar(days, cloud, width, color=CLOUD, label="cloud")
    axes.bar(days, shadow, width, bottom=cloud, color=SHADOW, label="shadow")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, fontsize=8, handlelength=1, borderpad=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel("hidden", fontsize=9)


def _draw_images(
    axes: Axes, images: Sequence[FieldImage], series: FieldSeries, limits: tuple[float, float], side: float
) -> None:
    """Images below the axis of time, each with a line to its date and a frame that says whether it is used.

    :param side: Inches of the longer side of an image.
    """
    axes.set_axis_off()
    per_inch = (limits[1] - limits[0]) / _ROOM
    part = _ROOM / len(images)
    for number, image in enumerate(images):
        height, width = image.picture.shape[:2]
        wide, high = (side, side * height / width) if width >= height else (side * width / height, side)
        middle = limits[0] + (number + 0.5) * part * per_inch
        left, right = middle - wide / 2 * per_inch, middle + wide / 2 * per_inch
        used = any(time == image.time and use for time, use in zip(series.times, series.used, strict=True))
        color = CLEAR if used else MASKED
        axes.plot([_day(image), middle], [-0.02, -_ABOVE_IMAGE], color=color, linewidth=1, clip_on=False)
        box = (left, right, -_ABOVE_IMAGE - high, -_ABOVE_IMAGE)
        axes.imshow(image.picture, extent=box, aspect="auto", interpolation="bilinear", zorder=2)
        _draw_outline(axes, image, box)
        axes.plot(
            [left, right, right, left, left], [box[2], box[2], box[3], box[3], box[2]], color=color, linewidth=1.8,
            zorder=4, clip_on=False,
        )  # fmt: skip
        axes.text(middle, box[2] - 0.06, f"{image.time.day} {image.time:%b}", ha="center", va="top", fontsize=8)
    axes.set_xlim(limits)
    axes.set_ylim(-_ABOVE_IMAGE - side - _BELOW_IMAGE, 0)  # inches, as its height


def _day(image: FieldImage) -> float:
    return float(style.time_values([image.time])[0])


def _draw_outline(axes: Axes, image: FieldImage, box: tuple[float, float, float, float]) -> None:
    if image.outline is None:
        return
    left, bottom, right, top = image.bounds
    parts = image.outline.geoms if isinstance(image.outline, MultiPolygon) else [image.outline]
    for part in parts:
        for ring in (part.exterior, *part.interiors):
            x, y = np.asarray(ring.coords)[:, :2].T
            axes.plot(
                box[0] + (x - left) / (right - left) * (box[1] - box[0]),
                box[2] + (y - bottom) / (top - bottom) * (box[3] - box[2]),
                color="#ffe14d", linewidth=0.9, zorder=3,
            )  # fmt: skip

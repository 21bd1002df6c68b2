"""Pictures of levels: a lake over time, its measured outlines over true colour, and many lakes at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import geopandas as gpd
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from shapely.geometry.base import BaseGeometry

from eotasks.water.columns import TIME
from eotasks.workflows.report import ground, maps, palette, style
from eotasks.workflows.water_level.run import TRUE_LEVEL
from eotasks.workflows.water_level.views import FrameView, LakeView

STATUS_COLORS = {
    "too_cloudy": palette.QUIET,
    "frozen": palette.SKY,
    "invalid_data": palette.ORANGE,
    "no_data": palette.ORANGE,
    "no_cloud_data": palette.ORANGE,
    "request_error": palette.VERMILION,
    "unknown_error": palette.VERMILION,
}
"""Of dates without a level."""

NOMINAL, MEASURED = "#e3000f", "#00a2ff"
"""The outline of the body of water, and the water measured."""

_RUG = 0.045
_COLUMNS = 3


@style.styled
def series_figure(levels: gpd.GeoDataFrame, title: str) -> Figure:
    """The level of one lake against time; dates without a level are marks below.

    :param levels: Rows of one lake.
    """
    figure = style.new_figure(3.9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes = figure.subplots()
    statuses = _draw_series(axes, levels, markers=5.5)
    axes.set_ylabel("Level (measured / nominal area)")
    axes.axhline(1, color=palette.RULE, linewidth=1, zorder=0)
    axes.grid(axis="y")
    handles = _series_legend(statuses, truth=TRUE_LEVEL in levels)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=6, borderaxespad=0)
    return figure


@style.styled
def overview_figure(levels: gpd.GeoDataFrame, names: Sequence[str]) -> Figure:
    """Levels of many lakes, small.

    :param names: Ids of those to draw.
    """
    rows = math.ceil(len(names) / _COLUMNS)
    figure = style.new_figure(1.85 * rows + 0.5)
    grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    statuses: set[str] = set()
    dates: Any = mdates  # parts of it have no type hints
    for axes, name in zip(grid.flat, names, strict=False):
        mine = levels[levels["id"] == name]
        statuses |= _draw_series(axes, mine, markers=3)
        axes.set_title(lake_title(mine.iloc[0]["name"], name), fontsize=10)
        axes.grid(axis="y")
        axes.tick_params(labelsize=8)
        few = dates.AutoDateLocator(minticks=3, maxticks=5)
        axes.xaxis.set_major_locator(few)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(few))
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(0, len(names) - _COLUMNS) : len(names)]:
        axes.tick_params(labelbottom=True)  # the lowest of each column
    handles = _series_legend(statuses, truth=TRUE_LEVEL in levels)
    figure.legend(handles=handles, loc="outside lower left", ncols=6)
    return figure


@style.styled
def outline_figure(view: LakeView, title: str) -> Figure:
    """The nominal outline in red and the measured one in blue over true colour, at the highest and the lowest level."""
    shown = view.shown
    ratio = max(_height_over_width(each) for each in shown)
    width = min(style.CHART_WIDTH / 2, 4.6 / max(ratio, 0.2))
    figure = style.new_figure(width * ratio + 1.15, width * len(shown) + 0.4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    for axes, frame in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        _draw_frame(axes, frame)
    handles = [
        Line2D([], [], color=NOMINAL, linewidth=2, label="nominal outline"),
        Line2D([], [], color=MEASURED, linewidth=2, label="measured water"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    return figure


def _height_over_width(frame: FrameView) -> float:
    left, bottom, right, top = frame.bounds
    return (top - bottom) * ground.Axis(frame.crs).aspect(frame.bounds) / (right - left)


def _draw_series(axes: Axes, levels: gpd.GeoDataFrame, *, markers: float) -> set[str]:
    """Draws levels, and marks dates without one; returns the statuses of those."""
    dated = levels[levels[TIME].notna()]
    times = [time.to_pydatetime() for time in dated[TIME]]
    valid = dated[dated["status"] == "valid"]
    if TRUE_LEVEL in dated and dated[TRUE_LEVEL].notna().any():
        axes.plot(
            style.time_values(times), dated[TRUE_LEVEL], color=palette.ORANGE, linewidth=1.6, linestyle=(0, (4, 2))
        )
    axes.plot(_values(valid[TIME]), valid["level"], color=palette.BLUE, linewidth=1.4, marker="o", markersize=markers)
    highest = max(1.1, 1.08 * float(np.nanmax([1.0, *valid["level"]])))
    rejected = dated[dated["status"] != "valid"]
    axes.set_ylim(-2.6 * _RUG * highest, highest)
    for status, rows in rejected.groupby("status"):
        place = np.full(len(rows), -1.3 * _RUG * highest)
        color = STATUS_COLORS.get(str(status), palette.VERMILION)
        axes.plot(_values(rows[TIME]), place, linestyle="none", marker="|", markersize=1.6 * markers + 2, color=color)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= highest])
    style.date_axis(axes, times)
    return set(rejected["status"])


def _values(times: pd.Series[Any]) -> Any:
    return style.time_values([time.to_pydatetime() for time in times])


def _series_legend(statuses: Iterable[str], *, truth: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=palette.BLUE, linewidth=1.4, marker="o", markersize=5, label="level")]
    if truth:
        handles.append(Line2D([], [], color=palette.ORANGE, linestyle=(0, (4, 2)), linewidth=1.6, label="true level"))
    for status in sorted(statuses):
        color = STATUS_COLORS.get(status, palette.VERMILION)
        words = status.replace("_", " ")
        handles.append(Line2D([], [], linestyle="none", marker="|", markersize=10, color=color, label=words))
    return handles


def lake_title(name: str | None, lake_id: str) -> str:
    """What a picture calls a lake."""
    return str(name or lake_id)[:28]


def _draw_frame(axes: Axes, frame: FrameView) -> None:
    maps.frame(axes, frame.bounds, frame.crs)
    brightness = np.nanpercentile(frame.colors, 98) if np.isfinite(frame.colors).any() else 1.0
    gain = min(max(1 / max(float(brightness), 1e-3), 1.0), 6.0)  # lakes are dark, and clouds need not be told apart
    picture = np.zeros((*frame.colors.shape[:2], 4), np.uint8)
    picture[..., :3] = np.rint(np.clip(np.nan_to_num(frame.colors) * gain, 0, 1) * 255)
    picture[..., 3] = np.where(np.isfinite(frame.colors).all(axis=-1), 255, 0)
    maps.show(axes, picture, frame.bounds, frame.crs)
    scale = ground.Axis(frame.crs).scale
    _draw_outline(axes, frame.extent, MEASURED, 1.8, scale)
    _draw_outline(axes, frame.outline, NOMINAL, 1.3, scale)
    axes.set_title(f"{palette.day(frame.time)}: level {frame.level:.2f}", fontsize=11)
    maps.scale_bar(axes, frame.crs)


def _draw_outline(axes: Axes, geometry: BaseGeometry, color: str, width: float, scale: float) -> None:
    for part in shapely.get_parts(geometry):
        for ring in (part.exterior, *part.interiors):
            points = shapely.get_coordinates(ring) / scale
            axes.plot(points[:, 0], points[:, 1], color=color, linewidth=width, solid_joinstyle="round")

"""Pictures of what the model looked at: importance by date and feature, and the image of the most important date."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from eotasks.workflows.land_cover.report import observations
from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import Importance
from eotasks.workflows.report import palette, style


def add(chapter: Chapter) -> None:
    """Add the importance of features over time, and true colour at the most important date."""
    importance = chapter.result.importance
    if importance is None or not importance.gain.size or not importance.gain.sum() > 0:
        chapter.miss("importance", "Feature importance over time")
        return
    date, feature = best(importance)
    share = importance.gain[date, feature] / importance.gain.sum()
    top_date = int(importance.gain.sum(axis=1).argmax())
    as_a_whole = f" The most important date as a whole is {palette.day(importance.times[top_date])}."
    chapter.chart(
        importance_figure(importance) if min(importance.gain.shape) > 1 else importance_bars(importance),
        f"Share of the model's total gain by date and feature. Most important: {importance.names[feature]} on "
        f"{palette.day(importance.times[date])} ({share:.1%})."
        + (as_a_whole if min(importance.gain.shape) > 1 else ""),
        alt=f"Chart of the importance of {len(importance.names)} features at {len(importance.times)} dates; "
        f"{importance.names[feature]} on {palette.day(importance.times[date])} is greatest.",
    )
    if importance.image is None:
        no_color = chapter.result.reasons.get("TRUE_COLOR", "")
        chapter.miss("importance_image", "True colour at the most important date", no_color)
        return
    chapter.map(
        observations.true_color_figure(importance.image, chapter.result.crs),
        f"True colour at the most important date, {palette.day(importance.image.time or importance.times[top_date])},"
        " as the model sees it: resampled in time where the features are.",
        alt="True colour image at the most important date.",
    )


def best(importance: Importance) -> tuple[int, int]:
    """Indices of the date and the feature with the greatest gain."""
    date, feature = np.unravel_index(int(importance.gain.argmax()), importance.gain.shape)
    return int(date), int(feature)


@style.styled
def importance_figure(importance: Importance) -> Figure:
    """Importance as an image, dates across and features down, with the sums at the edges."""
    shares = importance.gain.T / importance.gain.sum()
    features, dates = shares.shape
    figure = style.new_figure(2.4 + 0.34 * features)
    grid = figure.subplots(
        2, 2, width_ratios=(6, 1), height_ratios=(0.9, 0.34 * features + 0.3), sharex="col", sharey="row"
    )
    (top, corner), (image, side) = grid
    corner.set_visible(False)
    drawn = image.imshow(shares, cmap="viridis", aspect="auto", vmin=0)
    date, feature = best(importance)
    image.add_patch(
        Rectangle((date - 0.5, feature - 0.5), 1, 1, fill=False, edgecolor=palette.VERMILION, linewidth=2.4)
    )
    top.bar(range(dates), shares.sum(axis=0), width=0.86, color=palette.BLUE)
    side.barh(range(features), shares.sum(axis=1), height=0.8, color=palette.BLUE)
    _date_ticks(image, importance)
    image.set_yticks(range(features), list(importance.names))
    for spine in image.spines.values():
        spine.set_visible(False)
    top.tick_params(axis="x", length=0, labelbottom=False)
    side.tick_params(axis="y", length=0, labelleft=False)
    top.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    side.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    side.xaxis.set_major_locator(MaxNLocator(nbins=2))
    top.set_title("Share of the total gain")
    bar = figure.colorbar(drawn, ax=grid[:, 1], format=PercentFormatter(1.0, decimals=1), fraction=0.25, aspect=18)
    bar.outline.set_visible(False)
    bar.set_label("per date and feature", fontsize=10)
    return figure


@style.styled
def importance_bars(importance: Importance) -> Figure:
    """Importance of the features of a single date, or of a single feature at each date."""
    shares = importance.gain / importance.gain.sum()
    dates, features = shares.shape
    figure = style.new_figure(2.8 if dates > 1 else 1.0 + 0.32 * features)
    axes = figure.subplots()
    if dates > 1:
        axes.bar(range(dates), shares[:, 0], width=0.8, color=palette.BLUE)
        _date_ticks(axes, importance)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel(f"share of {importance.names[0]}")
        axes.grid(axis="y")
    else:
        axes.barh(range(features), shares[0], height=0.7, color=palette.BLUE)
        axes.set_yticks(range(features), list(importance.names))
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("share of the total gain")
        axes.grid(axis="x")
    return figure


def _date_ticks(axes: Axes, importance: Importance) -> None:
    """About a dozen dates on an x axis that counts them."""
    places = range(0, len(importance.times), max(1, math.ceil(len(importance.times) / 13)))
    labels = [f"{importance.times[place].day} {importance.times[place]:%b}" for place in places]
    axes.set_xticks(list(places), labels, rotation=45, ha="right", rotation_mode="anchor")

"""One picture of all detectors: accuracy with its intervals, time beside it, and how far they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from eotasks.models.clouds.evaluation import Target
from eotasks.workflows.evaluate_clouds.comparison.rows import COMPARED, Row, seconds_text, units_text
from eotasks.workflows.report import palette, style

_AGREEMENT: Any = LinearSegmentedColormap.from_list("agreement", ["#f7f8f6", palette.SKY, "#00456e"])
_MATRIX = 0.52
"""Inches of a cell."""


@style.styled
def comparison_figure(rows: Sequence[Row], title: str) -> Figure:
    """Above: balanced overall accuracy and F1 of clouds, F1 of shadows, and time, a line for each detector. Below: how
    far each two of them agree.

    :param rows: Of two detectors at least.
    :param title: What they were judged on.
    """
    names = list(dict.fromkeys(row.detector for row in rows))
    by_class = {target: {row.detector: row for row in rows if row.target == target} for target in COMPARED}
    told = [target for target in COMPARED if by_class[target]]
    height = 1.0 + 0.42 * len(names)
    below = 1.0 + _MATRIX * len(names)
    figure = style.new_figure(height + below + 0.5, style.CHART_WIDTH + 2)
    parts: Any = figure.subfigures(2, 1, height_ratios=[height, below])
    upper, lower = parts
    panels: list[tuple[str, Target, str]] = [("Cloud: BOA", "cloud", "BOA"), ("Cloud: F1", "cloud", "F1")]
    panels.append(("Shadow: F1", "shadow", "F1"))
    panels = [each for each in panels if each[1] in told]
    axes = upper.subplots(1, len(panels) + 1, sharey=True, squeeze=False)[0]
    for each, (heading, target, short) in zip(axes, panels, strict=False):
        _estimates(each, names, by_class[target], short)
        each.set_title(heading, fontsize=11)
    _times(axes[-1], names, {row.detector: row.seconds for row in rows})
    axes[0].set_yticks(range(len(names)), [f"{name}  {index}" for index, name in enumerate(names, start=1)])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    maps = lower.subplots(1, 2, squeeze=False)[0]
    for each, target in zip(maps, COMPARED, strict=True):
        if len(by_class[target]) > 1:
            _agreement(each, [name for name in names if name in by_class[target]], names, by_class[target], target)
        else:
            each.set_axis_off()
    lower.supxlabel(
        f"Dots: medians over frames, lines: their 95 % intervals, by a bootstrap over {units_text(rows)}.\nIn each"
        " field: Cohen's κ of two masks, and the share of pixels that both call alike.",
        x=0.01,
        ha="left",
        fontsize=9,
        color=palette.QUIET,
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def _lines(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _estimates(axes: Axes, names: Sequence[str], rows: Mapping[str, Row], short: str) -> None:
    lowest = 1.0
    for line, name in enumerate(names):
        estimate = rows[name].estimates[short] if name in rows else None
        if estimate is None or math.isnan(estimate.median):
            text = "not judged" if estimate is None else "not defined"
            axes.text(
                0.5,
                line,
                text,
                ha="center",
                va="center",
                color=palette.QUIET,
                fontsize=9,
                transform=axes.get_yaxis_transform(),
            )
            continue
        if estimate.interval.known:
            axes.plot(
                [estimate.interval.low, estimate.interval.high],
                [line, line],
                color=palette.BLUE,
                linewidth=3,
                alpha=0.45,
            )
            lowest = min(lowest, estimate.interval.low)
        axes.plot(estimate.median, line, "o", color=palette.BLUE, markersize=6)
        lowest = min(lowest, estimate.median)
        _label(axes, f"{estimate.median:.2f}", estimate.median, line)
    axes.set_xlim(max(math.floor(lowest * 10 - 0.5) / 10, -0.02), 1.03)
    _lines(axes)


def _times(axes: Axes, names: Sequence[str], seconds: Mapping[str, float]) -> None:
    known = [value for value in seconds.values() if value > 0]
    axes.set_title("Seconds per megapixel", fontsize=11)
    _lines(axes)
    if not known:
        return
    axes.set_xscale("log")
    axes.set_xlim(min(known) / 2.5, max(known) * 2.5)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    for line, name in enumerate(names):
        value = seconds.get(name, math.nan)
        if value > 0:
            axes.plot(value, line, "o", color=palette.ORANGE, markersize=6)
            _label(axes, seconds_text(value), value, line)


def _label(axes: Axes, text: str, x: float, line: int) -> None:
    axes.annotate(text, (x, line), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=9)


def _agreement(axes: Axes, told: Sequence[str], names: Sequence[str], rows: Mapping[str, Row], target: Target) -> None:
    size = len(told)
    kappas = np.full((size, size), np.nan)
    for row, first in enumerate(told):
        for column, second in enumerate(told):
            if second in rows[first].agreement:
                kappas[row, column] = rows[first].agreement[second].kappa
    axes.imshow(np.ma.masked_invalid(kappas), cmap=_AGREEMENT, vmin=0, vmax=1)
    for row, first in enumerate(told):
        for column, second in enumerate(told):
            found = rows[first].agreement.get(second)
            if found is None:
                continue
            ink = palette.INK if math.isnan(found.kappa) else style.ink_on(to_hex(_AGREEMENT(max(found.kappa, 0.0))))
            kappa = "–" if math.isnan(found.kappa) else f"{found.kappa:.2f}"
            share = "" if math.isnan(found.share) else f"{100 * found.share:.1f} %"
            axes.text(column, row - 0.13, kappa, ha="center", va="center", fontsize=9.5, color=ink)
            axes.text(column, row + 0.24, share, ha="center", va="center", fontsize=6.5, color=ink)
    numbers = [names.index(name) + 1 for name in told]
    axes.set_xticks(range(size), list(map(str, numbers)))
    axes.set_yticks(range(size), [f"{name}  {number}" for name, number in zip(told, numbers, strict=True)])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{target.capitalize()}: agreement", fontsize=11)
    axes.set_xlim(-0.5, len(names) - 0.5)  # fields of one size, whichever detectors tell the class
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_anchor("W")

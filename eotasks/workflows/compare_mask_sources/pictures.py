"""The picture: memory over time of each way, its patches as marks, and bars of what it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from eotasks.workflows.compare_mask_sources import tables
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE
from eotasks.workflows.compare_mask_sources.run import Comparison
from eotasks.workflows.compare_mask_sources.ways import WAYS
from eotasks.workflows.report import palette, style

COLORS = {SERVICE: palette.BLUE, COMPUTED: palette.VERMILION, S2CLOUDLESS: palette.GREEN}

_PARTS = (
    ("answers_s", "waiting for the service", 1.0),
    ("computing_s", "computing masks", 0.72),
    ("other_s", "all else", 0.46),
    ("pauses_s", "pauses of the client", 0.22),
)
"""Fields of a run, what they are, and how dark they are drawn."""

_BARS = ("cpu_s", "bytes", "request_count", "peak_mb")


@style.styled
def comparison_figure(comparison: Comparison) -> Figure:
    """Memory over time above, bars below."""
    ways = comparison.plan.ways
    figure = style.new_figure(7.4 + 0.35 * (len(ways) - 2), 11.0)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.45, 1.0 + 0.18 * (len(ways) - 2)))
    above, below = halves
    _draw_memory(above.subplots(), comparison)
    grid = below.add_gridspec(2, len(_BARS), height_ratios=(1.15, 1.0))
    _draw_parts(below.add_subplot(grid[0, :]), comparison)
    for column, name in enumerate(_BARS):
        _draw_bars(below.add_subplot(grid[1, column]), comparison, name, named=column == 0)
    plan = comparison.plan
    figure.suptitle(
        f"Cloud masks of the service, or computed: {len(plan.boxes)} patches of {plan.size:g} m,"
        f" {comparison.acquisitions} acquisitions together, one core",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
    )
    return figure


def _draw_memory(axes: Axes, comparison: Comparison) -> None:
    """The run of each way whose time is the median; a mark where a patch is done."""
    axes.set_title("Memory over time")
    for way in comparison.plan.ways:
        run, color = comparison.middle(way), COLORS[way]
        seconds, megabytes = np.array(run.samples).T if run.samples else np.zeros((2, 0))
        peak = comparison.median(way, "peak_mb")
        label = f"{WAYS[way].title}: {comparison.median(way, 'seconds'):.1f} s for the patches, peak {peak:.0f} MB"
        axes.plot(seconds, megabytes, color=color, linewidth=1.6, label=label)
        if seconds.size:
            ends = np.array(run.patch_ends)
            axes.plot(ends, np.interp(ends, seconds, megabytes), "|", color=color, markersize=9, markeredgewidth=1.3)
            at = int(np.argmin(np.abs(seconds - run.start_s)))
            axes.plot(seconds[at], megabytes[at], "o", color=color, markersize=6, markeredgecolor="white")
    axes.set_xlabel("seconds since the process began  (● first patch begins, | a patch is done)")
    axes.set_ylabel("resident memory (MB)")
    axes.set_xlim(left=0)
    highest = max((mb for way in comparison.plan.ways for _, mb in comparison.middle(way).samples), default=1.0)
    axes.set_ylim(0, highest * (1.12 + 0.08 * len(comparison.plan.ways)))
    axes.grid(axis="y")
    axes.legend(loc="upper left")


def _draw_parts(axes: Axes, comparison: Comparison) -> None:
    """Where the time of the patches goes: medians of the parts, and the least and most of the repeats."""
    axes.set_title("Time of the patches (s)")
    for row, way in enumerate(comparison.plan.ways):
        left = 0.0
        for name, _, strength in _PARTS:
            value = comparison.median(way, name)
            axes.barh(row, value, 0.62, left=left, color=COLORS[way], alpha=strength, edgecolor="white", linewidth=0.8)
            left += value
        all_seconds = [run.seconds for run in comparison.of(way)]
        axes.plot([min(all_seconds), max(all_seconds)], [row, row], color=palette.INK, linewidth=1.2)
        axes.plot(all_seconds, [row] * len(all_seconds), "|", color=palette.INK, markersize=8)
        right = max(left, *all_seconds)
        axes.annotate(
            f"{comparison.median(way, 'seconds'):.1f} s", (right, row), xytext=(7, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
    _finish_bars(axes, [WAYS[way].title for way in comparison.plan.ways])
    axes.set_xlim(0, 1.12 * max(max(run.seconds for run in comparison.runs), 1e-9))
    axes.grid(axis="x")
    handles = [Patch(facecolor=palette.QUIET, alpha=strength, label=label) for _, label, strength in _PARTS]
    look = {"ncols": len(handles), "handlelength": 1.2, "columnspacing": 1.2, "borderaxespad": 0.2}
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 0.98), **look)


def _draw_bars(axes: Axes, comparison: Comparison, name: str, *, named: bool) -> None:
    figure = next(each for each in tables.FIGURES if each.name == name)
    ways = comparison.plan.ways
    values = [comparison.median(way, name) / figure.divisor for way in ways]
    axes.set_title(figure.label.capitalize(), fontsize=11)
    axes.barh(range(len(ways)), values, 0.62, color=[COLORS[way] for way in ways])
    for row, way in enumerate(ways):
        text = tables.text_of(figure, comparison.median(way, name))
        axes.annotate(text, (values[row], row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10)
    _finish_bars(axes, [WAYS[way].title for way in ways] if named else [""] * len(ways))
    axes.set_xlim(0, 1.55 * max(max(values), 1e-9))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _finish_bars(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)

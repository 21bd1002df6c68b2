"""What the run cost: seconds and memory by stage and step, failed patches, versions, configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import RunInfo, Stage
from eotasks.workflows.report import palette, style
from eotasks.workflows.report.page import Cell, CellValue, KeyFigure
from eotasks.workflows.report.units import duration, memory


@dataclass(frozen=True)
class StepCost:
    """One step over all patches of a stage."""

    stage: str
    step: str
    patches: int
    seconds: float
    """Sum over the patches; with several workers more than the wall clock."""

    longest: float
    """Seconds of the slowest patch."""

    memory_mb: float | None
    """Greatest peak of any worker during the step."""


def add(chapter: Chapter) -> None:
    """Add times, memory, failures and what the run was made with."""
    run = chapter.result.run
    if run is None:
        return  # the run is described once, in the part that has it
    chapter.section.key_figures(_key_figures(run))
    if run.memory_note:
        chapter.section.text(run.memory_note)
    _add_failures(chapter, run)
    if run.stages:
        chapter.chart(
            stages_figure(run.stages),
            "Wall-clock time of each stage of the run, and the memory of all its processes together at the peak.",
            alt="Bar chart of the stages: "
            + ", ".join(f"{stage.name} {duration(stage.seconds)}" for stage in run.stages)
            + ".",
            real=True,
        )
    costs = step_costs(run.stages)
    if costs:
        _add_steps(chapter, costs)
    if run.versions:
        chapter.section.table(["Package", "Version"], run.versions.items(), "Packages", folded=True)
    if run.configuration:
        chapter.section.code("Configuration", run.configuration)


def _key_figures(run: RunInfo) -> list[KeyFigure]:
    figures = []
    if run.seconds is not None:
        figures.append(KeyFigure("Run time", duration(run.seconds), "wall clock"))
    if run.peak_memory_mb is not None:
        figures.append(KeyFigure("Peak memory", memory(run.peak_memory_mb), "all processes together"))
    states: dict[str, set[str]] = {"done": set(), "skipped": set(), "failed": set()}
    for outcome in (outcome for stage in run.stages for outcome in stage.outcomes):
        states["failed" if outcome.missing else outcome.state].add(outcome.name)
    if any(states.values()):
        names = set().union(*states.values())
        note = f"{len(states['failed'])} failed" if states["failed"] else "none failed"
        skipped = len(states["skipped"] - states["done"] - states["failed"])
        figures.append(
            KeyFigure("Patches", f"{len(names):,}", note + (f", {skipped} complete before" if skipped else ""))
        )
    workers = max((stage.workers for stage in run.stages), default=0)
    if workers:
        figures.append(KeyFigure("Workers", str(workers)))
    return figures


def _add_failures(chapter: Chapter, run: RunInfo) -> None:
    failures = [(stage.name, outcome) for stage in run.stages for outcome in stage.outcomes if outcome.missing]
    if not failures:
        return
    count = len({outcome.name for _, outcome in failures})
    chapter.section.notice(f"{count} patch{'es' if count != 1 else ''} failed: the maps have holes there.")
    rows: list[list[CellValue]] = [
        [outcome.name, stage, outcome.error_step or "", outcome.error or "", outcome.attempts]
        for stage, outcome in failures
    ]
    chapter.section.table(["Patch", "Stage", "Step", "Error", "Attempts"], rows, "Failed patches.")


def _add_steps(chapter: Chapter, costs: Sequence[StepCost]) -> None:
    with_memory = any(cost.memory_mb is not None for cost in costs)
    chapter.chart(
        steps_figure(costs),
        "Work of each step, summed over the patches"
        + (", and the greatest memory of a single worker while it ran." if with_memory else "."),
        alt="Bar chart of seconds by step: " + ", ".join(f"{cost.step} {cost.seconds:.1f} s" for cost in costs) + ".",
        real=True,
    )
    rows: list[list[CellValue]] = [
        [
            cost.step,
            cost.stage,
            cost.patches,
            Cell(f"{cost.seconds:,.2f}", number=True),
            Cell(f"{cost.seconds / cost.patches:,.3f}", number=True),
            Cell(f"{cost.longest:,.3f}", number=True),
            None if cost.memory_mb is None else round(cost.memory_mb),
        ]
        for cost in costs
    ]
    header = ["Step", "Stage", "Patches", "Seconds, sum", "Mean", "Slowest patch", "Peak memory (MB)"]
    chapter.section.table(header, rows, "Seconds and memory by step.", folded=True)


def step_costs(stages: Sequence[Stage]) -> list[StepCost]:
    """Sum up the steps of the patches, in the order in which they ran."""
    costs = []
    for stage in stages:
        steps = dict.fromkeys(step for outcome in stage.outcomes for step in outcome.seconds_by_step)
        for step in steps:
            with_step = [outcome for outcome in stage.outcomes if step in outcome.seconds_by_step]
            seconds = [outcome.seconds_by_step[step] for outcome in with_step]
            peaks = [
                outcome.peak_memory_mb_by_step[step] for outcome in with_step if step in outcome.peak_memory_mb_by_step
            ]
            costs.append(StepCost(stage.name, step, len(seconds), sum(seconds), max(seconds), max(peaks, default=None)))
    return costs


@style.styled
def stages_figure(stages: Sequence[Stage]) -> Figure:
    """Seconds and peak memory of each stage."""
    seconds = np.array([stage.seconds for stage in stages])
    peaks = np.array([np.nan if stage.peak_memory_mb is None else stage.peak_memory_mb for stage in stages])
    return _costs_figure([stage.name for stage in stages], seconds, peaks, "seconds, wall clock")


@style.styled
def steps_figure(costs: Sequence[StepCost]) -> Figure:
    """Seconds and peak memory of each step."""
    several = len({cost.stage for cost in costs}) > 1
    names = [f"{cost.stage}: {cost.step}" if several else cost.step for cost in costs]
    seconds = np.array([cost.seconds for cost in costs])
    peaks = np.array([np.nan if cost.memory_mb is None else cost.memory_mb for cost in costs])
    return _costs_figure(names, seconds, peaks, "seconds, sum over patches")


def _costs_figure(names: Sequence[str], seconds: NDArray[np.float64], peaks: NDArray[np.float64], label: str) -> Figure:
    figure = style.new_figure(1.0 + 0.34 * len(names))
    if not np.isfinite(peaks).any():
        _bars(figure.subplots(), names, seconds, label, palette.BLUE)
        return figure
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, names, seconds, label, palette.BLUE)
    _bars(right, names, peaks, "peak memory (MB)", palette.ORANGE)
    right.tick_params(labelleft=False)
    return figure


def _bars(axes: Axes, names: Sequence[str], values: NDArray[np.float64], label: str, color: str) -> None:
    rows = np.arange(len(names))
    shown = np.nan_to_num(values)
    axes.barh(rows, shown, 0.66, color=color)
    longest = max(float(shown.max()), 1e-9)
    for row, value in enumerate(values.tolist()):
        text = "–" if np.isnan(value) else f"{value:,.{0 if value >= 100 else 1 if value >= 1 else 2}f}"
        axes.text((0 if np.isnan(value) else value) + longest * 0.012, row, text, va="center", fontsize=9.5)
    axes.set_yticks(rows, list(names))
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlim(0, longest * 1.14)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")

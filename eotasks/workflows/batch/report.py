"""The report of a place's batches: a page with tables, histograms and the logs of failures, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eotasks.durable import atomic_path, make_folder
from eotasks.errors import EOTasksError, StorageError
from eotasks.storage.place import Place, PlaceLike
from eotasks.text import json_text
from eotasks.workflows.batch.log_files import BATCH_FOLDER, log_folder, log_path
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import StageProgress, StepCost, read_progress
from eotasks.workflows.report import palette, style
from eotasks.workflows.report.page import Cell, CellValue, KeyFigure, Report, Section
from eotasks.workflows.report.units import duration, memory

REPORT = f"{BATCH_FOLDER}/report.html"
DATA = f"{BATCH_FOLDER}/report.json"
VERSION = 1
"""Of the JSON."""

_LOGS = 50
"""Logs that the page shows; the place has all of them."""
_LOG_CHARACTERS = 20_000
_FOLDED_ROWS = 30


def write_batch_report(place: PlaceLike, path: str | Path | None = None, *, stage: str | None = None) -> str:
    """Writes the report of the batches of a place, finished or not: HTML, and JSON of the same name beside it.

    :param path: The HTML file on this machine; None: ``batch/report.html`` inside the place.
    :param stage: Only the batch of this name.
    :return: Where the HTML is.
    :raises StorageError: when the place has no batch, or the files cannot be written.
    """
    place = Place(place)
    stages = read_progress(place, stage=stage)
    page = batch_report(place, stages).render().encode(errors="replace")  # names may hold what is no text
    content = {"version": VERSION, "place": str(place), "batches": [one.to_dict() for one in stages]}
    data = (json_text(content) + "\n").encode()
    if path is None:
        place.write_bytes(DATA, data)
        place.write_bytes(REPORT, page)
        return f"{place}/{REPORT}"
    target = Path(path)
    try:
        make_folder(target.parent)
        for file, written in ((target.with_suffix(".json"), data), (target, page)):
            with atomic_path(file) as temporary:
                temporary.write_bytes(written)
    except OSError as error:
        raise StorageError(f"The report cannot be written to {target} ({error}): give a writable path.") from error
    return str(target)


def batch_report(place: Place, stages: Sequence[StageProgress]) -> Report:
    """The page; logs of failures are read from the place."""
    missing = len({(stage.stage, outcome.name) for stage in stages for outcome in stage.missing})
    notices = (
        [f"{missing} patch{'es are' if missing != 1 else ' is'} missing: see the failures below."] if missing else []
    )
    if any(stage.state == "running" for stage in stages):
        notices.append("A batch is still running: this page shows where it was when the page was written.")
    report = Report("Batches", subtitle=str(place), notices=notices)
    for stage in stages:
        _add_stage(report.section(stage.stage), place, stage)
    return report


def _add_stage(section: Section, place: Place, stage: StageProgress) -> None:
    section.key_figures(_key_figures(stage))
    if stage.interrupted:
        section.notice(f"Interrupted, to be run again: {', '.join(stage.interrupted)}.")
    ran = [outcome for outcome in stage.outcomes if outcome.seconds_by_step]
    if len(ran) > 1:
        _add_histograms(section, ran)
    if stage.steps:
        rows = [_step_row(cost) for cost in stage.steps]
        header = ["Step", "Patches", "Seconds, sum", "Mean", "Slowest patch", "Peak memory (MB)"]
        section.table(header, rows, "Seconds and memory by step, the most expensive first.")
    _add_failures(section, place, stage)
    _add_patches(section, stage.outcomes)


def _key_figures(stage: StageProgress) -> list[KeyFigure]:
    done = stage.count("done") + stage.count("skipped")
    note = f"{stage.count('skipped')} complete before" if stage.count("skipped") else f"run {stage.state}"
    figures = [
        KeyFigure("Complete", f"{done:,} of {stage.patches:,}", note),
        KeyFigure("Run time", duration(stage.seconds), f"{stage.started:%Y-%m-%d %H:%M} UTC"),
    ]
    if stage.rate is not None:
        rate = 60 * stage.rate
        figures.append(KeyFigure("Rate", f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}", "patches a minute"))
    peak = max((cost.peak_memory_mb or 0.0 for cost in stage.steps), default=0.0)
    if peak:
        figures.append(KeyFigure("Peak memory", memory(peak), "of a single worker"))
    if stage.missing:
        note = f"{stage.count('quarantined')} quarantined"
        figures.append(KeyFigure("Missing", f"{len(stage.missing):,}", note))
    if stage.lost_workers:
        figures.append(KeyFigure("Lost workers", f"{stage.lost_workers:,}", "each cost one attempt of one patch"))
    return figures


def _add_histograms(section: Section, outcomes: Sequence[PatchOutcome]) -> None:
    seconds = [outcome.seconds for outcome in outcomes]
    peaks = [max(outcome.peak_memory_mb_by_step.values(), default=0.0) for outcome in outcomes]
    measured = [peak for peak in peaks if peak]
    middle = float(np.median(seconds))
    alt = f"Histogram of seconds by patch: median {middle:.3g}, greatest {max(seconds):.3g}"
    alt += f"; of peak memory: greatest {max(measured):.0f} MB." if measured else "."
    section.figure(
        histograms(seconds, measured),
        "Time of each patch, all its steps together" + (", and the peak memory of its worker." if measured else "."),
        alt=alt,
        image_format="svg",
    )


@style.styled
def histograms(seconds: Sequence[float], peaks: Sequence[float]) -> Figure:
    """How the patches share time and memory.

    :param seconds: Of each patch.
    :param peaks: MB of each patch; empty draws no second panel.
    """
    figure = style.new_figure(2.9)
    axes = figure.subplots(1, 2 if peaks else 1, squeeze=False)[0]
    _histogram(axes[0], seconds, "seconds of a patch", palette.BLUE)
    if peaks:
        _histogram(axes[1], peaks, "peak memory of the worker (MB)", palette.ORANGE)
    axes[0].set_ylabel("patches")
    return figure


def _histogram(axes: Axes, values: Sequence[float], label: str, color: str) -> None:
    low, high = min(values), max(values)
    margin = 0.02 * max(abs(high), 1e-6) if high - low < 1e-9 else 0.0  # all the same: one bar of some width
    bins = min(30, max(5, round(len(values) ** 0.5)))
    axes.hist(values, bins=bins, range=(low - margin, high + margin), color=color, edgecolor="white", linewidth=0.6)
    axes.axvline(float(np.median(values)), color=palette.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_xlabel(f"{label}; dashed: median")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.grid(axis="y")


def _step_row(cost: StepCost) -> list[CellValue]:
    return [
        cost.step,
        cost.patches,
        Cell(f"{cost.seconds:,.2f}", number=True),
        Cell(f"{cost.seconds / cost.patches:,.3f}", number=True),
        Cell(f"{cost.longest:,.3f}", number=True),
        None if cost.peak_memory_mb is None else round(cost.peak_memory_mb),
    ]


def _add_failures(section: Section, place: Place, stage: StageProgress) -> None:
    missing = stage.missing
    if not missing:
        return
    below = section.section("Failures")
    rows: list[list[CellValue]] = [
        [outcome.name, outcome.state, outcome.error_step or "", outcome.error or "", outcome.attempts]
        for outcome in missing
    ]
    below.table(["Patch", "State", "Step", "Error", "Attempts"], rows, "Patches that are missing.")
    for outcome in missing[:_LOGS]:
        below.code(f"Log of {outcome.name}", _log(place, stage.stage, outcome))
    if len(missing) > _LOGS:
        below.text(f"{len(missing) - _LOGS} more logs are in {place}/{log_folder(stage.stage)}.")


def _log(place: Place, stage: str, outcome: PatchOutcome) -> str:
    path = log_path(stage, outcome.name)
    try:
        text = place.read_bytes(path).decode(errors="replace")
    except EOTasksError:  # removed: the message in the manifest is what there is
        return f"{outcome.error}\n\nThe place has no {path}."
    return text if len(text) <= _LOG_CHARACTERS else "…\n" + text[-_LOG_CHARACTERS:]


def _add_patches(section: Section, outcomes: Sequence[PatchOutcome]) -> None:
    rows: list[list[CellValue]] = []
    for outcome in outcomes:
        slowest = max(outcome.seconds_by_step.items(), key=lambda item: item[1], default=("", 0.0))[0]
        peak = max(outcome.peak_memory_mb_by_step.values(), default=None)
        seconds = Cell(f"{outcome.seconds:,.3f}", number=True) if outcome.seconds_by_step else None
        memory_mb = None if peak is None else round(peak)
        rows.append([outcome.name, outcome.state, outcome.attempts, seconds, slowest, memory_mb])
    if rows:
        section = section.section("Patches")
        header = ["Patch", "State", "Attempts", "Seconds", "Slowest step", "Peak memory (MB)"]
        section.table(header, rows, "All patches.", folded=len(rows) > _FOLDED_ROWS)

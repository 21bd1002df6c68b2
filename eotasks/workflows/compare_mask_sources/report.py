"""The page of a comparison: figures, the picture, agreement, and how it was measured."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from eotasks.workflows.compare_mask_sources import tables
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, SERVICE
from eotasks.workflows.compare_mask_sources.run import Comparison
from eotasks.workflows.compare_mask_sources.ways import WAYS
from eotasks.workflows.report.page import Cell, KeyFigure, Report, Section
from eotasks.workflows.report.style import styled

PICTURE_DPI = 132

_DEFINITIONS = """\
Each run is a process of its own that downloads the patches one after the other, one request at a time, and has bands, \
data mask, CLM and CLP of all acquisitions at its end. Time is that of the patches, without the start of the process, \
which is beside it; what is loaded for the first mask is in it. Bytes are those of the answers as they come over the \
wire, without their heads; requests are all that were sent: one to the catalogue for each patch, one for each \
acquisition, and those for tokens. Memory is the resident set, sampled up to 50 times in a second by another \
process; its peak is that of the kernel where it says one. The client of Sentinel Hub keeps 50 ms from one request to \
the next, whatever the service does: what it sleeps for that is a part of the time. All else is unpacking answers, \
making arrays, and waiting for the core when other programs have it.
"""


def build_report(comparison: Comparison, figure: Figure) -> Report:
    """The page.

    :param figure: The picture.
    """
    plan = comparison.plan
    report = Report(
        "Cloud masks of the service, or computed",
        subtitle=(
            f"{len(plan.boxes)} patches of {plan.size:g} m at {plan.resolution:g} m, {comparison.acquisitions}"
            f" acquisitions together, {plan.repeats} times each way."
        ),
        notices=[tables.SIMULATED] if comparison.simulated else [],
    )
    _add_figures(report.section("What it took", tables.conclusion(comparison)), comparison, figure)
    _add_agreement(report.section("Whether the masks agree"), comparison)
    _add_methods(report.section("How it was measured", _DEFINITIONS), comparison)
    return report


def _add_figures(section: Section, comparison: Comparison, figure: Figure) -> None:
    section.key_figures(
        KeyFigure(each.label, tables.ratio_text(tables.ratio(comparison, each.name)), "service / computed")
        for each in tables.shown(comparison)
        if each.name in ("seconds", "cpu_s", "bytes", "peak_mb")
    )
    _picture(section, figure, comparison)
    rows = [[Cell(cell, number=index > 0) for index, cell in enumerate(row)] for row in tables.summary_rows(comparison)]
    section.table(tables.summary_header(comparison), rows, "Medians of the repeats.")
    section.table(
        ("way", "repeat", "time of the patches (s)", "processor time (s)", "received (MB)", "requests", "peak (MB)"),
        [
            (run.way, run.repeat + 1, run.seconds, run.cpu_s, run.bytes / 1e6, run.request_count, run.peak_mb)
            for run in comparison.runs
        ],
        "Each run, in the order in which they ran.",
        folded=True,
    )


@styled  # ticks are made when a figure is drawn, with the settings of that moment
def _picture(section: Section, figure: Figure, comparison: Comparison) -> None:
    times = ", ".join(f"{WAYS[way].title} {comparison.median(way, 'seconds'):.1f} s" for way in comparison.plan.ways)
    section.figure(
        figure,
        "Memory of the run whose time is the median, and medians of what the runs took.",
        alt=f"Lines of memory over time for each way, bars of time, processor time, bytes, requests, peak. {times}.",
        dpi=PICTURE_DPI,
    )


def _add_agreement(section: Section, comparison: Comparison) -> None:
    rows = [
        [Cell(cell, number=index > 0) for index, cell in enumerate(row)] for row in tables.agreement_rows(comparison)
    ]
    section.table(tables.AGREEMENT_HEADER, rows, _AGREEMENT)
    section.text(
        "The service's masks have pixels of 160 m and are smoothed and grown by these, those that are computed have the"
        " pixels of the bands unless another size was asked for: edges of clouds differ, and small clouds come and go."
    )


def _add_methods(section: Section, comparison: Comparison) -> None:
    machine, plan = comparison.machine, comparison.plan
    rows = [(WAYS[way].title, ", ".join(WAYS[way].bands), WAYS[way].masks) for way in plan.ways]
    section.table(("way", "bands", "masks"), rows, "The ways.")
    coarse = "" if plan.mask_resolution is None else f" Masks were computed at {plan.mask_resolution:g} m."
    section.text(
        f"Service: {comparison.service}. {machine.kind}, {machine.cores} cores, {machine.memory_mb / 1024:.1f} GB;"
        f" {machine.client_words}. {_load_words(comparison)}{coarse}"
    )
    before = ", ".join(f"{WAYS[way].title} {seconds:.1f} s" for way, seconds in comparison.warm_up.items())
    section.text(
        f"One patch by each way came before and does not count ({before}, each with its process): the service opens its"
        " products then, computes masks that it has not got, and keeps them."
    )
    if SERVICE in plan.ways and COMPUTED in plan.ways and plan.repeats == 1:
        section.notice("One repeat: what else the machine did at that moment is in it. --repeats 3 has medians.")


def _load_words(comparison: Comparison) -> str:
    load = [each for each in (comparison.machine.load_before, comparison.machine.load_after) if each is not None]
    if not load:
        return ""
    return f"Load of the machine, all programs: {' before, '.join(f'{each:.1f}' for each in load)} after."


_AGREEMENT = (
    "Masks in the same pixels. The last two are mean absolute differences: of the cloudy fraction of a patch at a date,"
    " and of the probability of a pixel."
)


@styled
def save_picture(figure: Figure, path: Path) -> None:
    """Write the picture as PNG."""
    figure.savefig(path, format="png", dpi=PICTURE_DPI, facecolor="white", metadata={"Software": None})

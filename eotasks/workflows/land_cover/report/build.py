"""The land-cover report: what is real and what is simulated, then a part for each chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.workflows.land_cover.report import area, importance, observations, prediction, runs, validation
from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import ChainResult
from eotasks.workflows.land_cover.sources.base import Origin
from eotasks.workflows.report.page import CellValue, KeyFigure, Report, Section

_ORIGINS: dict[Origin, str] = {
    "real": "real",
    "simulated": "simulated",
    "reconstructed": "reconstructed",
    "derived": "computed",
}

_CHAPTERS: tuple[tuple[str, Callable[[Chapter], None], bool], ...] = (
    ("Area and reference", area.add, False),
    ("Observations", observations.add, False),
    ("Validation", validation.add, True),
    ("What the model looks at", importance.add, False),
    ("Predicted map", prediction.add, True),
    ("Run", runs.add, False),
)

_SIMULATED_NOTICE = (
    "The numbers of this part are simulated: they show that the chain works, and say nothing about accuracy in the "
    "field."
)


def build_report(
    results: Sequence[ChainResult],
    *,
    title: str = "Land cover from Sentinel-2",
    subtitle: str = "",
    notices: Sequence[str] = (),
) -> Report:
    """Make the report of one or more chains.

    :param results: Chains in the order in which they are shown; everything optional in them may be missing.
    :param notices: What the reader must know first; it stands at the top of the page.
    :return: The report, to be saved with :meth:`eotasks.workflows.report.page.Report.save`.
    """
    report = Report(title, subtitle=subtitle, notices=notices)
    if results:
        _add_overview(report, results)
    for result in results:
        _add_chain(report.section(result.name), result)
    return report


def _add_overview(report: Report, results: Sequence[ChainResult]) -> None:
    section = report.section("At a glance")
    section.key_figures([figure for result in results for figure in _scores(result, alone=len(results) == 1)])
    rows: list[list[CellValue]] = [
        [entry.what, _ORIGINS[entry.origin], entry.source, result.name]
        for result in results
        for entry in result.provenance
    ]
    section.text(better_than_simulated(results))
    if rows:
        simulated = any(result.simulated for result in results)
        caption = "What is real and what is simulated." if simulated else "Where the data come from."
        section.table(["Input", "Origin", "Source", "Part"], rows, caption)


def better_than_simulated(results: Sequence[ChainResult]) -> str:
    """Why a real date may score higher than the simulated year beside it; empty where none does."""
    simulated = [result for result in results if result.simulated and result.validation is not None]
    real = [result for result in results if not result.simulated and result.validation is not None]
    if not simulated or not real or max(map(_accuracy, real)) <= max(map(_accuracy, simulated)):
        return ""
    best = max(real, key=_accuracy)
    bands = [name for name in (best.importance.names if best.importance is not None else ()) if name in L1C_BANDS]
    with_bands = "all 13 bands" if len(bands) == len(L1C_BANDS) else f"{len(bands)} bands" if bands else "bands"
    date = "single date" if len(best.frames) == 1 else "dates"
    return (
        f"The {date} of “{best.name}” scores higher than “{simulated[0].name}”: it has {with_bands} with the real"
        " texture of the ground, and the simulated year, which is made of that ground, says nothing about the field."
    )


def _accuracy(result: ChainResult) -> float:
    return math.nan if result.validation is None else result.validation.overall_accuracy


def _scores(result: ChainResult, *, alone: bool) -> list[KeyFigure]:
    scores = result.validation
    if scores is None:
        return []
    prefix = "" if alone else f"{result.name}: "
    note = f"{'simulated; ' if result.simulated else ''}majority class "
    accuracy, f1 = f"{scores.overall_accuracy:.3f}", f"{scores.macro_f1:.3f}"
    return [
        KeyFigure(
            f"{prefix}overall accuracy" if prefix else "Overall accuracy",
            accuracy,
            f"{note}{scores.baseline_accuracy:.3f}",
        ),
        KeyFigure(f"{prefix}macro F1" if prefix else "Macro F1", f1, f"{note}{scores.baseline_macro_f1:.3f}"),
    ]


def _add_chain(section: Section, result: ChainResult) -> None:
    if result.simulated:
        section.notice(_SIMULATED_NOTICE)
    if result.source_note:
        section.text(result.source_note)
    facts = _facts(result)
    if facts:
        section.table(["", ""], facts)
    absent: dict[str, str] = {}
    for title, add, accuracy in _CHAPTERS:
        chapter = Chapter(Section(title), result, accuracy)
        add(chapter)
        if chapter.section.empty:
            absent |= chapter.absent
        else:
            chapter.close()
            section.items.append(chapter.section)
    section.absent(absent)


def _facts(result: ChainResult) -> list[tuple[str, str]]:
    facts: dict[str, str] = {}
    if result.crs:
        facts["Coordinate system"] = result.crs
    if result.resolution:
        facts["Pixel size"] = f"{result.resolution:g} m"
    if result.patches:
        facts["Patches"] = f"{len(result.patches):,}"
    if result.frames:
        times = [frame.time for frame in result.frames]
        dates = f"{min(times):%Y-%m-%d}" if len(times) == 1 else f"{min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}"
        facts["Acquisitions"] = f"{len(times):,} ({dates})"
    return list((facts | dict(result.facts)).items())

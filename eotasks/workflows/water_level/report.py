"""The report of levels: one page."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure

from eotasks.water.columns import COLUMNS, TIME
from eotasks.workflows.report.page import Cell, KeyFigure, Report, Section
from eotasks.workflows.report.style import styled
from eotasks.workflows.water_level.pictures import overview_figure
from eotasks.workflows.water_level.run import Outcome
from eotasks.workflows.water_level.tables import LakeSummary, errors_by_state, summaries

SIMULATED = "Simulated pixels: these levels say nothing about accuracy in the field."
PICTURE_DPI = 132
IN_OVERVIEW = 24

METHOD = """\
The level is the area of the water that is connected with the nominal outline, over the area of that outline: 1 is a \
lake as its outline has it, above 1 it has flooded land. Water is what exceeds a threshold of NDWI = (B03 - B08) / \
(B03 + B08), which Otsu's method finds among the pixels near edges (Canny); where that would take much land for water, \
0 is taken. It is the method of the Water Observatory (BlueDot), with additions: a date is left out when more than a \
small share of the lake itself is under cloud or its shadow, when there is ice or snow on it, and when, unlike other \
dates, it shows dark land beyond a lake that is not full. So no lake that was not seen is taken for an empty one.
"""

METHOD_OF_EXAMPLE = """\
The level is the number of pixels of water inside of the outline over the number of pixels of the outline; it cannot \
exceed 1. Water is what exceeds Otsu's threshold of the NDWI = (B03 - B08) / (B03 + B08) of the whole frame. It is the \
method of eo-learn's example of water monitoring, but that dates on which the lake is under cloud or ice are left out.
"""


def build_report(outcome: Outcome, pictures: Iterable[tuple[LakeSummary, Figure | None, Figure | None]]) -> Report:
    """The page.

    :param pictures: Of lakes, in the order of the page: the series and the outlines, each None where there is none.
        They are let go one after the other.
    """
    found = summaries(outcome)
    source = outcome.source
    report = Report(
        "Water levels",
        subtitle=f"{len(found)} bodies of water, from {source.title}: {_period(outcome)}.",
        notices=[SIMULATED] if source.is_simulated else [],
    )
    _add_overview(report.section("At a glance"), outcome, found)
    lakes = report.section("Lake by lake")
    for summary, series, outlines in pictures:
        _add_lake(lakes.section(summary.name or summary.id), outcome, summary, series, outlines)
    _add_truth(report.section("Against the truth"), outcome)
    _add_missing(report.section("What could not be measured"), outcome, found)
    report.sections = [each for each in report.sections if not each.empty]
    _add_method(report.section("How it was done"), outcome)
    return report


def _period(outcome: Outcome) -> str:
    times = outcome.levels[TIME].dropna()
    if times.empty:
        return "no date"
    return f"{times.nunique()} dates from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"


def _caption(outcome: Outcome, text: str) -> str:
    return f"{text} {SIMULATED}" if outcome.source.is_simulated else text


def _add_overview(section: Section, outcome: Outcome, found: list[LakeSummary]) -> None:
    levels = sum(each.levels for each in found)
    dates = sum(each.dates for each in found)
    share = f"{levels / dates:.0%} of {dates} lakes and dates" if dates else ""
    section.key_figures([KeyFigure("Bodies of water", f"{len(found)}"), KeyFigure("Levels", f"{levels}", share)])
    section.table(
        ("id", "name", "dates", "levels", "lowest", "highest", "last", "of", "without a level"),
        [_row(each) for each in found],
        _caption(outcome, "Levels of each body of water; 1 is its nominal outline."),
    )
    drawn = [each.id for each in found if each.dates > 1][:IN_OVERVIEW]
    if len(drawn) > 1:
        _picture(
            section,
            overview_figure(outcome.levels, drawn),
            _caption(outcome, "Levels over time. Marks below 0 are dates without a level."),
            f"Small line charts of the levels of {len(drawn)} bodies of water.",
            svg=True,
        )


def _row(each: LakeSummary) -> list[Cell]:
    missing = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in each.statuses.items() if key != "valid")
    numbers = [Cell("–" if value is None else f"{value:.2f}", number=True) for value in _levels(each)]
    return [
        Cell(each.id),
        Cell(each.name),
        Cell(f"{each.dates}", number=True),
        Cell(f"{each.levels}", number=True),
        *numbers,
        Cell(each.last_date or "–"),
        Cell(missing),
    ]


def _levels(each: LakeSummary) -> tuple[float | None, float | None, float | None]:
    return each.lowest, each.highest, each.last


def _add_lake(
    section: Section, outcome: Outcome, summary: LakeSummary, series: Figure | None, outlines: Figure | None
) -> None:
    title = summary.name or summary.id
    if series is not None:
        text = f"Level of {title} over time. Marks below 0 are dates without a level."
        _picture(section, series, _caption(outcome, text), f"Line chart of the level of {title}.", svg=True)
    if outlines is not None:
        text = f"{title} at its highest and its lowest level: nominal outline red, measured water blue."
        _picture(section, outlines, _caption(outcome, text), f"True colour of {title} with both outlines.", svg=False)
    if series is None and outlines is None:
        found = outcome.levels[outcome.levels["id"] == summary.id].iloc[0]
        section.text(f"No level: {found['reason']}." if found["reason"] else f"Level {found['level']:.2f}.")


@styled  # ticks are made when a figure is drawn, with the settings of that moment
def _picture(section: Section, figure: Figure, caption: str, alt: str, *, svg: bool) -> None:
    section.figure(figure, caption, alt=alt, image_format="svg" if svg else "png", dpi=PICTURE_DPI)


def _add_truth(section: Section, outcome: Outcome) -> None:
    rows = errors_by_state(outcome)
    if rows:
        section.table(
            ("state of the lake", "dates", "levels", "median error", "greatest error"),
            [
                [Cell(state), *(Cell(f"{count}", number=True) for count in (dates, levels)), *map(_share, errors)]
                for state, dates, levels, *errors in rows
            ],
            _caption(outcome, "Errors of levels, |measured - true|, in shares of the nominal area."),
        )


def _share(value: float | None) -> Cell:
    return Cell("–" if value is None else f"{value:.1%}", number=True)


def _add_missing(section: Section, outcome: Outcome, found: list[LakeSummary]) -> None:
    without = {each.id for each in found if not each.levels}
    rows = outcome.levels[outcome.levels["id"].isin(without)].drop_duplicates(["id", "status"])
    if len(rows):
        section.table(
            ("id", "status", "reason"),
            [(str(row["id"]), str(row["status"]).replace("_", " "), str(row["reason"])) for _, row in rows.iterrows()],
            "Bodies of water without any level: their statuses, and a reason of each.",
        )


def _add_method(section: Section, outcome: Outcome) -> None:
    settings = outcome.options.settings
    section.text(METHOD if settings.method == "bluedot" else METHOD_OF_EXAMPLE)
    limits = {
        "method": settings.method,
        "least share of data": f"{settings.min_valid_fraction:g}",
        "most cloud in the frame": f"{settings.max_cloud_fraction:g}",
        "most cloud over the water": _limit(settings.max_water_cloud_fraction),
        "most ice over the water": _limit(settings.max_frozen_fraction),
        "most water beyond the outline, against other dates": _limit(settings.max_beyond_fraction),
        "least NDWI of water": _limit(settings.min_threshold),
        "cloud shadow": "counts as cloud over the water" if outcome.options.shadows else "not looked for",
        "elevation": "none" if outcome.options.elevation is None else outcome.options.elevation.name,
    }
    section.table(("setting", "value"), list(limits.items()), "Settings.")
    section.table(("column", "what it holds"), list(COLUMNS.items()), "Columns of levels.csv.", folded=True)
    if outcome.source.attribution:
        section.text(outcome.source.attribution)


def _limit(value: float | None) -> str:
    return "not looked at" if value is None else f"{value:g}"

"""What came out, in numbers: a line for each lake, the errors where the truth is known, and files of rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version

import pandas as pd

from eotasks.water.columns import COLUMNS, TIME, with_bluedot_names
from eotasks.workflows.report.cells import with_plain_cells
from eotasks.workflows.water_level.run import TRUE_LEVEL, TRUE_STATE, Outcome

SUMMARY_VERSION = 1
_DIGITS = 6
_WHOLE_METRES = 1e5
"""From which on six digits are less than a tenth."""


@dataclass(frozen=True)
class LakeSummary:
    """One lake."""

    id: str
    name: str
    dates: int
    levels: int
    """Dates with one."""

    lowest: float | None
    highest: float | None
    last: float | None
    last_date: str | None
    statuses: dict[str, int]
    """Status -> number of dates (or 1 for a lake without any)."""

    median_error: float | None
    """Median of |level - true level|; None where the truth is not known."""

    greatest_error: float | None


def summaries(outcome: Outcome) -> list[LakeSummary]:
    """One of each lake, in the order of the outlines."""
    return [_summary(str(name), rows) for name, rows in outcome.levels.groupby("id", sort=False)]


def _summary(name: str, rows: pd.DataFrame) -> LakeSummary:
    valid = rows[rows["status"] == "valid"]
    errors = (valid["level"] - valid[TRUE_LEVEL]).abs().dropna() if TRUE_LEVEL in rows else pd.Series(dtype=float)
    last = None if valid.empty else valid.iloc[-1]
    return LakeSummary(
        id=name,
        name=str(rows["name"].iloc[0]),
        dates=int(rows[TIME].notna().sum()),
        levels=len(valid),
        lowest=None if last is None else round(float(valid["level"].min()), _DIGITS),
        highest=None if last is None else round(float(valid["level"].max()), _DIGITS),
        last=None if last is None else round(float(last["level"]), _DIGITS),
        last_date=None if last is None else f"{last[TIME]:%Y-%m-%d}",
        statuses={str(key): int(count) for key, count in rows["status"].value_counts().sort_index().items()},
        median_error=None if errors.empty else round(float(errors.median()), _DIGITS),
        greatest_error=None if errors.empty else round(float(errors.max()), _DIGITS),
    )


def levels_csv(outcome: Outcome, *, bluedot_names: bool = False) -> str:
    """The table of levels without the extents; with the original's names on request, extents as WKT among them."""
    if bluedot_names:
        table = with_bluedot_names(outcome.levels)
    else:
        extra = [name for name in (TRUE_LEVEL, TRUE_STATE) if name in outcome.levels]
        table = pd.DataFrame(outcome.levels[[*(name for name in COLUMNS if name != "geometry"), *extra]])
        table = table.assign(**{name: table[name].map(_area) for name in ("area", "nominal_area")})
    plain = with_plain_cells(table)
    return str(plain.to_csv(index=False, float_format="%.6g", date_format="%Y-%m-%dT%H:%M:%S"))


def _area(value: float) -> str:
    """To a tenth of a square metre; areas in square degrees keep the digits that say something."""
    if pd.isna(value):
        return ""
    return f"{value:.1f}" if value >= _WHOLE_METRES else f"{value:.6g}"


def summary_json(outcome: Outcome) -> str:
    """Everything that was found, but the rows."""
    settings = asdict(outcome.options.settings) | {"shadows": outcome.options.shadows}
    if outcome.options.elevation is not None:
        settings["elevation"] = outcome.options.elevation.name
    content = {
        "version": SUMMARY_VERSION,
        "software": f"eotasks {version('eotasks')}",
        "source": outcome.source.title,
        "simulated": outcome.source.is_simulated,
        "attribution": outcome.source.attribution,
        "settings": settings,
        "lakes": [asdict(each) for each in summaries(outcome)],
        "failures": [{"job": job, "error": error} for job, error in outcome.failures],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def errors_by_state(outcome: Outcome) -> list[tuple[str, int, int, float | None, float | None]]:
    """Against the truth: state of the lake -> dates, levels, median and greatest error; empty where it is not known."""
    if not outcome.has_truth:
        return []
    rows = []
    for state, found in outcome.levels.groupby(TRUE_STATE, sort=True):
        valid = found[found["status"] == "valid"]
        errors = (valid["level"] - valid[TRUE_LEVEL]).abs()
        median, most = (float(errors.median()), float(errors.max())) if len(errors) else (None, None)
        rows.append((str(state).replace("_", " "), len(found), len(valid), median, most))
    return rows

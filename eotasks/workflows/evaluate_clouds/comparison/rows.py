"""Detectors beside each other: accuracy with its intervals, how far they agree, and what they cost.

A number is the median over frames, as in the other tables; its interval holds 95 % of the medians of a bootstrap
(``eotasks.models.clouds.evaluation.intervals``). Where ten scenes at least have the class, scenes are drawn, each with
all its frames; of fewer there are too few ways to draw, so frames are, which takes those of a place for independent of
each other. A row says which.
Agreement needs no labels: it is taken of all pixels that have data, labelled or not. A time is that of the detector
alone on this machine, without reading; what several detectors share is counted for each.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eotasks.models.clouds.evaluation import (
    BinaryCounts,
    ClassAgreement,
    Interval,
    Target,
    class_agreement,
    median_interval,
    spread,
)
from eotasks.workflows.evaluate_clouds.contestants import Contestant
from eotasks.workflows.evaluate_clouds.run import Outcome

SCENES_TO_DRAW = 10
"""Scenes with the class from which on these are drawn, and not frames."""

Unit = Literal["scenes", "frames"]

COMPARED: tuple[Target, ...] = ("cloud", "shadow")

NUMBERS: Mapping[str, str] = {
    "BOA": "balanced_overall_accuracy",
    "PA": "producers_accuracy",
    "UA": "users_accuracy",
    "F1": "f1",
}
"""Short name -> name in the counts."""


@dataclass(frozen=True)
class Estimate:
    """A median over frames, and where it lies."""

    median: float
    interval: Interval

    def __str__(self) -> str:
        """As 0.912 (0.888–0.931); a dash where it is not defined."""
        if math.isnan(self.median):
            return "–"
        if not self.interval.known:
            return f"{self.median:.3f}"
        return f"{self.median:.3f} ({self.interval.low:.3f}–{self.interval.high:.3f})"


@dataclass(frozen=True)
class Row:
    """One detector and one class."""

    detector: str
    target: Target
    frames: int
    """Frames whose reference has the class."""

    drawn: Unit | None
    """What the bootstrap draws of them; None where there are none."""

    estimates: Mapping[str, Estimate]
    """By the short names of ``NUMBERS``."""

    agreement: Mapping[str, ClassAgreement]
    """Other detector that is judged by the class too -> how far both agree on it."""

    seconds: float
    """For a megapixel of one frame, the median over scenes."""


def rows_of(outcome: Outcome, detectors: Sequence[Contestant] | None = None) -> list[Row]:
    """The rows of the comparison: detectors that could work on any scene, by cloud and by shadow as they are judged.

    Classes that no frame has are there for their agreement.

    :param detectors: Some of the outcome's; None for all.
    """
    chosen = [each for each in (detectors or outcome.contestants) if outcome.of(each.name)]
    return [_row(outcome, each, target, chosen) for each in chosen for target in COMPARED if target in each.targets]


def _row(outcome: Outcome, detector: Contestant, target: Target, chosen: Sequence[Contestant]) -> Row:
    having = [
        (result, counts)
        for result in outcome.results
        if result.detector == detector.name and (counts := result.confusion.against_rest(target)).positives
    ]
    unit = _unit([result.scene for result, _ in having])
    groups = [result.scene if unit == "scenes" else (result.scene, result.frame) for result, _ in having]
    return Row(
        detector.name,
        target,
        len(having),
        unit,
        {short: _estimate([counts for _, counts in having], groups, name) for short, name in NUMBERS.items()},
        {
            other.name: class_agreement(pair, target)
            for other in chosen
            if other is not detector
            and target in other.targets
            and (pair := outcome.agreements.get(frozenset((detector.name, other.name)))) is not None
        },
        seconds_per_megapixel(outcome, detector.name),
    )


def _unit(scenes: Sequence[str]) -> Unit | None:
    if not scenes:
        return None
    return "scenes" if len(set(scenes)) >= SCENES_TO_DRAW else "frames"


def units_text(rows: Sequence[Row]) -> str:
    """What the bootstrap draws, in words."""
    units = {row.drawn for row in rows if row.drawn}
    if units == {"scenes"}:
        return "scenes"
    fewer = f"fewer than {SCENES_TO_DRAW} scenes have the class"
    return f"scenes, or over frames where {fewer}" if "scenes" in units else f"frames ({fewer})"


def seconds_per_megapixel(outcome: Outcome, detector: str) -> float:
    """The median over scenes; NaN where there is none."""
    rates = [each.seconds / each.pixels * 1e6 for each in outcome.runtimes if each.detector == detector]
    return float(np.median(rates)) if rates else math.nan


def _estimate(counts: Sequence[BinaryCounts], groups: Sequence[object], name: str) -> Estimate:
    values = [float(getattr(each, name)) for each in counts]
    return Estimate(spread(values).median, median_interval(values, groups))


def header_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Titles of the columns."""
    others = [f"κ with {name}" for name in _names(rows)] if len(_names(rows)) > 1 else []
    return ("detector", "class", "frames", "drawn", *NUMBERS, "s / Mpx", *others)


def cells_of(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The cells under ``header_of``."""
    names = _names(rows)
    return [
        (
            row.detector,
            row.target,
            str(row.frames),
            row.drawn or "–",
            *(str(row.estimates[short]) for short in NUMBERS),
            seconds_text(row.seconds),
            *(kappa_text(row, name) for name in (names if len(names) > 1 else ())),
        )
        for row in rows
    ]


def seconds_text(seconds: float) -> str:
    """With two significant digits, as times of one kind of work differ by factors."""
    return "–" if math.isnan(seconds) else f"{seconds:.{max(1 - math.floor(math.log10(max(seconds, 1e-4))), 0)}f}"


def note(rows: Sequence[Row]) -> str:
    """What the numbers are, in words."""
    return (
        f"Medians over frames with 95 % intervals of a bootstrap over {units_text(rows)}. κ is"
        " Cohen's kappa of two masks over all pixels with data, labelled or not: 1 for the same masks, 0 for chance."
        " s / Mpx is the time of the detector alone for a megapixel of one frame on this machine, the median over"
        " scenes."
    )


def comparison_csv(outcome: Outcome) -> str:
    """Every number of the comparison as CSV; undefined ones are empty."""
    rows = rows_of(outcome)
    names = _names(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    limits = [f"{short}{end}" for short in NUMBERS for end in ("", "_low", "_high")]
    pairs = [f"{kind}_with_{name}" for name in names for kind in ("kappa", "same")]
    writer.writerow(["detector", "class", "frames", "drawn", *limits, "seconds_per_megapixel", *pairs])
    for row in rows:
        numbers = [
            value for each in row.estimates.values() for value in (each.median, each.interval.low, each.interval.high)
        ]
        agreed = [
            value
            for name in names
            for value in (
                (row.agreement[name].kappa, row.agreement[name].share) if name in row.agreement else (math.nan,) * 2
            )
        ]
        values = ["" if math.isnan(value) else value for value in (*numbers, row.seconds, *agreed)]
        writer.writerow([row.detector, row.target, row.frames, row.drawn or "", *values])
    return text.getvalue()


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.detector for row in rows))


def kappa_text(row: Row, name: str) -> str:
    """How far a row's detector agrees with another one; a dash where that is not defined."""
    if name not in row.agreement or math.isnan(row.agreement[name].kappa):
        return "–"
    return f"{row.agreement[name].kappa:.2f}"

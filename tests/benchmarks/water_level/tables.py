"""Readings as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.benchmarks.water_level.readings import CLEAR, KINDS, Reading


def table(found: Sequence[Reading]) -> str:
    """A Markdown table for each method: a row for each kind of date, and one of clear dates together."""
    lines = []
    for method in dict.fromkeys(reading.method for reading in found):
        lines += [
            f"\n{method}\n",
            "| date in truth | dates | refused | measured | median error | 90 % within | worst | beyond 5 % |",
            "| --- |" + " --- |" * 7,
        ]
        of_method = [reading for reading in found if reading.method == method]
        lines += [_row(kind, [each for each in of_method if each.kind == kind]) for kind in KINDS]
        lines.append(_row("clear (open, turbid)", [each for each in of_method if each.kind in CLEAR]))
    return "\n".join(lines)


def _row(kind: str, found: Sequence[Reading]) -> str:
    errors = np.abs([reading.error for reading in found if not math.isnan(reading.level)])
    cells: list[object] = [kind, len(found), len(found) - errors.size, errors.size]
    if errors.size:
        cells += [f"{value:.2f} %" for value in (*np.quantile(errors, [0.5, 0.9]), errors.max())]
        cells.append(int(np.count_nonzero(errors > 5)))
    else:
        cells += ["-"] * 4
    return f"| {' | '.join(map(str, cells))} |"


def statuses(found: Sequence[Reading], method: str) -> str:
    """A Markdown table of the statuses of each kind of date, by one method."""
    names = sorted({reading.status for reading in found})
    lines = [f"| {method}: date in truth | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for kind in KINDS:
        of_kind = [reading.status for reading in found if reading.kind == kind and reading.method == method]
        lines.append(f"| {kind} | {' | '.join(str(of_kind.count(name)) for name in names)} |")
    return "\n".join(lines)


def worst(found: Sequence[Reading], method: str, count: int) -> str:
    """The readings farthest off, a line each."""
    measured = [reading for reading in found if reading.method == method and not math.isnan(reading.level)]
    measured.sort(key=lambda reading: -abs(reading.error))
    return "\n".join(
        f"seed {each.seed}, {each.lake}, {each.time:%Y-%m-%d}, {each.kind}: level {each.level:.3f},"
        f" in truth {each.truth:.3f}, off {each.error:+.1f} %"
        for each in measured[:count]
    )

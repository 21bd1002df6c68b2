"""The benchmark of the shadow methods runs, and has a row for every method. No time is judged."""

from __future__ import annotations

import argparse
import math

import pytest

from tests.benchmarks.shadows import METHODS, Counts, main, run


@pytest.mark.parametrize("clouds", ["truth", "model"])
@pytest.mark.parametrize("realistic", [False, True], ids=["plain", "realistic"])
def test_every_method_has_finite_numbers(clouds: str, realistic: bool) -> None:
    kind = {"realistic": realistic, "with_snow": realistic}
    scores = run(argparse.Namespace(seeds=[31], resolution=80.0, acquisitions=2, clouds=clouds, **kind))
    assert set(scores) == set(METHODS)
    for score in scores.values():
        assert score.frames == 2
        assert score.everywhere.hits + score.everywhere.missed > 0
        assert score.in_reach.hits + score.in_reach.missed <= score.everywhere.hits + score.everywhere.missed


def test_the_table_has_a_row_for_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "31", "--acquisitions", "2", "--resolution", "80"])
    lines = capsys.readouterr().out.splitlines()
    for method in METHODS:
        (row,) = [line for line in lines if line.startswith(f"| {method} |")]
        numbers = [float(cell.strip("* ")) for cell in row.split("|")[2:-1]]
        assert len(numbers) == 7
        assert all(map(math.isfinite, numbers))
        assert all(0 <= number <= 1 for number in numbers[:-1])


def test_counts_are_precision_recall_and_their_mean() -> None:
    assert Counts(hits=3, false=1, missed=3).cells() == "0.750 | 0.500 | **0.600**"

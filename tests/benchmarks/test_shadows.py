"""The benchmark of the shadow methods runs, and has a row for every method. No time is judged."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest

from tests.benchmarks.shadows import METHODS, Counts, clouds_of, dates, main, run, specks


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


def test_the_ungrown_mask_hides_what_is_searched_with_and_no_more() -> None:
    (date,) = dates([31], 80.0, 1, "model", realistic=True, snow=False)
    grown, outlines = clouds_of(date.seen, "model")
    hidden, searched = clouds_of(date.seen, "model-ungrown")
    np.testing.assert_array_equal(searched, outlines)
    np.testing.assert_array_equal(hidden, outlines)
    assert 0 < np.count_nonzero(hidden == 1) < np.count_nonzero(grown == 1)


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


@pytest.mark.trial
def test_clear_frames_have_next_to_no_shadow(capsys: pytest.CaptureFixture[str]) -> None:
    """Held-out seed; specks of false cloud over 0.1 to 2 % of cloudless ground, the sun at four azimuths."""
    main(["--clear", "--seeds", "31", "--acquisitions", "2", "--resolution", "40", "--azimuths", "4"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| geometric")]
    assert len(rows) == 1
    for row in rows:
        mean, most = (float(cell.strip("* %")) for cell in row[3:5])
        assert mean <= 0.3
        assert most <= 1.5


def test_specks_cover_about_their_share() -> None:
    for share in (0.001, 0.02):
        for radius in (0, 2, 6):
            assert specks((300, 400), share, radius, 1).mean() == pytest.approx(share, rel=0.3)

"""The benchmark runs, has a row for every step, and sees what differs. No time is judged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.benchmarks.land_cover.__main__ import Result, affordable_steps, main, report, run_benchmark
from tests.benchmarks.land_cover.layout import SIDES, STEPS, Measured, Prepared, Setup
from tests.benchmarks.land_cover.verdicts import judge

pytestmark = pytest.mark.trial


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    setup = Setup(tmp_path_factory.mktemp("benchmark"), patch_size=48, dates=6, resolution=40, rounds=2, calls=1)
    return run_benchmark(setup, repeats=1)


def test_every_step_has_a_row_on_both_sides(result: Result) -> None:
    rows = [line.split("|") for line in report(result).splitlines() if line.startswith("|")]
    steps = [row for row in rows if row[1].strip() in STEPS and len(row) == 12]
    assert [row[1].strip() for row in steps] == list(STEPS)
    for row in steps:
        assert all(float(cell) > 0 for cell in row[2:5])
        assert all(float(cell) >= 0 for cell in row[6:9])
    for side in SIDES:
        assert all(
            math.isfinite(run.seconds) and run.peak_mb > 0 for runs in result.runs[side].values() for run in runs
        )


def test_results_are_equal_or_differ_for_a_reason_that_was_checked(result: Result) -> None:
    assert {step: verdict.text for step, verdict in result.verdicts.items() if not verdict.explained} == {}
    assert result.verdicts["erode"].text.startswith("differs: eo-learn's radius 1 erodes nothing")
    assert "float64" in result.verdicts["resample in time"].text
    equal = {step for step, verdict in result.verdicts.items() if verdict.text.startswith("equal")}
    assert set(STEPS) - equal == {"erode", "cloud probability 160 m"}


@pytest.mark.parametrize("step", [step for step in STEPS if step != "cloud probability 160 m"])
def test_a_difference_without_a_reason_is_seen(result: Result, step: str, tmp_path: Path) -> None:
    spoilt = Setup(tmp_path)
    for side in SIDES:
        with np.load(result.setup.outcome(side, step, 0)) as file:
            arrays = dict(file)
        if side == "eo-learn":
            arrays = {name: _spoil(values) for name, values in arrays.items()}
        np.savez(spoilt.outcome(side, step, 0), **arrays)
    assert not judge(spoilt, step).explained
    assert judge(spoilt, step).text.startswith("NOT EQUAL")


def _spoil(values: NDArray[Any]) -> NDArray[Any]:
    """The values, each of them another one."""
    if values.dtype.kind == "b":
        return ~values
    return values[::-1] if values.dtype.kind in "UM" else values + values.dtype.type(1)


@pytest.mark.parametrize(("left", "missing"), [(None, []), (100, []), (75, ["train"]), (30, ["train"]), (5, None)])
def test_short_steps_are_repeated_before_long_ones(left: float | None, missing: list[str] | None) -> None:
    runs = {side: {step: [Measured(20 if step == "train" else 0.1, 1, 0, 0, None)] for step in STEPS} for side in SIDES}
    prepared = Prepared(frames=5, min_valid_fraction=0.8, samples=1, classes=1, versions={})
    result = Result(Setup(Path()), prepared, runs, {side: [1.0] for side in SIDES}, repeat_seconds=60)
    expected = [] if missing is None else [step for step in STEPS if step not in missing]
    assert affordable_steps(result, repeat=1, repeats=3, left=left) == expected


def test_a_number_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--repeats", "0"])
    assert "0 is less than 1" in capsys.readouterr().err

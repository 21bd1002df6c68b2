"""The benchmark of water levels runs, and its tables count every date once."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from tests.benchmarks.water_level import readings
from tests.benchmarks.water_level.__main__ import main
from tests.benchmarks.water_level.readings import KINDS, METHODS, Reading
from tests.benchmarks.water_level.tables import table


def reading(kind: str, truth: float, level: float, status: str = "valid") -> Reading:
    time = dt.datetime(2017, 5, 1)  # noqa: DTZ001 - naive UTC, as in an EOPatch
    return Reading("ours", 1, "lake 1", time, kind, truth, status, level)


def test_errors_are_percent_of_the_full_lake_and_refused_dates_have_none() -> None:
    found = [
        reading("open", 0.50, 0.51),
        reading("turbid", 0.50, 0.44),
        reading("frozen", 0.50, math.nan, "frozen"),
    ]
    lines = table(found).splitlines()
    assert "| open | 1 | 0 | 1 | 1.00 % | 1.00 % | 1.00 % | 0 |" in lines
    assert "| clear (open, turbid) | 2 | 0 | 2 | 3.50 % | 5.50 % | 6.00 % | 1 |" in lines
    assert "| frozen | 1 | 1 | 0 | - | - | - | - |" in lines


@pytest.mark.trial
def test_it_says_that_it_is_simulated_and_leaves_no_date_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SURROUNDINGS", 200.0)
    main(["--seeds", "31", "--lakes", "1", "--acquisitions", "4", "--resolution", "80"])
    printed = capsys.readouterr().out
    assert printed.startswith("Simulated years (plain)")
    for method in METHODS:
        lines = printed.split(f"\n{method}\n")[1].strip().splitlines()[2:]
        dates = [int(line.split("|")[2]) for line in lines[: len(KINDS)]]
        assert sum(dates) == 4

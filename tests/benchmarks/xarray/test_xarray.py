"""The benchmark of lazy masks runs, and both sides agree. No time is judged."""

from __future__ import annotations

import pytest

from tests.benchmarks.xarray.__main__ import main
from tests.benchmarks.xarray.worker import LAYOUTS, Row, measure, stack


@pytest.mark.trial
def test_both_sides_agree_in_every_layout() -> None:
    values = stack(2, 130)
    for layout in LAYOUTS:
        row = measure(values, layout, 64, 1, 1)
        assert row.different == 0
        assert len(row.eager) == len(row.lazy) == 1


@pytest.mark.trial
def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--frames", "1", "--side", "128", "--chunk", "64", "--repeats", "1"])
    printed = capsys.readouterr().out
    assert all(f"| {layout} |" in printed for layout in LAYOUTS)
    assert "memory, lazy" in printed


def test_the_ratio_is_of_neighbouring_calls() -> None:
    assert Row("x", [1.0, 2.0, 4.0], [1.0, 3.0, 5.0], 0).ratio == 1.25

"""The benchmark of sizes runs, and refuses what is more than one request gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.service.size import main


@pytest.mark.trial
def test_it_prints_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--repeats", "1", "--sides", "32", "2500", "--dates", "1", "4", "--clients", "2"]
    assert main([*options, "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for row in ("| 32 | 1 | 1 | 200 |", "| 128 | 4 | 1 | 200 |", "| 256 | 1 | 2 | 200 |", "| 2500 | 4 | 1 | 413 |"):
        assert row in printed
    assert "at most; bound" in printed

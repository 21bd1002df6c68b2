"""The benchmark of catalogues runs. No time is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import catalogue as benchmark


def test_the_benchmark_finds_the_same_as_its_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small one: it compares what both find before it prints a time."""
    benchmark.report(tmp_path / "c.parquet", 300, 3)
    assert "eotasks, parts" in capsys.readouterr().out

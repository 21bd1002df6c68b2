"""The benchmark of pixels runs, and has all its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.service.pixels import main


@pytest.mark.trial
def test_it_prints_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--pixels", "516", "--repeats", "1", "--clients", "2", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    for row in (
        "rasterio, six bands",
        "ours, kept / rasterio",
        "ours, decoded anew / rasterio",
        "2 clients, kept",
        "asked again",
    ):
        assert row in printed

"""The simulation of large archives runs, and loses nothing. No time or memory is judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.archive import scale as benchmark


@pytest.mark.trial
def test_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, where a builder that is killed ends by an exception."""

    def end(_: int) -> None:
        raise SystemExit

    monkeypatch.setattr(os, "_exit", end)
    for module, name in ((benchmark.build, "run_batch"), (benchmark.cataloguing, "row_of")):
        monkeypatch.setattr(module, name, getattr(module, name))  # the benchmark puts its own there
    folder = tmp_path / "200"
    folder.mkdir()
    for phase in benchmark.PHASES:
        if phase == "killed":
            with pytest.raises(SystemExit):
                benchmark.measured(phase, folder, 200)
            assert (folder / "killed.json").exists()
        else:
            assert benchmark.measured(phase, folder, 200)["what"]

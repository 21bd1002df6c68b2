"""The notebooks run as they stand."""

from __future__ import annotations

from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from tests import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
SHORT = ("01-first-steps", "02-coming-from-s2cloudless")
"""Notebooks of a few seconds; the others take a twelfth of the time of all tests."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=() if path.stem in SHORT else pytest.mark.trial) for path in NOTEBOOKS],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
def test_runs_to_its_end_and_shows_a_picture(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_SCRIPT_S", "60")  # a loaded machine is no fault of a script
    notebook = jupytext.read(path)
    NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    told = [output["text"] for output in outputs if output.get("name") == "stderr"]
    said = ("IProgress not found", "Compiling array kernels")  # for want of ipywidgets; once on a machine
    assert [text for text in told if not any(each in text for each in said)] == []

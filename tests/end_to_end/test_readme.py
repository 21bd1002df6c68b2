"""The first workflow of the README runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


@pytest.mark.slow
def test_the_first_workflow_runs_and_warns_of_nothing(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # The first process of a machine says that it compiles, and whether another test came first is chance.
    assert [line for line in ended.stderr.splitlines() if not line.startswith("Compiling array kernels")] == []
    assert "CLM" in ended.stdout
    assert (tmp_path / "eopatches" / "west-of-berlin").is_dir()

"""The fork server loads a module by name, and passes over one that it cannot find."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = [
    pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no fork server"),
]

SCRIPT = """
import sys

from eolearn.core import EONode, EOWorkflow

from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import CallTask


def check_preloaded():
    if "eotasks.workflows.batch.workers.preload" not in sys.modules:
        raise LookupError("The fork server has not loaded it.")


if __name__ == "__main__":
    result = run_batch(EOWorkflow([EONode(CallTask(check_preloaded))]), {"p": {}}, workers=1)
    sys.exit("; ".join(str(outcome.error) for outcome in result.failed) or None)
"""


def test_workers_have_what_the_fork_server_loaded(tmp_path: Path) -> None:
    """In a process of its own: a process has one fork server, which another test may have started without it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr

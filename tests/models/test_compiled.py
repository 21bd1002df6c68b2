"""Kept code: used when it is there, made anew when it is damaged, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow

CODE = """
import logging
logging.basicConfig(format="%(message)s")
import numpy as np
from eotasks.models.forest import kernels
result = np.zeros((3, 1))
kernels.logistic(result, 1.0)
print(result[:, 0].tolist(), sum(kernels.logistic.stats.cache_hits.values()))
"""


def first_call(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


def test_code_is_kept_and_the_first_call_says_what_it_does(tmp_path: Path) -> None:
    cold, warm = first_call(tmp_path), first_call(tmp_path)
    assert cold.stdout == "[0.5, 0.5, 0.5] 0\n"
    assert "Compiling array kernels for this machine: once" in cold.stderr
    assert warm.stdout == "[0.5, 0.5, 0.5] 1\n"
    assert warm.stderr == ""


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_damaged_code_is_made_anew(tmp_path: Path, ending: str, share: float) -> None:
    first_call(tmp_path)
    for path in tmp_path.rglob(f"kernels.logistic*{ending}"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
    damaged, after = first_call(tmp_path), first_call(tmp_path)
    assert damaged.stdout == "[0.5, 0.5, 0.5] 0\n"
    assert "is made anew" in damaged.stderr
    assert after.stdout == "[0.5, 0.5, 0.5] 1\n"


def test_a_folder_that_takes_no_code(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)){CODE}"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "[0.5, 0.5, 0.5] 0\n"

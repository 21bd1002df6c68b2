from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eotasks.models.threads import thread_environment


@pytest.mark.parametrize("threads", [1, 3])
def test_engines_keep_to_the_number(threads: int) -> None:
    code = "import cv2, numba; print(cv2.getNumThreads(), numba.get_num_threads())"
    environment = dict(os.environ) | thread_environment(threads)
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.split() == [str(threads), str(threads)]


@pytest.mark.parametrize("threads", [1, 3])
def test_openjpeg_starts_no_threads(threads: int) -> None:
    """Files are decoded side by side by threads of ours."""
    assert thread_environment(threads)["OPJ_NUM_THREADS"] == "0"

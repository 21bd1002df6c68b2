"""What a service leaves behind that does not end."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.benchmarks.service.server import end

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
print(child.pid, flush=True)
time.sleep(300)
"""


def test_what_does_not_end_is_killed_with_its_children() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        child = psutil.Process(int(process.stdout.readline()))
        with pytest.raises(subprocess.TimeoutExpired):
            end(process, 0.1)
    assert process.returncode is not None
    _, alive = psutil.wait_procs([child], timeout=60)
    assert not alive

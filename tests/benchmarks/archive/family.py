"""What a command and all the processes that it starts take, looked at while they run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests import ROOT

_INTERVAL = 0.2
"""Seconds between two looks: of a process that ends, what it took since the last one is lost."""

_MEGABYTE = 1024.0**2


@dataclass(frozen=True)
class Run:
    """A command that has ended well."""

    seconds: float
    """Wall clock."""

    cpu_seconds: float
    peak_mb: float
    """Resident memory of the largest process."""

    output: str


class Family(threading.Thread):
    """Looks at a process and all below it, until it is stopped."""

    def __init__(self, process: int) -> None:
        super().__init__(name="family", daemon=True)
        self.cpu_seconds: dict[int, float] = {}
        """Of each process, as of the last look."""
        self.peak_mb = 0.0
        self._root = psutil.Process(process)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Looks again and again."""
        while not self._stopped.wait(_INTERVAL):
            with contextlib.suppress(psutil.Error):
                for process in [self._root, *self._root.children(recursive=True)]:
                    self._look(process)

    def stop(self) -> None:
        """No more."""
        self._stopped.set()
        self.join()

    def _look(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            self.cpu_seconds[process.pid] = times.user + times.system
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / _MEGABYTE)


def run(command: Sequence[str]) -> Run:
    """Runs a command of this checkout to its end.

    :raises RuntimeError: when it fails, with what it said.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        family = Family(process.pid)
        family.start()
        try:
            output, _ = process.communicate()
        finally:
            family.stop()
            process.kill()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {output[-2000:]}")
    seconds = time.perf_counter() - started
    return Run(seconds, sum(family.cpu_seconds.values()), family.peak_mb, output)

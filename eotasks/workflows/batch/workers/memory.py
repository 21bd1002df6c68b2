"""Memory of a run and of its steps: `MemoryMonitor.measure` names what is measured."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

import psutil

MEGABYTE = 1024.0**2

OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Where Linux counts the processes that it killed for lack of memory, the nearest first."""


class MemoryMonitor:
    """Peak memory of this process and all its descendants together, sampled while the block runs.

    On Linux it is the proportional set size (PSS): a page that several processes share counts once, divided among
    them, so the sum is what the run takes from the machine. Elsewhere, and for a process that may not be looked into,
    it is the resident set size (RSS), where shared pages count once per process. Pages in the file cache do not count.
    A peak shorter than the interval can be missed.

    >>> with MemoryMonitor() as monitor:
    ...     pass
    >>> monitor.peak_mb > 0
    True

    :param interval: Seconds between two samples.
    """

    def __init__(self, interval: float = 0.2) -> None:
        self.interval = interval
        self.peak_mb = 0.0
        """Highest sum so far, in units of 1024² bytes."""
        self.measure: Literal["PSS", "RSS"] = "PSS" if Path("/proc/self/smaps_rollup").exists() else "RSS"
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> MemoryMonitor:
        self._ended.clear()
        self.sample()
        self._thread = threading.Thread(target=self._watch, name="memory-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.sample()

    def sample(self) -> float:
        """Memory now, in MB; the peak is updated."""
        total = 0.0
        for process in self._processes():
            with contextlib.suppress(psutil.Error):  # it has just ended
                total += _proportional(process) if self.measure == "PSS" else process.memory_info().rss
        now = total / MEGABYTE
        self.peak_mb = max(self.peak_mb, now)
        return now

    def _watch(self) -> None:
        while not self._ended.wait(self.interval):
            self.sample()

    def _processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self._process, *self._process.children(recursive=True)]
        return [self._process]


def _proportional(process: psutil.Process) -> float:
    """PSS in bytes; RSS where the system does not show it."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return float(process.memory_info().rss)


def oom_kills() -> int:
    """Processes that the kernel has killed for lack of memory so far, in this container or else on this machine.

    0 where the system does not count.
    """
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError, ValueError, StopIteration):
            lines = (line.split() for line in path.read_text().splitlines())
            return next(int(words[1]) for words in lines if words[0] == "oom_kill")
    return 0


class StepMemory(Protocol):
    """Peak resident memory of this process between a start and a stop."""

    def start(self) -> None:
        """Forgets the peak so far."""

    def stop(self) -> float:
        """The peak since the start, in MB."""


class ResettablePeak:
    """The kernel's own peak of the resident set, reset at each start: exact, with no sampling (Linux).

    It resets ``ru_maxrss`` of this process too: for worker processes, not for a process of somebody else.
    """

    @staticmethod
    def available() -> bool:
        """Whether the kernel lets this process reset its peak."""
        try:
            ResettablePeak().start()
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Sets the peak to the current resident set."""
        Path("/proc/self/clear_refs").write_text("5")

    def stop(self) -> float:
        """The peak since the start, in MB."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024.0


class SampledPeak:
    """The resident set of this process, sampled in a thread: other threads of the process count too.

    :param interval: Seconds between two samples.
    """

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._peak = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts to sample."""
        self._ended = threading.Event()
        self._peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, args=(self._ended,), name="step-memory", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The peak since the start, in MB."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        return float(max(self._peak, self._process.memory_info().rss)) / MEGABYTE

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(self.interval):
            self._peak = max(self._peak, self._process.memory_info().rss)

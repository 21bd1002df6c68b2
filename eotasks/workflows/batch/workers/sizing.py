"""How many workers a machine or a cluster can hold: one patch runs alone, and its peak of memory says how many fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from eotasks.errors import ConfigurationError
from eotasks.models.threads import available_cores, resolve_threads
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.workers.kinds import ExecutorName
from eotasks.workflows.batch.workers.memory import MEGABYTE

MEMORY_SHARE = 0.8
"""Part of the free memory that workers may take: other programs, and patches larger than the first, need the rest."""

_TRIALS = 3
"""Patches that may fail alone, one after the other, before the largest peak so far has to do."""

_GROWN = 1.2
"""How much more memory than all before a patch has to take, before the number of workers is looked at again."""

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Size:
    """How many patches run at the same time, each with how many threads."""

    workers: int
    """At least 1."""

    threads: int
    """Of every engine in a worker, at least 1."""

    note: str = ""
    """Why, in a sentence; empty when it was asked for."""

    memory_mb: float = 0.0
    """What a cluster sets aside for each worker; 0 where nobody does."""


class Capacity(Protocol):
    """What holds workers: this machine, or a cluster."""

    @property
    def workers(self) -> int:
        """How many there are to be where memory allows it, at least 1."""

    @property
    def threads(self) -> int:
        """Of every engine in each of them; the patch that runs alone has as many."""

    def size(self, peak_mb: float) -> Size:
        """How many fit.

        :param peak_mb: Peak of memory of a patch that ran alone.
        """


class Sizing:
    """Chooses the size of a batch from the first patch that ends well.

    :param capacity: What holds the workers.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._peak_mb = 0.0
        self._trials = 0
        self.trial = Size(1, capacity.threads, "No patch ended well, so they all ran one by one.")
        """As long as the size is not known: one worker."""
        self.size: Size | None = Size(1, capacity.threads) if capacity.workers == 1 else None
        """The size, once it is known."""

    def observe(self, outcome: PatchOutcome) -> Size | None:
        """Takes the outcome of a patch that ran alone; gives the size once it is known."""
        self._trials += 1
        self._peak_mb = max([self._peak_mb, *outcome.peak_memory_mb_by_step.values()])
        if self._peak_mb and (outcome.state == "done" or self._trials >= _TRIALS):
            self.size = self._capacity.size(self._peak_mb)
        return self.size

    def grow(self, outcome: PatchOutcome) -> Size | None:
        """Takes the outcome of a later patch. Gives another size where it needed far more memory than any before, and
        fewer workers fit than there are.
        """
        peak = max(outcome.peak_memory_mb_by_step.values(), default=0.0)
        if self.size is None or not self._peak_mb or peak < _GROWN * self._peak_mb:
            return None
        self._peak_mb = peak
        size = self._capacity.size(peak)
        if size.workers >= self.size.workers:
            return None
        self.size = size
        return size


class MachineCapacity:
    """Cores and free memory of this machine, as they are now.

    :param jobs: Number of patches.
    :param threads: Threads of every engine that are asked for; None shares the cores among the workers.
    """

    def __init__(self, jobs: int, threads: int | None = None) -> None:
        self._cores = available_cores()
        self._threads = threads
        self._free_mb = free_memory_mb()
        self.workers = max(1, min(self._cores, jobs))
        """As in `Capacity`."""
        self.threads = share_of_cores(threads, self.workers)
        """As in `Capacity`."""

    def size(self, peak_mb: float) -> Size:
        """As in `Capacity`."""
        fitting = max(1, int(MEMORY_SHARE * self._free_mb / peak_mb))
        workers = min(self.workers, fitting)
        reason = "memory sets the limit" if fitting < self.workers else f"{self._cores} cores"
        measured = f"a patch alone took {peak_mb:,.0f} MB, {self._free_mb:,.0f} MB were free"
        return Size(workers, share_of_cores(self._threads, workers), f"{workers} workers ({reason}): {measured}.")


def asked_size(workers: int | None, threads: int | None, executor: ExecutorName, jobs: int) -> Size:
    """The size of a batch without measuring: what is asked for, else the cores.

    :raises ConfigurationError: when it is no number of workers or threads.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers={workers} is no number of workers: give a whole number of at least 1.")
    chosen = 1 if executor == "serial" else max(1, min(workers or available_cores(), jobs))
    return Size(chosen, share_of_cores(threads, chosen))


def share_of_cores(threads: int | None, workers: int) -> int:
    """Threads of every engine in each of some workers.

    :param threads: What is asked for; None shares the cores of this process.
    :raises ConfigurationError: when what is asked for is no number of threads.
    """
    return resolve_threads(threads) if threads is not None else max(1, available_cores() // workers)


def free_memory_mb() -> float:
    """Memory that this process may still take, in MB: of the machine, or of the container where that is less."""
    return min([psutil.virtual_memory().available, *_free_in_containers()]) / MEGABYTE


def _free_in_containers() -> list[int]:
    """Bytes left below the limits of control groups (version 2 as seen inside a container, and version 1)."""
    pairs = [
        (_CGROUP / "memory.max", _CGROUP / "memory.current"),
        (_CGROUP / "memory/memory.limit_in_bytes", _CGROUP / "memory/memory.usage_in_bytes"),
    ]
    free = []
    for limit, usage in pairs:
        try:
            most, taken = int(limit.read_text()), int(usage.read_text())
        except (OSError, ValueError):  # no such control group, or the limit is "max"
            continue
        if most < _UNLIMITED:
            free.append(max(0, most - taken))
    return free

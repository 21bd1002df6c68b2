"""The comparison: a round before, then each way in turn, as often as it is repeated; medians of that, and agreement."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import psutil

from eotasks.errors import BatchError
from eotasks.models.threads import available_cores
from eotasks.workflows.compare_mask_sources.agreement import Agreement, agreement_of_folders
from eotasks.workflows.compare_mask_sources.endpoint import Endpoint
from eotasks.workflows.compare_mask_sources.measure import Run, measure
from eotasks.workflows.compare_mask_sources.plan import Plan
from eotasks.workflows.compare_mask_sources.processes import cores

Measure = Callable[..., Run]
"""As `measure`."""


@dataclass(frozen=True)
class Machine:
    """What it was measured on."""

    kind: str
    """System and processor."""

    cores: int
    """That this process may use."""

    memory_mb: float
    client_core: int | None
    """The core of what is measured; None where processes cannot be held to one."""

    service_cores: tuple[int, ...]
    load_before: float | None
    """Processes that ran or waited for a core in the minute before, of all programs; None where it is not known."""

    load_after: float | None

    @property
    def client_words(self) -> str:
        """What held the measured process, in words."""
        if self.client_core is None:
            return "one thread each; the system cannot hold a process to a core"
        shared = self.client_core in self.service_cores
        return f"one thread on core {self.client_core}{', which the service shares' if shared else ''}"


@dataclass(frozen=True)
class Comparison:
    """What came out."""

    plan: Plan
    simulated: bool
    """Whether pixels are known to be."""

    service: str
    """Its address, or what it is."""

    machine: Machine
    warm_up: dict[str, float]
    """Way -> seconds of its first patch, before anything counted: the service makes and keeps masks then."""

    runs: tuple[Run, ...]
    agreements: dict[tuple[str, str], Agreement]
    """Two ways -> their masks against each other, of the first repeat."""

    def of(self, way: str) -> list[Run]:
        """The runs of a way, in their order."""
        return [run for run in self.runs if run.way == way]

    def median(self, way: str, name: str) -> float:
        """The median of a figure over the runs of a way: the name is that of a field of `Run`."""
        return float(statistics.median(getattr(run, name) for run in self.of(way)))

    def middle(self, way: str) -> Run:
        """The run whose seconds are the median, of two the faster: for lines over time."""
        runs = sorted(self.of(way), key=lambda run: run.seconds)
        return runs[(len(runs) - 1) // 2]

    @property
    def acquisitions(self) -> int:
        """Of all patches together."""
        return sum(map(len, self.runs[0].acquisitions))


def compare(
    plan: Plan,
    endpoint: Endpoint,
    folder: Path,
    *,
    service: str,
    advance: Callable[[], None] = lambda: None,
    measured: Measure = measure,
) -> Comparison:
    """Runs all ways.

    :param folder: For files of the runs: a temporary one.
    :param service: What the service is, in words.
    :param advance: Called after each run, and each of the round before.
    :param measured: What runs one way.
    :raises BatchError: when a run fails, or ways were given different acquisitions.
    """
    client, others = cores()
    first = plan.one_patch()
    warm_up = {}
    for way in plan.ways:
        began = time.monotonic()
        measured(first.job(way, core=client), endpoint, folder / f"before-{way}")
        warm_up[way] = time.monotonic() - began
        advance()
    load, runs = _load(), []
    for repeat, way in plan.order:
        place = folder / f"{way}-{repeat}"
        masks = place / "masks"
        masks.mkdir(parents=True)
        runs.append(measured(plan.job(way, core=client, masks=str(masks)), endpoint, place, repeat=repeat))
        advance()
    _check_same(runs)
    agreements = {
        pair: agreement_of_folders(*(folder / f"{way}-0" / "masks" for way in pair))
        for pair in combinations(plan.ways, 2)
    }
    machine = Machine(
        kind=f"{sys.platform} {platform.machine()}",
        cores=available_cores(),
        memory_mb=psutil.virtual_memory().total / 1024**2,
        client_core=client,
        service_cores=others if endpoint.is_demonstration else (),
        load_before=load,
        load_after=_load(),
    )
    simulated = endpoint.is_demonstration and _is_simulated(runs[0])
    return Comparison(plan, simulated, service, machine, warm_up, tuple(runs), agreements)


def _is_simulated(run: Run) -> bool:
    """Whether acquisitions of the demonstration are others than that of the embedded scene, which is real."""
    from eotasks.sources.sample import SAMPLE_TIME

    real = f"{SAMPLE_TIME:%Y-%m-%d}"
    return any(not time.startswith(real) for times in run.acquisitions for time in times)


def _check_same(runs: Sequence[Run]) -> None:
    """Ways that were given different acquisitions did different work."""
    for run in runs:
        if run.acquisitions != runs[0].acquisitions:
            raise BatchError(
                f"The service gave the way {run.way!r} other acquisitions than {runs[0].way!r}: its catalogue has"
                " changed meanwhile. Try again."
            )


def _load() -> float | None:
    with contextlib.suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None

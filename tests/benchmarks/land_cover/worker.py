"""A process of one side: makes its tasks, then measures the steps it is told to."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from tests.benchmarks.land_cover.layout import STEPS, Measured, Prepared, Setup, Side, read_pickle

if TYPE_CHECKING:
    from eolearn.core import EOPatch

    from eotasks.workflows.batch.workers.memory import StepMemory
    from tests.benchmarks.land_cover.step import Step

MODULES: dict[Side, str] = {
    "ours": "tests.benchmarks.land_cover.our_chain",
    "eo-learn": "tests.benchmarks.land_cover.eo_learn_chain",
}

ENOUGH = 0.4
"""Seconds after which a step is not called again."""

CORNER = 16
"""Pixels of a side of the corner for the first call."""

CORNER_SAMPLES = 100
NO_CORNER = ("filter",)
"""Steps whose first call is nothing special, and which a corner would not pass."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in a process."""

    text: str


def prepare_in_process(connection: Connection, setup: Setup) -> None:
    """Make the inputs, and send what came of it."""
    _quiet()
    try:
        from tests.benchmarks.land_cover.prepare import prepare

        connection.send(prepare(setup))
    except Exception:  # noqa: BLE001 - it is sent on as it is
        connection.send(Failure(traceback.format_exc()))


def serve(connection: Connection, side: Side, setup: Setup, prepared: Prepared) -> None:
    """Send the seconds of the imports, then measure each step that is asked for, until None comes.

    A request is the step's name, a number that no other request has, and whether the outcome is to be kept.
    """
    _quiet()
    try:
        start = time.perf_counter()
        module = importlib.import_module(MODULES[side])
        imported = time.perf_counter() - start
        worker = _Worker(side, setup, module.steps(setup, prepared))
        connection.send(imported)
        while (request := connection.recv()) is not None:
            connection.send(worker.measure(*request))
    except Exception:  # noqa: BLE001 - it is sent on as it is
        connection.send(Failure(traceback.format_exc()))


class _Worker:
    def __init__(self, side: Side, setup: Setup, steps: dict[str, Step]) -> None:
        self.side = side
        self.setup = setup
        self.steps = steps
        self.memory = _step_memory()

    def measure(self, name: str, number: int, keep: bool) -> Measured:
        first = None if name in NO_CORNER else self._first_call(name, f"first-{number}")
        seconds, cpu, memory, peak = 0.0, 0.0, 0.0, 0.0
        for patch in self.setup.patches_of(name):
            taken, used, highest, result = self._measure_patch(name, patch, f"patch-{patch}-{number}")
            seconds, cpu, memory, peak = seconds + taken[0], cpu + taken[1], max(memory, used), max(peak, highest)
            if keep:
                self._keep(name, patch, result)
        return Measured(seconds, cpu, memory, peak, first)

    def _first_call(self, name: str, label: str) -> float:
        patch = corner(self._input(name, 0))
        start = time.perf_counter()
        self.steps[name].run(patch, label)
        return time.perf_counter() - start

    def _measure_patch(self, name: str, patch: int, label: str) -> tuple[tuple[float, float], float, float, Any]:
        """Wall and CPU seconds, memory above the start, peak memory, and what came out."""
        run = self.steps[name].run
        given = self._input(name, patch)
        copies = [given.copy() for _ in range(self.setup.calls)]
        _release_memory()
        self.memory.start()
        before = self.memory.stop()
        self.memory.start()
        taken = _now()
        result = run(copies[0], f"{label}-0")
        times = [_since(taken)]
        peak = self.memory.stop()
        for call in range(1, self.setup.calls):
            if sum(wall for wall, _ in times) >= ENOUGH:
                break
            taken = _now()
            run(copies[call], f"{label}-{call}")
            times.append(_since(taken))
        return min(times), max(0.0, peak - before), peak, result

    def _input(self, name: str, patch: int) -> EOPatch:
        given = STEPS[name]
        whole: EOPatch = read_pickle(self.setup.stage(given.stage, patch))
        chosen = [feature for feature in whole.get_features() if feature[1] in given.features]
        return self.steps[name].ready(whole.copy(features=chosen, copy_timestamps=True))

    def _keep(self, name: str, patch: int, result: Any) -> None:
        import numpy as np

        outcome = self.steps[name].outcome(result)
        np.savez(self.setup.outcome(self.side, name, patch), **outcome)  # type: ignore[arg-type]  # names are free


def corner(patch: EOPatch) -> EOPatch:
    """The upper left corner of a patch, some of the samples of a sampled one."""
    from eolearn.core import EOPatch
    from sentinelhub.geometry import BBox

    features = [feature for feature in patch.get_features() if feature[0].is_array() and feature[0].is_spatial()]
    if not features or patch.bbox is None:
        return patch
    left, bottom, right, top = patch.bbox
    height, width = patch.get_spatial_dimension(*features[0])
    sampled = width == 1
    rows, columns = min(height, CORNER), min(width, CORNER)
    box = (left, top - (top - bottom) * rows / height, left + (right - left) * columns / width, top)
    part = EOPatch(bbox=BBox(box, patch.bbox.crs), timestamps=patch.timestamps)
    for feature in features:
        values = patch[feature]
        every = max(1, height // CORNER_SAMPLES)
        part[feature] = (values[..., ::every, :, :] if sampled else values[..., :rows, :columns, :]).copy()
    return part


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(before: tuple[float, float]) -> tuple[float, float]:
    """Wall and CPU seconds that have passed."""
    return time.perf_counter() - before[0], time.process_time() - before[1]


def _step_memory() -> StepMemory:
    from eotasks.workflows.batch.workers.memory import ResettablePeak, SampledPeak

    return ResettablePeak() if ResettablePeak.available() else SampledPeak()


def _release_memory() -> None:
    """Hand freed memory back to the system, so that a step does not work in what the one before it left."""
    gc.collect()
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def _quiet() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

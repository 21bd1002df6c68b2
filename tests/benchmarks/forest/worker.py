"""A process that measures one row of the forest's benchmark, and one that measures how long a start takes."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import math
import statistics
import sys
import time
import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.workflows.batch.workers.memory import MEGABYTE, ResettablePeak, SampledPeak
from tests.benchmarks.forest.cases import CASES, Contest, Predict, Scale, lightgbm_predict, scaling_contest

WARM_UP = 64
"""Rows of the first call, which compiles or loads what was compiled."""


RAW_ROWS = 1 << 17
"""Rows whose raw scores are compared; probabilities are of all of them."""

TICK = 1e-6
"""Seconds: no time is taken for less."""


@dataclass
class Measured:
    """What came of a row."""

    pixels: int
    seconds: dict[str, list[float]]
    """Of each contestant, a number a repeat; in each repeat one directly follows the other."""

    memory_mb: dict[str, float]
    """Highest resident memory of a call above what the process held, without the result."""

    equal: bool
    results: str
    """How the results compare, in words."""

    ratios: list[float] = field(default_factory=list)
    """The peer's time over ours in each repeat."""

    cpu_ratios: list[float] = field(default_factory=list)
    """The same of CPU time, which hardly knows what else runs on the machine."""

    def median(self, name: str) -> float:
        """Median seconds of a contestant."""
        return statistics.median(self.seconds[name])


def measure(case: str, scale: Scale, repeats: int, most: float = math.inf) -> Measured:
    """One row of the table.

    :param most: Seconds after which no repeat begins; there is one.
    """
    _quiet()
    return measure_contest(CASES[case].load(scale), repeats, most)


def measure_scaling(scale: Scale, repeats: int, threads: tuple[int, ...], most: float = math.inf) -> Measured:
    """One scene with several numbers of threads."""
    _quiet()
    return measure_contest(scaling_contest(scale, threads), repeats, most)


def measure_contest(contest: Contest, repeats: int, most: float = math.inf) -> Measured:
    """Warm up, take memory and results of a first call each, then times in turns.

    :param most: Seconds after which no repeat begins; there is one.
    """
    names = list(contest.contestants)
    for name in names:
        contest.contestants[name](contest.input_of(name)[:WARM_UP])
    memory, results = {}, {}
    for name in names:
        memory[name], results[name] = _memory_of(contest, name)
    equal, words = compare(contest, results)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in names}
    begun = time.perf_counter()
    for repeat in range(repeats):
        if repeat and time.perf_counter() - begun > most:
            break
        for name in names[:: 1 - 2 * (repeat % 2)]:  # who was first is last in the next repeat
            given = contest.input_of(name)
            start, used = time.perf_counter(), time.process_time()
            contest.contestants[name](given)
            cpu_seconds[name].append(time.process_time() - used)
            seconds[name].append(time.perf_counter() - start)
    ratios, cpu_ratios = (
        [peer / max(own, TICK) for own, peer in zip(*(times[name] for name in names[:2]), strict=True)]
        for times in (seconds, cpu_seconds)
    )
    return Measured(contest.pixels, seconds, memory, equal, words, ratios, cpu_ratios)


def _quiet() -> None:
    """What libraries say to a developer is no part of the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def _memory_of(contest: Contest, name: str) -> tuple[float, NDArray[Any]]:
    """MB of a call, without its result; and the result."""
    monitor = ResettablePeak() if ResettablePeak.available() else SampledPeak()
    _release_memory()
    monitor.start()
    before = monitor.stop()
    monitor.start()
    result = contest.contestants[name](contest.input_of(name))
    peak = monitor.stop()
    return max(0.0, peak - before - result.nbytes / MEGABYTE), result


def _release_memory() -> None:
    """Hand freed memory back, so that a call does not work in what the one before it left."""
    gc.collect()
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def compare(contest: Contest, results: dict[str, NDArray[Any]]) -> tuple[bool, str]:
    """Whether all results are as equal as is promised, and how equal they are.

    Raw scores and float32 probabilities to the last bit; float64 probabilities within one step.
    """
    from tests.models.forest.oracle import ulps

    first, *others = results.values()
    if contest.raw_scores is None:
        largest = max(float(np.abs(first - other).max(initial=0)) for other in others)
        return largest == 0, "equal" if largest == 0 else f"NOT EQUAL: up to {largest:.2g}"
    ours, theirs = (predict(contest.given[:RAW_ROWS]) for predict in contest.raw_scores.values())
    if ours.tobytes() != theirs.tobytes():
        return False, f"NOT EQUAL: raw scores, up to {np.abs(ours - theirs).max():.2g}"
    steps = max(ulps(first, other) for other in others)
    return steps <= 1, f"raw equal, p {'equal' if steps == 0 else f'within {steps} ulp'}"


def main() -> None:
    """Seconds of a first prediction in a fresh process, as JSON: ``forest_worker.py forest|lightgbm MODEL``."""
    engine, path = sys.argv[1:]
    times = [time.perf_counter()]
    predict: Predict
    if engine == "forest":
        from eotasks.models.forest import Forest

        times.append(time.perf_counter())
        predict = Forest.load(path).predict
    else:
        from lightgbm import Booster

        times.append(time.perf_counter())
        predict = lightgbm_predict(Booster(model_file=path))
    times.append(time.perf_counter())
    rows = np.random.default_rng(0).random((WARM_UP, 10), dtype=np.float32)
    for _ in range(2):
        predict(rows)
        times.append(time.perf_counter())
    names = ("import", "load", "first", "second")
    print(json.dumps({name: after - before for name, (before, after) in zip(names, pairwise(times), strict=True)}))


if __name__ == "__main__":
    main()

"""Honest clients beside attackers: their times undisturbed and attacked, how attacks end, memory of the parent.

Run it with ``python -m tests.benchmarks.service_attacks`` (a quarter of an hour; ``--rounds 1`` for a look). It drives
the engine as the service does, without HTTP: each honest client asks for one image after the other, each attacker runs
the table of attacks (`tests.builders.scripts.attacks`), the order drawn anew in each round.
"""

from __future__ import annotations

import argparse
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil

from eotasks.allocator import give_back
from eotasks.service.errors import BusyError, ServiceError
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.workers.supervisor import Places
from tests.benchmarks.figures import Figure, keep
from tests.builders.scripts.attacks import ATTACKS, PROTOTYPE, evalscript
from tests.builders.scripts.pixels import script_pixels

BANDS = ("B02", "B03", "B04", "B08")
SCRIPT = evalscript(
    "const v = (s.B08 - s.B04) / (s.B08 + s.B04 + 1); return [v, s.B02 / 2, s.B03 / 2]".replace("s.", "sample."),
    setup='{input: ["B02", "B03", "B04", "B08"], output: {bands: 3, sampleType: "FLOAT32"}}',
)
MARGIN_S = 1.0


class Honest:
    """Clients that ask for one image after the other, until they are told to stop."""

    def __init__(self, pool: EnginePool, clients: int, size: int) -> None:
        self._pool = pool
        self._clients = clients
        self._pixels = script_pixels(size, size, bands=BANDS)
        self._expected = pool.evaluate(SCRIPT, self._pixels).images["default"]
        self.wrong: Counter[str] = Counter()

    def times(self, until: threading.Event) -> list[float]:
        """Seconds of their requests."""
        with ThreadPoolExecutor(self._clients) as threads:
            each = [threads.submit(self._ask, until) for _ in range(self._clients)]
            return [time for found in each for time in found.result()]

    def _ask(self, until: threading.Event) -> list[float]:
        times = []
        while not until.is_set():
            begun = time.perf_counter()
            try:
                image = self._pool.evaluate(SCRIPT, self._pixels).images["default"]
            except ServiceError as error:
                self.wrong[f"{type(error).__name__}: {error}"] += 1
            else:
                times.append(time.perf_counter() - begun)
                if not np.array_equal(image, self._expected, equal_nan=True):
                    self.wrong["another image"] += 1
        return times


class Attackers:
    """What becomes of attacks."""

    def __init__(self, pool: EnginePool, names: Sequence[str]) -> None:
        self._pool = pool
        self._names = names
        self._limit = pool.jobs.seconds(1) + MARGIN_S
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.longest = 0.0
        self.memory: list[int] = []
        """Of this process, after each round."""

    def run(self, seed: int) -> None:
        """All attacks, one after the other."""
        for name in random.Random(seed).sample(self._names, len(self._names)):
            self._attack(name)

    def _attack(self, name: str) -> None:
        begun = time.perf_counter()
        while True:
            try:
                self._pool.evaluate(ATTACKS[name].script, script_pixels(1, 1))
                outcome, status = "answered", 200
            except BusyError as error:  # a client would come again
                begun = time.perf_counter()
                self.outcomes["to come again"] += 1
                time.sleep(error.wait_s)
                continue
            except ServiceError as error:
                outcome, status = type(error).__name__, error.status
            break
        took = time.perf_counter() - begun
        self.longest = max(self.longest, took)
        self.outcomes[outcome] += 1
        if status >= 500 or (status == 200) != ATTACKS[name].harmless or took > self._limit:
            self.faults.append(f"{name}: {outcome} ({status}) after {took:.2f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; 1 where an attack was not ended as it should be, or an honest answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--attackers", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=max(2, os.cpu_count() or 1))
    parser.add_argument("--slow", type=int, default=2, help="places for jobs that take long")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side, of honest images")
    parser.add_argument("--undisturbed", type=float, default=100, help="seconds without attacks, before rounds")
    parser.add_argument("--all", action="store_true", help="attacks of ours besides the 24 of the prototype")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and compare them with the last run's")
    options = parser.parse_args(arguments)
    names = list(ATTACKS if options.all else PROTOTYPE)
    with EnginePool(Places(options.workers, slow=options.slow), jobs=JobLimits(wait_s=60)) as pool:
        print(f"Sandbox: {pool.start().text}", flush=True)
        honest, attackers = Honest(pool, options.clients, options.size), Attackers(pool, names)
        alone: list[float] = []
        attacked: list[float] = []
        for number in range(options.rounds):  # in turns: what else the machine does is then the same for both
            until = threading.Event()
            threading.Timer(options.undisturbed / options.rounds, until.set).start()
            alone += honest.times(until)
            until = threading.Event()
            with ThreadPoolExecutor(options.attackers + 1) as threads:
                beside = threads.submit(honest.times, until)
                seeds = range(number * options.attackers, (number + 1) * options.attackers)
                list(threads.map(attackers.run, seeds))
                until.set()
                attacked += beside.result()
            give_back()  # what glibc keeps of freed memory, as the service does after each hundred requests
            attackers.memory.append(psutil.Process().memory_info().rss)
    return report(alone, attacked, honest, attackers, keep_them=options.keep)


def report(alone: list[float], attacked: list[float], honest: Honest, attackers: Attackers, *, keep_them: bool) -> int:
    """The table."""
    print("\n| honest requests | number | p50 ms | p99 ms | longest ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, times in (("undisturbed", alone), ("attacked", attacked)):
        p50, p99, most = np.quantile(times, [0.5, 0.99, 1.0]) * 1000
        print(f"| {name} | {len(times):,} | {p50:.0f} | {p99:.0f} | {most:.0f} |")
    ratio = float(np.quantile(attacked, 0.99) / np.quantile(alone, 0.99))
    sizes = [size / (1 << 20) for size in attackers.memory]
    growth, late = sizes[-1] - sizes[0], sizes[-1] - sizes[len(sizes) // 2]
    print(f"\np99 attacked / undisturbed: {ratio:.2f}")
    print(f"attacks: {dict(attackers.outcomes)}, the longest {attackers.longest:.2f} s")
    series = ", ".join(f"{size:.0f}" for size in sizes)
    print(f"parent, MiB after each round: {series} ({growth:+.1f}, {late:+.1f} of it in the later half)")
    for fault in [*attackers.faults, *(f"honest: {text} ({count})" for text, count in honest.wrong.items())]:
        print(f"FAULT {fault}")
    if keep_them:
        figures = [
            Figure("p99 attacked / undisturbed", ratio, ""),
            Figure("longest attack", attackers.longest, "s"),
            Figure("growth of the parent", growth, "MiB"),
        ]
        print(keep("service_attacks", figures))
    return 1 if attackers.faults or honest.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

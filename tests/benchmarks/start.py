"""A fresh process of `eotasks cloud-mask` on the embedded scene at 160 m: CPU seconds, wall clock and memory.

Run it with ``python -m tests.benchmarks.start``; ``--other CHECKOUT`` runs another checkout in turns with this one
(``git worktree add ../before COMMIT``), and then the ratio is what to look at. A first run of each, which compiles,
does not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT
from tests.benchmarks.figures import Figure, check, compared, environment, keep

MEGABYTE = 1024


@dataclass(frozen=True)
class Start:
    """One process."""

    cpu_seconds: float
    seconds: float
    megabytes: float


def measure(checkout: Path, *arguments: str) -> Start:
    """One process of a checkout.

    :raises subprocess.CalledProcessError: when it fails.
    """
    room = (
        "eotasks.workflows" if checkout.joinpath("eotasks", "workflows").is_dir() else "workflows"
    )  # before the house
    command = [sys.executable, "-m", f"{room}.cli", "cloud-mask", "--resolution", "160", *arguments]
    with tempfile.TemporaryDirectory(prefix="eotasks-start-") as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", folder],
            env={**environment(), "PYTHONPATH": str(checkout)},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        scale = MEGABYTE * (MEGABYTE if sys.platform == "darwin" else 1)
        return Start(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / scale)


def figures(starts: dict[str, list[Start]]) -> list[Figure]:
    """Medians of this checkout, and its share of the other's CPU where there is one."""
    ours, *others = starts.values()
    cpu = statistics.median(start.cpu_seconds for start in ours)
    return [
        Figure("CPU", cpu, "s"),
        Figure("wall clock", statistics.median(start.seconds for start in ours), "s"),
        Figure("peak memory", max(start.megabytes for start in ours), "MB"),
        *[
            Figure("CPU, share of the other's", cpu / statistics.median(start.cpu_seconds for start in other), "")
            for other in others
        ],
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="another checkout")
    parser.add_argument("--repeats", type=int, default=5, help="turns (%(default)s)")
    parser.add_argument("--no-quicklook", action="store_true", help="without the picture")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    options = parser.parse_args(arguments)
    name = "start, no quick-look" if options.no_quicklook else "start"
    if options.keep:
        check(name)
    more = ["--no-quicklook"] if options.no_quicklook else []
    checkouts = [ROOT, *([options.other.resolve()] if options.other else [])]
    starts: dict[str, list[Start]] = {str(checkout): [] for checkout in checkouts}
    for turn in range(options.repeats + 1):
        for checkout in checkouts:
            start = measure(checkout, *more)
            if turn:
                starts[str(checkout)].append(start)
    found = figures(starts)
    for checkout, runs in starts.items():
        spread = ", ".join(f"{run.cpu_seconds:.2f}" for run in runs)
        print(f"{checkout}: CPU seconds of {len(runs)} turns {spread}")
    print(keep(name, found) if options.keep else compared(found, []))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The benchmarks of speed and memory one after the other, each against its last run: ``make benchmarks``.

Each ends in minutes, or is ended, and keeps its figures (`tests.benchmarks.figures`). Names after it run those alone:
``make benchmarks ARGS="start land_cover"``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from tests import ROOT

BENCHMARKS: dict[str, list[str]] = {
    "start": ["--repeats", "3"],
    "forest": ["--repeats", "3", "--seconds", "10", "--pixels", "440000"],
    "temporal": ["--repeats", "3"],
    "land_cover": [],
    "imagery": ["--repeats", "2"],
}
"""What each is given."""

LIMIT = 900
"""Seconds."""


def run(name: str, limit: float = LIMIT) -> str | None:
    """Runs a benchmark; why it has no figures, None where it has."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *BENCHMARKS[name], "--keep"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"ended after {limit:g} s"
        finally:  # also of an interrupt, which a session of its own does not get
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with its workers
    return f"exit code {code}" if code else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs them; 1 when one has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all, where none is named")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"{unknown[0]} is none of {', '.join(BENCHMARKS)}")
    failed = {}
    for name in names or BENCHMARKS:
        print(f"\n== {name}\n", flush=True)
        begun = time.perf_counter()
        fault = run(name)
        if fault is not None:
            failed[name] = fault
        print(f"\n{name}: {fault or 'done'}, {time.perf_counter() - begun:.0f} s", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

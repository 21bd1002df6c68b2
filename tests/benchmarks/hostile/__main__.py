"""Hostile files of every format that is read, in processes that may die.

Run it with ``python -m tests.benchmarks.hostile`` (``--help`` for more). A reader accepts a file or refuses it by an
error of its own; all else is a fault: a crash, a hang, a bare exception, memory beyond bound, anything opened, started
or asked for outside of the file's folder. Each fault is written down with its seed: ``--replay FORMAT:SEED`` shows it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.hostile.formats import FORMATS
from tests.benchmarks.hostile.runner import CASES_OF_SEED, Result, run_format, run_here

SPAWN = multiprocessing.get_context("spawn")
SHOWN = 12


def run(names: list[str], count: int, seed: int, *, workers: int, seconds: float) -> list[Result]:
    """Each format in a process of its own; told as they are done."""
    results = []
    with ProcessPoolExecutor(workers, mp_context=SPAWN, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run_format, name, count, seed, seconds): name for name in names}
        for future in as_completed(waiting):
            result = future.result()
            results.append(result)
            print("\n".join([line_of(result), *faults_of(result)]), flush=True)
    return sorted(results, key=lambda result: names.index(result.format))


def line_of(result: Result) -> str:
    """A line of the table."""
    faults = ", ".join(f"{count} {kind}" for kind, count in by_kind(result).items()) or "0"
    rate = result.cases / result.seconds if result.seconds else 0
    return f"| {result.format} | {result.cases:,} | {result.accepted:,} | {result.refused:,} | {faults} | {rate:,.0f} |"


def faults_of(result: Result) -> list[str]:
    """A line for each kind of fault: a case that shows it, how often it came, and where."""
    lines = []
    for (kind, detail), count in result.kinds().most_common(SHOWN):
        seed = next(fault.seed for fault in result.faults if (fault.kind, fault.detail) == (kind, detail))
        lines.append(f"{result.format}:{seed}  {count} x {kind}: {detail}")
    return lines


def by_kind(result: Result) -> dict[str, int]:
    """Faults by kind."""
    counts: dict[str, int] = {}
    for fault in result.faults:
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
    return counts


def replay(case: str) -> int:
    """Runs one case here, and shows its file and what was raised."""
    name, _, seed = case.rpartition(":")
    if name not in FORMATS or not seed.isdecimal():
        sys.exit(f"--replay {case!r}: give FORMAT:SEED as a fault is written down, such as item:17.")
    from tests.benchmarks.hostile.runner import _Cases

    with tempfile.TemporaryDirectory() as folder:
        content = _Cases(FORMATS[name], Path(folder), 0).content(int(seed))
    print(f"{len(content)} bytes: {content[:2000]!r}")
    with tempfile.TemporaryDirectory() as folder:
        [(_, fault, error)] = run_here(name, [int(seed)], Path(folder))
    if error is not None:
        traceback.print_exception(error)
    print(f"FAULT {fault}" if fault else "accepted" if error is None else "refused")
    return 1 if fault else 0


def main() -> int:
    """1 when there was any fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", metavar="FORMAT", choices=[*FORMATS], default=[*FORMATS])
    parser.add_argument("--count", type=int, default=20_000, help="cases of each format (20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the whole run (0)")
    parser.add_argument("--workers", type=int, default=2, help="formats at a time (2)")
    parser.add_argument("--seconds", type=float, default=20, help="that a case may take (20)")
    parser.add_argument("--faults", type=Path, metavar="FILE.json", help="where faults are written, with their seeds")
    parser.add_argument("--replay", metavar="FORMAT:SEED", help="run this one case, and show it")
    arguments = parser.parse_args()
    if arguments.replay:
        return replay(arguments.replay)
    if not 0 < arguments.count <= CASES_OF_SEED:
        parser.error(f"--count {arguments.count}: give 1 to {CASES_OF_SEED}")
    print("| format | cases | accepted | refused | faults | a second |\n| --- | --- | --- | --- | --- | --- |")
    results = run(
        arguments.formats, arguments.count, arguments.seed, workers=arguments.workers, seconds=arguments.seconds
    )
    faults = [fault for result in results for fault in result.faults]
    if arguments.faults:
        arguments.faults.write_text(json.dumps([asdict(fault) for fault in faults], indent=1) + "\n")
    total = sum(result.cases for result in results)
    print(f"{total:,} cases of {len(results)} formats: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

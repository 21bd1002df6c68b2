"""The land-cover chain of our tasks against the same steps of plain eo-learn 1.5.7 tasks: seconds, memory, results.

Run it with ``make benchmark`` or ``python -m tests.benchmarks.land_cover --help``. Both sides get the same inputs, made
once on simulated patches. In every repeat each side has a fresh process, and the two take turns step by step, so that
noise of the machine meets both alike. What a first call costs on top (imports, eo-learn's numba compilation, loading of
weights) is told apart. Times of a shared machine mean little by themselves: look at the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eotasks.models.threads import available_cores, thread_environment
from tests.benchmarks.figures import Figure, check, keep
from tests.benchmarks.land_cover.layout import ALTERNATIVES, SIDES, STEPS, Measured, Prepared, Setup, Side
from tests.benchmarks.land_cover.verdicts import Verdict, judge
from tests.benchmarks.land_cover.worker import CORNER, Failure, prepare_in_process, serve

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 600.0
"""Seconds without an answer after which a process counts as stuck."""

LONG = 4.0
"""Noise means least for a step of more seconds than this: it is left out of repeats for which time is short."""

MARGIN = 1.1
"""Steps may take this much longer than before."""

TICK = 1e-6
"""Seconds: no CPU time is taken for less."""

WORDS = ("step", "first call", "results")
"""Columns of the tables that hold no numbers."""


class BenchmarkError(Exception):
    """A process of the benchmark failed."""


@dataclass
class Result:
    """All numbers of a run."""

    setup: Setup
    prepared: Prepared
    runs: dict[Side, dict[str, list[Measured]]]
    imports: dict[Side, list[float]]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    seconds: float = 0.0
    repeat_seconds: float = 0.0
    """What the first repeat took."""

    def seconds_of(self, side: Side, step: str) -> float:
        """Median wall time of a step."""
        return statistics.median(run.seconds for run in self.runs[side][step])

    def memory_of(self, side: Side, step: str) -> float:
        """Median memory of a step in MB, above what the process held when it began."""
        return statistics.median(run.memory_mb for run in self.runs[side][step])

    def first_of(self, side: Side, step: str) -> float | None:
        """Median time of the first call in a process."""
        times = [run.first_seconds for run in self.runs[side][step] if run.first_seconds is not None]
        return statistics.median(times) if times else None

    def peak_of(self, side: Side) -> float:
        """Highest resident memory of the side's processes in MB."""
        return max(run.peak_mb for runs in self.runs[side].values() for run in runs)

    def cpu_seconds_of(self, side: Side, step: str) -> float:
        """Median CPU time of a step."""
        return statistics.median(run.cpu_seconds for run in self.runs[side][step])

    def ratios(self, step: str) -> list[float]:
        """eo-learn's time over ours in each repeat."""
        pairs = zip(self.runs["eo-learn"][step], self.runs["ours"][step], strict=True)
        return [theirs.seconds / ours.seconds for theirs, ours in pairs]


def run_benchmark(
    setup: Setup,
    *,
    repeats: int = 3,
    time_limit: float | None = None,
    on_progress: Callable[[str], None] = lambda message: None,
) -> Result:
    """Prepare, measure and compare.

    :param time_limit: Seconds the run may take: repeats leave out long steps, or are left out, to stay below.
    :raises BenchmarkError: when a process fails; the text is its traceback.
    """
    start = time.perf_counter()
    with _threads(setup.threads):
        on_progress("inputs")
        prepared = _prepare(setup)
        result = Result(setup, prepared, {side: {step: [] for step in STEPS} for side in SIDES}, {s: [] for s in SIDES})
        on_progress("processes")
        for repeat in range(repeats):
            left = None if time_limit is None else time_limit - (time.perf_counter() - start)
            if not _repeat(result, repeat, repeats, left, on_progress):
                break
    result.verdicts = {step: judge(setup, step) for step in STEPS}
    result.seconds = time.perf_counter() - start
    return result


def _prepare(setup: Setup) -> Prepared:
    with _process(prepare_in_process, setup) as connection:
        prepared: Prepared = _answer(connection)
        return prepared


def _repeat(result: Result, repeat: int, repeats: int, left: float | None, on_progress: Callable[[str], None]) -> bool:
    """Measure the steps once more, as far as the seconds that are left allow.

    :return: False when they allow nothing.
    """
    setup, prepared = result.setup, result.prepared
    begun = time.perf_counter()
    steps = affordable_steps(result, repeat, repeats, left)
    if not steps:
        return False
    with contextlib.ExitStack() as stack:
        workers = {
            side: stack.enter_context(_process(serve, side, setup, prepared)) for side in SIDES[:: 1 - 2 * (repeat % 2)]
        }
        for side, connection in workers.items():
            result.imports[side].append(_answer(connection))
        for step in steps:
            on_progress(f"repeat {repeat + 1}: {step}")
            for side, connection in workers.items():  # the side that began the last repeat is second in this one
                connection.send((step, repeat, repeat == 0))
                result.runs[side][step].append(_answer(connection))
        for connection in workers.values():
            connection.send(None)
    if repeat == 0:
        result.repeat_seconds = time.perf_counter() - begun
    return True


def affordable_steps(result: Result, repeat: int, repeats: int, left: float | None) -> list[str]:
    """Steps of a repeat, by what they took before: the short ones of all repeats come before a second of a long one."""
    if repeat == 0 or left is None:
        return list(STEPS)
    both = {step: sum(result.seconds_of(side, step) for side in SIDES) for step in STEPS}
    long = [step for step in STEPS if both[step] > 2 * LONG]
    on_short = MARGIN * (result.repeat_seconds - sum(both[step] for step in long))
    if on_short > left:
        return []
    spare = left - on_short * (repeats - repeat)
    for step in sorted(long, key=lambda step: len(result.runs["ours"][step])):
        if MARGIN * both[step] <= spare:
            spare -= MARGIN * both[step]
            long.remove(step)
    return [step for step in STEPS if step not in long]


@contextlib.contextmanager
def _process(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A fresh process that talks over a pipe; it is gone when the block ends."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
        process.join(timeout=30)
    finally:
        here.close()
        if process.is_alive():
            process.terminate()
            process.join()


def _answer(connection: Connection) -> Any:
    if not connection.poll(PATIENCE):
        raise BenchmarkError(f"no answer for {PATIENCE:.0f} s")
    try:
        answer = connection.recv()
    except EOFError as error:
        raise BenchmarkError("a process ended without an answer") from error
    if isinstance(answer, Failure):
        raise BenchmarkError(answer.text)
    return answer


@contextlib.contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Processes that start in this block hold every engine to this number of threads.

    They allocate from one arena too: what a thread has freed would stay in its own, and the next step would seem to
    need no memory.
    """
    before = dict(os.environ)
    os.environ.update(thread_environment(threads), MALLOC_ARENA_MAX="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def report(result: Result) -> str:
    """The tables, as markdown that is readable as plain text."""
    parts = [_heading(result), _table(_step_rows(result)), _notes(result), _table(_first_rows(result))]
    return "\n\n".join(parts)


def _heading(result: Result) -> str:
    setup, prepared = result.setup, result.prepared
    repeats = len(result.imports["ours"])
    versions = ", ".join(f"{name} {number}" for name, number in prepared.versions.items())
    return (
        f"{setup.patches} simulated patch{'es' if setup.patches > 1 else ''} of {setup.patch_size} x {setup.patch_size}"
        f" px at {setup.resolution:g} m, {setup.dates} dates ({prepared.frames} pass the filter of"
        f" {prepared.min_valid_fraction:g}), {prepared.samples} samples of {prepared.classes} classes;"
        f" {setup.threads} thread{'s' if setup.threads > 1 else ''} each, medians of"
        f" {repeats} repeat{'s' if repeats > 1 else ''}{_fewer(result, repeats)}.\n"
        f"Python {platform.python_version()}, {versions}; {available_cores()} cores, load {_load()}; the whole run took"
        f" {result.seconds:.0f} s."
    )


def _fewer(result: Result, repeats: int) -> str:
    runs = {step: len(result.runs["ours"][step]) for step in STEPS}
    fewer = [f"{count} of {step}" for step, count in runs.items() if count < repeats]
    return f" (for want of time {', '.join(fewer)})" if fewer else ""


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _step_rows(result: Result) -> list[list[str]]:
    head = [
        "step",
        "ours s",
        "eo-learn s",
        "ratio",
        "lowest..highest",
        "CPU ratio",
        "ours MB",
        "eo-learn MB",
        "ratio",
        "results",
    ]
    return [head, *[_step_row(result, step) for step in STEPS], _sum_row(result)]


def _step_row(result: Result, step: str) -> list[str]:
    ours, theirs = (result.seconds_of(side, step) for side in SIDES)
    our_memory, their_memory = (result.memory_of(side, step) for side in SIDES)
    ratios = result.ratios(step)
    return [
        step,
        _seconds(ours),
        _seconds(theirs),
        _ratio(statistics.median(ratios)),
        f"{min(ratios):.2f}..{max(ratios):.2f}",
        _ratio(result.cpu_seconds_of("eo-learn", step) / max(result.cpu_seconds_of("ours", step), TICK)),
        f"{our_memory:.0f}",
        f"{their_memory:.0f}",
        _ratio(their_memory / our_memory) if min(our_memory, their_memory) >= 1 else "-",
        result.verdicts[step].text,
    ]


def _sum_row(result: Result) -> list[str]:
    counted = [step for step in STEPS if step not in ALTERNATIVES]
    ours, theirs = (sum(result.seconds_of(side, step) for step in counted) for side in SIDES)
    our_cpu, their_cpu = (sum(result.cpu_seconds_of(side, step) for step in counted) for side in SIDES)
    our_memory, their_memory = (max(result.memory_of(side, step) for step in counted) for side in SIDES)
    numbers = [_seconds(ours), _seconds(theirs), _ratio(theirs / ours), "", _ratio(their_cpu / max(our_cpu, TICK))]
    memory = [f"{our_memory:.0f}", f"{their_memory:.0f}", _ratio(their_memory / our_memory) if our_memory else "-"]
    return ["all (sum, highest)", *numbers, *memory, ""]


def figures(result: Result) -> list[Figure]:
    """What is kept of a run: of each step and of the chain, CPU seconds, their ratio and memory."""
    counted = [step for step in STEPS if step not in ALTERNATIVES]
    cpu = {side: {step: result.cpu_seconds_of(side, step) for step in counted} for side in SIDES}
    ours, theirs = (sum(cpu[side].values()) for side in SIDES)
    our_memory, their_memory = (max(result.memory_of(side, step) for step in counted) for side in SIDES)
    return [
        Figure("chain, CPU against eo-learn", theirs / max(ours, TICK), "x", "more"),
        Figure("chain, memory against eo-learn", their_memory / max(our_memory, 1.0), "x", "more"),
        *[Figure(f"{step}, CPU", cpu["ours"][step], "s") for step in counted],
    ]


def _notes(result: Result) -> str:
    ours, theirs = (result.peak_of(side) for side in SIDES)
    lines = (
        "Seconds are wall time. Ratios are eo-learn over ours: above 1, ours takes less; that of CPU time hardly knows",
        "what else runs on the machine. MB is the peak of resident memory above what the process held, its input among",
        "it, when the step began. The merge is the same eo-learn task on both sides: its ratios show the noise. A",
        "probability at 160 m is what the embedded example uses; it is no part of the sum.",
        f"Whole process at its highest: ours {ours:.0f} MB, eo-learn {theirs:.0f} MB.",
        "",
        f"Not in the table above: the first call in a process, on a corner of {CORNER} pixels (imports, compilation,",
        "loading of weights).",
    )
    return "\n".join(lines)


def _first_rows(result: Result) -> list[list[str]]:
    ours, theirs = (statistics.median(result.imports[side]) for side in SIDES)
    rows = [["first call", "ours s", "eo-learn s"], ["import of the tasks", _seconds(ours), _seconds(theirs)]]
    for step in STEPS:
        first = [result.first_of(side, step) for side in SIDES]
        if max(value or 0.0 for value in first) >= 0.1:
            rows.append([step, *["-" if value is None else _seconds(value) for value in first]])
    return rows


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned markdown: the step and the results to the left, numbers to the right."""
    columns = range(len(rows[0]))
    widths = [max(len(row[column]) for row in rows) for column in columns]
    left = [rows[0][column] in WORDS for column in columns]
    rule = ["-" * width if words else "-" * (width - 1) + ":" for width, words in zip(widths, left, strict=True)]
    lines = [
        [
            text.ljust(width) if words else text.rjust(width)
            for text, width, words in zip(row, widths, left, strict=True)
        ]
        for row in (rows[0], rule, *rows[1:])
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables. 1 when results differ without a reason that is known and checked."""
    options = _parser().parse_args(arguments)
    if options.keep:
        check("land_cover")
    with tempfile.TemporaryDirectory(prefix="eotasks-benchmark-") as folder:
        setup = Setup(
            Path(folder),
            patch_size=options.patch_size,
            patches=options.patches,
            dates=options.dates,
            resolution=options.resolution,
            rounds=options.rounds,
            threads=options.threads,
        )
        try:
            result = run_benchmark(
                setup, repeats=options.repeats, time_limit=options.time_limit or None, on_progress=_tell
            )
        except BenchmarkError as error:
            print(f"\nThe benchmark failed: {error}", file=sys.stderr)
            return 2
    _tell("")
    print(report(result))
    if options.keep:
        print("\n" + keep("land_cover", figures(result)))
    return 0 if all(verdict.explained for verdict in result.verdicts.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="The land-cover chain of our tasks against plain eo-learn tasks, step by step.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--patch-size", type=_positive, default=256, help="pixels of a patch's side")
    parser.add_argument("--patches", type=_positive, default=1, help="patches, side by side")
    parser.add_argument("--dates", type=_positive, default=12, help="acquisitions of the simulated year")
    parser.add_argument("--resolution", type=float, default=20, help="metres of a pixel")
    parser.add_argument("--rounds", type=_positive, default=100, help="rounds of the training")
    parser.add_argument("--repeats", type=_positive, default=3, help="fresh pairs of processes")
    parser.add_argument("--threads", type=_positive, default=1, help="threads of every engine")
    parser.add_argument(
        "--time-limit", type=float, default=160, help="seconds the run may take, at the cost of repeats; 0 for any"
    )
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _tell(message: str) -> None:
    """A line of progress on a terminal, replaced by the next one."""
    if sys.stderr.isatty():
        print(f"\r\033[K{message}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

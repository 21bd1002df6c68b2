"""The multi-temporal cloud model against its original, eo-learn-mask 1.4.2: seconds and equality.

Run it with ``python -m tests.benchmarks.temporal`` (``--help`` for more). Every row has a process of its own; in every
repeat each side is called once, in turns, with as many threads as the other. Look at the ratios: times of a shared
machine mean little by themselves. The original is read from its wheel, which EOTASKS_BENCHMARK_DATA points to.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from eotasks.models.threads import available_cores, thread_environment
from tests.benchmarks.figures import Figure, check, keep
from tests.benchmarks.forest.data import MissingDataError
from tests.benchmarks.temporal.worker import CASES, Long, Measured, measure, measure_long

SPAWN = multiprocessing.get_context("spawn")
LONG_LIMIT = 1500
"""MB that a process with a long series promises to stay below: 70 frames of 500 x 500 pixels, 13 bands of float32."""

Row = Measured | str
"""What was measured, or why nothing was."""


def run(repeats: int, threads: int, *, frames: int | None = None, side: int | None = None) -> dict[str, Row]:
    """Each case in a process of its own."""
    return {case.name: in_process(threads, measure, case, repeats, threads, frames, side) for case in CASES}


def in_process(threads: int, function: Callable[..., Any], *arguments: object) -> Any:
    """What a function gives in a fresh process whose engines are held to a number of threads."""
    kept = dict(os.environ)
    os.environ.update(thread_environment(threads))
    try:
        with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
            return pool.submit(function, *arguments).result()
    except MissingDataError as error:
        return f"not measured: {error}"
    finally:
        os.environ.clear()
        os.environ.update(kept)


def report(rows: dict[str, Row], threads: int) -> str:
    """The table as Markdown."""
    lines = [
        f"Multi-temporal clouds, {threads} threads each, medians.",
        "",
        "| case | input | ours s | original s | ratio | CPU ratio | largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        if isinstance(row, str):
            lines.append(f"| {name} | {row} | | | | | |")
            continue
        ours, theirs = (statistics.median(row.seconds[side]) for side in ("ours", "theirs"))
        ratio, cpu = (_ratio(times) for times in (row.seconds, row.cpu_seconds))
        differences = ", ".join(f"{name} {value:.2g}" for name, value in row.differences.items())
        lines.append(f"| {name} | {row.input} | {ours:.3f} | {theirs:.3f} | {ratio:.1f} | {cpu:.1f} | {differences} |")
    return "\n".join(lines)


def figures(rows: dict[str, Row], threads: int) -> list[Figure]:
    """What is kept of a run: ratios, and seconds of ours."""
    found = []
    for name, row in rows.items():
        if isinstance(row, Measured):
            case = f"{name}, {threads} threads"
            found.append(Figure(f"{case}, against the original", _ratio(row.seconds), "x", "more"))
            found.append(Figure(f"{case}, CPU against the original", _ratio(row.cpu_seconds), "x", "more"))
            found.append(Figure(f"{case}, ours", statistics.median(row.seconds["ours"]), "s"))
    return found


def _ratio(seconds: dict[str, list[float]]) -> float:
    """The original's time over ours, the median of the repeats."""
    return statistics.median(
        theirs / max(ours, 1e-6) for ours, theirs in zip(seconds["ours"], seconds["theirs"], strict=True)
    )


def report_long(long: Long, frames: int, side: int) -> str:
    """A line about the long series."""
    working = long.peak_mb - long.before_mb - long.output_mb
    return (
        f"{frames} frames of {side} x {side}, 13 bands of float32: {long.seconds:.1f} s, process at most"
        f" {long.peak_mb:.0f} MB (promised: below {LONG_LIMIT}), of which input {long.input_mb:.0f}, results"
        f" {long.output_mb:.0f} and work {working:.0f} MB."
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=_positive, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=_positive, default=available_cores(), help="of each side; default: the cores")
    parser.add_argument("--long", type=_positive, metavar="FRAMES", help="also a long series, ours alone: its memory")
    parser.add_argument("--side", type=_positive, default=500, help="pixels of its frames; default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    options = parser.parse_args(arguments)
    if options.keep:
        check("temporal")
    rows = run(options.repeats, options.threads)
    print(report(rows, options.threads))
    if options.keep:
        print("\n" + keep("temporal", figures(rows, options.threads)))
    if options.long:
        long = in_process(options.threads, measure_long, options.long, options.side, options.threads)
        print("\n" + report_long(long, options.long, options.side))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    main()

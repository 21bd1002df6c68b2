"""The forest against LightGBM, and the pixel model against s2cloudless: seconds, memory, equality, threads, first call.

Run it with ``python -m tests.benchmarks.forest`` (``--help`` for more). Every row has a process of its own; in every
repeat each side is called once, in turns, so that noise of the machine meets both alike. Look at the ratios: times of a
shared machine mean little by themselves. Rows whose data is absent say how to get it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from eotasks.models.threads import available_cores, thread_environment
from tests import ROOT
from tests.benchmarks.figures import Figure, check, environment, keep
from tests.benchmarks.forest.cases import CASES, SCALING, Scale
from tests.benchmarks.forest.data import DATA_VARIABLE, MissingDataError
from tests.benchmarks.forest.worker import Measured, measure, measure_scaling

SPAWN = multiprocessing.get_context("spawn")
SCALING_THREADS = (1, 2)
MEMORY_LIMIT = 100
"""MB beyond input and output that the project promises to stay below."""

STARTS = {"ours, cold": "forest", "ours, compiled before": "forest", "LightGBM": "lightgbm"}
START_COLUMNS = ("import", "load", "first", "second")

Row = Measured | str
"""What was measured, or why nothing was."""


def run_rows(
    names: Sequence[str],
    scale: Scale,
    repeats: int,
    *,
    most: float = math.inf,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Row]:
    """Each row in a process of its own, one thread.

    :param most: Seconds of a row after which no repeat begins.
    """
    rows: dict[str, Row] = {}
    for name in names:
        tell(name)
        rows[name] = _in_process(1, measure, name, scale, repeats, most)
    return rows


def run_scaling(scale: Scale, repeats: int, most: float = math.inf) -> Row:
    """One scene with one thread and with more."""
    return _in_process(max(SCALING_THREADS), measure_scaling, scale, repeats, SCALING_THREADS, most)


def run_starts() -> dict[str, dict[str, float]]:
    """Seconds of import, load, first and second call in fresh processes; the first of ours has nothing compiled."""
    from eotasks.models.clouds.pixel import model_path

    times = {}
    with tempfile.TemporaryDirectory(prefix="eotasks-numba-") as cache:
        variables = {**environment(), **thread_environment(1), "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
        for name, engine in STARTS.items():
            command = [sys.executable, "-m", "tests.benchmarks.forest.worker", engine, str(model_path())]
            done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, cwd=ROOT)
            times[name] = json.loads(done.stdout.splitlines()[-1])
    return times


def _in_process(threads: int, function: Callable[..., Measured], *arguments: object) -> Row:
    with _threads(threads), ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except MissingDataError as error:
            return str(error)


@contextlib.contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Processes that start in this block hold every engine to this number of threads, and allocate from one arena."""
    before = dict(os.environ)
    os.environ.update(thread_environment(threads), MALLOC_ARENA_MAX="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def report(rows: dict[str, Row], scaling: Row | None = None, starts: dict[str, dict[str, float]] | None = None) -> str:
    """The tables, as markdown that is readable as plain text."""
    parts = [_heading(rows), _table([_ROW_HEAD, *[_row(name, row) for name, row in rows.items()]]), _notes(rows)]
    if isinstance(scaling, Measured):
        parts += [f"Threads, {SCALING} ({scaling.pixels:,} px):", _table(_scaling_rows(scaling))]
    if starts:
        head = ["a fresh process", *[f"{column} s" for column in START_COLUMNS]]
        lines = [[name, *[f"{times[column]:.3f}" for column in START_COLUMNS]] for name, times in starts.items()]
        parts += ["First prediction with the pixel model (cold: nothing compiled yet):", _table([head, *lines])]
    return "\n\n".join(parts)


def _heading(rows: dict[str, Row]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("lightgbm", "s2cloudless", "numba", "numpy"))
    repeats = max((len(row.ratios) for row in rows.values() if isinstance(row, Measured)), default=0)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"One thread each, medians of {repeats} repeats in turns.\n"
        f"Python {platform.python_version()}, {versions}; {available_cores()} cores, load {load}."
    )


_ROW_HEAD = [
    "input",
    "peer",
    "px",
    "ours s",
    "peer s",
    "ratio",
    "lowest..highest",
    "CPU ratio",
    "at least",
    "MB",
    "peer MB",
    "results",
]


def _row(name: str, row: Row) -> list[str]:
    case = CASES[name]
    at_least = "" if case.at_least is None else f"{case.at_least:g}"
    if isinstance(row, str):
        return [name, case.peer, *["-"] * 6, at_least, "-", "-", "not measured"]
    ours, peer = list(row.seconds)[:2]
    ratio = statistics.median(row.ratios)
    return [
        name,
        case.peer,
        f"{row.pixels:,}",
        f"{row.median(ours):.3f}",
        f"{row.median(peer):.3f}",
        f"{ratio:.1f}",
        f"{min(row.ratios):.1f}..{max(row.ratios):.1f}",
        f"{statistics.median(row.cpu_ratios):.1f}" if row.cpu_ratios else "-",
        at_least if case.at_least is None or ratio >= case.at_least else f"{at_least} missed",
        f"{row.memory_mb[ours]:.0f}",
        f"{row.memory_mb[peer]:.0f}",
        row.results,
    ]


def _notes(rows: dict[str, Row]) -> str:
    lines = [
        "Ratios are the peer's time over ours: the median of the repeats; that of CPU time hardly knows what else runs",
        "on the machine. MB is the peak of resident memory of a call",
        "above what the process held when it began (input and model among it), without the result. Promised:",
        f"at most {MEMORY_LIMIT}.",
        *[f"- {name}: {CASES[name].note}." for name in rows],
        *[f"- {name}: {row}" for name, row in rows.items() if isinstance(row, str)],
    ]
    return "\n".join(lines)


def _scaling_rows(scaling: Measured) -> list[list[str]]:
    names = list(scaling.seconds)
    rows = [["engine", *[f"{number} thread{'s' if number > 1 else ''}, s" for number in SCALING_THREADS], "speed-up"]]
    for position in range(2):
        times = [scaling.median(name) for name in names[position::2]]
        rows.append(
            [names[position].rsplit(" ", 1)[0], *[f"{value:.3f}" for value in times], f"{times[0] / times[-1]:.2f}"]
        )
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned markdown: words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = [head in (rows[0][0], "peer", "results") for head in rows[0]]
    rule = ["-" * width if words else "-" * (width - 1) + ":" for width, words in zip(widths, left, strict=True)]
    return "\n".join(
        "| " + " | ".join(
            text.ljust(width) if words else text.rjust(width)
            for text, width, words in zip(row, widths, left, strict=True)
        ) + " |"
        for row in (rows[0], rule, *rows[1:])
    )  # fmt: skip


def figures(rows: dict[str, Row], starts: dict[str, dict[str, float]] | None = None) -> list[Figure]:
    """What is kept of a run: ratios, nanoseconds a pixel and memory of ours, and seconds of a start."""
    found = []
    for name, row in rows.items():
        if isinstance(row, Measured):
            ours = next(iter(row.seconds))
            found += [
                Figure(f"{name}, against {CASES[name].peer}", statistics.median(row.ratios), "x", "more"),
                *(
                    [Figure(f"{name}, CPU against {CASES[name].peer}", statistics.median(row.cpu_ratios), "x", "more")]
                    if row.cpu_ratios
                    else []
                ),
                Figure(f"{name}, ours", row.median(ours) / row.pixels * 1e9, "ns"),
                Figure(f"{name}, memory", row.memory_mb[ours], "MB"),
            ]
    for name, times in (starts or {}).items():
        found.append(Figure(f"first prediction, {name}", sum(times.values()), "s"))
    return found


def verdict(rows: dict[str, Row]) -> int:
    """1 when results are not as equal as is promised. Times do not count: the machine decides on them too."""
    return int(any(isinstance(row, Measured) and not row.equal for row in rows.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    options = _parser().parse_args(arguments)
    if options.keep:
        check("forest")
    if options.data is not None:
        os.environ[DATA_VARIABLE] = str(options.data.resolve())
    scale = Scale(options.pixels, options.side, options.rounds)
    begun = time.perf_counter()
    rows = run_rows(options.only or list(CASES), scale, options.repeats, most=options.seconds, tell=_tell)
    scaling, starts = None, None
    if not options.only:
        _tell("threads")
        scaling = run_scaling(scale, options.repeats, options.seconds)
        _tell("first calls")
        starts = run_starts()
    _tell("")
    print(report(rows, scaling, starts))
    if options.keep:
        print("\n" + keep("forest", figures(rows, starts)))
    print(f"\nThe whole run took {time.perf_counter() - begun:.0f} s.")
    return verdict(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="The forest against LightGBM, and the pixel model against s2cloudless.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--repeats", type=_positive, default=5, help="calls of each side")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of a row, after which no repeat begins")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    parser.add_argument("--only", action="append", choices=list(CASES), help="a row to measure; may be repeated")
    parser.add_argument("--pixels", type=_positive, help="rows of the input at most")
    parser.add_argument("--side", type=_positive, default=Scale.side, help="pixels of the land-cover patch's side")
    parser.add_argument("--rounds", type=_positive, default=Scale.rounds, help="rounds of the land-cover training")
    parser.add_argument("--data", type=Path, help=f"folder of the source distributions; else {DATA_VARIABLE}")
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

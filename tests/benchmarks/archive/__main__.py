"""Forty full-size products to masks: `eotasks archive build` against a loop of full decode, resize and s2cloudless.

Run it with ``python -m tests.benchmarks.archive`` (``--help`` for more). The tile is that of the imagery benchmark;
products share its pixels on disk, and are of days of their own. Ours is the whole command: it starts, looks for the
products, masks them in warm workers of one thread, one for each core, writes COGs and items, and catalogues them. The
peer is a warm loop in one process that decodes with all cores (`tests.benchmarks.imagery.peer`): what it takes to start
does not count, and so that it ends, it gets fewer products, half before ours and half after. Look at the ratios:
times of a shared machine mean little by themselves. Memory is the highest of a worker while a product was made, as the
kernel counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eotasks.models.threads import available_cores
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import iter_events
from tests.benchmarks.archive.family import Run, run
from tests.benchmarks.archive.tiles import add_products
from tests.benchmarks.figures import Figure, check, keep
from tests.benchmarks.imagery.__main__ import SPAWN, add_tile_options
from tests.builders.tile import build_tile

WANTED_RATIO, WANTED_MEGABYTES, WANTED_GROWTH = 20.0, 500.0, 0.1


@dataclass(frozen=True)
class Product:
    """What one took."""

    seconds: float
    cpu_seconds: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What came out."""

    ours: Run
    made: Sequence[Product]
    """By the archive, in the order in which they were ready."""

    peer: Sequence[Product]
    workers: int

    @property
    def ratio(self) -> float:
        """How many times the peer's wall clock of a product ours is."""
        return _mean([each.seconds for each in self.peer]) / (self.ours.seconds / len(self.made))

    @property
    def cpu_ratio(self) -> float:
        """The same of CPU seconds."""
        return _mean([each.cpu_seconds or 0.0 for each in self.peer]) / (self.ours.cpu_seconds / len(self.made))

    @property
    def peaks(self) -> list[float]:
        """Megabytes of workers, in the order in which products were ready."""
        return [each.megabytes for each in self.made if each.megabytes is not None]

    @property
    def growth(self) -> float:
        """By how much of it memory grows from the first quarter of the products to the last."""
        peaks = self.peaks
        part = max(len(peaks) // 4, 1)
        return max(peaks[-part:]) / max(peaks[:part]) - 1


def build(source: Path, out: Path, workers: int) -> tuple[Run, list[Product]]:
    """The command of this project, and what its manifest says of each product.

    :raises RuntimeError: when it fails.
    """
    command = [sys.executable, "-m", "eotasks.workflows.cli", "archive", "build", str(source), "--out", str(out)]
    took = run([*command, "--workers", str(workers), "--threads", "1", "--json"])
    outcomes = [event.outcome for event in iter_events(Place(out)) if event.outcome is not None]
    return took, [
        Product(each.seconds, megabytes=max(each.peak_memory_mb_by_step.values(), default=None))
        for each in outcomes
        if each.state == "done"
    ]


def loop(products: Sequence[Path], out: Path) -> list[Product]:
    """What users do.

    :raises RuntimeError: when it fails.
    """
    if not products:
        return []
    said = run([sys.executable, "-m", "tests.benchmarks.imagery.peer", *map(str, products), str(out)])
    return [Product(**json.loads(line)) for line in said.output.splitlines() if line.startswith("{")]


def compare(tile: Path, folder: Path, count: int, peers: int, workers: int) -> Comparison:
    """Both sides in one run."""
    products = add_products(tile, folder / "source", count)
    before = peers - peers // 2
    _tell(f"the loop: {before} products")
    theirs = loop(products[:before], folder / "peer")
    _tell(f"the archive: {count} products")
    ours, made = build(folder / "source", folder / "out", workers)
    if len(made) != count:
        raise RuntimeError(f"{len(made)} of {count} products were made: {ours.output[-2000:]}")
    _tell(f"the loop: {peers - before} products")
    theirs += loop(products[before:peers], folder / "peer")
    return Comparison(ours, made, theirs, workers)


def report(found: Comparison) -> str:
    """The tables as text."""
    count = len(found.made)
    rows = [
        (f"eotasks archive build, {found.workers} workers", count, found.ours.seconds / count,
         found.ours.cpu_seconds / count, f"{found.ratio:.1f}x", f"{found.cpu_ratio:.1f}x"),
        ("full decode + resize + s2cloudless", len(found.peer), _mean([each.seconds for each in found.peer]),
         _mean([each.cpu_seconds or 0.0 for each in found.peer]), "", ""),
    ]  # fmt: skip
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    machine = platform.processor() or platform.machine()
    lines = [f"{machine}, {available_cores()} cores{load}, Python {platform.python_version()}", ""]
    lines += [f"{'':36}{'products':>10}{'wall s each':>13}{'CPU s each':>12}{'wall':>8}{'CPU':>8}"]
    lines += [
        f"{name:36}{number:10d}{wall:13.2f}{cpu:12.2f}{ratio:>8}{of_cpu:>8}"
        for name, number, wall, cpu, ratio, of_cpu in rows
    ]
    peaks = found.peaks
    if peaks:
        shown = sorted({0, *range(count // 4 - 1, count, max(count // 4, 1)), count - 1} & set(range(len(peaks))))
        lines += ["", "memory of the worker, MB, while a product was made"]
        lines += [f"{'product':>10}" + "".join(f"{index + 1:8d}" for index in shown) + f"{'highest':>10}"]
        lines += [f"{'':10}" + "".join(f"{peaks[index]:8.0f}" for index in shown) + f"{max(peaks):10.0f}"]
    return "\n".join(lines)


def verdict(found: Comparison) -> list[str]:
    """What misses its target; empty when nothing does."""
    missed = []
    if found.ratio < WANTED_RATIO:
        missed.append(f"{found.ratio:.1f} times as fast, wanted {WANTED_RATIO:g}")
    if found.peaks and max(found.peaks) > WANTED_MEGABYTES:
        missed.append(f"{max(found.peaks):.0f} MB in a worker, wanted {WANTED_MEGABYTES:g}")
    if found.peaks and found.growth > WANTED_GROWTH:
        missed.append(f"memory grows by {found.growth:.0%}, wanted {WANTED_GROWTH:.0%} at most")
    return missed


def figures(found: Comparison) -> list[Figure]:
    """What is kept of a run."""
    count = len(found.made)
    kept = [
        Figure("archive, against the peer", found.ratio, "x", "more"),
        Figure("archive, against the peer, CPU", found.cpu_ratio, "x", "more"),
        Figure("archive, CPU of a product", found.ours.cpu_seconds / count, "s"),
        Figure("archive, wall clock of a product", found.ours.seconds / count, "s"),
    ]
    return [*kept, Figure("archive, memory of a worker", max(found.peaks), "MB")] if found.peaks else kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    if options.keep:
        check("archive")
    side = (options.pixels, options.pixels)
    tiles = Path(options.folder)
    tiles.mkdir(parents=True, exist_ok=True)
    _tell(f"tile in {tiles}")
    with ProcessPoolExecutor(1, mp_context=SPAWN) as builder:  # elsewhere: it takes 1.4 GB
        tile = builder.submit(build_tile, tiles / f"tile-{options.pixels}", pixels=side).result()
    folder = Path(tempfile.mkdtemp(prefix="archive-", dir=tiles))  # beside the tile, for links to its files
    try:
        found = compare(tile, folder, options.count, options.peer, options.workers)
    finally:
        shutil.rmtree(folder)
    print(report(found))
    if options.keep:
        print("\n" + keep("archive", figures(found)))
    missed = verdict(found)
    print("\n" + ("Targets missed: " + "; ".join(missed) if missed else "All targets are met."))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tile_options(parser)
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    parser.add_argument("--count", type=_positive, default=40, help="products of the archive (40)")
    parser.add_argument("--peer", type=_positive, default=2, help="of these, how many the loop gets (2)")
    parser.add_argument("--workers", type=_positive, default=available_cores(), help="of the archive (the cores)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

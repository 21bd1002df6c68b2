"""Full-size products behind a web server that takes its time: what `eotasks archive` fetches, and how long it waits.

Run it with ``python -m tests.benchmarks.archive.web`` (``--help`` for more). Each answer of the server, which runs on
loopback in a process of its own, comes after ``--pause`` seconds. First `eotasks archive plan` measures some of the
products one after the other, each read before it is computed: that is the peer. Then `eotasks archive build` makes all
of them with one worker, which reads the next product while it computes one. ``--figures FILE`` keeps what the plan has
measured, for ``eotasks archive plan --assume FILE`` (docs/archive-at-scale.md).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.archive.family import run
from tests.benchmarks.archive.tiles import add_products
from tests.benchmarks.imagery.__main__ import add_tile_options
from tests.builders.tile import build_tile
from tests.servers.counting import counting_server

COMMAND = [sys.executable, "-m", "eotasks.workflows.cli"]
OWN_SERVER = ("EOTASKS_ALLOWED_HOSTS", "127.0.0.1")
WANTED_MEGABYTES = 26.0
"""Of a product of full size, by what was measured of a prototype."""


@dataclass(frozen=True)
class WebRun:
    """What came out."""

    plan: dict[str, Any]
    """"figures" of the plan: means of one product."""

    seconds: float
    """Of a product, of the whole command that builds."""

    megabytes: float
    requests: float
    most_at_once: int
    peaks: Sequence[float]
    """Memory of the worker in MB, by product."""

    def report(self) -> str:
        """As text."""
        plan = self.plan["figures"]
        took = f"{plan['seconds']:.1f} s a product, {plan['core_seconds']:.1f} of CPU"
        fetched = f"{plan['bytes_read'] / 1e6:.1f} MB by {plan['requests']:.0f} requests"
        built = f"{self.megabytes:.1f} MB by {self.requests:.0f} requests, {self.most_at_once} at once at most"
        lines = [
            f"one after the other (plan)  {took}, {fetched}, {plan['bytes_written'] / 1e3:.0f} kB written",
            f"one worker (build)          {self.seconds:.1f} s a product, {built}",
            f"reading ahead               {plan['seconds'] / self.seconds:.2f} x",
            f"memory of the worker, MB    {', '.join(f'{peak:.0f}' for peak in self.peaks)}",
        ]
        return "\n".join(lines)


def measure(tile: Path, folder: Path, count: int, pause: float) -> WebRun:
    """Plan and build.

    :raises RuntimeError: when a command fails.
    """
    from eotasks.storage.place import Place
    from eotasks.workflows.batch.manifest import iter_events

    products = add_products(tile, folder / "source", count)
    catalogue, out = str(folder / "source.parquet"), folder / "out"
    with _server(folder / "source", pause) as (address, counts):
        run([*COMMAND, "catalogue", "add", *(f"{address}/{each.name}" for each in products), "--catalogue", catalogue])
        said = run([*COMMAND, "archive", "plan", catalogue, "--json"]).output
        plan = json.loads(said[said.index("{") :])
        counts()
        built = run([*COMMAND, "archive", "build", catalogue, "--out", str(out), "--workers", "1", "--threads", "1"])
        sent, requests, most = counts()
    outcomes = [event.outcome for event in iter_events(Place(out)) if event.outcome is not None]
    peaks = [max(each.peak_memory_mb_by_step.values(), default=0.0) for each in outcomes]
    return WebRun(plan, built.seconds / count, sent / count / 1e6, requests / count, most, peaks)


@contextmanager
def _server(root: Path, pause: float) -> Iterator[tuple[str, Any]]:
    """A server of a folder in a process of its own: its address, and what tells bytes, requests and how many of them at
    once there were since it was asked last.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, root, pause), daemon=True)
    process.start()

    def counts() -> Any:
        ours.send("counts")
        return ours.recv()

    try:
        yield ours.recv(), counts
    finally:
        process.kill()
        process.join()


def _serve(connection: Connection, root: Path, pause: float) -> None:
    with counting_server(root) as counts:
        counts.pause = pause
        connection.send(counts.url)
        while connection.recv():
            connection.send((counts.sent, sum(size > 0 for _, size in counts.requests), counts.most_at_once))
            counts.clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when more is fetched than was to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tile_options(parser)
    parser.add_argument("--count", type=int, default=6, help="products (6)")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds before each answer (0.03)")
    parser.add_argument("--figures", metavar="FILE", help="keep what the plan has measured")
    options = parser.parse_args(arguments)
    os.environ[OWN_SERVER[0]] = OWN_SERVER[1]
    tiles = Path(options.folder)
    tile = build_tile(tiles / f"tile-{options.pixels}", pixels=(options.pixels, options.pixels))
    folder = Path(tempfile.mkdtemp(prefix="web-", dir=tiles))  # beside the tile, for links to its files
    try:
        found = measure(tile, folder, options.count, options.pause)
    finally:
        shutil.rmtree(folder)
    if options.figures:
        Path(options.figures).write_text(json.dumps(found.plan["figures"], indent=1) + "\n", encoding="utf-8")
    print(found.report())
    return int(found.megabytes > WANTED_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())

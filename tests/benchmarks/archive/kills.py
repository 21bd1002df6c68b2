"""Builders of an archive, their workers and the S3 server are killed: nothing is lost or half-written.

``python -m tests.benchmarks.archive.kills [--kills 50] [--place disk|s3|both]`` prints a table; any fault is an error.
`kill -9` hits the builder or a process below it, chosen at random, at a random moment: while it starts and looks for
its source, while products are masked, while the catalogue is written. After each builder that was killed every item
that is there is compared with its files, size and checksum. A builder that has done all makes it all anew
(``--overwrite``) under the next kills. On S3 the server is killed twice meanwhile, and comes back after two seconds. In
the end one undisturbed run of the command has to finish the work, and images, items and rows of the catalogue have to
be, byte by byte, those of an archive that nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from eotasks.catalogue.store import Catalogue
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import iter_events
from eotasks.workflows.cloud_archive.item import checksum_of, files_of_item, parse_item
from tests import ROOT
from tests.builders.clouds.archives import add_product, build
from tests.servers.s3 import S3Server, running_server

PRODUCTS = 120
_WORKING = 1e8
"""Bytes of a worker that has loaded what it needs."""

_OUTAGE = 2.0
_MOMENTS = 4.0
"""Seconds within which the next kill comes, once a product is ready, or a worker."""


@dataclass
class Outcome:
    """What came of the kills of one place."""

    place: str
    kills: Counter[str] = field(default_factory=Counter)
    """By what was killed: "builder", "worker", "S3 server"."""

    runs: int = 0
    """Of the command."""

    complete: int = 0
    """Of these, that ended well."""

    faults: list[str] = field(default_factory=list)
    products: int = 0
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        """Builders and workers."""
        return self.kills["builder"] + self.kills["worker"]

    def row(self) -> str:
        """One line of the table."""
        found = f"{len(self.faults)}: {self.faults[0]}" if self.faults else "none"
        return (
            f"{self.place:6}{self.kills['builder']:10}{self.kills['worker']:9}{self.kills['S3 server']:8}{self.runs:7}"
            f"{self.products:10}{self.seconds:9.0f}  {found}"
        )


def add_products(source: Path, count: int) -> None:
    """Small products of one tile, a day from each to the next."""
    for number in range(count):
        day = dt.datetime(2017, 2, 16, 10, 21, 1) + dt.timedelta(days=number)  # noqa: DTZ001
        add_product(source, f"P{number:03}", sidecar={"time": day.isoformat()})


@contextlib.contextmanager
def builder(source: Path, place: Place, *, anew: bool) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which is gone at the end, with its workers."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "eotasks.workflows.cli", "archive", "build", str(source), "--out", str(place)]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--threads", "1", *(["--overwrite"] if anew else [])],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        family = _below(process)
        process.kill()
        for child in family:
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.communicate(timeout=60)


def disturb(
    source: Path, place: Place, expected: dict[str, str], kills: int, *, server: S3Server | None = None, seed: int = 5
) -> Outcome:
    """Kills until it was often enough, then lets the command finish.

    :param expected: Of :func:`contents`, of an archive that nobody disturbed.
    :param server: Is killed twice.
    """
    outcome, chance, started = Outcome("disk" if place.is_local else "S3"), random.Random(seed), time.monotonic()
    outages = [] if server is None else [kills // 3, 2 * kills // 3]
    anew = False
    while outcome.killed < kills:
        outcome.runs += 1
        with builder(source, place, anew=anew) as process:
            while process.poll() is None and outcome.killed < kills:
                _wait_for_a_moment(process, place, chance)
                if server is not None and outages and outcome.killed >= outages[0]:
                    outages.pop(0)
                    outcome.kills["S3 server"] += 1
                    server.kill()
                    time.sleep(_OUTAGE)
                    server.restart()
                if not _kill_one(process, chance, outcome):
                    break
            anew = process.poll() == 0
            outcome.complete += anew
        outcome.faults += half_written(place)
    for _ in range(2):  # a lease of a builder that was killed on another machine would have to end; here none does
        outcome.runs += 1
        with builder(source, place, anew=False) as process:
            said, _ = process.communicate(timeout=900)
        if process.returncode == 0:
            break
    if process.returncode:
        outcome.faults.append(f"the last run ended with {process.returncode}: {said[-500:]}")
    found = contents(place)
    outcome.products = sum(name.startswith("row ") for name in found)
    outcome.faults += [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    outcome.faults += [f"{name} should not be there" for name in sorted(found.keys() - expected.keys())]
    outcome.faults += [
        f"{name} differs" for name in sorted(expected) if found.get(name, expected[name]) != expected[name]
    ]
    outcome.seconds = time.monotonic() - started
    return outcome


def contents(place: Place) -> dict[str, str]:
    """Digests of the images and items of an archive by their paths, and of the rows of its catalogue."""
    found = {
        path: hashlib.sha256(place.read_bytes(f"masks/{path}")).hexdigest()
        for path in place.files("masks")
        if path.endswith((".tif", ".json"))
    }
    catalogue = Catalogue(f"{place}/catalogue.parquet")
    for item in catalogue.search() if catalogue.exists() else []:
        masks = [(kind, item.assets[kind].href.removeprefix(f"{place}/")) for kind in ("CLP", "CLM")]
        found[f"row {item.id}"] = f"{item.datetime} {masks}"
    return found


def half_written(place: Place) -> list[str]:
    """Items that name files that are not whole, and items that are not whole themselves."""
    faults = []
    for path in [path for path in place.files("masks") if path.endswith(".json")]:
        folder, _, name = f"masks/{path}".rpartition("/")
        try:
            item = parse_item(place.read_bytes(f"{folder}/{name}"), path)
            for file in files_of_item(item, path).values():
                data = place.read_bytes(f"{folder}/{file.name}")
                if checksum_of(hashlib.sha256(data).hexdigest()) != file.checksum or len(data) != file.size:
                    faults.append(f"{path}: {file.name} is half-written")
        except StorageError as error:
            faults.append(f"{path}: {error}")
    return faults


def run_on_disk(kills: int, products: int = PRODUCTS) -> Outcome:
    """Kills builders of an archive in a folder."""
    with tempfile.TemporaryDirectory(prefix="eotasks-kills-") as name:
        folder = Path(name)
        add_products(folder / "source", products)
        build(folder / "source", folder / "expected")
        return disturb(folder / "source", Place(folder / "out"), contents(Place(folder / "expected")), kills)


def run_on_s3(server: S3Server, kills: int, products: int = PRODUCTS) -> Outcome:
    """Kills builders of an archive in a bucket, and its server."""
    with tempfile.TemporaryDirectory(prefix="eotasks-kills-") as name, pytest.MonkeyPatch.context() as patch:
        for key, value in server.environment.items():
            patch.setenv(key, value)
        folder = Path(name)
        add_products(folder / "source", products)
        build(folder / "source", folder / "expected")
        expected = contents(Place(folder / "expected"))
        return disturb(folder / "source", Place(server.location()), expected, kills, server=server)


def main() -> int:
    """Run what is asked for and print it; 1 when there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of builders and workers, in all (50)")
    parser.add_argument("--products", type=int, default=PRODUCTS, help=f"of the archive ({PRODUCTS})")
    parser.add_argument("--place", choices=["disk", "s3", "both"], default="both")
    arguments = parser.parse_args()
    both = arguments.place == "both"
    outcomes: list[Outcome] = []
    print(f"{'':6}{'builders':>10}{'workers':>9}{'servers':>8}{'runs':>7}{'products':>10}{'s':>9}  faults", flush=True)
    if arguments.place != "s3":
        outcomes.append(run_on_disk(arguments.kills // 2 if both else arguments.kills, arguments.products))
        print(outcomes[-1].row(), flush=True)
    if arguments.place != "disk":
        with tempfile.TemporaryDirectory(prefix="eotasks-kills-") as folder, running_server(Path(folder)) as server:
            left = arguments.kills - arguments.kills // 2 if both else arguments.kills
            outcomes.append(run_on_s3(server, left, arguments.products))
        print(outcomes[-1].row(), flush=True)
    return int(any(outcome.faults for outcome in outcomes))


def _kill_one(process: subprocess.Popen[str], chance: random.Random, outcome: Outcome) -> bool:
    """Kills the builder or one of its workers; whether the builder goes on."""
    workers = [each for each in _below(process) if _memory(each) > _WORKING]
    if workers and chance.random() < 0.6:
        with contextlib.suppress(psutil.Error):
            chance.choice(workers).kill()
            outcome.kills["worker"] += 1
        return True
    if process.poll() is None:
        process.kill()
        outcome.kills["builder"] += 1
    return False


def _wait_for_a_moment(process: subprocess.Popen[str], place: Place, chance: random.Random) -> None:
    """Mostly until one more product is ready, however long that takes on a busy machine; else until there is a worker,
    or not at all; and some seconds more.
    """
    what, before = chance.random(), _ready(place)
    while process.poll() is None:
        has_worker = any(_memory(each) > _WORKING for each in _below(process))
        if what < 0.1 or (what < 0.3 and has_worker) or _ready(place) > before:
            break
        time.sleep(0.2)
    time.sleep(chance.uniform(0, _MOMENTS))


def _ready(place: Place) -> int:
    """Products that were made so far, some of them more than once."""
    try:
        return sum(event.outcome is not None for event in iter_events(place))
    except StorageError:  # the server is away
        return 0


def _below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def _memory(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(process.memory_info().rss)
    return 0.0


if __name__ == "__main__":
    sys.exit(main())

"""Savers of one EOPatch are killed at any moment: what readers find then, on disk and on S3.

``python -m tests.benchmarks.killed_saves [--kills 200] [--place disk|s3|both]`` prints a table; any fault is an error.
Each patch differs from the others in values, features and number of frames, so that a mixture of two is none of them.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.connection import Connection

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import is_complete, load_eopatch
from eotasks.eopatches.save import complete_save, save_eopatch
from eotasks.storage.place import Place
from tests.servers.s3 import S3Server, running_server

NAME = "patch"
_FIRST_SAVES = 8
"""Each so many kills there is another patch, of which nothing is there."""

_LONGEST = 30.0
"""Seconds that a save is taken for at most: on a machine that is overloaded none may come to its end for long."""


def make_patch(number: int) -> EOPatch:
    """The patch of a number."""
    frames = 2 + number % 3
    times = [datetime(2020, 1, 1) + timedelta(days=number + day) for day in range(frames)]  # noqa: DTZ001
    patch = EOPatch(bbox=BBox((number, 0, number + 640, 640), CRS(32633)), timestamps=times)
    random_numbers = np.random.default_rng(number)
    patch[FeatureType.DATA, "BANDS"] = random_numbers.random((frames, 64, 64, 3), dtype=np.float32)
    patch[FeatureType.MASK_TIMELESS, "LULC"] = random_numbers.integers(0, 9, (64, 64, 1), dtype=np.uint8)
    patch[FeatureType.META_INFO, "NUMBER"] = number
    if number % 2:
        patch[FeatureType.DATA, "NDVI"] = random_numbers.random((frames, 64, 64, 1), dtype=np.float32)
    else:
        patch[FeatureType.LABEL, "CLASSES"] = random_numbers.integers(0, 9, (frames, 2))
    return patch


def save_for_ever(location: str, name: str, first: int, said: Connection) -> None:
    """What is killed: saves one patch after the other and says which are saved."""
    place = Place(location)
    said.send(first - 1)
    for number in itertools.count(first):
        save_eopatch(place, name, make_patch(number))
        said.send(number)


@dataclass
class Outcome:
    """What was found after the kills of one place."""

    kills: int = 0
    reads: int = 0
    """Of our readers while the saver was at work."""

    saves: int = 0
    plain: Counter[str] = field(default_factory=Counter)
    """What eo-learn found after each kill: whole, refused, absent."""

    ended: int = 0
    """Saves that somebody had to end."""

    faults: list[str] = field(default_factory=list)


def number_of(patch: EOPatch) -> int | None:
    """Of a whole patch; None of any other."""
    number = patch.meta_info["NUMBER"]
    return number if patch == make_patch(number) else None


def run(location: str, kills: int, seed: int = 0) -> Outcome:
    """Kills so many savers; after Ctrl-C, those that were killed until then count."""
    outcome = Outcome()
    with contextlib.suppress(KeyboardInterrupt):
        _kill(location, kills, random.Random(seed), outcome)
    return outcome


def _kill(location: str, kills: int, chance: random.Random, outcome: Outcome) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.killed_saves"])  # by name: run as a program, it has another one
    place, number, duration, saved = Place(location), 1, 0.1, 0
    for kill in range(kills):
        name, is_first = f"{NAME}-{kill // _FIRST_SAVES}", kill % _FIRST_SAVES == 0
        here, there = context.Pipe(duplex=False)
        saver = context.Process(target=save_for_ever, args=(location, name, number, there), daemon=True)
        saver.start()
        there.close()
        here.recv()  # it is there
        with _reading(place, name, outcome, absent=is_first):
            begun = time.monotonic()
            saver.join(chance.uniform(0, 2 * min(duration, _LONGEST)))  # less where it died of itself, as it says then
            saver.kill()
            saver.join()
            spent = time.monotonic() - begun
        count = 0
        with contextlib.suppress(EOFError):
            while here.poll(0):
                saved, count = here.recv(), count + 1
        here.close()
        duration = 0.7 * duration + 0.3 * spent / count if count else 1.2 * duration
        outcome.kills, outcome.saves = outcome.kills + 1, outcome.saves + count
        _check(place, name, saved, outcome, absent=is_first and not count, by_clean=kill % 2 == 0)
        number = saved + 5


@contextlib.contextmanager
def _reading(place: Place, name: str, outcome: Outcome, *, absent: bool) -> Iterator[None]:
    """Our reader reads all the while; each time a whole patch, and never an older one than before."""
    over = threading.Event()

    def read() -> None:
        last = 0
        while not over.is_set():
            try:
                if absent and not is_complete(place, name):
                    continue
                number = number_of(load_eopatch(place, name))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault
                outcome.faults.append(f"{place}/{name}: while it was saved: {type(error).__name__}: {error}")
                return
            outcome.reads += 1
            if number is None or number < last:
                outcome.faults.append(f"{place}/{name}: {number} was read while it was saved, after {last}")
            last = number or last

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def _check(place: Place, name: str, saved: int, outcome: Outcome, *, absent: bool, by_clean: bool) -> None:
    """After a kill: our reader, eo-learn as it is, and eo-learn when the save has been ended."""
    if absent and not is_complete(place, name):
        if place.exists(name) and _plain(place, name) != "refused":
            outcome.faults.append(
                f"{place}/{name}: eo-learn found {_plain(place, name)} of a first save that was killed"
            )
        clean(place, unfinished_after=timedelta(minutes=-1))
        if place.files(name):
            outcome.faults.append(f"{place}/{name}: clean left {sorted(place.files(name))}")
        outcome.plain["absent"] += 1
        save_eopatch(place, name, make_patch(saved + 1))
        return
    number = number_of(load_eopatch(place, name))
    if number is None or number < saved:
        outcome.faults.append(f"{place}/{name}: {number} after the kill, and {saved} was saved")
    found = _plain(place, name)
    outcome.plain[found if isinstance(found, str) else "whole"] += 1
    if found is None or (isinstance(found, int) and place.is_local and found != number):
        outcome.faults.append(f"{place}/{name}: eo-learn found {found} after the kill, we {number}")
    if found != number:
        outcome.ended += 1
        if by_clean:
            clean(place, unfinished_after=timedelta(minutes=-1))
        else:
            complete_save(place, name)
    again = number_of(load_eopatch(place, name))
    if not _plain(place, name) == again == number:
        outcome.faults.append(f"{place}/{name}: at rest eo-learn finds {_plain(place, name)}, we {again} of {number}")


def _plain(place: Place, name: str) -> int | str | None:
    try:
        return number_of(EOPatch.load(f"{place}/{name}"))
    except ValueError as error:
        if "being saved" not in str(error):
            raise
        return "refused"


def run_on_disk(kills: int, seed: int = 0) -> Outcome:
    """In a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="killed-saves-") as folder:
        return run(folder, kills, seed)


def run_on_s3(server: S3Server, kills: int, seed: int = 0) -> Outcome:
    """In the bucket of a server; the environment has to point at it."""
    return run(server.location(), kills, seed)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--place", choices=["disk", "s3", "both"], default="both")
    arguments = parser.parse_args()
    print("| place | kills | saves | our reads meanwhile | eo-learn right after | ended | faults |")
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: |")
    for kind in ("disk", "s3") if arguments.place == "both" else (arguments.place,):
        with contextlib.ExitStack() as stack:
            if kind == "disk":
                outcome = run_on_disk(arguments.kills, arguments.seed)
            else:
                server = stack.enter_context(running_server())
                patched = stack.enter_context(pytest.MonkeyPatch.context())
                for name, value in server.environment.items():
                    patched.setenv(name, value)
                outcome = run_on_s3(server, arguments.kills, arguments.seed)
        found = ", ".join(f"{number} {what}" for what, number in outcome.plain.most_common())
        counts = f"{outcome.kills} | {outcome.saves} | {outcome.reads} | {found} | {outcome.ended}"
        print(f"| {kind} | {counts} | {len(outcome.faults)} |", flush=True)
        print(*outcome.faults[:10], sep="\n")


if __name__ == "__main__":
    main()

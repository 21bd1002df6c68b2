"""The batch of the chaos trial: its tasks, and the program that is killed at. Run by ``chaos.py``."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import logging
import sys
import time

import numpy as np
from eolearn.core import EONode, EOPatch, EOTask, EOWorkflow, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches.load import is_complete, load_eopatch
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.storage.place import Place
from eotasks.workflows.batch.run import BatchResult, run_batch

STAGE = "chaos"
SHAPE = (4, 64, 64, 3)


class SimulateTask(EOTask):
    """Makes an EOPatch of simulated values from a seed."""

    def execute(self, *, seed: int) -> EOPatch:
        start = dt.datetime(2026, 1, 1)  # noqa: DTZ001  # eo-learn's times are naive
        times = [start + dt.timedelta(days=10 * index) for index in range(SHAPE[0])]
        east = 500_000 + 640 * seed
        eopatch = EOPatch(bbox=BBox((east, 5_100_000, east + 640, 5_100_640), CRS("32633")), timestamps=times)
        values = np.random.default_rng(seed).random(SHAPE, dtype=np.float32)
        eopatch[FeatureType.DATA, "BANDS"] = values
        return eopatch


class WorkTask(EOTask):
    """Takes its time, then adds a feature.

    :param seconds: How long it takes at least.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def execute(self, eopatch: EOPatch) -> EOPatch:
        time.sleep(self.seconds)
        eopatch[FeatureType.DATA_TIMELESS, "MEDIAN"] = np.median(eopatch[FeatureType.DATA, "BANDS"], axis=0)
        return eopatch


def run_chaos_batch(place: Place, *, patches: int, seconds: float, executor: str, workers: int) -> BatchResult:
    """Simulates, works and saves; repeated, it does what is missing by its manifest."""
    simulate = EONode(SimulateTask(), name="Simulate")
    work = EONode(WorkTask(seconds), inputs=[simulate], name="Work")
    save = EONode(SaveEOPatchTask(place.child("patches")), inputs=[work], name="Save")
    names = patch_names(patches)
    arguments: dict[str, dict[EONode, dict[str, object]]] = {
        name: {simulate: {"seed": seed}, save: {"name": name}} for seed, name in enumerate(names)
    }
    return run_batch(
        EOWorkflow([simulate, work, save]),
        arguments,
        executor=executor,  # type: ignore[arg-type]  # a word of the command line; run_batch checks it
        workers=workers,
        threads=1,
        place=place,
        stage=STAGE,
    )


def patch_names(patches: int) -> list[str]:
    """Names of the patches."""
    return [f"eopatch_{index:03d}" for index in range(patches)]


def digests(place: Place, patches: int) -> dict[str, str]:
    """A digest of every array, time and box of each patch that is there.

    :raises StorageError: when one is damaged.
    """
    found = {}
    for name in patch_names(patches):
        if not is_complete(place.child("patches"), name):
            continue
        eopatch = load_eopatch(place.child("patches"), name)
        digest = hashlib.sha256(f"{eopatch.bbox!r} {eopatch.timestamps!r}".encode())
        for feature in ((FeatureType.DATA, "BANDS"), (FeatureType.DATA_TIMELESS, "MEDIAN")):
            digest.update(np.ascontiguousarray(eopatch[feature]).tobytes())
        found[name] = digest.hexdigest()
    return found


def main() -> int:
    """Run the batch and print what came out as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place")
    parser.add_argument("--patches", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--executor", default="processes")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    result = run_chaos_batch(
        Place(arguments.place),
        patches=arguments.patches,
        seconds=arguments.seconds,
        executor=arguments.executor,
        workers=arguments.workers,
    )
    told = {
        "done": len(result.done),
        "skipped": len(result.skipped),
        "failed": {outcome.name: f"{outcome.state}: {outcome.error}" for outcome in result.failed},
        "attempts": max(outcome.attempts for outcome in result.outcomes),
        "seconds": round(result.seconds, 1),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())

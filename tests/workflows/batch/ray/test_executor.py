"""Batches on Ray: a cluster of our own, one that runs already, workers that are killed."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from eolearn.core import EONode, EOTask, EOWorkflow

from eotasks.errors import BatchError, ConfigurationError, PatchFailedWarning, StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import (
    LOGGED,
    AllocateTask,
    CallTask,
    Unrebuildable,
    UnrebuildableTask,
    WriteFactsTask,
)
from tests.builders.batches import behaving, facts, facts_batch, faulty, hanging, read_events, run_failing_batch, states

ray = pytest.importorskip("ray", reason="Ray is not installed (eotasks[ray])")

from eolearn.core.extra.ray import RayExecutor  # noqa: E402  # needs Ray

from eotasks.workflows.batch.ray import cluster as ray_cluster  # noqa: E402  # the same
from eotasks.workflows.batch.ray import executor as ray_backend  # noqa: E402  # the same
from eotasks.workflows.batch.ray.cluster import Node, Request  # noqa: E402  # the same
from eotasks.workflows.batch.ray.executor import ClusterCapacity, RayWorkerExecutor, shares  # noqa: E402  # the same


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of our own with two CPUs."""
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED")}
    with ray_cluster.ray_cluster("local", cpus=2):
        yield
    for name, value in before.items():  # Ray sets them in this process
        os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def ray_workers() -> list[psutil.Process]:
    """Processes of actors of ours."""
    return [process for process in descendants() if "ray::RayWorker" in " ".join(command_line(process))]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def eventually(condition: Callable[[], bool], seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.usefixtures("cluster")
def test_the_cluster_of_our_own_listens_on_loopback_only() -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in [psutil.Process(), *descendants()]
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    assert [node.name for node in ray_cluster.nodes()] == ["127.0.0.1"]
    assert ray_cluster.is_local_cluster()


@pytest.mark.usefixtures("cluster")
def test_failures_are_named_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workflow, patches = behaving("a", "value_error", "killed", "own_error", "unpicklable_error", "noisy", "b")
    with caplog.at_level(logging.WARNING):
        result = run_failing_batch(workflow, patches, executor="ray", workers=2, place=Place(tmp_path), stage="test")
    assert [outcome.name for outcome in result.outcomes] == list(patches)
    assert result.done == ["a", "noisy", "b"]
    assert (result.quarantined, result.exit_code) == (["killed"], 1)
    assert (result.workers, result.threads) == (2, 1)
    errors = {outcome.name: outcome.error for outcome in result.failed}
    assert {outcome.error_step for outcome in result.failed} == {"Behave"}  # of the killed one too
    assert errors["value_error"] == "ValueError: two lines"
    assert errors["own_error"] == "BANDS of p7: raw DN. Divide."
    assert "stubborn" in str(errors["unpicklable_error"])
    assert "its process was killed or crashed" in str(errors["killed"])
    assert {outcome.name: outcome.attempts for outcome in result.outcomes}["killed"] == 3
    assert "raise ValueError" in str(result.outcomes[1].traceback)
    assert [list(result.outcomes[0].seconds_by_step)] == [["Behave", "PassOnTask"]]
    assert all(peak > 50 for peak in result.outcomes[0].peak_memory_mb_by_step.values())
    assert "said in noisy" in [record.getMessage() for record in caplog.records]
    lost = [event for event in read_events(Place(tmp_path)) if event.kind == "lost"]
    assert [(event.name, event.facts["attempts"]) for event in lost] == [("killed", 1), ("killed", 2)]
    assert ray_workers() == [] or eventually(lambda: ray_workers() == [])


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_whatever_a_patch_raises_logs_or_does_it_is_of_that_patch_alone(caplog: pytest.LogCaptureFixture) -> None:
    raised = ["two arguments", "of the worker only", "mute", "leaving", "deadly", "interrupt", "undecodable", "long"]
    others = [*LOGGED, "unprintable result", "descriptors", "argument"]
    workflow, patches = faulty("a", *raised, *others, "b", values={"argument": Unrebuildable(SystemExit)})
    with caplog.at_level(logging.WARNING), pytest.warns(PatchFailedWarning):
        result = run_batch(workflow, patches, executor="ray", workers=1)
    errors = {outcome.name: str(outcome.error) for outcome in result.failed}
    assert list(errors) == [*raised, "descriptors", "argument"]
    assert {outcome.attempts for outcome in result.outcomes} == {1}
    assert errors["of the worker only"] == "MadeError: made here"
    assert errors["mute"] == "MuteError: its message cannot be read (RuntimeError)"
    assert errors["interrupt"] == "KeyboardInterrupt: not by the user"
    assert errors["argument"] == "SystemExit: made only where it was born"
    assert "Too many open files" in errors["descriptors"]
    assert {"by extra", "%d items"} <= {record.getMessage() for record in caplog.records}


@pytest.mark.trial
@pytest.mark.usefixtures("cluster")
def test_a_patch_that_hangs_is_ended_on_ray_too(tmp_path: Path) -> None:
    workflow, patches = hanging(tmp_path, "a", "stopped", "b")
    result = run_failing_batch(workflow, patches, executor="ray", workers=1, patch_timeout=1.0)
    assert states(result) == {"a": "done", "stopped": "quarantined", "b": "done"}
    assert result.failed[0].error == (
        "It took more than 1 s, and its worker was ended: look why this step hangs, or raise patch_timeout."
    )
    assert result.failed[0].attempts == 3


@pytest.mark.usefixtures("cluster")
def test_workers_have_the_environment_and_threads_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARK", "set after the cluster started")
    monkeypatch.setenv("EOTASKS_NUM_THREADS", "7")
    workflow, patches = facts_batch(tmp_path, 4)
    result = run_batch(workflow, patches, executor="ray", workers=1, threads=2, progress=False)
    assert (result.exit_code, result.workers, result.threads) == (0, 1, 2)
    told = facts(tmp_path)
    assert len({one["pid"] for one in told} - {os.getpid()}) == 1  # one worker, patch after patch
    environment = {
        "EOTASKS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE",
        "MARK": "set after the cluster started",
    }  # fmt: skip
    assert [one["environment"] for one in told] == [environment] * 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("cluster")
def test_the_first_patch_says_what_memory_workers_ask_for() -> None:
    node = EONode(AllocateTask(100))
    result = run_batch(EOWorkflow([node]), {f"p{index}": {} for index in range(4)}, executor="ray")
    assert result.exit_code == 0
    assert (result.workers, result.threads) == (2, 1)
    assert result.note.startswith("2 workers on 1 node (2 CPUs): a patch alone took ")
    assert result.outcomes[0].peak_memory_mb_by_step["AllocateTask"] > 100


@pytest.mark.usefixtures("cluster")
def test_memory_limits_workers() -> None:
    capacity = ClusterCapacity(workers=2, threads=1)
    free = ray_cluster.nodes()[0].memory_mb
    size = capacity.size(0.5 * free)
    assert size.workers == 1
    assert size.memory_mb == pytest.approx(0.5 * free / 0.8)
    assert "1 workers on 1 node (memory sets the limit)" in size.note
    more = capacity.size(3 * free)
    assert more.workers == 1
    assert more.memory_mb == pytest.approx(free)  # more than there is would wait for ever


@pytest.mark.trial
@pytest.mark.usefixtures("cluster")
def test_workers_that_others_kill_cost_attempts_only(tmp_path: Path) -> None:
    node = EONode(WriteFactsTask(tmp_path))
    slow = EONode(CallTask(nap), inputs=[])
    patches = {f"p{index}": {node: {"name": f"p{index}"}} for index in range(12)}
    stopped = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not stopped.wait(0.4):
            alive = ray_workers()
            if alive and len(killed) < 3:
                alive[0].kill()
                killed.append(alive[0].pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = run_batch(EOWorkflow([slow, node]), patches, executor="ray", workers=2)
    finally:
        stopped.set()
        killer.join()
    assert len(killed) == 3
    assert result.done == list(patches)
    assert len(facts(tmp_path)) == 12


def nap() -> None:
    time.sleep(0.3)


class DieOnceTask(EOTask):
    """`late` kills its process when it runs for the first time, once the worker of `early` was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def execute(self, *, name: str) -> None:
        if name == "early":
            (self.folder / name).write_text(str(os.getpid()))
        elif not (self.folder / name).exists():
            (self.folder / name).touch()
            assert eventually((self.folder / "killed").exists)
            time.sleep(0.5)  # so that the driver learns of that death first
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.trial
@pytest.mark.usefixtures("cluster")
def test_a_worker_that_dies_idle_costs_no_attempt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = EONode(DieOnceTask(tmp_path))

    def kill_the_idle(outcome: PatchOutcome) -> None:
        if outcome.name == "early":  # its worker has nothing to do until the other one is lost
            os.kill(int((tmp_path / "early").read_text()), signal.SIGKILL)
            (tmp_path / "killed").touch()

    patches = {name: {node: {"name": name}} for name in ("late", "early")}
    result = run_batch(EOWorkflow([node]), patches, executor="ray", workers=2, on_progress=kill_the_idle)
    assert {outcome.name: outcome.attempts for outcome in result.outcomes} == {"late": 2, "early": 1}
    assert result.done == ["late", "early"]
    assert any("A Ray worker without a patch ended" in message for message in caplog.messages)


@pytest.mark.usefixtures("cluster")
def test_an_error_in_progress_ends_the_workers() -> None:
    workflow, patches = behaving("a", "b", "c")

    def refuse(_: PatchOutcome) -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        run_batch(workflow, patches, executor="ray", workers=2, on_progress=refuse)
    assert eventually(lambda: ray_workers() == [])
    assert ray.is_initialized()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_cannot_travel_is_named() -> None:
    held = threading.Lock()
    node = EONode(CallTask(held.acquire))
    with pytest.raises(BatchError, match=r"Task CallTask \(attribute function\) cannot go to a worker"):
        run_batch(EOWorkflow([node]), {"p": {}}, executor="ray")
    with pytest.raises(BatchError, match="arguments of patch 'p' cannot go to a worker"):
        run_batch(EOWorkflow([node]), {"p": {node: {"lock": held}}}, executor="ray")
    with pytest.raises(BatchError, match=r"cannot be rebuilt in a worker process .*made only where it was born"):
        run_batch(EOWorkflow([EONode(UnrebuildableTask())]), {"p": {}}, executor="ray")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_functions_that_no_module_has_travel_on_ray() -> None:
    node = EONode(CallTask(lambda: 1))
    assert run_batch(EOWorkflow([node]), {"p": {}}, executor="ray", workers=1).exit_code == 0


@pytest.mark.usefixtures("cluster")
def test_the_executor_is_a_rayexecutor(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 3)
    executor = RayWorkerExecutor(
        workflow,
        [{node: dict(values) for node, values in of.items()} for of in patches.values()],
        execution_names=list(patches),
        ray_remote_kwargs={"num_cpus": 2},
        save_logs=True,
        logs_folder=str(tmp_path / "logs"),
    )
    assert isinstance(executor, RayExecutor)
    assert len(executor.run(workers=1)) == len(facts(tmp_path)) == 3
    assert executor.get_successful_executions() == [0, 1, 2]
    assert len(list((tmp_path / "logs").rglob("*.log"))) == 3


@pytest.mark.usefixtures("cluster")
def test_a_node_with_another_eotasks_or_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, patches = behaving("a")
    with monkeypatch.context() as patch:
        patch.setattr(ray_backend, "python_version_tuple", lambda: ("3", "99", "1"))
        with pytest.raises(BatchError, match=r"Node .* has Python 3\.1\d, and this process 3\.99: install the same"):
            run_batch(workflow, patches, executor="ray", workers=1)
    monkeypatch.setattr(ray_backend, "version", lambda _: "99.0")
    with pytest.raises(BatchError, match=r"Node .* has eotasks .*, and this process 99\.0: install the same"):
        run_batch(workflow, patches, executor="ray", workers=1)


@pytest.mark.usefixtures("cluster")
def test_a_folder_that_not_all_machines_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray_cluster.check_reach(tmp_path)
    monkeypatch.setattr(ray_cluster, "_has_file", lambda *_: False)
    with pytest.raises(ConfigurationError, match=r"is not on 127\.0\.0\.1 of the Ray cluster: choose a folder"):
        ray_cluster.check_reach(tmp_path)
    monkeypatch.undo()
    node = ray_cluster._alive()[0]["NodeID"]
    assert ray_cluster._has_file(node, tmp_path)
    assert not ray_cluster._has_file(node, tmp_path / "elsewhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cluster")
def test_a_request_that_fits_nowhere_ends_the_batch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray_backend, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(ray_backend, "_WARN_SECONDS", 0.2)
    monkeypatch.setattr(ray_backend, "_PLACEMENT_SECONDS", 1.0)
    workflow, patches = behaving("a")
    with pytest.raises(BatchError, match="No node of the Ray cluster has 3 CPUs: use fewer threads"):
        run_batch(workflow, patches, executor="ray", workers=1, threads=3)
    assert "1 patches wait for a place with 3 CPUs on the Ray cluster." in caplog.messages


@pytest.mark.parametrize(
    ("cpus", "workers", "threads", "jobs", "expected"),
    [
        ([2], None, None, 10, (1, 2)),
        ([2], None, None, 1, (2, 1)),
        ([2], 5, None, 10, (1, 5)),
        ([16, 16], None, None, 1000, (1, 32)),
        ([16, 16], 8, None, 1000, (4, 8)),
        ([4, 4, 4, 4], 2, None, 10, (4, 2)),
        ([16, 16], None, 5, 1000, (5, 6)),
        ([], 4, None, 10, (1, 4)),
        ([], None, None, 10, (1, 1)),
    ],
    ids=str,
)
def test_threads_and_workers_share_the_cluster(
    cpus: list[int], workers: int | None, threads: int | None, jobs: int, expected: tuple[int, int]
) -> None:
    found = [Node(f"10.0.0.{index}", count, 1000.0) for index, count in enumerate(cpus)]
    assert shares(found, workers, threads, jobs=jobs) == expected


def test_capacity_counts_each_node_for_itself() -> None:
    found = [Node("10.0.0.1", 4, 1000.0), Node("10.0.0.2", 8, 500.0), Node("10.0.0.3", 0, 9000.0)]
    assert Request(3).capacity(found) == 3
    assert Request(1, 300.0).capacity(found) == 3 + 1
    assert str(Request(2, 1500.0)) == "2 CPUs and 1,500 MB"

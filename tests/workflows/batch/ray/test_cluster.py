"""Joining Ray clusters and leaving them: addresses, interrupts, a driver that is killed.

Each in a process of its own, since a process belongs to one cluster, and Ray keeps some of its settings.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from eotasks.errors import BatchError, ConfigurationError, MissingDependencyError
from eotasks.storage.place import Place
from eotasks.workflows.batch.run import executor_class
from tests import ROOT
from tests.builders.batches import read_events
from tests.servers.s3 import free_ports

pytest.importorskip("ray", reason="Ray is not installed (eotasks[ray])")

from eotasks.workflows.batch.ray import cluster as ray_cluster

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, time
from pathlib import Path
from eolearn.core import EONode, EOTask, EOWorkflow
from eotasks.workflows.batch.run import run_batch
from eotasks.storage.place import Place
from eotasks.workflows.batch.ray.cluster import nodes, ray_cluster

class NapTask(EOTask):  # of a script: no module has it
    def __init__(self, seconds):
        self.seconds = seconds

    def execute(self, *, name):
        time.sleep(self.seconds)
        Path(name).touch()  # relative to the working directory of the script

if __name__ == "__main__":
    address, seconds = sys.argv[1] or None, float(sys.argv[2])
    node = EONode(NapTask(seconds), name="Nap")
    patches = {name: {node: {"name": name}} for name in ("p0", "p1", "p2")}
    with ray_cluster(address, cpus=2):
        place = Place("place")
        result = run_batch(EOWorkflow([node]), patches, executor="ray", workers=2, place=place)
        print(json.dumps({"done": result.done, "nodes": [node.cpus for node in nodes()]}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Ray keeps its token."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """Of processes that use Ray on loopback."""
    own = {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": "ignore",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # how Ray spells that its nodes are at 127.0.0.1
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | own


@contextlib.contextmanager
def driver(folder: Path, environment: dict[str, str], address: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A script with a batch, in a session of its own as a terminal gives it."""
    (folder / "a script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "a script.py", address, str(seconds)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True)
class Head:
    """A cluster as users start it, by `ray start --head`."""

    address: str
    process: psutil.Process

    def workers(self) -> list[psutil.Process]:
        """Processes of actors of ours."""
        return [process for process in self.process.children(recursive=True) if is_worker(process)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "ray::RayWorker" in " ".join(process.cmdline()) and is_alive(process)
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def head(home: Path, environment: dict[str, str]) -> Iterator[Head]:
    """A cluster with two CPUs."""
    port = free_ports(1)[0]
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}", "--num-cpus=2", "--block",
        "--include-dashboard=false", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000",
    ]  # fmt: skip
    with (home / "head.log").open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        assert eventually(lambda: "Ray runtime started" in (home / "head.log").read_text(), 300)
        yield Head(f"127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(30)
        assert all_gone(family)


def eventually(condition: Callable[[], bool], seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def all_gone(processes: list[psutil.Process]) -> bool:
    gone = eventually(lambda: not any(is_alive(process) for process in processes))
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return gone


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_until_patches_run(place: Place) -> None:
    def run() -> bool:
        return sum(event.kind == "running" for event in read_events(place)) >= 2

    assert eventually(run, 300)


@pytest.mark.trial
def test_a_running_cluster_is_joined_and_left(head: Head, tmp_path: Path, environment: dict[str, str]) -> None:
    with driver(tmp_path, environment | {"RAY_ADDRESS": head.address}, "auto", 0.0) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err.splitlines()[-1].startswith("batch: 3/3, ")  # after one every ten seconds
    assert json.loads(out) == {"done": ["p0", "p1", "p2"], "nodes": [2]}
    assert sorted(path.name for path in tmp_path.glob("p?")) == ["p0", "p1", "p2"]
    assert eventually(lambda: head.workers() == [])


def test_sigterm_ends_the_workers_and_leaves_the_cluster(
    head: Head, tmp_path: Path, environment: dict[str, str]
) -> None:
    with driver(tmp_path, environment, head.address, 60.0) as process:
        wait_until_patches_run(Place(tmp_path / "place"))
        assert len(head.workers()) == 2
        process.terminate()
        process.communicate(timeout=300)
    assert eventually(lambda: head.workers() == [])
    assert told_at_the_end(Place(tmp_path / "place")) == ({"p0", "p1"}, ["interrupted"])
    assert head.process.is_running()


@pytest.mark.trial
def test_a_driver_that_is_killed_takes_its_workers_along(
    head: Head, tmp_path: Path, environment: dict[str, str]
) -> None:
    with driver(tmp_path, environment, head.address, 60.0) as process:
        wait_until_patches_run(Place(tmp_path / "place"))
        assert len(head.workers()) == 2
        process.kill()
        process.communicate(timeout=300)
    assert eventually(lambda: head.workers() == [])


@pytest.mark.trial
def test_interrupted_it_ends_the_cluster_of_its_own(tmp_path: Path, environment: dict[str, str]) -> None:
    with driver(tmp_path, environment, "local", 60.0) as process:
        wait_until_patches_run(Place(tmp_path / "place"))
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        _, err = process.communicate(timeout=30)  # and not the minute that the patches take
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert len(family) > 4
    assert all_gone(family)
    assert told_at_the_end(Place(tmp_path / "place")) == ({"p0", "p1"}, ["interrupted"])


def told_at_the_end(place: Place) -> tuple[set[str | None], list[object]]:
    """Patches that were interrupted by the manifest, and how the runs ended."""
    events = read_events(place)
    interrupted = {event.name for event in events if event.kind == "interrupted"}
    return interrupted, [event.facts["state"] for event in events if event.kind == "end"]


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    port = free_ports(1)[0]
    with (
        pytest.raises(
            BatchError, match=rf"No Ray cluster answers at 127\.0\.0\.1:{port} .*refused.*: check the address"
        ),
        ray_cluster.ray_cluster(f"127.0.0.1:{port}"),
    ):
        raise AssertionError("there is no cluster")


@pytest.mark.parametrize("address", ["somewhere", "host:port", "http://host:1", "user:secret@host:6379", "host:1 "])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is none: give 'auto', 'local' or HOST:PORT") as caught:
        enter(address)
    assert "secret" not in str(caught.value)


def test_a_client_address_is_refused_with_the_way_that_works() -> None:
    with pytest.raises(ConfigurationError, match="ray job submit"):
        enter("ray://10.0.0.1:10001")


def enter(address: str) -> None:
    with ray_cluster.ray_cluster(address):
        raise AssertionError(f"{address} was taken for a cluster")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Could not find any running Ray instance."), r"start one \(`ray start --head`\)"),
        (RuntimeError("Version mismatch:\n  The cluster was started with:\n    Ray: 2.40"), "mismatch: The cluster"),
        (PermissionError(13, "Permission denied", "/nowhere/.ray"), "Permission denied"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_ray_says_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.setattr("ray.init", raising(error))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(BatchError, match=message) as caught:
        enter("auto")
    assert "\n" not in str(caught.value)


def test_a_cluster_that_asks_for_a_token_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ConnectionError("Failed to connect to Ray cluster")
    refused.__cause__ = RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing")
    monkeypatch.setattr("ray.init", raising(refused))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(BatchError, match="it asks for a token: set RAY_AUTH_MODE=token"):
        enter("auto")


def raising(error: Exception) -> Callable[..., None]:
    def fail(**_: object) -> None:
        raise error

    return fail


def test_workers_elsewhere_get_what_says_what_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"AWS_REGION": "x", "EOTASKS_A": "1", "HOME": "/h", "RAY_A": "1", "SH_B": "2"})
    monkeypatch.setattr(ray_cluster, "is_local_cluster", lambda: False)
    assert set(ray_cluster.worker_environment()) == {"AWS_REGION", "EOTASKS_A", "SH_B"}
    monkeypatch.setattr(ray_cluster, "is_local_cluster", lambda: True)
    assert set(ray_cluster.worker_environment()) == {"AWS_REGION", "EOTASKS_A", "SH_B", "HOME"}


def test_a_missing_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("eotasks.workflows.batch.ray.cluster", "eotasks.workflows.batch.ray.executor"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"install .*\[ray\]'"):
        executor_class("ray")

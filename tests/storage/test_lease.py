"""Two runs never write into one place at the same time, on disk and on S3."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from pathlib import Path

import psutil
import pytest

from eotasks.errors import ConfigurationError, StorageError
from eotasks.storage import lease as leases
from eotasks.storage.lease import LEASE_FILE, STALE_SECONDS, Lease, ensure_lease, hold_lease
from eotasks.storage.place import Place
from tests.servers.s3 import S3Server


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return Place(tmp_path / "results")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())


def lease_of_another_machine(place: Place) -> None:
    """What a run elsewhere has written there just now."""
    with hold_lease(place, "eotasks land-cover"):
        content = json.loads(place.read_bytes(LEASE_FILE))
    place.write_bytes(LEASE_FILE, json.dumps(content | {"machine": "another", "host": "node7", "owner": "x"}).encode())


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(6000):
        if happened():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_a_second_run_is_refused_by_name(place: Place) -> None:
    with hold_lease(place, "eotasks land-cover") as lease:
        message = rf"in use by another run \(eotasks land-cover since .*{os.getpid()}"
        with pytest.raises(StorageError, match=message), hold_lease(place, "eotasks cloud-mask"):
            pytest.fail("two runs in one place")
        lease.check()
    with hold_lease(place, "eotasks cloud-mask"):
        pass
    assert place.names() == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed"), hold_lease(Place(tmp_path / "a" / "b"), "x"):
        raise ValueError("failed")
    assert not (tmp_path / "a").exists()
    with hold_lease(Place(tmp_path / "kept"), "x"):
        (tmp_path / "kept" / "result").touch()
    (tmp_path / "empty").mkdir()
    with hold_lease(Place(tmp_path / "empty"), "x"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "kept"]


def test_of_many_that_begin_together_one_gets_it(place: Place) -> None:
    number = 6
    together = threading.Barrier(number)
    over = threading.Event()

    def run(_: int) -> bool:
        together.wait()
        try:
            with hold_lease(place, "x"):
                over.wait()
        except StorageError as error:
            refused.append(str(error))
            if len(refused) == number - 1:
                over.set()
            return False
        return True

    refused: list[str] = []
    with ThreadPoolExecutor(number) as pool:
        assert sum(pool.map(run, range(number))) == 1
    assert all("in use by another run" in message for message in refused)


def test_a_run_that_was_killed_is_not_in_the_way(place: Place) -> None:
    program = (
        "import os, sys; from eotasks.storage.lease import hold_lease; from eotasks.storage.place import Place\n"
        "with hold_lease(Place(sys.argv[1]), 'x'): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, place.location], timeout=400).returncode == 9
    assert place.exists(LEASE_FILE)
    with hold_lease(place, "eotasks land-cover"):
        assert json.loads(place.read_bytes(LEASE_FILE))["pid"] == os.getpid()


def start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_number_that_came_again_is_another_process(tmp_path: Path) -> None:
    """The parent of this process is alive: it holds the lease when it also began when the owner did."""
    place, parent = Place(tmp_path), psutil.Process(os.getppid())
    with hold_lease(place, "x"):
        content = json.loads(place.read_bytes(LEASE_FILE))
    of_parent = content | {"pid": parent.pid, "started": start_of(parent.pid)}
    place.write_bytes(LEASE_FILE, json.dumps(of_parent).encode())
    with pytest.raises(StorageError, match=f"process {parent.pid}"), hold_lease(place, "x"):
        pytest.fail("two runs in one place")
    place.write_bytes(LEASE_FILE, json.dumps(of_parent | {"started": start_of(parent.pid) - 1}).encode())
    with hold_lease(place, "x"):
        pass


def test_what_this_process_could_not_give_back_is_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Place, path: str, tag: str) -> bool:
        raise StorageError("the server is away")

    with monkeypatch.context() as patched:
        with hold_lease(place, "x"):
            patched.setattr(Place, "remove_if", fails)
        assert place.exists(LEASE_FILE)
    with hold_lease(place, "x"):
        pass
    assert not place.exists(LEASE_FILE)


def test_a_run_elsewhere_counts_as_alive_for_some_time(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lease_of_another_machine(place)
    with pytest.raises(StorageError, match=r"eotasks land-cover .* on node7.*ends 180 s after"), hold_lease(place, "x"):
        pytest.fail("two runs in one place")
    long_ago = time.time() - STALE_SECONDS - 5
    os.utime(tmp_path / LEASE_FILE, (long_ago, long_ago))
    with hold_lease(place, "x"):
        pass


def test_a_file_that_nobody_can_read_goes_stale_too(tmp_path: Path) -> None:
    (tmp_path / LEASE_FILE).write_text("{")
    with pytest.raises(StorageError, match="of another version"), hold_lease(Place(tmp_path), "x"):
        pytest.fail("taken")
    os.utime(tmp_path / LEASE_FILE, (0, 0))
    with hold_lease(Place(tmp_path), "x"):
        pass


def test_it_is_renewed(place: Place) -> None:
    with hold_lease(place, "x", renew_seconds=0.02):
        _, first = place.read_tagged(LEASE_FILE)
        renewed = json.loads(place.read_bytes(LEASE_FILE))["renewed"]
        wait_until(lambda: json.loads(place.read_bytes(LEASE_FILE))["renewed"] != renewed)
        assert place.read_tagged(LEASE_FILE)[1] != first


def test_who_slept_too_long_stops_and_leaves_the_other_alone(place: Place) -> None:
    with hold_lease(place, "x", renew_seconds=0.02) as lease:
        wait_until(lambda: _is_lost_to_another_machine(place, lease))
        with pytest.raises(StorageError, match="has been taken over by another run"):
            lease.check()
    assert json.loads(place.read_bytes(LEASE_FILE))["owner"] == "y"


def lease_of_another_machine_into(place: Place) -> None:
    content = json.loads(place.read_bytes(LEASE_FILE))
    place.write_bytes(LEASE_FILE, json.dumps(content | {"owner": "y"}).encode())


def _is_lost_to_another_machine(place: Place, lease: Lease) -> bool:
    lease_of_another_machine_into(place)  # a beat under way may overwrite it: there is no condition
    return lease._lost


def test_a_store_that_is_away_for_a_while_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    place = Place(tmp_path)

    def fails(self: Place, path: str, data: bytes, tag: str | None) -> str:
        failures.append(path)
        raise StorageError("the server is away")

    with hold_lease(place, "x", renew_seconds=0.02) as lease:
        with monkeypatch.context() as patched:
            patched.setattr(Place, "write_if", fails)
            wait_until(lambda: len(failures) > 2)
        lease.check()
    assert place.names() == []


def test_an_owner_that_ends_leaves_the_lease_of_who_took_it_over(place: Place) -> None:
    """It does not know yet: its next beat would be in 20 s."""
    with hold_lease(place, "x"):
        lease_of_another_machine_into(place)
    assert json.loads(place.read_bytes(LEASE_FILE))["owner"] == "y"


def test_who_was_stopped_looks_at_its_lease_before_it_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat of its thread may come later than its next piece of work."""
    with hold_lease(place, "x") as lease:
        lease_of_another_machine_into(place)
        lease.check()  # a moment ago it was its own
        now = leases._uptime()
        monkeypatch.setattr(leases, "_uptime", lambda: now + STALE_SECONDS)
        with pytest.raises(StorageError, match="has been taken over by another run"):
            lease.check()
    assert json.loads(place.read_bytes(LEASE_FILE))["owner"] == "y"


@pytest.mark.parametrize("error", [ConfigurationError("half a file"), RuntimeError("of a library"), OSError(5, "EIO")])
def test_a_beat_survives_any_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    place = Place(tmp_path)
    with hold_lease(place, "x", renew_seconds=0.02):
        failures: list[str] = []

        def fails(self: Place, path: str, data: bytes, tag: str | None) -> str:
            failures.append(path)
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(Place, "write_if", fails)
            wait_until(lambda: len(failures) > 3)
        before = place.read_bytes(LEASE_FILE)
        wait_until(lambda: place.read_bytes(LEASE_FILE) != before)


def test_a_lease_that_somebody_removed_is_taken_again(place: Place) -> None:
    with hold_lease(place, "x", renew_seconds=0.02) as lease:
        place.remove(LEASE_FILE)
        wait_until(lambda: place.exists(LEASE_FILE))
        lease.check()
        with pytest.raises(StorageError, match="in use by another run"), hold_lease(place, "y"):
            pytest.fail("two runs in one place")
    assert not place.exists(LEASE_FILE)


@pytest.mark.parametrize("hours", [-5, 5])
def test_clocks_that_differ_free_no_lease(place: Place, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Ages are by the clock of the store alone."""

    class Elsewhere(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Elsewhere:
            return cls.fromtimestamp(time.time() + 3600 * hours, tz)

    lease_of_another_machine(place)
    monkeypatch.setattr(leases, "datetime", Elsewhere)
    with pytest.raises(StorageError, match="in use by another run"), hold_lease(place, "x"):
        pytest.fail("two runs in one place")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, s3_server: S3Server) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), hold_lease(Place(tmp_path / "file"), "x"):
        pytest.fail("taken")
    with pytest.raises(StorageError, match="no bucket 'absent'"), hold_lease(Place("s3://absent/x"), "x"):
        pytest.fail("taken")


FORKED = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
"""Python 3.12 says that such a child may hang; this is a test of one way how."""


def in_a_forked_child(work: Callable[[], str]) -> str:
    """What a child says that shares all memory with this process, as those of multiprocessing's "fork" do."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # no pytest and no cleaning up in here
        try:
            os.write(writer, work().encode())
        except Exception as error:  # noqa: BLE001 - told by the parent
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        return stream.read()


@FORKED
def test_a_forked_child_has_none_of_its_parent_s_leases(tmp_path: Path) -> None:
    place = Place(tmp_path / "results")

    def takes(how: Callable[..., contextlib.AbstractContextManager[Lease]], where: Place) -> str:
        try:
            with how(where, "child"):
                return "taken"
        except StorageError as error:
            return str(error)

    with contextlib.ExitStack() as stack, ensure_lease(place, "parent"):
        refused = in_a_forked_child(lambda: takes(ensure_lease, place))
        assert "is in use by another run (parent since" in refused
        assert f"process {os.getpid()} on" in refused
        assert "(parent since" in in_a_forked_child(lambda: takes(hold_lease, place))
        leases._PARTS_LOCK.acquire()  # another thread is in the middle of it
        stack.callback(leases._PARTS_LOCK.release)
        assert in_a_forked_child(lambda: takes(ensure_lease, Place(tmp_path / "other"))) == "taken"


@FORKED
def test_a_forked_child_that_leaves_the_block_leaves_the_lease(tmp_path: Path) -> None:
    place = Place(tmp_path / "results")
    with contextlib.ExitStack() as stack:
        stack.enter_context(ensure_lease(place, "parent"))
        assert in_a_forked_child(lambda: str(stack.close())) == "None"
        assert place.names() == [LEASE_FILE]
    assert place.names() == []

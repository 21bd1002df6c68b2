"""One run at a time in a place: batches of other processes, other threads and of a command around them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eotasks.errors import PlaceInUseWarning, StorageError
from eotasks.storage.lease import LEASE_FILE, Lease, hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from tests.builders.batches import behaving, read_events, states
from tests.builders.waiting_batch import until, waiting_batch
from tests.servers.s3 import S3Server


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return Place(tmp_path / "place")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())


def run(place: Place, on_progress: Callable[[PatchOutcome], None] | None = None) -> BatchResult:
    workflow, patches = behaving("a", "b")
    return run_batch(workflow, patches, executor="serial", place=place, on_progress=on_progress)


def test_a_second_process_is_refused_and_status_works_on(place: Place, tmp_path: Path) -> None:
    with waiting_batch(tmp_path, place) as batch:
        with pytest.raises(
            StorageError, match=rf"in use by another run \(batch 'batch' since .*, process {batch.pid} on"
        ):
            run(place)
        progress = read_progress(place)[0]
        assert (progress.state, progress.patches) == ("running", 4)
        (tmp_path / "go").touch()
        assert batch.wait(60) == 0
    assert {event.run for event in read_events(place)} == {read_events(place)[0].run}, "the other one wrote nothing"
    assert not place.exists(LEASE_FILE)


def test_a_run_that_was_killed_is_followed_at_once(place: Place, tmp_path: Path) -> None:
    with waiting_batch(tmp_path, place) as batch:
        batch.kill()
        batch.wait()
        assert place.exists(LEASE_FILE)
        assert states(run(place)) == {"a": "done", "b": "done"}
    assert not place.exists(LEASE_FILE)


def test_of_two_threads_one_is_refused(place: Place) -> None:
    """Also where the thread that is refused has no lease to meet, as the other one works under that of a command."""
    inner = place.child("inner")
    begun, over = threading.Event(), threading.Event()

    def wait(_: PatchOutcome) -> None:
        begun.set()
        assert over.wait(60)

    def second(where: Place) -> None:
        assert begun.wait(60)
        try:
            with pytest.raises(StorageError, match=r"in use by another run of this process \(batch 'batch'\)"):
                run(where)
        finally:
            over.set()

    for where, command in ((inner, None), (inner, place)):
        begun.clear()
        over.clear()
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(second, where)
            if command is None:
                run(where, wait)
            else:
                with hold_lease(command, "a command"):
                    run(where, wait)
            other.result()


def test_a_batch_works_under_the_lease_of_its_thread(place: Place) -> None:
    inner, seen = place.child("inner"), []

    def look(_: PatchOutcome) -> None:
        seen.append((place.exists(LEASE_FILE), inner.exists(LEASE_FILE)))

    with hold_lease(place, "a command"):
        for where in (place, inner):
            assert run(where, look).exit_code == 0
        assert place.exists(LEASE_FILE), "the batches have not given it back"
    run(inner, look)
    assert seen == [(True, False)] * 4 + [(False, True)] * 2
    assert not inner.exists(LEASE_FILE)


def test_another_thread_does_not_work_under_the_lease_of_this_one(place: Place) -> None:
    with hold_lease(place, "a command"), ThreadPoolExecutor(1) as pool:
        refused = pool.submit(run, place).exception()
    assert isinstance(refused, StorageError)
    assert "in use by another run (a command since" in str(refused)
    assert f"process {os.getpid()} on" in str(refused)


def test_a_link_to_the_place_is_the_place(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "place")
    with hold_lease(Place(tmp_path / "place"), "a command"):
        assert run(Place(tmp_path / "link")).exit_code == 0


def test_a_batch_whose_place_was_taken_over_stops(tmp_path: Path) -> None:
    place = Place(tmp_path)

    def lose(_: PatchOutcome) -> None:
        until(lambda: lost(lease))

    def lost(lease: Lease) -> bool:
        place.write_bytes(LEASE_FILE, b"of another run")  # a beat under way may overwrite it: there is no condition
        with contextlib.suppress(StorageError):
            lease.check()
            return False
        return True

    with (
        pytest.raises(StorageError, match="has been taken over by another run"),
        hold_lease(place, "a command", renew_seconds=0.02) as lease,
    ):
        run(place, lose)
    assert [event.facts["state"] for event in read_events(place) if event.kind == "end"] == ["stopped"]
    assert sum(event.kind == "outcome" for event in read_events(place)) == 1


def test_a_batch_in_another_process_that_has_the_lease_of_a_place_around_is_warned_of(tmp_path: Path) -> None:
    """The place itself is free then; that another one works there is known by the manifest."""
    place = Place(tmp_path / "around" / "place")
    with (
        waiting_batch(tmp_path, place, around=Place(tmp_path / "around")) as batch,
        pytest.warns(PlaceInUseWarning, match=rf"seems to be running already \(process {batch.pid} on"),
    ):
        run(place)
    assert run(place).skipped == ["a", "b"]

"""The way of S3, also on disks that cannot exchange folders: writers that die or stall at any step; other readers."""

from __future__ import annotations

import io
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.eopatches import save as save_module
from eotasks.eopatches import swap
from eotasks.eopatches.clean import clean
from eotasks.eopatches.files import EOPatchFolder
from eotasks.eopatches.load import is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.marker import read_marker
from eotasks.eopatches.save import complete_save, save_eopatch
from eotasks.errors import StorageError
from eotasks.storage.exchange import ExchangeUnsupportedError
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LULC, make_eopatch, save_as_generation
from tests.servers.s3 import S3Server

NAME = "patch"
OLD, NEW = make_eopatch(0.25, every_kind=True), make_eopatch(0.5)
LONG_AGO = timedelta(seconds=-60)
FIRST_STEPS = {"clean": 1, "save": 1, "resume": 2}
"""At which a writer dies first, by what ends its save; then at every fourth."""


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place where folders cannot be exchanged."""
    if request.param == "bucket":
        server: S3Server = request.getfixturevalue("s3_server")
        return Place(server.location())

    def fail(*_: object) -> None:
        raise ExchangeUnsupportedError(22, "Invalid argument")

    monkeypatch.setattr(swap, "exchange_folders", fail)
    monkeypatch.setattr(swap, "_WITHOUT_EXCHANGE", set())
    return Place(tmp_path / "a place")


class Died(BaseException):
    """A writer is no more; nothing it would have done at its end is done."""


WRITES = ("upload", "write_if", "write_new", "write_bytes", "make_folder", "remove_files", "copy", "remove")


STEPS = ("mkdir", "open", "fsync", "rename", "replace", "link", "unlink", "rmdir")


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """The writer dies before its write of a number, and all that follow fail too."""
    with dying_in(monkeypatch, number, [(Place, name) for name in WRITES]) as done:
        yield done


@contextmanager
def dying_on_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """As `dying`, but before a call of the system: a first save on a disk goes by few functions of a place."""
    with dying_in(monkeypatch, number, [(io, "open"), *((os, name) for name in STEPS)]) as done:
        yield done


@contextmanager
def dying_in(monkeypatch: pytest.MonkeyPatch, number: int, functions: list[tuple[Any, str]]) -> Iterator[list[str]]:
    done: list[str] = []
    lock = threading.Lock()  # files are written and flushed side by side

    def failing(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with lock:
                if len(done) >= number:
                    raise Died
                done.append(name)
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for owner, name in functions:
            patched.setattr(owner, name, failing(getattr(owner, name), name))
        yield done


def plain(place: Place) -> EOPatch | None:
    """What eo-learn reads; None where it refuses."""
    try:
        return EOPatch.load(f"{place}/{NAME}")
    except ValueError as error:
        if "EOPatch that is being saved: load it by eotasks" in str(error):
            return None
        raise


def is_at_rest(place: Place) -> bool:
    marker = read_marker(place.child(NAME))
    assert marker is not None
    files = set(place.files(NAME))
    return marker.state == "whole" and files == {"_current.json", *marker.files}


def test_a_save_is_at_rest_in_the_end(place: Place) -> None:
    for patch in (OLD, NEW, OLD):
        save_eopatch(place, NAME, patch)
        assert load_eopatch(place, NAME) == plain(place) == patch
        assert is_complete(place, NAME)
        assert is_at_rest(place)
    if place.is_local:
        assert sorted(entry.path for entry in place.entries(NAME) if not entry.is_file) == [
            "data", "mask_timeless", "meta_info", "scalar", "vector_timeless",
        ]  # fmt: skip


ENDS = ["clean", *(pytest.param(end, marks=pytest.mark.trial) for end in ("save", "resume"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "before"),
    [("folder", True), ("bucket", True), ("bucket", False)],
    ids=["folder-over another", "bucket-over another", "bucket-first save"],
    indirect=["place"],
)
@pytest.mark.parametrize("end", ENDS)
def test_a_writer_that_dies_at_any_step(place: Place, monkeypatch: pytest.MonkeyPatch, before: bool, end: str) -> None:
    """Our readers find a whole patch, eo-learn a whole one or none; and whoever comes next ends it."""
    step = 1 if place.is_local and end == "clean" else 4
    for number in itertools.count(FIRST_STEPS[end], step):
        place = place.child("next") if number else place
        if before:
            save_eopatch(place, NAME, OLD)
        with dying(monkeypatch, number) as done:
            is_done = is_saved(place)
        found = load_eopatch(place, NAME) if before or is_complete(place, NAME) else None
        assert found in ([NEW, OLD] if before else [NEW, None])
        if found is not None and plain_of(place) not in ("refused", "none"):
            assert plain(place) in (OLD, NEW)
        check_next(place, end, found)
        if is_done:
            assert done.count("write_if") == 2
            return


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder"], indirect=True)
@pytest.mark.parametrize("end", ENDS)
def test_a_first_save_on_a_disk_whose_writer_dies_at_any_step(
    place: Place, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It needs no exchange, it is a rename: readers of any program find the whole patch or none, before any repair."""
    parent, found_before, left_beside = place, None, 0
    for number in itertools.count():
        place = parent.child(str(number))
        with dying_on_disk(monkeypatch, number) as done:
            is_done = is_saved(place)
        found = load_eopatch(place, NAME) if is_complete(place, NAME) else None
        assert found in (NEW, None)
        assert place.exists(NAME) is (found is not None)
        assert found is None or plain(place) == found
        assert found_before is None or found is not None, "the rename is one step, and nothing after it undoes it"
        found_before = found
        left_beside += any(place.local_path().glob(".tmp-*"))
        check_next(place, end, found)
        assert not [path for path in place.local_path().rglob("*") if path.name.startswith(".")]
        if is_done:
            assert found is not None
            assert left_beside > 10
            assert {"mkdir", "open", "fsync", "rename"} <= set(done)
            return


def is_saved(place: Place) -> bool:
    """Saves the new patch; whether its writer lived to the end."""
    try:
        save_eopatch(place, NAME, NEW)
    except Died:
        return False
    return True


def check_next(place: Place, end: str, found: EOPatch | None) -> None:
    """Whoever comes next ends what a dead writer has begun, and no file is left but those of a patch.

    :param found: What our readers have found.
    """
    if end == "clean":
        clean(place, unfinished_after=LONG_AGO)
    elif end == "save":
        found = make_eopatch(0.75)
        save_eopatch(place, NAME, found)
    else:
        assert complete_save(place, NAME) is (found is not None)
    if found is not None:
        assert load_eopatch(place, NAME) == plain(place) == found
        assert list_eopatches(place) == [NAME]
    clean(place, unfinished_after=LONG_AGO)
    if found is not None:
        assert load_eopatch(place, NAME) == plain(place) == found
        assert is_at_rest(place)
    else:
        assert not place.files()


def plain_of(place: Place) -> str:
    if not place.exists(f"{NAME}/bbox.geojson"):
        return "none"
    return "refused" if plain(place) is None else "whole"


def test_a_writer_that_stalls_and_comes_back_harms_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one saves meanwhile; the late one then repairs what it has written over."""
    save_eopatch(place, NAME, OLD)
    real, lock = Place.copy, threading.Lock()
    stalled: list[str] = []
    late = make_eopatch(0.75, every_kind=True)

    def copy(self: Place, path: str, target: str) -> None:
        with lock:
            is_first = not stalled
            stalled.append(target)
        if is_first:
            save_eopatch(place, NAME, late)
            marker = read_marker(place.child(NAME))
            assert marker is not None
            assert marker.state == "kept", "nobody knows when the late one writes"
            assert load_eopatch(place, NAME) == late
        real(self, path, target)
        assert load_eopatch(place, NAME) in (NEW, late)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "copy", copy)
        save_eopatch(place, NAME, NEW)
    assert len(stalled) > 10
    assert load_eopatch(place, NAME) == plain(place) == late
    assert clean(place).moved == 0, "the late one may still be at it"
    assert clean(place, unfinished_after=LONG_AGO).moved == 1
    assert is_at_rest(place)
    assert load_eopatch(place, NAME) == plain(place) == late


def test_a_read_that_a_save_overtakes_is_of_one_patch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a plain folder, which has no checksums, and where one patch has a feature more."""
    more = NEW.copy()
    more[FeatureType.DATA, "NDVI"] = OLD[BANDS][..., :1]
    for before, after in ((OLD, more), (more, OLD), (None, NEW)):
        where = place.child(f"{before is None}{after is OLD}")
        if before is None:
            make_eopatch(0.125).save(f"{where}/{NAME}")
        else:
            save_eopatch(where, NAME, before)
        assert saved_while_it_is_read(where, after, monkeypatch) == after


def saved_while_it_is_read(place: Place, after: EOPatch, monkeypatch: pytest.MonkeyPatch) -> EOPatch:
    """What a reader gets who is overtaken by a save, between its look at the marker and its first file."""
    real = EOPatchFolder.read

    def overtaken(*args: Any, **options: Any) -> EOPatch:
        monkeypatch.setattr(EOPatchFolder, "read", real)
        save_eopatch(place, NAME, after)
        return real(*args, **options)

    monkeypatch.setattr(EOPatchFolder, "read", overtaken)
    return load_eopatch(place, NAME)


def test_what_another_program_saves_over_an_interrupted_save_is_not_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    with dying(monkeypatch, 7), pytest.raises(Died):
        save_eopatch(place, NAME, NEW)
    marker = read_marker(place.child(NAME))
    assert marker is not None
    assert marker.state == "switching"
    with monkeypatch.context() as patched:
        patched.setattr("eotasks.eopatches.clean._written_since", lambda *_: "data/BANDS.npy.gz")
        assert clean(place, unfinished_after=LONG_AGO).moved == 0
    assert "another program has written data/BANDS.npy.gz" in caplog.text
    assert clean(place, unfinished_after=LONG_AGO).moved == 1
    assert is_at_rest(place)


def test_a_patch_that_is_removed_while_it_is_saved_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As eo-learn does before it writes a whole patch anew."""
    save_eopatch(place, NAME, OLD)
    real = Place.copy

    def removing(self: Place, path: str, target: str) -> None:
        real(self, path, target)
        if target == "bbox.geojson":  # the last one
            self.remove("_current.json")

    monkeypatch.setattr(Place, "copy", removing)
    with pytest.raises(StorageError, match="removed or replaced by another program while it was saved"):
        save_eopatch(place, NAME, NEW)


def test_generations_that_are_damaged_are_left(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    generation = save_as_generation(place, NAME, OLD)
    place.write_bytes(f"{NAME}/{generation}/data/BANDS.npy.gz", b"cut")
    assert clean(place, unfinished_after=LONG_AGO).moved == 0
    assert "is left as it is: " in caplog.text
    assert load_eopatch(place, NAME, features=[LULC])[LULC].sum() == OLD[LULC].sum()
    with pytest.raises(StorageError, match=r"BANDS.npy.gz has 3 bytes instead of"):
        load_eopatch(place, NAME)


def test_a_first_save_that_fails_leaves_the_guard_of_another(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fails, the one that began first or the other: eo-learn finds no EOPatch of nothing while one is at it."""
    for first_fails in (True, False):
        where = place.child(str(first_fails))
        if place.is_local:
            where.write_bytes(f"{NAME}/notes.txt", b"")  # else a first save is a rename
        first, second = Writer(where, NEW, monkeypatch), Writer(where, make_eopatch(0.75), monkeypatch)
        first.begin()
        assert plain_of(where) == "refused"
        second.begin()
        assert plain_of(where) == "refused"
        failing, going_on = (first, second) if first_fails else (second, first)
        failing.end(OSError(28, "No space left on device"))
        assert failing.error is not None
        assert "No space left" in str(failing.error)
        assert plain_of(where) == "refused", "the other one is at it"
        assert not is_complete(where, NAME)
        going_on.end(None)
        assert going_on.error is None
        assert load_eopatch(where, NAME) == plain(where) == going_on.eopatch
        assert is_complete(where, NAME)


@pytest.mark.parametrize("order", list(itertools.product([True, False], repeat=3)), ids=str)
def test_whatever_fails_of_three_first_saves_a_living_one_is_guarded(
    place: Place, monkeypatch: pytest.MonkeyPatch, order: tuple[bool, ...]
) -> None:
    """They end in the order in which they began or in the other one; the last to end is told of, or saved."""
    if place.is_local:
        place.write_bytes(f"{NAME}/notes.txt", b"")
    writers = [Writer(place, make_eopatch(0.25 * number), monkeypatch) for number in (1, 2, 3)]
    for writer in writers:
        writer.begin()
        assert plain_of(place) == "refused"
    left = list(writers)
    for is_first in order[:2]:
        left.pop(0 if is_first else -1).end(OSError(28, "No space left on device"))
        assert plain_of(place) == "refused"
    left.pop().end(None if order[2] else OSError(28, "No space left on device"))
    if order[2]:
        assert load_eopatch(place, NAME) == plain(place)
    else:
        assert not is_complete(place, NAME)
        clean(place, unfinished_after=LONG_AGO)
        assert plain_of(place) == "none"
    assert not [path for path in place.files(NAME) if ".gen-" in path]


def test_clean_leaves_the_guard_of_a_save_that_has_just_begun(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    if place.is_local:
        place.write_bytes(f"{NAME}/notes.txt", b"")
    with dying(monkeypatch, 2), pytest.raises(Died):
        save_eopatch(place, NAME, NEW)
    assert plain_of(place) == "refused"
    second, real = Writer(place, NEW, monkeypatch), Place.remove_if

    def overtaken(self: Place, path: str, tag: str) -> bool:
        monkeypatch.setattr(Place, "remove_if", real)
        second.begin()
        return real(self, path, tag)

    monkeypatch.setattr(Place, "remove_if", overtaken)
    clean(place, unfinished_after=LONG_AGO)
    assert plain_of(place) == "refused"
    second.end(None)
    assert load_eopatch(place, NAME) == plain(place) == NEW


class Writer:
    """A save in a thread of its own, which stops when its guard is there and nothing else, until it is told to end."""

    def __init__(self, place: Place, eopatch: EOPatch, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.eopatch = place, eopatch.copy()
        self.error: BaseException | None = None
        self._fault: BaseException | None = None
        self._begun, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._save)
        real = save_module.write_eopatch

        def held(eopatch: EOPatch, *rest: Any) -> Any:
            if eopatch is self.eopatch and ".gen-" in str(rest[0]):
                self._begun.set()
                assert self._go.wait(60)
                if self._fault is not None:
                    raise self._fault
            return real(eopatch, *rest)

        monkeypatch.setattr(save_module, "write_eopatch", held)

    def begin(self) -> None:
        self._thread.start()
        assert self._begun.wait(60)

    def end(self, fault: BaseException | None) -> None:
        self._fault = fault
        self._go.set()
        self._thread.join()

    def _save(self) -> None:
        try:
            save_eopatch(self.place, NAME, self.eopatch)
        except StorageError as error:
            self.error = error

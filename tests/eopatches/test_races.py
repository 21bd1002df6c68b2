"""EOPatches on disk and on a real S3 server: two writers, servers that go away, disks that are full."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch

from eotasks.eopatches import files as files_module
from eotasks.eopatches import save as save_module
from eotasks.eopatches.clean import clean
from eotasks.eopatches.files import EOPatchFolder, write_eopatch
from eotasks.eopatches.load import eopatch_info, eopatch_version, is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import CredentialsError, EOTasksError, StorageError
from eotasks.storage import s3
from eotasks.storage.place import Place
from eotasks.workflows.cli import main
from tests.builders.eopatches import BANDS, SUN_ANGLES, make_eopatch, save_as_generation
from tests.servers.s3 import S3Server

NAME = "patch"


def is_at_rest(place: Place) -> bool:
    """Whether there is a plain folder with a marker, as any program reads it, and nothing else."""
    marker = json.loads(place.read_bytes(f"{NAME}/_current.json"))
    files = {path for path in place.files() if path != ".ready"}
    return marker["state"] == "whole" and files == {f"{NAME}/{path}" for path in ["_current.json", *marker["files"]]}


@pytest.mark.parametrize("before", [True, False], ids=["over another", "first save"])
def test_a_save_that_was_overtaken_is_told_and_nothing_is_mixed(
    place: Place, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        save_eopatch(place, NAME, make_eopatch(0.125))
    real = write_eopatch

    def overtaken(*args: object) -> object:
        monkeypatch.setattr(save_module, "write_eopatch", real)
        save_eopatch(place, NAME, make_eopatch(0.5))
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(save_module, "write_eopatch", overtaken)
    with pytest.raises(StorageError, match=r"_current.json was written by another run in the meantime"):
        save_eopatch(place, NAME, make_eopatch(0.75))
    assert load_eopatch(place, NAME) == make_eopatch(0.5)
    assert is_at_rest(place)
    save_eopatch(place, NAME, make_eopatch(0.75))
    assert load_eopatch(place, NAME) == make_eopatch(0.75)
    assert is_at_rest(place)


def test_of_many_saves_at_once_one_counts_wholly(place: Place) -> None:
    values = [1.0, 2.0, 3.0, 4.0]

    def save(value: float) -> float | None:
        try:
            save_eopatch(place, NAME, make_eopatch(value))
        except StorageError as error:
            return None if "another run" in str(error) else -1
        return value

    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(save, values))
    loaded = load_eopatch(place, NAME)
    assert -1 not in saved
    assert loaded == make_eopatch(loaded[BANDS].max())
    assert loaded[BANDS].max() in saved


@pytest.mark.parametrize("before", [True, False], ids=["over another", "first save"])
@pytest.mark.parametrize("error", [StorageError("the answer was lost"), KeyboardInterrupt()], ids=["lost", "interrupt"])
def test_a_save_that_fails_when_its_marker_is_written_already_keeps_what_the_marker_names(
    place: Place, monkeypatch: pytest.MonkeyPatch, before: bool, error: BaseException
) -> None:
    if before:
        save_eopatch(place, NAME, make_eopatch(0.25))
    real, put_in_place = Place.write_if, save_module.put_in_place

    def write_and_fail(self: Place, path: str, data: bytes, tag: str | None) -> str:
        real(self, path, data, tag)
        raise error

    def put_and_fail(new: Path, target: Path, tag: str | None) -> None:
        put_in_place(new, target, tag)
        raise error

    monkeypatch.setattr(Place, "write_if", write_and_fail)
    monkeypatch.setattr(save_module, "put_in_place", put_and_fail)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            save_eopatch(place, NAME, make_eopatch(0.5))
    else:
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert is_complete(place, NAME)
    assert load_eopatch(place, NAME) == make_eopatch(0.5)
    assert is_at_rest(place) is (place.is_local or not isinstance(error, KeyboardInterrupt))


def test_a_patch_that_is_saved_again_and_cleaned_while_it_is_read_comes_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    real = EOPatchFolder.read

    def overtaken(*args: Any, **options: Any) -> EOPatch:
        monkeypatch.setattr(EOPatchFolder, "read", real)
        save_eopatch(place, NAME, make_eopatch(0.5))
        clean(place, unfinished_after=timedelta(seconds=-60))
        assert is_at_rest(place)
        return real(*args, **options)

    monkeypatch.setattr(EOPatchFolder, "read", overtaken)
    assert load_eopatch(place, NAME) == make_eopatch(0.5)


LOOKS: dict[str, Callable[[Place], object]] = {
    "load": lambda place: load_eopatch(place, NAME) == make_eopatch(0.5),
    "info": lambda place: "mask_timeless/LULC" in eopatch_info(place, NAME).features,
    "version": lambda place: len(eopatch_version(place, NAME)),
    "is_complete": lambda place: is_complete(place, NAME, features=[BANDS]),
}


@pytest.mark.parametrize(
    ("look", "moment"),
    [(look, "is_folder") for look in LOOKS] + [("load", "check_regular"), ("is_complete", "size"), ("info", "size")],
)
def test_a_feature_that_a_new_save_lacks_may_go_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str, moment: str
) -> None:
    """Found by 200 kills: a folder was listed, or a file opened, that another process had just exchanged."""
    place = Place(tmp_path)
    before = make_eopatch(0.25)
    before[SUN_ANGLES] = np.ones((2, 2), dtype=np.float32)
    save_eopatch(place, NAME, before)
    done: list[object] = []

    def overtake() -> None:
        if not done:
            done.append(True)
            save_eopatch(place, NAME, make_eopatch(0.5))

    real_check, real = files_module.check_regular, {name: getattr(Place, name) for name in ("is_folder", "size")}

    def checked(path: Any, limit: Any = None) -> None:
        real_check(path, limit)
        if str(path).endswith("SUN_ANGLES.npy.gz"):
            overtake()

    def looked(self: Place, path: str) -> object:
        found = real[moment](self, path)
        if path.startswith("scalar"):
            overtake()
        return found

    if moment == "check_regular":
        monkeypatch.setattr(files_module, moment, checked)
    else:
        monkeypatch.setattr(Place, moment, looked)
    assert LOOKS[look](place)
    assert done


@pytest.mark.slow
@pytest.mark.parametrize("returns", [True, pytest.param(False, marks=pytest.mark.trial)], ids=["back", "gone"])
@pytest.mark.parametrize("during", ["PutObject", "GetObject", pytest.param("CopyObject", marks=pytest.mark.trial)])
def test_a_server_killed_in_the_middle(
    s3_own_server: S3Server, monkeypatch: pytest.MonkeyPatch, during: str, returns: bool
) -> None:
    if not returns:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    place = Place(s3_own_server.location())
    save_eopatch(place, NAME, make_eopatch(0.25))
    act: Callable[[], object] = (
        (lambda: save_eopatch(place, NAME, make_eopatch(0.5)))
        if during != "GetObject"
        else (lambda: load_eopatch(place, NAME))
    )
    with killed_at_request(s3_own_server, during, 3, returns) as wait:
        if returns or during == "CopyObject":
            act()
        else:
            with pytest.raises(StorageError, match="cannot be reached or broke off"):
                act()
        wait()
    if not returns:
        s3_own_server.restart()
    is_new = during == "CopyObject" or (returns and during == "PutObject")
    assert is_complete(place, NAME)
    assert load_eopatch(place, NAME) == make_eopatch(0.5 if is_new else 0.25)
    clean(place, unfinished_after=timedelta(seconds=-60))
    assert is_at_rest(place)
    assert EOPatch.load(f"{place}/{NAME}") == load_eopatch(place, NAME) == make_eopatch(0.5 if is_new else 0.25)


def killed_at_request(server: S3Server, operation: str, number: int, returns: bool) -> KilledAtRequest:
    return KilledAtRequest(server, operation, number, returns)


class KilledAtRequest:
    """Kills the server when the client is about to send a request, and starts it again half a second later."""

    def __init__(self, server: S3Server, operation: str, number: int, returns: bool) -> None:
        self.server, self.number, self.returns = server, number, returns
        self.restart = threading.Timer(0.5, server.restart)
        self.events, self.event = s3.s3_client().meta.events, f"before-send.s3.{operation}"
        self.seen = 0
        self.lock = threading.Lock()

    def __enter__(self) -> Callable[[], None]:
        self.events.register(self.event, self.kill, unique_id="kill")
        return self.wait

    def __exit__(self, *_: object) -> None:
        self.events.unregister(self.event, unique_id="kill")

    def kill(self, **_: object) -> None:
        with self.lock:
            self.seen += 1
            if self.seen == self.number:
                self.server.kill()
                if self.returns:
                    self.restart.start()

    def wait(self) -> None:
        assert self.seen >= self.number
        if self.returns:
            self.restart.join()


@pytest.mark.parametrize(
    ("variables", "bucket", "kind", "message"),
    [({"AWS_SECRET_ACCESS_KEY": "wrong"}, "", CredentialsError, "refuses"),
     ({}, "no-such-bucket", StorageError, "there is no bucket"),
     ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, "", StorageError, "cannot be reached")],
)  # fmt: skip
@pytest.mark.parametrize("action", ["save", "load", "is_complete", "list", "clean"])
def test_what_is_wrong_with_a_bucket_is_one_sentence(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, action: str, variables: dict[str, str], bucket: str,
    kind: type[EOTasksError], message: str,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = Place(f"s3://{bucket or s3_server.bucket}/place")
    actions: dict[str, Callable[[], object]] = {
        "save": lambda: save_eopatch(place, NAME, make_eopatch()),
        "load": lambda: load_eopatch(place, NAME),
        "is_complete": lambda: is_complete(place, NAME),
        "list": lambda: list_eopatches(place),
        "clean": lambda: clean(place),
    }
    with pytest.raises(kind, match=message) as caught:
        actions[action]()
    assert "\n" not in str(caught.value)


def test_patches_in_a_public_bucket_are_read_by_anyone(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(f"s3://{s3_server.make_public_bucket()}/some/prefix")
    save_eopatch(place, NAME, make_eopatch())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert list_eopatches(place) == [NAME]
    assert load_eopatch(place, NAME, features=[BANDS])[BANDS].max() == 0.25
    with pytest.raises(CredentialsError, match="is not public"):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.25


def test_eotasks_clean_cleans_a_bucket(s3_server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(s3_server.location())
    save_as_generation(place, NAME, make_eopatch(0.25))
    save_as_generation(place, NAME, make_eopatch(0.5))
    assert main(["clean", place.location]) == 0
    assert capsys.readouterr().out.startswith("1 generations removed, 1 EOPatches made plain folders")
    assert is_at_rest(place)
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert main(["clean", f"{place.location}-absent"]) == 2


def test_a_full_disk_leaves_the_patch_that_was_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))

    def full(self: EOPatch, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(EOPatch, "save", full)
    with pytest.raises(StorageError, match=r"No space left.*before is unchanged"):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME) == make_eopatch(0.25)
    assert is_at_rest(place)

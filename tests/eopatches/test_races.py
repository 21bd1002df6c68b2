"""EOPatches on disk and on a real S3 server: two writers, servers that go away, folders that are not whole."""

from __future__ import annotations

import errno
import gzip
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from eolearn.core.exceptions import EODeprecationWarning
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches import files as eopatch_files
from eotasks.eopatches import save as storage
from eotasks.eopatches.save import clean, is_complete, list_eopatches, load_eopatch, save_eopatch
from eotasks.errors import CredentialsError, EOTasksError, StorageError
from eotasks.storage import s3
from eotasks.storage import store as _stores
from eotasks.storage.place import Place
from eotasks.workflows.cli import main
from tests.servers.s3 import S3Server

BANDS = (FeatureType.DATA, "BANDS")
LULC = (FeatureType.MASK_TIMELESS, "LULC")
NAME = "patch"


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(tmp_path / "a place")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())


def make_eopatch(value: float = 0.25) -> EOPatch:
    times = [datetime(2019, 1, day) for day in (1, 6)]  # noqa: DTZ001  # EOPatch times are naive
    eopatch = EOPatch(bbox=BBox((330000, 5814360, 330080, 5814440), CRS("32633")), timestamps=times)
    eopatch[BANDS] = np.full((2, 8, 8, 3), value, dtype=np.float32)
    eopatch[LULC] = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    eopatch[FeatureType.META_INFO, "SIMULATED"] = True
    return eopatch


def generations(place: Place) -> list[str]:
    return [name for name in place.names(NAME) if name.startswith(".gen-") and place.files(f"{NAME}/{name}")]


@pytest.mark.parametrize("before", [True, False], ids=["over another", "first save"])
def test_a_save_that_was_overtaken_is_told_and_nothing_is_mixed(
    place: Place, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        save_eopatch(place, NAME, make_eopatch(0.125))
    real = eopatch_files.write_eopatch

    def overtaken(*args: object) -> object:
        monkeypatch.setattr(storage, "write_eopatch", real)
        save_eopatch(place, NAME, make_eopatch(0.5))
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "write_eopatch", overtaken)
    with pytest.raises(StorageError, match=r"_current.json was written by another run in the meantime"):
        save_eopatch(place, NAME, make_eopatch(0.75))
    assert load_eopatch(place, NAME) == make_eopatch(0.5)
    assert len(generations(place)) == 1 + before
    save_eopatch(place, NAME, make_eopatch(0.75))
    assert load_eopatch(place, NAME) == make_eopatch(0.75)


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
    real = Place.write_if

    def write_and_fail(self: Place, path: str, data: bytes, tag: str | None) -> str:
        real(self, path, data, tag)
        raise error

    monkeypatch.setattr(Place, "write_if", write_and_fail)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            save_eopatch(place, NAME, make_eopatch(0.5))
    else:
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert is_complete(place, NAME)
    assert load_eopatch(place, NAME) == make_eopatch(0.5)


def test_a_patch_that_is_saved_again_and_cleaned_while_it_is_read_comes_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    real = eopatch_files.fetch_eopatch

    def overtaken(*args: Any) -> EOPatch:
        monkeypatch.setattr(storage, "fetch_eopatch", real)
        save_eopatch(place, NAME, make_eopatch(0.5))
        assert clean(place, unfinished_after=timedelta(seconds=-60)).generations == 1
        return real(*args)

    monkeypatch.setattr(storage, "fetch_eopatch", overtaken)
    assert load_eopatch(place, NAME) == make_eopatch(0.5)


def test_what_eo_learn_has_saved_is_loaded(place: Place) -> None:
    make_eopatch().save(NAME, filesystem=place.filesystem)
    assert list_eopatches(place) == [NAME]
    assert load_eopatch(place, NAME) == make_eopatch()
    assert not is_complete(place, NAME)
    assert clean(place).generations == 0
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME) == make_eopatch(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("returns", [True, False], ids=["back", "gone"])
@pytest.mark.parametrize("during", ["PutObject", "GetObject"])
def test_a_server_killed_in_the_middle(
    s3_own_server: S3Server, monkeypatch: pytest.MonkeyPatch, during: str, returns: bool
) -> None:
    if not returns:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    place = Place(s3_own_server.location())
    save_eopatch(place, NAME, make_eopatch(0.25))
    act: Callable[[], object] = (
        (lambda: save_eopatch(place, NAME, make_eopatch(0.5)))
        if during == "PutObject"
        else (lambda: load_eopatch(place, NAME))
    )
    with killed_at_request(s3_own_server, during, 3, returns) as wait:
        if returns:
            act()
        else:
            with pytest.raises(StorageError, match="cannot be reached or broke off"):
                act()
        wait()
    if not returns:
        s3_own_server.restart()
    assert is_complete(place, NAME)
    assert load_eopatch(place, NAME) == make_eopatch(0.5 if returns and during == "PutObject" else 0.25)


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


def test_listing_patches_of_a_bucket_asks_for_pages_and_not_for_patches(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    names = [f"patch-{number:02d}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: place.write_bytes(f"{name}/_current.json", b"{}"), names))
        list(pool.map(lambda name: place.write_bytes(f"{name}/.gen-1/bbox.geojson", b"{}"), names))
    place.write_bytes("plain/bbox.geojson", b"{}")
    place.write_bytes("other/file", b"")
    place.write_bytes(".hidden/_current.json", b"{}")
    calls: list[str] = []
    events = s3.s3_client().meta.events
    events.register("before-call.s3", lambda model, **_: calls.append(model.name), unique_id="count")
    try:
        assert list_eopatches(place) == [*names, "plain"]
        assert clean(place).generations == 0
    finally:
        events.unregister("before-call.s3", unique_id="count")
    assert calls == ["ListObjectsV2"] * 2


def test_eotasks_clean_cleans_a_bucket(s3_server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(s3_server.location())
    save_eopatch(place, NAME, make_eopatch(0.25))
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert main(["clean", place.location]) == 0
    assert capsys.readouterr().out.startswith("1 generations removed")
    assert len(place.names(NAME)) == 2
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert main(["clean", f"{place.location}-absent"]) == 2


@pytest.fixture
def plain(place: Place) -> Place:
    """A place with a plain EOPatch folder, as eo-learn writes it."""
    eopatch_files.write_eopatch(make_eopatch(), place, NAME, list(make_eopatch().get_features()))
    assert load_eopatch(place, NAME) == make_eopatch()
    return place


def gzipped(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)  # type: ignore[arg-type]
    return gzip.compress(stream.getvalue())


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [("data/BANDS.npy.gz", b"cut off", r"file data/BANDS.npy.gz cannot be read to its end"),
     ("data/BANDS.npy.gz", gzipped(np.zeros((2, 8, 8, 3)))[:-4], r"file data/BANDS.npy.gz cannot be read to its end"),
     ("data/BANDS.npy.gz", gzip.compress(b"\x93NUMPY"), r"file data/BANDS.npy.gz cannot be read to its end"),
     ("data/BANDS.npy.gz", gzipped(np.zeros((3, 8, 8, 3))), r"data/BANDS has 3 frames, the timestamps are 2"),
     ("meta_info/SIMULATED.json.gz", b"{", r"file meta_info/SIMULATED.json.gz cannot be read to its end"),
     ("timestamps.json", b"[", r"file timestamps.json cannot be read to its end"),
     ("timestamps.json", b"[]", r"data/BANDS has 2 frames, the timestamps are 0"),
     ("timestamps.json", None, r"data/BANDS has 2 frames, the timestamps are 0"),
     ("bbox.geojson", b"{", r"file bbox.geojson cannot be read to its end"),
     ("bbox.geojson", None, r"has no file bbox.geojson.*writer did not come to the end")],
)  # fmt: skip
def test_a_plain_folder_that_is_not_whole_is_refused_by_the_file(
    plain: Place, path: str, content: bytes | None, message: str
) -> None:
    there = plain.files(NAME)
    assert path in there
    if content is None:
        plain.remove(f"{NAME}/{path}")
    else:
        plain.write_bytes(f"{NAME}/{path}", content)
    with pytest.raises(StorageError, match=message) as caught:
        load_eopatch(plain, NAME)
    assert "\n" not in str(caught.value)


def test_eo_learn_itself_loads_half_a_patch(tmp_path: Path) -> None:
    """Why our loader looks: eo-learn takes a folder whose writer died for a patch."""
    make_eopatch().save(str(tmp_path / NAME))
    (tmp_path / NAME / "bbox.geojson").unlink()
    for file in (tmp_path / NAME / "data").iterdir():
        file.unlink()
    with pytest.warns(EODeprecationWarning, match="without providing a BBox"):
        assert EOPatch.load(str(tmp_path / NAME)).get_features() == [LULC, (FeatureType.META_INFO, "SIMULATED")]
    with pytest.raises(StorageError, match="has nothing in its folder data"):
        load_eopatch(Place(tmp_path), NAME)


def test_a_full_disk_leaves_the_patch_that_was_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))

    def full(self: EOPatch, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(EOPatch, "save", full)
    with pytest.raises(StorageError, match=r"No space left.*before is unchanged"):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME) == make_eopatch(0.25)
    assert len(generations(place)) == 1


def test_a_disk_that_is_full_for_the_marker_leaves_the_patch_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    save_eopatch(place, NAME, make_eopatch(0.25))

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_stores, "_flush", full)
    with pytest.raises(StorageError, match=r"_current.json: .*No space left"):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME) == make_eopatch(0.25)
    assert place.names(NAME) == [*generations(place), "_current.json"]


def test_a_patch_of_another_version_asks_for_an_upgrade(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch())
    content = place.read_bytes(f"{NAME}/_current.json").replace(b'"version": 1', b'"version": 7')
    place.write_bytes(f"{NAME}/_current.json", content)
    for read in (load_eopatch, is_complete):
        with pytest.raises(StorageError, match=r"_current.json has version 7.*upgrade eotasks"):
            read(place, NAME)
    place.write_bytes(f"{NAME}/.gen-0123456789ab/file", b"")
    with pytest.raises(StorageError, match="upgrade"):
        clean(place, unfinished_after=timedelta(0))

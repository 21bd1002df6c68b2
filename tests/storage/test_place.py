"""`eotasks.storage.place`: the same on disk and in a bucket of a real S3 server."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch, FeatureType
from eolearn.core.utils.fs import pickle_fs, unpickle_fs
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

import eotasks.storage.place
from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, StorageError
from eotasks.storage import s3
from eotasks.storage.place import Place
from tests.servers.s3 import SECRET_KEY, S3Server


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(tmp_path / "a place")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())


def bucket_place(server: S3Server) -> Place:
    return Place(server.location())


def test_files_and_folders(place: Place) -> None:
    assert not place.exists()
    assert place.names() == []
    assert place.files() == {}
    place.write_bytes("a/b/č ü.bin", b"12345")
    place.write_bytes("a/b.txt", b"1")
    place.write_bytes("ab", b"12")
    assert place.exists()
    assert place.names() == ["a", "ab"]
    assert place.names("a") == ["b", "b.txt"]
    assert place.names("nothing") == []
    assert place.files("a") == {"b/č ü.bin": 5, "b.txt": 1}
    assert [place.exists(path) for path in ("a", "a/b", "a/b.txt", "b", "a/b.tx", "a/b/č")] == [True] * 3 + [False] * 3
    assert [place.is_folder(path) for path in ("a", "a/b", "a/b.txt", "ab", "x")] == [True, True, False, False, False]
    assert place.size("a/b/č ü.bin") == 5
    assert place.size("a/x") is None
    assert place.size("ab/x") is None
    assert place.read_bytes("ab") == b"12"
    assert place.child("a").read_bytes("b.txt") == b"1"


def test_folders_that_may_not_be_listed_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of a disk has such a one, lost+found."""
    place = Place(tmp_path)
    place.write_bytes("lost+found/a", b"1")
    place.write_bytes("b/c", b"12")
    (tmp_path / "b" / "dangling").symlink_to(tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path / "b", target_is_directory=True)
    scan = os.scandir

    def denied(path: str) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert place.files() == {"b/c": 2}
    assert [entry.path for entry in place.entries()] == ["b", "b/c", "link", "lost+found"]


def test_removing_takes_what_is_below_and_nothing_else(place: Place) -> None:
    for name in ("a/b/c", "a/d", "ab", "a.b"):
        place.write_bytes(name, b"")
    place.remove("a/b")
    assert place.names("a") == ["d"]
    place.remove("a")
    place.remove("a")
    assert place.names() == ["a.b", "ab"]
    place.remove("ab")
    assert place.names() == ["a.b"]
    with pytest.raises(StorageError, match="is no name inside a place"):
        place.remove("")


def test_only_empty_folders_are_removed_as_such(place: Place) -> None:
    place.write_bytes("a/b/c", b"")
    for path in ("a", "a/b", "a/b/c", "x"):
        place.remove_empty(path)
    assert place.files() == {"a/b/c": 0}
    place.remove("a/b/c")
    place.remove_empty("a/b")
    assert not place.exists("a/b")


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "a" * 5000], ids=["NUL", "half a character", "long"])
def test_names_that_no_place_takes_are_told(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for act in (
        place.read_bytes,
        lambda path: place.write_bytes(path, b""),
        lambda path: place.write_if(path, b"", None),
    ):
        with pytest.raises(StorageError) as caught:
            act(name)
        str(caught.value).encode()
    assert place.files() == {}


def test_extent_is_bytes_and_last_change(place: Place) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    place.write_bytes("a/b", b"123")
    place.write_bytes("a/c/d", b"4567")
    for path, size in (("a", 7), ("a/b", 3)):
        found, changed = place.extent(path)
        assert found == size
        assert before < changed < datetime.now(UTC) + timedelta(seconds=5)


def test_absent_files_are_named(place: Place, tmp_path: Path) -> None:
    place.write_bytes("here", b"")
    with pytest.raises(StorageError, match=r"a/b is not there: check the name"):
        place.read_bytes("a/b")
    with pytest.raises(StorageError, match=r"a/b is not there: check the name"), place.reading("a/b"):
        pytest.fail("there is nothing to read")
    place.download("a/b", tmp_path / "copies" / "b")
    assert not (tmp_path / "copies" / "b").exists()


def test_reading_and_writing_go_by_paths_of_this_machine(place: Place) -> None:
    with place.writing("maps/a.tif") as path:
        assert path.suffix == ".tif"
        path.write_bytes(b"half")
        assert not place.exists("maps/a.tif")
        path.write_bytes(b"whole")
    assert place.files() == {"maps/a.tif": 5}
    with place.reading("maps/a.tif") as path:
        assert path.name == "a.tif"
        assert path.read_bytes() == b"whole"
    assert path.exists() is place.is_local


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), OSError(errno.ENOENT, "mine")])
def test_a_block_that_fails_writes_nothing(place: Place, error: BaseException) -> None:
    place.write_bytes("maps/a.tif", b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)), place.writing("maps/a.tif") as path:
        fail(path)
    assert place.read_bytes("maps/a.tif") == b"old"
    assert place.files() == {"maps/a.tif": 3}


def test_a_full_disk_in_a_block_is_told_as_such(place: Place) -> None:
    with pytest.raises(StorageError, match=r"maps/a.tif: .*No space left.* and the space"), place.writing("maps/a.tif"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert place.files() == {}


def test_a_block_that_writes_no_file_is_an_error(place: Place) -> None:
    with pytest.raises(FileNotFoundError), place.writing("maps/a.tif"):
        pass
    assert place.files() == {}


def test_uploads_and_downloads(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    place.upload("a/file", tmp_path / "source")
    place.download("a/file", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == b"content"


def test_writes_under_a_condition(place: Place) -> None:
    first = place.write_if("a/lease", b"one", None)
    with pytest.raises(StorageError, match="was written by another run in the meantime"):
        place.write_if("a/lease", b"two", None)
    second = place.write_if("a/lease", b"two", first)
    with pytest.raises(StorageError, match="another run"):
        place.write_if("a/lease", b"three", first)
    assert place.read_tagged("a/lease") == (b"two", second)
    place.remove("a/lease")
    with pytest.raises(StorageError):
        place.write_if("a/lease", b"four", second)
    assert place.names("a") == []


def test_of_many_conditional_writers_one_comes_through(place: Place) -> None:
    tag = place.write_if("file", b"start", None)

    def write(number: int) -> bool:
        try:
            place.write_if("file", str(number).encode(), tag)
        except StorageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert place.read_bytes("file") == str(won.index(True)).encode()


def test_a_conditional_write_that_came_through_unheard_is_no_lost_race(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server wrote, the answer was lost, the client tried again: it meets what it has written itself."""
    place = bucket_place(s3_server)
    real = s3.write_object

    def twice(location: str, data: bytes, **condition: object) -> str:
        real(location, data, **condition)  # type: ignore[arg-type]
        return real(location, data, **condition)  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "write_object", twice)
    tag = place.write_if("file", b"mine", None)
    assert place.read_tagged("file") == (b"mine", tag)


def test_lines_are_added_whole(place: Place) -> None:
    place.append_line("logs/log", "one")
    place.append_line("logs/log", "zwei č\n")
    assert place.read_bytes("logs/log").decode() == "one\nzwei č\n"
    place.write_bytes("logs/log", b"one\ntor")
    place.append_line("logs/log", "two")
    assert place.read_bytes("logs/log") == b"one\ntor\ntwo\n"


def test_lines_of_several_writers_all_get_in(place: Place) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: place.append_line("log", f"line {number}"), range(12)))
    assert sorted(place.read_bytes("log").decode().split("\n")) == sorted(["", *(f"line {n}" for n in range(12))])


def test_gdal_reads_files_of_a_place(place: Place) -> None:
    profile = {"driver": "GTiff", "width": 5, "height": 4, "count": 1, "dtype": "uint8", "crs": 32633}
    values = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    transform = rasterio.Affine(10, 0, 0, 0, -10, 0)
    with place.writing("maps/a.tif") as path, rasterio.open(path, "w", **profile, transform=transform) as file:
        file.write(values)
    with rasterio.Env(**place.gdal_environment()), rasterio.open(place.gdal_path("maps/a.tif")) as file:
        np.testing.assert_array_equal(file.read(), values)


def test_eo_learn_reads_and_writes_through_the_filesystem(place: Place) -> None:
    eopatch = EOPatch(bbox=BBox((0, 0, 20, 20), CRS("32633")), timestamps=[datetime(2020, 1, 1)])  # noqa: DTZ001
    eopatch[FeatureType.DATA, "A"] = np.ones((1, 2, 2, 1), np.float32)
    eopatch.save("patch", filesystem=place.filesystem)
    assert EOPatch.load("patch", filesystem=place.filesystem) == eopatch
    assert "A.npy.gz" in place.names("patch/data")
    pickled = pickle_fs(place.filesystem)  # how eo-learn's tasks go to other processes
    assert SECRET_KEY.encode() not in pickled
    assert EOPatch.load("patch", filesystem=unpickle_fs(pickled)) == eopatch


def test_what_other_tools_have_uploaded_is_seen(s3_server: S3Server) -> None:
    """No empty objects for folders, as `aws s3 sync` uploads, and with them, as consoles do."""
    place = bucket_place(s3_server)
    prefix = place.location.removeprefix(f"s3://{s3_server.bucket}/")
    for key in ("plain/file", "marked/", "marked/sub/", "marked/sub/file"):
        s3_server.client().put_object(
            Bucket=s3_server.bucket, Key=f"{prefix}/{key}", Body=b"1" if key[-1] != "/" else b""
        )
    assert place.names() == ["marked", "plain"]
    assert place.files() == {"marked/sub/file": 1, "plain/file": 1}
    assert place.is_folder("plain")
    assert place.exists("marked/sub")
    place.remove("marked")
    assert place.names() == ["plain"]


@pytest.mark.trial
def test_ten_thousand_small_objects_are_listed_in_pages(s3_server: S3Server) -> None:
    place = bucket_place(s3_server)
    prefix = place.location.removeprefix(f"s3://{s3_server.bucket}/")
    s3_server.fill([f"{prefix}/patch-{number // 10:04d}/{number % 10}" for number in range(10_000)])
    calls: list[str] = []
    events = s3.s3_client().meta.events
    events.register("before-call.s3", lambda model, **_: calls.append(model.name), unique_id="count")
    try:
        files, names = place.files(), place.names()
    finally:
        events.unregister("before-call.s3", unique_id="count")
    assert len(files) == 10_000
    assert files["patch-0999/9"] == 1
    assert names == [f"patch-{number:04d}" for number in range(1000)]
    assert set(calls) == {"ListObjectsV2"}
    assert len(calls) <= 13
    place.remove("patch-0000")
    assert len(place.files()) == 9_990


def test_all_of_a_large_folder_is_removed(s3_server: S3Server) -> None:
    place = bucket_place(s3_server)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: place.write_bytes(f"a/{n}", b""), range(1100)))
    place.write_bytes("b", b"")
    place.remove("a")
    assert place.files() == {"b": 0}


@pytest.mark.parametrize(
    ("variables", "bucket", "kind", "message"),
    [({"AWS_SECRET_ACCESS_KEY": "wrong"}, "", CredentialsError, "refuses"),
     ({"AWS_NO_SIGN_REQUEST": "YES"}, "", CredentialsError, "not public"),
     ({}, "no-such-bucket", StorageError, "there is no bucket"),
     ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, "", StorageError, "cannot be reached")],
)  # fmt: skip
@pytest.mark.parametrize(
    "action", ["exists", "names", "files", "read", "write", "write_if", "append", "upload", "remove"]
)
def test_every_action_says_what_is_wrong_with_a_bucket(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str, variables: dict[str, str],
    bucket: str, kind: type[EOTasksError], message: str,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = Place(f"s3://{bucket or s3_server.bucket}/prefix")
    (tmp_path / "source").write_bytes(b"content")
    actions: dict[str, Callable[[], object]] = {
        "exists": lambda: place.exists("a"),
        "names": place.names,
        "files": place.files,
        "read": lambda: place.read_bytes("a"),
        "write": lambda: place.write_bytes("a", b""),
        "write_if": lambda: place.write_if("a", b"", None),
        "append": lambda: place.append_line("a", "line"),
        "upload": lambda: place.upload("a", tmp_path / "source"),
        "remove": lambda: place.remove("a"),
    }
    with pytest.raises(kind, match=message) as caught:
        actions[action]()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["UploadPart", "GetObject"])
@pytest.mark.parametrize("back", [True, pytest.param(False, marks=pytest.mark.trial)])
def test_a_server_killed_in_the_middle_of_a_large_file(
    s3_own_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool, operation: str
) -> None:
    if not back:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    place = bucket_place(s3_own_server)
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"x" * 30_000_000)
    place.upload("large", source)
    place.write_bytes("file", b"old")
    act: Callable[[], None] = (
        (lambda: place.upload("file", source)) if operation == "UploadPart" else (lambda: place.download("large", copy))
    )
    restart = threading.Timer(0.5, s3_own_server.restart)
    parts = iter(range(1000))
    events = s3.s3_client().meta.events

    def kill(**_: object) -> None:
        if next(parts) == 1:
            s3_own_server.kill()
            if back:
                restart.start()

    events.register(f"before-send.s3.{operation}", kill, unique_id="kill")
    try:
        if back:
            act()
        else:
            with pytest.raises(StorageError, match="cannot be reached or broke off"):
                act()
    finally:
        events.unregister(f"before-send.s3.{operation}", unique_id="kill")
    if back:
        restart.join()
    else:
        s3_own_server.restart()
    uploaded = back and operation == "UploadPart"
    assert place.files() == {"file": 30_000_000 if uploaded else 3, "large": 30_000_000}
    assert copy.exists() is (back and operation == "GetObject")
    assert not copy.exists() or copy.read_bytes() == source.read_bytes()


def test_a_place_is_cheap_comparable_and_makes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "new")
    assert pickle.loads(pickle.dumps(place)) == place
    assert hash(place) == hash(Place(str(tmp_path / "new")))
    assert place.child("a b").local_path("c") == tmp_path / "new" / "a b" / "c"
    place.remove("x")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "location", ["", "  ", "s3://", "s3:///x", "s3://b/a//x", "s3://b/../x", "gs://b/x", "~nosuchuser/x"]
)
def test_unknown_places_are_refused(location: str) -> None:
    with pytest.raises(ConfigurationError):
        Place(location)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Check the path, the rights and the space"):
        Place(tmp_path / "file").write_bytes("a", b"")
    with pytest.raises(StorageError, match="Check the path, the rights"), Place(tmp_path).writing("file/map.tif"):
        pytest.fail("there is no folder to write to")


def test_a_read_only_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)

    def refuse(self: Path, data: bytes) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)  # root may write everywhere, so no folder's rights would refuse
    with pytest.raises(StorageError, match=r"a: .*Read-only file system.*Check the path, the rights"):
        place.write_bytes("a", b"")


FULL_DISK = """
import resource, sys
from eotasks.storage.place import Place
from eotasks.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
place = Place(sys.argv[1])
for act in (lambda: place.write_bytes("file", bytes(200_000)), lambda: place.append_line("log", "x" * 200_000)):
    try:
        act()
    except StorageError as error:
        print(error)
with place.writing("map") as path:
    path.write_bytes(bytes(200_000))
"""


def test_what_the_kernel_refuses_to_write_leaves_the_old_file(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    place.write_bytes("file", b"old")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL_DISK, place.location], capture_output=True, text=True
    )
    assert done.stdout.count("File too large") == 2
    assert "StorageError" in done.stderr
    assert place.read_bytes("file") == b"old"
    assert sorted(place.names()) == ["file", "log"]


def test_a_filesystem_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    place = Place(tmp_path)
    tag = place.write_if("a", b"1", None)
    place.write_if("a", b"2", tag)
    with pytest.raises(StorageError, match="another run"):
        place.write_if("a", b"3", tag)
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(StorageError, match="broken"):
        place.write_if("a", b"3", tag)


def test_workflows_name_places_too() -> None:
    assert eotasks.storage.place.Place is Place


def test_a_new_file_is_written_where_none_is(place: Place) -> None:
    tag = place.write_new("a", b"1")
    assert tag is not None
    assert place.write_new("a", b"2") is None
    assert place.read_tagged("a") == (b"1", tag)


def test_copies_folders_and_files_that_are_removed_together(place: Place) -> None:
    place.write_bytes("from/a č", b"1")
    place.copy("from/a č", "to/b")
    place.make_folder("to/empty")
    assert place.read_bytes("to/b") == b"1"
    found = {entry.path: entry.is_file for entry in place.entries(folders=True)}
    assert (found["to/b"], found["to/empty"]) == (True, False)
    place.remove_files(["from/a č", "from/", "to/", "absent"])
    assert place.files() == {"to/b": 1}
    with pytest.raises(StorageError, match="absent"):
        place.copy("absent", "c")

"""Cleaning, and the command `eotasks clean`."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from eolearn.core import EOPatch

from eotasks.eopatches.clean import CleanResult, clean
from eotasks.eopatches.load import is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.save import complete_save, save_eopatch
from eotasks.errors import CredentialsError
from eotasks.storage.place import Place
from eotasks.storage.store import Entry
from eotasks.workflows.cli import main
from tests.builders.eopatches import BANDS, make_eopatch, save_as_generation
from tests.servers.s3 import S3Server

NAME = "p"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a place")


def generations(place: Place) -> list[str]:
    return [name for name in place.names(NAME) if name.startswith(".gen-")]


@pytest.mark.parametrize("newest", [True, False], ids=["moved", "saved over"])
def test_generations_of_an_older_eotasks_become_a_plain_folder(place: Place, newest: bool) -> None:
    save_as_generation(place, NAME, make_eopatch(0.25))
    if newest:
        save_as_generation(place, NAME, make_eopatch(0.5))
    else:
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert len(generations(place)) == 2 * newest
    result = clean(place)
    assert (result.generations, result.moved) == (int(newest), int(newest))
    assert (result.size > 0) is newest
    assert not generations(place)
    assert EOPatch.load(str(place.local_path(NAME))) == load_eopatch(place, NAME) == make_eopatch(0.5)
    assert is_complete(place, NAME)
    assert clean(place) == CleanResult(0, 0)


def test_clean_leaves_a_save_that_may_be_running_and_takes_one_that_died(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch())
    running = place.local_path(f"{NAME}/.gen-0123456789ab/data")
    running.mkdir(parents=True)
    later = (datetime.now(UTC) + timedelta(seconds=60)).timestamp()
    os.utime(running, (later, later))
    alone = place.local_path("other/.gen-ba9876543210")
    alone.mkdir(parents=True)
    foreign = place.local_path("other/.gen-eration of mine")
    foreign.mkdir()
    assert clean(place).generations == 0
    assert running.is_dir()
    assert clean(place, unfinished_after=timedelta(seconds=-120)).generations == 2
    assert not running.exists()
    assert not alone.exists()
    assert foreign.is_dir(), "no name that our writers give"
    assert is_complete(place, NAME)


def test_removes_all_generations_but_the_current_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path)
    for value in (1, 2, 3):
        save_as_generation(place, NAME, make_eopatch(value))
    long_ago = datetime.fromisoformat("2020-01-01").timestamp()
    for path in (tmp_path / NAME).rglob("*"):
        os.utime(path, (long_ago, long_ago))
    assert main(["clean", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("2 generations removed, 1 EOPatches made plain folders")
    assert not list((tmp_path / NAME).glob(".gen-*"))
    assert load_eopatch(place, NAME)[BANDS].max() == 3


def test_a_file_is_no_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        assert main(["clean", str(tmp_path / name)]) == 2
        ended = capsys.readouterr()
        assert (ended.out, ended.err.count("\n")) == ("", 1)
        assert f"{name} is a file: give a folder of EOPatches" in ended.err


def test_a_place_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(tmp_path / "absent")]) == 2
    assert "check the path" in capsys.readouterr().err


LEFT = ".tmp-0123456789abcdef0123456789abcdef-"


def test_what_killed_writers_left_goes_anywhere_in_a_place_and_nothing_else(tmp_path: Path) -> None:
    place = Place(tmp_path)
    save_eopatch(place, NAME, make_eopatch())
    left = [
        f"{LEFT}land_cover.tif",
        f"{LEFT}map.tifabcd1234/map.tif",
        f"batch/logs/{LEFT}p.log",
        f"model/{LEFT}model.txt",
    ]
    kept = ["maps/land_cover.tif", ".tmp-mine", "x/.tmp-0123-a", f"new/{LEFT}a"]
    for path in (*left, *kept):
        place.write_bytes(path, b"12345")
    later = (datetime.now(UTC) + timedelta(hours=2)).timestamp()
    os.utime(tmp_path / kept[-1], (later, later))
    result = clean(place, unfinished_after=timedelta(seconds=-60))
    assert (result.generations, result.unfinished, result.size) == (0, 4, 20)
    assert all(place.exists(path) for path in kept)
    assert not any(place.exists(path) for path in left)
    assert is_complete(place, NAME)


def test_uploads_that_were_never_finished_are_ended(s3_server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    place, other = Place(s3_server.location()), Place(s3_server.location())
    for each in (place, other):
        each.write_bytes("a", b"1")
        key = f"{each.location.removeprefix(f's3://{s3_server.bucket}/')}/p/.gen-0123456789ab/data/BANDS.npy.gz"
        s3_server.client().create_multipart_upload(Bucket=s3_server.bucket, Key=key)
    assert clean(place).uploads == 0, "it may be under way"
    assert clean(place, unfinished_after=timedelta(seconds=-60)).uploads == 1
    assert clean(place, unfinished_after=timedelta(seconds=-60)).uploads == 0
    assert clean(other, unfinished_after=timedelta(seconds=-60)).uploads == 1, "only those of the place"


def test_keys_with_empty_parts_are_not_ours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tools make such keys; here the listing is replaced, as this server merges slashes."""
    save_as_generation(place, NAME, make_eopatch(0.25))
    save_as_generation(place, NAME, make_eopatch(0.5))
    entries, foreign = Place.entries, [Entry(path, 1, datetime(2020, 1, 1, tzinfo=UTC), is_file=True)
                                       for path in ("/.gen-0123456789ab/x", "p//x", "//", "/a")]  # fmt: skip
    monkeypatch.setattr(Place, "entries", lambda self, path="", **_: sorted([*entries(self, path), *foreign]))
    assert clean(place).generations == 1
    assert list_eopatches(place) == [NAME]


@pytest.mark.parametrize("hours", [-5, 5])
def test_clocks_that_differ_remove_no_save_that_is_running(
    place: Place, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Ages are by the clock of the store alone."""
    running = place.local_path(f"{NAME}/.gen-0123456789ab/data")
    running.mkdir(parents=True)
    monkeypatch.setattr("time.time", lambda real=time.time: real() + 3600 * hours)
    assert clean(place).generations == 0
    assert running.is_dir()


def test_who_may_not_write_is_told_and_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> bool:
        raise CredentialsError("may not write")

    save_as_generation(place, NAME, make_eopatch(0.25))
    monkeypatch.setattr("eotasks.eopatches.clean.take_over", refused)
    assert clean(place) == CleanResult(0, 0)
    assert "is left as it is: may not write" in caplog.text
    switching = SimpleNamespace(marker=SimpleNamespace(state="switching"))
    monkeypatch.setattr("eotasks.eopatches.save.complete_folder", lambda *_, **__: switching)
    monkeypatch.setattr("eotasks.eopatches.save.take_over", refused)
    assert complete_save(place, NAME)
    assert "is not up to it: may not write" in caplog.text

"""Cleaning, and the command `eotasks clean`."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import is_complete, load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.storage.place import Place
from eotasks.workflows.cli import main
from tests.builders.eopatches import BANDS, make_eopatch

NAME = "p"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a place")


def generations(place: Place) -> list[str]:
    return [name for name in place.names(NAME) if name.startswith(".gen-")]


def test_a_new_save_replaces_the_patch_and_clean_collects_the_old_one(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert len(generations(place)) == 2
    result = clean(place)
    assert result.generations == 1
    assert result.size > 0
    assert generations(place) == [json.loads(place.read_bytes(f"{NAME}/_current.json"))["generation"]]
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert clean(place).generations == 0


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
        save_eopatch(place, NAME, make_eopatch(value))
    long_ago = datetime.fromisoformat("2020-01-01").timestamp()
    for path in (tmp_path / NAME).rglob("*"):
        os.utime(path, (long_ago, long_ago))
    assert main(["clean", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("2 generations removed")
    assert len(list((tmp_path / NAME).glob(".gen-*"))) == 1
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

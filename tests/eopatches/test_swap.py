"""Putting folders in place on a disk: what belongs to no EOPatch stays, links are followed to where the patch is."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from eolearn.core import EOPatch

from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import list_eopatches, load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import StorageError
from eotasks.storage.exchange import exchange_folders
from eotasks.storage.place import Place
from tests.builders.eopatches import LULC, make_eopatch, save_as_generation

NAME = "patch"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a place")


@pytest.mark.parametrize("before", ["saved", "plain", "generation"])
def test_what_is_no_part_of_the_eopatch_stays(place: Place, before: str) -> None:
    if before == "saved":
        save_eopatch(place, NAME, make_eopatch(0.25))
    elif before == "plain":
        make_eopatch(0.25).save(str(place.local_path(NAME)))
    else:
        save_as_generation(place, NAME, make_eopatch(0.25))
    others = ["notes.txt", "figures/deep/a.png", "data/README", "data/older/B.npy", ".hidden/a"]
    for path in others:
        place.write_bytes(f"{NAME}/{path}", path.encode())
    place.write_bytes(f"{NAME}/mask_timeless/.DS_Store", b"which eo-learn takes for a feature")
    patch = place.local_path(NAME)
    (patch / "empty").mkdir()
    (patch / "link").symlink_to("figures/deep")
    save_eopatch(place.child(NAME), "inner", make_eopatch(0.75))
    times = {path: (patch / path).stat().st_mtime_ns for path in others}
    save_eopatch(place, NAME, make_eopatch(0.5), features=[LULC])
    assert {path: place.read_bytes(f"{NAME}/{path}") for path in others} == {path: path.encode() for path in others}
    assert {path: (patch / path).stat().st_mtime_ns for path in others} == times
    assert (patch / "empty").is_dir()
    assert (patch / "link").readlink() == Path("figures/deep")
    assert load_eopatch(place.child(NAME), "inner") == make_eopatch(0.75)
    assert load_eopatch(place, NAME).get_features() == EOPatch.load(str(patch)).get_features() == [LULC]
    assert not [name for name in place.names(NAME) if name.startswith((".gen-", ".tmp-"))]
    assert place.names() == [NAME]


def test_a_patch_that_is_a_link_is_written_where_it_leads(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other disk")
    save_eopatch(other, "real", make_eopatch(0.25))
    place.local_path().mkdir()
    place.local_path(NAME).symlink_to(other.local_path("real"))
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert place.local_path(NAME).is_symlink()
    assert load_eopatch(other, "real") == load_eopatch(place, NAME) == make_eopatch(0.5)
    assert (other.names(), list_eopatches(place)) == (["real"], [NAME])


def test_a_file_in_the_place_of_the_folder_is_left(place: Place) -> None:
    place.write_bytes(NAME, b"mine")
    with pytest.raises(StorageError, match=NAME):
        save_eopatch(place, NAME, make_eopatch())
    assert (place.names(), place.read_bytes(NAME)) == ([NAME], b"mine")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_a_folder_whose_own_folder_may_not_be_written_to(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    place.local_path().chmod(0o500)
    try:
        save_eopatch(place, NAME, make_eopatch(0.5))
        assert load_eopatch(place, NAME) == EOPatch.load(str(place.local_path(NAME))) == make_eopatch(0.5)
    finally:
        place.local_path().chmod(0o700)


def test_a_removal_at_the_same_time_is_no_fault(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a save has replaced, by the save and by clean."""
    make_eopatch().save(str(place.local_path(NAME)))
    real, calls = shutil.rmtree, []

    def overtaken(path: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            (path / "bbox.geojson").unlink()
            raise FileNotFoundError(2, "No such file or directory", str(path))
        real(path)

    monkeypatch.setattr(shutil, "rmtree", overtaken)
    place.remove(NAME)
    assert (place.names(), len(calls)) == ([], 2)


def test_what_a_killed_save_leaves_is_cleaned(place: Place) -> None:
    """Before the exchange a new folder, after it the old one."""
    save_eopatch(place, NAME, make_eopatch(0.25))
    left = place.local_path(f".tmp-{'0' * 32}-{NAME}")
    make_eopatch(0.5).save(str(left))
    for file in [left, *left.rglob("*")]:
        os.utime(file, (1e9, 1e9))
    assert (list_eopatches(place), load_eopatch(place, NAME)) == ([NAME], make_eopatch(0.25))
    assert clean(place).unfinished == 1
    assert place.names() == [NAME]
    assert load_eopatch(place, NAME) == make_eopatch(0.25)


def test_a_folder_that_may_not_be_listed_is_not_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    place.write_bytes(f"{NAME}/figures/deep/a.png", b"a")
    scandir = os.scandir

    def refused(path: Any = ".") -> Any:
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        with pytest.raises(StorageError, match=r"PermissionError.*is unchanged"):
            save_eopatch(place, NAME, make_eopatch(0.5))
    assert place.read_bytes(f"{NAME}/figures/deep/a.png") == b"a"
    assert (place.names(), load_eopatch(place, NAME)) == ([NAME], make_eopatch(0.25))


@pytest.mark.skipif(sys.platform == "win32", reason="has no such rights")
def test_rights_of_folders_stay(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    place.write_bytes(f"{NAME}/figures/deep/a.png", b"a")
    patch = place.local_path(NAME)
    rights = {"": 0o2775, "data": 0o770, "figures": 0o700, "figures/deep": 0o1777}
    for path, mode in rights.items():
        (patch / path).chmod(mode)
    rights = {path: (patch / path).stat().st_mode for path in rights}
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert {path: (patch / path).stat().st_mode for path in rights} == rights

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "chmod", refused)
    save_eopatch(place, NAME, make_eopatch(0.75))
    assert load_eopatch(place, NAME) == make_eopatch(0.75)


def test_what_is_written_during_the_exchange_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    place.write_bytes(f"{NAME}/notes.txt", b"old")
    place.write_bytes(f"{NAME}/removed.txt", b"old")

    def exchange(new: Path, target: Path) -> None:
        place.write_bytes(f"{NAME}/figures/late.png", b"late")
        exchange_folders(new, target)
        place.write_bytes(f"{NAME}/notes.txt", b"new")
        place.remove(f"{NAME}/removed.txt")

    monkeypatch.setattr("eotasks.eopatches.swap.exchange_folders", exchange)
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert place.read_bytes(f"{NAME}/figures/late.png") == b"late"
    assert place.read_bytes(f"{NAME}/notes.txt") == b"new"
    assert "removed.txt" not in place.names(NAME)
    assert (place.names(), load_eopatch(place, NAME)) == ([NAME], make_eopatch(0.5))

"""Markers and names."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.marker import LEFTOVER, Marker, new_generation, parse_marker, patch_folder
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from tests.builders.eopatches import make_eopatch

NAME = "patch"


def test_a_marker_is_read_as_it_was_written() -> None:
    generation = new_generation()
    assert LEFTOVER.fullmatch(generation)
    files = {"bbox.geojson": {"size": 3, "sha256": "abc"}}
    old, whole = Marker(generation, files, "a"), Marker.of_whole(files, "a")
    switching = whole.switching(generation, contested=False)
    contested = whole.switching(generation, contested=True)
    markers = [old, whole, switching, contested, contested.settled()]
    for marker in markers:
        assert parse_marker(marker.to_bytes(), "a marker") == marker
    assert [json.loads(marker.to_bytes())["version"] for marker in markers] == [1, 2, 2, 2, 2]
    assert (switching.settled().state, contested.settled().state) == ("whole", "kept")
    assert len({marker.to_bytes() for marker in [*markers, Marker.of_whole(files, "a")]}) == 6, "each save is another"


@pytest.mark.parametrize("generation", [".gen-a/../..", "data", ""])
def test_a_marker_names_a_generation(generation: str) -> None:
    content = json.dumps({"version": 1, "generation": generation, "files": {}}).encode()
    with pytest.raises(StorageError, match="which is no generation"):
        parse_marker(content, "a marker")


@pytest.mark.parametrize("path", ["../x", "data/../../x", "/etc/x", "data//x", "data/B.npy/../../../x"])
def test_files_of_a_marker_lie_in_its_generation(place: Place, path: str) -> None:
    marker = Marker(new_generation(), {path: {"size": 3, "sha256": "abc"}})
    place.write_bytes(f"{NAME}/_current.json", marker.to_bytes())
    for read in (load_eopatch, is_complete):
        with pytest.raises(StorageError, match="no name of a file in an EOPatch"):
            read(place, NAME)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 300, b"{", b"[]", b'{"version": 1}', b'{"version": 1e999}', b"[" * 100_000, b"\xff",
     b'{"version": 1, "files": {}, "generation": "data"}', b'{"version": 2, "files": {}, "generation": null}',
     b'{"version": 2, "files": {}, "generation": null, "state": "kept"}',
     b'{"version": 2, "files": {}, "generation": ".gen-0", "state": "moving"}',
     b'{"version": 1, "files": {}, "generation": null}'],
    ids=["empty", "zeros", "cut", "a list", "no generation", "infinite", "deep", "no text", "no generation's name",
         "no state", "kept without a generation", "unknown state", "null before version 2"],
)  # fmt: skip
def test_a_damaged_marker_makes_a_patch_incomplete_and_is_told(
    place: Place, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """As a power cut or a full disk leaves it: one of them ended a batch before it began."""
    place.write_bytes(f"{NAME}/_current.json", content)
    with pytest.raises(StorageError, match=rf"{NAME}/_current.json .*Delete it and run the step again"):
        load_eopatch(place, NAME)
    assert not is_complete(place, NAME)
    assert "'patch' counts as incomplete" in caplog.text
    for generation in (".gen-0123456789ab", ".gen-ba9876543210"):
        place.write_bytes(f"{NAME}/{generation}/bbox.geojson", b"")
    assert clean(place, unfinished_after=timedelta(seconds=-60)).generations == 0, "nobody knows which one is current"
    assert "'patch' is left as it is" in caplog.text
    save_eopatch(place, NAME, make_eopatch())
    assert is_complete(place, NAME)


def test_a_newer_marker_asks_for_an_upgrade(place: Place) -> None:
    place.write_bytes(f"{NAME}/_current.json", b'{"version": 3, "generation": "g", "files": {}}')
    for read in (load_eopatch, is_complete):
        with pytest.raises(StorageError, match="upgrade eotasks"):
            read(place, NAME)


def test_names_that_a_disk_takes_for_the_same_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on disks of macOS and Windows; here a link plays that, which no listing shows."""
    place = Place(tmp_path)
    save_eopatch(place, "North", make_eopatch(0.25))
    (tmp_path / "north").symlink_to(tmp_path / "North")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_symlink", lambda _: False)
        patched.setattr(os, "listdir", lambda _: ["North"])
        assert not is_complete(place, "north")
        with pytest.raises(StorageError, match="'North' and 'north' have the same folder"):
            save_eopatch(place, "north", make_eopatch(0.5))
    assert load_eopatch(place, "North") == make_eopatch(0.25)


@pytest.mark.parametrize(("before", "after"), [("a", "A"), ("a", "b"), ("e\u0301", "\xe9")])
def test_a_folder_may_get_another_name(tmp_path: Path, before: str, after: str) -> None:
    place = Place(tmp_path)
    save_eopatch(place, before, make_eopatch(0.25))
    (tmp_path / before).rename(tmp_path / after)
    assert is_complete(place, after)
    save_eopatch(place, after, make_eopatch(0.5))
    assert load_eopatch(place, after) == make_eopatch(0.5)


@pytest.mark.parametrize(
    "name",
    ["a b", "-a", "a" * 250, "ä" * 125, "e\u0301", "\xe9", "a$HOME", "a%20b", "a:b?*", "~"],
    ids=["space", "dash", "250", "umlauts", "NFD", "NFC", "dollar", "percent", "signs", "home"],
)  # fmt: skip
def test_names_of_any_kind_are_saved_and_found(place: Place, name: str) -> None:
    save_eopatch(place, name, make_eopatch())
    assert is_complete(place, name)
    assert list_eopatches(place) == [name]
    assert load_eopatch(place, name) == make_eopatch()
    assert clean(place, unfinished_after=timedelta(seconds=-60)).generations == 0


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".hidden"])
def test_names_of_patches_stay_inside(place: Place, name: str) -> None:
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        patch_folder(name)
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        save_eopatch(place, name, make_eopatch())
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        load_eopatch(place, name)

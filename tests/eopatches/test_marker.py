"""Markers and names."""

from __future__ import annotations

import json

import pytest

from eotasks.eopatches.load import is_complete, load_eopatch
from eotasks.eopatches.marker import LEFTOVER, Marker, new_generation, parse_marker, patch_folder
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from tests.builders.eopatches import make_eopatch

NAME = "patch"


def test_a_marker_is_read_as_it_was_written() -> None:
    generation = new_generation()
    assert LEFTOVER.fullmatch(generation)
    marker = Marker(generation, {"bbox.geojson": {"size": 3, "sha256": "abc"}})
    assert parse_marker(marker.to_bytes(), "a marker") == marker
    assert json.loads(marker.to_bytes())["version"] == 1


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
    ("content", "message"),
    [(b"{", "is damaged"), (b"[]", "is damaged"), (b'{"version": 1}', "is damaged"),
     (b'{"version": 2, "generation": "g", "files": {}}', "upgrade eotasks")],
    ids=["no JSON", "a list", "no generation", "newer"],
)  # fmt: skip
def test_markers_are_checked(place: Place, content: bytes, message: str) -> None:
    place.write_bytes(f"{NAME}/_current.json", content)
    for read in (load_eopatch, is_complete):
        with pytest.raises(StorageError, match=message):
            read(place, NAME)


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".hidden"])
def test_names_of_patches_stay_inside(place: Place, name: str) -> None:
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        patch_folder(name)
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        save_eopatch(place, name, make_eopatch())
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        load_eopatch(place, name)

"""Saving EOPatches on disk: complete or absent."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EONode, EOPatch, EOTask, EOWorkflow, FeatureType

from eotasks import durable
from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import LoadSavedEOPatchTask, is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.save import SaveEOPatchTask, export_eopatch, save_eopatch
from eotasks.errors import FeatureError, StorageError
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LULC, make_eopatch
from tests.servers.s3 import S3Server

NAME = "patch r03 č"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a place")


PARTS = ["_current.json", "bbox.geojson", "data", "mask_timeless", "meta_info", "timestamps.json"]
"""What lies in the folder of a saved patch."""


def test_a_saved_patch_comes_back_as_it_was(place: Place) -> None:
    eopatch = make_eopatch(every_kind=True)
    save_eopatch(place, NAME, eopatch)
    loaded = load_eopatch(place, NAME)
    assert loaded == eopatch
    assert loaded[BANDS].dtype == np.float32
    assert is_complete(place, NAME)
    assert list_eopatches(place) == [NAME]


def test_a_saved_patch_is_a_plain_folder_and_the_marker_tells_its_files(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(every_kind=True))
    folder = place.local_path(NAME)
    assert EOPatch.load(str(folder)) == make_eopatch(every_kind=True)
    marker = json.loads(place.read_bytes(f"{NAME}/_current.json"))
    assert (marker["version"], marker["state"], marker["generation"]) == (2, "whole", None)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(marker["files"]) == files - {"_current.json"}
    assert marker["files"]["data/BANDS.npy.gz"]["size"] == (folder / "data/BANDS.npy.gz").stat().st_size


def test_chosen_features_only(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(), features=[LULC])
    assert load_eopatch(place, NAME).get_features() == [LULC]
    save_eopatch(place, NAME, make_eopatch())
    some = load_eopatch(place, NAME, features=[BANDS])
    assert some.get_features() == [BANDS]
    assert len(some.get_timestamps()) == 2
    assert is_complete(place, NAME, features=[BANDS, LULC])
    assert not is_complete(place, NAME, features=[(FeatureType.DATA, "NDVI")])


@pytest.mark.parametrize("before", [True, False], ids=["with a patch before", "first save"])
def test_a_failed_save_leaves_what_was_there(place: Place, before: bool) -> None:
    if before:
        save_eopatch(place, NAME, make_eopatch())
    broken = make_eopatch(0.5)
    broken[FeatureType.META_INFO, "LOCK"] = object()
    with pytest.raises(StorageError, match=r"'patch r03 č' could not be saved .*unchanged"):
        save_eopatch(place, NAME, broken)
    assert is_complete(place, NAME) is before
    assert list_eopatches(place) == ([NAME] if before else [])
    assert place.names() == ([NAME] if before else [])
    if before:
        assert load_eopatch(place, NAME) == make_eopatch()


def test_an_interrupt_while_a_file_is_flushed_leaves_the_old_patch(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))

    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "flush_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.25
    assert (place.names(), place.names(NAME)) == ([NAME], PARTS)


def test_export_writes_a_plain_folder(place: Place, tmp_path: Path) -> None:
    save_eopatch(place, NAME, make_eopatch())
    export_eopatch(place, NAME, tmp_path / "plain" / "patch")
    assert EOPatch.load(str(tmp_path / "plain" / "patch")) == make_eopatch()
    with pytest.raises(StorageError, match="is not empty"):
        export_eopatch(place, NAME, tmp_path / "plain" / "patch")


def test_missing_things_are_named(place: Place) -> None:
    with pytest.raises(StorageError, match="is not there, the EOPatches there are: none"):
        load_eopatch(place, "nobody")
    assert not is_complete(place, "nobody")
    assert not place.local_path().exists()
    save_eopatch(place, NAME, make_eopatch())
    with pytest.raises(FeatureError, match=r"no feature data/NDVI, there are: data/BANDS, mask_timeless/LULC"):
        load_eopatch(place, NAME, features=[(FeatureType.DATA, "NDVI")])
    with pytest.raises(FeatureError, match=r"no feature data/NDVI, there are: data/BANDS"):
        save_eopatch(place, "other", make_eopatch(), features=[(FeatureType.DATA, "NDVI")])
    assert list_eopatches(place) == [NAME]


@pytest.mark.parametrize("folder", ["$HOME", "100 %20", "a#b?c", "user@host!x"])
def test_names_that_are_special_to_urls_and_shells_work(tmp_path: Path, folder: str) -> None:
    place = Place(tmp_path / folder).child(folder)
    save_eopatch(place, folder, make_eopatch())
    assert load_eopatch(place, folder) == make_eopatch()
    assert (tmp_path / folder / folder / folder / "_current.json").is_file()


def test_the_tasks_save_and_load(place: Place) -> None:
    save = EONode(pickle.loads(pickle.dumps(SaveEOPatchTask(place))), inputs=[EONode(GiveTask())])
    EOWorkflow.from_endnodes(save).execute({save: {"name": NAME}})
    load = LoadSavedEOPatchTask(place.location, features=[BANDS])
    assert load.execute(name=NAME).get_features() == [BANDS]


class GiveTask(EOTask):
    def execute(self) -> EOPatch:
        return make_eopatch()


def test_a_bucket_holds_eopatches_as_a_folder_does(s3_server: S3Server, tmp_path: Path) -> None:
    place = Place(s3_server.location())
    save_eopatch(place, NAME, make_eopatch(0.25))
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME) == make_eopatch(0.5)
    assert load_eopatch(place, NAME, features=[LULC]).get_features() == [LULC]
    assert list_eopatches(place) == [NAME]
    assert is_complete(place, NAME, features=[BANDS])
    assert clean(place, unfinished_after=timedelta(seconds=-60)).generations == 0, "at rest there is none"
    broken = make_eopatch()
    broken[FeatureType.META_INFO, "LOCK"] = object()
    with pytest.raises(StorageError, match="unchanged"):
        save_eopatch(place, NAME, broken)
    assert place.names(NAME) == PARTS
    place.write_bytes(f"{NAME}/data/BANDS.npy.gz", b"damaged")
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz has 7 bytes"):
        load_eopatch(place, NAME)
    place.remove(f"{NAME}/data/BANDS.npy.gz")
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz is missing"):
        load_eopatch(place, NAME)
    export_eopatch(place, NAME, tmp_path / "plain", features=[LULC])
    assert EOPatch.load(str(tmp_path / "plain")).get_features() == [LULC]


@pytest.mark.parametrize("values", [[[{}], [{}]], [["a"], ["b"]]], ids=["objects", "text"])
def test_values_that_are_no_numbers_are_not_saved(place: Place, values: list[list[object]]) -> None:
    """A pickle can run any program, so nobody reads it again; text is refused with it."""
    eopatch = make_eopatch()
    eopatch[FeatureType.SCALAR, "NOTES"] = np.array(values)
    with pytest.raises(FeatureError, match="scalar/NOTES holds values of type"):
        save_eopatch(place, NAME, eopatch)
    save_eopatch(place, NAME, eopatch, features=[BANDS])
    assert is_complete(place, NAME)

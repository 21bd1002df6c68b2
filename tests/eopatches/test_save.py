from __future__ import annotations

import json
import os
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from eolearn.core import EONode, EOPatch, EOTask, EOWorkflow, FeatureType
from hypothesis import given
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches.save import (
    LoadSavedEOPatchTask,
    Place,
    SaveEOPatchTask,
    clean,
    export_eopatch,
    is_complete,
    list_eopatches,
    load_eopatch,
    save_eopatch,
)
from eotasks.errors import FeatureError, StorageError
from eotasks.storage import folder as _folder
from tests.servers.s3 import S3Server

BANDS = (FeatureType.DATA, "BANDS")
LULC = (FeatureType.MASK_TIMELESS, "LULC")
NAME = "patch r03 č"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a place")


def make_eopatch(value: float = 0.25) -> EOPatch:
    eopatch = EOPatch(
        bbox=BBox((330000, 5814360, 330080, 5814440), CRS("32633")),
        timestamps=[datetime(2019, 1, 1), datetime(2019, 1, 6, 10, 30)],  # noqa: DTZ001  # EOPatch times are naive
    )
    eopatch[BANDS] = np.full((2, 8, 8, 3), value, dtype=np.float32)
    eopatch[LULC] = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    eopatch[FeatureType.META_INFO, "SIMULATED"] = True
    eopatch[FeatureType.SCALAR, "SUN_ANGLES"] = np.ones((2, 2), dtype=np.float32)
    frame = gpd.GeoDataFrame(
        {"fclass": ["forest"]}, geometry=[shapely.box(330000, 5814360, 330040, 5814400)], crs=32633
    )
    eopatch[FeatureType.VECTOR_TIMELESS, "LANDUSE"] = frame
    return eopatch


def generations(place: Place) -> list[str]:
    return [name for name in place.names(NAME) if name.startswith(".gen-")]


def current(place: Place) -> Path:
    marker = json.loads(place.read_bytes(f"{NAME}/_current.json"))
    return place.local_path(f"{NAME}/{marker['generation']}")


def test_a_saved_patch_comes_back_as_it_was(place: Place) -> None:
    eopatch = make_eopatch()
    save_eopatch(place, NAME, eopatch)
    loaded = load_eopatch(place, NAME)
    assert loaded == eopatch
    assert loaded[BANDS].dtype == np.float32
    assert is_complete(place, NAME)
    assert list_eopatches(place) == [NAME]


def test_a_generation_is_a_normal_eopatch_folder_and_the_marker_tells_its_files(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch())
    assert EOPatch.load(str(current(place))) == make_eopatch()
    marker = json.loads(place.read_bytes(f"{NAME}/_current.json"))
    assert marker["version"] == 1
    files = {path.relative_to(current(place)).as_posix() for path in current(place).rglob("*") if path.is_file()}
    assert set(marker["files"]) == files
    assert marker["files"]["data/BANDS.npy.gz"]["size"] == (current(place) / "data/BANDS.npy.gz").stat().st_size


def test_chosen_features_only(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(), features=[LULC])
    assert load_eopatch(place, NAME).get_features() == [LULC]
    save_eopatch(place, NAME, make_eopatch())
    some = load_eopatch(place, NAME, features=[BANDS])
    assert some.get_features() == [BANDS]
    assert len(some.get_timestamps()) == 2
    assert is_complete(place, NAME, features=[BANDS, LULC])
    assert not is_complete(place, NAME, features=[(FeatureType.DATA, "NDVI")])


def test_a_new_save_replaces_the_patch_and_clean_collects_the_old_one(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))
    save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.5
    assert len(generations(place)) == 2
    result = clean(place)
    assert result.generations == 1
    assert result.size > 0
    assert generations(place) == [current(place).name]
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
    assert len(generations(place)) == int(before)
    if before:
        assert load_eopatch(place, NAME) == make_eopatch()


def test_an_interrupt_while_the_marker_is_written_leaves_the_old_patch(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_eopatch(place, NAME, make_eopatch(0.25))

    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_folder, "_flush", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_eopatch(place, NAME, make_eopatch(0.5))
    assert load_eopatch(place, NAME)[BANDS].max() == 0.25
    assert place.names(NAME) == [current(place).name, "_current.json"]


def test_damage_is_named(place: Place) -> None:
    save_eopatch(place, NAME, make_eopatch())
    file = current(place) / "data" / "BANDS.npy.gz"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz has another sha256"):
        load_eopatch(place, NAME)
    assert load_eopatch(place, NAME, features=[LULC]).get_features() == [LULC]
    file.write_bytes(content[:-1])
    assert not is_complete(place, NAME)
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz has \d+ bytes instead of \d+"):
        load_eopatch(place, NAME)
    file.unlink()
    assert not is_complete(place, NAME)
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz is missing"):
        load_eopatch(place, NAME)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "is damaged"), (b"[]", "is damaged"), (b'{"version": 1}', "is damaged"),
     (b'{"version": 2, "generation": "g", "files": {}}', "upgrade eotasks")],
)  # fmt: skip
def test_markers_are_checked(place: Place, content: bytes, message: str) -> None:
    place.write_bytes(f"{NAME}/_current.json", content)
    for read in (load_eopatch, is_complete):
        with pytest.raises(StorageError, match=message):
            read(place, NAME)


def test_a_plain_folder_is_read_but_never_taken_for_complete(place: Place) -> None:
    make_eopatch().save(str(place.local_path() / NAME))
    assert list_eopatches(place) == [NAME]
    assert load_eopatch(place, NAME) == make_eopatch()
    assert load_eopatch(place, NAME, features=[LULC]).get_features() == [LULC]
    assert not is_complete(place, NAME)
    (place.local_path(NAME) / "data" / "BANDS.npy.gz").write_bytes(b"cut off")
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz cannot be read to its end"):
        load_eopatch(place, NAME)


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


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".hidden"])
def test_names_of_patches_stay_inside(place: Place, name: str) -> None:
    with pytest.raises(StorageError, match="is no name of an EOPatch"):
        save_eopatch(place, name, make_eopatch())


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
    assert clean(place, unfinished_after=timedelta(seconds=-60)).generations == 1
    broken = make_eopatch()
    broken[FeatureType.META_INFO, "LOCK"] = object()
    with pytest.raises(StorageError, match="unchanged"):
        save_eopatch(place, NAME, broken)
    (generation,) = generations(place)
    place.write_bytes(f"{NAME}/{generation}/data/BANDS.npy.gz", b"damaged")
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz has 7 bytes"):
        load_eopatch(place, NAME)
    place.remove(f"{NAME}/{generation}/data/BANDS.npy.gz")
    with pytest.raises(StorageError, match=r"data/BANDS.npy.gz is missing"):
        load_eopatch(place, NAME)
    export_eopatch(place, NAME, tmp_path / "plain", features=[LULC])
    assert EOPatch.load(str(tmp_path / "plain")).get_features() == [LULC]


def test_writing_is_one_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    place.write_bytes("folder/file", b"old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="no space left"):
        place.write_bytes("folder/file", b"new")
    assert place.read_bytes("folder/file") == b"old"
    assert place.names("folder") == ["file"]


@given(st.text(alphabet="ab./ ", max_size=8))
def test_no_path_leads_out_of_a_place(path: str) -> None:
    place = Place("/somewhere/deep")
    try:
        found = place.local_path(path) if path else place.local_path()
    except StorageError:
        return
    assert os.path.normpath(found) == str(found).rstrip("/")
    assert str(found).startswith("/somewhere/deep")

"""EOPatches on a real S3 server are read as those on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.eopatches.files import HEAD_BYTES
from eotasks.eopatches.load import eopatch_info
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import AreaError, FeatureError, StorageError
from eotasks.sources.eopatches import LoadEOPatchTask, list_source_eopatches
from eotasks.storage import s3
from eotasks.storage.place import Place
from tests.builders.command_line import BANDS_FEATURES, PATCHES, write_eopatches
from tests.servers.s3 import S3Server


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return write_eopatches(tmp_path / "eopatches", bands=True)


@pytest.fixture
def place(s3_server: S3Server, disk: Path) -> Place:
    """The same as somebody else has uploaded it, without objects for folders."""
    place = Place(s3_server.location())
    for path in disk.rglob("*"):
        if path.is_file():
            place.upload(path.relative_to(disk).as_posix(), path)
    return place


def assert_equal(one: EOPatch, other: EOPatch) -> None:
    assert one.bbox == other.bbox
    assert one.timestamps == other.timestamps
    assert one.get_features() == other.get_features()
    for feature in one.get_features():
        if feature[0].is_array():
            assert one[feature].dtype == other[feature].dtype
            np.testing.assert_array_equal(one[feature], other[feature])


def test_are_the_same_as_on_disk(place: Place, disk: Path) -> None:
    assert list_source_eopatches(place) == list_source_eopatches(str(place)) == sorted(PATCHES)
    for name in PATCHES:
        assert eopatch_info(str(place), name) == eopatch_info(disk, name)
        assert_equal(
            LoadEOPatchTask(str(place), BANDS_FEATURES).execute(name=name),
            LoadEOPatchTask(disk, BANDS_FEATURES).execute(name=name),
        )


def test_one_eopatch_is_a_source_by_itself(place: Place, disk: Path) -> None:
    alone = place.child("north-west")
    assert list_source_eopatches(alone) == ["north-west"]
    assert eopatch_info(alone) == eopatch_info(disk / "north-west")
    expected = LoadEOPatchTask(disk, BANDS_FEATURES).execute(name="north-west")
    for name in (None, "north-west"):
        assert_equal(LoadEOPatchTask(alone, BANDS_FEATURES).execute(name=name), expected)


def test_the_current_generation_counts(s3_server: S3Server, disk: Path) -> None:
    place = Place(s3_server.location())
    patch = EOPatch.load(str(disk / "north-west"))
    for value in (0.1, 0.7):
        patch[FeatureType.DATA, "NDVI"] = np.full_like(patch[FeatureType.DATA, "NDVI"], value)
        save_eopatch(place, "p", patch)
    assert list_source_eopatches(place) == ["p"]
    loaded = LoadEOPatchTask(place, {"NDVI": "data/NDVI"}).execute(name="p")
    assert (loaded[FeatureType.DATA, "NDVI"] == np.float32(0.7)).all()
    assert "data/BANDS" in eopatch_info(place, "p").features
    place.remove("p/data/NDVI.npy.gz")
    with pytest.raises(StorageError, match=r"EOPatch s3://.*/p: file data/NDVI\.npy\.gz is missing"):
        eopatch_info(place, "p")


def test_only_what_is_asked_for_is_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    download = s3.download_file

    def counted(location: str, target: Path) -> None:
        copied.append(location.removeprefix(f"{place}/"))
        download(location, target)

    monkeypatch.setattr(s3, "download_file", counted)
    LoadEOPatchTask(place, {"NDVI": "data/NDVI"}).execute(name="north-west")
    files = {"bbox.geojson", "timestamps.json", "data/NDVI.npy.gz"}
    assert {f"north-west/{file}" for file in files} == set(copied)
    assert place.files()["north-west/data/BANDS.npy.gz"] > HEAD_BYTES  # its shape is known by less
    copied.clear()
    assert eopatch_info(place, "north-west").shape == (24, 24)
    assert not [path for path in copied if "data/" in path]


def test_errors_name_the_object(place: Place, s3_server: S3Server) -> None:
    with pytest.raises(StorageError, match=rf"'absent' in {place} is not there, the EOPatches there are: north-east, "):
        LoadEOPatchTask(place, BANDS_FEATURES).execute(name="absent")
    with pytest.raises(StorageError, match="is no EOPatch, the EOPatches in it are: north-east, "):
        LoadEOPatchTask(place, BANDS_FEATURES).execute()
    for name in ("..", "a/b", ""):
        with pytest.raises(StorageError, match="is no name of an EOPatch"):
            LoadEOPatchTask(place, BANDS_FEATURES).execute(name=name)
    with pytest.raises(
        FeatureError, match=rf"EOPatch {place}/north-west has no feature data/EVI, there are: .*data/NDVI"
    ):
        LoadEOPatchTask(place, {"EVI": "data/EVI"}).execute(name="north-west")
    whole = place.read_bytes("north-west/mask/CLM.npy.gz")
    place.write_bytes("north-west/mask/CLM.npy.gz", whole[:200])
    with pytest.raises(StorageError, match=rf"EOPatch {place}/north-west: file mask/CLM\.npy\.gz cannot be read"):
        LoadEOPatchTask(place, BANDS_FEATURES).execute(name="north-west")
    with pytest.raises(AreaError, match="no EOPatch in it"):
        list_source_eopatches(s3_server.location())
    with pytest.raises(StorageError, match="no bucket 'absent'"):
        list_source_eopatches("s3://absent/x")

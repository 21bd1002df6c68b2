"""Saved EOPatches are plain ones: eo-learn reads and writes them as its own, and what it writes is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType, LoadTask, OverwritePermission, SaveTask
from eolearn.core.exceptions import EODeprecationWarning

from eotasks.eopatches.clean import CleanResult, clean
from eotasks.eopatches.load import eopatch_info, is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.save import SaveEOPatchTask, save_eopatch
from eotasks.errors import EOPatchChangedWarning, FeatureError, StorageError
from eotasks.features import Feature
from eotasks.sources.eopatches import LoadEOPatchTask
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LANDUSE, LULC, SIMULATED, make_eopatch, save_as_generation

NAME = "patch"
CLM: Feature = (FeatureType.MASK, "CLM")
FIRES: Feature = (FeatureType.VECTOR, "FIRES")


def make_full(value: float = 0.25) -> EOPatch:
    """An EOPatch with a feature of each type, of several types of numbers."""
    patch = make_eopatch(value, every_kind=True)
    patch[CLM] = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1)
    patch[FeatureType.DATA, "BIG_ENDIAN"] = np.full((2, 8, 8, 1), value, dtype=">f8")
    patch[FeatureType.DATA_TIMELESS, "DEM"] = np.asfortranarray(np.arange(64.0).reshape(8, 8, 1))
    patch[FeatureType.LABEL, "CLASSES"] = np.array([[1], [2]], dtype=np.int64)
    patch[FeatureType.SCALAR_TIMELESS, "STATS"] = np.array([1.5, np.nan])
    patch[FeatureType.LABEL_TIMELESS, "NUMBER"] = np.array([7])
    patch[FeatureType.META_INFO, "NOTES"] = {"a": [1, 2.5, None], "b": "č"}
    points = gpd.GeoSeries([shapely.Point(330010, 5814370), shapely.Point(330020, 5814380)], crs=32633)
    patch[FeatureType.VECTOR, "FIRES"] = gpd.GeoDataFrame({"TIMESTAMP": patch.get_timestamps()}, geometry=points)
    return patch


FULL = make_full()
"""One for all tests; nobody changes it."""

PARTIAL: list[list[Feature] | None] = [None, [LULC], [BANDS, CLM], [LANDUSE], [SIMULATED], []]

Load = Callable[[Place, "list[Feature] | None"], EOPatch]

EO_LEARN: dict[str, Load] = {
    "load": lambda place, features: EOPatch.load(f"{place}/{NAME}", features=... if features is None else features),
    "lazily": lambda place, features: EOPatch.load(
        f"{place}/{NAME}", features=... if features is None else features, lazy_loading=True
    ),
    "LoadTask": lambda place, features: LoadTask(
        place.location, features=... if features is None else features
    ).execute(eopatch_folder=NAME),
    "filesystem": lambda place, features: LoadTask(
        "/", features=... if features is None else features, filesystem=place.filesystem
    ).execute(eopatch_folder=NAME),
}


def chosen(patch: EOPatch, features: list[Feature] | None, *, times: bool = True) -> EOPatch:
    """What is read of a patch when some of its features are asked for."""
    found = EOPatch(bbox=patch.bbox, timestamps=patch.timestamps if times else None)
    for feature in patch.get_features() if features is None else features:
        found[feature] = patch[feature]
    return found


class TestMatrix:
    """Every reader reads what every writer has written, all of it and any part, and it is equal."""

    def test_eo_learn_reads_what_we_save(self, place: Place) -> None:
        save_eopatch(place, NAME, FULL)
        for load in EO_LEARN.values():
            for features in PARTIAL:
                loaded = load(place, features)
                has_times = features is None or any(feature[0].is_temporal() for feature in features)
                assert loaded == chosen(FULL, features, times=has_times)
                assert loaded.bbox == FULL.bbox

    @pytest.mark.parametrize("saved", [True, False], ids=["ours", "eo-learn's"])
    def test_we_read_what_either_saves(self, place: Place, saved: bool) -> None:
        if saved:
            SaveEOPatchTask(place).execute(FULL, name=NAME)
        else:
            SaveTask(place.location).execute(FULL, eopatch_folder=NAME)
        for features in PARTIAL:
            assert load_eopatch(place, NAME, features=features) == chosen(FULL, features)
        assert list_eopatches(place) == [NAME]
        assert is_complete(place, NAME) is saved

    @pytest.mark.parametrize("features", [[BANDS, CLM], [LULC], []], ids=len)
    def test_eo_learn_reads_what_we_save_in_part(self, place: Place, features: list[Feature]) -> None:
        save_eopatch(place, NAME, make_eopatch(0.5, every_kind=True))
        save_eopatch(place, NAME, FULL, features=features)
        assert EOPatch.load(f"{place}/{NAME}") == load_eopatch(place, NAME) == chosen(FULL, features)

    @pytest.mark.parametrize("features", [None, [BANDS, LANDUSE]], ids=["all", "two"])
    def test_what_eo_learn_saves_in_part_is_added(self, place: Place, features: list[Feature] | None) -> None:
        """To a patch that eotasks has saved: its own features stay, and stay verified."""
        own: Feature = (FeatureType.DATA, "OWN")
        patch = make_eopatch()
        patch[own] = np.zeros((2, 8, 8, 1), dtype=np.float32)
        save_eopatch(place, NAME, patch, features=[own])
        SaveTask(place.location, features=... if features is None else features).execute(FULL, eopatch_folder=NAME)
        expected = chosen(FULL, features)
        expected[own] = patch[own]
        assert EOPatch.load(f"{place}/{NAME}") == load_eopatch(place, NAME) == expected
        assert load_eopatch(place, NAME, features=features) == chosen(expected, features)
        assert is_complete(place, NAME, features=[own])
        assert not is_complete(place, NAME, features=[own, BANDS])


class TestWrittenOver:
    """eo-learn writes over what eotasks has saved."""

    def test_a_whole_patch_makes_it_a_plain_one(self, place: Place) -> None:
        save_eopatch(place, NAME, FULL)
        with pytest.warns(EODeprecationWarning, match="OVERWRITE_PATCH"):
            save = SaveTask(place.location, overwrite_permission=OverwritePermission.OVERWRITE_PATCH)
        save.execute(make_eopatch(0.5), eopatch_folder=NAME)
        assert load_eopatch(place, NAME) == EOPatch.load(f"{place}/{NAME}") == make_eopatch(0.5)
        assert not place.exists(f"{NAME}/_current.json")
        assert not is_complete(place, NAME)
        save_eopatch(place, NAME, make_eopatch(0.75))
        assert load_eopatch(place, NAME) == EOPatch.load(f"{place}/{NAME}") == make_eopatch(0.75)
        assert is_complete(place, NAME)

    def test_a_feature_is_told(self, place: Place) -> None:
        save_eopatch(place, NAME, make_eopatch(0.25))
        other = make_eopatch()
        other[BANDS] = np.random.default_rng(1).random((2, 8, 8, 3), dtype=np.float32)
        SaveTask(place.location, features=[BANDS], overwrite_permission=OverwritePermission.OVERWRITE_FEATURES).execute(
            other, eopatch_folder=NAME
        )
        with pytest.warns(EOPatchChangedWarning, match=rf"{NAME}: another program has written data/BANDS.npy.gz since"):
            assert load_eopatch(place, NAME) == other
        with pytest.warns(EOPatchChangedWarning, match=r"data/BANDS.npy.gz"):
            assert load_eopatch(place, NAME, features=[BANDS])[BANDS].max() == other[BANDS].max()
        with pytest.warns(EOPatchChangedWarning, match=r"data/BANDS.npy.gz"):
            assert eopatch_info(place, NAME).shape == (8, 8)
        with pytest.warns(EOPatchChangedWarning, match=r"data/BANDS.npy.gz"):
            LoadEOPatchTask(place, {"B": "data/BANDS"}).execute(name=NAME)
        assert not is_complete(place, NAME)
        assert load_eopatch(place, NAME, features=[LULC]).get_features() == [LULC], "which is as it was saved"
        save_eopatch(place, NAME, other)
        assert load_eopatch(place, NAME) == other

    def test_other_times_than_those_of_what_stays_are_refused(self, place: Place) -> None:
        save_eopatch(place, NAME, FULL)
        times = [*FULL.get_timestamps(), FULL.get_timestamps()[-1] + timedelta(days=5)]
        other = EOPatch(bbox=FULL.bbox, timestamps=times)
        other[BANDS] = np.zeros((3, 8, 8, 3), dtype=np.float32)
        SaveTask(place.location, features=[BANDS], overwrite_permission=OverwritePermission.OVERWRITE_FEATURES).execute(
            other, eopatch_folder=NAME
        )
        with pytest.raises(StorageError, match=r"has 2 frames, the timestamps are 3"):
            load_eopatch(place, NAME)
        with pytest.raises(StorageError, match=r"has 2 frames, the timestamps are 3"):
            load_eopatch(place, NAME, features=[CLM])
        with pytest.warns(EOPatchChangedWarning, match=r"timestamps.json"):
            assert load_eopatch(place, NAME, features=[BANDS])[BANDS].shape[0] == 3

    def test_another_format_of_a_feature_is_told(self, place: Place) -> None:
        """As where a program writes arrays that are not packed, or zarr."""
        save_eopatch(place, NAME, make_eopatch(0.25))
        with place.writing(f"{NAME}/data/BANDS.npy") as path:
            np.save(path, make_eopatch(0.5)[BANDS])
        assert load_eopatch(place, NAME) == make_eopatch(0.25), "of two files the saved one counts"
        place.remove(f"{NAME}/data/BANDS.npy.gz")
        for features in (None, [BANDS]):
            with pytest.warns(EOPatchChangedWarning, match=r"written data/BANDS.npy.gz since"):
                assert load_eopatch(place, NAME, features=features)[BANDS].max() == 0.5
        assert not is_complete(place, NAME)
        place.remove(f"{NAME}/data/BANDS.npy")
        with pytest.raises(StorageError, match=r"BANDS.npy.gz is missing.*or take what is there: delete _current.json"):
            load_eopatch(place, NAME)

    def test_what_is_cut_off_is_damage(self, place: Place) -> None:
        save_eopatch(place, NAME, make_eopatch(0.25))
        content = place.read_bytes(f"{NAME}/data/BANDS.npy.gz")
        place.write_bytes(f"{NAME}/data/BANDS.npy.gz", content[:-3])
        for read in (load_eopatch, eopatch_info):
            with pytest.raises(StorageError, match=r"BANDS.npy.gz has \d+ bytes instead of"):
                read(place, NAME)

    def test_without_the_marker_it_is_a_plain_patch(self, place: Place) -> None:
        save_eopatch(place, NAME, FULL)
        place.remove(f"{NAME}/_current.json")
        assert load_eopatch(place, NAME) == EOPatch.load(f"{place}/{NAME}") == FULL
        assert clean(place, unfinished_after=timedelta(seconds=-60)) == CleanResult(0, 0)
        assert load_eopatch(place, NAME) == FULL

    def test_over_one_that_an_older_eotasks_saved(self, place: Place) -> None:
        """Two patches lie there then, and nobody knows which one is wanted: clean says so and loses none."""
        save_as_generation(place, NAME, make_eopatch(0.25))
        if place.is_local:
            marker = place.local_path(f"{NAME}/_current.json")
            os.utime(marker, (1e9, 1e9))
        else:
            time.sleep(1.1)  # times on S3 are whole seconds
        make_eopatch(0.5).save(f"{place}/{NAME}")
        result = clean(place, unfinished_after=timedelta(seconds=-60))
        assert (result.moved, result.generations) == (0, 0)
        assert load_eopatch(place, NAME) == make_eopatch(0.25)
        assert EOPatch.load(f"{place}/{NAME}") == make_eopatch(0.5)
        place.remove(f"{NAME}/_current.json")
        assert load_eopatch(place, NAME) == make_eopatch(0.5)


class TestZarr:
    """Arrays of eo-learn's `use_zarr`, where zarr before 3 and s3fs are installed: no dependencies of eotasks."""

    @pytest.fixture(autouse=True)
    def _needed(self) -> None:
        for name in ("zarr", "s3fs"):
            pytest.importorskip(name)

    def test_what_eo_learn_saves_is_read(self, place: Place) -> None:
        SaveTask(place.location, use_zarr=True).execute(FULL, eopatch_folder=NAME)
        assert place.exists(f"{NAME}/data/BANDS.zarr/.zarray")
        for features in PARTIAL:
            assert load_eopatch(place, NAME, features=features) == chosen(FULL, features)
        assert eopatch_info(place, NAME).shape == (8, 8)
        save_eopatch(place, NAME, make_eopatch(0.5))
        assert EOPatch.load(f"{place}/{NAME}") == load_eopatch(place, NAME) == make_eopatch(0.5)
        assert not place.exists(f"{NAME}/data/BANDS.zarr")

    def test_what_eo_learn_writes_over_ours_is_told(self, place: Place) -> None:
        save_eopatch(place, NAME, make_eopatch(0.25))
        SaveTask(
            place.location,
            features=[BANDS],
            use_zarr=True,
            overwrite_permission=OverwritePermission.OVERWRITE_FEATURES,
        ).execute(make_eopatch(0.5), eopatch_folder=NAME)
        with pytest.warns(EOPatchChangedWarning, match=r"data/BANDS.npy.gz"):
            assert load_eopatch(place, NAME) == make_eopatch(0.5)
        with pytest.warns(EOPatchChangedWarning, match=r"data/BANDS.npy.gz"):
            assert load_eopatch(place, NAME, features=[BANDS])[BANDS].max() == 0.5


FRACTIONS = {
    "milliseconds beside none": ["2020-01-01 10:00:00.024", "2020-02-01"],
    "microseconds": ["2020-01-01 10:00:00.123456", "2020-02-01 00:00:00.000001"],
    "a zone": ["2020-01-01 10:00:00.024+00:00", "2020-02-01 00:00:00+00:00"],
    "one without a time": ["2020-01-01 10:00:00.024", None],
}


@pytest.mark.parametrize("times", FRACTIONS.values(), ids=FRACTIONS)
def test_times_of_vectors_with_fractions_of_seconds(tmp_path: Path, times: list[str | None]) -> None:
    """GDAL writes no fraction where it is 0, and eo-learn then reads neither: what it saved was lost."""
    points = gpd.GeoSeries([shapely.Point(330010, 5814370), shapely.Point(330020, 5814380)], crs=32633)
    patch = make_eopatch()
    column = pd.to_datetime(pd.Series(times), format="ISO8601")
    patch[FIRES] = gpd.GeoDataFrame({"TIMESTAMP": column}, geometry=points)
    before = patch[FIRES].copy()
    save_eopatch(tmp_path, NAME, patch)
    pd.testing.assert_frame_equal(patch[FIRES], before)
    for found in (load_eopatch(tmp_path, NAME), EOPatch.load(tmp_path / NAME)):
        assert found[FIRES]["TIMESTAMP"].equals(before["TIMESTAMP"])
        assert found[FIRES].crs == before.crs
    patch.save(tmp_path / "theirs")
    theirs = load_eopatch(tmp_path, "theirs")[FIRES]
    assert (theirs["TIMESTAMP"] - before["TIMESTAMP"]).abs().max() < timedelta(milliseconds=1)
    assert theirs.crs == before.crs


def test_masked_arrays_are_not_saved(tmp_path: Path) -> None:
    """Their mask would be lost without a word."""
    patch = make_eopatch()
    patch[BANDS] = np.ma.masked_less(patch[BANDS], 0.5)
    with pytest.raises(FeatureError, match="data/BANDS is a masked array, whose mask would be lost"):
        save_eopatch(tmp_path, NAME, patch)
    assert not (tmp_path / NAME).exists()
    patch[BANDS] = np.ma.masked_array(np.ma.getdata(patch[BANDS]))
    save_eopatch(tmp_path, NAME, patch)
    assert load_eopatch(tmp_path, NAME) == make_eopatch()


def test_a_patch_that_is_moved_or_copied_by_other_tools_stays_one(tmp_path: Path) -> None:
    place = Place(tmp_path / "a")
    save_eopatch(place, NAME, FULL)
    (tmp_path / "b").mkdir()
    place.local_path(NAME).rename(tmp_path / "b" / "another")
    assert is_complete(Place(tmp_path / "b"), "another")
    assert load_eopatch(Place(tmp_path / "b"), "another") == EOPatch.load(str(tmp_path / "b" / "another")) == FULL

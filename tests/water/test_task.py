"""The task: rows of each lake and date, what it needs, what it leaves alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType
from skimage.filters import threshold_otsu

from eotasks.errors import BandError, ConfigurationError, EOTasksError, FeatureError, GridError, ReflectanceError
from eotasks.models.water.measure import WaterLevelSettings
from eotasks.water import BLUEDOT_COLUMNS, COLUMNS, WaterLevelTask, with_bluedot_names
from tests.builders.water import lakes as builders

LEVELS = (FeatureType.VECTOR, "WATER_LEVEL")
BANDS = (FeatureType.DATA, "BANDS")
FULL, LOW = builders.disk(), builders.disk(120)
LAKE = builders.outlines(builders.outline(), name=["Bled"])
AS_ORIGINAL = WaterLevelSettings(max_water_cloud_fraction=None, max_frozen_fraction=None)


def cloudy() -> EOPatch:
    """Full, low, under a cloud that hides a part, frozen for a third."""
    cloud = {2: builders.disk(70, builders.CENTRE[0] + 100)}
    ice = {3: builders.disk(100)}
    return builders.lake_patch(FULL, LOW, FULL, FULL, cloud=cloud, ice=ice)


def test_a_row_for_each_lake_and_date() -> None:
    patch = cloudy()
    far = shapely.box(0, 0, 10, 10)
    lakes = builders.outlines(builders.outline(), far, shapely.Polygon(), name=["Bled", "far", "none"])
    table = WaterLevelTask(lakes).execute(patch)[LEVELS]
    assert list(table.columns) == list(COLUMNS)
    assert table[["id", "status"]].to_numpy().tolist()[:3] == [
        ["a", "valid"],
        ["b", "no_data"],
        ["c", "invalid_polygon"],
    ]
    lake = table[table["id"] == "a"].reset_index(drop=True)
    assert lake["TIMESTAMP"].tolist() == patch.timestamps
    assert lake["status"].tolist() == ["valid", "valid", "too_cloudy", "frozen"]
    assert lake["level"].tolist()[:2] == pytest.approx([1, 120**2 / 180**2], abs=0.02)
    assert lake["level"].isna().tolist() == [False, False, True, True]
    assert lake["area"].iloc[0] == pytest.approx(lake["level"].iloc[0] * builders.outline().area)
    assert lake["algorithm_status"].tolist() == [1, 1, -1, -1]
    assert lake["frozen_fraction"].iloc[3] == pytest.approx(np.count_nonzero(builders.disk(100)) / FULL.sum(), abs=0.01)
    assert table.crs.to_epsg() == 32633


def test_the_originals_checks_take_cloud_and_ice_for_land() -> None:
    """What the default protects from: both dates are levels of a full lake, and come out lower or by luck."""
    table = WaterLevelTask(LAKE, settings=AS_ORIGINAL).execute(cloudy())[LEVELS]
    assert set(table["status"]) == {"valid"}
    assert table["level"].iloc[2] < 0.95


def test_outlines_in_another_system_are_brought_to_the_patch() -> None:
    patch = builders.lake_patch(LOW)
    plain, degrees = (
        WaterLevelTask(each).execute(patch)[LEVELS]["level"].iloc[0] for each in (LAKE, LAKE.to_crs(4326))
    )
    assert degrees == pytest.approx(plain, rel=1e-4)


def test_outlines_of_a_feature_of_the_patch() -> None:
    patch = builders.lake_patch(LOW)
    patch[FeatureType.VECTOR_TIMELESS, "LAKES"] = LAKE
    found = WaterLevelTask((FeatureType.VECTOR_TIMELESS, "LAKES")).execute(patch)[LEVELS]
    assert found["name"].tolist() == ["Bled"]


def test_digital_numbers_and_fewer_bands_give_the_same_levels() -> None:
    patch = builders.lake_patch(LOW)
    expected = WaterLevelTask(LAKE).execute(patch)[LEVELS]["level"].tolist()
    names = ("B02", "B03", "B04", "B08", "B11")
    chosen = [builders.BANDS.index(name) for name in names]
    patch[BANDS] = np.rint(patch[BANDS][..., chosen] * 10_000).astype(np.uint16)
    task = WaterLevelTask(LAKE, bands=names)
    assert task.execute(patch)[LEVELS]["level"].tolist() == pytest.approx(expected)
    two = WaterLevelTask(LAKE, bands=("B03", "B08"), settings=AS_ORIGINAL)
    patch[BANDS] = patch[BANDS][..., [1, 3]]
    assert two.execute(patch)[LEVELS]["level"].tolist() == pytest.approx(expected)


def test_the_whole_patch_as_the_frame_gives_the_numbers_of_the_water_monitor() -> None:
    patch = builders.lake_patch(LOW, FULL)
    settings = WaterLevelSettings("water-monitor", max_water_cloud_fraction=None, max_frozen_fraction=None)
    found = WaterLevelTask(LAKE, margin=None, settings=settings).execute(patch)[LEVELS]["level"].tolist()
    green, nir = (patch[BANDS][..., builders.BANDS.index(name)] for name in ("B03", "B08"))
    index = (green - nir) / (green + nir)
    expected = [float(((each > threshold_otsu(each)) * FULL).sum() / FULL.sum()) for each in index]
    assert found == expected


@pytest.mark.parametrize("method", ["bluedot", "water-monitor"])
def test_negative_near_infrared_does_not_hide_a_full_lake(method: Literal["bluedot", "water-monitor"]) -> None:
    """Without bounds the index of the three dark pixels is 19: the threshold of the frame lies beyond all water."""
    patch = builders.lake_patch(FULL)
    patch[BANDS] += np.random.default_rng(0).normal(0, 0.004, patch[BANDS].shape).astype(np.float32)
    patch[BANDS][0, 5, 5:8, [builders.BANDS.index("B03")]] = 0.0010
    patch[BANDS][0, 5, 5:8, [builders.BANDS.index("B08")]] = -0.0009
    found = WaterLevelTask(LAKE, margin=None, settings=WaterLevelSettings(method)).execute(patch)[LEVELS]
    assert found["level"].iloc[0] == pytest.approx(1, abs=0.01)


def test_elevation_shadow_and_snow_of_the_patch_are_used() -> None:
    wide = FULL | builders.disk(70, builders.CENTRE[0] + 190)
    patch = builders.lake_patch(wide, wide, wide)
    patch[FeatureType.DATA_TIMELESS, "ELEVATION"] = np.where(FULL, 5.0, 50.0)[..., np.newaxis]
    marks = np.zeros((3, 60, 60, 1), dtype=np.uint8)
    marks[1, ..., 0] = builders.disk(60)
    patch[FeatureType.MASK, "SHADOW"] = marks
    patch[FeatureType.MASK, "SNOW"] = np.roll(marks, 1, axis=0).astype(bool)
    task = WaterLevelTask(
        LAKE,
        shadow_feature=(FeatureType.MASK, "SHADOW"),
        snow_feature=(FeatureType.MASK, "SNOW"),
        elevation_feature=(FeatureType.DATA_TIMELESS, "ELEVATION"),
    )
    found = task.execute(patch)[LEVELS]
    assert found["status"].tolist() == ["valid", "too_cloudy", "frozen"]
    assert found["sensor"].iloc[0] == "S2_NDWI_DEM"
    assert found["level"].iloc[0] == pytest.approx(1, abs=0.01)
    assert found["level_without_veto"].iloc[0] > 1.04


def test_clouds_that_nobody_knows() -> None:
    patch = builders.lake_patch(FULL)
    patch[FeatureType.MASK, "CLM"][:] = 255
    assert WaterLevelTask(LAKE).execute(patch)[LEVELS]["status"].tolist() == ["no_cloud_data"]


def test_nothing_is_changed_and_a_pickle_does_the_same(tmp_path: Path) -> None:
    patch = cloudy()
    before = {feature: patch[feature].copy() for feature in patch.get_features()}
    task = WaterLevelTask(LAKE)
    first = task.execute(patch)[LEVELS]
    for feature, values in before.items():
        np.testing.assert_array_equal(patch[feature], values)
    second = pickle.loads(pickle.dumps(task)).execute(cloudy())[LEVELS]
    assert first.drop(columns="geometry").equals(second.drop(columns="geometry"))
    patch.save(str(tmp_path), features=[LEVELS])
    assert EOPatch.load(str(tmp_path))[LEVELS]["status"].tolist() == first["status"].tolist()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"outlines": (FeatureType.DATA, "LAKES")}, ConfigurationError),
        ({"bands": ("B03", "B08")}, BandError),
        ({"bands": ("B02", "B04")}, BandError),
        ({"margin": -1}, ConfigurationError),
        ({"settings": 3}, ConfigurationError),
    ],
    ids=["no vector", "no band for ice", "no band for the index", "margin", "settings"],
)
def test_arguments_are_checked(options: dict[str, Any], error: type[EOTasksError]) -> None:
    with pytest.raises(error):
        WaterLevelTask(**{"outlines": LAKE} | options)


def replaced(feature: tuple[FeatureType, str], values: Any) -> EOPatch:
    patch = builders.lake_patch(FULL)
    patch[feature] = values(patch[feature])
    return patch


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        (lambda: replaced(BANDS, lambda values: values[..., :4]), BandError),
        (lambda: replaced(BANDS, lambda values: values * 10_000), ReflectanceError),
        (lambda: replaced((FeatureType.MASK, "CLM"), lambda values: values + 7), FeatureError),
        (lambda: replaced((FeatureType.MASK, "CLM"), lambda values: values[:, 1:]), GridError),
    ],
    ids=["four bands", "digital numbers as floats", "no cloud mask", "another size"],
)
def test_patches_that_do_not_fit(patch: Any, error: type[EOTasksError]) -> None:
    with pytest.raises(error):
        WaterLevelTask(LAKE).execute(patch())


def test_names_of_the_original() -> None:
    table = WaterLevelTask(LAKE).execute(cloudy())[LEVELS]
    found = with_bluedot_names(table)
    assert tuple(found.columns) == BLUEDOT_COLUMNS
    assert found["MEAS_STATUS"].tolist() == [1, 1, 3, 2]  # it knows no ice
    assert found["ALG_STATUS"].tolist()[:2] == [1, 1]
    assert found["ALG_STATUS"].isna().tolist() == [False, False, True, True]
    assert shapely.from_wkt(found["GEOMETRY"].iloc[0]).area == pytest.approx(builders.outline().area, rel=0.02)
    assert found["GEOMETRY"].iloc[2] is None
    assert found["SURF_WATER_LEVEL"].iloc[0] == table["level"].iloc[0]

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from eolearn.core.constants import TIMESTAMP_COLUMN
from eolearn.core.exceptions import TemporalDimensionWarning
from shapely.geometry import Point

from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.validity import AddCloudCoverageTask, AddValidFractionTask
from eotasks.errors import ConfigurationError, FeatureError, TooFewFramesError
from tests.builders.clouds.patches import UTM

TIMES = [dt.datetime.fromisoformat(f"2017-0{month}-05") for month in range(1, 6)]
VALID_FRACTION, COVERAGE = (FeatureType.SCALAR, "VALID_FRACTION"), (FeatureType.SCALAR, "CLOUD_COVERAGE")
VALID_PIXELS = [10, 8, 9, 0, 3]
"""Of ten."""


def patch_of() -> EOPatch:
    valid = np.zeros((5, 2, 5, 1), dtype=bool)
    for frame, count in zip(valid, VALID_PIXELS, strict=True):
        frame.reshape(-1)[:count] = True
    points = gpd.GeoDataFrame({TIMESTAMP_COLUMN: TIMES}, geometry=[Point(i, i) for i in range(5)], crs="EPSG:32633")
    return EOPatch(
        bbox=UTM,
        timestamps=TIMES,
        data={"NDVI": np.arange(50, dtype=np.float32).reshape(5, 2, 5, 1)},
        mask={"IS_VALID": valid, "CLM": (~valid).astype(np.uint8)},
        scalar={"SUN": np.arange(10.0).reshape(5, 2)},
        mask_timeless={"LULC": np.ones((2, 5, 1), dtype=np.uint8)},
        vector={"EVENTS": points},
        meta_info={"origin": "test"},
    )


def kept(**options: Any) -> list[int]:
    patch = FilterCloudyTimestampsTask(**options).execute(patch_of())
    return [TIMES.index(time) for time in patch.get_timestamps()]


def test_default_keeps_frames_strictly_above_four_fifths() -> None:
    assert kept() == [0, 2]
    assert kept(min_valid_fraction=0.8) == [0, 2]
    assert kept(min_valid_fraction=0.79) == [0, 1, 2]
    assert kept(min_valid_fraction=0) == [0, 1, 2, 4]


def test_every_temporal_feature_is_filtered_and_nothing_else() -> None:
    patch = patch_of()
    before = patch.copy(deep=True)
    result = FilterCloudyTimestampsTask((FeatureType.MASK, "IS_VALID")).execute(patch)
    assert patch == before
    assert result is not patch
    assert np.array_equal(result[FeatureType.DATA, "NDVI"], before[FeatureType.DATA, "NDVI"][[0, 2]])
    assert np.array_equal(result[FeatureType.SCALAR, "SUN"], before[FeatureType.SCALAR, "SUN"][[0, 2]])
    assert result[FeatureType.VECTOR, "EVENTS"].index.tolist() == [0, 2]
    assert result[FeatureType.MASK_TIMELESS, "LULC"].shape == (2, 5, 1)
    assert result.meta_info["origin"] == "test"
    assert result.bbox == UTM


def test_all_frames_stay_in_a_patch_of_its_own() -> None:
    patch = patch_of()
    result = FilterCloudyTimestampsTask((FeatureType.MASK, "CLM"), max_cloud_coverage=1.0).execute(patch)
    assert result == patch
    assert result is not patch


def test_cloud_coverage_counts_pixels_with_data() -> None:
    patch = patch_of()
    clouds = patch[FeatureType.MASK, "CLM"].copy()
    clouds[4].reshape(-1)[3:] = 255  # three clear pixels, the rest without data
    clouds[3] = 255  # nothing at all
    patch[FeatureType.MASK, "CLM"] = clouds
    result = FilterCloudyTimestampsTask((FeatureType.MASK, "CLM"), max_cloud_coverage=0.1).execute(patch)
    assert result.get_timestamps() == [TIMES[0], TIMES[2], TIMES[4]]
    by_default = FilterCloudyTimestampsTask(max_cloud_coverage=0.1).execute(patch)
    assert by_default.get_timestamps() == result.get_timestamps()
    patch[FeatureType.MASK, "IS_DATA"] = clouds != 255
    patch[FeatureType.MASK, "CLM"] = clouds == 1
    task = FilterCloudyTimestampsTask(
        (FeatureType.MASK, "CLM"), max_cloud_coverage=0.1, is_data_feature=(FeatureType.MASK, "IS_DATA")
    )
    assert task.execute(patch).get_timestamps() == [TIMES[0], TIMES[2], TIMES[4]]


@pytest.mark.parametrize("limit", [0, 0.3, 0.79, 0.8, 0.9])
def test_a_fraction_kept_as_a_scalar_filters_as_its_mask_does(limit: float) -> None:
    patch = AddValidFractionTask().execute(patch_of())
    by_scalar = FilterCloudyTimestampsTask(VALID_FRACTION, min_valid_fraction=limit).execute(patch)
    by_mask = FilterCloudyTimestampsTask(min_valid_fraction=limit).execute(patch)
    assert by_scalar == by_mask
    assert len(by_scalar[VALID_FRACTION]) == len(by_scalar.get_timestamps()) < 5


@pytest.mark.parametrize("limit", [0, 0.1, 0.2, 0.7, 1])
def test_a_coverage_kept_as_a_scalar_filters_as_its_mask_does(limit: float) -> None:
    patch = patch_of()
    patch[FeatureType.MASK, "CLM"][3] = 255
    patch = AddCloudCoverageTask().execute(patch)
    assert np.isnan(patch[COVERAGE][3]).all()
    by_scalar = FilterCloudyTimestampsTask(COVERAGE, max_cloud_coverage=limit).execute(patch)
    by_mask = FilterCloudyTimestampsTask((FeatureType.MASK, "CLM"), max_cloud_coverage=limit).execute(patch)
    assert by_scalar.get_timestamps() == by_mask.get_timestamps()
    assert TIMES[3] not in by_scalar.get_timestamps()


def test_scalars_that_are_no_fractions_are_refused() -> None:
    patch = patch_of()
    with pytest.raises(FeatureError, match=r"scalar/SUN is float64 \(5, 2\): fractions are float \(t, 1\)"):
        FilterCloudyTimestampsTask((FeatureType.SCALAR, "SUN"), max_cloud_coverage=0.2).execute(patch)
    patch[COVERAGE] = np.array([[3.0], [np.nan], [50], [100], [0]])
    with pytest.raises(FeatureError, match="scalar/CLOUD_COVERAGE has values from 0 to 100"):
        FilterCloudyTimestampsTask(COVERAGE, max_cloud_coverage=0.2).execute(patch)
    with pytest.raises(FeatureError, match=r"scalar/VALID_FRACTION is not in the EOPatch .*AddValidFractionTask"):
        FilterCloudyTimestampsTask(VALID_FRACTION).execute(patch)
    with pytest.raises(TooFewFramesError, match=r"scalar/VALID_FRACTION: valid fraction > 1\)"):
        FilterCloudyTimestampsTask(VALID_FRACTION, min_valid_fraction=1).execute(AddValidFractionTask().execute(patch))


def test_the_best_frames_are_kept_when_too_few_pass() -> None:
    assert kept(keep_at_least=2) == [0, 2]
    assert kept(keep_at_least=3) == [0, 1, 2]
    assert kept(keep_at_least=4) == [0, 1, 2, 4]


def test_too_few_frames_is_an_error_that_says_how_many_and_which() -> None:
    with pytest.raises(
        TooFewFramesError, match=r"0 of 5 frames are left where 1 are needed .*valid fraction > 1\)"
    ) as e:
        kept(min_valid_fraction=1)
    assert "2017-01-05 (100%), 2017-03-05 (90%), 2017-02-05 (80%)" in str(e.value)
    with pytest.raises(TooFewFramesError, match="2 of 5 frames are left where 3"):
        kept(min_frames=3)
    with pytest.raises(TooFewFramesError, match="4 of 5 frames are left where 5"):
        kept(keep_at_least=5)  # one frame shows nothing at all


def test_time_axes_that_differ_are_an_error_where_eolearn_only_warns() -> None:
    patch = patch_of()
    with pytest.warns(TemporalDimensionWarning):
        patch[FeatureType.DATA, "OTHER"] = np.zeros((4, 2, 5, 1), dtype=np.float32)
    with pytest.raises(FeatureError, match=r"data/OTHER has 4 frames, the EOPatch 5 timestamps"):
        FilterCloudyTimestampsTask().execute(patch)


def test_missing_mask_and_missing_timestamps_are_named() -> None:
    with pytest.raises(FeatureError, match="mask/VALID"):
        FilterCloudyTimestampsTask((FeatureType.MASK, "VALID")).execute(patch_of())
    with pytest.raises(FeatureError, match="no timestamps"):
        FilterCloudyTimestampsTask().execute(EOPatch(bbox=UTM))


@pytest.mark.parametrize(
    "options",
    [
        {"min_valid_fraction": 80},
        {"max_cloud_coverage": -0.1},
        {"min_valid_fraction": 0.8, "max_cloud_coverage": 0.2},
        {"mask_feature": COVERAGE, "max_cloud_coverage": 0.2, "is_data_feature": (FeatureType.MASK, "IS_DATA")},
        {"keep_at_least": -1},
        {"min_frames": 1.5},
        {"min_frames": 0},
        {"min_valid_fraction": "0.8"},
        {"is_data_feature": (FeatureType.MASK, "IS_DATA")},
        {"mask_feature": (FeatureType.DATA, "IS_VALID")},
    ],
    ids=str,
)
def test_unusable_arguments_are_refused_when_the_task_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FilterCloudyTimestampsTask(**options)


def test_can_be_pickled() -> None:
    task = pickle.loads(pickle.dumps(FilterCloudyTimestampsTask(keep_at_least=3)))
    assert len(task.execute(patch_of()).get_timestamps()) == 3


def test_real_patch(shared_data: Path) -> None:
    folder = str(shared_data / "slovenia" / "eopatch")
    features: Any = [(FeatureType.MASK, "IS_VALID"), (FeatureType.DATA, "NDVI")]
    patch = EOPatch.load(folder, features=features)
    result = FilterCloudyTimestampsTask(min_valid_fraction=0.8).execute(patch)
    fraction = patch[FeatureType.MASK, "IS_VALID"].mean(axis=(1, 2, 3))
    assert 0 < len(result.get_timestamps()) == (fraction > 0.8).sum() < 68
    assert np.array_equal(
        result[FeatureType.DATA, "NDVI"], patch[FeatureType.DATA, "NDVI"][fraction > 0.8], equal_nan=True
    )

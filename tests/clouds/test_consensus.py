from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.consensus import AddCloudConsensusTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError
from eotasks.models.clouds.temporal.consensus import cloud_consensus

BANDS, CLM = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "CLM")
CONSENSUS, IS_DATA = (FeatureType.MASK, "CLM_CONSENSUS"), (FeatureType.MASK, "IS_DATA")
SNOW = (FeatureType.MASK, "SNOW")


def patch_of() -> EOPatch:
    random = np.random.default_rng(1)
    patch = EOPatch(
        bbox=BBox((330_000, 5_814_360, 330_400, 5_814_760), CRS("EPSG:32633")),
        timestamps=["2020-01-01", "2020-01-11", "2020-01-21", "2020-01-31"],
    )
    bands = random.uniform(0.05, 0.4, (1, 20, 20, 2)).repeat(4, axis=0).astype(np.float32)
    bands[1, 5:12, 5:12] = 0.7
    patch[BANDS] = bands
    mask = np.zeros((4, 20, 20, 1), dtype=np.uint8)
    mask[1, 4:13, 4:13] = 1
    mask[1, 15:19, 2:9] = 1  # nothing is there
    patch[CLM] = mask
    return patch


def consensus(patch: EOPatch, **options: Any) -> np.ndarray:
    result: np.ndarray = AddCloudConsensusTask(bands=("B02", "B04"), **options).execute(patch)[CONSENSUS]
    return result


def test_cloud_of_the_mask_that_the_ground_agrees_with() -> None:
    patch = patch_of()
    before = patch.copy(deep=True)
    mask = consensus(patch)
    assert (mask.dtype, mask.shape) == (np.uint8, (4, 20, 20, 1))
    blue = patch[BANDS][..., 0]
    assert np.array_equal(mask[..., 0], cloud_consensus(blue, patch[CLM][..., 0], patch.timestamps))
    assert (mask[1, 4:13, 4:13] == 1).all()
    assert not (mask[1, 15:19, 2:9] == 1).any()
    assert all(np.array_equal(patch[feature], before[feature]) for feature in (BANDS, CLM))
    assert np.array_equal(consensus(patch_of(), boolean=True), mask == 1)
    as_booleans = patch_of()
    as_booleans[CLM] = as_booleans[CLM] == 1
    assert np.array_equal(consensus(as_booleans), mask)


def test_digital_numbers_and_no_data() -> None:
    patch = patch_of()
    patch[BANDS] = np.rint(patch[BANDS] * 10_000).astype(np.uint16)
    patch[BANDS][2, :, :4] = 0
    mask = consensus(patch)
    assert np.array_equal(mask[..., 0] == 255, (patch[BANDS] == 0).all(axis=-1))
    assert np.array_equal(mask[1], consensus(patch_of())[1])
    patch = patch_of()
    patch[IS_DATA] = np.ones((4, 20, 20, 1), dtype=bool)
    patch[IS_DATA][0, :3] = False
    patch[BANDS][0, :3] = np.nan
    assert np.array_equal(consensus(patch, is_data_feature=IS_DATA) == 255, ~patch[IS_DATA])
    patch[IS_DATA][0, :3] = True
    with pytest.raises(ReflectanceError):
        consensus(patch, is_data_feature=IS_DATA)


def test_other_dates_are_not_compared_with_snow() -> None:
    patch = patch_of()
    patch[SNOW] = np.zeros((4, 20, 20, 1), dtype=np.uint8)
    for index in (0, 2):
        patch[BANDS][index, :, :10] = 0.75
        patch[SNOW][index, :, :10] = 1
    assert not (consensus(patch.copy())[1, 5:12, 5:8] == 1).any()  # as bright as the cloud
    patch.timestamps = [*patch.timestamps[:3], "2020-02-10"]
    assert (consensus(patch, snow_feature=SNOW)[1, 5:12, 5:12] == 1).all()
    patch[SNOW] = patch[SNOW] * 7
    with pytest.raises(FeatureError, match="mask/SNOW"):
        consensus(patch, snow_feature=SNOW)


def test_it_travels_to_workers() -> None:
    task = pickle.loads(pickle.dumps(AddCloudConsensusTask(bands=("B02", "B04"))))
    assert np.array_equal(task.execute(patch_of())[CONSENSUS], consensus(patch_of()))


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"bands": ("B03", "B04")}, BandError, "B02"),
        ({"margin": -1}, ConfigurationError, "margin"),
        ({"dates": 1}, ConfigurationError, "dates"),
        ({"min_brightening": -0.1}, ConfigurationError, "min_brightening"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        AddCloudConsensusTask(**options)


@pytest.mark.filterwarnings("ignore:EOPatch does not have timestamps")
def test_bad_patches() -> None:
    patch = patch_of()
    del patch[CLM]
    with pytest.raises(FeatureError, match="mask/CLM"):
        consensus(patch)
    patch = patch_of()
    patch[CLM] = patch[CLM][:, :10]
    with pytest.raises(GridError, match="bring both to one grid"):
        consensus(patch)
    patch = patch_of()
    patch.timestamps = None
    with pytest.raises(FeatureError, match="by their timestamps"):
        consensus(patch)

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EONode, EOWorkflow, FeatureType, OutputTask
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError
from eotasks.models.clouds.frame import frame_probability
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import BANDS
from tests.builders.clouds.patches import patch_of_bands

BANDS_FEATURE = (FeatureType.DATA, "BANDS")
CLP = (FeatureType.DATA, "CLP")
IS_DATA = (FeatureType.MASK, "IS_DATA")


@pytest.fixture
def bands() -> Any:
    return np.random.default_rng(6).uniform(0, 1, (2, 12, 16, 13)).astype(np.float32)


def test_works_with_nothing_else(bands: Any) -> None:
    before = bands.copy()
    patch = AddCloudProbabilityTask(BANDS_FEATURE, CLP).execute(patch_of_bands(bands))
    assert patch[CLP].dtype == np.float32
    assert np.array_equal(patch[CLP][..., 0], cloud_probability(bands))
    assert np.array_equal(bands, before)


def test_digital_numbers_ten_bands_and_names(bands: Any) -> None:
    numbers = np.round(bands * 10_000).astype(np.uint16)
    expected = cloud_probability(numbers)
    chosen = [0, 1, 3, 4, 7, 8, 9, 10, 11, 12]
    for values, names in ((numbers, None), (numbers[..., chosen], None), (numbers[..., ::-1], BANDS[::-1])):
        patch = AddCloudProbabilityTask(bands=names).execute(patch_of_bands(values))
        assert np.array_equal(patch[CLP][..., 0], expected)


@pytest.mark.parametrize("sampling", ["mean", "nearest"])
@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_resolution_is_in_metres_of_the_bounding_box(bands: Any, sampling: Any, upsampling: Any) -> None:
    task = AddCloudProbabilityTask(resolution=80, sampling=sampling, upsampling=upsampling)
    patch = task.execute(patch_of_bands(bands))
    for index, frame in enumerate(bands):
        expected = frame_probability(
            frame, pixel_size=(20.0, 20.0), resolution=80, sampling=sampling, upsampling=upsampling
        )
        assert np.array_equal(patch[CLP][index, ..., 0], expected)


def test_stored_as_uint8_like_the_service(bands: Any) -> None:
    patch = AddCloudProbabilityTask(dtype="uint8").execute(patch_of_bands(bands))
    assert patch[CLP].dtype == np.uint8
    assert np.array_equal(patch[CLP][..., 0], np.rint(cloud_probability(bands) * 255).astype(np.uint8))


def test_pixels_without_data(bands: Any) -> None:
    valid = np.random.default_rng(7).random((2, 12, 16, 1)) < 0.7
    bands[~valid[..., 0]] = np.nan
    patch = AddCloudProbabilityTask(is_data_feature=IS_DATA).execute(patch_of_bands(bands, IS_DATA=valid))
    assert np.isnan(patch[CLP][~valid]).all()
    assert (AddCloudMaskTask().execute(patch)[FeatureType.MASK, "CLM"][~valid] == 255).all()
    assert np.array_equal(patch[CLP][valid], cloud_probability(bands, valid=valid)[valid[..., 0]])
    assert np.array_equal(AddCloudProbabilityTask().execute(patch_of_bands(bands))[CLP], patch[CLP], equal_nan=True)
    bands[0, 0, 0] = 0.2
    bands[0, 0, 0, 10] = np.nan  # one band alone
    with pytest.raises(ReflectanceError, match=r"data/BANDS of 2017-02-16T10:21: NaN"):
        AddCloudProbabilityTask().execute(patch_of_bands(bands))


def test_raw_digital_numbers_as_floats_name_the_frame(bands: Any) -> None:
    bands[1] *= 10_000
    with pytest.raises(ReflectanceError, match=r"data/BANDS of 2017-02-21T10:21: .*raw digital numbers"):
        AddCloudProbabilityTask().execute(patch_of_bands(bands))


def test_bands_that_do_not_fit_are_refused_before_any_work() -> None:
    with pytest.raises(BandError, match=r"data/BANDS: 6 bands.*B10.*AddSceneClassificationMaskTask"):
        AddCloudProbabilityTask().execute(patch_of_bands(np.zeros((1, 4, 4, 6), dtype=np.float32)))
    with pytest.raises(BandError, match="B10 is missing"):
        AddCloudProbabilityTask(bands=[band for band in BANDS if band != "B10"])


def test_missing_features_are_named_with_what_is_there(bands: Any) -> None:
    with pytest.raises(FeatureError, match=r"data/L1C is not in the EOPatch \(there: data/BANDS\): load"):
        AddCloudProbabilityTask((FeatureType.DATA, "L1C")).execute(patch_of_bands(bands))
    with pytest.raises(FeatureError, match="mask/IS_DATA"):
        AddCloudProbabilityTask(is_data_feature=IS_DATA).execute(patch_of_bands(bands))
    wrong = np.ones((2, 12, 15, 1), dtype=bool)
    with pytest.raises(GridError, match=r"mask/IS_DATA has shape \(2, 12, 15\), data/BANDS \(2, 12, 16\)"):
        AddCloudProbabilityTask(is_data_feature=IS_DATA).execute(patch_of_bands(bands, IS_DATA=wrong))


@pytest.mark.parametrize("crs", [CRS.WGS84, CRS.POP_WEB])
def test_a_resolution_needs_metres_on_the_ground(bands: Any, crs: CRS) -> None:
    patch = patch_of_bands(bands, BBox((13.0, 52.0, 13.1, 52.1), crs))
    with pytest.raises(GridError, match="bounding box in metres"):
        AddCloudProbabilityTask(resolution=80).execute(patch)
    with pytest.raises(GridError, match=r"10 m is finer than the pixels of 20 m"):
        AddCloudProbabilityTask(resolution=10).execute(patch_of_bands(bands))
    assert CLP in AddCloudProbabilityTask().execute(patch)


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": 0},
        {"resolution": -10},
        {"sampling": "cubic"},
        {"upsampling": "cubic"},
        {"dtype": "float64"},
        {"threads": 0},
        {"bands_feature": (FeatureType.MASK, "BANDS")},
        {"probability_feature": "CLP"},
        {"is_data_feature": (FeatureType.DATA, "IS_DATA")},
    ],
    ids=str,
)
def test_unusable_arguments_are_refused_when_the_task_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AddCloudProbabilityTask(**options)


def test_stays_small_when_pickled_after_use_and_works_in_a_workflow(bands: Any) -> None:
    task = AddCloudProbabilityTask()
    task.execute(patch_of_bands(bands))
    assert len(pickle.dumps(task)) < 2_000
    again = pickle.loads(pickle.dumps(task)).execute(patch_of_bands(bands))
    node = EONode(task, [], name="cloud")
    assert np.array_equal(again[CLP], task.execute(patch_of_bands(bands))[CLP])
    end = EONode(OutputTask("patch"), [node])
    results = EOWorkflow([node, end]).execute({node: {"eopatch": patch_of_bands(bands)}})
    assert np.array_equal(results.outputs["patch"][CLP], again[CLP])

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.masks import AddCloudMaskTask, AddSceneClassificationMaskTask
from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.models.clouds.postprocess import cloud_mask, mask_of
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.clouds.scene_classification import SCL_CLOUD
from tests.builders.clouds.patches import UTM

CLP, CLM = (FeatureType.DATA, "CLP"), (FeatureType.MASK, "CLM")
IS_DATA, SCL, SNOW = (FeatureType.MASK, "IS_DATA"), (FeatureType.MASK, "SCL"), (FeatureType.MASK, "SNOW")
PROBABILITY = np.random.default_rng(2).random((3, 20, 22, 1), dtype=np.float32) * np.float32(0.77)


def patch_of(**masks: Any) -> EOPatch:
    times = ["2017-01-01", "2017-01-11", "2017-01-21"]
    return EOPatch(bbox=UTM, timestamps=times, data={"CLP": PROBABILITY.copy()}, mask=masks)  # type: ignore[arg-type]  # parsed


def test_mask_with_the_defaults_of_the_production() -> None:
    patch = AddCloudMaskTask(CLP, CLM).execute(patch_of())
    expected = cloud_mask(PROBABILITY[..., 0], threshold=0.4, average_over=4, dilation_size=2)
    assert patch[CLM].dtype == np.uint8
    assert np.array_equal(patch[CLM][..., 0], expected)
    assert 0 < expected.mean() < 1
    assert np.array_equal(patch[CLP], PROBABILITY)


def test_options_and_no_data() -> None:
    is_data = np.ones(PROBABILITY.shape, dtype=bool)
    is_data[:, :6] = 0
    options: dict[str, Any] = {"threshold": 0.6, "average_over": None, "dilation_size": 3}
    patch = AddCloudMaskTask(is_data_feature=IS_DATA, **options).execute(patch_of(IS_DATA=is_data))
    expected = cloud_mask(PROBABILITY[..., 0], valid=is_data[..., 0], **options)
    assert np.array_equal(patch[CLM][..., 0], expected)
    assert (patch[CLM][:, :6] == 255).all()
    boolean = AddCloudMaskTask(is_data_feature=IS_DATA, boolean=True, **options).execute(patch_of(IS_DATA=is_data))
    assert boolean[CLM].dtype == np.bool_
    assert np.array_equal(boolean[CLM][..., 0], expected == 1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(FeatureError, match=r"data/PROB is not in the EOPatch .*AddCloudProbabilityTask"):
        AddCloudMaskTask((FeatureType.DATA, "PROB")).execute(patch_of())
    percent = patch_of()
    percent[CLP] = percent[CLP] * 100
    with pytest.raises(FeatureError, match="data/CLP: values from"):
        AddCloudMaskTask().execute(percent)
    bands = patch_of()
    bands[CLP] = np.zeros((3, 20, 22, 2), dtype=np.float32)
    with pytest.raises(FeatureError, match=r"\(time, h, w, 1\) is due"):
        AddCloudMaskTask().execute(bands)
    with pytest.raises(GridError, match="mask/IS_DATA"):
        AddCloudMaskTask(is_data_feature=IS_DATA).execute(patch_of(IS_DATA=np.ones((3, 20, 2, 1), dtype=bool)))
    with pytest.raises(ConfigurationError, match="threshold=40"):
        AddCloudMaskTask(threshold=40)
    with pytest.raises(ConfigurationError, match=r"threshold='0\.4'"):
        AddCloudMaskTask(threshold="0.4")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ConfigurationError, match="average_over=-1"):
        AddCloudMaskTask(average_over=-1)


def test_radii_of_numpy_are_radii() -> None:
    radii: dict[str, Any] = {"average_over": np.int64(2), "dilation_size": np.uint8(1)}
    patch = AddCloudMaskTask(CLP, CLM, **radii).execute(patch_of())
    assert np.array_equal(patch[CLM], AddCloudMaskTask(average_over=2, dilation_size=1).execute(patch_of())[CLM])


@pytest.mark.parametrize("preset", ["s2cloudless", "eo-learn", "sentinel-hub", "gee"])
def test_presets_by_name(preset: Any) -> None:
    patch = AddCloudMaskTask(preset=preset, threshold=0.3).execute(patch_of())
    expected = mask_of(PROBABILITY[..., 0], mask_settings(preset, threshold=0.3))
    assert np.array_equal(patch[CLM][..., 0], expected)


def test_metres_are_measured_on_the_bounding_box() -> None:
    patch = patch_of()
    size = (240 / 20, 320 / 22)  # metres of the box over pixels, (y, x)
    expected = mask_of(PROBABILITY[..., 0], mask_settings("eo-learn", unit="metre"), pixel_size=size)
    assert np.array_equal(AddCloudMaskTask(unit="metre").execute(patch)[CLM][..., 0], expected)
    assert not np.array_equal(expected, cloud_mask(PROBABILITY[..., 0]))
    degrees = EOPatch(bbox=BBox((15, 46, 15.1, 46.1), CRS.WGS84), timestamps=["2017-01-01"])  # type: ignore[list-item]
    degrees[CLP] = PROBABILITY[:1]
    with pytest.raises(GridError, match="data/CLP: a radius in metres needs a bounding box in metres"):
        AddCloudMaskTask(unit="metre").execute(degrees)


def test_snow_is_given_back() -> None:
    snow = np.zeros(PROBABILITY.shape, dtype=np.uint8)
    snow[:, 4:9] = 1
    snow[:, 9] = 255
    patch = AddCloudMaskTask(snow_feature=SNOW, average_over=0, dilation_size=0).execute(patch_of(SNOW=snow))
    cloud = np.greater(PROBABILITY, np.float32(0.4))
    assert np.array_equal(patch[CLM] == 1, cloud & (snow != 1))
    assert cloud[snow == 1].any()
    with pytest.raises(FeatureError, match=r"mask/SNOW is not in the EOPatch .*AddSnowMaskTask"):
        AddCloudMaskTask(snow_feature=SNOW).execute(patch_of())
    with pytest.raises(FeatureError, match="mask/SNOW: holds 11"):
        AddCloudMaskTask(snow_feature=SNOW).execute(patch_of(SNOW=snow * np.uint8(11)))


def test_scene_classification() -> None:
    classes = np.random.default_rng(3).integers(0, 12, PROBABILITY.shape, dtype=np.uint8)
    patch = AddSceneClassificationMaskTask(SCL, CLM).execute(patch_of(SCL=classes))
    assert np.array_equal(patch[CLM] == 0, np.isin(classes, [2, 4, 5, 6, 7, 11]))
    assert np.array_equal(patch[CLM] == 255, classes == 0)
    clouds = AddSceneClassificationMaskTask(invalid=SCL_CLOUD, boolean=True).execute(patch_of(SCL=classes))
    assert clouds[CLM].dtype == np.bool_
    assert np.array_equal(clouds[CLM], np.isin(classes, [8, 9, 10]))
    with pytest.raises(FeatureError, match="mask/SCL: values from"):
        AddSceneClassificationMaskTask().execute(patch_of(SCL=classes + np.uint8(9)))
    with pytest.raises(ConfigurationError, match="CLOUDS"):
        AddSceneClassificationMaskTask(invalid=["CLOUDS"])


@pytest.mark.parametrize("task", [AddCloudMaskTask(preset="gee", threshold=0.3), AddSceneClassificationMaskTask()])
def test_tasks_can_be_pickled(task: Any) -> None:
    again = pickle.loads(pickle.dumps(task))
    assert {k: v for k, v in vars(again).items() if k[0] != "_"} == {k: v for k, v in vars(task).items() if k[0] != "_"}

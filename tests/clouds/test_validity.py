from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.validity import (
    AddCloudCoverageTask,
    AddValidCountTask,
    AddValidDataMaskTask,
    AddValidFractionTask,
)
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError
from eotasks.models.sentinel2 import BANDS
from tests.builders.clouds.patches import UTM

MASK = FeatureType.MASK
IS_VALID = (MASK, "IS_VALID")
BANDS_FEATURE = (FeatureType.DATA, "BANDS")
# green, near infrared, short-wave infrared
SNOW, LAKE, GRASS, CLOUD = (0.8, 0.75, 0.1), (0.12, 0.06, 0.02), (0.09, 0.35, 0.2), (0.6, 0.62, 0.45)
NAMES = ("B03", "B08", "B11")


def patch_of(*pixels: tuple[float, float, float], cloud: Any, is_data: Any = None, **masks: Any) -> EOPatch:
    """A patch of one frame and one row of pixels."""
    bands = np.array(pixels, dtype=np.float32).reshape(1, 1, -1, 3)
    data = np.ones(len(pixels), dtype=bool) if is_data is None else np.array(is_data, dtype=bool)
    arrays = {"IS_DATA": data, "CLM": np.array(cloud, dtype=np.uint8), **{k: np.array(v) for k, v in masks.items()}}
    shaped = {name: array.reshape(1, 1, -1, 1) for name, array in arrays.items()}
    return EOPatch(bbox=UTM, timestamps=["2017-01-01"], data={"BANDS": bands}, mask=shaped)  # type: ignore[list-item]  # parsed


def valid(patch: EOPatch, **options: Any) -> list[bool]:
    result = AddValidDataMaskTask((MASK, "IS_DATA"), IS_VALID, **options).execute(patch)[IS_VALID]
    assert result.dtype == np.bool_
    flat: list[bool] = result.ravel().tolist()
    return flat


def test_masks_alone_are_enough() -> None:
    patch = patch_of(GRASS, GRASS, GRASS, GRASS, cloud=[0, 1, 255, 0], is_data=[1, 1, 1, 0])
    del patch[BANDS_FEATURE]
    assert valid(patch) == [True, False, False, False]
    assert valid(patch, cloud_masks=[]) == [True, True, True, False]


def test_boolean_masks_and_shadows_are_joined() -> None:
    patch = patch_of(GRASS, GRASS, GRASS, cloud=[0, 1, 0], SHADOW=[False, False, True])
    assert valid(patch, cloud_masks=[(MASK, "CLM"), (MASK, "SHADOW")]) == [True, False, False]


def test_masks_that_say_themselves_where_there_is_no_data_need_no_other() -> None:
    patch = patch_of(SNOW, SNOW, GRASS, GRASS, cloud=[0, 1, 255, 0], SHADOW=np.array([0, 0, 0, 255], dtype=np.uint8))
    masks = [(MASK, "CLM"), (MASK, "SHADOW")]
    del patch[MASK, "IS_DATA"]
    task = AddValidDataMaskTask(None, IS_VALID, cloud_masks=masks)
    assert task.execute(patch)[IS_VALID].ravel().tolist() == [True, False, False, False]
    patch[BANDS_FEATURE][0, 0, 2] = np.nan  # without data by the cloud mask, so not looked at
    task = AddValidDataMaskTask(None, IS_VALID, bands_feature=BANDS_FEATURE, bands=NAMES, snow="keep")
    assert task.execute(patch)[IS_VALID].ravel().tolist() == [True, True, False, True]
    with pytest.raises(ConfigurationError, match="neither is_data_feature nor cloud_masks"):
        AddValidDataMaskTask(None, cloud_masks=())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # snow, snow called cloud, lake called cloud, grass, cloud, snow without data
        ({}, [True, False, False, True, False, False]),
        ({"snow": "exclude"}, [False, False, False, True, False, False]),
        ({"snow": "keep"}, [True, True, False, True, False, False]),
        ({"water": "keep"}, [True, False, True, True, False, False]),
        ({"water": "exclude", "snow": "keep"}, [True, True, False, True, False, False]),
        ({"snow": "keep", "max_snow_swir": 0.05}, [True, False, False, True, False, False]),
    ],
    ids=str,
)
def test_snow_and_water(options: dict[str, Any], expected: list[bool]) -> None:
    patch = patch_of(SNOW, SNOW, LAKE, GRASS, CLOUD, SNOW, cloud=[0, 1, 1, 0, 1, 0], is_data=[1, 1, 1, 1, 1, 0])
    before = patch.copy(deep=True)
    assert valid(patch, bands_feature=BANDS_FEATURE, bands=NAMES, **options) == expected
    del patch[IS_VALID]
    assert patch == before


def test_all_thirteen_bands_need_no_names() -> None:
    patch = patch_of(SNOW, cloud=[1])
    spectrum = np.full((1, 1, 1, 13), 0.5, dtype=np.float32)
    spectrum[..., [BANDS.index(name) for name in NAMES]] = SNOW
    patch[BANDS_FEATURE] = np.round(spectrum * 10_000).astype(np.uint16)
    assert valid(patch, bands_feature=BANDS_FEATURE, snow="keep") == [True]


def test_what_does_not_fit_is_refused() -> None:
    patch = patch_of(GRASS, GRASS, cloud=[0, 7])
    with pytest.raises(FeatureError, match="mask/CLM: holds 7"):
        valid(patch)
    with pytest.raises(FeatureError, match=r"mask/SHADOW is not in the EOPatch .*cloud_masks"):
        valid(patch, cloud_masks=[(MASK, "SHADOW")])
    patch[MASK, "CLM"] = np.zeros((1, 2, 2, 1), dtype=bool)
    with pytest.raises(GridError, match="mask/CLM"):
        valid(patch)
    with pytest.raises(BandError, match="3 bands without names"):
        valid(patch_of(GRASS, cloud=[0]), bands_feature=BANDS_FEATURE, snow="exclude")
    raw = patch_of((4000, 3000, 2000), cloud=[0])
    with pytest.raises(ReflectanceError, match="data/BANDS of 2017-01-01T00:00"):
        valid(raw, bands_feature=BANDS_FEATURE, bands=NAMES, snow="exclude")


def test_unusable_arguments_are_refused_when_the_task_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"snow='keep'.*give bands_feature"):
        AddValidDataMaskTask(snow="keep")
    with pytest.raises(ConfigurationError, match="water='yes'"):
        AddValidDataMaskTask(bands_feature=BANDS_FEATURE, water="yes")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(BandError, match="B11 is missing"):
        AddValidDataMaskTask(bands_feature=BANDS_FEATURE, bands=["B03", "B08"], snow="keep")
    with pytest.raises(ConfigurationError, match="no feature"):
        AddValidDataMaskTask(cloud_masks=[(FeatureType.DATA, "CLP")])


def test_count_fraction_and_coverage() -> None:
    shape = (3, 2, 2, 1)
    usable = np.zeros(shape, dtype=bool)
    usable[0], usable[1, 0, 0] = True, True
    clouds = np.zeros(shape, dtype=np.uint8)
    clouds[1, 0], clouds[2] = 1, 255
    times: Any = ["2017-01-01", "2017-01-11", "2017-01-21"]
    patch = EOPatch(bbox=UTM, timestamps=times, mask={"IS_VALID": usable, "CLM": clouds})
    for task in (AddValidCountTask(), AddValidFractionTask(), AddCloudCoverageTask()):
        patch = task.execute(patch)
    count = patch[FeatureType.MASK_TIMELESS, "VALID_COUNT"]
    assert count.dtype == np.uint16
    assert count[..., 0].tolist() == [[2, 1], [1, 1]]
    fraction = patch[FeatureType.SCALAR, "VALID_FRACTION"]
    assert fraction.dtype == np.float32
    np.testing.assert_array_equal(fraction, [[1], [0.25], [0]])
    coverage = patch[FeatureType.SCALAR, "CLOUD_COVERAGE"]
    np.testing.assert_array_equal(coverage, np.array([[0], [0.5], [np.nan]], dtype=np.float32))
    with pytest.raises(FeatureError, match=r"mask/V is not in the EOPatch .*AddValidDataMaskTask"):
        AddValidCountTask((MASK, "V")).execute(patch)

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.snow import AddSnowMaskTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError
from eotasks.models.sentinel2 import band_indices
from tests.builders.clouds.patches import UTM

BANDS_FEATURE, SNOW = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "SNOW")
CLM, IS_DATA = (FeatureType.MASK, "CLM"), (FeatureType.MASK, "IS_DATA")
NAMES = ("B02", "B03", "B04", "B08", "B11", "B10")
FIELD, CIRRUS = (0.81, 0.80, 0.79, 0.75, 0.10, 0.004), (0.62, 0.60, 0.61, 0.60, 0.20, 0.05)
GRASS, SILT = (0.10, 0.09, 0.07, 0.35, 0.20, 0.002), (0.14, 0.19, 0.27, 0.20, 0.04, 0.002)


def patch_of(*pixels: tuple[float, ...], **masks: Any) -> EOPatch:
    bands = np.array(pixels, dtype=np.float32).reshape(1, 1, -1, len(pixels[0]))
    shaped = {name: np.array(mask).reshape(1, 1, -1, 1) for name, mask in masks.items()}
    return EOPatch(bbox=UTM, timestamps=["2017-01-01"], data={"BANDS": bands}, mask=shaped)  # type: ignore[list-item]


def snow(patch: EOPatch, **options: Any) -> list[int]:
    result = AddSnowMaskTask(bands=NAMES, **options).execute(patch)[SNOW]
    assert result.dtype == (np.bool_ if options.get("boolean") else np.uint8)
    flat: list[int] = result.ravel().tolist()
    return flat


def test_snow_is_told_from_high_ice_cloud_by_the_cirrus_band() -> None:
    patch = patch_of(FIELD, CIRRUS, GRASS)
    before = patch.copy(deep=True)
    assert snow(patch) == [1, 0, 0]
    del patch[SNOW]
    assert patch == before
    assert snow(patch, max_cirrus=None) == [1, 1, 0]
    assert snow(patch, max_cirrus=None, max_swir=0.15) == [1, 0, 0]
    assert snow(patch, max_cirrus=0.001) == [0, 0, 0]


def test_muddy_water_is_no_snow_and_the_index_can_be_stricter() -> None:
    patch = patch_of(FIELD, SILT, (0.3, 0.3, 0.3, 0.3, 0.12, 0.002))
    assert snow(patch) == [1, 0, 1]
    assert snow(patch, min_ndsi=0.6) == [1, 0, 0]


def test_no_data() -> None:
    gap = (np.nan,) * 6
    patch = patch_of(FIELD, gap, GRASS, IS_DATA=[True, False, True])
    assert snow(patch, is_data_feature=IS_DATA) == [1, 255, 0]
    assert snow(patch, is_data_feature=IS_DATA, boolean=True) == [True, False, False]
    assert snow(patch) == [1, 255, 0]
    assert snow(patch_of(FIELD, (0,) * 6, GRASS)) == [1, 255, 0]
    assert snow(patch_of(FIELD, (0,) * 6, GRASS), boolean=True) == [True, False, False]
    patch = patch_of(FIELD, gap, GRASS, IS_DATA=[True, True, True])
    with pytest.raises(ReflectanceError, match="data/BANDS of 2017-01-01T00:00: NaN"):
        snow(patch, is_data_feature=IS_DATA)


def test_all_thirteen_bands_need_no_names_and_numbers_are_reflectance() -> None:
    spectrum = np.full((1, 1, 1, 13), 0.5, dtype=np.float32)
    spectrum[..., band_indices(NAMES)] = FIELD
    patch = patch_of(FIELD)
    patch[BANDS_FEATURE] = np.round(spectrum * 10_000).astype(np.uint16)
    assert AddSnowMaskTask().execute(patch)[SNOW].item() == 1


def test_snow_is_taken_out_of_the_clouds() -> None:
    """Made-up snow that the model calls cloud (p = 0.985), beside grass that it does not."""
    bright_snow = (0.83, 0.81, 0.74, 0.70, 0.68, 0.77, 0.71, 0.72, 0.69, 0.29, 0.004, 0.18, 0.16)
    grass = (0.12, 0.10, 0.09, 0.07, 0.11, 0.24, 0.30, 0.32, 0.34, 0.10, 0.002, 0.20, 0.11)
    bands = np.broadcast_to(np.array(grass, dtype=np.float32), (1, 12, 12, 13)).copy()
    bands[:, 3:9, 3:9] = bright_snow
    patch = EOPatch(bbox=UTM, timestamps=["2017-01-01"], data={"BANDS": bands})  # type: ignore[list-item]
    patch = AddCloudProbabilityTask().execute(patch)
    assert AddCloudMaskTask().execute(patch)[CLM].sum() > 36  # more than the snow: the false cloud grows
    patch = AddSnowMaskTask().execute(patch)
    assert patch[SNOW].sum() == 36
    assert AddCloudMaskTask(snow_feature=SNOW).execute(patch)[CLM].sum() == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BandError, match=r"B10 is missing"):
        AddSnowMaskTask(bands=NAMES[:5])
    AddSnowMaskTask(bands=NAMES[:5], max_cirrus=None)
    with pytest.raises(ConfigurationError, match="min_ndsi=2"):
        AddSnowMaskTask(min_ndsi=2)
    with pytest.raises(ConfigurationError, match="max_swir=-1"):
        AddSnowMaskTask(max_swir=-1)
    with pytest.raises(ConfigurationError, match="max_cirrus='0"):
        AddSnowMaskTask(max_cirrus="0.1")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(FeatureError, match="data/BANDS is not in the EOPatch"):
        AddSnowMaskTask().execute(EOPatch(bbox=UTM))
    with pytest.raises(BandError, match="6 bands without names"):
        AddSnowMaskTask().execute(patch_of(FIELD))
    patch = patch_of(FIELD, GRASS, IS_DATA=[True])
    with pytest.raises(GridError, match="mask/IS_DATA"):
        snow(patch, is_data_feature=IS_DATA)


def test_the_task_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(AddSnowMaskTask(bands=NAMES)))
    assert (again.bands, again.max_cirrus) == (NAMES, 0.015)

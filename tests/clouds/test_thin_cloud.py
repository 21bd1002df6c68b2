from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.snow import AddSnowMaskTask
from eotasks.clouds.thin_cloud import AddThinCloudMaskTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError
from tests.builders.clouds.patches import UTM
from tests.builders.clouds.spectra import CIRRUS_OVER_GRASS, CLOUD, GRASS, SNOW, stack

THIN, SNOW_MASK = (FeatureType.MASK, "THIN_CLOUD"), (FeatureType.MASK, "SNOW")
CLM, IS_DATA = (FeatureType.MASK, "CLM"), (FeatureType.MASK, "IS_DATA")


def patch_of(bands: Any, **masks: Any) -> EOPatch:
    times = [f"2017-01-{day + 1:02}" for day in range(len(bands))]
    return EOPatch(bbox=UTM, timestamps=times, data={"BANDS": bands}, mask=masks)  # type: ignore[arg-type]


def test_frames_and_gaps() -> None:
    bands = stack(CIRRUS_OVER_GRASS, GRASS, CLOUD, side=4)
    patch = patch_of(bands)
    before = patch.copy(deep=True)
    mask = AddThinCloudMaskTask().execute(patch)[THIN]
    assert mask.dtype == np.uint8
    assert [float(frame.mean()) for frame in mask] == [1, 0, 0]
    del patch[THIN]
    assert patch == before
    is_data = np.ones((*bands.shape[:3], 1), dtype=bool)
    is_data[:, 0] = False
    patch = patch_of(bands, IS_DATA=is_data)
    mask = AddThinCloudMaskTask(is_data_feature=IS_DATA).execute(patch)[THIN]
    assert (mask[:, 0] == 255).all()
    mask = AddThinCloudMaskTask(is_data_feature=IS_DATA, boolean=True).execute(patch)[THIN]
    assert mask.dtype == np.bool_
    assert mask.sum() == 12
    assert AddThinCloudMaskTask(min_cirrus=0.05).execute(patch)[THIN].sum() == 0


def test_it_is_taken_out_of_the_clouds_beside_snow_and_opaque_cloud_grows() -> None:
    """Thin cloud that the model calls cloud; a block of opaque cloud in it is still found, and grows over it."""
    bands = np.repeat(stack(CIRRUS_OVER_GRASS, side=16), 1, axis=0)
    bands[:, :, 12:] = stack(SNOW, side=16)[:, :, 12:]
    bands[:, 4:8, 4:8] = stack(CLOUD, side=4)
    patch = AddCloudProbabilityTask().execute(patch_of(bands))
    settings: dict[str, Any] = {"preset": "s2cloudless"}
    assert AddCloudMaskTask(**settings).execute(patch)[CLM].mean() > 0.9
    patch = AddSnowMaskTask().execute(AddThinCloudMaskTask().execute(patch))
    mask = AddCloudMaskTask(snow_feature=SNOW_MASK, thin_cloud_feature=THIN, **settings).execute(patch)[CLM]
    assert mask[0, 4:8, 4:8].all()
    assert mask[0, 3, 4:8].all()  # grown by one pixel
    assert mask[0, :, 10:].sum() == 0
    alone = AddCloudMaskTask(thin_cloud_feature=THIN, **settings).execute(patch)[CLM]
    assert alone[0, :, 13:].all()  # snow, which nothing keeps apart


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BandError, match="B10 is missing"):
        AddThinCloudMaskTask(bands=["B02", "B03"])
    with pytest.raises(ConfigurationError, match="min_cirrus=-1"):
        AddThinCloudMaskTask(min_cirrus=-1)
    with pytest.raises(ConfigurationError, match="max_blue='low'"):
        AddThinCloudMaskTask(max_blue="low")  # type: ignore[arg-type]  # what is tested
    patch = AddCloudProbabilityTask().execute(patch_of(stack(GRASS)))
    with pytest.raises(FeatureError, match=r"mask/THIN_CLOUD is not in the EOPatch .*AddThinCloudMaskTask first"):
        AddCloudMaskTask(thin_cloud_feature=THIN).execute(patch)
    patch = AddThinCloudMaskTask().execute(AddSnowMaskTask().execute(patch))
    patch[SNOW_MASK] = patch[SNOW_MASK][:, 1:]
    with pytest.raises(GridError, match="mask/THIN_CLOUD has shape"):
        AddCloudMaskTask(snow_feature=SNOW_MASK, thin_cloud_feature=THIN).execute(patch)


def test_the_task_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(AddThinCloudMaskTask(max_blue=0.3)))
    assert (again.min_cirrus, again.max_blue) == (0.012, 0.3)

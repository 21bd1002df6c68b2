from __future__ import annotations

import numpy as np
import pytest

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.clouds.scene_classification import SCL_CLOUD, SCL_INVALID, mask_of_classes, scene_classes
from eotasks.models.sentinel2 import SceneClass


def test_default_is_the_valid_set_of_the_l2a_example() -> None:
    mask = mask_of_classes(np.arange(12, dtype=np.uint8), scene_classes(SCL_INVALID))
    assert np.flatnonzero(mask == 0).tolist() == [2, 4, 5, 6, 7, 11]
    assert np.flatnonzero(mask == 255).tolist() == [0]
    assert mask.dtype == np.uint8


def test_cloud_alone_is_what_sen2cor_calls_cloud() -> None:
    mask = mask_of_classes(np.arange(12, dtype=np.int16).reshape(1, 3, 4), scene_classes(SCL_CLOUD))
    assert np.flatnonzero(mask == 1).tolist() == [8, 9, 10]
    assert mask.shape == (1, 3, 4)


def test_unknown_names_and_values_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"CLOUDS.*Choose of .*THIN_CIRRUS"):
        scene_classes(["CLOUDS"])
    with pytest.raises(ConfigurationError, match="NO_DATA"):
        scene_classes(["NO_DATA"])
    with pytest.raises(ConfigurationError, match="one name"):
        scene_classes("THIN_CIRRUS")
    with pytest.raises(FeatureError, match="SCL of 2019: values from 0 to 12"):
        mask_of_classes(np.array([0, 12]), scene_classes(SCL_CLOUD), where="SCL of 2019")
    with pytest.raises(FeatureError, match="float64"):
        mask_of_classes(np.array([0.5]), [SceneClass.THIN_CIRRUS])
    assert mask_of_classes(np.empty((0, 2), dtype=np.uint8), []).shape == (0, 2)

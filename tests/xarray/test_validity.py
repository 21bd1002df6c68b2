"""Valid data of datasets and masks equals that of the task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eolearn.core import FeatureType

from eotasks.clouds.validity import AddValidDataMaskTask
from eotasks.errors import BandError, ConfigurationError, EOTasksError, FeatureError, GridError
from eotasks.models.sentinel2 import BANDS
from eotasks.xarray import cloud_mask, valid_data
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.xarrays import dataset, scene

VALUES = scene()
VALUES[0, 3:9, 5:30] = 0
CHUNKS = {"y": 33, "x": 64}
MASK = FeatureType.MASK
CLEAR = (dataset(VALUES)["B02"] > 65_000).astype(np.uint8)


def clouds() -> Any:
    return cloud_mask(dataset(VALUES), average_over=1)


@pytest.mark.parametrize(("snow", "water"), [("ignore", "ignore"), ("exclude", "keep"), ("keep", "exclude")])
def test_valid_data_is_that_of_the_task(snow: Any, water: Any) -> None:
    mask = clouds()
    patch = patch_of_bands(VALUES, CLM=mask.values[..., np.newaxis], IS_DATA=(VALUES != 0).any(axis=-1, keepdims=True))
    task = AddValidDataMaskTask(bands_feature=(FeatureType.DATA, "BANDS"), snow=snow, water=water)
    due = task.execute(patch)[MASK, "IS_VALID"][..., 0]
    assert 0 < due.mean() < 1
    eager = valid_data(dataset(VALUES), [mask], snow=snow, water=water)
    lazy = valid_data(dataset(VALUES, chunks=CHUNKS), mask.chunk(CHUNKS), snow=snow, water=water)
    assert lazy.chunks is not None
    assert eager.dtype == lazy.dtype == bool
    np.testing.assert_array_equal(eager.values, due)
    np.testing.assert_array_equal(lazy.values, due)
    assert lazy.rio.crs.to_epsg() == 32633


def test_masks_alone() -> None:
    mask = clouds()
    np.testing.assert_array_equal(valid_data(cloud_masks=mask).values, mask.values == 0)
    seen = mask != 255
    np.testing.assert_array_equal(valid_data(is_data=seen).values, seen.values)
    lazy = valid_data(is_data=seen.chunk(CHUNKS), cloud_masks=[mask == 1, mask == 1])
    np.testing.assert_array_equal(lazy.values, mask.values == 0)


def test_bands_alone_tell_where_there_is_data() -> None:
    data = dataset(VALUES)[["B04", "B08"]]
    np.testing.assert_array_equal(valid_data(data).values, (VALUES != 0).any(axis=-1))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((), {}, ConfigurationError, "neither data nor is_data nor cloud_masks"),
        ((), {"cloud_masks": CLEAR, "snow": "keep"}, ConfigurationError, "need the bands B03, B08, B11"),
        ((dataset(VALUES),), {"snow": "melt"}, ConfigurationError, "snow='melt' is unknown"),
        ((dataset(VALUES)[["B04", "B08"]],), {"water": "keep"}, BandError, "band B03, B11 is missing"),
        ((), {"cloud_masks": CLEAR == 1}, FeatureError, "boolean masks cannot say where there is no data"),
        ((dataset(VALUES), CLEAR + np.uint8(2)), {}, FeatureError, "holds 2"),
        ((dataset(VALUES), [CLEAR.isel(x=slice(9))]), {}, GridError, r"cloud_masks\[0\] has other 'x'"),
        ((dataset(VALUES),), {"is_data": CLEAR}, FeatureError, "is_data is uint8 where a boolean"),
    ],
    ids=["nothing", "no bands", "no treatment", "two bands", "booleans", "no mask", "another grid", "a cloud mask"],
)
def test_what_it_cannot_be_made_of(
    arguments: tuple[Any, ...], options: dict[str, Any], kind: type[EOTasksError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        valid_data(*arguments, **options)


def test_l2a_bands_do() -> None:
    names = {band: band for band in BANDS if band != "B10"}
    found = valid_data(dataset(VALUES, names=names), clouds())
    np.testing.assert_array_equal(found.values, clouds().values == 0)

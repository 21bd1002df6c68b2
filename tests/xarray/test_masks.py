"""Cloud masks of chunks equal those of whole frames in every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import ConfigurationError, EOTasksError, FeatureError, GridError
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import MaskSettings
from eotasks.models.clouds.smoothing import gaussian, mean_over_disk
from eotasks.xarray import cloud_mask, cloud_probability
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.probabilities import smooth_probability
from tests.builders.clouds.xarrays import coordinates, dataset, scene

VALUES = scene()


def likely(shape: tuple[int, int], seed: int = 3, frames: int = 2) -> xarray.DataArray:
    values = np.stack([smooth_probability(seed + index, shape) for index in range(frames)])
    made = xarray.DataArray(values, coordinates(*values.shape), ("time", "y", "x"), name="CLP")
    return made.rio.write_crs(32633)


@pytest.mark.parametrize("chunks", [{"y": 32, "x": 50}, {"y": -1, "x": 100}, {"time": 2, "y": 70, "x": 7}], ids=str)
def test_the_mask_of_bands_is_that_of_the_tasks(chunks: dict[str, int]) -> None:
    patch = AddCloudMaskTask().execute(AddCloudProbabilityTask().execute(patch_of_bands(VALUES)))
    found = cloud_mask(dataset(VALUES, chunks=chunks))
    assert found.chunks is not None
    np.testing.assert_array_equal(found.values, patch.mask["CLM"][..., 0])
    np.testing.assert_array_equal(cloud_mask(dataset(VALUES)).values, patch.mask["CLM"][..., 0])
    np.testing.assert_array_equal(cloud_mask(cloud_probability(dataset(VALUES))).values, found.values)
    assert found.attrs["flag_meanings"] == "clear cloud no_data"
    assert found.rio.crs.to_epsg() == 32633


SETTINGS = [
    MaskSettings(),
    MaskSettings(average_over=1, dilation_size=1),
    MaskSettings(average_over=None, dilation_size=None),
    MaskSettings(average_over=0, erosion_size=2, dilation_size=5, threshold=0.5),
    MaskSettings(average_over=9, erosion_size=1, dilation_size=3),
    MaskSettings(average_over=None, smoothing="gaussian", sigma=3, dilation_size=None, threshold=0.6),
    MaskSettings(average_over=None, smoothing="gaussian", sigma=0.7, dilation_size=4),
    MaskSettings(average_over=70, dilation_size=30, unit="metre"),
]


@settings(max_examples=40, deadline=None)
@given(
    chosen=st.sampled_from(SETTINGS),
    shape=st.tuples(st.integers(2, 130), st.integers(2, 300)),
    chunks=st.tuples(st.integers(12, 140), st.integers(30, 310)),
    holes=st.integers(0, 40),
    with_snow=st.booleans(),
    seed=st.integers(0, 99),
)
def test_chunks_of_any_size_give_the_mask_of_whole_frames(
    chosen: MaskSettings, shape: tuple[int, int], chunks: tuple[int, int], holes: int, with_snow: bool, seed: int
) -> None:
    probability = likely(shape, seed)
    numbers = np.random.default_rng(seed)
    for _ in range(holes):
        row, column = numbers.integers(shape[0]), numbers.integers(shape[1])
        probability.values[:, row : row + 5, column : column + 9] = np.nan
    snow = probability.copy(data=numbers.random(probability.shape) > 0.9) if with_snow else None
    due = mask_of(probability.values, chosen, pixel_size=(20.0, 20.0), snow=None if snow is None else snow.values)
    options = {name: getattr(chosen, name) for name in (
        "threshold", "smoothing", "average_over", "sigma", "erosion_size", "dilation_size", "unit")}  # fmt: skip
    lazy = probability.chunk({"time": 1, "y": chunks[0], "x": chunks[1]})
    np.testing.assert_array_equal(cloud_mask(lazy, snow=snow, **options).values, due)


def test_values_on_the_threshold_are_decided_alike() -> None:
    """All means are within a rounding of the threshold: whatever a chunk rounds otherwise would show."""
    numbers = np.random.default_rng(8).random((1, 90, 700)).astype(np.float32)
    values = np.float32(0.4) + (numbers - np.float32(0.5)) * np.float32(2e-6)
    probability = likely((90, 700), frames=1).copy(data=values)
    cases: list[tuple[Any, dict[str, Any]]] = [
        (mean_over_disk(values[0], (4, 4)), {}),
        (mean_over_disk(values[0], (8, 8)), {"average_over": 8}),
        (gaussian(values[0], (3, 3)), {"preset": "sentinel-hub"}),
    ]
    for smooth, options in cases:
        options |= {"threshold": float(np.median(smooth)), "dilation_size": None}
        due = cloud_mask(probability, **options)
        assert 0.01 < float((due == 1).mean()) < 0.99
        for width in (64, 97, 101, 350):
            found = cloud_mask(probability.chunk({"y": 33, "x": width}), **options)
            np.testing.assert_array_equal(found.values, due.values)


def test_bytes_need_the_pixels_with_data() -> None:
    probability = likely((40, 50))
    stored = probability.copy(data=np.rint(probability.values * 255).astype(np.uint8))
    seen = probability > -1
    due = mask_of(stored.values, MaskSettings(), valid=seen.values)
    np.testing.assert_array_equal(cloud_mask(stored.chunk({"x": 20}), is_data=seen).values, due)
    with pytest.raises(FeatureError, match="uint8 says 0 where there is no data as well"):
        cloud_mask(stored)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"offset": -0.1, "threads": 2}, ConfigurationError, "offset, threads: of use with bands"),
        ({"preset": "mine"}, ConfigurationError, "preset='mine' is unknown"),
        ({"snow": likely((40, 50))}, FeatureError, "snow is float32 where a boolean DataArray is due"),
        ({"snow": likely((40, 49)) > 0}, GridError, "snow has other 'x'"),
    ],
    ids=["about bands", "no preset", "no mask", "another grid"],
)
def test_arguments_that_do_not_fit_are_refused(options: dict[str, Any], kind: type[EOTasksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        cloud_mask(likely((40, 50)), **options)


def test_metres_need_a_place_on_the_ground() -> None:
    with pytest.raises(GridError, match="no CRS"):
        cloud_mask(likely((40, 50)).drop_vars("spatial_ref"), unit="metre")
    degrees = likely((40, 50)).drop_vars("spatial_ref").rio.write_crs(4326)
    with pytest.raises(GridError, match=r"CLP: .*in metres"):
        cloud_mask(degrees.assign_coords(x=np.arange(50) * 1e-4, y=np.arange(40) * -1e-4), unit="metre")


def test_values_that_are_no_probability_are_refused() -> None:
    for data in (likely((40, 50)) * 100, (likely((40, 50)) * 100).chunk({"x": 20})):
        with pytest.raises(FeatureError, match="Divide percentages by 100"):
            cloud_mask(data).compute()


def test_percentages_of_a_probability() -> None:
    percent = np.round(likely((20, 30)) * 100).astype(np.uint8)
    present = xarray.ones_like(percent, dtype=bool)
    found = cloud_mask(percent, is_data=present, probability_scale="percent")
    expected = cloud_mask((percent / np.float32(100)).astype(np.float32), is_data=present)
    np.testing.assert_array_equal(found.values, expected.values)
    with pytest.raises(ConfigurationError, match="probability_scale='procent' is unknown"):
        cloud_mask(percent, is_data=present, probability_scale="procent")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="probability_scale: of use with a cloud probability"):
        cloud_mask(dataset(VALUES), probability_scale="percent")

"""Masks equal those of s2cloudless 1.7.3 wherever it works, and are right where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from s2cloudless import S2PixelCloudDetector
from skimage.morphology import disk

from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.models.clouds import smoothing
from eotasks.models.clouds.postprocess import cloud_mask
from eotasks.models.scales import as_probability
from tests.builders.clouds.probabilities import smooth_probability

PROBABILITY = np.random.default_rng(3).random((3, 31, 27), dtype=np.float32) ** 2


@pytest.mark.parametrize("average_over", [None, 0, 1, 4, 7, 16])
@pytest.mark.parametrize("dilation_size", [None, 0, 1, 2, 8])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.6])
def test_equal_to_s2cloudless(average_over: int | None, dilation_size: int | None, threshold: float) -> None:
    probability = np.stack([PROBABILITY[0], smooth_probability(1, (31, 27)), np.zeros((31, 27), np.float32)])
    mask = cloud_mask(probability, threshold=threshold, average_over=average_over, dilation_size=dilation_size)
    assert mask.dtype == np.uint8
    detector = S2PixelCloudDetector(threshold, average_over=average_over, dilation_size=dilation_size)
    if not average_over and dilation_size:
        with pytest.raises(cv2.error, match="Unsupported data type"):  # trap 3
            detector.get_mask_from_prob(probability)
        expected = [cv2.dilate((p > threshold).astype(np.uint8), disk(dilation_size)) for p in probability]
    else:
        expected = detector.get_mask_from_prob(probability)
    assert np.array_equal(mask, expected)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.floats(0, 1, width=32)),
    st.integers(1, 5),
    st.integers(0, 5),
    st.floats(0, 1),
)
def test_equal_to_s2cloudless_property(probability: Any, average: int, dilation: int, threshold: float) -> None:
    detector = S2PixelCloudDetector(threshold, average_over=average, dilation_size=dilation)
    mask = cloud_mask(probability, threshold=threshold, average_over=average, dilation_size=dilation)
    assert np.array_equal(mask, detector.get_mask_from_prob(probability))


def test_real_scene_equals_s2cloudless(shared_data: Path) -> None:
    from eolearn.core import EOPatch, FeatureType

    folder = str(shared_data / "slovenia" / "eopatch")
    patch = EOPatch.load(folder, features=[(FeatureType.DATA, "CLP_S2C")], lazy_loading=True)
    probability = patch[FeatureType.DATA, "CLP_S2C"][:20, ..., 0].astype(np.float32)
    expected = S2PixelCloudDetector(average_over=4, dilation_size=2).get_mask_from_prob(probability)
    assert np.array_equal(cloud_mask(probability), expected)


def test_strictly_above_the_threshold_in_float32() -> None:
    at = np.float32(0.4)
    probability = np.array([[[np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1))]]])
    assert cloud_mask(probability, threshold=0.4, average_over=None, dilation_size=None).tolist() == [[[0, 0, 1]]]


def test_uint8_is_255ths() -> None:
    numbers = np.array([[[0, 102, 103, 255]]], dtype=np.uint8)
    settings_ = {"average_over": None, "dilation_size": None}
    assert cloud_mask(numbers, **settings_).tolist() == [[[0, 0, 1, 1]]]
    assert np.array_equal(as_probability(numbers), numbers.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("radius", range(1, 33))
def test_disk_is_that_of_scikit_image(radius: int) -> None:
    assert np.array_equal(smoothing.disk((radius, radius)), disk(radius))


def test_all_valid_changes_nothing() -> None:
    valid = np.ones(PROBABILITY.shape, dtype=bool)
    assert np.array_equal(cloud_mask(PROBABILITY, valid=valid), cloud_mask(PROBABILITY))


@pytest.mark.parametrize("average_over", [1, 3, 4])
def test_gaps_leave_the_rest_as_it_was_and_do_not_hide_cloud(average_over: int) -> None:
    probability = smooth_probability(8)[np.newaxis]
    valid = np.ones(probability.shape, dtype=bool)
    valid[:, :, 20:] = False
    broken = np.where(valid, probability, np.float32(np.nan))
    before = broken.copy()
    mask = cloud_mask(broken, average_over=average_over, dilation_size=None, valid=valid)
    whole = cloud_mask(probability, average_over=average_over, dilation_size=None)
    assert (mask[~valid] == 255).all()
    far = 20 - average_over
    assert np.array_equal(mask[..., :far], whole[..., :far])
    assert np.array_equal(broken, before, equal_nan=True)
    expected = mean_of_valid(probability[0], valid[0], average_over) > 0.4
    assert np.array_equal(mask[0][valid[0]] == 1, expected[valid[0]])


def mean_of_valid(probability: Any, valid: Any, radius: int) -> Any:
    """By the definition, pixel by pixel: borders repeat outwards, what is not valid does not count."""
    values = np.pad(probability.astype(np.float64), radius, mode="symmetric")
    counts = np.pad(valid, radius, mode="symmetric")
    rows, columns = np.nonzero(disk(radius))
    total, number = np.zeros(valid.shape), np.zeros(valid.shape)
    for row, column in zip(rows, columns, strict=True):
        window = np.s_[row : row + valid.shape[0], column : column + valid.shape[1]]
        total += values[window] * counts[window]
        number += counts[window]
    return total / np.maximum(number, 1)


def test_cloud_at_the_edge_of_the_swath_is_found_and_does_not_grow_out_of_no_data() -> None:
    probability = np.full((1, 20, 20), 0.5, dtype=np.float32)
    valid = np.zeros(probability.shape, dtype=bool)
    valid[:, :, :3] = True
    mask = cloud_mask(probability, average_over=8, dilation_size=None, valid=valid)
    assert (mask[valid] == 1).all()
    clear_beside_cloudy_gap = np.where(valid, np.float32(0.1), np.float32(1))
    mask = cloud_mask(clear_beside_cloudy_gap, average_over=2, dilation_size=4, valid=valid)
    assert (mask[valid] == 0).all()
    assert (mask[~valid] == 255).all()


def test_nan_without_a_valid_mask_is_no_data() -> None:
    probability = np.array([[[0.9, np.nan, 0.1, 0.1]]])
    assert cloud_mask(probability, average_over=None, dilation_size=1).tolist() == [[[1, 255, 0, 0]]]
    assert (cloud_mask(np.full((1, 3, 3), np.nan)) == 255).all()


def test_frame_without_data_and_empty_series() -> None:
    assert (cloud_mask(PROBABILITY, valid=np.zeros(PROBABILITY.shape, dtype=bool)) == 255).all()
    assert cloud_mask(np.empty((0, 5, 5), dtype=np.float32)).shape == (0, 5, 5)
    assert cloud_mask(np.empty((2, 0, 5), dtype=np.float32)).shape == (2, 0, 5)


@pytest.mark.parametrize(
    "settings_",
    [
        {"threshold": 40},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"average_over": -1},  # s2cloudless: AttributeError
        {"average_over": 1.5},
        {"dilation_size": -2},
        {"dilation_size": True},
    ],
    ids=str,
)
def test_settings_that_make_no_mask_are_refused(settings_: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings_))):
        cloud_mask(PROBABILITY, **settings_)


def test_values_that_are_no_probability_are_refused() -> None:
    with pytest.raises(FeatureError, match=r"CLP of 2017: values from 0 to 100 .*Divide percentages"):
        cloud_mask(np.array([[[0.0, 100.0]]]), where="CLP of 2017")
    with pytest.raises(FeatureError, match="NaN inside valid data"):
        cloud_mask(np.array([[[0.0, np.nan]]]), valid=np.ones((1, 1, 2), dtype=bool))
    with pytest.raises(FeatureError, match="int16 is no cloud probability"):
        cloud_mask(np.array([[[0, 1]]], dtype=np.int16))
    with pytest.raises(GridError, match="time, height, width"):
        cloud_mask(PROBABILITY[0])
    with pytest.raises(GridError, match="valid mask"):
        cloud_mask(PROBABILITY, valid=np.ones((1, 2, 3), dtype=bool))

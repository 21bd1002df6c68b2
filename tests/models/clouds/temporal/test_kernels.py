"""The compiled arithmetic against OpenCV and NumPy's masked arrays, which the original is made of."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.models.clouds.temporal.grid import gaussian_taps, mirrored
from eotasks.models.clouds.temporal.kernels import (
    C1,
    C2,
    blur,
    local_moments,
    pair_similarity,
    similarity_statistics,
    temporal_statistics,
)

ROUNDING = 2e-15


def weights(shape: tuple[int, int], sigma: float) -> tuple[Any, Any, Any]:
    taps = gaussian_taps(sigma)
    half = len(taps) // 2
    rows, columns = (mirrored(np.arange(-half, size + half), size) for size in shape)
    return taps, rows, columns


def opencv_blur(image: Any, sigma: float) -> Any:
    return cv2.GaussianBlur(image.astype(np.float64), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("sigma", [0.4, 1.7, 5.0, 10.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 2), (37, 29), (90, 101)])
def test_blur_is_that_of_opencv(shape: tuple[int, int], sigma: float) -> None:
    image = np.random.default_rng(1).uniform(0, 1, shape)
    # to the last bit where both use fused multiplications, which depends on the processor
    assert np.abs(blur(image, *weights(shape, sigma)) - opencv_blur(image, sigma)).max() <= ROUNDING


def test_moments_and_similarity_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(2)
    shape, sigma = (31, 26), 3.0
    one, other = rng.uniform(0, 1.2, (2, *shape)).astype(np.float32)
    both = rng.uniform(size=shape) > 0.2
    at = weights(shape, sigma)
    share = np.maximum(opencv_blur(both, sigma), 0.3)
    moments = [local_moments(values, share, *at) for values in (one, other)]
    for values, (mean, variance) in zip((one, other), moments, strict=True):
        assert np.allclose(mean, opencv_blur(values, sigma) / share, rtol=1e-14)
        assert np.allclose(variance, opencv_blur(values * values, sigma) - mean**2, rtol=0, atol=1e-14)
    (m1, v1), (m2, v2) = moments
    product = np.where(both, one.astype(np.float64) * other, 0)
    covariance = opencv_blur(product, sigma) - m1 * m2
    expected = (2 * m1 * m2 + C1) * (2 * covariance + C2) / ((m1**2 + m2**2 + C1) * (v1 + v2 + C2))
    found = pair_similarity(one, other, both, m1, m2, v1, v2, *at)
    assert np.allclose(found, expected, rtol=1e-9)
    assert np.array_equal(found, pair_similarity(other, one, both, m2, m1, v2, v1, *at))


def test_a_frame_is_like_itself() -> None:
    values = np.random.default_rng(3).uniform(0, 1, (20, 20)).astype(np.float32)
    at = weights(values.shape, 2.0)
    mean, variance = local_moments(values, np.ones(values.shape), *at)
    everywhere = np.ones(values.shape, dtype=bool)
    found = pair_similarity(values, values, everywhere, mean, mean, variance, variance, *at)
    assert np.allclose(found, 1, atol=1e-6)  # squares are rounded to single precision in the variance, as in training


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_similarity_statistics_are_those_of_masked_arrays(frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, (frames, 50))
    counted = rng.uniform(size=values.shape) > 0.4
    counted[:, 0] = False
    found = np.empty((3, 50))
    similarity_statistics(values, counted, *found)
    masked = np.ma.array(values, mask=~counted)
    expected = [np.ma.max(masked, axis=0), np.ma.mean(masked, axis=0), np.ma.std(masked, axis=0)]
    assert np.array_equal(found, np.stack([each.data for each in expected]).astype(np.float32))
    assert found[:, 0].tolist() == [np.float32(1e20), 0, 0]


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_temporal_statistics_are_those_of_masked_arrays(frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1.5, (frames, 50)).astype(np.float32)
    valid = rng.uniform(size=values.shape) > 0.4
    valid[:, 0] = False
    target = int(rng.integers(frames))
    found = np.empty((4, 50))
    temporal_statistics(values, valid, target, *found)
    masked = np.ma.array(values, mask=~valid)
    lowest, mean = np.ma.min(masked, axis=0).data, np.ma.mean(masked, axis=0).data
    assert np.array_equal(found[0], lowest)
    assert np.array_equal(found[1], mean)
    assert np.array_equal(found[2], np.where(valid[target], values[target] - lowest, values[target]))
    scaled = values[target].astype(np.float64) * (1 + 1 / (frames - 1)) - frames * mean / (frames - 1)
    assert np.array_equal(found[3], np.where(valid[target], scaled, values[target]))
    assert found[:, 0].tolist() == [np.float32(1e20), 0, values[target, 0], values[target, 0]]


def test_the_difference_to_the_mean_is_that_to_the_other_frames() -> None:
    values = np.array([[0.5], [0.1], [0.3]], dtype=np.float32)
    found = np.empty((4, 1))
    temporal_statistics(values, np.ones((3, 1), dtype=bool), 0, *found)
    assert found[:, 0] == pytest.approx([0.1, 0.3, 0.4, 0.3])


def test_one_frame_differs_from_nothing() -> None:
    found = np.empty((4, 2))
    values = np.array([[0.5, 0.25]], dtype=np.float32)
    temporal_statistics(values, np.array([[True, False]]), 0, *found)
    assert found.T.tolist() == [[0.5, 0.5, 0, 0], [np.float32(1e20), 0, 0.25, 0.25]]

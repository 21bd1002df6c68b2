"""Smoothing equals SciPy's, and pixels that do not count have no say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from eotasks.models.clouds.smoothing import dilated, disk, eroded, gaussian, mean_over_disk

FRAME = array_shapes(min_dims=2, max_dims=2, max_side=9)
PROBABILITY = arrays(np.float32, FRAME, elements=st.floats(0, 1, width=32))
RADII = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=40, deadline=None)
@given(PROBABILITY, RADII)
def test_mean_over_a_disk_is_that_of_scipy(values: Any, radius: tuple[int, int]) -> None:
    kernel = disk(radius).astype(np.float64)
    expected = ndimage.correlate(values.astype(np.float64), kernel / kernel.sum(), mode="reflect")
    np.testing.assert_allclose(mean_over_disk(values, radius), expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(PROBABILITY, st.tuples(st.floats(0.1, 6), st.floats(0.1, 6)))
def test_gaussian_is_that_of_scipy(values: Any, sigma: tuple[float, float]) -> None:
    reach = tuple(round(8 * each + 1) // 2 for each in sigma)  # OpenCV's, SciPy rounds 4 sigma: told what to take
    expected = ndimage.gaussian_filter(values.astype(np.float64), sigma, mode="reflect", radius=reach)
    np.testing.assert_allclose(gaussian(values, sigma), expected, atol=2e-6)


@settings(max_examples=30, deadline=None)
@given(st.data(), PROBABILITY, st.booleans())
def test_pixels_that_do_not_count_have_no_say(data: Any, values: Any, by_disk: bool) -> None:
    counting = data.draw(arrays(bool, values.shape))
    there = np.where(counting, values, np.float32(0))

    def smooth(array: Any, mask: Any) -> Any:
        return mean_over_disk(array, (2, 1), mask) if by_disk else gaussian(array, (1.5, 0.7), mask)

    kernel = disk((2, 1)) / disk((2, 1)).sum()
    total, share = (
        ndimage.correlate(array.astype(np.float64), kernel, mode="reflect")
        if by_disk
        else ndimage.gaussian_filter(array.astype(np.float64), (1.5, 0.7), mode="reflect", radius=(6, 3))
        for array in (there, counting)
    )
    expected = total[counting] / share[counting]
    np.testing.assert_allclose(smooth(there, counting)[counting], expected, atol=1e-5)


@pytest.mark.parametrize("method", [lambda v, c: mean_over_disk(v, (3, 3), c), lambda v, c: gaussian(v, (1, 1), c)])
def test_where_nothing_is_lacking_values_keep_their_bits(method: Any) -> None:
    values = np.random.default_rng(4).random((30, 40), dtype=np.float32)
    counting = np.ones(values.shape, dtype=bool)
    counting[:, 30:] = False
    gap = np.where(counting, values, np.float32(0))
    assert np.array_equal(method(gap, counting)[:, :25], method(values, None)[:, :25])


def test_an_ellipse_where_pixels_are_no_squares() -> None:
    assert disk((0, 2)).tolist() == [[1, 1, 1, 1, 1]]
    assert disk((1, 2)).tolist() == [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]]
    assert np.array_equal(disk((3, 5)), disk((5, 3)).T)
    with pytest.raises(ValueError, match="read-only"):
        disk((2, 2))[0, 0] = 1


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, FRAME, elements=st.integers(0, 1)), RADII)
def test_erosion_and_dilation_are_those_of_scipy(mask: Any, radius: tuple[int, int]) -> None:
    kernel = disk(radius)
    assert np.array_equal(eroded(mask, radius), ndimage.binary_erosion(mask, kernel, border_value=1))
    assert np.array_equal(dilated(mask, radius), ndimage.binary_dilation(mask, kernel))

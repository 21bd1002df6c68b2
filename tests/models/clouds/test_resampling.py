"""Area means are exact, borders and gaps included; the way back keeps means and constants."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import GridError, ReflectanceError
from eotasks.models.clouds.resampling import area_mean, cell_factor, cells_of, from_resolution, to_resolution

RNG = np.random.default_rng(9)


def overlap_by_definition(size: int, factor: Fraction) -> Any:
    cells = -(-Fraction(size) // factor)
    table = np.zeros((int(cells), size))
    for cell in range(int(cells)):
        for pixel in range(size):
            start, end = max(cell * factor, Fraction(pixel)), min((cell + 1) * factor, Fraction(pixel + 1))
            table[cell, pixel] = float(max(end - start, Fraction(0)))
    return table


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 14),
    st.integers(1, 14),
    st.fractions(1, 6, max_denominator=7),
    st.fractions(1, 6, max_denominator=7),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_area_mean_is_the_definition(
    height: int, width: int, factor_y: Fraction, factor_x: Fraction, seed: int, gaps: bool
) -> None:
    rng = np.random.default_rng(seed)
    bands = rng.random((height, width, 2))
    valid = rng.random((height, width)) < (0.5 if gaps else 2)
    rows, columns = overlap_by_definition(height, factor_y), overlap_by_definition(width, factor_x)
    weights = np.einsum("ih,jw->ijhw", rows, columns)
    area = weights.sum(axis=(2, 3))
    share = (weights * valid).sum(axis=(2, 3)) / area
    total = np.einsum("ijhw,hwb,hw->ijb", weights, bands, valid)
    means, got_share = area_mean(np.where(valid[..., None], bands, np.nan), float(factor_y), float(factor_x), valid)
    assert means.shape == total.shape
    np.testing.assert_allclose(got_share, share, rtol=1e-6, atol=1e-7)
    filled = share > 1e-7
    np.testing.assert_allclose(means[filled], (total / (share * area).clip(1e-12)[..., None])[filled], rtol=1e-5)
    assert not means[share == 0].any()


def test_whole_ratios_are_block_means() -> None:
    bands = RNG.random((48, 64, 3), dtype=np.float32)
    blocks = bands.astype(np.float64).reshape(6, 8, 8, 8, 3).mean(axis=(1, 3))
    means, share = area_mean(bands, 8, 8)
    np.testing.assert_allclose(means, blocks, rtol=1e-6)
    assert (share == 1).all()


def test_clipped_border_cells_describe_what_is_there() -> None:
    bands = np.arange(10, dtype=np.float32).reshape(1, 10, 1)
    means, share = area_mean(bands, 1, 4)
    assert means[0, :, 0].tolist() == [1.5, 5.5, 8.5]
    assert share.tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("size", "factor", "cells"), [(101, 16, 7), (96, 16, 6), (100, 1.6, 63), (5, 7.0, 1), (0, 2.0, 0)]
)
def test_cells(size: int, factor: float, cells: int) -> None:
    assert cells_of(size, factor) == cells


def test_factor_of_sizes_that_rounding_has_touched() -> None:
    assert cell_factor(10.000000000001, 160) == 16.0
    assert cell_factor(60, 160) == pytest.approx(8 / 3)
    with pytest.raises(GridError, match=r"10 m is finer than the pixels of 20 m"):
        cell_factor(20, 10)


def test_digital_numbers_become_reflectance() -> None:
    numbers = RNG.integers(1, 12_000, (8, 8, 10), dtype=np.uint16)
    from_dn, _ = to_resolution(numbers, None, pixel_size=(10, 10), resolution=40)
    floats = numbers.astype(np.float32) / np.float32(10_000)
    from_reflectance, _ = to_resolution(floats, None, pixel_size=(10, 10), resolution=40)
    assert from_dn.dtype == np.float32
    assert np.array_equal(from_dn, from_reflectance)


def test_nearest_takes_the_pixel_under_the_centre() -> None:
    bands = np.arange(7 * 6, dtype=np.float32).reshape(7, 6, 1) / 100
    valid = np.ones((7, 6), dtype=bool)
    valid[3:6, 3:6] = False
    cells, kept = to_resolution(bands, valid, pixel_size=(10, 10), resolution=30, sampling="nearest")
    assert np.array_equal(cells[..., 0][kept], bands[[1, 4, 6]][:, [1, 4], 0][kept])  # the last row is one pixel high
    assert kept.tolist() == [[True, True], [True, False], [True, True]]
    even, _ = to_resolution(bands[:6], None, pixel_size=(10, 10), resolution=20, sampling="nearest")
    assert np.array_equal(even[..., 0], bands[1:6:2, 1::2, 0])


def test_where_the_pixel_under_the_centre_is_not_valid_the_others_of_the_cell_stand_in() -> None:
    bands = np.arange(36, dtype=np.float32).reshape(6, 6, 1) / 100
    valid = np.ones((6, 6), dtype=bool)
    valid[:, 3:5] = False
    bands[~valid] = np.nan
    cells, kept = to_resolution(bands, valid, pixel_size=(10, 10), resolution=30, sampling="nearest")
    assert kept.all()
    np.testing.assert_allclose(cells[..., 0], [[0.07, 0.11], [0.25, 0.29]])


def test_nearest_ignores_what_it_does_not_pick_but_checks_what_it_does() -> None:
    bands = np.full((4, 4, 1), np.nan, dtype=np.float32)
    bands[1::2, 1::2] = 0.5
    cells, _ = to_resolution(bands, None, pixel_size=(1, 1), resolution=2, sampling="nearest")
    assert (cells == 0.5).all()
    with pytest.raises(ReflectanceError, match="NaN"):
        to_resolution(bands, None, pixel_size=(1, 1), resolution=2, sampling="mean")


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("factor", [(1.0, 1.0), (4.0, 8.0), (2.6667, 3.5), (40.0, 40.0)])
def test_a_constant_comes_back_as_it_went(method: Any, factor: tuple[float, float]) -> None:
    cells = np.full((cells_of(33, factor[0]), cells_of(29, factor[1])), 0.3, dtype=np.float32)
    assert from_resolution(cells, (33, 29), factor=factor, method=method) == pytest.approx(0.3, abs=1e-7)
    valid = np.ones(cells.shape, dtype=bool)
    valid[0, 0] = cells.size == 1
    again = from_resolution(np.where(valid, cells, np.float32(9)), (33, 29), factor=factor, valid=valid, method=method)
    assert set(np.round(np.unique(again), 6)) <= {np.float32(0), np.round(np.float32(0.3), 6)}


def test_bilinear_is_linear_between_the_centres_of_cells() -> None:
    centres = (np.arange(4) + 0.5) * 4
    cells = np.tile(0.05 * centres, (2, 1)).astype(np.float32)
    pixels = from_resolution(cells, (4, 16), factor=(2.0, 4.0))
    expected = 0.05 * np.clip(np.arange(16) + 0.5, centres[0], centres[-1])
    np.testing.assert_allclose(pixels, np.tile(expected, (4, 1)), rtol=1e-6)


def test_a_clipped_last_cell_has_its_centre_where_it_is() -> None:
    # pixels 0..3, 4..7 and the clipped 8..9: centres 2, 6, 9
    pixels = from_resolution(np.array([[2.0, 6.0, 9.0]]), (1, 10), factor=(1.0, 4.0))
    np.testing.assert_allclose(pixels[0], np.clip(np.arange(10) + 0.5, 2, 9), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(1, 5), st.floats(1, 5), st.integers(0, 99))
def test_bilinear_stays_between_lowest_and_highest(rows: int, columns: int, fy: float, fx: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (cells_of(rows, fy), cells_of(columns, fx))
    values, valid = rng.random(shape), rng.random(shape) < 0.7
    pixels = from_resolution(values, (rows, columns), factor=(fy, fx), valid=valid)
    assert pixels.shape == (rows, columns)
    inside = pixels[pixels > 0]
    if valid.any() and inside.size:
        assert inside.min() >= values[valid].min() - 1e-6
        assert inside.max() <= values[valid].max() + 1e-6


def test_nearest_comes_back_by_the_cell_that_holds_the_pixel() -> None:
    pixels = from_resolution(np.array([[1.0, 2.0, 3.0]]), (1, 8), factor=(1.0, 3.0), method="nearest")
    assert pixels[0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3]

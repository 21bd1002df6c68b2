"""The kernel of field statistics against NumPy and against exactextract, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.zonal import (
    ALL_ROW,
    CLEAR_ROW,
    FIXED,
    MAX,
    MEAN,
    MEDIAN,
    MIN,
    PIXELS,
    STD,
    PixelState,
    PolygonPixels,
    check_percentiles,
    frame_statistics,
)

CLEAR, CLOUD, SHADOW, NO_DATA = PixelState


def one_polygon(weights: list[float]) -> PolygonPixels:
    return PolygonPixels(np.array([0, len(weights)]), np.arange(len(weights)), np.array(weights))


def quantile(values: NDArray[np.float64], weights: NDArray[np.float64], q: float) -> float:
    """The definition, in NumPy."""
    x, place = np.unique(values, return_inverse=True)
    w = np.bincount(place, weights=weights)
    before = np.cumsum(w) - w
    return float(np.interp(q * (len(x) - 1) * w.sum(), np.arange(len(x)) * w + (len(x) - 1) * before, x))


@settings(max_examples=60)
@given(
    pixels=st.lists(
        st.tuples(st.integers(-20, 20), st.floats(0.01, 1.0), st.sampled_from(list(PixelState))),
        min_size=1,
        max_size=70,
    ),
    percentile=st.floats(0, 100),
)
def test_statistics_are_those_of_numpy(pixels: list[tuple[int, float, PixelState]], percentile: float) -> None:
    x, w, states = (np.array(each) for each in zip(*pixels, strict=True))
    found = frame_statistics(
        x[:, np.newaxis], states.astype(np.uint8), one_polygon(w.tolist()), percentiles=[percentile]
    )
    assert found.parts[0] == pytest.approx([w[states == state].sum() for state in PixelState])
    for row, counts in ((CLEAR_ROW, states == CLEAR), (ALL_ROW, states != NO_DATA)):
        result = found.values[0, 0, row]
        assert result[PIXELS] == pytest.approx(w[counts].sum())
        if not counts.any():
            assert np.isnan(np.delete(result, PIXELS)).all()
            continue
        values, weights = x[counts].astype(float), w[counts]
        mean = np.average(values, weights=weights)
        assert result[MEAN] == pytest.approx(mean, abs=1e-12)
        assert result[STD] == pytest.approx(np.sqrt(np.average((values - mean) ** 2, weights=weights)), abs=1e-7)
        assert (result[MIN], result[MAX]) == (values.min(), values.max())
        assert result[MEDIAN] == pytest.approx(quantile(values, weights, 0.5), abs=1e-9)
        assert result[FIXED] == pytest.approx(quantile(values, weights, percentile / 100), abs=1e-9)


def test_values_that_are_none_do_not_count() -> None:
    values = np.array([[1.0], [np.nan], [np.inf], [3.0]])
    found = frame_statistics(values, np.zeros(4, dtype=np.uint8), one_polygon([1, 1, 1, 0.5]))
    assert found.values[0, 0, CLEAR_ROW, PIXELS] == 1.5
    assert found.values[0, 0, CLEAR_ROW, MEAN] == pytest.approx(5 / 3)
    assert found.parts[0].tolist() == [3.5, 0, 0, 0]  # an index of 0/0 is no gap in the data


def test_sorts_many_values_in_any_order() -> None:
    ramps = np.concatenate([np.arange(3000), np.arange(3000)[::-1], np.zeros(500), np.tile([1, 2], 700)])
    found = frame_statistics(
        ramps[:, np.newaxis], np.zeros(len(ramps), dtype=np.uint8), one_polygon([1.0] * len(ramps)), percentiles=(25,)
    )
    assert found.values[0, 0, ALL_ROW, MIN] == 0
    assert found.values[0, 0, ALL_ROW, MAX] == 2999
    assert found.values[0, 0, ALL_ROW, FIXED] == pytest.approx(quantile(ramps, np.ones(len(ramps)), 0.25))


def test_a_part_of_the_polygons_has_their_pixels() -> None:
    whole = PolygonPixels(np.array([0, 2, 2, 5]), np.array([4, 5, 0, 1, 2]), np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    part = whole.part(np.array([2, 0, 1]))
    assert part.starts.tolist() == [0, 3, 5, 5]
    assert part.pixels.tolist() == [0, 1, 2, 4, 5]
    assert part.areas == pytest.approx([1.2, 0.3, 0.0])


def test_refuses_images_of_another_size() -> None:
    with pytest.raises(GridError, match="beyond the 2 of the image"):
        frame_statistics(np.zeros((2, 1)), np.zeros(2, dtype=np.uint8), one_polygon([1, 1, 1]))
    with pytest.raises(GridError, match="give those of one image"):
        frame_statistics(np.zeros((2, 1)), np.zeros(3, dtype=np.uint8), one_polygon([1, 1]))


@pytest.mark.parametrize("percentiles", [[-1], [101], [5, 5], [5, 5.0000001], ["5"], [float("nan")]], ids=str)
def test_refuses_what_is_no_percentile(percentiles: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 100"):
        check_percentiles(percentiles)


def test_percentiles_ascend() -> None:
    assert check_percentiles([95, 5, 50]) == (5.0, 50.0, 95.0)

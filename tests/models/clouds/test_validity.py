from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import FeatureError, GridError, TooFewFramesError
from eotasks.models.clouds.validity import (
    cloud_coverage,
    has_data,
    is_fill,
    select_frames,
    split_cloud_mask,
    valid_count,
    valid_data,
    valid_fraction,
)


def row(*values: Any, dtype: Any = bool) -> Any:
    return np.array(values, dtype=dtype).reshape(1, 1, -1)


def test_mask_values() -> None:
    cloud, no_data = split_cloud_mask(row(0, 1, 255, dtype=np.uint8))
    assert cloud.ravel().tolist() == [False, True, False]
    assert no_data.ravel().tolist() == [False, False, True]
    cloud, no_data = split_cloud_mask(row(False, True))
    assert cloud.ravel().tolist() == [False, True]
    assert not no_data.any()
    with pytest.raises(FeatureError, match="CLM: holds 3, 9, a mask is"):
        split_cloud_mask(row(0, 9, 3, dtype=np.int16), where="CLM")
    with pytest.raises(FeatureError, match="float32 is no mask"):
        split_cloud_mask(row(0.5, dtype=np.float32))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64])
def test_data_is_told_from_the_bands(dtype: Any) -> None:
    bands = np.array([[[1, 1, 1], [0, 0, 0], [0, 5, 0]]], dtype=dtype)
    assert has_data(bands).tolist() == [[True, False, True]]
    if np.dtype(dtype).kind == "f":
        bands[0, 0, 1] = np.nan
        assert has_data(bands).tolist() == [[False, False, True]]


def test_every_treatment_of_a_surface() -> None:
    # clear, cloud, clear surface, surface that a mask calls cloud, surface without data
    is_data = row(1, 1, 1, 1, 0)
    clouds = row(0, 1, 0, 1, 1)
    surface = row(0, 0, 1, 1, 1)
    expected = {
        "ignore": [True, False, True, False, False],
        "exclude": [True, False, False, False, False],
        "keep": [True, False, True, True, False],
    }
    treatments: list[Any] = list(expected)
    for treatment in treatments:
        for name in ("snow", "water"):
            surfaces: dict[str, Any] = {name: surface, f"{name}_treatment": treatment}
            assert valid_data(is_data, [clouds], **surfaces).ravel().tolist() == expected[treatment]


def test_exclusion_wins_over_keeping() -> None:
    everything = row(1)
    valid = valid_data(
        everything, [everything], snow=everything, water=everything, snow_treatment="exclude", water_treatment="keep"
    )
    assert not valid.any()


def test_masks_are_joined_and_no_data_of_a_mask_is_not_valid() -> None:
    valid = valid_data(row(1, 1, 1, 1), [row(0, 1, 255, 0, dtype=np.uint8), row(0, 0, 0, 1)])
    assert valid.ravel().tolist() == [True, False, False, False]
    assert valid.dtype == np.bool_
    assert valid_data(row(1, 0), []).ravel().tolist() == [True, False]
    snow = row(1)
    kept = valid_data(row(1), [row(255, dtype=np.uint8)], snow=snow, snow_treatment="keep")
    assert not kept.any()
    with pytest.raises(GridError, match=r"\(1, 1, 3\).*\(1, 1, 2\)"):
        valid_data(row(1, 1), [row(1, 1, 1)])


def test_inputs_stay_as_they_are() -> None:
    arrays = [row(1, 1), row(0, 1), row(1, 1)]
    for array in arrays:
        array.setflags(write=False)
    valid_data(
        arrays[0], [arrays[1]], snow=arrays[2], snow_treatment="keep", water=arrays[2], water_treatment="exclude"
    )


def test_counts_and_fractions() -> None:
    valid = np.zeros((3, 2, 2, 1), dtype=bool)
    valid[0] = True
    valid[1, 0, 0] = True
    count = valid_count(valid)
    assert count.dtype == np.uint16
    assert count[..., 0].tolist() == [[2, 1], [1, 1]]
    assert valid_fraction(valid).tolist() == [1.0, 0.25, 0.0]
    for refused in (valid_fraction, valid_count):
        with pytest.raises(FeatureError, match="boolean mask is due"):
            refused(valid.astype(np.uint8))  # type: ignore[arg-type]  # refused
    assert valid_fraction(np.empty((2, 0, 3, 1), dtype=bool)).tolist() == [0.0, 0.0]
    assert valid_fraction(np.empty((0, 2, 3, 1), dtype=bool)).tolist() == []


def test_coverage_is_of_the_pixels_with_data() -> None:
    mask = np.array([[1, 0, 255, 255], [255, 255, 255, 255], [0, 0, 0, 1]], dtype=np.uint8).reshape(3, 2, 2)
    np.testing.assert_array_equal(cloud_coverage(mask), [0.5, np.nan, 0.25])
    is_data = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=bool).reshape(3, 2, 2)
    np.testing.assert_array_equal(cloud_coverage(mask == 1, is_data), [0.5, 0.0, 1.0])
    with pytest.raises(GridError):
        cloud_coverage(mask, is_data[:1])


QUALITY = np.array([0.9, 0.3, 0.0, 0.7, 0.3, np.nan])
TIMES = [dt.datetime.fromisoformat(f"2017-0{month}-03") for month in range(1, 7)]


@pytest.mark.parametrize(
    ("limit", "keep_at_least", "kept"),
    [(0.6, None, [0, 3]), (0.6, 2, [0, 3]), (0.6, 3, [0, 1, 3]), (0.6, 4, [0, 1, 3, 4]), (0.95, 1, [0])],
)
def test_frames_that_pass_then_the_best(limit: float, keep_at_least: int | None, kept: list[int]) -> None:
    passing = np.greater(QUALITY, limit)
    frames = select_frames(QUALITY, passing, keep_at_least=keep_at_least)
    assert frames == kept
    assert all(type(frame) is int for frame in frames)


def test_too_few_frames_say_how_many_and_which_are_best() -> None:
    with pytest.raises(
        TooFewFramesError, match=r"0 of 6 frames are left where 1 are needed \(valid > 0\.95\)"
    ) as caught:
        select_frames(QUALITY, QUALITY > 0.95, times=TIMES, rule="valid > 0.95")
    assert "2017-01-03 (90%), 2017-04-03 (70%), 2017-02-03 (30%)" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(TooFewFramesError, match="4 of 6 frames are left where 5"):
        select_frames(QUALITY, QUALITY > 0.6, keep_at_least=5)
    with pytest.raises(TooFewFramesError, match="2 of 6 frames are left where 3"):
        select_frames(QUALITY, QUALITY > 0.6, min_frames=3)
    with pytest.raises(TooFewFramesError, match="0 of 0 frames"):
        select_frames(np.empty(0), np.empty(0, dtype=bool))


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 1), st.integers(0, 12))
def test_selection_keeps_what_passes_and_never_what_is_useless(quality: list[float], limit: float, least: int) -> None:
    scores = np.array(quality, dtype=np.float64)
    passing = scores > limit
    try:
        kept = select_frames(scores, passing, keep_at_least=least, min_frames=0)
    except TooFewFramesError:
        assert np.count_nonzero(scores) < least
        return
    assert kept == sorted(set(kept))
    assert set(np.flatnonzero(passing)) <= set(kept)
    assert len(kept) == max(least, int(passing.sum()))
    assert (scores[kept] > 0).all()


def test_values_of_no_data() -> None:
    for dtype in (np.uint16, np.int16, np.int32):
        bands = np.array([[0, 0], [64536, 64536], [24, 24], [0, 5], [3000, 3000]]).astype(dtype)
        assert is_fill(bands).tolist() == [True, True, False, False, False]
    assert is_fill(np.array([[24, 24], [0, 0]], dtype=np.uint8)).tolist() == [False, True]
    single = np.array([[-0.1, -0.1], [np.nan, np.nan], [np.nan, 0.2], [0, 0], [-0.1, 0]], dtype=np.float32)
    for floats in (single, single.astype(np.float64)):
        assert is_fill(floats).tolist() == [True, True, False, True, False]
    assert is_fill(np.array([[-0.1, -0.1]])).tolist() == [True]

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError
from eotasks.models.clouds.smoothing import dilated
from eotasks.models.clouds.temporal.consensus import cloud_consensus

TIMES = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=10 * index) for index in range(6)]


def series() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Ground of 0.1, a roof of 0.4, haze, and one cloud; a mask that takes all but the ground for cloud."""
    blue = np.full((6, 30, 30), 0.1, dtype=np.float32)
    blue[:, 2:8, 2:8] = 0.4
    mask = np.zeros(blue.shape, dtype=np.uint8)
    mask[2, 2:8, 2:8] = 1
    blue[2, 12:20, 12:20] += 0.3
    mask[2, 11:21, 11:21] = 1  # grown by a pixel
    blue[2, 22:28, 2:8] += 0.02
    mask[2, 22:28, 2:8] = 1
    return blue, mask


def test_what_is_no_brighter_than_its_ground_is_no_cloud() -> None:
    blue, mask = series()
    found = cloud_consensus(blue, mask, TIMES, margin=1)
    expected = np.zeros_like(mask)
    expected[2, 11:21, 11:21] = dilated(np.pad(np.ones((8, 8), dtype=np.uint8), 1), (1, 1))
    assert np.array_equal(found, expected)
    with_haze = cloud_consensus(blue, mask, TIMES, margin=1, min_brightening=0.01)
    assert (with_haze[2, 22:28, 2:8] == 1).all()
    assert not (with_haze[2, 2:8, 2:8] == 1).any()


def test_the_order_of_frames_makes_no_difference() -> None:
    blue, mask = series()
    order = [3, 0, 5, 1, 2, 4]
    found = cloud_consensus(blue[order], mask[order], [TIMES[index] for index in order])
    assert np.array_equal(found, cloud_consensus(blue, mask, TIMES)[order])


def test_ground_that_is_seldom_seen_stays_what_the_mask_says() -> None:
    blue, mask = series()
    mask[:, 2:8, 2:8] = 1
    mask[0, 2:8, 2:8] = 0  # clear once
    assert (cloud_consensus(blue, mask, TIMES)[1:, 3:7, 3:7] == 1).all()
    mask[1, 2:8, 2:8] = 0
    assert not (cloud_consensus(blue, mask, TIMES, margin=0)[2:, 3:7, 3:7] == 1).any()
    assert np.array_equal(cloud_consensus(blue[:1], mask[:1], TIMES[:1]), mask[:1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), margin=st.integers(0, 3), least=st.floats(0, 0.3))
def test_nothing_becomes_cloud_and_no_data_stays_none(seed: int, margin: int, least: float) -> None:
    random = np.random.default_rng(seed)
    blue = random.uniform(0, 0.6, (5, 12, 13)).astype(np.float32)
    mask = random.choice([0, 1, 255], blue.shape, p=[0.6, 0.3, 0.1]).astype(np.uint8)
    valid = random.random(blue.shape) < 0.9
    found = cloud_consensus(blue, mask, TIMES[:5], valid=valid, margin=margin, min_brightening=least)
    assert np.array_equal(found == 255, ~valid | (mask == 255))
    assert not ((found == 1) & (mask != 1)).any()
    more = cloud_consensus(blue, mask, TIMES[:5], valid=valid, margin=margin + 1, min_brightening=least)
    assert not ((found == 1) & (more != 1)).any()
    higher = cloud_consensus(blue, mask, TIMES[:5], valid=valid, margin=margin, min_brightening=least + 0.1)
    assert not ((higher == 1) & (found != 1)).any()


def test_bad_input() -> None:
    blue, mask = series()
    with pytest.raises(GridError, match="give \\(time, h, w\\) of one grid"):
        cloud_consensus(blue[:3], mask, TIMES)
    with pytest.raises(GridError, match="5 times"):
        cloud_consensus(blue, mask, TIMES[:5])
    with pytest.raises(GridError, match="mask of snow"):
        cloud_consensus(blue, mask, TIMES, snow=np.zeros((6, 3, 3), dtype=bool))
    with pytest.raises(FeatureError, match="data mask"):
        cloud_consensus(blue, mask, TIMES, valid=mask)  # type: ignore[arg-type]
    with pytest.raises(FeatureError):
        cloud_consensus(blue, np.full_like(mask, 7), TIMES)

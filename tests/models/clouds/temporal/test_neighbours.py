from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import GridError
from eotasks.models.clouds.temporal.neighbours import usual

START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def days(*numbers: float) -> list[dt.datetime]:
    return [START + dt.timedelta(days=float(number)) for number in numbers]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    frames=st.integers(1, 8),
    dates=st.integers(1, 6),
    least=st.integers(1, 4),
    clear_share=st.floats(0, 1),
)
def test_it_is_the_median_of_the_nearest_clear_dates(
    seed: int, frames: int, dates: int, least: int, clear_share: float
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(frames, 3, 4)).astype(np.float32)
    clear = random.random(values.shape) < clear_share
    times = days(*random.permutation(20)[:frames])
    frame = int(random.integers(frames))
    found = usual(values, clear, times, frame, dates=dates, least=least)
    assert found.dtype == np.float32
    for row in range(3):
        for column in range(4):
            others = [index for index in range(frames) if index != frame and clear[index, row, column]]
            others.sort(key=lambda index: (abs(times[index] - times[frame]), index))
            chosen = [values[index, row, column] for index in others[:dates]]
            if len(chosen) < least:
                assert np.isnan(found[row, column])
            else:
                assert found[row, column] == pytest.approx(np.median(chosen), abs=1e-6)


def test_the_frame_itself_does_not_count() -> None:
    values = np.array([[[1.0]], [[9.0]], [[3.0]]])
    assert usual(values, np.ones(values.shape, dtype=bool), days(0, 10, 20), 1)[0, 0] == 2


def test_times_of_any_zone_and_order() -> None:
    values = np.array([[[1.0]], [[9.0]], [[3.0]], [[5.0]]])
    clear = np.ones(values.shape, dtype=bool)
    local = dt.timezone(dt.timedelta(hours=9))
    mixed = [time.astimezone(local) for time in days(30, 0, 9, 12)]
    assert usual(values, clear, mixed, 1, dates=2)[0, 0] == 4


def test_frames_that_do_not_fit() -> None:
    with pytest.raises(GridError, match="2 times"):
        usual(np.zeros((3, 2, 2)), np.ones((3, 2, 2), dtype=bool), days(0, 1), 0)

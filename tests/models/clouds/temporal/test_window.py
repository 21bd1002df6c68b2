from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.models.clouds.temporal.window import window_of


@pytest.mark.parametrize(
    ("target", "frames", "size", "expected"),
    [
        (0, 14, 11, range(11)),
        (5, 14, 11, range(11)),
        (6, 14, 11, range(1, 12)),
        (8, 14, 11, range(3, 14)),
        (13, 14, 11, range(3, 14)),
        (2, 5, 11, range(5)),
        (4, 11, 11, range(11)),
        (4, 10, 4, range(2, 6)),
        (9, 10, 4, range(6, 10)),
        (0, 1, 11, range(1)),
        (3, 6, 1, range(3, 4)),
    ],
)
def test_windows_of_the_original(target: int, frames: int, size: int, expected: range) -> None:
    assert window_of(target, frames, size) == expected


@given(st.data())
def test_a_window_has_its_size_holds_its_target_and_never_moves_back(data: st.DataObject) -> None:
    frames, size = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 15))
    windows = [window_of(target, frames, size) for target in range(frames)]
    for target, window in enumerate(windows):
        assert target in window
        assert len(window) == min(size, frames)
        assert window.start >= 0
        assert window.stop <= frames
    assert windows == sorted(windows, key=lambda window: window.start)

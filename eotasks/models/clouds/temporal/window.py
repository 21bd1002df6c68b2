"""Which frames a frame is compared with."""

from __future__ import annotations

DEFAULT_MAX_FRAMES = 11
"""Frames of a window, the target among them: five each side."""


def window_of(target: int, frames: int, size: int = DEFAULT_MAX_FRAMES) -> range:
    """The frames around a target that its features are made from.

    The target is in the middle (of an even size: right of it); near the ends of the series the window keeps its size
    and moves inwards. A window as long as the series is the whole series.

    :param target: Index of the frame in question.
    :param frames: Frames of the series.
    :param size: Frames of a window, at least 1.
    """
    first = min(max(target - size // 2, 0), max(frames - size, 0))
    return range(first, min(first + size, frames))

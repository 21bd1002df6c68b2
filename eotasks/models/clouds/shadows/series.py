"""Shadows of a series: the ground of a frame against its own sunlight on the clear dates nearest in time.

Fields, forests and roofs differ in sunlight as much as shade does, and their outlines draw clouds to wrong heights.
Each pixel less what it usually shows leaves shade alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.shadows.light import Light
from eotasks.models.clouds.shadows.packed import UNITS, PackedLight, strips_of
from eotasks.models.clouds.temporal.consensus import grown
from eotasks.models.clouds.temporal.neighbours import DATES, usual

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Tell = Callable[..., None]

_NEAR_CLOUD, _NEAR_SHADOW = 2, 1
"""Pixels about cloud and shadow that are no clear ground."""

_FEWEST = 100
"""Pixels of clear ground by which a frame is compared as a whole."""


class Search(Protocol):
    """Looks for the shadows of a frame."""

    def __call__(self, frame: int, *, expected: Floats | None, tell: Tell) -> NDArray[np.uint8]:
        """(h, w): 0 no shadow, 1 shadow, 255 no data.

        :param frame: Its index.
        :param expected: (h, w) sunlight that its ground would have without shade, NaN where unknown; None: of all.
        :param tell: What warns, called as ``eotasks.errors.warn_caller``.
        """


def shadows_of_series(
    search: Search,
    sunlight: Floats,
    cloud: Mask,
    valid: Mask,
    times: Sequence[dt.datetime],
    *,
    snow: Mask | None = None,
    dates: int = DATES,
    tell: Tell,
) -> NDArray[np.uint8]:
    """Shadows of all frames: searched in each by itself, then against what its ground shows on other dates.

    A frame of which the second search tells nothing keeps what the first has found, and warns of what that warned of.

    :param sunlight: (t, h, w), see ``Light``.
    :param cloud: (t, h, w) where no ground is seen.
    :param valid: (t, h, w) data.
    :param times: (t,)
    :param snow: (t, h, w) ground under snow: it is compared with none, and none with it.
    :param dates: How many clear dates a pixel is compared with, at most.
    :return: (t, h, w): 0 no shadow, 1 shadow, 255 no data.
    """
    kept = [_Told() for _ in times]
    alone = np.stack([search(index, expected=None, tell=kept[index]) for index in range(len(times))])
    far = np.stack([~grown(each, _NEAR_CLOUD) for each in cloud])
    clear = np.stack([~grown(each == 1, _NEAR_SHADOW) for each in alone]) & far & valid
    if snow is not None:
        clear &= ~snow
    result = np.empty_like(alone)
    for index in range(len(times)):
        expected = usual(sunlight, clear, times, index, dates=dates)
        if snow is not None:
            expected[snow[index]] = np.nan
        lit = clear[index] & np.isfinite(expected)
        found, told = alone[index], kept[index]
        if np.count_nonzero(lit) >= _FEWEST:
            # the frame as a whole may have more or less sunlight than the others
            expected = expected + np.median(sunlight[index][lit] - expected[lit])
            second = _Told()
            against = search(index, expected=expected, tell=second)
            if not second.messages:
                found, told = against, second
        result[index] = found
        for message in told.messages:
            tell(*message)
    return result


@dataclass
class _Told:
    """Keeps warnings back."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)

    def __call__(self, *message: Any) -> None:
        self.messages.append(message)


def against(light: Light, expected: Floats | None) -> Light:
    """Ground less what it would show without shade, where that is known."""
    if expected is None or not np.isfinite(expected).any():
        return light
    known = np.isfinite(expected)
    level = np.float32(np.median(expected[known]))
    return replace(light, sunlight=np.where(known, light.sunlight - expected + level, light.sunlight))


def note_expected(light: PackedLight, expected: Floats | None) -> None:
    """The same of a large frame whose heights are searched."""
    if expected is None or not light.sunlight.size or not np.isfinite(expected).any():
        return
    level = np.median(expected[np.isfinite(expected)])
    limits = np.iinfo(light.sunlight.dtype)
    for rows in strips_of(light.shape):
        more = np.where(np.isfinite(expected[rows]), level - expected[rows], 0) * UNITS
        light.sunlight[rows] = np.clip(np.rint(light.sunlight[rows] + more), limits.min, limits.max)

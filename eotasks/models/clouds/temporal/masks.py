"""Masks from the probabilities of the multi-temporal method, as its original makes them.

They differ from those of ``eotasks.models.clouds.postprocess``: cloud is what reaches the threshold (not what exceeds
it), the average is of float64, and pixels without data take part in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.temporal.settings import Output, TemporalSettings


class FrameClouds:
    """What both models say of one frame, and the masks that follow.

    Every output is made from the probabilities alone, so none depends on which others are asked for; what none asks
    for is not computed.
    """

    def __init__(
        self,
        settings: TemporalSettings,
        *,
        mono: Callable[[], NDArray[np.float64]],
        multi: Callable[[], NDArray[np.float64]],
    ):
        """
        :param settings: Thresholds and radii.
        :param mono: Gives the single-scene probability (h, w), 0..1; called once at most.
        :param multi: The same for the multi-temporal probability.
        """
        self._settings = settings
        self._mono = functools.cache(mono)
        self._multi = functools.cache(multi)

    def output(self, output: Output) -> NDArray[Any]:
        """Probability (float64) or mask (boolean) (h, w)."""
        makers: dict[Output, Callable[[], NDArray[Any]]] = {
            "mono_probability": self._mono,
            "multi_probability": self._multi,
            "mono_mask": lambda: self._dilated(self._mono_cloud),
            "multi_mask": lambda: self._dilated(self._multi_cloud),
            "mask": lambda: self._dilated(self._mono_cloud & self._multi_cloud),
        }
        return makers[output]()

    @functools.cached_property
    def _mono_cloud(self) -> NDArray[np.bool_]:
        return averaged_mask(self._mono(), self._settings.mono_threshold, int(self._settings.average_over or 0))

    @functools.cached_property
    def _multi_cloud(self) -> NDArray[np.bool_]:
        return averaged_mask(self._multi(), self._settings.multi_threshold, int(self._settings.average_over or 0))

    def _dilated(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return dilated(mask, int(self._settings.dilation_size or 0))


def averaged_mask(probability: NDArray[np.float64], threshold: float, average_over: int) -> NDArray[np.bool_]:
    """Where the average over a disk reaches the threshold.

    :param probability: float64 (h, w), 0..1.
    :param average_over: Radius in pixels, 0 for none; the border pixels are repeated outwards.
    :return: boolean (h, w).
    """
    if average_over and probability.size:
        kernel = disk(average_over) / np.sum(disk(average_over))
        return np.asarray(cv2.filter2D(probability, -1, kernel, borderType=cv2.BORDER_REFLECT) >= threshold)
    return np.asarray(probability >= threshold)


def dilated(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """A mask (h, w) grown by a disk; nothing grows in from outside."""
    if not radius or not mask.size:
        return mask
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk(radius)) > 0)


@functools.cache
def disk(radius: int) -> NDArray[np.uint8]:
    """The pixels whose centres lie within the radius, in a square of ``2 * radius + 1`` pixels."""
    steps: NDArray[Any] = np.arange(-radius, radius + 1)
    return np.asarray(steps**2 + steps[:, np.newaxis] ** 2 <= radius**2, dtype=np.uint8)

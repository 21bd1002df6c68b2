"""From cloud probabilities to a cloud mask, with the semantics of s2cloudless 1.7.3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.checks import check_radius
from eotasks.models.clouds.presets import MaskSettings
from eotasks.models.clouds.smoothing import Pixels, dilated, eroded, gaussian, mean_over_disk
from eotasks.models.scales import ProbabilityScale, as_probability, check_mask, warn_of_percent

CLEAR, CLOUD, NO_DATA = 0, 1, 255
"""Values of a cloud mask (CLM), as Sentinel Hub defined them."""

WHOLE_PIXELS = 4_000_000
"""Of a frame whose steps are done at once. Larger ones are taken in strips of so many, with the rows about them that
have a say: the same numbers, since no step looks at where a row lies. (Averages over disks of six pixels and more go by
Fourier transforms, whose last bits do look at it, in OpenCV's own blocks too.)"""

MAX_CLP = 255
"""Probability 1 where it is stored as uint8."""


def cloud_mask(
    probability: NDArray[np.generic],
    *,
    threshold: float = 0.4,
    average_over: int | None = 4,
    dilation_size: int | None = 2,
    valid: NDArray[np.bool_] | None = None,
    scale: ProbabilityScale | None = None,
    where: str = "cloud probability",
) -> NDArray[np.uint8]:
    """Average, threshold and dilate cloud probabilities.

    Equal to ``S2PixelCloudDetector.get_mask_from_prob`` of s2cloudless 1.7.3 wherever that works, and for every
    combination of steps where it does not (its dilation fails without averaging). ``mask_of`` has more steps.

    :param probability: Array (t, h, w): float 0..1, uint8 0..255, or of the named scale.
    :param threshold: 0..1. Lower means fewer missed clouds and more false ones.
    :param average_over: Radius of the averaging disk in pixels; None or 0 skips the step.
    :param dilation_size: Radius of the dilating disk in pixels; None or 0 skips the step.
    :param valid: Boolean array (t, h, w), or None when every pixel is valid but for NaN.
    :param scale: "0..1", "percent" or "0..255" (``eotasks.models.scales``); None for what the dtype says.
    :param where: What the array is, for messages.
    :return: uint8 (t, h, w): 0 clear, 1 cloud, 255 no data.
    :raises ConfigurationError: a threshold outside 0..1 or a negative radius.
    :raises FeatureError: another dtype, values outside 0..1, or NaN where ``valid`` says there is data.
    :raises GridError: shapes that do not fit.
    """
    settings = MaskSettings(threshold=threshold, average_over=average_over, dilation_size=dilation_size)
    return mask_of(probability, settings, valid=valid, scale=scale, where=where)


def mask_of(
    probability: NDArray[np.generic],
    settings: MaskSettings,
    *,
    pixel_size: tuple[float, float] | None = None,
    valid: NDArray[np.bool_] | None = None,
    snow: NDArray[np.bool_] | None = None,
    scale: ProbabilityScale | None = None,
    where: str = "cloud probability",
) -> NDArray[np.uint8]:
    """Smooth, threshold, erode and dilate cloud probabilities.

    The probability is averaged over a disk or a Gaussian, the border pixels repeated outwards; cloud is what is
    strictly above the threshold in float32; cloud is eroded and grows by a disk, nothing reaches in from outside. Two
    kinds of pixels have no say in the probability of their neighbours: those without data (as zeros they would hide
    cloud along the edge of the swath), which come out as 255; and snow, which the model is known to take for cloud.
    Snow comes out clear, but where cloud beside it grows over it: round a true cloud the ground is not to be trusted.

    :param probability: Array (t, h, w): float 0..1, uint8 0..255, or of the named scale.
    :param settings: The steps; ``eotasks.models.clouds.presets.mask_settings`` makes them.
    :param pixel_size: (y, x) metres, needed where the settings are in metres. Radii are then rounded to whole pixels
        on each axis by itself; below half a pixel there is nothing to do and the step is skipped.
    :param valid: Boolean array (t, h, w), or None when every pixel is valid but for NaN.
    :param snow: Boolean array (t, h, w) of pixels that are spectrally snow (``eotasks.models.clouds.surface``), or
        None. Whatever else is to be kept apart from cloud is treated alike, thin cloud for one.
    :param scale: "0..1", "percent" or "0..255" (``eotasks.models.scales``); None for what the dtype says.
    :param where: What the array is, for messages.
    :return: uint8 (t, h, w): 0 clear, 1 cloud, 255 no data.
    :raises ConfigurationError: settings in metres without a pixel size.
    :raises FeatureError: another dtype, values outside the scale, NaN where ``valid`` says there is data, or a mask
        that is not boolean.
    :raises GridError: shapes that do not fit.
    :warns ScaleWarning: uint8 that ends at exactly 100.
    """
    if probability.ndim != 3:
        raise GridError(f"{where}: shape {probability.shape} where (time, height, width) is due.")
    for name, other in (("valid", valid), ("snow", snow)):
        if other is not None and other.shape != probability.shape:
            raise GridError(f"{where}: the {name} mask has shape {other.shape}, the probability {probability.shape}.")
        if other is not None:
            check_mask(other, name=f"the {name} mask", where=where)
    warn_of_percent(probability, valid, scale=scale, where=where)
    steps = _Steps(settings, pixel_size, where)
    mask = np.empty(probability.shape, dtype=np.uint8)
    for index, frame in enumerate(probability):
        for strip, rows in _strips(frame.shape, steps.rows_about):
            part = frame[rows]
            part_valid = _present(part) if valid is None else valid[index, rows]
            values = as_probability(part, part_valid, scale=scale, where=where)
            part_snow = None if snow is None else snow[index, rows]
            done = steps.mask(values, part_valid, part_snow)
            mask[index, strip] = done[strip.start - rows.start : strip.stop - rows.start]
    return mask


def grows(settings: MaskSettings, pixel_size: tuple[float, float] | None = None, *, where: str = "the mask") -> bool:
    """Whether cloud grows over other pixels by some settings: a disk that reaches no neighbour is no step.

    :param pixel_size: (y, x) metres, needed where the settings are in metres.
    :param where: For the message.
    :raises ConfigurationError: settings in metres without a pixel size.
    """
    return _Steps(settings, pixel_size, where).dilation_size is not None


def reach_of(settings: MaskSettings, pixel_size: tuple[float, float] | None = None, *, where: str = "the mask") -> int:
    """How many pixels away a pixel has a say in the mask of another, at most.

    :param pixel_size: (y, x) metres, needed where the settings are in metres.
    :raises ConfigurationError: settings in metres without a pixel size.
    """
    return _Steps(settings, pixel_size, where).reach


def _strips(shape: tuple[int, ...], around: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a frame that are done together, and the same with those about them."""
    height, width = shape
    step = height if height * width <= WHOLE_PIXELS else max(WHOLE_PIXELS // width, 1)
    for start in range(0, max(height, 1), max(step, 1)):
        stop = min(start + step, height)
        yield slice(start, stop), slice(max(start - around, 0), min(stop + around, height))


class _Steps:
    """Settings in pixels, ready to be used on every frame."""

    def __init__(self, settings: MaskSettings, pixel_size: tuple[float, float] | None, where: str):
        if settings.unit == "metre" and pixel_size is None:
            raise ConfigurationError(f"{where}: settings in metres need the size of a pixel: give pixel_size.")
        scale = pixel_size if settings.unit == "metre" and pixel_size is not None else (1.0, 1.0)
        self.threshold = np.float32(settings.threshold)
        self.average_over = _radius(settings.average_over, scale)
        self.erosion_size = _radius(settings.erosion_size, scale)
        self.dilation_size = _radius(settings.dilation_size, scale)
        self.sigma = None if not settings.sigma else (settings.sigma / scale[0], settings.sigma / scale[1])

    @property
    def rows_about(self) -> int:
        """Rows on either side that have a say in a row."""
        return self._about(0)

    @property
    def reach(self) -> int:
        """Rows or columns, whichever are more."""
        return max(self._about(0), self._about(1))

    def _about(self, axis: int) -> int:
        disks = (self.average_over, self.erosion_size, self.dilation_size)
        return sum(each[axis] for each in disks if each) + (math.ceil(4 * self.sigma[axis]) + 1 if self.sigma else 0)

    def mask(
        self, probability: NDArray[np.float32], valid: NDArray[np.bool_] | None, snow: NDArray[np.bool_] | None
    ) -> NDArray[np.uint8]:
        """The mask of one frame."""
        if probability.size == 0:
            return np.zeros(probability.shape, dtype=np.uint8)
        if valid is not None and valid.all():
            valid = None
        counting = valid if snow is None else (~snow if valid is None else valid & ~snow)
        if counting is not None:
            probability = np.where(counting, probability, np.float32(0))
        mask: NDArray[Any] = (self._smoothed(probability, counting) > self.threshold).astype(np.uint8)
        if counting is not None:
            mask[~counting] = CLEAR
        if self.erosion_size:
            mask = self._eroded(mask, valid)
        if self.dilation_size:
            mask = dilated(mask, self.dilation_size)
        if valid is not None:
            mask[~valid] = NO_DATA
        return mask

    def _smoothed(self, probability: NDArray[np.float32], counting: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        if self.sigma:
            return gaussian(probability, self.sigma, counting)
        if self.average_over:
            return mean_over_disk(probability, self.average_over, counting)
        return probability

    def _eroded(self, mask: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
        """The gap eats into cloud as little as the border of the frame does."""
        if not self.erosion_size:
            return mask
        if valid is None:
            return eroded(mask, self.erosion_size)
        filled = np.where(valid, mask, np.uint8(CLOUD))
        return np.where(valid, eroded(filled, self.erosion_size), np.uint8(CLEAR))


def _radius(radius: float | None, scale: tuple[float, float]) -> Pixels | None:
    """(y, x) whole pixels of a radius, None when it reaches no neighbour."""
    if not radius:
        return None
    y, x = (check_radius(int(radius / size + 0.5)) for size in scale)
    return (y, x) if y or x else None


def _present(frame: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Pixels that are not NaN, None when all are."""
    if frame.dtype.kind != "f":
        return None
    missing = np.isnan(frame)
    return ~missing if missing.any() else None

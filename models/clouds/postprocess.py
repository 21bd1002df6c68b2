"""From cloud probabilities to a cloud mask, with the semantics of s2cloudless 1.7.3."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.checks import check_number, check_radius
from models.errors import FeatureError, GridError

CLEAR, CLOUD, NO_DATA = 0, 1, 255
"""Values of a cloud mask (CLM), as Sentinel Hub defined them."""

MAX_CLP = 255
"""Probability 1 where it is stored as uint8."""


def cloud_mask(
    probability: NDArray[np.generic],
    *,
    threshold: float = 0.4,
    average_over: int | None = 4,
    dilation_size: int | None = 2,
    valid: NDArray[np.bool_] | None = None,
    where: str = "cloud probability",
) -> NDArray[np.uint8]:
    """Average, threshold and dilate cloud probabilities.

    Equal to ``S2PixelCloudDetector.get_mask_from_prob`` of s2cloudless 1.7.3 wherever that works, and for every
    combination of steps where it does not (its dilation fails without averaging). The average is taken over a disk,
    the border pixels repeated outwards; cloud is what is strictly above the threshold in float32; cloud grows by a
    disk, nothing grows in from outside. Two things are added where ``valid`` is given: pixels without data are left
    out of the average (as zeros they would hide cloud along the edge of the swath), and come out as 255.

    :param probability: Array (t, h, w): float 0..1, or uint8 0..255.
    :param threshold: 0..1. Lower means fewer missed clouds and more false ones.
    :param average_over: Radius of the averaging disk in pixels; None or 0 skips the step.
    :param dilation_size: Radius of the dilating disk in pixels; None or 0 skips the step.
    :param valid: Boolean array (t, h, w), or None when every pixel is valid.
    :param where: What the array is, for messages.
    :return: uint8 (t, h, w): 0 clear, 1 cloud, 255 no data.
    :raises ConfigurationError: a threshold outside 0..1 or a negative radius.
    :raises FeatureError: another dtype, values outside 0..1, or NaN inside valid data.
    :raises GridError: shapes that do not fit.
    """
    check_mask_settings(threshold, average_over, dilation_size)
    average, dilation = int(average_over or 0), int(dilation_size or 0)
    if probability.ndim != 3:
        raise GridError(f"{where}: shape {probability.shape} where (time, height, width) is due.")
    if valid is not None and valid.shape != probability.shape:
        raise GridError(f"{where}: the valid mask has shape {valid.shape}, the probability {probability.shape}.")
    mask = np.empty(probability.shape, dtype=np.uint8)
    for index in range(len(probability)):
        frame_valid = None if valid is None else np.asarray(valid[index], dtype=bool)
        frame = as_probability(probability[index], frame_valid, where=where)
        mask[index] = _frame_mask(frame, frame_valid, np.float32(threshold), average, dilation)
    return mask


def check_mask_settings(threshold: float, average_over: int | None, dilation_size: int | None) -> None:
    """Refuse settings that no mask can be made with.

    :raises ConfigurationError: a threshold outside 0..1 or a radius that is no whole number of at least 0.
    """
    check_number(threshold, "threshold", "probability", lowest=0, highest=1)
    for name, radius in (("average_over", average_over), ("dilation_size", dilation_size)):
        if radius is not None:
            check_radius(radius, name)


def as_probability(
    values: NDArray[np.generic], valid: NDArray[np.bool_] | None = None, *, where: str = "cloud probability"
) -> NDArray[np.float32]:
    """Probability as float32 0..1, from floats or from uint8 0..255; the dtype says which. 0 where not valid.

    :raises FeatureError: another dtype, values outside 0..1, or NaN inside valid data.
    """
    if values.dtype == np.uint8:
        floats = values.astype(np.float32) / np.float32(MAX_CLP)
    elif values.dtype.kind == "f":
        floats = values.astype(np.float32, copy=False)
    else:
        raise FeatureError(f"{where}: dtype {values.dtype} is no cloud probability. Give float 0..1 or uint8 0..255.")
    if valid is not None and not valid.all():
        floats = np.where(valid, floats, np.float32(0))
    if floats.size and not (floats.min() >= 0 and floats.max() <= 1):
        raise FeatureError(
            f"{where}: values from {floats.min():g} to {floats.max():g} inside valid data where 0..1 is due."
            " Divide percentages by 100, and uint8 values stored as floats by 255."
        )
    return floats


def _frame_mask(
    probability: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    threshold: np.float32,
    average_over: int,
    dilation_size: int,
) -> NDArray[np.uint8]:
    if probability.size == 0:
        return np.zeros(probability.shape, dtype=np.uint8)
    has_gaps = valid is not None and not valid.all()
    averaged = probability
    if average_over:
        averaged = _average(probability, average_over)
        if has_gaps:
            averaged = _average_of_valid(averaged, np.asarray(valid, dtype=np.uint8), average_over)
    mask: NDArray[Any] = (averaged > threshold).astype(np.uint8)
    if has_gaps:
        mask[~np.asarray(valid)] = CLEAR
    if dilation_size:
        mask = cv2.dilate(mask, _disk(dilation_size))
    if has_gaps:
        mask[~np.asarray(valid)] = NO_DATA
    return mask


def _average(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    disk = _disk(radius)
    kernel = disk / np.sum(disk)
    return np.asarray(cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REFLECT), dtype=np.float32)


def _average_of_valid(averaged: NDArray[np.float32], valid: NDArray[np.uint8], radius: int) -> NDArray[np.float32]:
    """Scale averages that lack pixels up to their valid share; all others keep their very value."""
    share = _average(valid.astype(np.float32), radius)
    lacking = (cv2.erode(valid, _disk(radius)) == 0) & (valid == 1)
    return np.divide(averaged, share, out=averaged.copy(), where=lacking)


@functools.cache
def _disk(radius: int) -> NDArray[np.uint8]:
    """Filled circle in a square of ``2 * radius + 1`` pixels, drawn as s2cloudless draws it."""
    square = np.zeros((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)
    return np.asarray(cv2.circle(square, (radius, radius), radius, color=(1,), thickness=-1), dtype=np.uint8)

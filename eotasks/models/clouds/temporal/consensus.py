"""Cloud by consensus over time: what a mask calls cloud, and the ground's own brightness on other dates does too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.clouds.smoothing import dilated
from eotasks.models.clouds.temporal.neighbours import DATES, usual
from eotasks.models.clouds.validity import split_cloud_mask
from eotasks.models.scales import check_mask

BLUE = "B02"

MIN_BRIGHTENING = 0.03
"""Reflectance in the blue that cloud adds to its ground at least, as MAJA has it. Real thin cloud adds 0.05 to 0.1;
0.06 brings back most haze and thin cirrus too, and some of that."""

MARGIN = 2
"""Pixels about such cloud that stay cloud where the mask says so: the dilation of the default mask."""

_NEAR = 2
"""Pixels about cloud that are no clear ground: rims that masks miss."""


def cloud_consensus(
    blue: NDArray[np.float32],
    cloud: NDArray[np.generic],
    times: Sequence[dt.datetime],
    *,
    valid: NDArray[np.bool_] | None = None,
    snow: NDArray[np.bool_] | None = None,
    min_brightening: float = MIN_BRIGHTENING,
    margin: int = MARGIN,
    dates: int = DATES,
    where: str = "the cloud mask",
) -> NDArray[np.uint8]:
    """A cloud mask without what is no brighter than its ground was on the clear dates nearest in time.

    Detectors that see one date take bright ground, haze and thin cirrus for cloud. In a series the ground speaks for
    itself (the idea of MAJA and its forerunner, Hagolle et al. 2010, Remote Sensing of Environment 114(8), 1747-1755;
    there against the last clear date, here against the median of several before and after). Nothing is added: cloud
    that the mask misses stays missed. Ground that was clear on fewer than two other dates has no say, and stays cloud.

    :param blue: (t, h, w) B02 reflectance.
    :param cloud: (t, h, w) boolean, or 0 clear, 1 cloud, 255 no data.
    :param times: (t,) of the frames, in any order.
    :param valid: (t, h, w) where there is data, None for all that the mask has an answer for.
    :param snow: (t, h, w) ground under snow, which others are not compared with: it is as bright as cloud.
    :param min_brightening: Reflectance by which cloud is brighter than its ground, at least; 0.06 drops haze, cirrus.
    :param margin: Pixels about such cloud that stay cloud where the mask says so: that by which the mask was dilated.
    :param dates: How many clear dates a pixel is compared with, at most.
    :param where: What the mask is, for messages.
    :return: uint8 (t, h, w): 0 clear, 1 cloud, 255 no data.
    :raises GridError: shapes or times that do not fit.
    :raises FeatureError: no cloud mask.
    """
    if blue.ndim != 3 or blue.shape != cloud.shape:
        raise GridError(f"{where} has shape {cloud.shape}, the blue band {blue.shape}: give (time, h, w) of one grid.")
    for name, mask in (("data mask", valid), ("mask of snow", snow)):
        if mask is not None and check_mask(mask, name=f"the {name}", where=where).shape != cloud.shape:
            raise GridError(f"{where} has shape {cloud.shape}, the {name} {mask.shape}: give both on one grid.")
    cloudy, unknown = split_cloud_mask(cloud, where=where)
    data = ~unknown if valid is None else valid & ~unknown
    cloudy = cloudy & data
    clear = np.stack([each & ~grown(mask, _NEAR) for each, mask in zip(data, cloudy, strict=True)])
    if snow is not None:
        clear &= ~snow
    result = np.full(blue.shape, NO_DATA, dtype=np.uint8)
    for index, frame in enumerate(blue):
        known = usual(blue, clear, times, index, dates=dates)
        with np.errstate(invalid="ignore"):
            dim = frame - known < np.float32(min_brightening)  # not where it is NaN
        bright = cloudy[index] & ~dim
        kept = cloudy[index] & grown(bright, margin)
        result[index][data[index]] = CLEAR
        result[index][kept] = CLOUD
    return result


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """A mask (h, w) grown by a disk."""
    return mask if pixels == 0 else dilated(mask.astype(np.uint8), (pixels, pixels)).astype(bool)

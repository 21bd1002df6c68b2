"""CLP and CLM for a service that has none: from its ten L1C bands at 160 m, as Sentinel Hub once pre-computed them.

Sentinel Hub's archive ran s2cloudless on bands brought to 160 m by the nearest pixel (specs: user guide "Cloud Masks"),
on a grid whose origin is that of the tile. Here the grid begins at the north-west corner of the area, so values agree
with the archive's but for the pixels that were picked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import mask_settings

RESOLUTION = 160.0
"""Metres."""

MARGIN = 2
"""Pixels around the area: as far as the mask looks, to average over 1 and to grow by 1."""


def coarse_area(bbox: BBox) -> tuple[BBox, tuple[int, int]]:
    """The area on whole pixels of 160 m from its north-west corner, with `MARGIN`, and (rows, columns) of them."""
    left, bottom, right, top = bbox
    rows, columns = (max(math.ceil(side / RESOLUTION - 1e-6), 1) + 2 * MARGIN for side in (top - bottom, right - left))
    west, north = left - MARGIN * RESOLUTION, top + MARGIN * RESOLUTION
    corners = (west, north - rows * RESOLUTION, west + columns * RESOLUTION, north)
    return BBox(corners, bbox.crs), (rows, columns)


def clouds_of(
    bands: NDArray[np.uint16], is_data: NDArray[np.bool_], where: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cloud probability and mask.

    :param bands: (t, h, w, 10) DN of the cloud model's bands, in its order.
    :param is_data: (t, h, w).
    :return: CLP, float32 (t, h, w), 0 without data, as the service has it; CLM, uint8: 0 clear, 1 cloud, 255 no data.
    """
    probability = cloud_probability(bands, valid=is_data, check_bands=False, where=where)  # the service's DN
    settings = mask_settings("s2cloudless")
    mask = mask_of(probability, settings, pixel_size=(RESOLUTION, RESOLUTION), valid=is_data, where=where)
    return probability, mask


def to_area(values: Sequence[NDArray[np.generic]], bbox: BBox, shape: tuple[int, int]) -> list[NDArray[np.generic]]:
    """Arrays (t, h, w) of the coarse area at the centres of the pixels of the area itself: (t, rows, columns)."""
    left, bottom, right, top = bbox
    rows = MARGIN + ((np.arange(shape[0]) + 0.5) * (top - bottom) / shape[0] / RESOLUTION).astype(np.intp)
    columns = MARGIN + ((np.arange(shape[1]) + 0.5) * (right - left) / shape[1] / RESOLUTION).astype(np.intp)
    return [each[:, rows[:, np.newaxis], columns[np.newaxis]] for each in values]

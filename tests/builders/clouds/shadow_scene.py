"""A made-up frame: fields, a lake, clouds at known heights, and their shadows by plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("B02", "B08", "B11")
PIXEL = (20.0, 20.0)
SUN = (50.0, 160.0)
LAKE = (slice(150, 190), slice(20, 70))

_LIT = np.array([[0.10, 0.30, 0.20], [0.11, 0.24, 0.26], [0.09, 0.36, 0.17]])
_SHADE = np.array([0.85, 0.45, 0.35])
_WATER = np.array([0.09, 0.04, 0.01])
_CLOUD = np.array([0.6, 0.7, 0.6])


@dataclass(frozen=True)
class Blob:
    """A round cloud."""

    row: float
    column: float
    radius: float
    height: float


def shift(
    height: float, sun: tuple[float, float], view: tuple[float, float], pixel: tuple[float, float]
) -> tuple[int, int]:
    """Rows and columns from a cloud in the image to its shadow, written out for a single height."""
    length, away = height * math.tan(math.radians(sun[0])), math.radians(sun[1])
    aside, towards = height * math.tan(math.radians(view[0])), math.radians(view[1])
    # the place below the cloud is the place where it is seen, moved towards the sensor
    north = aside * math.cos(towards) - length * math.cos(away)
    east = aside * math.sin(towards) - length * math.sin(away)
    return round(-north / pixel[0]), round(east / pixel[1])


def frame(
    blobs: list[Blob],
    *,
    sun: tuple[float, float] = SUN,
    view: tuple[float, float] = (0.0, 0.0),
    pixel: tuple[float, float] = PIXEL,
    shape: tuple[int, int] = (240, 260),
    seed: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """(bands (h, w, 3), cloud, shadow)."""
    rows, columns = np.indices(shape)
    field = (rows // 30 + 2 * (columns // 25)) % 3
    bands = _LIT[field] * (1 + 0.05 * np.random.default_rng(seed).standard_normal((*shape, 1)))
    cloud, shadow = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for blob in blobs:
        down, right = shift(blob.height, sun, view, pixel)
        for mask, row, column in ((cloud, blob.row, blob.column), (shadow, blob.row + down, blob.column + right)):
            mask |= np.hypot(rows - row, columns - column) <= blob.radius
    lake = np.zeros(shape, dtype=bool)
    lake[LAKE] = True
    bands[shadow] *= _SHADE
    bands[lake] = _WATER
    bands[cloud] = _CLOUD
    return bands.astype(np.float32), cloud, shadow & ~cloud


def f1(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall."""
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))

"""A small made-up scene for the tests: fields, a forest, a lake, and a cloud with its shadow."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eotasks.models.simulation.ground import Ground, prepare_ground
from eotasks.models.simulation.radiation import clear_atmosphere
from eotasks.models.simulation.vegetation import CANOPY, Cover
from eotasks.models.sun import sun_position

TIME = dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - naive UTC, as in an EOPatch
LATITUDE, LONGITUDE = 52.5, 12.6
RESOLUTION = 20.0
LEFT, TOP = 330_000.0, 5_822_040.0
SHAPE = (120, 160)

SOIL = np.array([0.04, 0.05, 0.07, 0.10, 0.12, 0.13, 0.14, 0.15, 0.16, 0.16, 0, 0.20, 0.15])
LAKE = np.array([0.014, 0.015, 0.018, 0.015, 0.014, 0.012, 0.012, 0.010, 0.010, 0.01, 0, 0.004, 0.003])
CLOUD = np.array([0.58, 0.62, 0.61, 0.71, 0.77, 0.87, 0.93, 0.91, 1.0, 0.31, 0.003, 1.1, 1.0])

FOREST = (slice(0, 40), slice(0, 60))
WATER = (slice(90, 120), slice(100, 160))
CLOUDY = (slice(60, 80), slice(90, 120))


def surface() -> NDArray[np.float32]:
    """(h, w, 13) surface reflectance: square fields of several greens, forest upper left, lake lower right."""
    ground = np.empty((*SHAPE, 13))
    for row in range(0, SHAPE[0], 20):
        for column in range(0, SHAPE[1], 20):
            green = 0.1 + 0.12 * ((row // 20 + 2 * (column // 20)) % 5)
            ground[row : row + 20, column : column + 20] = (1 - green) * SOIL + green * CANOPY[Cover.PASTURE]
    ground[FOREST] = 0.8 * CANOPY[Cover.EVERGREEN] + 0.004
    ground[WATER] = LAKE
    grain = 1 + 0.01 * np.random.default_rng(3).standard_normal((*SHAPE, 1))
    return (ground * grain).astype(np.float32)


def scene(*, cloudy: bool = True) -> NDArray[np.float32]:
    """(h, w, 13) top-of-atmosphere reflectance of a winter day."""
    zenith, _ = sun_position(TIME, LATITUDE, LONGITUDE)
    top = clear_atmosphere(zenith, 0.15, 0.25).to_top(surface())
    top[..., 10] = 0.0012
    if cloudy:
        top[CLOUDY] += 0.5 * (CLOUD.astype(np.float32) - top[CLOUDY])
    return top


@lru_cache(maxsize=4)
def ground(*, seed: int = 42, cloudy: bool = True) -> Ground:
    """The scene, prepared."""
    return prepare_ground(
        scene(cloudy=cloudy), np.ones(SHAPE, dtype=np.bool_), None, resolution=RESOLUTION, left=LEFT, top=TOP,
        latitude=LATITUDE, longitude=LONGITUDE, time=TIME, seed=seed,
    )  # fmt: skip

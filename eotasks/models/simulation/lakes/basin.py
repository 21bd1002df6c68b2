"""The basin of a lake: its full outline, its bed, and the area of every level.

The outline is a star: a radius for every direction, the area that of a disk. Within it the bed lies
``depth * (1 - rho^shore)`` below the full level, with sandbanks and holes, rho the distance from the middle against the
outline in that direction; beyond it the ground rises in the same way. A fall of the level thus moves the shore in on
every side, farther where the bed is gentle, and lets islands and pools appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.noise import fractal_noise, hash_uniform

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

RIM = 1.3
"""rho as far as which ground belongs to the basin: no flood goes beyond it."""

_FORM, _SIDE, _BANKS = 601, 602, 603
_BAYS = np.arange(2, 11)
_UNEVEN_SHORE = 0.3
"""Share by which the exponent of the shore is smaller on the gentle side and greater on the steep one."""

_BANK_HEIGHT = 0.45
_DIRECTIONS, _RINGS = 360, 200


@dataclass(frozen=True)
class PolarGrid:
    """Cells of a basin, for sums over its area."""

    x: Coordinates
    """(n,) map coordinates of their middles."""

    y: Coordinates
    bed: Coordinates
    """(n,) metres above the full level, lowest first."""

    area: Coordinates
    """(n,) square metres."""


def shore_radius(lake: Lake, direction: Coordinates) -> Coordinates:
    """Metres from the middle to the outline of the full lake.

    :param direction: Radians counter-clockwise from east.
    """
    return np.asarray(_shape_scale(lake) * np.exp(_waves(lake, direction)))


def outline(lake: Lake, vertices: int = 720) -> Coordinates:
    """(vertices + 1, 2) map coordinates of the full lake's outline, counter-clockwise, the first one again at the end.

    :param vertices: At least 3.
    """
    direction = np.append(np.arange(vertices), 0).astype(np.float64) * (2 * np.pi / vertices)
    radius = shore_radius(lake, direction)
    return np.stack([lake.x + radius * np.cos(direction), lake.y + radius * np.sin(direction)], axis=-1)


def reach(lake: Lake) -> float:
    """Metres from the middle beyond which nothing of the basin lies."""
    return float(RIM * shore_radius(lake, np.linspace(0, 2 * np.pi, _DIRECTIONS)).max())


def bed(lake: Lake, x: Coordinates, y: Coordinates) -> Float:
    """Metres of the bed above the full level: below 0 within the outline, above it outside; infinite beyond the basin.

    :param x: Map coordinates, broadcasting against ``y``.
    """
    x, y = np.broadcast_arrays(x, y)
    distance = np.asarray(np.hypot(x - lake.x, y - lake.y), dtype=np.float64)
    values = np.full(distance.shape, np.inf, dtype=np.float32)
    near = distance <= reach(lake)
    if not near.any():
        return values
    x, y = x[near], y[near]
    direction = np.asarray(np.arctan2(y - lake.y, x - lake.x), dtype=np.float64)
    rho = np.asarray(distance[near] / shore_radius(lake, direction))
    values[near] = np.where(rho < RIM, _bed_at(lake, rho, direction, x, y), np.inf)
    return values


@lru_cache(maxsize=64)
def polar_grid(lake: Lake) -> PolarGrid:
    """The whole basin, out to ``RIM``, in cells of ``radius / 200`` by one degree."""
    ring = RIM / round(_RINGS * RIM)
    rho = (np.arange(round(_RINGS * RIM), dtype=np.float64) + 0.5)[:, None] * ring
    direction = (np.arange(_DIRECTIONS, dtype=np.float64) + 0.5)[None, :] * (2 * np.pi / _DIRECTIONS)
    radius = shore_radius(lake, direction)
    x, y = lake.x + rho * radius * np.cos(direction), lake.y + rho * radius * np.sin(direction)
    heights = _bed_at(lake, rho, direction, x, y)
    area = np.broadcast_to(np.square(radius) * rho * ring * (2 * np.pi / _DIRECTIONS), heights.shape)
    order = np.argsort(heights, axis=None, kind="stable")
    return PolarGrid(*(values.ravel()[order] for values in (x, y, heights, area)))


def nominal_area(lake: Lake) -> float:
    """Square metres within the outline of the full lake."""
    return float(np.pi * lake.radius**2)


def area_at(lake: Lake, stage: float) -> float:
    """Square metres under water, its ice among it.

    :param stage: Level of the water, metres above the full lake; negative after a fall.
    """
    cells = polar_grid(lake)
    return float(cells.area[: int(np.searchsorted(cells.bed, stage))].sum())


def _bed_at(lake: Lake, rho: Coordinates, direction: Coordinates, x: Coordinates, y: Coordinates) -> Coordinates:
    side = 2 * np.pi * float(hash_uniform(lake.seed, _SIDE, 0)[0])
    exponent = np.maximum(lake.shore * (1 + _UNEVEN_SHORE * np.cos(direction - side)), 1)
    banks = fractal_noise(x, y, lake.seed, _BANKS, wavelength=0.8 * lake.radius, octaves=4)
    uneven = 1 + _BANK_HEIGHT * np.clip(banks / 1.5, -1, 1)
    return np.asarray(lake.depth * (rho**exponent - 1) * uneven)


def _waves(lake: Lake, direction: Coordinates) -> Coordinates:
    """Logarithm of the outline's radius, up to a constant: bays of 2 to 10 periods around the lake."""
    total = np.zeros(np.shape(direction))
    for bay in _BAYS:
        size, phase = (float(hash_uniform(lake.seed, _FORM, stream, int(bay))[0]) for stream in (0, 1))
        total += lake.raggedness * (0.4 + 1.2 * size) / bay * np.cos(bay * direction + 2 * np.pi * phase)
    return total


@lru_cache(maxsize=64)
def _shape_scale(lake: Lake) -> float:
    """Brings the area of the outline to that of the disk."""
    direction = np.arange(4 * _DIRECTIONS, dtype=np.float64) * (np.pi / (2 * _DIRECTIONS))
    return float(lake.radius / np.sqrt(np.exp(2 * _waves(lake, direction)).mean()))

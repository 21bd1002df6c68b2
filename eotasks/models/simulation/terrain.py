"""Uneven ground: elevation, slopes, and which of them the sun does not reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError
from eotasks.models.simulation.ground import Ground
from eotasks.models.simulation.noise import fractal_noise
from eotasks.models.simulation.surface import mirrored, pixels_of

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

LOWEST_SUN_ON_SLOPES = 80.0
"""Zenith angle, degrees, from which on slopes and shadows stay as they are, as for shadows of clouds."""

_HILLS = 531
_WIDEST_HILL = 3500.0
_STEPS_AT_MOST = 500
_BRIGHTEST_SLOPE = np.float32(2.5)


@dataclass(frozen=True)
class Terrain:
    """The relief of a window under the sun of a date."""

    elevation: Float
    """(h, w) metres above the mean of the ground."""

    sunlight: Float
    """(h, w) direct sunlight of level ground = 1; 0 in the shade."""

    skylight: Float
    """(h, w) share of the sky that a slope sees."""

    shade: Mask
    """(h, w) turned away from the sun, or behind higher ground."""


def terrain_of(
    ground: Ground,
    relief: float,
    left: float,
    top: float,
    height: int,
    width: int,
    *,
    sun_zenith: float,
    sun_azimuth: float,
) -> Terrain | None:
    """The terrain of a window; None where the ground is flat.

    Shade is sought from pixel to pixel toward the sun, between four pixels by bilinear weights, as far as the highest
    ground could throw it. Slopes get direct light by the cosine of the angle to the sun.

    :param relief: Standard deviation of simulated hills, metres; the DEM of the ground goes before it.
    :raises ConfigurationError: for an elevation so uneven that shade reaches more than 500 pixels.
    """
    if ground.elevation is None and relief <= 0:
        return None
    size = ground.resolution
    zenith, azimuth = np.radians(min(sun_zenith, LOWEST_SUN_ON_SLOPES)), np.radians(sun_azimuth)
    span = 8 * relief if ground.elevation is None else float(np.ptp(ground.elevation))
    steps = int(np.ceil(span * np.tan(zenith) / size))
    if steps > _STEPS_AT_MOST:
        raise ConfigurationError(
            f"Elevations that span {span:.0f} m shade up to {steps} pixels of {size:g} m under a sun {sun_zenith:.0f}"
            f" degrees off the zenith: {_STEPS_AT_MOST} at most. Give coarser pixels or a smoother DEM."
        )
    margin = steps + 2
    edge = margin * size
    rows, columns = pixels_of(ground, left - edge, top + edge, height + 2 * margin, width + 2 * margin)
    around = _elevation(ground, relief, rows, columns)
    inner = (slice(margin, margin + height), slice(margin, margin + width))
    here = around[inner]
    shade = np.zeros(here.shape, dtype=np.bool_)
    east, south = float(np.sin(azimuth)), float(-np.cos(azimuth))
    rise = size / np.tan(zenith)
    for step in range(1, steps + 1):
        toward = _moved(around, margin, here.shape, step * south, step * east)
        shade |= toward - here > np.float32(step * rise)
    down = around[margin + 1 : margin + 1 + height, inner[1]] - around[margin - 1 : margin - 1 + height, inner[1]]
    right = around[inner[0], margin + 1 : margin + 1 + width] - around[inner[0], margin - 1 : margin - 1 + width]
    slope_south, slope_east = down / np.float32(2 * size), right / np.float32(2 * size)
    upright = 1 / np.sqrt(1 + np.square(slope_south) + np.square(slope_east))
    tangent = np.float32(np.tan(zenith))
    light = (1 - tangent * (slope_south * np.float32(south) + slope_east * np.float32(east))) * upright
    shade |= light <= 0
    return Terrain(
        elevation=here.copy(),
        sunlight=np.where(shade, np.float32(0), np.minimum(light, _BRIGHTEST_SLOPE)),
        skylight=np.asarray((1 + upright) / 2, dtype=np.float32),
        shade=shade,
    )


def _elevation(ground: Ground, relief: float, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Float:
    if ground.elevation is not None:
        _, rows = mirrored(rows, ground.shape[0])
        _, columns = mirrored(columns, ground.shape[1])
        level = np.float32(ground.elevation.mean(dtype=np.float64))
        return np.asarray(ground.elevation[rows[:, None], columns] - level, dtype=np.float32)
    size = ground.resolution
    x = np.asarray(ground.left + (columns[None, :] + 0.5) * size, dtype=np.float64)
    y = np.asarray(ground.top - (rows[:, None] + 0.5) * size, dtype=np.float64)
    form = fractal_noise(x, y, ground.seed, _HILLS, wavelength=_WIDEST_HILL, octaves=6, gain=0.45, finest=2 * size)
    return np.asarray(np.clip(form, -4, 4) * np.float32(relief))


def _moved(around: Float, margin: int, shape: tuple[int, ...], rows: float, columns: float) -> Float:
    """The elevation so many pixels to the south and east, between pixels by bilinear weights."""
    row, column = int(np.floor(rows)), int(np.floor(columns))
    lower, right = np.float32(rows - row), np.float32(columns - column)

    def at(south: int, east: int) -> Float:
        first, second = margin + row + south, margin + column + east
        return around[first : first + shape[0], second : second + shape[1]]

    upper_row = at(0, 0) + right * (at(0, 1) - at(0, 0))
    lower_row = at(1, 0) + right * (at(1, 1) - at(1, 0))
    return np.asarray(upper_row + lower * (lower_row - upper_row))

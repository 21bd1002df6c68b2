"""Terrain shade: ground that the sun does not reach because hills stand before it, or because it is turned away.

It is as dark as the shadow of a cloud, and no cloud throws it. Where the height of the ground is known it is computed,
so that it is never taken for cloud shadow and never a witness of how lit ground looks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ElevationWarning, FeatureError, GridError, warn_caller
from eotasks.models.clouds.shadows.angles import NADIR, mean_shift, shadow_shift
from eotasks.models.clouds.shadows.light import Light
from eotasks.models.clouds.shadows.packed import BLACK, PackedLight, strips_of

Mask = NDArray[np.bool_]
Heights = NDArray[np.float32]
Angles = NDArray[np.floating] | tuple[float, float]

LOWEST_GROUND, HIGHEST_GROUND = -500.0, 9000.0
"""Metres between which ground lies on land: beyond them a number is no height, as are -9999 and -32768."""

REACH = 10_000.0
"""Metres about a frame from which hills throw shade into it: of one 1,000 m higher, with the sun 6 degrees up."""

_NOTHING = -1e9
"""A height that shades nothing: of voids, and of what lies outside."""


def terrain_shade(
    elevation: NDArray[np.generic],
    sun: Angles,
    *,
    pixel_size: tuple[float, float],
    where: str = "the elevation",
) -> Mask:
    """Ground that higher ground keeps the sun from, slopes that are turned away from it among that.

    A horizon sweep (the idea of Dozier, Bruno & Downey 1981, Computers & Geosciences 7(2), 145-151): beams of the sun
    are followed from pixel to pixel across the image, side by side, each with the highest level at which it has been
    cut off. Between pixels heights are interpolated; it takes the same time under any sun. Hills outside of the
    elevation shade nothing, so give some kilometres about what is wanted. The Earth is taken as flat: 8 m at 10 km.

    :param elevation: (h, w) metres, NaN where the height is not known: shades nothing, and is in no shade.
    :param sun: Zenith and azimuth in degrees, azimuth clockwise from the grid's north and towards the sun: two numbers,
        or a grid (h, w, 2), of which the mean is taken.
    :param pixel_size: Metres (y, x).
    :param where: What it is, for messages.
    :return: (h, w).
    :raises FeatureError: angles that are none, or numbers that are no heights.
    :raises GridError: an array of another number of axes.
    """
    heights = check_heights(elevation, where=where)
    rows, columns = mean_shift(shadow_shift(sun, NADIR, pixel_size=pixel_size, where=where), where=where)
    along = abs(rows) >= abs(columns)
    fast, slow = (rows, columns) if along else (columns, rows)
    if fast == 0:
        return np.zeros(heights.shape, dtype=bool)
    lines = heights if along else heights.T
    step = 1 if fast > 0 else -1
    shade = _swept(lines[::step], sideways=slow / abs(fast), drop=1 / abs(fast))[::step]
    return np.ascontiguousarray(shade if along else shade.T)


def _swept(heights: Heights, *, sideways: float, drop: float) -> Mask:
    """The same for beams that come down over row 0, go on by a row a step, and ``sideways`` columns a row.

    Beam u is at column u + i * sideways when it passes row i. Its level there is that of the ground minus the metres
    that it has come down, which never change along a beam: the highest is kept, and compared with the ground.

    :param drop: Metres that a beam comes down on its way to the next row.
    """
    count, width = heights.shape
    shade = np.zeros(heights.shape, dtype=bool)
    # one beam more on either side of the row, whose last pixel lies between two of them
    beams = np.full(width + 1 + int(np.ceil(abs(sideways) * count)), _NOTHING)
    first = int(np.ceil(sideways * (count - 1))) if sideways > 0 else 0
    padded = np.full(width + 2, _NOTHING)
    for row in range(count):
        known = np.isfinite(heights[row])
        level = np.where(known, heights[row] + row * drop, _NOTHING)
        whole = int(np.floor(row * sideways))
        part = row * sideways - whole
        there = beams[first - whole : first - whole + width + 1]
        cut_off = there[:-1] * part + there[1:] * (1 - part)
        shade[row] = known & (cut_off > level)
        padded[1:-1] = level
        np.maximum(there, padded[:-1] * (1 - part) + padded[1:] * part, out=there)
    return shade


def check_heights(elevation: NDArray[np.generic], *, where: str = "the elevation") -> Heights:
    """Heights of the ground as float32 metres, NaN where they are not known.

    :param elevation: (h, w).
    :raises GridError: another number of axes.
    :raises FeatureError: numbers that are no metres above the sea.
    """
    if elevation.ndim != 2:
        raise GridError(f"{where}: shape {elevation.shape} where (height, width) is due.")
    if elevation.dtype.kind not in "iuf":
        raise FeatureError(f"{where}: {elevation.dtype} is no type of heights: give numbers in metres.")
    heights = np.asarray(elevation, dtype=np.float32)
    outside = (heights < LOWEST_GROUND) | (heights > HIGHEST_GROUND)
    if outside.any():
        raise FeatureError(
            f"{where}: {float(heights[outside].flat[0]):g} is no height of ground in metres"
            f" ({LOWEST_GROUND:g} to {HIGHEST_GROUND:g}). Set voids to NaN, or name their value as no-data value of the"
            " file."
        )
    return heights


def tell_voids(unknown: Mask, valid: Mask, *, where: str) -> None:
    """Warn of ground whose height is not known.

    :param unknown: (h, w) where it is not.
    :param valid: (h, w) where there is data.
    :warns ElevationWarning: with the share of the ground with data.
    """
    missing = sum(int(np.count_nonzero(unknown[rows] & valid[rows])) for rows in strips_of(valid.shape))
    if missing:
        warn_caller(
            f"{where}: has no height for {missing / int(np.count_nonzero(valid)):.1%} of the ground, where no terrain"
            " shade is told apart. Fill its gaps, or give one that covers all.",
            ElevationWarning,
        )


def check_shade(shade: NDArray[np.generic] | None, shape: tuple[int, ...], *, where: str) -> Mask | None:
    """A mask of terrain shade that fits its frame.

    :raises GridError: another shape.
    :raises FeatureError: no booleans.
    """
    if shade is None:
        return None
    if shade.shape != tuple(shape):
        raise GridError(f"{where}: the terrain shade has shape {shade.shape}, the frame {tuple(shape)}.")
    if shade.dtype != np.bool_:
        raise FeatureError(f"{where}: the terrain shade is {shade.dtype} where booleans are due (shade == 1).")
    return np.asarray(shade, dtype=bool)


def told_apart_from(light: Light, shade: Mask | None) -> Light:
    """What is in terrain shade tells nothing of clouds, as open water does not."""
    return light if shade is None else replace(light, black=light.black | shade)


def note_shade(light: PackedLight, shade: Mask | None) -> None:
    """The same of a large frame."""
    if shade is not None:
        for rows in strips_of(light.shape):
            light.bits[rows] |= shade[rows] * BLACK

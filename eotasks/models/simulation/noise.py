"""Random fields over the plane that need no memory: a value depends on its coordinates and a seed, on nothing else.

Neighbouring windows therefore fit without a seam, in whatever order and process they are made. Lattice corners are
hashed with the finaliser of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA); between them stands gradient noise with the
quintic fade of Perlin (2002, SIGGRAPH).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_DEVIATION_OF_ONE_OCTAVE = 0.215
"""Standard deviation of one octave with unit gradients (measured over many cells)."""


def hash_integers(seed: int, *keys: NDArray[np.integer] | int) -> NDArray[np.uint64]:
    """Mixes a seed and any number of integer keys (arrays broadcast) into evenly spread 64-bit numbers."""
    state = _mix(np.atleast_1d(np.asarray(seed & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)))
    for key in keys:
        state = _mix((state + _GOLDEN) ^ np.asarray(key, dtype=np.int64).view(np.uint64))
    return state


def hash_uniform(seed: int, *keys: NDArray[np.integer] | int) -> Coordinates:
    """Evenly distributed numbers in [0, 1), one per key."""
    return (hash_integers(seed, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def gradient_noise(x: Coordinates, y: Coordinates, seed: int, *streams: int) -> Float:
    """One octave of gradient noise with lattice cells of 1, mean 0 and standard deviation about 1.

    :param x: Coordinates in units of the wavelength, broadcasting against ``y``.
    :param streams: Numbers that tell this field from others of the same seed.
    """
    column, row = np.floor(x), np.floor(y)
    u, v = (x - column).astype(np.float32), (y - row).astype(np.float32)
    column, row = column.astype(np.int64), row.astype(np.int64)
    first_column, first_row = int(column.min()), int(row.min())
    width = int(column.max()) - first_column + 2
    height = int(row.max()) - first_row + 2
    angle = (
        2
        * np.pi
        * hash_uniform(
            seed,
            *streams,
            np.arange(first_row, first_row + height)[:, None],
            np.arange(first_column, first_column + width),
        )
    )
    gradient_x, gradient_y = np.cos(angle).astype(np.float32).ravel(), np.sin(angle).astype(np.float32).ravel()
    corner = (row - first_row) * width + (column - first_column)

    def ramp(offset: int, dx: Float, dy: Float) -> Float:
        at = corner + offset
        return np.asarray(gradient_x[at] * dx + gradient_y[at] * dy)

    fade_u, fade_v = _fade(u), _fade(v)
    upper = _blend(ramp(0, u, v), ramp(1, u - 1, v), fade_u)
    lower = _blend(ramp(width, u, v - 1), ramp(width + 1, u - 1, v - 1), fade_u)
    return np.asarray(_blend(upper, lower, fade_v) / np.float32(_DEVIATION_OF_ONE_OCTAVE))


def fractal_noise(
    x: Coordinates,
    y: Coordinates,
    seed: int,
    stream: int,
    *,
    wavelength: float,
    octaves: int,
    gain: float = 0.5,
    finest: float = 0.0,
) -> Float:
    """Octaves of gradient noise, each half as wide and ``gain`` times as strong; mean 0, standard deviation about 1.

    :param x: Map coordinates (metres), broadcasting against ``y``.
    :param wavelength: Of the first octave, metres.
    :param finest: Octaves with a shorter wavelength (metres) are left out: a pixel grid cannot show them.
    """
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        scale = wavelength / 2**octave
        weight = gain**octave
        power += weight**2
        if octave and scale < finest:
            continue
        # Lattices of different octaves must not share corners, where gradient noise is always zero.
        shift = 0.37 + 0.618 * octave
        total += np.float32(weight) * gradient_noise(x / scale + shift, y / scale + 1.7 * shift, seed, stream, octave)
    return np.asarray(total / np.float32(np.sqrt(power)))


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def _fade(t: Float) -> Float:
    return np.asarray(t * t * t * (t * (t * np.float32(6) - np.float32(15)) + np.float32(10)))


def _blend(a: Float, b: Float, weight: Float) -> Float:
    return np.asarray(a + (b - a) * weight)

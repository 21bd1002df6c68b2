"""The surface of a window on a date: leaves, straw, soil, water, snow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError
from eotasks.models.simulation.dates import DateWeather, SimulationSettings
from eotasks.models.simulation.ground import Ground, field_traits
from eotasks.models.simulation.noise import fractal_noise
from eotasks.models.simulation.vegetation import ANCHOR_DAY, Cover, FieldTraits, canopy_on, keeps_anomaly

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

_MOISTURE, _SNOW, _VIGOUR = 402, 403, 404

SNOW_SPECTRUM: Float = np.array(
    [0.84, 0.85, 0.84, 0.83, 0.82, 0.81, 0.79, 0.77, 0.75, 0.68, 0.0, 0.10, 0.09], dtype=np.float32
)  # fresh to settled snow: Dozier (1989), Remote Sensing of Environment 28
ALGAE: Float = np.array(
    [0.0, 0.004, 0.022, 0.010, 0.018, 0.006, 0.006, 0.004, 0.003, 0.0, 0.0, 0.0, 0.0], dtype=np.float32
)
SOAKED: Float = np.array([0.20, 0.21, 0.23, 0.25, 0.26, 0.27, 0.28, 0.28, 0.29, 0.30, 0, 0.40, 0.46], dtype=np.float32)
"""What soaked soil loses, most beyond 1.4 um (Lobell & Asner 2002, Soil Science Society of America Journal 66)."""

_WINTER_WETNESS = 0.65
"""Soil moisture of the real scene, a thawing February day."""

_STANDING = FieldTraits(
    cover=np.array([Cover.EVERGREEN, Cover.BROADLEAF, Cover.GARDEN], dtype=np.int64),
    shift=np.zeros(3, dtype=np.float32),
    vigour=np.ones(3, dtype=np.float32),
    tone=np.ones(3, dtype=np.float32),
)
"""What stands for years, and has the same calendar everywhere."""


@dataclass(frozen=True)
class Window:
    """A piece of the plane, in the pixels of the ground."""

    x: Coordinates
    """(1, w) map coordinates of pixel centres."""
    y: Coordinates
    """(h, 1)"""
    rows: NDArray[np.int64]
    """(h, 1) rows of the scene, mirrored."""
    columns: NDArray[np.int64]
    """(1, w)"""
    field: NDArray[np.int64]
    """(h, w) index into ``traits``."""
    traits: FieldTraits


def pixels_of(
    ground: Ground, left: float, top: float, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of a window in the scene's grid, going on beyond its edges."""
    if height < 1 or width < 1:
        raise ConfigurationError(f"A window of {height} x {width} pixels: give at least one pixel.")
    size = ground.resolution
    rows = np.floor((ground.top - (top - (np.arange(height) + 0.5) * size)) / size).astype(np.int64)
    columns = np.floor((left + (np.arange(width) + 0.5) * size - ground.left) / size).astype(np.int64)
    return rows, columns


def window_of(ground: Ground, left: float, top: float, height: int, width: int) -> Window:
    """The window whose upper left corner lies at map coordinates (left, top), with the fields in it."""
    rows, columns = pixels_of(ground, left, top, height, width)
    size = ground.resolution
    row_copies, rows = mirrored(rows, ground.shape[0])
    column_copies, columns = mirrored(columns, ground.shape[1])
    labels = ground.labels[rows[:, None], columns]
    copies = np.broadcast_to(row_copies[:, None] * 1_000_003 + column_copies, labels.shape)
    used_copies, copy = np.unique(copies, return_inverse=True)
    count = len(ground.field_green)
    used, field = np.unique(copy.reshape(labels.shape) * count + labels, return_inverse=True)
    traits = field_traits(ground, used % count, used_copies[used // count])
    return Window(
        x=(left + (np.arange(width, dtype=np.float64) + 0.5) * size)[None, :],
        y=(top - (np.arange(height, dtype=np.float64) + 0.5) * size)[:, None],
        rows=rows[:, None],
        columns=columns[None, :],
        field=field.reshape(labels.shape),
        traits=traits,
    )


def mirrored(index: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which copy of the scene an index lies in, and where in the scene: every other copy is its mirror image."""
    copy, within = np.divmod(index, length)
    return copy, np.where(copy % 2 == 0, within, length - 1 - within)


def surface_of(ground: Ground, settings: SimulationSettings, weather: DateWeather, window: Window) -> Float:
    """(h, w, 13) surface reflectance of the ground on a date, without its snow."""
    at = (window.rows, window.columns)
    wood, built, water = ground.wood[at], ground.built[at], ground.water[at]
    needles = wood * ground.evergreen[at]
    leaves = wood - needles
    fields = np.clip(1 - wood - built - water, 0, 1)
    parts = (needles, leaves, built)
    standing, on_fields = canopy_on(weather.day, _STANDING), canopy_on(weather.day, window.traits)
    standing_then, on_fields_then = canopy_on(ANCHOR_DAY, _STANDING), canopy_on(ANCHOR_DAY, window.traits)
    usual = _weighted(parts, standing.green) + fields * on_fields.green[window.field]
    usual_then = _weighted(parts, standing_then.green) + fields * on_fields_then.green[window.field]
    summer = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * (weather.day - ANCHOR_DAY) / 365.25))
    patchy = fractal_noise(
        window.x, window.y, settings.seed, _VIGOUR, wavelength=700, octaves=4, finest=2 * ground.resolution
    )
    green = usual * (1 + np.float32(0.07) * summer * patchy)
    green = green + (ground.green[at] - usual_then) * np.float32(keeps_anomaly(weather.day))
    green = np.clip(green, 0, 0.97) * (1 - water)
    dry = _weighted(parts, standing.dry) + fields * on_fields.dry[window.field]
    dry = np.clip(dry, 0, 1 - green)
    land = np.maximum(1 - water, np.float32(0.05))
    canopy = (_weighted(parts, standing.spectrum) + fields[..., None] * on_fields.spectrum[window.field]) / land[
        ..., None
    ]
    litter = (_weighted(parts, standing.litter) + fields[..., None] * on_fields.litter[window.field]) / land[..., None]
    surface = ground.soil[at] * _wetting(ground, settings, weather, window, fields)
    surface *= (1 - green - dry)[..., None]
    surface += (green * ground.texture[at])[..., None] * canopy
    surface += dry[..., None] * litter
    surface += (water * summer)[..., None] * ALGAE
    return np.asarray(surface, dtype=np.float32)


def under_snow(surface: Float, snow_share: Float, spectrum: Float = SNOW_SPECTRUM) -> Float:
    """The surface (h, w, 13) with its snow.

    :param spectrum: (13,) or (h, w, 13) of the snow.
    """
    return np.asarray(surface + snow_share[..., None] * (spectrum - surface))


def _weighted(parts: tuple[Float, ...], values: Float) -> Float:
    """Sum of values (3,) or (3, 13) weighted by the parts (h, w), term by term: BLAS rounds by the window's shape."""
    terms = [(part[..., None] if values.ndim == 2 else part) * value for part, value in zip(parts, values, strict=True)]
    return np.asarray(terms[0] + terms[1] + terms[2])


def _wetting(
    ground: Ground, settings: SimulationSettings, weather: DateWeather, window: Window, fields: Float
) -> Float:
    """Factor (h, w, 13) from the soil of the scene's winter day to that of the date."""
    patchy = fractal_noise(
        window.x, window.y, settings.seed, _MOISTURE, wavelength=3000, octaves=4, finest=2 * ground.resolution
    )
    wet = np.clip(np.float32(weather.wetness) + np.float32(0.12) * patchy, 0, 1)
    change = (np.float32(_WINTER_WETNESS) - wet) * fields
    return np.asarray(1 + change[..., None] * (SOAKED / (1 - _WINTER_WETNESS * SOAKED)), dtype=np.float32)


def snow_share_of(ground: Ground, weather: DateWeather, window: Window) -> Float:
    """(h, w) share of the ground that is white seen from above; trees hide it, water has none."""
    at = (window.rows, window.columns)
    if weather.snow_depth <= 0:
        return np.zeros(np.broadcast_shapes(window.rows.shape, window.columns.shape), dtype=np.float32)
    cover = snow_cover(weather, window, ground.resolution)
    wood = ground.wood[at]
    hidden = wood * (np.float32(0.6) + np.float32(0.25) * ground.evergreen[at]) + np.float32(0.35) * ground.built[at]
    return np.asarray(cover * np.clip(1 - hidden, 0, 1) * (1 - ground.water[at]) * np.float32(0.96))


def snow_cover(weather: DateWeather, window: Window, resolution: float) -> Float:
    """(h, w) how closed the snow is on open ground, 0..1."""
    patchy = fractal_noise(
        window.x, window.y, weather.seed, _SNOW, wavelength=1800, octaves=6, gain=0.6, finest=2 * resolution
    )
    return np.asarray(
        np.clip((np.float32(weather.snow_depth) + np.float32(0.35) * patchy - np.float32(0.15)) / np.float32(0.6), 0, 1)
    )

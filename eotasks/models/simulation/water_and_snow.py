"""Waters that are muddy, frozen or white with foam, fields under water, and snow from fresh to old.

All spectra are of the surface, in the order of the 13 bands, rounded, and mixed by share of the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.models.simulation.dates import DateWeather, SimulationSettings
from eotasks.models.simulation.ground import Ground
from eotasks.models.simulation.noise import fractal_noise
from eotasks.models.simulation.surface import (
    SNOW_SPECTRUM,
    SOAKED,
    Window,
    snow_share_of,
    surface_of,
    under_snow,
)

Float = NDArray[np.float32]

FRESH_SNOW: Float = np.array(
    [0.985, 0.985, 0.98, 0.975, 0.965, 0.955, 0.935, 0.925, 0.91, 0.83, 0.0, 0.130, 0.12], dtype=np.float32
)
"""Grains of 100 um: Dozier (1989), Remote Sensing of Environment 28, 9-22, after Wiscombe & Warren (1980)."""

OLD_SNOW: Float = np.array(
    [0.76, 0.78, 0.80, 0.79, 0.77, 0.74, 0.70, 0.66, 0.63, 0.48, 0.0, 0.011, 0.010], dtype=np.float32
)
"""Grains of 1000 um (Dozier 1989), darkened by dust, most in blue (Warren & Wiscombe 1980, Journal of the Atmospheric
Sciences 37, 2734-2745)."""

CLEAR_ICE: Float = np.array(
    [0.070, 0.075, 0.080, 0.072, 0.066, 0.060, 0.055, 0.052, 0.045, 0.03, 0.0, 0.010, 0.008], dtype=np.float32
)
WHITE_ICE: Float = np.array(
    [0.38, 0.40, 0.42, 0.39, 0.36, 0.34, 0.31, 0.30, 0.26, 0.20, 0.0, 0.020, 0.015], dtype=np.float32
)
"""Clear ice below 10 %, frozen slush with its peak near 550 nm: Bolsenga (1983), Journal of Glaciology 29, 296-305."""

MUD: Float = np.array(
    [0.060, 0.075, 0.120, 0.155, 0.165, 0.130, 0.130, 0.115, 0.100, 0.04, 0.0, 0.008, 0.005], dtype=np.float32
)
"""Water full of silt, in the range of the estuary of Doxaran et al. (2002), Remote Sensing of Environment 81,
149-161."""

FOAM: Float = np.float32(0.55) * np.array(
    [1.0, 1.0, 1.0, 0.98, 0.92, 0.85, 0.75, 0.62, 0.58, 0.53, 0.0, 0.15, 0.05], dtype=np.float32
)
"""Surf loses 40 % at 0.85 um, 50 % at 1.02, 85 % at 1.65 and 95 % at 2.2 against the visible: Frouin, Schwindling &
Deschamps (1996), Journal of Geophysical Research 101, 14361-14371."""

SHALLOW_WATER: Float = np.array(
    [0.055, 0.065, 0.095, 0.110, 0.115, 0.118, 0.122, 0.120, 0.108, 0.06, 0.0, 0.030, 0.020], dtype=np.float32
)
"""A hand of brown water over soil and stubble, chosen so that the top of the atmosphere shows the flooded ground of
real frames: green 0.14 to 0.16, B08 0.11 to 0.14, B11 0.03 to 0.04."""

_MUD, _ICE, _WHITE, _BLOWN, _FOAM, _FLOOD, _AGE, _EXPOSED = 541, 542, 543, 544, 545, 546, 547, 548
_SURF_WIDTH = 60.0
_WET_SHORE = 50.0
_OPEN_WATER_WITHIN = 150.0
_FOAM_OF_SURF = 0.3
"""Share of foam from which a pixel of water is surf in truth."""


class WaterKind(IntEnum):
    """What kind of water covers at least half of a pixel in truth."""

    NONE = 0
    CLEAR = 1
    MUDDY = 2
    FLOODED = 3
    SURF = 4
    ICE = 5
    """Under snow too, as long as the pixel is water below."""


@dataclass(frozen=True)
class DaySurface:
    """The surface of a window on a date, and the truth about its water and snow."""

    surface: Float
    """(h, w, 13)"""

    water_kind: NDArray[np.uint8]
    """(h, w) WaterKind."""

    snow_share: Float
    """(h, w) of the pixel that is snow."""


def surface_on(ground: Ground, settings: SimulationSettings, weather: DateWeather, window: Window) -> DaySurface:
    """The ground of a window on a date with its waters and snow; what they do not touch keeps every bit."""
    surface, kind, ice = _with_waters(ground, weather, window, surface_of(ground, settings, weather, window))
    share = snow_share_of(ground, weather, window)
    if weather.snow_depth > 0:
        share = np.where(kind == WaterKind.FLOODED, np.float32(0), share) + _snow_on_ice(ground, weather, window, ice)
        surface = under_snow(surface, share, snow_spectrum(ground, weather, window))
    return DaySurface(surface, kind, share)


def _with_waters(
    ground: Ground, weather: DateWeather, window: Window, surface: Float
) -> tuple[Float, NDArray[np.uint8], Float]:
    """The surface with its waters, their kind, and the share of the pixel that is ice."""
    at = (window.rows, window.columns)
    water, made = ground.water[at], surface
    is_water = water >= 0.5
    kind = np.where(is_water, np.uint8(WaterKind.CLEAR), np.uint8(WaterKind.NONE))
    state = weather.conditions
    ice = np.zeros_like(water)
    if state.turbidity > 0:
        mud = np.clip(np.float32(state.turbidity) + np.float32(0.2) * _form(ground, weather, window, _MUD, 2500), 0, 1)
        made = _mixed(made, water * mud, MUD)
        kind[is_water & (mud >= 0.5)] = WaterKind.MUDDY
    if state.surf > 0:
        made, foam = _surf(ground, weather, window, made)
        kind[is_water & (foam >= _FOAM_OF_SURF)] = WaterKind.SURF
    if state.flooding > 0:
        flood = _flood(ground, weather, window)
        made = _mixed(made, flood * np.float32(0.9), SHALLOW_WATER)
        kind[~is_water & (flood >= 0.5)] = WaterKind.FLOODED
    if state.frost > 0:
        form = _form(ground, weather, window, _ICE, 2200)
        frozen = np.clip((np.float32(4 * (state.frost - 0.5)) + form) / np.float32(0.15) + 0.5, 0, 1)
        white = np.clip(np.float32(0.5) + np.float32(0.5) * _form(ground, weather, window, _WHITE, 900), 0, 1)
        ice = water * frozen
        made = _mixed(made, ice, CLEAR_ICE + white[..., None] * (WHITE_ICE - CLEAR_ICE))
        kind[is_water & (frozen >= 0.5)] = WaterKind.ICE
    return made, kind, ice


def _snow_on_ice(ground: Ground, weather: DateWeather, window: Window, ice: Float) -> Float:
    """(h, w) share of the ground that is snow on ice: the wind blows it off in places."""
    if not ice.any():
        return np.zeros_like(ice)
    form = _form(ground, weather, window, _BLOWN, 1200)
    cover = (np.float32(weather.snow_depth - 0.6) + np.float32(0.45) * form) / np.float32(0.5)
    return np.asarray(ice * np.clip(cover, 0, 1))


def snow_spectrum(ground: Ground, weather: DateWeather, window: Window) -> Float:
    """(13,) of the snow of the plain year, or (h, w, 13) by its age."""
    if weather.conditions.snow_age is None:
        return SNOW_SPECTRUM
    form = _form(ground, weather, window, _AGE, 2600)
    age = np.clip(np.float32(weather.conditions.snow_age) + np.float32(0.2) * form, 0, 1)
    return np.asarray(FRESH_SNOW + age[..., None] * (OLD_SNOW - FRESH_SNOW))


def _surf(ground: Ground, weather: DateWeather, window: Window, surface: Float) -> tuple[Float, Float]:
    """The surface with wet shores and foam, and the share of foam; along waters that are open enough for waves."""
    at = (window.rows, window.columns)
    size = ground.resolution
    is_water = ground.water >= 0.5
    open_water = ndimage.gaussian_filter(is_water.astype(np.float32), _OPEN_WATER_WITHIN / size, mode="reflect") > 0.35
    to_land, to_water = _distance(is_water, size), _distance(~(is_water & open_water), size)
    fields = np.clip(1 - ground.wood[at] - ground.built[at] - ground.water[at], 0, 1)
    wet = fields * (to_water[at] <= _WET_SHORE)
    made = surface * (1 - wet[..., None] * SOAKED)
    belt = np.clip(1.3 - to_land[at] / np.float32(_SURF_WIDTH), 0, 1) * (is_water & open_water)[at]
    broken = np.clip(np.float32(0.6) + np.float32(0.6) * _form(ground, weather, window, _FOAM, 300), 0, 1)
    exposed = np.clip(np.float32(0.5) + 2 * _form(ground, weather, window, _EXPOSED, 2500), 0, 1)
    foam = np.asarray(np.float32(weather.conditions.surf) * belt * broken * exposed, dtype=np.float32)
    return _mixed(made, foam, FOAM), foam


def _distance(inside: NDArray[np.bool_], size: float) -> Float:
    """Metres from a pixel inside to the nearest one outside, 0 outside; the plane goes on as its mirror image."""
    margin = int(np.ceil(2 * max(_SURF_WIDTH, _WET_SHORE) / size)) + 1
    margin = min(margin, *inside.shape)
    padded = np.pad(inside, margin, mode="symmetric")
    if padded.all():
        return np.full(inside.shape, np.inf, dtype=np.float32)
    distance = ndimage.distance_transform_edt(padded) * size
    return np.asarray(distance[margin:-margin, margin:-margin], dtype=np.float32)


def _flood(ground: Ground, weather: DateWeather, window: Window) -> Float:
    """(h, w) share under shallow water: fields where broad forms lie low, the same places on every date."""
    at = (window.rows, window.columns)
    fields = np.clip(1 - ground.wood[at] - ground.built[at] - ground.water[at], 0, 1)
    low = fractal_noise(
        window.x, window.y, ground.seed, _FLOOD, wavelength=1500, octaves=6, finest=2 * ground.resolution
    )
    level = np.float32(1.9 - 4.5 * weather.conditions.flooding)
    return np.asarray(fields * np.clip((low - level) / np.float32(0.25) + 0.5, 0, 1))


def _mixed(surface: Float, share: Float, spectrum: Float) -> Float:
    return np.asarray(surface + share[..., None] * (spectrum - surface))


def _form(ground: Ground, weather: DateWeather, window: Window, stream: int, wavelength: float) -> Float:
    return fractal_noise(
        window.x, window.y, weather.seed, stream, wavelength=wavelength, octaves=5, finest=2 * ground.resolution
    )

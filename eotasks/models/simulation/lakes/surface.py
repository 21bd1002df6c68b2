"""Draws lakes into the surface of a window: water over its bed, sediment, ice, snow on it, and the shore laid bare.

Over a shallow bed the reflectance of the water goes from that of the bed to that of deep water as exp(-2 K depth) (Lee
et al. 1998, Applied Optics 37, 6329-6338), K the absorption of pure water (Pope & Fry 1997, Applied Optics 36,
8710-8723; beyond 0.73 um Kou et al. 1993, Applied Optics 32, 3531-3540) and more for what a lake has in it, rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eotasks.models.simulation.dates import DateWeather
from eotasks.models.simulation.ground import Ground
from eotasks.models.simulation.lakes.basin import bed, reach
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.season import LakeOnDate, ice_cover, lake_on
from eotasks.models.simulation.noise import fractal_noise
from eotasks.models.simulation.surface import ALGAE, SOAKED, Window, snow_cover
from eotasks.models.simulation.vegetation import ANCHOR_DAY
from eotasks.models.simulation.water_and_snow import (
    CLEAR_ICE,
    MUD,
    WHITE_ICE,
    DaySurface,
    WaterKind,
    snow_spectrum,
)

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

DEEP_WATER: Float = np.array(
    [0.018, 0.021, 0.030, 0.018, 0.015, 0.011, 0.010, 0.008, 0.007, 0.005, 0.0, 0.003, 0.002], dtype=np.float32
)
"""A lake of middling clearness, chosen: darker than the muddy winter river of the scene, most in the near infrared."""

BARE_BED: Float = np.array(
    [0.075, 0.090, 0.115, 0.150, 0.165, 0.180, 0.190, 0.195, 0.205, 0.210, 0.0, 0.270, 0.230], dtype=np.float32
)
"""Dry sediment of the shore, chosen: the bare fields of the scene (a wet winter day), brighter as dry soil is."""

ATTENUATION: Float = np.array([0.9, 0.7, 0.5, 0.8, 1.1, 2.8, 2.8, 4.0, 5.0, 20, 100, 500, 2000], dtype=np.float32)
"""Per metre of water, one way."""

_MUD, _BLOWN = 621, 622
_DAMP = 0.6
"""Metres above the water over which the wetness of the bare shore falls to a third."""

_SUBPIXEL = 4.0
"""Metres: pixels of the shore are shared among land, bare shore and water by points at least so close, or three."""


@dataclass(frozen=True)
class _Shares:
    """What a lake covers of the pixels of its part of a window."""

    water: Float
    """(h, w) 0..1"""

    bare: Float
    """(h, w) of bare shore between the water and the outline of the full lake."""

    depth: Float
    """(h, w) metres, the mean where there is water."""

    above: Float
    """(h, w) metres of the bare shore above the water, the mean."""


@dataclass(frozen=True)
class DrawnLakes:
    """A window with its lakes."""

    land: DaySurface
    water: Float
    """(h, w) share of the pixel that is water or ice of the lakes, 0..1."""

    states: tuple[LakeOnDate, ...]


def with_lakes(
    land: DaySurface, ground: Ground, weather: DateWeather, window: Window, lakes: Sequence[Lake]
) -> DrawnLakes:
    """The surface of a window with its lakes, and the truth about them.

    Pixels that no basin touches keep every bit. Where lakes overlap, the later one lies on top.
    """
    made = DaySurface(land.surface.copy(), land.water_kind.copy(), land.snow_share.copy())
    covered = np.zeros(land.snow_share.shape, dtype=np.float32)
    states = []
    for lake in lakes:
        state = lake_on(lake, weather)
        states.append(state)
        corner = (float(window.x[0, 0]), float(window.y[0, 0]))
        part = _bed_in(lake, ground.resolution, corner, covered.shape)
        if part is not None:
            _draw(made, covered, ground, weather, _cut(window, part.rows, part.columns), lake, state, part)
    return DrawnLakes(made, covered, tuple(states))


@dataclass(frozen=True)
class _Part:
    """The part of a window that a lake's basin lies in."""

    rows: slice
    columns: slice
    bed: Float
    """(h, w, points) metres above the full level at points within each pixel."""


@lru_cache(maxsize=16)
def _bed_in(lake: Lake, size: float, corner: tuple[float, float], shape: tuple[int, int]) -> _Part | None:
    """The bed within a window: the same on every date, so kept.

    :param corner: Coordinates of the middle of the upper left pixel.
    """
    far = reach(lake) + size
    columns = _between((lake.x - far - corner[0]) / size, (lake.x + far - corner[0]) / size, shape[1])
    rows = _between((corner[1] - lake.y - far) / size, (corner[1] - lake.y + far) / size, shape[0])
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return None
    count = max(3, int(np.ceil(size / _SUBPIXEL)))
    inner = ((np.arange(count) + 0.5) / count - 0.5) * size
    x = corner[0] + np.arange(columns.start, columns.stop) * size
    y = corner[1] - np.arange(rows.start, rows.stop) * size
    at_x = (x[:, None] + inner)[None, :, None, :]
    at_y = (y[:, None] - inner)[:, None, :, None]
    heights = bed(lake, at_x, at_y)
    heights = heights.reshape(*heights.shape[:2], count * count)
    heights.setflags(write=False)
    return _Part(rows, columns, heights)


def _between(first: float, last: float, length: int) -> slice:
    return slice(max(0, int(np.floor(first))), min(length, int(np.ceil(last)) + 1))


def _cut(window: Window, rows: slice, columns: slice) -> Window:
    return replace(
        window, x=window.x[:, columns], y=window.y[rows], rows=window.rows[rows], columns=window.columns[:, columns],
        field=window.field[rows, columns],
    )  # fmt: skip


def _draw(
    made: DaySurface,
    covered: Float,
    ground: Ground,
    weather: DateWeather,
    window: Window,
    lake: Lake,
    state: LakeOnDate,
    part: _Part,
) -> None:
    """Draws one lake into the arrays."""
    at = (part.rows, part.columns)
    shares = _shares(part.bed, state.stage)
    land = 1 - shares.water - shares.bare
    touched = land < 1
    mud = _mud(state, weather, window, lake)
    ice = ice_cover(lake, weather, state.frost, window.x, window.y, shares.depth)
    white = _snow_on_ice(state, weather, window) * ice
    fallen = _snow_on_shore(weather, window, ground.resolution)
    snow = np.broadcast_to(snow_spectrum(ground, weather, window), (*ice.shape, MUD.size))
    water = _mixed(_mixed(_water(weather, shares.depth), mud, MUD), ice, _ice_spectrum(weather, window))
    water, shore = _mixed(water, white, snow), _mixed(_bare_shore(shares.above), fallen, snow)
    surface = made.surface[at]
    parts = land[..., None] * surface + shares.water[..., None] * water + shares.bare[..., None] * shore
    surface[touched] = parts[touched]
    share = made.snow_share[at]
    share[touched] = (land * share + shares.water * white + shares.bare * fallen)[touched]
    kind = made.water_kind[at]
    wet = np.select([ice >= 0.5, mud >= 0.5], [WaterKind.ICE, WaterKind.MUDDY], WaterKind.CLEAR).astype(np.uint8)
    kind[land < 0.5] = WaterKind.NONE
    kind[shares.water >= 0.5] = wet[shares.water >= 0.5]
    cover = covered[at]
    cover[touched] = np.maximum(shares.water, land * cover)[touched]


def _shares(heights: Float, stage: float) -> _Shares:
    wet = heights < stage
    bare = ~wet & (heights < 0)
    level = np.float32(stage)
    water, shore = wet.mean(axis=-1, dtype=np.float32), bare.mean(axis=-1, dtype=np.float32)
    depth = np.where(wet, level - heights, 0).mean(axis=-1, dtype=np.float32)
    above = np.where(bare, heights - level, 0).mean(axis=-1, dtype=np.float32)
    return _Shares(
        water=water,
        bare=shore,
        depth=np.divide(depth, water, out=np.zeros_like(depth), where=water > 0),
        above=np.divide(above, shore, out=np.zeros_like(above), where=shore > 0),
    )


def _water(weather: DateWeather, depth: Float) -> Float:
    """(h, w, 13) of water without sediment, over the soaked bed."""
    summer = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * (weather.day - ANCHOR_DAY) / 365.25))
    deep = DEEP_WATER + summer * ALGAE
    seen = np.exp(-2 * depth[..., None] * ATTENUATION)
    return np.asarray(deep + seen * (BARE_BED * (1 - SOAKED) - deep))


def _bare_shore(above: Float) -> Float:
    """(h, w, 13) of the bare shore, soaked at the water's edge and dry above it."""
    return np.asarray(BARE_BED * (1 - np.exp(-above / np.float32(_DAMP))[..., None] * SOAKED))


def _mud(state: LakeOnDate, weather: DateWeather, window: Window, lake: Lake) -> Float:
    """(h, w) how muddy the water is: in plumes."""
    shape = np.broadcast_shapes(window.x.shape, window.y.shape)
    if not state.turbidity:
        return np.zeros(shape, dtype=np.float32)
    plumes = fractal_noise(window.x, window.y, weather.seed, _MUD, wavelength=1.5 * lake.radius, octaves=5)
    return np.asarray(np.clip(np.float32(state.turbidity) + np.float32(0.12) * plumes, 0, 1))


def _ice_spectrum(weather: DateWeather, window: Window) -> Float:
    """(h, w, 13) from clear ice to white."""
    form = fractal_noise(window.x, window.y, weather.seed, _BLOWN, wavelength=900, octaves=5)
    white = np.clip(np.float32(0.5) + np.float32(0.5) * form, 0, 1)
    return np.asarray(CLEAR_ICE + white[..., None] * (WHITE_ICE - CLEAR_ICE))


def _snow_on_ice(state: LakeOnDate, weather: DateWeather, window: Window) -> Float:
    """(h, w) share of the ice that is white with snow: the wind blows it off in places."""
    shape = np.broadcast_shapes(window.x.shape, window.y.shape)
    if state.snow_on_ice <= 0:
        return np.zeros(shape, dtype=np.float32)
    form = fractal_noise(window.x, window.y, weather.seed, _BLOWN + 1, wavelength=1200, octaves=5)
    return np.asarray(
        np.clip((np.float32(2 * state.snow_on_ice - 0.6) + np.float32(0.45) * form) / np.float32(0.5), 0, 1)
    )


def _snow_on_shore(weather: DateWeather, window: Window, resolution: float) -> Float:
    """(h, w) share of the bare shore under snow, as on open fields."""
    if weather.snow_depth <= 0:
        return np.zeros(np.broadcast_shapes(window.x.shape, window.y.shape), dtype=np.float32)
    return np.asarray(snow_cover(weather, window, resolution) * np.float32(0.96))


def _mixed(surface: Float, share: Float, spectrum: Float) -> Float:
    return np.asarray(surface + share[..., None] * (spectrum - surface))

"""The state of a lake on a date: its level, its sediment, its ice. Truth, exact but for sums over cells."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from eotasks.models.simulation.dates import DateWeather
from eotasks.models.simulation.lakes.basin import area_at, nominal_area, polar_grid
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.noise import fractal_noise, gradient_noise, hash_uniform

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

FULL_DAY, LOW_DAY = 105.0, 285.0
"""Days of the year of the highest level and of the lowest: snow melt and rain fill the lake, summer draws it down."""

SLIGHTLY_FROZEN = 0.02
"""Share of the water from which ice makes a date partly frozen."""

MOSTLY_FROZEN = 0.5
"""Share of the water from which ice makes it frozen."""

_DATE, _CURVE, _ICE = 611, 612, 613
_YEAR = 365.25
_WOBBLE = 0.05
"""By how much weeks of rain and of drought move the level, a share of the range of the year."""


class LakeState(IntEnum):
    """What hinders the reading of a level on a date, clouds aside."""

    OPEN = 0
    TURBID = 1
    """Open, with sediment."""

    PARTLY_FROZEN = 2
    """Ice on a part of the water."""

    FROZEN = 3
    """Ice on at least half of it; snow may lie on the ice."""


@dataclass(frozen=True)
class LakeOnDate:
    """The truth about one lake on one date, the whole of it, whatever the window shows."""

    name: str
    time: dt.datetime
    stage: float
    """Metres of the level above that of the full lake."""

    level: float
    """Area under water, its ice among it, / area of the full lake."""

    turbidity: float
    """0 clear to 1 as muddy as an estuary, its mean."""

    ice: float
    """Share of the water under ice, 0..1."""

    snow_on_ice: float
    """0 for none to 1, where the ice is white all over but for what the wind blew off."""

    frost: float
    """How hard the frost is: where ``ice_cover`` lays ice; 0 for none."""

    @property
    def state(self) -> LakeState:
        if self.ice >= SLIGHTLY_FROZEN:
            return LakeState.FROZEN if self.ice >= MOSTLY_FROZEN else LakeState.PARTLY_FROZEN
        return LakeState.TURBID if self.turbidity > 0 else LakeState.OPEN


def stage_on(lake: Lake, day: float) -> float:
    """Metres of the level above the full lake: half a wave down from spring to autumn, half a wave up again.

    :param day: Of the year, 0 = 1 January 00:00.
    """
    since = (day - FULL_DAY) % _YEAR
    falling = LOW_DAY - FULL_DAY
    phase = since / falling if since < falling else 1 + (since - falling) / (_YEAR - falling)
    wobble = float(gradient_noise(np.array([day / 45.0]), np.array([0.37]), lake.seed, _CURVE)[0])
    drawn = float(np.clip(0.5 - 0.5 * np.cos(np.pi * phase) + _WOBBLE * wobble, 0, 1))
    return lake.depth * (lake.flood - (lake.flood + lake.drawdown) * drawn)


def lake_on(lake: Lake, weather: DateWeather) -> LakeOnDate:
    """The lake on the date of a weather.

    Sediment and ice are drawn from random numbers of their own, so that lakes change nothing else of the date.
    """
    draw = [float(hash_uniform(weather.seed, _DATE, lake.seed, stream)[0]) for stream in range(5)]
    stage = stage_on(lake, weather.day)
    frost = 0.3 + 0.9 * draw[1] if weather.is_cold and draw[0] < lake.frozen else 0.0
    return LakeOnDate(
        name=lake.name,
        time=weather.time,
        stage=stage,
        level=area_at(lake, stage) / nominal_area(lake),
        turbidity=0.3 + 0.6 * draw[3] if draw[2] < lake.turbid else 0.0,
        ice=_share_of_ice(lake, weather, stage, frost),
        snow_on_ice=max(1.4 * draw[4] - 0.4, min(weather.snow_depth, 1.0)) if frost else 0.0,
        frost=frost,
    )


def ice_cover(lake: Lake, weather: DateWeather, frost: float, x: Coordinates, y: Coordinates, depth: Float) -> Float:
    """Share of the water under ice: shallows freeze first.

    :param depth: Metres of water, of the shape that ``x`` and ``y`` broadcast to.
    """
    if not frost:
        return np.zeros_like(depth)
    form = fractal_noise(x, y, weather.seed, _ICE, wavelength=2.5 * lake.radius, octaves=5)
    shallow = np.float32(0.5) - depth / np.float32(lake.depth)
    return np.asarray(np.clip((np.float32(4 * (frost - 0.5)) + form + shallow) / np.float32(0.15) + 0.5, 0, 1))


def _share_of_ice(lake: Lake, weather: DateWeather, stage: float, frost: float) -> float:
    if not frost:
        return 0.0
    cells = polar_grid(lake)
    wet = slice(0, int(np.searchsorted(cells.bed, stage)))
    depth = (stage - cells.bed[wet]).astype(np.float32)
    cover = ice_cover(lake, weather, frost, cells.x[wet], cells.y[wet], depth)
    return float((cover * cells.area[wet]).sum() / cells.area[wet].sum())

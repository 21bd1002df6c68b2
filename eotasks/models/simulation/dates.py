"""What kind of year it is: settings, dates, and the weather of each date."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betaincinv, ndtri

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number, check_whole
from eotasks.models.simulation.noise import hash_integers, hash_uniform
from eotasks.models.simulation.realism import PLAIN, DateConditions, Realism, date_conditions
from eotasks.models.simulation.weather import CirrusLayer, CloudLayer
from eotasks.models.sun import sun_position

_OVERPASS = dt.time(10, 21, 1)
_FIRST_PASS = dt.date(2017, 2, 16)
_REPEAT_DAYS = 5
_DATE, _ORDER = 406, 407


@dataclass(frozen=True)
class SimulationSettings:
    """What kind of year it is."""

    seed: int = 42
    """The same seed gives the same year, whatever window, order, process or number of threads."""

    year: int = 2017
    """Calendar year of the acquisitions."""

    acquisitions: int = 12
    """Number of dates, spread evenly over the year."""

    snow: bool = False
    """Snow on the ground on winter dates."""

    cloudiness: float = 0.3
    """Mean share of the ground under opaque cloud, 0..0.95. Dates differ: many are clear, some are overcast."""

    cirrus: float = 0.25
    """Share of the dates with thin cirrus, 0..1."""

    haze: float = 0.13
    """Mean aerosol optical thickness at 550 nm, 0.03..0.6."""

    swath_edges: float = 0.2
    """Share of the dates on which the edge of the swath crosses the scene and leaves a wedge without data, 0..1."""

    realism: Realism = PLAIN
    """What makes masks hard: soft clouds in layers, haze, hills, muddy water and more; none of it by default."""

    def __post_init__(self) -> None:
        if not isinstance(self.realism, Realism):
            raise ConfigurationError(f"realism={self.realism!r}: give a Realism(...), REALISTIC or PLAIN.")
        # Plain ints: NumPy's cannot be written to JSON.
        for name, what, least in (("seed", "seed", 0), ("year", "year", 1950), ("acquisitions", "number of dates", 1)):
            object.__setattr__(self, name, check_whole(getattr(self, name), name, what, at_least=least))
        if self.year > 2100:
            raise ConfigurationError(f"year={self.year}: give a year from 1950 to 2100.")
        for name, low, high in (("cloudiness", 0, 0.95), ("cirrus", 0, 1), ("haze", 0.03, 0.6), ("swath_edges", 0, 1)):
            check_number(getattr(self, name), name, "share", lowest=low, highest=high)


@dataclass(frozen=True)
class DateWeather:
    """What is the same all over the plane on one date."""

    time: dt.datetime
    day: float
    """Day of the year, 0 = 1 January 00:00."""

    sun_zenith: float
    sun_azimuth: float
    clouds: CloudLayer
    cirrus: CirrusLayer
    aerosol: float
    vapour_transmission: float
    wetness: float
    """Soil moisture, 0 (dry) to 1 (soaked)."""

    snow_depth: float
    """0 for none, above about 1 everything but trees and water is white."""

    swath_edge: float | None
    """Where the swath's edge cuts the scene's upper side, as a share of its width; None: not at all."""

    seed: int

    conditions: DateConditions = field(default_factory=DateConditions)
    """What the options of realism make of it."""

    @property
    def is_cold(self) -> bool:
        """Whether the date lies in the cold of the winter."""
        return _is_cold(self.day)


def acquisition_times(settings: SimulationSettings) -> list[dt.datetime]:
    """Times of the acquisitions, UTC without time zone, in order.

    Evenly spread over the year and moved back to a pass of the sample's orbit (every 5 days, 10:21:01), each to another
    one; more dates than the 73 passes of a year stay where they are.
    """
    start = dt.date(settings.year, 1, 1)
    days = (dt.date(settings.year + 1, 1, 1) - start).days
    spacing = days / settings.acquisitions
    phase = (_FIRST_PASS - start).days % _REPEAT_DAYS
    times = []
    for index in range(settings.acquisitions):
        day = (index + 0.5) * spacing
        if spacing >= _REPEAT_DAYS:
            # The first date may lie before the first pass: then it moves forward, and so do those it would fall on.
            number = max(int((day - phase) // _REPEAT_DAYS), index)
            times.append(dt.datetime.combine(start + dt.timedelta(days=phase + number * _REPEAT_DAYS), _OVERPASS))
        else:
            times.append(dt.datetime.combine(start, dt.time()) + dt.timedelta(seconds=round(day * 86_400)))
    return times


@functools.lru_cache(maxsize=1024)
def date_weather(settings: SimulationSettings, index: int, latitude: float, longitude: float) -> DateWeather:
    """The weather of one date.

    Cloud covers are the quantiles of a Beta distribution in random order, so that every year has clear and overcast
    dates in the right proportion, however few dates there are.

    :param index: Of the date, 0 to acquisitions - 1.
    :raises ConfigurationError: for another index.
    """
    count = settings.acquisitions
    if not 0 <= index < count:
        raise ConfigurationError(f"Date {index} of {count}: give 0 to {count - 1}.")
    time = acquisition_times(settings)[index]
    day = (time - dt.datetime(time.year, 1, 1)).total_seconds() / 86_400  # noqa: DTZ001 - both are naive UTC
    zenith, azimuth = sun_position(time, latitude, longitude)
    draw = [float(hash_uniform(settings.seed, _DATE, index, stream)[0]) for stream in range(12)]
    cover = _cloud_cover(settings, index)
    summer = 0.5 - 0.5 * np.cos(2 * np.pi * (day - 20) / 365.25)
    layered = draw[0] < 0.35 or cover > 0.75
    seed = int(hash_integers(settings.seed, _DATE, index, 99)[0] >> np.uint64(1))
    clouds = CloudLayer(
        cover=cover,
        height=(900 + 900 * draw[1]) if layered else (900 + 600 * summer + 900 * draw[1]),
        wavelength=(9000 + 5000 * draw[2]) if layered else (2600 + 2600 * draw[2]),
        sharpness=(2.5 + 1.5 * draw[3]) if layered else (5 + 3 * draw[3]),
        seed=seed,
    )
    has_cirrus = _ranked(settings, index, 1) < settings.cirrus
    cirrus = CirrusLayer(0.02 + 0.05 * draw[4] if has_cirrus else 0.0, 180 * draw[5], seed)
    return DateWeather(
        time=time,
        day=day,
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        clouds=clouds,
        cirrus=cirrus,
        aerosol=float(np.clip(settings.haze * (0.75 + 0.35 * summer) * np.exp(0.4 * ndtri(draw[6])), 0.03, 0.6)),
        vapour_transmission=0.25 + 0.11 * draw[7],
        wetness=float(np.clip(0.62 - 0.4 * summer + 0.5 * (draw[8] - 0.5), 0.0, 1.0)),
        snow_depth=(0.6 + 1.0 * draw[9]) if settings.snow and _is_cold(day) else 0.0,
        swath_edge=0.3 + 0.65 * draw[10] if _ranked(settings, index, 2) < settings.swath_edges else None,
        seed=seed,
        conditions=date_conditions(
            settings.realism,
            clouds,
            cold=_is_cold(day),
            snowy=settings.snow and _is_cold(day),
            rank=lambda stream: _ranked(settings, index, stream),
            draw=lambda stream: float(hash_uniform(settings.seed, _DATE, index, stream)[0]),
        ),
    )


def _is_cold(day: float) -> bool:
    """Within 45 days of 21 January."""
    return abs((day + 180) % 365.25 - 180 - 20) < 45


def _ranked(settings: SimulationSettings, index: int, stream: int) -> float:
    """Place of a date in a random order of all dates, as a quantile in (0, 1)."""
    order = hash_integers(settings.seed, _ORDER, stream, np.arange(settings.acquisitions))
    return (int((order < order[index]).sum()) + 0.5) / settings.acquisitions


def _cloud_cover(settings: SimulationSettings, index: int) -> float:
    if settings.cloudiness == 0:
        return 0.0
    # A Beta distribution with two horns: skies are mostly clear or mostly overcast.
    a, b = 1.2 * settings.cloudiness, 1.2 * (1 - settings.cloudiness)
    cover = float(betaincinv(a, b, _ranked(settings, index, 0)))
    return cover if cover > 0.005 else 0.0

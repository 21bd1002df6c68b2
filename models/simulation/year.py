"""A year of acquisitions over the ground of one real scene, with the truth beside every pixel.

Everything random is a function of the seed, the date and absolute map coordinates, so windows may be made in any order
and process, and fit. Beyond the real scene the ground goes on as its mirror image, without end.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from models.errors import ConfigurationError
from models.sentinel2 import BANDS, QUANTIFICATION
from models.simulation.ground import Ground, field_traits
from models.simulation.noise import fractal_noise, hash_integers, hash_uniform
from models.simulation.radiation import CIRRUS, clear_atmosphere
from models.simulation.vegetation import ANCHOR_DAY, Cover, FieldTraits, canopy_on, keeps_anomaly
from models.simulation.weather import (
    CIRRUS_B10,
    CIRRUS_SPECTRUM,
    CLOUD_OPACITY,
    SHADOW_DEPTH,
    CirrusLayer,
    CloudLayer,
    shadow_offset,
)
from models.sun import sun_position

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
Coordinates = NDArray[np.float64]

SWATH_WIDTH = 290_000.0
"""Metres, Sentinel-2 User Handbook."""

TRACK_TILT = 13.0
"""Degrees by which the swath's edges lean to the west of south at middle latitudes (descending orbit)."""

_SWATH_PERIOD = 330_000.0
_OVERPASS = dt.time(10, 21, 1)
_FIRST_PASS = dt.date(2017, 2, 16)
_REPEAT_DAYS = 5
_LONGEST_SHADOW_ZENITH = 80.0
_HAZE, _MOISTURE, _SNOW, _VIGOUR, _NOISE, _DATE, _ORDER = 401, 402, 403, 404, 405, 406, 407

_SNOW_SPECTRUM: Float = np.array(
    [0.84, 0.85, 0.84, 0.83, 0.82, 0.81, 0.79, 0.77, 0.75, 0.68, 0.0, 0.10, 0.09], dtype=np.float32
)  # fresh to settled snow: Dozier (1989), Remote Sensing of Environment 28
_ALGAE: Float = np.array(
    [0.0, 0.004, 0.022, 0.010, 0.018, 0.006, 0.006, 0.004, 0.003, 0.0, 0.0, 0.0, 0.0], dtype=np.float32
)
_WETNESS: Float = np.array(
    [0.20, 0.21, 0.23, 0.25, 0.26, 0.27, 0.28, 0.28, 0.29, 0.30, 0, 0.40, 0.46], dtype=np.float32
)
"""How much of a band wet soil loses: stronger beyond 1.4 um (Lobell & Asner 2002, Soil Science Society of America J. 66)."""

_B10_OF_CLEAR_SKY = 0.0011
_NOISE_DEVIATION = np.array([4, 6, 5, 5, 6, 6, 7, 7, 7, 3, 1.2, 6, 6], dtype=np.float32) / QUANTIFICATION


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

    def __post_init__(self) -> None:
        if self.acquisitions < 1 or not 1950 <= self.year <= 2100:
            raise ConfigurationError(
                f"acquisitions={self.acquisitions}, year={self.year}: give at least 1 acquisition and a year 1950..2100."
            )
        for name, low, high in (("cloudiness", 0, 0.95), ("cirrus", 0, 1), ("haze", 0.03, 0.6), ("swath_edges", 0, 1)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(f"{name}={value!r}: give a number from {low} to {high}.")


@dataclass(frozen=True)
class SimulatedAcquisition:
    """One date over one window, and the truth about it."""

    bands: Float
    """(h, w, 13) top-of-atmosphere reflectance in steps of 1/10000; 0 in all bands where there is no data."""

    is_data: Mask
    """(h, w) False beyond the edge of the swath."""

    cloud: Mask
    """(h, w) opaque cloud (opacity >= 0.35); fainter cloud edges are in no mask."""

    cirrus: Mask
    """(h, w) thin cirrus (B10 reflectance >= 0.012)."""

    shadow: Mask
    """(h, w) cloud shadow on ground that no opaque cloud hides."""

    snow: Mask
    """(h, w) snow covers at least half of the ground, seen or hidden."""

    sun_zenith: float
    """Degrees."""

    sun_azimuth: float
    """Degrees clockwise from north."""


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
    """Distance of the swath's edge from the ground's left edge at its upper edge, as a share of its width; None: no edge."""

    seed: int


def acquisition_times(settings: SimulationSettings) -> list[dt.datetime]:
    """Times of the acquisitions, UTC without time zone, in order.

    Evenly spread over the year and moved to the nearest real pass of the sample's orbit (every 5 days, 10:21:01) while
    that leaves all dates different; more than 73 dates a year stay where they are.
    """
    start = dt.date(settings.year, 1, 1)
    days = (dt.date(settings.year + 1, 1, 1) - start).days
    spacing = days / settings.acquisitions
    phase = (_FIRST_PASS - start).days % _REPEAT_DAYS
    times = []
    for index in range(settings.acquisitions):
        day = (index + 0.5) * spacing
        if spacing >= _REPEAT_DAYS:
            # Half a repeat cycle at most, so that dates five days apart or more cannot fall together.
            passes = int((day - phase) // _REPEAT_DAYS)
            day = float(min(max(phase + passes * _REPEAT_DAYS, phase), days - 1))
            times.append(dt.datetime.combine(start + dt.timedelta(days=int(day)), _OVERPASS))
        else:
            times.append(dt.datetime.combine(start, dt.time()) + dt.timedelta(seconds=round(day * 86_400)))
    return times


@functools.lru_cache(maxsize=1024)
def date_weather(settings: SimulationSettings, index: int, latitude: float, longitude: float) -> DateWeather:
    """The weather of one date.

    Cloud covers are the quantiles of a Beta distribution in random order, so that every year has clear and overcast dates
    in the right proportion however few dates there are.

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
    cold = settings.snow and abs((day + 180) % 365.25 - 180 - 20) < 45
    return DateWeather(
        time=time,
        day=day,
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        clouds=clouds,
        cirrus=cirrus,
        aerosol=float(np.clip(settings.haze * np.exp(0.45 * ndtri(draw[6])), 0.03, 0.6)),
        vapour_transmission=0.25 + 0.11 * draw[7],
        wetness=float(np.clip(0.62 - 0.4 * summer + 0.5 * (draw[8] - 0.5), 0.0, 1.0)),
        snow_depth=(0.6 + 1.0 * draw[9]) if cold else 0.0,
        swath_edge=0.25 + 0.5 * draw[10] if _ranked(settings, index, 2) < settings.swath_edges else None,
        seed=seed,
    )


def simulate(
    ground: Ground, settings: SimulationSettings, time_index: int, left: float, top: float, height: int, width: int
) -> SimulatedAcquisition:
    """One date over one window of the plane.

    :param ground: From prepare_ground; its resolution is that of the window.
    :param time_index: Index in acquisition_times(settings).
    :param left: Map coordinate of the window's left edge, metres.
    :param top: Map coordinate of its upper edge, metres.
    :param height: Pixels.
    :param width: Pixels.
    :raises ConfigurationError: for an index without a date, or an empty window.
    """
    weather = date_weather(settings, time_index, ground.latitude, ground.longitude)
    window = _window(ground, left, top, height, width)
    x, y, size = window.x, window.y, ground.resolution
    surface = _surface(ground, settings, weather, window)
    snow_share = _snow_share(ground, weather, window)
    if weather.snow_depth > 0:
        surface += snow_share[..., None] * (_SNOW_SPECTRUM - surface)
    layer = weather.clouds
    opacity = layer.opacity(x, y, size)
    east, north = shadow_offset(layer.height, weather.sun_zenith, weather.sun_azimuth)
    shade = layer.opacity(x - east, y - north, size)
    # Under a broken sky most skylight still arrives; under overcast it is the cloud's own dim light.
    sky = 1 - np.float32(0.35 + 0.4 * layer.cover) * shade
    atmosphere = clear_atmosphere(weather.sun_zenith, weather.aerosol, weather.vapour_transmission)
    seen = atmosphere.to_top(surface, (1 - np.float32(0.97) * shade)[..., None], sky[..., None])
    seen += _haze_patches(weather, window, size)[..., None] * (np.float32(0.35) * atmosphere.gas - seen)
    if layer.cover > 0:
        bright = layer.brightness(x, y, size, weather.sun_azimuth)[..., None] * ground.cloud_spectrum
        seen += opacity[..., None] * (bright - seen)
    ice = weather.cirrus.reflectance(x, y, size)
    seen = ice[..., None] * CIRRUS_SPECTRUM + seen * np.square(1 - ice)[..., None]
    seen[..., CIRRUS] = _B10_OF_CLEAR_SKY + opacity * np.float32(0.0012) + ice * CIRRUS_SPECTRUM[CIRRUS]
    seen += _sensor_noise(weather, window) * _NOISE_DEVIATION
    is_data = _swath(ground, weather, x, y)
    # 1 DN is the darkest that data can be: 0 in all bands means no data.
    steps = np.clip(np.rint(seen * QUANTIFICATION), 1, 28_000).astype(np.float32)
    bands = steps / np.float32(QUANTIFICATION)
    bands[~is_data] = 0
    cloud = opacity >= CLOUD_OPACITY
    return SimulatedAcquisition(
        bands=bands,
        is_data=is_data,
        cloud=cloud & is_data,
        cirrus=(ice * CIRRUS_SPECTRUM[CIRRUS] >= CIRRUS_B10) & is_data,
        shadow=(shade >= SHADOW_DEPTH) & ~cloud & is_data,
        snow=(snow_share >= 0.5) & is_data,
        sun_zenith=weather.sun_zenith,
        sun_azimuth=weather.sun_azimuth,
    )


def reconstructed(ground: Ground, left: float, top: float, height: int, width: int) -> Mask:
    """(height, width) where the ground is made up: it lay under real clouds or shadows, or beyond the real data."""
    window = _window(ground, left, top, height, width)
    return ground.reconstructed[window.rows, window.columns] | ~ground.is_data[window.rows, window.columns]


def real_extent(ground: Ground, left: float, top: float, height: int, width: int) -> Mask:
    """(height, width) True inside the real scene, False where its mirror image stands in."""
    rows, columns = _pixels(ground, left, top, height, width)
    return ((rows >= 0) & (rows < ground.shape[0]))[:, None] & ((columns >= 0) & (columns < ground.shape[1]))[None, :]


@dataclass(frozen=True)
class _Window:
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


def _pixels(
    ground: Ground, left: float, top: float, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of a window in the scene's grid, going on beyond its edges."""
    if height < 1 or width < 1:
        raise ConfigurationError(f"A window of {height} x {width} pixels: give at least one pixel.")
    size = ground.resolution
    rows = np.floor((ground.top - (top - (np.arange(height) + 0.5) * size)) / size).astype(np.int64)
    columns = np.floor((left + (np.arange(width) + 0.5) * size - ground.left) / size).astype(np.int64)
    return rows, columns


def _window(ground: Ground, left: float, top: float, height: int, width: int) -> _Window:
    rows, columns = _pixels(ground, left, top, height, width)
    size = ground.resolution
    row_copies, rows = _mirrored(rows, ground.shape[0])
    column_copies, columns = _mirrored(columns, ground.shape[1])
    labels = ground.labels[rows[:, None], columns]
    copies = np.broadcast_to(row_copies[:, None] * 1_000_003 + column_copies, labels.shape)
    used_copies, copy = np.unique(copies, return_inverse=True)
    count = len(ground.field_green)
    used, field = np.unique(copy.reshape(labels.shape) * count + labels, return_inverse=True)
    traits = field_traits(ground, used % count, used_copies[used // count])
    return _Window(
        x=left + (np.arange(width)[None, :] + 0.5) * size,
        y=top - (np.arange(height)[:, None] + 0.5) * size,
        rows=rows[:, None],
        columns=columns[None, :],
        field=field.reshape(labels.shape),
        traits=traits,
    )


def _mirrored(index: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    copy, within = np.divmod(index, length)
    return copy, np.where(copy % 2 == 0, within, length - 1 - within)


def _surface(ground: Ground, settings: SimulationSettings, weather: DateWeather, window: _Window) -> Float:
    """(h, w, 13) surface reflectance of the ground on a date, without snow."""
    at = (window.rows, window.columns)
    wood, built, water = ground.wood[at], ground.built[at], ground.water[at]
    needles = wood * ground.evergreen[at]
    leaves = wood - needles
    fields = np.clip(1 - wood - built - water, 0, 1)
    parts = np.stack([needles, leaves, built], axis=-1)
    permanent = FieldTraits(
        np.array([Cover.EVERGREEN, Cover.BROADLEAF, Cover.GARDEN]), *np.float32([[0] * 3, [1] * 3, [1] * 3])
    )
    standing, on_fields = canopy_on(weather.day, permanent), canopy_on(weather.day, window.traits)
    standing_then, on_fields_then = canopy_on(ANCHOR_DAY, permanent), canopy_on(ANCHOR_DAY, window.traits)
    usual = parts @ standing.green + fields * on_fields.green[window.field]
    usual_then = parts @ standing_then.green + fields * on_fields_then.green[window.field]
    summer = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * (weather.day - ANCHOR_DAY) / 365.25))
    patchy = fractal_noise(
        window.x, window.y, settings.seed, _VIGOUR, wavelength=700, octaves=4, finest=2 * ground.resolution
    )
    green = usual * (1 + np.float32(0.07) * summer * patchy)
    green = green + (ground.green[at] - usual_then) * np.float32(keeps_anomaly(weather.day))
    green = np.clip(green, 0, 0.97) * (1 - water)
    dry = parts @ standing.dry + fields * on_fields.dry[window.field]
    dry = np.clip(dry, 0, 1 - green)
    land = np.maximum(1 - water, np.float32(0.05))
    canopy = (parts @ standing.spectrum + fields[..., None] * on_fields.spectrum[window.field]) / land[..., None]
    litter = (parts @ standing.litter + fields[..., None] * on_fields.litter[window.field]) / land[..., None]
    surface = ground.soil[at] * _wetting(ground, settings, weather, window, fields)
    surface *= (1 - green - dry)[..., None]
    surface += (green * ground.texture[at])[..., None] * canopy
    surface += dry[..., None] * litter
    surface += (water * summer)[..., None] * _ALGAE
    return surface


def _wetting(
    ground: Ground, settings: SimulationSettings, weather: DateWeather, window: _Window, fields: Float
) -> Float:
    """Factor (h, w, 13) from the soil of the scene's winter day to that of the date."""
    patchy = fractal_noise(
        window.x, window.y, settings.seed, _MOISTURE, wavelength=3000, octaves=4, finest=2 * ground.resolution
    )
    wet = np.clip(np.float32(weather.wetness) + np.float32(0.12) * patchy, 0, 1)
    change = (np.float32(_WINTER_WETNESS) - wet) * fields
    return 1 + change[..., None] * (_WETNESS / (1 - _WINTER_WETNESS * _WETNESS))


_WINTER_WETNESS = 0.65
"""Soil moisture of the real scene, a thawing February day."""


def _snow_share(ground: Ground, weather: DateWeather, window: _Window) -> Float:
    """(h, w) share of the ground that is white seen from above; trees hide it, water has none."""
    at = (window.rows, window.columns)
    if weather.snow_depth <= 0:
        return np.zeros(np.broadcast_shapes(window.rows.shape, window.columns.shape), dtype=np.float32)
    patchy = fractal_noise(
        window.x, window.y, weather.seed, _SNOW, wavelength=1800, octaves=6, gain=0.6, finest=2 * ground.resolution
    )
    cover = np.clip(
        (np.float32(weather.snow_depth) + np.float32(0.35) * patchy - np.float32(0.15)) / np.float32(0.6), 0, 1
    )
    wood = ground.wood[at]
    hidden = wood * (np.float32(0.6) + np.float32(0.25) * ground.evergreen[at]) + np.float32(0.35) * ground.built[at]
    return cover * np.clip(1 - hidden, 0, 1) * (1 - ground.water[at]) * np.float32(0.96)


def _haze_patches(weather: DateWeather, window: _Window, resolution: float) -> Float:
    form = fractal_noise(window.x, window.y, weather.seed, _HAZE, wavelength=16_000, octaves=4, finest=2 * resolution)
    return np.maximum(form, 0) * np.float32(0.05 * weather.aerosol)


def _sensor_noise(weather: DateWeather, window: _Window) -> Float:
    """(h, w, 13) about normal, deviation 1: the sum of four 16-bit numbers out of one hash."""
    step = float(window.x[0, 1] - window.x[0, 0]) if window.x.shape[1] > 1 else 10.0
    rows, columns = np.floor(window.y / step).astype(np.int64), np.floor(window.x / step).astype(np.int64)
    pixel = hash_integers(weather.seed, _NOISE, rows, columns)
    bits = hash_integers(weather.seed, pixel.view(np.int64)[..., None], np.arange(len(BANDS)))
    parts = bits.view(np.uint16).reshape(*bits.shape, 4).astype(np.float32).sum(axis=-1)
    return (parts - np.float32(2 * 65_535)) / np.float32(65_535 / np.sqrt(3))


def _swath(ground: Ground, weather: DateWeather, x: Coordinates, y: Coordinates) -> Mask:
    """True inside the swath; its eastern edge crosses the scene, the next swath begins 40 km further east."""
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=np.bool_)
    if weather.swath_edge is None:
        return inside
    tilt = np.radians(TRACK_TILT)
    east = (x - ground.left) * np.cos(tilt) - (y - ground.top) * np.sin(tilt)
    edge = weather.swath_edge * ground.shape[1] * ground.resolution
    return inside & ((edge - east) % _SWATH_PERIOD < SWATH_WIDTH)


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

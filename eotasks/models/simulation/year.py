"""A year of acquisitions over the ground of one real scene, with the truth beside every pixel.

Everything random is a function of the seed, the date and absolute map coordinates, so windows may be made in any order
and process, and fit. Beyond the real scene the ground goes on as its mirror image, without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.models.simulation.dates import DateWeather, SimulationSettings, acquisition_times, date_weather
from eotasks.models.simulation.ground import Ground, prepare_ground
from eotasks.models.simulation.noise import fractal_noise, hash_integers
from eotasks.models.simulation.radiation import CIRRUS, clear_atmosphere
from eotasks.models.simulation.surface import Window, snow_share_of, surface_of, window_of
from eotasks.models.simulation.weather import CIRRUS_B10, CIRRUS_SPECTRUM, CLOUD_OPACITY, SHADOW_DEPTH, shadow_offset

__all__ = [
    "Ground",
    "SimulatedAcquisition",
    "SimulationSettings",
    "acquisition_times",
    "date_weather",
    "prepare_ground",
    "reconstructed",
    "simulate",
]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
Coordinates = NDArray[np.float64]

SWATH_WIDTH = 290_000.0
"""Metres, Sentinel-2 User Handbook."""

TRACK_TILT = 13.0
"""Degrees by which the swath's edges lean to the west of south at middle latitudes (descending orbit)."""

_SWATH_PERIOD = 330_000.0
_HAZE, _NOISE = 401, 405
_B10_OF_CLEAR_SKY = 0.0011
_NOISE_DEVIATION = np.array([4, 6, 5, 5, 6, 6, 7, 7, 7, 3, 1.2, 6, 6], dtype=np.float32) / np.float32(QUANTIFICATION)
_DIRECT_THROUGH_CLOUD = np.float32(0.16)
"""Share of the direct sunlight that reaches the ground through an opaque cloud, scattered forward."""

_HAZE_COLOUR = np.float32(0.35)
_HIGHEST_DN = 28_000


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
    window = window_of(ground, left, top, height, width)
    x, y, size = window.x, window.y, ground.resolution
    snow_share = snow_share_of(ground, weather, window)
    surface = surface_of(ground, settings, weather, window, snow_share)
    layer = weather.clouds
    opacity = layer.opacity(x, y, size)
    east, north = shadow_offset(layer.height, weather.sun_zenith, weather.sun_azimuth)
    shade = layer.opacity(x - east, y - north, size)
    # Under a broken sky most skylight still arrives; under overcast it is the cloud's own dim light.
    sky = 1 - np.float32(0.12 + 0.35 * layer.cover) * shade
    sunlit = 1 - (1 - _DIRECT_THROUGH_CLOUD) * shade
    atmosphere = clear_atmosphere(weather.sun_zenith, weather.aerosol, weather.vapour_transmission)
    seen = atmosphere.to_top(surface, sunlit[..., None], sky[..., None])
    seen += _haze_patches(weather, window, size)[..., None] * (_HAZE_COLOUR * atmosphere.gas - seen)
    if layer.cover > 0:
        bright = layer.brightness(x, y, size, weather.sun_azimuth)[..., None] * ground.cloud_spectrum
        seen += opacity[..., None] * (bright - seen)
    ice = weather.cirrus.reflectance(x, y, size)
    seen = ice[..., None] * CIRRUS_SPECTRUM + seen * np.square(1 - ice)[..., None]
    seen[..., CIRRUS] = _B10_OF_CLEAR_SKY + opacity * np.float32(0.0012) + ice * CIRRUS_SPECTRUM[CIRRUS]
    seen += _sensor_noise(weather, window, size) * _NOISE_DEVIATION
    is_data = _swath(ground, weather, x, y)
    # 1 DN is the darkest that data can be: 0 in all bands means no data.
    steps = np.clip(np.rint(seen * QUANTIFICATION), 1, _HIGHEST_DN).astype(np.float32)
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
    window = window_of(ground, left, top, height, width)
    at = (window.rows, window.columns)
    return np.asarray(ground.reconstructed[at] | ~ground.is_data[at])


def _haze_patches(weather: DateWeather, window: Window, resolution: float) -> Float:
    form = fractal_noise(window.x, window.y, weather.seed, _HAZE, wavelength=16_000, octaves=4, finest=2 * resolution)
    return np.asarray(np.maximum(form, 0) * np.float32(0.05 * weather.aerosol))


def _sensor_noise(weather: DateWeather, window: Window, resolution: float) -> Float:
    """(h, w, 13) about normal, deviation 1: the sum of four 16-bit numbers out of one hash."""
    rows = np.floor(window.y / resolution).astype(np.int64)
    columns = np.floor(window.x / resolution).astype(np.int64)
    pixel = hash_integers(weather.seed, _NOISE, rows, columns)
    bits = hash_integers(weather.seed, pixel.view(np.int64)[..., None], np.arange(len(BANDS)))
    parts = bits.view(np.uint16).reshape(*bits.shape, 4).astype(np.float32).sum(axis=-1)
    return np.asarray((parts - np.float32(2 * 65_535)) / np.float32(65_535 / np.sqrt(3)), dtype=np.float32)


def _swath(ground: Ground, weather: DateWeather, x: Coordinates, y: Coordinates) -> Mask:
    """True inside the swath; its eastern edge crosses the scene, the next swath begins 40 km further east."""
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=np.bool_)
    if weather.swath_edge is None:
        return inside
    tilt = np.radians(TRACK_TILT)
    east = (x - ground.left) * np.cos(tilt) - (y - ground.top) * np.sin(tilt)
    edge = weather.swath_edge * ground.shape[1] * ground.resolution
    return np.asarray(inside & ((edge - east) % _SWATH_PERIOD < SWATH_WIDTH))

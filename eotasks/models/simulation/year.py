"""A year of acquisitions over the ground of one real scene, with the truth beside every pixel.

Everything random is a function of the seed, the date and absolute map coordinates, so windows may be made in any order
and process, and fit. Beyond the real scene the ground goes on as its mirror image, without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.models.simulation.dates import DateWeather, SimulationSettings, acquisition_times, date_weather
from eotasks.models.simulation.ground import Ground, prepare_ground
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.season import LakeOnDate
from eotasks.models.simulation.lakes.surface import with_lakes
from eotasks.models.simulation.noise import fractal_noise, hash_integers
from eotasks.models.simulation.radiation import CIRRUS, clear_atmosphere
from eotasks.models.simulation.realism import PLAIN, REALISTIC, Realism
from eotasks.models.simulation.sky import Place, opaque_clouds, soft_clouds, under_veil
from eotasks.models.simulation.surface import Window, window_of
from eotasks.models.simulation.terrain import terrain_of
from eotasks.models.simulation.water_and_snow import WaterKind, surface_on
from eotasks.models.simulation.weather import CIRRUS_B10, CIRRUS_SPECTRUM, HAZE_OPTICAL_THICKNESS

__all__ = [
    "PLAIN",
    "REALISTIC",
    "Ground",
    "Lake",
    "LakeOnDate",
    "Realism",
    "SimulatedAcquisition",
    "SimulationSettings",
    "WaterKind",
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
    """(h, w) cloud: optical thickness of at least ``CLOUD_OPTICAL_THICKNESS`` where clouds have one, else an opacity of
    at least ``CLOUD_OPACITY``. Fainter cloud edges are in no mask."""

    cirrus: Mask
    """(h, w) thin cirrus (B10 reflectance >= 0.012)."""

    shadow: Mask
    """(h, w) cloud shadow, by the same threshold along the sunbeam, on ground that no cloud of the mask hides."""

    snow: Mask
    """(h, w) snow covers at least half of the ground, seen or hidden."""

    snow_share: Float
    """(h, w) share of the ground that is snow, 0..1, seen or hidden."""

    haze: Mask
    """(h, w) a veil of haze (``HAZE_OPTICAL_THICKNESS``), seen or hidden; no cloud."""

    terrain_shade: Mask
    """(h, w) slopes that the sun does not reach, seen or hidden; a cloud's shadow may lie on them too."""

    water_kind: NDArray[np.uint8]
    """(h, w) WaterKind: what water covers at least half of the ground, seen or hidden."""

    optical_thickness: Float | None
    """(h, w) of the clouds at 550 nm, straight down; None in the plain year, whose clouds have an opacity only."""

    sun_zenith: float
    """Degrees."""

    sun_azimuth: float
    """Degrees clockwise from north."""

    lakes: tuple[LakeOnDate, ...] = ()
    """The truth about each lake that was asked for, all of it, in view or not."""

    lake_water: Float | None = None
    """(h, w) share of the pixel that is water or ice of these lakes, seen or hidden, 0..1; None where none was asked
    for."""

    @property
    def water(self) -> Mask:
        """(h, w) water that is not frozen, flooded fields among it, seen or hidden."""
        return np.asarray((self.water_kind != WaterKind.NONE) & (self.water_kind != WaterKind.ICE))


def simulate(
    ground: Ground,
    settings: SimulationSettings,
    time_index: int,
    left: float,
    top: float,
    height: int,
    width: int,
    *,
    lakes: Sequence[Lake] = (),
) -> SimulatedAcquisition:
    """One date over one window of the plane.

    :param ground: From prepare_ground; its resolution is that of the window.
    :param time_index: Index in acquisition_times(settings).
    :param left: Map coordinate of the window's left edge, metres.
    :param top: Map coordinate of its upper edge, metres.
    :param height: Pixels.
    :param width: Pixels.
    :param lakes: Made-up lakes to lay into the ground; nothing else of the date changes with them.
    :raises ConfigurationError: for an index without a date, or an empty window.
    """
    weather = date_weather(settings, time_index, ground.latitude, ground.longitude)
    window = window_of(ground, left, top, height, width)
    x, y, size = window.x, window.y, ground.resolution
    sun = {"sun_zenith": weather.sun_zenith, "sun_azimuth": weather.sun_azimuth}
    terrain = terrain_of(ground, settings.realism.relief, left, top, height, width, **sun)
    place = Place(x, y, size, **sun, elevation=None if terrain is None else terrain.elevation)
    layers = weather.conditions.layers
    sky = soft_clouds(layers, place) if layers else opaque_clouds(weather.clouds, place)
    land = surface_on(ground, settings, weather, window)
    drawn = with_lakes(land, ground, weather, window, lakes) if lakes else None
    if drawn is not None:
        land = drawn.land
    sunlit, skylight = sky.sunlit, sky.skylight
    if terrain is not None:
        sunlit, skylight = sunlit * terrain.sunlight, skylight * terrain.skylight
    atmosphere = clear_atmosphere(weather.sun_zenith, weather.aerosol, weather.vapour_transmission)
    seen = atmosphere.to_top(land.surface, sunlit[..., None], skylight[..., None])
    seen += _haze_patches(weather, window, size)[..., None] * (_HAZE_COLOUR * atmosphere.gas - seen)
    veil = np.zeros(seen.shape[:2], dtype=np.float32)
    if weather.conditions.veil is not None:
        veil = weather.conditions.veil.optical_thickness(x, y, size)
        seen = under_veil(weather.conditions.veil, veil, seen, atmosphere.gas, weather.sun_zenith)
    seen = sky.over(seen, ground.cloud_spectrum)
    ice = weather.cirrus.reflectance(x, y, size)
    seen = ice[..., None] * CIRRUS_SPECTRUM + seen * np.square(1 - ice)[..., None]
    seen[..., CIRRUS] = _B10_OF_CLEAR_SKY + sky.cirrus_band + ice * CIRRUS_SPECTRUM[CIRRUS]
    seen += _sensor_noise(weather, window, size) * _NOISE_DEVIATION
    is_data = _swath(ground, weather, x, y)
    # 1 DN is the darkest that data can be: 0 in all bands means no data.
    steps = np.clip(np.rint(seen * QUANTIFICATION), 1, _HIGHEST_DN).astype(np.float32)
    bands = steps / np.float32(QUANTIFICATION)
    bands[~is_data] = 0
    return SimulatedAcquisition(
        bands=bands,
        is_data=is_data,
        cloud=sky.cloud & is_data,
        cirrus=(ice * CIRRUS_SPECTRUM[CIRRUS] >= CIRRUS_B10) & is_data,
        shadow=sky.shaded & ~sky.cloud & is_data,
        snow=(land.snow_share >= 0.5) & is_data,
        snow_share=np.where(is_data, land.snow_share, np.float32(0)),
        haze=(veil >= HAZE_OPTICAL_THICKNESS) & is_data,
        terrain_shade=np.zeros_like(is_data) if terrain is None else terrain.shade & is_data,
        water_kind=np.where(is_data, land.water_kind, np.uint8(WaterKind.NONE)),
        optical_thickness=sky.optical_thickness,
        sun_zenith=weather.sun_zenith,
        sun_azimuth=weather.sun_azimuth,
        lakes=() if drawn is None else drawn.states,
        lake_water=None if drawn is None else np.where(is_data, drawn.water, np.float32(0)),
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

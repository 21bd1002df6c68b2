"""The ground of the real scene, cloudless, taken apart: soil, leaves, kinds of cover, fields."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.errors import BandError, GridError
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.fields import segment_fields
from eotasks.models.simulation.noise import hash_uniform
from eotasks.models.simulation.radiation import WATER_VAPOUR, clear_atmosphere
from eotasks.models.simulation.refill import clear_scene
from eotasks.models.simulation.vegetation import CANOPY, Cover, FieldTraits
from eotasks.models.sun import sun_position

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

RED, NIR, VAPOUR, SWIR_1 = (BANDS.index(band) for band in ("B04", "B8A", "B09", "B11"))

_SOIL_RED_NIR = 0.18
"""NDVI of bare soil."""

_DARK_BLUE = 0.015
"""Surface reflectance in B02 of the darkest ground (deep water, conifers): dark-object subtraction, Chavez (1988)."""

_FIELD_STREAM = 201
_HIGHEST = 12_000.0


@dataclass(frozen=True)
class Ground:
    """Prepared once per scene, resolution and seed; every window of every date is made from it."""

    soil: Float
    """(h, w, 13) surface reflectance of what lies under the leaves: soil, water, roofs, dead grass."""

    green: Float
    """(h, w) share of green leaves on the day of the scene."""

    texture: Float
    """(h, w) brightness of a pixel's leaves against its field's, about 1."""

    wood: Float
    """(h, w) share that is forest, and of it ..."""

    evergreen: Float
    """... (h, w) the share that keeps its needles."""

    built: Float
    """(h, w) share of sealed and garden ground."""

    water: Float
    """(h, w) share of water."""

    labels: NDArray[np.int64]
    """(h, w) field of a pixel."""

    field_green: Float
    """(fields,) mean green share in winter."""

    field_grass: Float
    """(fields,) likelihood that a field is permanent grass, judged by its winter spectrum."""

    is_data: Mask
    """(h, w) where the real scene holds data."""

    reconstructed: Mask
    """(h, w) ground that was under real cloud or shadow and is made up."""

    cloud_spectrum: Float
    """(13,) top-of-atmosphere reflectance of an opaque cloud, from the real ones."""

    vapour_transmission: float
    """Transmission of B09 in the real scene."""

    resolution: float
    left: float
    top: float
    latitude: float
    longitude: float
    seed: int

    elevation: Float | None = None
    """(h, w) metres, of a DEM; None for flat ground, or for the hills that the settings ask for."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.green.shape
        return height, width


def prepare_ground(
    reflectance: Float,
    is_data: Mask,
    cloud_probability: Float | None,
    *,
    resolution: float,
    left: float,
    top: float,
    latitude: float,
    longitude: float,
    time: dt.datetime,
    seed: int,
    elevation: Float | None = None,
) -> Ground:
    """Takes a real acquisition apart, its clouds and shadows removed.

    :param reflectance: (h, w, 13) top-of-atmosphere reflectance in the order of eotasks.models.sentinel2.BANDS.
    :param is_data: (h, w) False where there is none.
    :param cloud_probability: (h, w), 0..1, from a cloud model; None goes by brightness alone.
    :param resolution: Metres per pixel.
    :param left: Map coordinate of the left edge, metres.
    :param top: Map coordinate of the upper edge, metres.
    :param latitude: Of the scene's middle, degrees; the sun of every simulated date is taken from there.
    :param time: Acquisition time of the real scene, UTC.
    :param elevation: (h, w) metres, of a DEM on the same grid, or None.
    :raises BandError: when there are not 13 bands.
    :raises GridError: when shapes do not agree, or nothing is data.
    """
    if reflectance.ndim != 3 or reflectance.shape[-1] != len(BANDS):
        raise BandError(f"The scene has shape {reflectance.shape}: give (h, w, 13), all L1C bands.")
    if is_data.shape != reflectance.shape[:2] or (
        cloud_probability is not None and cloud_probability.shape != is_data.shape
    ):
        raise GridError("The scene, its data mask and its cloud probability differ in shape: give them on one grid.")
    if not is_data.any():
        raise GridError("The scene holds no data at all: give one that does.")
    heights = None if elevation is None else check_elevation(elevation, is_data.shape)
    zenith, azimuth = sun_position(time, latitude, longitude)
    observed = np.asarray(reflectance, dtype=np.float32)
    transmission = float(np.median(observed[is_data][:, VAPOUR] / np.maximum(observed[is_data][:, NIR], 0.01)))
    transmission = min(max(transmission, 0.1), 0.6)
    aerosol = _aerosol(observed[is_data], zenith, transmission)
    sky = clear_atmosphere(zenith, aerosol, transmission)
    cleared = clear_scene(
        observed, is_data, cloud_probability, resolution=resolution, sun_zenith=zenith, sun_azimuth=azimuth,
        path=sky.path * sky.gas, seed=seed,
    )  # fmt: skip
    surface = np.clip(sky.to_surface(cleared.top), 0.002, 1.0).astype(np.float32)
    surface[~is_data] = surface[is_data].mean(axis=0)
    surface[..., WATER_VAPOUR] = surface[..., NIR]
    ground = _take_apart(
        surface, is_data, cleared.reconstructed, cleared.cloud_spectrum, transmission,
        resolution=resolution, left=left, top=top, latitude=latitude, longitude=longitude, seed=seed,
    )  # fmt: skip
    return replace(ground, elevation=heights)


def check_elevation(elevation: NDArray[np.generic], shape: tuple[int, ...]) -> Float:
    """A copy of a DEM as float32.

    :raises GridError: another shape than that of the ground, or values that are no finite numbers of metres.
    """
    if elevation.shape != shape:
        raise GridError(f"The elevation has shape {elevation.shape}, the ground {shape}: give a DEM on the same grid.")
    if elevation.dtype.kind not in "iuf" or not np.isfinite(elevation).all() or np.abs(elevation).max() > _HIGHEST:
        raise GridError(
            f"The elevation ({elevation.dtype}) is no finite number of metres within {_HIGHEST:.0f} everywhere: fill"
            " its gaps."
        )
    return elevation.astype(np.float32)


def _aerosol(spectra: Float, zenith: float, transmission: float) -> float:
    """Optical thickness that makes the darkest pixels as dark as they should be in blue."""
    blue = BANDS.index("B02")
    dark = np.quantile(spectra, 0.005, axis=0).astype(np.float32)
    candidates = np.arange(0.03, 0.6, 0.01)
    error = [abs(clear_atmosphere(zenith, a, transmission).to_surface(dark)[blue] - _DARK_BLUE) for a in candidates]
    return float(candidates[int(np.argmin(error))])


def _take_apart(
    surface: Float,
    is_data: Mask,
    reconstructed: Mask,
    cloud_spectrum: Float,
    transmission: float,
    *,
    resolution: float,
    left: float,
    top: float,
    latitude: float,
    longitude: float,
    seed: int,
) -> Ground:
    labels = segment_fields(surface, resolution)
    red, nir, swir = surface[..., RED], surface[..., NIR], surface[..., SWIR_1]
    water = _step(0.045 - swir, 0.006) * _step(0.08 - nir, 0.01)
    wood = _step(0.052 - red, 0.005) * _step(0.22 - nir, 0.02) * (1 - water)
    evergreen = _step(0.10 - swir, 0.012)
    built = _step(_roughness(nir, resolution) - 0.16, 0.025) * _step(0.20 - nir, 0.015) * (1 - wood) * (1 - water)
    leaves = _mix(wood, evergreen, CANOPY[Cover.PASTURE])
    spread = (1 - _SOIL_RED_NIR) * leaves[..., NIR] - (1 + _SOIL_RED_NIR) * leaves[..., RED]
    green = np.clip(((1 - _SOIL_RED_NIR) * nir - (1 + _SOIL_RED_NIR) * red) / spread, 0, 0.9) * (1 - water)
    count = int(labels.max()) + 1
    mean_nir, field_green = _field_mean(nir, labels, count), _field_mean(green, labels, count)
    mean_swir = _field_mean(swir, labels, count)
    texture = np.clip(nir / mean_nir[labels], 0.75, 1.3)
    below = (surface - (green * texture)[..., None] * leaves) / (1 - green)[..., None]
    # Unmixing noise of nearly closed canopies says nothing about the soil below: hold it to sober bounds.
    darkest = np.where(water[..., None] > 0.5, surface, np.float32(0.02))
    soil = np.clip(below, np.minimum(darkest, surface), 0.6).astype(np.float32)
    grass = _step(mean_swir / mean_nir - 1.12, 0.05) * _step(field_green - 0.17, 0.03)
    grass = np.maximum(grass, 0.35 * _step(field_green - 0.38, 0.04) * _step(mean_swir / mean_nir - 0.7, 0.05))
    return Ground(
        soil=soil, green=green.astype(np.float32), texture=texture.astype(np.float32), wood=wood, evergreen=evergreen,
        built=built, water=water, labels=labels, field_green=field_green, field_grass=grass, is_data=is_data.copy(),
        reconstructed=reconstructed, cloud_spectrum=cloud_spectrum, vapour_transmission=transmission,
        resolution=resolution, left=left, top=top, latitude=latitude, longitude=longitude, seed=seed,
    )  # fmt: skip


def field_traits(ground: Ground, labels: NDArray[np.int64], copies: NDArray[np.int64]) -> FieldTraits:
    """Crop and habits of fields: by winter spectrum where that tells, by chance where it does not.

    :param labels: (n,) fields of the scene.
    :param copies: (n,) which mirror image of the scene, so that the copies of a field lead lives of their own.
    """

    def draw(stream: int) -> Float:
        return hash_uniform(ground.seed, _FIELD_STREAM, stream, labels, copies).astype(np.float32)

    green = ground.field_green[labels]
    chance = draw(0)
    bare = np.select(
        [chance < 0.45, chance < 0.65, chance < 0.82, chance < 0.92],
        [Cover.MAIZE, Cover.ROOT_CROP, Cover.SPRING_CEREAL, Cover.WINTER_CEREAL],
        Cover.FALLOW,
    )
    thin = np.select(
        [chance < 0.50, chance < 0.70, chance < 0.85, chance < 0.95],
        [Cover.WINTER_CEREAL, Cover.MAIZE, Cover.SPRING_CEREAL, Cover.RAPESEED],
        Cover.FALLOW,
    )
    lush = np.select([chance < 0.55, chance < 0.92], [Cover.WINTER_CEREAL, Cover.RAPESEED], Cover.MEADOW)
    crop = np.select([green < 0.13, green < 0.27], [bare, thin], lush)
    grass = np.where(draw(1) < 0.6, Cover.MEADOW, Cover.PASTURE)
    cover = np.where(draw(2) < ground.field_grass[labels], grass, crop)
    return FieldTraits(
        cover=cover.astype(np.int64),
        shift=(draw(3) + draw(4) - 1) * np.float32(14),
        vigour=np.float32(0.80) + draw(5) * np.float32(0.24),
        tone=np.float32(0.90) + draw(6) * np.float32(0.20),
    )


def _step(values: Float, width: float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(values / np.float32(width), -30, 30))), dtype=np.float32)


def _mix(wood: Float, evergreen: Float, rest: Float) -> Float:
    needles, leaves = CANOPY[Cover.EVERGREEN], CANOPY[Cover.BROADLEAF]
    trees = evergreen[..., None] * needles + (1 - evergreen)[..., None] * leaves
    return np.asarray(wood[..., None] * trees + (1 - wood)[..., None] * rest, dtype=np.float32)


def _roughness(values: Float, resolution: float) -> Float:
    """Standard deviation over mean within about 60 m, smoothed: high among houses and trees, low in fields."""
    sigma = 45 / resolution
    mean = ndimage.gaussian_filter(values, sigma)
    variance = ndimage.gaussian_filter(np.square(values), sigma) - np.square(mean)
    return np.asarray(np.sqrt(np.maximum(variance, 0)) / np.maximum(mean, 0.01), dtype=np.float32)


def _field_mean(values: Float, labels: NDArray[np.int64], count: int) -> Float:
    sums = np.bincount(labels.ravel(), weights=values.ravel(), minlength=count)
    return (sums / np.maximum(np.bincount(labels.ravel(), minlength=count), 1)).astype(np.float32)

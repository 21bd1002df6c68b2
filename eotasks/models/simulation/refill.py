"""Ground under the clouds and shadows of the real scene, made up from similar clear ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from eotasks.models.rasters import shifted
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.fields import calm_outlines, segment_fields
from eotasks.models.simulation.noise import hash_uniform

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

BLUE, RED, NIR, SWIR_1, SWIR_2 = (BANDS.index(band) for band in ("B02", "B04", "B8A", "B11", "B12"))
CIRRUS = BANDS.index("B10")

_HIGHEST_CLOUD = 3500.0
_LOWEST_CLOUD = 400.0
_ENOUGH_OF_A_FIELD = 0.35
_WATER_SWIR = 0.03
_SHADED_SWIR = 0.13
_TEXTURE = np.float32(0.35)
"""Share of a field's own scatter in its refilled pixels: all of it, without its order, looks like salt and pepper."""

_OPAQUE_BLUE = 0.62
"""Blue reflectance of an opaque cloud, to which the thin real ones are extended."""


@dataclass(frozen=True)
class Cleared:
    """A scene without its clouds."""

    top: Float
    """(h, w, 13) top-of-atmosphere reflectance of the ground in clear sky."""

    reconstructed: Mask
    """(h, w) where the ground was hidden or dimmed, and is made up."""

    cloud_spectrum: Float
    """(13,) top-of-atmosphere reflectance of an opaque cloud, from the clouds of this scene."""


def clear_scene(
    top: Float,
    is_data: Mask,
    cloud_probability: Float | None,
    *,
    resolution: float,
    sun_zenith: float,
    sun_azimuth: float,
    path: Float,
    seed: int,
) -> Cleared:
    """Finds clouds and their shadows, measures the cloud spectrum, and fills the ground from similar clear pixels.

    Clouds: whiter and brighter than the clear ground, and likely in the eyes of a cloud model where one was asked.
    Shadows: ground along the shadow's possible way (cloud heights of 400 to 3500 m; the search of Fmask, Zhu & Woodcock
    2012, Remote Sensing of Environment 118) that is dark in the short-wave infrared, where skylight is scarce, yet not
    in the red.
    Hidden ground is filled field by field: the clear rest of the same field where there is enough of it, else the clear
    field nearest in place and in near and short-wave infrared, which see most through thin cloud, the veil removed
    (clouds) or each band brought to the brightness of the surroundings (shadows).

    :param top: (h, w, 13) top-of-atmosphere reflectance.
    :param cloud_probability: (h, w) or None.
    :param resolution: Metres per pixel.
    :param path: (13,) reflectance of the atmosphere, taken off before bands are compared.
    """
    ground = np.maximum(top - path, np.float32(0.001))
    smooth = _smooth(ground[..., [BLUE, RED, NIR, SWIR_1]], 40 / resolution)
    cloud = _clouds(smooth, is_data, cloud_probability, resolution)
    shadow = _shadows(smooth, cloud, resolution, sun_zenith, sun_azimuth) & is_data
    hidden = (cloud | shadow) & is_data
    clear = is_data & ~hidden & ~ndimage.binary_dilation(hidden, iterations=max(1, round(60 / resolution)))
    if not clear.any():
        clear = is_data & ~hidden
    mean_clear = top[clear].mean(axis=0) if clear.any() else top.reshape(-1, top.shape[-1]).mean(axis=0)
    veil = _veil_spectrum(top, cloud & is_data, mean_clear)
    spectrum = mean_clear + veil * (np.float32(_OPAQUE_BLUE) - mean_clear[BLUE])
    filled = top.copy()
    if hidden.any() and clear.any():
        thickness = np.maximum(smooth[..., 0] - (mean_clear - path)[BLUE], 0)
        seen = np.maximum(ground - np.where(cloud, thickness, 0)[..., None] * veil, np.float32(0.001))
        _brighten(seen, shadow & ~cloud, clear, resolution)
        labels = calm_outlines(segment_fields(seen, resolution), hidden, resolution)
        _fill(filled, seen, labels, hidden, clear, resolution, seed)
    return Cleared(filled, hidden, spectrum.astype(np.float32))


def _smooth(values: Float, sigma: float) -> Float:
    return np.stack([ndimage.gaussian_filter(values[..., i], sigma) for i in range(values.shape[-1])], axis=-1)


def _clouds(smooth: Float, is_data: Mask, probability: Float | None, resolution: float) -> Mask:
    blue = smooth[..., 0]
    middle = float(np.median(blue[is_data])) if is_data.any() else 0.0
    spread = 1.4826 * float(np.median(np.abs(blue[is_data] - middle))) if is_data.any() else 1.0
    bright, veiled = blue > middle + 2.5 * spread, blue > middle + 1.5 * spread
    if probability is not None:
        likely = ndimage.gaussian_filter(np.asarray(probability, dtype=np.float32), 60 / resolution)
        bright, veiled = bright & (likely > 0.5), veiled & (likely > 0.4)
    bright = ndimage.binary_opening(bright, iterations=max(1, round(60 / resolution)))
    cloud = ndimage.binary_propagation(bright, mask=veiled | bright)
    return np.asarray(ndimage.binary_dilation(cloud, iterations=max(1, round(120 / resolution))), dtype=np.bool_)


def _shadows(smooth: Float, cloud: Mask, resolution: float, sun_zenith: float, sun_azimuth: float) -> Mask:
    red, nir, swir = smooth[..., 1], smooth[..., 2], smooth[..., 3]
    dark = (swir < 1.75 * red) & (swir < _SHADED_SWIR) & (swir > _WATER_SWIR) & (nir > 0.05)
    reach = np.zeros_like(cloud)
    away = np.radians(sun_azimuth + 180)
    per_metre = np.tan(np.radians(min(sun_zenith, 80.0))) / resolution
    for height in np.arange(_LOWEST_CLOUD, _HIGHEST_CLOUD, max(resolution, 80.0)):
        rows, columns = -np.cos(away) * height * per_metre, np.sin(away) * height * per_metre
        reach |= shifted(cloud, round(rows), round(columns))
    found = ndimage.binary_opening(dark & reach, iterations=max(1, round(40 / resolution)))
    return np.asarray(ndimage.binary_dilation(found, iterations=max(1, round(100 / resolution))), dtype=np.bool_)


def _veil_spectrum(top: Float, cloud: Mask, mean_clear: Float) -> Float:
    """Gain of every band per gain of blue, over the thickest third of the cloud pixels."""
    if cloud.sum() < 30:
        return _DEFAULT_VEIL
    excess = top[cloud] - mean_clear
    thick = excess[excess[:, BLUE] >= np.quantile(excess[:, BLUE], 2 / 3)].mean(axis=0)
    return np.asarray(thick / thick[BLUE], dtype=np.float32)


_DEFAULT_VEIL = np.array(
    [0.84, 1.0, 1.05, 1.27, 1.36, 1.48, 1.59, 1.56, 1.69, 0.55, 0.004, 1.98, 1.83], dtype=np.float32
)
"""That of the embedded scene (33UUU, 2017-02-16) at 20 m, for a scene that has no cloud of its own."""


def _fill(
    filled: Float,
    seen: Float,
    labels: NDArray[np.int64],
    hidden: Mask,
    clear: Mask,
    resolution: float,
    seed: int,
) -> None:
    """Gives hidden pixels of ``filled`` spectra of similar clear ones, in place."""
    rows, columns = np.nonzero(hidden)
    count = int(labels.max()) + 1
    likeness = _likeness(seen, resolution)
    clear_count, clear_mean = _means(likeness, labels, clear, count)
    hidden_count, hidden_mean = _means(likeness, labels, hidden, count)
    donors = np.flatnonzero(clear_count >= max(8, 0.2 * np.median(clear_count[clear_count > 0])))
    if donors.size == 0:
        donors = np.flatnonzero(clear_count)
    _, nearest = cKDTree(clear_mean[donors]).query(hidden_mean)
    itself = clear_count >= _ENOUGH_OF_A_FIELD * (clear_count + hidden_count)
    donor = np.where(itself & (clear_count > 0), np.arange(count), donors[nearest])
    by_field = np.argsort(labels[clear], kind="stable")
    source_rows, source_columns = (index[by_field] for index in np.nonzero(clear))
    first = np.concatenate([[0], np.cumsum(clear_count)])
    wanted = donor[labels[rows, columns]]
    draw = hash_uniform(seed, 101, rows, columns)
    chosen = first[wanted] + (draw * clear_count[wanted]).astype(np.int64)
    means = _means(filled, labels, clear, count)[1].astype(np.float32)
    real = filled[source_rows[chosen], source_columns[chosen]]
    filled[rows, columns] = means[wanted] + _TEXTURE * (real - means[wanted])


def _means(
    values: Float, labels: NDArray[np.int64], where: Mask, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    chosen = labels[where]
    numbers = np.bincount(chosen, minlength=count)
    sums = [np.bincount(chosen, weights=values[where, i], minlength=count) for i in range(values.shape[-1])]
    return numbers, np.stack(sums, axis=1) / np.maximum(numbers, 1)[:, None]


def _likeness(seen: Float, resolution: float) -> Float:
    spectral = 12 * np.sqrt(seen[..., [NIR, SWIR_1, SWIR_2]])
    rows, columns = np.indices(seen.shape[:2], dtype=np.float32) * np.float32(resolution / 2500)
    return np.concatenate([spectral, rows[..., None], columns[..., None]], axis=-1).astype(np.float32)


def _brighten(seen: Float, shadow: Mask, clear: Mask, resolution: float) -> None:
    """Scales each band of shaded land to the mean of the clear land around it, in place."""
    land = seen[..., SWIR_1] > _WATER_SWIR
    shaded = shadow & land & (seen[..., SWIR_1] < _SHADED_SWIR)
    around = ndimage.binary_dilation(shadow, iterations=max(1, round(800 / resolution))) & clear & land
    if shaded.any() and around.any():
        seen[shaded] *= seen[around].mean(axis=0) / seen[shaded].mean(axis=0)

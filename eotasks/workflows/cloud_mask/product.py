"""From a product to its cloud probability and masks, in strips of bounded memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.acquisition import SIDECAR_NAME, Acquisition
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import CLOUD, NO_DATA, mask_of
from eotasks.models.clouds.shadows.light import SHADOW_BANDS
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION, band_indices
from eotasks.workflows.cloud_mask.options import CellSampling, CloudMaskOptions

TRUE_COLOR = ("B04", "B03", "B02")
PICTURE_PIXELS = 800
"""Longest side of the true colour picture, at most: a little more than the quick-look draws."""

_STRIP = 1024
"""Rows of the finest band that are read at a time, about a row of tiles of its JP2 file."""

_LOOKED_AT = 1_000_000
"""Pixels, spread over the product, that tell whether its values can be right."""

_ALIGNED = 1e-6
_FINEST = 10.0

Advance = Callable[[int, int], None]
"""Told after every strip: how many are done, of how many."""


@dataclass(frozen=True)
class Shares:
    """What covers a product. Shares are 0..1."""

    cloud: float
    """Of the pixels with data."""

    shadow: float | None
    """Of the pixels with data; None when no shadow was asked for."""

    data: float
    """Pixels with data, of all."""

    mean_probability: float
    """Mean cloud probability of the pixels with data."""


@dataclass(frozen=True)
class Picture:
    """A product in true colour."""

    reflectance: NDArray[np.float32]
    """(h, w, 3) of B04, B03, B02, NaN without data."""

    grid: Grid


@dataclass(frozen=True)
class ProductMasks:
    """What came out for one product."""

    acquisition: Acquisition
    grid: Grid

    probability: NDArray[np.float32]
    """(h, w), 0..1, 0 without data."""

    mask: NDArray[np.uint8]
    """(h, w): 0 clear, 1 cloud, 255 no data."""

    shadow: NDArray[np.uint8] | None
    """(h, w): 0 none, 1 shadow, 255 no data; None when not asked for."""

    picture: Picture | None
    """What the quick-look shows; None where none is asked for."""

    @property
    def shares(self) -> Shares:
        """Cloud, shadow and data."""
        data = self.mask != NO_DATA
        count = int(data.sum())  # above 0: products without data are refused
        shadow = None if self.shadow is None else int((self.shadow == CLOUD).sum()) / count
        mean = float(self.probability[data].mean(dtype=np.float64))
        return Shares(int((self.mask == CLOUD).sum()) / count, shadow, count / data.size, mean)


def make_masks(
    scene: Scene, options: CloudMaskOptions, *, threads: int | None = None, advance: Advance | None = None
) -> ProductMasks:
    """Cloud probability and masks of a whole product.

    :param scene: L1C with the ten bands of the cloud model.
    :param threads: Threads of the engine, None for the setting. The values do not depend on it.
    :param advance: Told of every strip.
    :raises BandError: a band is missing, as B10 is from L2A.
    :raises ImageryError: a file is damaged, or the product holds no data.
    :raises ReflectanceError: values that are no reflectance.
    """
    where = scene.name
    band_indices([*CLOUD_BANDS, *(TRUE_COLOR if options.quicklook else ())], scene.bands, where=where)
    sun = _sun(scene, where) if options.shadows else None
    reading = _Reading(scene, options, where, threads)
    grid = reading.grid
    probability = np.zeros(grid.shape, dtype=np.float32)
    strips = list(_strips(scene, grid, options.sampling))
    for done, (rows, strip) in enumerate(strips, start=1):
        bands, valid = reading.strip(rows, strip)
        probability[rows] = cloud_probability(bands, valid=valid, threads=threads, where=where)
        if advance is not None:
            advance(done, len(strips))
    reading.check()
    size = (grid.resolution, grid.resolution)
    valid = reading.is_data
    mask = mask_of(probability[np.newaxis], options.mask, pixel_size=size, valid=valid[np.newaxis], where=where)[0]
    shadow = None
    if sun is not None:
        from eotasks.models.clouds.shadows.frame import cloud_shadow  # loads scipy, a sixth of a second

        shadow = cloud_shadow(
            reading.light, mask, sun=sun, pixel_size=size, valid=valid, names=SHADOW_BANDS, where=where
        )
    picture = _picture(scene, threads) if options.quicklook else None
    _give_back()
    return ProductMasks(scene.acquisition, grid, probability, mask, shadow, picture)


class _Reading:
    """Reads strips, and keeps of them what is looked at when all have been read."""

    def __init__(self, scene: Scene, options: CloudMaskOptions, where: str, threads: int | None) -> None:
        self._scene, self._sampling, self._where, self._threads = scene, options.sampling, where, threads
        self.grid = product_grid(scene, options.resolution)
        self.is_data: NDArray[np.bool_] = np.zeros(self.grid.shape, dtype=bool)
        self.light: NDArray[np.uint16] = np.zeros(
            (*self.grid.shape, len(SHADOW_BANDS)) if options.shadows else (0,), dtype=np.uint16
        )
        """The bands that shadows are looked for in."""
        self._every = max(math.ceil(math.sqrt(self.grid.height * self.grid.width / _LOOKED_AT)), 1)
        self._looked_at: list[tuple[NDArray[np.uint16], NDArray[np.bool_]]] = []

    def strip(self, rows: slice, strip: Grid) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """DN of the model's bands, and where there is data."""
        bands, valid = self._scene.read_masked(CLOUD_BANDS, strip, resampling=self._sampling, threads=self._threads)
        self.is_data[rows] = valid
        if self.light.size:
            self.light[rows] = bands[..., band_indices(SHADOW_BANDS, CLOUD_BANDS)]
        every = slice(None, None, self._every)
        self._looked_at.append((bands[every, every].copy(), valid[every, every].copy()))
        return bands, valid

    def check(self) -> None:
        """Refuse a product without data, or whose values cannot be what its description says.

        :raises ImageryError: no data.
        :raises EOTasksError: ReflectanceError or BandError, an offset left in or bands that are others.
        """
        if not self.is_data.any():
            raise ImageryError(f"{self._where}: holds no data at all. Fetch it again, or leave it out.")
        bands, valid = (np.concatenate(parts)[np.newaxis] for parts in zip(*self._looked_at, strict=True))
        refuse_implausible(bands, valid, frame_names=["the product"], where=self._where)


def _give_back() -> None:
    """Return to the system what the reading has freed: glibc keeps some 50 MB of it for threads that have ended."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _sun(scene: Scene, where: str) -> tuple[float, float]:
    zenith, azimuth = scene.acquisition.sun_zenith, scene.acquisition.sun_azimuth
    if zenith is None or azimuth is None:
        raise ImageryError(
            f"{where}: does not say where the sun stood, which shadows need: add sun_zenith and sun_azimuth to its"
            f" {SIDECAR_NAME}, or leave out --shadows."
        )
    return zenith, azimuth


def product_grid(scene: Scene, resolution: float) -> Grid:
    """The grid of the results: over the ground that all bands share, from its north-west corner.

    Where that ground is no whole number of pixels, the last ones reach beyond it and describe the part of them that
    exists, as those of Sentinel Hub do at 160 m.

    :raises ImageryError: when the bands share no ground.
    """
    grids = [scene.grid_of(band) for band in scene.bands]
    finest = min(grids, key=lambda grid: grid.resolution)
    if any(grid.crs != finest.crs for grid in grids):
        raise ImageryError(f"{scene.name}: its bands are in different coordinate systems. Fetch it again.")
    bounds = np.array([grid.bounds for grid in grids])
    (left, bottom), (right, top) = bounds[:, :2].max(axis=0), bounds[:, 2:].min(axis=0)
    # Bands whose corners differ: inwards to the next pixel of the finest, so that its pixels stay whole.
    left = finest.left + math.ceil((left - finest.left) / finest.resolution - _ALIGNED) * finest.resolution
    top = finest.top - math.ceil((finest.top - top) / finest.resolution - _ALIGNED) * finest.resolution
    height, width = ((far / resolution) for far in (top - bottom, right - left))
    if height <= 0 or width <= 0:
        raise ImageryError(f"{scene.name}: its bands share no ground. One folder holds one acquisition.")
    return Grid(finest.crs, left, top, float(resolution), math.ceil(height - _ALIGNED), math.ceil(width - _ALIGNED))


def _strips(scene: Scene, grid: Grid, sampling: CellSampling) -> Iterator[tuple[slice, Grid]]:
    """The grid from north to south in pieces, with the rows that they are.

    A lower level of the files has fewer pixels along a row too, so that more rows of it go into a strip.
    """
    decoded = min(scene.decoded_size(band, grid, resampling=sampling) for band in scene.bands)
    step = max(int(_STRIP * decoded**2 / _FINEST / grid.resolution), 1)
    for start in range(0, grid.height, step):
        stop = min(start + step, grid.height)
        yield slice(start, stop), replace(grid, top=grid.top - start * grid.resolution, height=stop - start)


def _picture(scene: Scene, threads: int | None, bands: Sequence[str] = TRUE_COLOR) -> Picture:
    """Reflectance for a picture, at a resolution of its own: what is seen in it should not depend on the masks'."""
    whole = product_grid(scene, _FINEST)
    grid = product_grid(scene, _FINEST * max(math.ceil(max(whole.shape) / PICTURE_PIXELS), 1))
    dn, is_data = scene.preview(bands, grid, threads=threads)
    reflectance = dn.astype(np.float32) / np.float32(QUANTIFICATION)
    return Picture(np.where(is_data[..., np.newaxis], reflectance, np.float32(np.nan)), grid)

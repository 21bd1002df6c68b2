"""From a product to its cloud probability and masks, in strips of bounded memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eotasks.allocator import give_back
from eotasks.clouds.detectors.registry import find_detector, suited
from eotasks.clouds.detectors.run import refuse_needs
from eotasks.errors import BandError, ImageryError, ReflectanceError
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.acquisition import SIDECAR_NAME, Acquisition
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import CLOUD, NO_DATA, WHOLE_PIXELS
from eotasks.models.scale_signs import FEWEST_PIXELS
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION
from eotasks.workflows.product_masks.apart import KeptApart
from eotasks.workflows.product_masks.found import Found
from eotasks.workflows.product_masks.options import AVAILABLE, CloudMaskOptions
from eotasks.workflows.product_masks.reading import FINEST, TRUE_COLOR, ProductReading, in_strips, product_grid

PICTURE_PIXELS = 800
"""Longest side of the true colour picture, at most: a little more than the quick-look draws."""

_GLANCE = 8
"""Pixels of the masks along the side of one of a small picture: a tile at 1,280 m has 86 x 86."""

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

    mean_probability: float | None
    """Mean cloud probability of the pixels with data; None of a detector without a probability."""

    snow: float | None = None
    """Of the pixels with data; None when snow is no class of the mask."""

    thin_cloud: float | None = None
    """The same of thin cloud, which is not in ``cloud`` then."""

    terrain_shade: float | None = None
    """Of the pixels with data, seen or under clouds; None without a DEM."""


@dataclass(frozen=True)
class Picture:
    """A product in true colour."""

    numbers: NDArray[np.uint16]
    """(h, w, 3) digital numbers of B04, B03, B02."""

    is_data: NDArray[np.bool_]
    """(h, w)"""

    grid: Grid

    @property
    def reflectance(self) -> NDArray[np.float32]:
        """(h, w, 3) made anew, NaN without data."""
        reflectance = self.numbers.astype(np.float32)
        reflectance /= np.float32(QUANTIFICATION)
        reflectance[~self.is_data] = np.nan
        return reflectance


@dataclass(frozen=True)
class ProductMasks:
    """What came out for one product."""

    acquisition: Acquisition
    grid: Grid

    probability: NDArray[np.float32] | None
    """(h, w), 0..1, 0 without data; None of a detector without a probability."""

    mask: NDArray[np.uint8]
    """(h, w): 0 clear, 1 cloud, 255 no data; 3 snow and 4 thin cloud where they are asked for."""

    shadow: NDArray[np.uint8] | None
    """(h, w): 0 none, 1 shadow, 255 no data; None when not asked for."""

    picture: Picture | None
    """What the quick-look shows; None where none is asked for."""

    classes: tuple[int, ...] = ()
    """Those that the mask has beside clear and cloud: 3 snow, 4 thin cloud."""

    terrain_shade: NDArray[np.uint8] | None = None
    """(h, w): 0 none, 1 ground that hills shade, 255 no data; None without a DEM."""

    @property
    def shares(self) -> Shares:
        """Cloud, shadow, data, and what is kept apart from cloud."""
        data = self.mask != NO_DATA
        count = int(data.sum())  # above 0: products without data are refused
        shadow = None if self.shadow is None else int((self.shadow == CLOUD).sum()) / count
        mean = None if self.probability is None else _sum(self.probability, data) / count
        snow, thin = (
            int((self.mask == value).sum()) / count if value in self.classes else None for value in (SNOW, THIN_CLOUD)
        )
        cloud = int((self.mask == CLOUD).sum()) / count
        terrain = None if self.terrain_shade is None else int((self.terrain_shade == CLOUD).sum()) / count
        return Shares(cloud, shadow, count / data.size, mean, snow, thin, terrain)


def _sum(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """The sum of some pixels (h, w), which are copied: as many at a time as a frame of moderate size has."""
    step = max(WHOLE_PIXELS // values.shape[1], 1)
    parts = (slice(start, start + step) for start in range(0, len(values), step))
    return sum(float(values[rows][where[rows]].sum(dtype=np.float64)) for rows in parts)


def make_masks(
    scene: Scene,
    options: CloudMaskOptions,
    *,
    threads: int | None = None,
    advance: Advance | None = None,
    reading: ProductReading | None = None,
) -> ProductMasks:
    """Cloud probability and masks of a whole product.

    A detector that looks at pixels by themselves gets the product in strips, any other as a whole at the resolution of
    the results.

    :param scene: With the bands of the detector; L1C for that of s2cloudless.
    :param threads: Threads of the engine, None for the setting. The values do not depend on it.
    :param advance: Told of every strip.
    :param reading: Of this scene with these options, where it was begun before; it is used up.
    :raises BandError: a band is missing, as B10 is from L2A.
    :raises ImageryError: a file is damaged, or the product holds no data.
    :raises ReflectanceError: values that are no reflectance.
    :raises ModelError: a detector that fails, or answers something else than it says.
    """
    where = scene.name
    detector = find_detector(options.detector)
    settings = options.detector_settings(threads)
    reading = ProductReading(scene, options, threads) if reading is None else reading
    sun = _sun(scene, where) if options.searches_shadows or "sun angles" in detector.needs else None
    apart = KeptApart(detector, reading.grid.shape, **options.apart)
    found = Found(detector, reading.grid.shape, apart)
    search = None
    if sun is not None and options.searches_shadows:
        from eotasks.workflows.product_masks.shadows import ShadowSearch  # loads scipy, a sixth of a second

        search = ShadowSearch(reading.grid, reading.bands, sun, options, where)
    done = itertools.count(1)
    for rows, frames in reading.strips():  # enumerate would keep each while the next one is read
        apart.add(rows, frames)
        if search is not None:
            search.add(rows, frames.bands[0], frames.is_data[0])
        if in_strips(detector):
            found.add(rows, apart.told(frames, rows), settings)
        del frames  # or its bands, 0.25 GB at 10 m, are there still while the next ones are read
        give_back()
        if advance is not None:
            advance(next(done), len(reading))
    reading.check()
    if not in_strips(detector):
        found.add(slice(None), apart.told(reading.whole(), slice(None)), settings)
    size = (reading.grid.resolution, reading.grid.resolution)
    mask: NDArray[np.uint8] | None = None
    if search is not None:
        outlines = found.mask(reading.is_data, replace(options.mask, dilation_size=None), size, where)
        search.set_clouds(outlines)
        mask = None if found.grows(options.mask, size, where) else outlines
        del outlines  # 0.1 GB of a full tile
    if mask is None:
        mask = found.mask(reading.is_data, options.mask, size, where)
    shadow = found.shadow() if search is None else search.find(mask, reading.is_data)
    terrain_shade = None if search is None else search.terrain_shade
    del search  # some hundred megabytes of a full tile
    picture = _picture(scene, threads) if options.quicklook else None
    give_back()
    classes = apart.classes(mask)
    return ProductMasks(
        scene.acquisition, reading.grid, found.probability, classes, shadow, picture, apart.values, terrain_shade
    )


def probability_of(
    scene: Scene, options: CloudMaskOptions, grid: Grid, *, threads: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cloud probability of a part of a product: that which `make_masks` gives there.

    Whether the values can be right is not looked at, which takes the whole product: see `seems_plausible`.

    :param options: Of a detector that looks at pixels by themselves and has a probability, that of s2cloudless; with
        nothing kept apart.
    :param grid: A part of that of the product.
    :return: (h, w) float32, 0..1, 0 without data; and bool, where there is data.
    :raises EOTasksError: as `make_masks`, but for what it says of the whole product.
    """
    detector = find_detector(options.detector)
    reading = ProductReading(scene, options, threads, grid=grid)
    found = Found(detector, grid.shape, KeptApart(detector, grid.shape, **options.apart))
    for rows, frames in reading.strips():
        found.add(rows, frames, options.detector_settings(threads))
    assert found.probability is not None  # of such a detector
    return found.probability, reading.is_data


def seems_plausible(scene: Scene, options: CloudMaskOptions, *, threads: int | None = None) -> bool:
    """Whether the values of a product can be what its description says, as far as a small picture of it shows. Who
    doubts it has all pixels looked at (`make_masks`), as where the picture has too few with data to tell.

    :raises BandError: a band is missing.
    :raises EOTasksError: it cannot be read.
    """
    height, width = product_grid(scene, options.resolution).shape
    glance = min(max(math.isqrt(height * width // (4 * FEWEST_PIXELS)), 1), _GLANCE)
    dn, is_data = scene.preview(CLOUD_BANDS, product_grid(scene, options.resolution * glance), threads=threads)
    if np.count_nonzero(is_data) < FEWEST_PIXELS:
        return False
    try:
        refuse_implausible(dn[np.newaxis], is_data[np.newaxis], bands=CLOUD_BANDS, where=scene.name)
    except (ReflectanceError, BandError):
        return False
    return True


def refuse_product(scene: Scene, options: CloudMaskOptions) -> None:
    """Refuse, before any work, a product without what the detector needs beside bands.

    :raises ConfigurationError: it has no scene classification.
    :raises ImageryError: it does not say where the sun stood.
    """
    detector = find_detector(options.detector)
    if "sun angles" in detector.needs:
        _sun(scene, scene.name)
    if "classification" in detector.needs and scene.product.classification is None:
        available = AVAILABLE - {"classification"}
        refuse_needs(detector, available, what=scene.name, others=suited(available))


def _sun(scene: Scene, where: str) -> tuple[float, float]:
    zenith, azimuth = scene.acquisition.sun_zenith, scene.acquisition.sun_azimuth
    if zenith is None or azimuth is None:
        raise ImageryError(
            f"{where}: does not say where the sun stood, which shadows need: add sun_zenith and sun_azimuth to its"
            f" {SIDECAR_NAME}, or leave out --shadows."
        )
    return zenith, azimuth


def _picture(scene: Scene, threads: int | None, bands: Sequence[str] = TRUE_COLOR) -> Picture:
    """Numbers for a picture, at a resolution of its own: what is seen in it should not depend on the masks'."""
    whole = product_grid(scene, FINEST)
    grid = product_grid(scene, FINEST * max(math.ceil(max(whole.shape) / PICTURE_PIXELS), 1))
    return Picture(*scene.preview(bands, grid, threads=threads), grid)

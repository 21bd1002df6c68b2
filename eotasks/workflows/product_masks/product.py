"""From a product to its cloud probability and masks, in strips of bounded memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detector, ProbabilityDetector, is_masked_by_settings
from eotasks.clouds.detectors.registry import find_detector, suited
from eotasks.clouds.detectors.run import refuse_needs
from eotasks.errors import BandError, ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.acquisition import SIDECAR_NAME, Acquisition
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import CLOUD, NO_DATA, WHOLE_PIXELS
from eotasks.models.clouds.shadows.light import light_bands
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION, SceneClass, band_indices
from eotasks.workflows.product_masks.apart import KeptApart, bands_apart
from eotasks.workflows.product_masks.found import Found
from eotasks.workflows.product_masks.options import AVAILABLE, CellSampling, CloudMaskOptions

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

    mean_probability: float | None
    """Mean cloud probability of the pixels with data; None of a detector without a probability."""

    snow: float | None = None
    """Of the pixels with data; None when snow is no class of the mask."""

    thin_cloud: float | None = None
    """The same of thin cloud, which is not in ``cloud`` then."""


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
        return Shares(int((self.mask == CLOUD).sum()) / count, shadow, count / data.size, mean, snow, thin)


def _sum(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """The sum of some pixels (h, w), which are copied: as many at a time as a frame of moderate size has."""
    step = max(WHOLE_PIXELS // values.shape[1], 1)
    parts = (slice(start, start + step) for start in range(0, len(values), step))
    return sum(float(values[rows][where[rows]].sum(dtype=np.float64)) for rows in parts)


def make_masks(
    scene: Scene, options: CloudMaskOptions, *, threads: int | None = None, advance: Advance | None = None
) -> ProductMasks:
    """Cloud probability and masks of a whole product.

    A detector that looks at pixels by themselves gets the product in strips, any other as a whole at the resolution of
    the results.

    :param scene: With the bands of the detector; L1C for that of s2cloudless.
    :param threads: Threads of the engine, None for the setting. The values do not depend on it.
    :param advance: Told of every strip.
    :raises BandError: a band is missing, as B10 is from L2A.
    :raises ImageryError: a file is damaged, or the product holds no data.
    :raises ReflectanceError: values that are no reflectance.
    :raises ModelError: a detector that fails, or answers something else than it says.
    """
    where = scene.name
    detector = find_detector(options.detector)
    settings = options.detector_settings(threads)
    more = bands_apart(detector, scene.bands, **options.apart)
    wanted = tuple(dict.fromkeys([*_bands_to_read(scene, detector, options), *more]))
    _check_bands(scene, [*wanted, *(TRUE_COLOR if options.quicklook else ())])
    sun = _sun(scene, where) if options.searches_shadows or "sun angles" in detector.needs else None
    reading = _Reading(scene, detector, options, wanted, threads)
    apart = KeptApart(detector, reading.grid.shape, **options.apart)
    found = Found(detector, reading.grid.shape, apart)
    search = None
    if sun is not None and options.searches_shadows:
        from eotasks.workflows.product_masks.shadows import ShadowSearch  # loads scipy, a sixth of a second

        search = ShadowSearch(reading.grid, wanted, sun, options, where)
    strips = list(_strips(scene, reading.grid, options.sampling))
    for done, (rows, strip) in enumerate(strips, start=1):
        frames = reading.strip(rows, strip)
        apart.add(rows, frames)
        if search is not None:
            search.add(rows, frames.bands[0], frames.is_data[0])
        if _in_strips(detector):
            found.add(rows, apart.told(frames, rows), settings)
        del frames  # or its bands, 0.25 GB at 10 m, are there still while the next ones are read
        _give_back()
        if advance is not None:
            advance(done, len(strips))
    reading.check()
    if not _in_strips(detector):
        found.add(slice(None), apart.told(reading.whole(), slice(None)), settings)
    size = (reading.grid.resolution, reading.grid.resolution)
    if search is not None:
        search.set_clouds(found.mask(reading.is_data, replace(options.mask, dilation_size=None), size, where))
    mask = found.mask(reading.is_data, options.mask, size, where)
    shadow = found.shadow() if search is None else search.find(mask, reading.is_data)
    del search  # some hundred megabytes of a full tile
    picture = _picture(scene, threads) if options.quicklook else None
    _give_back()
    classes = apart.classes(mask)
    return ProductMasks(scene.acquisition, reading.grid, found.probability, classes, shadow, picture, apart.values)


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


def _check_bands(scene: Scene, bands: Sequence[str]) -> None:
    try:
        band_indices(bands, scene.bands, where=scene.name)
    except BandError as error:
        if scene.product.classification is None:
            raise
        raise BandError(f"{error} Or take the scene classification of L2A: --detector scl.") from error


def _bands_to_read(scene: Scene, detector: Detector, options: CloudMaskOptions) -> tuple[str, ...]:
    """Those of the detector, with the optional ones that are there, and those in which the shadows of its clouds are
    looked for.
    """
    optional = [band for band in detector.optional_bands if band in scene.bands]
    shadows = light_bands(scene.bands) if options.searches_shadows else ()
    return tuple(dict.fromkeys([*detector.bands, *optional, *shadows]))


def _in_strips(detector: Detector) -> bool:
    """Whether strips of a product give what the whole does. What a detector makes of its own probability, averages and
    the like, looks beyond a pixel.
    """
    return detector.per_pixel and (is_masked_by_settings(detector) or not isinstance(detector, ProbabilityDetector))


class _Reading:
    """Reads strips, and keeps of them what is looked at when all have been read."""

    def __init__(
        self,
        scene: Scene,
        detector: Detector,
        options: CloudMaskOptions,
        bands: tuple[str, ...],
        threads: int | None,
    ) -> None:
        self._scene, self._sampling, self._threads = scene, options.sampling, threads
        self._where, self._bands = scene.name, bands
        self._classified = "classification" in detector.needs
        self.grid = product_grid(scene, options.resolution)
        self.is_data: NDArray[np.bool_] = np.zeros(self.grid.shape, dtype=bool)
        shape = self.grid.shape
        whole = not _in_strips(detector)
        self._kept: NDArray[np.uint16] = np.zeros((*shape, len(bands)) if whole else (0,), dtype=np.uint16)
        self._kept_classes: NDArray[np.uint8] = np.zeros(shape if whole and self._classified else (0,), dtype=np.uint8)
        """All bands and classes, for a detector that sees the product as a whole."""
        self._every = max(math.ceil(math.sqrt(self.grid.height * self.grid.width / _LOOKED_AT)), 1)
        self._looked_at: list[tuple[NDArray[np.uint16], NDArray[np.bool_]]] = []

    def strip(self, rows: slice, strip: Grid) -> Frames:
        """DN of the detector's bands, where there is data, and what else it needs, of some rows."""
        classes = self._scene.scene_classification(strip) if self._classified else None
        bands, valid = self._read(strip, classes)
        self.is_data[rows] = valid
        if self._kept.size:
            self._kept[rows] = bands
        if classes is not None and self._kept_classes.size:
            self._kept_classes[rows] = classes
        if set(CLOUD_BANDS) <= set(self._bands):
            every = slice(None, None, self._every)
            self._looked_at.append((bands[every, every].copy(), valid[every, every].copy()))
        return self._frames(bands, valid, strip, classes)

    def whole(self) -> Frames:
        """The same of all strips that were read, where they are kept."""
        return self._frames(self._kept, self.is_data, self.grid, self._kept_classes if self._classified else None)

    def _read(self, strip: Grid, classes: NDArray[np.uint8] | None) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        if self._bands or classes is None:
            return self._scene.read_masked(self._bands, strip, resampling=self._sampling, threads=self._threads)
        return np.zeros((*strip.shape, 0), dtype=np.uint16), np.asarray(classes != SceneClass.NO_DATA)

    def _frames(
        self, bands: NDArray[np.uint16], valid: NDArray[np.bool_], grid: Grid, classes: NDArray[np.uint8] | None
    ) -> Frames:
        acquisition = self._scene.acquisition
        sun = None
        if acquisition.sun_zenith is not None and acquisition.sun_azimuth is not None:
            sun = np.array([[acquisition.sun_zenith, acquisition.sun_azimuth]])
        return Frames(
            bands=bands[np.newaxis],
            names=self._bands,
            is_data=valid[np.newaxis],
            where=self._where,
            times=(acquisition.time,),
            crs=grid.crs,
            bounds=grid.bounds,
            sun_angles=sun,
            classification=None if classes is None else classes[np.newaxis],
        )

    def check(self) -> None:
        """Refuse a product without data, or whose values cannot be what its description says.

        :raises ImageryError: no data.
        :raises EOTasksError: ReflectanceError or BandError, an offset left in or bands that are others.
        """
        if not self.is_data.any():
            raise ImageryError(f"{self._where}: holds no data at all. Fetch it again, or leave it out.")
        if self._looked_at:
            bands, valid = (np.concatenate(parts)[np.newaxis] for parts in zip(*self._looked_at, strict=True))
            refuse_implausible(bands, valid, bands=self._bands, frame_names=["the product"], where=self._where)


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

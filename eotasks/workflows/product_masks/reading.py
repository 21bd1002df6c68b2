"""The pixels of a product for its masks, read in strips of bounded memory, the first before its turn where asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detector, ProbabilityDetector, is_masked_by_settings
from eotasks.clouds.detectors.registry import find_detector
from eotasks.errors import BandError, EmptyProductError, ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.shadows.light import light_bands
from eotasks.models.sentinel2 import CLOUD_BANDS, SceneClass, band_indices
from eotasks.workflows.product_masks.apart import bands_apart
from eotasks.workflows.product_masks.options import CellSampling, CloudMaskOptions

TRUE_COLOR = ("B04", "B03", "B02")

FINEST = 10.0
"""Metres of the finest pixels that products have."""

AHEAD_BYTES = 64 << 20
"""Of the bands of a strip, up to which it is read before its turn: all of a product at 160 m takes 9 MB, a strip of
60 m 56 MB."""

_STRIP = 1024
"""Rows of the finest band that are read at a time, about a row of tiles of its JP2 file."""

_LOOKED_AT = 1_000_000
"""Pixels, spread over the product, that tell whether its values can be right."""

_ALIGNED = 1e-6


class ProductReading:
    """Reads a product in strips, and keeps of them what is looked at when all have been read.

    :param scene: With the bands of the detector.
    :param threads: Files that are decoded at a time, None for the setting. The values do not depend on it.
    :param grid: A part of that of the product; None for all of it.
    :raises BandError: a band is missing.
    :raises ImageryError: a file cannot be opened, or the bands share no ground.
    """

    def __init__(
        self, scene: Scene, options: CloudMaskOptions, threads: int | None = None, *, grid: Grid | None = None
    ) -> None:
        detector = find_detector(options.detector)
        more = bands_apart(detector, scene.bands, **options.apart)
        self.bands = tuple(dict.fromkeys([*_bands_to_read(scene, detector, options), *more]))
        """Names of those that are read."""
        _check_bands(scene, [*self.bands, *(TRUE_COLOR if options.quicklook else ())])
        self._scene, self._sampling, self._threads = scene, options.sampling, threads
        self._where, bands = scene.name, self.bands
        self._classified = "classification" in detector.needs
        self.grid = product_grid(scene, options.resolution) if grid is None else grid
        self.is_data: NDArray[np.bool_] = np.zeros(self.grid.shape, dtype=bool)
        shape = self.grid.shape
        whole = not in_strips(detector)
        self._kept: NDArray[np.uint16] = np.zeros((*shape, len(bands)) if whole else (0,), dtype=np.uint16)
        self._kept_classes: NDArray[np.uint8] = np.zeros(shape if whole and self._classified else (0,), dtype=np.uint8)
        """All bands and classes, for a detector that sees the product as a whole."""
        self._every = max(math.ceil(math.sqrt(self.grid.height * self.grid.width / _LOOKED_AT)), 1)
        self._looked_at: list[tuple[NDArray[np.uint16], NDArray[np.bool_]]] = []
        self._parts = list(strips(scene, self.grid, options.sampling))
        self._first: Frames | None = None

    def __len__(self) -> int:
        """Strips of the product."""
        return len(self._parts)

    def read_ahead(self) -> None:
        """Read the first strip before its turn, where it takes little memory: at 160 m it is the whole product.

        :raises EOTasksError: as :meth:`strips`.
        """
        rows, strip = self._parts[0]
        if strip.height * strip.width * len(self.bands) * np.dtype(np.uint16).itemsize <= AHEAD_BYTES:
            self._first = self._strip(rows, strip)

    def strips(self) -> Iterator[tuple[slice, Frames]]:
        """DN of the detector's bands, where there is data, and what else it needs, from north to south, once.

        :raises ImageryError: a file is damaged.
        :raises EOTasksError: a server does not give it.
        """
        for rows, strip in self._parts:
            first, self._first = self._first, None
            yield rows, first or self._strip(rows, strip)
            del first  # or its bands are there still while the next ones are read

    def _strip(self, rows: slice, strip: Grid) -> Frames:
        classes = self._scene.scene_classification(strip) if self._classified else None
        bands, valid = self._read(strip, classes)
        self.is_data[rows] = valid
        if self._kept.size:
            self._kept[rows] = bands
        if classes is not None and self._kept_classes.size:
            self._kept_classes[rows] = classes
        if set(CLOUD_BANDS) <= set(self.bands):
            every = slice(None, None, self._every)
            self._looked_at.append((bands[every, every].copy(), valid[every, every].copy()))
        return self._frames(bands, valid, strip, classes)

    def whole(self) -> Frames:
        """The same of all strips that were read, where they are kept."""
        return self._frames(self._kept, self.is_data, self.grid, self._kept_classes if self._classified else None)

    def _read(self, strip: Grid, classes: NDArray[np.uint8] | None) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        if self.bands or classes is None:
            return self._scene.read_masked(self.bands, strip, resampling=self._sampling, threads=self._threads)
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
            names=self.bands,
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

        :raises EmptyProductError: no data.
        :raises EOTasksError: ReflectanceError or BandError, an offset left in or bands that are others.
        """
        if not self.is_data.any():
            raise EmptyProductError(f"{self._where}: holds no data at all. Fetch it again, or leave it out.")
        if self._looked_at:
            bands, valid = (np.concatenate(parts)[np.newaxis] for parts in zip(*self._looked_at, strict=True))
            refuse_implausible(bands, valid, bands=self.bands, frame_names=["the product"], where=self._where)


def in_strips(detector: Detector) -> bool:
    """Whether strips of a product give what the whole does. What a detector makes of its own probability, averages and
    the like, looks beyond a pixel.
    """
    return detector.per_pixel and (is_masked_by_settings(detector) or not isinstance(detector, ProbabilityDetector))


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


def strips(scene: Scene, grid: Grid, sampling: CellSampling) -> Iterator[tuple[slice, Grid]]:
    """A grid from north to south in pieces, with the rows that they are.

    A lower level of the files has fewer pixels along a row too, so that more rows of it go into a strip.
    """
    decoded = min(scene.decoded_size(band, grid, resampling=sampling) for band in scene.bands)
    step = max(int(_STRIP * decoded**2 / FINEST / grid.resolution), 1)
    for start in range(0, grid.height, step):
        stop = min(start + step, grid.height)
        yield slice(start, stop), replace(grid, top=grid.top - start * grid.resolution, height=stop - start)


def _bands_to_read(scene: Scene, detector: Detector, options: CloudMaskOptions) -> tuple[str, ...]:
    """Those of the detector, with the optional ones that are there, and those in which the shadows of its clouds are
    looked for.
    """
    optional = [band for band in detector.optional_bands if band in scene.bands]
    shadows = light_bands(scene.bands) if options.searches_shadows else ()
    return tuple(dict.fromkeys([*detector.bands, *optional, *shadows]))


def _check_bands(scene: Scene, bands: Sequence[str]) -> None:
    try:
        band_indices(bands, scene.bands, where=scene.name)
    except BandError as error:
        if scene.product.classification is None:
            raise
        raise BandError(f"{error} Or take the scene classification of L2A: --detector scl.") from error

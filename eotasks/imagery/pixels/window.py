"""The part of a product that lies under a grid: pixels of its bands, and which of them hold data."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from shapely import union_all
from shapely.geometry import box

from eotasks.errors import WARNING_FILTERS, ImageryError
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.kept import KeptPixels
from eotasks.imagery.pixels.places import Places, PlacesOf
from eotasks.imagery.pixels.raster import (
    MASK_TYPES,
    Level,
    Pixels,
    RasterInfo,
    Wanted,
    bounds_in,
    decode_window,
    describe,
    find_window,
    pixel_sides_in,
    pixel_size_in,
    read_window,
    window_under,
)
from eotasks.imagery.pixels.reduction import PIXELS_PER_TARGET, reduced_level
from eotasks.imagery.pixels.resampling import ResamplingName, resample
from eotasks.imagery.pixels.seen import LOOK, SPREAD, SeenGround
from eotasks.imagery.pixels.threads import fetched_ahead, in_threads
from eotasks.models.sentinel2 import NATIVE_RESOLUTION, NO_DATA_DN

if TYPE_CHECKING:
    from eotasks.imagery.files.protocol import RasterFile
    from eotasks.imagery.pixels.blocks import DecodedBlocks
    from eotasks.imagery.products.product import MaskPolygons, Product

LOGGER = logging.getLogger(__name__)

_KERNEL = 3
"""Source pixels read around the target: what a cubic kernel reaches, and one for rounding."""

_ALIKE = 1.01
"""Sides of a pixel that differ by less are one: those of another system are turned and stretched a little."""

_SAME, _NEAR = 1 + 1e-6, 1e-3
"""Sizes of pixels this near are the same; a corner is looked at this much inside, in pixels."""

_BLOCK = 64
"""Pixels of a level along a side of what is decoded in full to tell a hole from a ripple, less than a tile of a JP2."""

_FULL = np.uint8(1)
"""Stands for every pixel of a band that is 0 nowhere, and whose values are not needed any more."""

_AHEAD, _PIXELS_AHEAD = 8, 24_000_000
"""Bands that are fetched ahead at most, and pixels of them: each takes about a byte until it is decoded."""


@dataclass(frozen=True)
class Sampling:
    """How pixels come to a grid, and from which level of a file."""

    method: ResamplingName
    pixels_per_target: float = PIXELS_PER_TARGET
    """Of a lower level: decoded pixels along a side of a target pixel, at least."""

    reduced: bool = False
    """Whether another method than "fast" takes a lower level where the grid is coarse, too."""

    def level(self, info: RasterInfo, grid: Grid) -> Level:
        """The level of a file that is decoded for a grid."""
        if self.method != "fast" and not self.reduced:
            return info.full
        return reduced_level(info, side_for_level(info, grid), self.pixels_per_target)


def side_for_level(info: RasterInfo, grid: Grid) -> float:
    """The side of a grid's pixels that says which level of a file is decoded, in units of the file: the shorter one."""
    # Those that differ by so little are the same: two pixels along the shorter one would take a finer level.
    short, long = sorted(pixel_sides_in(grid, info.crs, info.middle))
    return long if long < short * _ALIKE else short


class Window:
    """Bands of a product under a grid. Each file is decoded once, at the level that the method of resampling needs.

    :param product: The product.
    :param infos: Grids and levels by band, those of masks by the name of their file; what is missing is filled in.
    :param threads: Files that are decoded at a time. The values do not depend on it.
    :param kept: Keeps what is decoded for other windows of the product; None keeps nothing.
    :param by_band: Samplings of bands that have another one.
    :param seen: What is known of where the detectors saw all; None: footprints are decoded under every grid.
    :param blocks: What is decoded already, of bands; None keeps nothing.
    """

    def __init__(
        self,
        product: Product,
        infos: dict[str, RasterInfo],
        grid: Grid,
        sampling: Sampling,
        threads: int,
        kept: KeptPixels | None = None,
        by_band: Mapping[str, Sampling] | None = None,
        seen: SeenGround | None = None,
        blocks: DecodedBlocks | None = None,
    ) -> None:
        self._product = product
        self._infos = infos
        self._grid = grid
        self._sampling = sampling
        self._threads = threads
        self._kept = kept
        self._by_band = by_band or {}
        self._seen = seen
        self._blocks = blocks
        self._pixels: dict[str, Pixels | None] = {}
        self._places: Places | None = None
        self._finding = Lock()

    def decode(self, bands: Iterable[str], then: Callable[[str], None] | None = None) -> None:
        """Read bands that have not been read yet.

        :param then: Told of each as soon as it is there, in the thread that has read it.
        """

        def read(band: str, wanted: Wanted | None) -> None:
            self._pixels[band] = self._read(band, wanted)
            if then is not None:
                then(band)

        wanted = [band for band in dict.fromkeys(bands) if band not in self._pixels]
        fetched_ahead(self._find, read, wanted, self._threads, self._ahead(wanted))

    def pixels(self, band: str) -> Pixels | None:
        """Stored pixels of a decoded band around the grid, None when the grid lies outside."""
        return self._pixels[band]

    def is_full(self, band: str) -> bool:
        """Whether a decoded band is 0 nowhere: which of its pixels hold data is then known without other bands."""
        pixels = self._pixels[band]
        return pixels is not None and bool(pixels.values.all())

    def forget(self, band: str) -> None:
        """Gives back the memory of a decoded band, whose values are not asked for again. Other bands may still take
        from one that is 0 nowhere what is no hole in them.
        """
        pixels = self._pixels[band]
        if pixels is not None and pixels.values.all():
            self._pixels[band] = replace(pixels, values=np.broadcast_to(_FULL, pixels.shape))
        else:
            del self._pixels[band]

    def valid(self, bands: Sequence[str]) -> dict[str, NDArray[np.bool_] | None]:
        """Which pixels of some decoded bands hold data; None for a band whose pixels all do.

        A pixel does when a detector saw it, and it is not 0. In a band without an offset, that is before baseline
        04.00, dark water may be 0: there it does as well when another band, as fine or finer, is not 0. At a lower
        level pixels that share in such a hole are taken for parts of it.
        """
        unique = list(dict.fromkeys(bands))
        empty = {band: self._empty(band) for band in unique}
        # Of a lower level 0 may be a ripple beside bright cloud, and a hole may be no 0: looked at below.
        shared = {band: mask for band, mask in empty.items() if self._is_reduced(band) or not self._offset(band)}
        # Of a full band no other is looked at: threads may still be decoding those.
        for find in (self._decoded_beside, self._others_decoded):
            if any(mask is not None for mask in shared.values()):
                self._fill_from(shared, find(unique))
        empty |= shared
        outside = dict(zip(unique, in_threads(self._outside, unique, self._threads), strict=True))
        alone = in_threads(lambda band: self._alone(band, empty[band], outside[band]), unique, self._threads)
        return {
            band: self._valid(band, empty[band], outside[band], own) for band, own in zip(unique, alone, strict=True)
        }

    def _decoded_beside(self, bands: Sequence[str]) -> list[str]:
        return [*bands, *(band for band in self._pixels if band not in bands)]

    def _others_decoded(self, bands: Sequence[str]) -> list[str]:
        others = [band for band in self._product.bands if band not in bands]
        self.decode(others)
        return others

    def info(self, band: str) -> RasterInfo:
        """Grid and levels of a band."""
        if band not in self._infos:
            self._infos.setdefault(band, describe(self._product.files, self._product.bands[band]))
        return self._infos[band]

    def resampled(
        self, band: str, valid: NDArray[np.bool_] | None, places: PlacesOf | None = None
    ) -> NDArray[np.float32]:
        """A decoded band on the grid: float32 (h, w), NaN where it has no value.

        :param places: Of the grid's pixels, where they are known; None to find them.
        """
        pixels = self._pixels[band]
        if pixels is None:
            return np.full(self._grid.shape, np.nan, dtype=np.float32)
        return resample(
            pixels.values,
            pixels.transform,
            pixels.crs,
            self._grid,
            valid=valid,
            method=self._sampling_of(band).method,
            sides=pixel_sides_in(self._grid, pixels.crs, self.info(band).middle),
            places=places or self._places_in,
        )

    def _places_in(self, crs: CRS) -> Places:
        """Of the grid's pixels, found once for all bands."""
        with self._finding:
            if self._places is None or self._places.crs != crs:
                self._places = Places.of(self._grid, crs)
            return self._places

    def _ahead(self, bands: Sequence[str]) -> int:
        """Bands that are fetched ahead of those that are decoded: where they are far away, as memory allows."""
        files = self._product.files
        if not any(files.is_far(self._product.bands[band].name) for band in bands):
            return 0
        info = self.info(bands[0])
        crs = info.crs
        size: float = min(NATIVE_RESOLUTION.values())
        if self._sampling.method == "fast":
            size = max(side_for_level(info, self._grid) / self._sampling.pixels_per_target, size)
        # A grid may reach far beyond the file, of which no more than all is fetched.
        wanted, there = bounds_in(self._grid, crs), info.grid.bounds
        (left, bottom), (right, top) = map(max, wanted[:2], there[:2]), map(min, wanted[2:], there[2:])
        pixels = max(right - left, size) * max(top - bottom, size) / size**2
        return max(1, min(_AHEAD, int(_PIXELS_AHEAD / pixels)))

    def _find(self, band: str) -> Wanted | None:
        info = self.info(band)
        sampling = self._sampling_of(band)
        level = sampling.level(info, self._grid)
        margin = self._margin(info, level, sampling)
        if self._blocks is not None:
            window = window_under(info, level, self._grid, margin)
            if window is None or self._blocks.takes(info, level, window):
                return None if window is None else Wanted(level, window, None)
        return find_window(self._product.files, self._product.bands[band], info, level, self._grid, margin)

    def _read(self, band: str, wanted: Wanted | None) -> Pixels | None:
        if wanted is None:
            return None

        def decode() -> Pixels:
            return decode_window(self._product.files, self._product.bands[band], self.info(band), wanted)

        level, window, info = wanted.level, wanted.window, self.info(band)
        if self._blocks is not None and self._blocks.takes(info, level, window):
            return self._blocks.window(self._product.files, self._product.bands[band], info, level, window)
        is_whole = (window.height, window.width) == (level.height, level.width)
        if self._kept is None or not is_whole or len(info.levels) > 1:  # who looks again takes another level
            return decode()
        return self._kept.read(band, decode)

    def _sampling_of(self, band: str) -> Sampling:
        return self._by_band.get(band, self._sampling)

    def _margin(self, info: RasterInfo, level: Level, sampling: Sampling) -> int:
        spread = SPREAD[info.wavelet] if level is not info.full else 0
        if sampling.method in ("mean", "fast"):
            return spread + (0 if parse_crs(self._grid.crs) == info.crs else 1)
        # A coarse target reaches further: its bilinear and cubic kernels are as wide as its own pixels.
        return _KERNEL + math.ceil(2 * pixel_size_in(self._grid, info.crs, info.middle) / level.size)

    def _empty(self, band: str) -> NDArray[np.bool_] | None:
        pixels = self._pixels[band]
        if pixels is None:
            return None
        empty: NDArray[np.bool_] = pixels.values == NO_DATA_DN
        return empty if empty.any() else None

    def _fill_from(self, empty: dict[str, NDArray[np.bool_] | None], others: Sequence[str]) -> None:
        """Take from the empty pixels of each band those all over which another band is not 0.

        That band is as fine at least: at the edge of a swath the coarser one may be 0 where the finer one has begun.
        """
        for band, mask in empty.items():
            at = self._pixels[band]
            if mask is None or at is None:
                continue
            rows, columns = np.nonzero(mask)
            for other in others:
                pixels = self._pixels[other]
                if other == band or not rows.size or pixels is None or pixels.transform.a > at.transform.a * _SAME:
                    continue
                full = ~self._grown(other, pixels.values == NO_DATA_DN)
                filled = _is_filled(replace(pixels, values=full), at, rows, columns)
                mask[rows[filled], columns[filled]] = False
                rows, columns = rows[~filled], columns[~filled]
            if not rows.size:
                empty[band] = None

    def _outside(self, band: str) -> NDArray[np.bool_] | None:
        """Pixels of a decoded band that no detector saw; None when all were seen."""
        pixels, source = self._pixels[band], self._product.footprints.get(band)
        if pixels is None or source is None:
            return None
        if callable(source):
            areas = source() if self._seen is None else self._seen.polygons(band, source)
            return _outside_polygons(areas, pixels, f"{self._product.files.location}: footprint of {band}")
        return self._outside_image(source, band, pixels)

    def _outside_image(self, raster: RasterFile, band: str, pixels: Pixels) -> NDArray[np.bool_] | None:
        files = self._product.files
        info = self._infos.get(raster.name)
        if info is None:
            info = self._infos.setdefault(raster.name, describe(files, raster, MASK_TYPES))
        level = info.full
        if self._seen is not None and self._seen.is_all(files, raster, info, _bounds(pixels)):
            return None
        if pixels.transform.a > self.info(band).full.size:
            look = [each for each in info.levels if each.size <= LOOK][-1:] or [info.full]
            seen = read_window(files, raster, info, look[0], self._grid, margin=2 * SPREAD[info.wavelet])
            if seen is not None and seen.values.all() and _covers(info, pixels):
                return None
            level = [each for each in info.levels if each.size <= pixels.transform.a][-1]
        around = _grid_of(pixels, self.info(band).crs)
        seen = read_window(files, raster, info, level, around, margin=1)
        footprint = _nearest(seen, pixels)
        return None if footprint.all() else footprint == 0

    def _valid(self, band: str, *masks: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """What is none of some holes; None where all is."""
        there = [mask for mask in masks if mask is not None]
        if not there:
            return None
        holes: NDArray[np.bool_] = there[0] if len(there) == 1 else np.logical_or.reduce(there)
        return ~self._grown(band, holes)

    def _alone(
        self, band: str, empty: NDArray[np.bool_] | None, outside: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """Pixels of a lower level in holes of this band alone; None when there are none.

        A wavelet reaches down to 0 beside bright cloud, too: the pixels of the full resolution decide. A hole smaller
        than a pixel of the level is not seen, as "fast" sees nothing that small.

        :param empty: Pixels that are known to be holes, as are those that share in them.
        :param outside: The same.
        """
        pixels, suspicious = self._pixels[band], self._empty(band)
        if pixels is None or suspicious is None or not self._offset(band) or not self._is_reduced(band):
            return None
        rest = self._valid(band, empty, outside)
        rows, columns = np.nonzero(suspicious if rest is None else suspicious & rest)
        holes = np.zeros(pixels.shape, dtype=bool)
        for row, column in sorted({*zip((rows // _BLOCK).tolist(), (columns // _BLOCK).tolist(), strict=True)}):
            inside = (rows // _BLOCK == row) & (columns // _BLOCK == column)
            own = rows[inside], columns[inside]
            holes[own] = self._with_zeros(band, pixels, *own)
        return holes if holes.any() else None

    def _with_zeros(
        self, band: str, at: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Whether the full resolution is 0 somewhere in pixels of a level."""
        info, (top, left) = self.info(band), (int(rows.min()), int(columns.min()))
        x, y = at.transform.c + left * at.transform.a, at.transform.f + top * at.transform.e
        shape = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        around = Grid(info.crs.to_wkt(), x, y, at.transform.a, *shape)
        full = read_window(self._product.files, self._product.bands[band], info, info.full, around)
        zeros = np.zeros(shape, dtype=bool)
        if full is not None:
            down, across = np.nonzero(full.values == NO_DATA_DN)
            i, j = _indices(at, full, down + 0.5, across + 0.5)
            i, j = i - top, j - left
            known = (i >= 0) & (j >= 0) & (i < shape[0]) & (j < shape[1])
            zeros[i[known], j[known]] = True
        return zeros[rows - top, columns - left]

    def _offset(self, band: str) -> int:
        """Of the stored numbers: from baseline 04.00 on there is one, and 0 is no data of the band alone."""
        return self._product.acquisition.offset_of(band)

    def _is_reduced(self, band: str) -> bool:
        """Whether the decoded pixels are of a lower level."""
        pixels = self._pixels[band]
        return pixels is not None and pixels.transform.a > self.info(band).full.size

    def _grown(self, band: str, holes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Holes of a decoded band with the pixels of a lower level that share in them."""
        if not self._is_reduced(band):
            return holes
        reach = SPREAD[self.info(band).wavelet]
        return _grown(_grown(holes, reach).T, reach).T


def _grown(holes: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Holes with so many rows more on either side."""
    grown = holes.copy()
    for step in range(1, reach + 1):
        grown[step:] |= holes[:-step]
        grown[:-step] |= holes[step:]
    return grown


def _is_filled(pixels: Pixels, at: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether a mask is True at the centres of pixels of another window, and at those of their corners it reaches."""
    filled = np.ones(rows.shape, dtype=bool)
    for down, across in ((0.5, 0.5), (_NEAR, _NEAR), (_NEAR, 1 - _NEAR), (1 - _NEAR, _NEAR), (1 - _NEAR, 1 - _NEAR)):
        i, j = _indices(pixels, at, rows + down, columns + across)
        inside = (i >= 0) & (j >= 0) & (i < pixels.shape[0]) & (j < pixels.shape[1])
        found: NDArray[np.bool_] = pixels.values[np.clip(i, 0, pixels.shape[0] - 1), np.clip(j, 0, pixels.shape[1] - 1)]
        filled &= found & inside if down == across == 0.5 else found | ~inside
    return filled


def _indices(
    pixels: Pixels, at: Pixels, rows: NDArray[np.floating], columns: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns in ``pixels`` of places in ``at``, counted in its pixels; they may lie outside."""
    x = at.transform.c + columns * at.transform.a
    y = at.transform.f + rows * at.transform.e
    j = np.floor((x - pixels.transform.c) / pixels.transform.a).astype(np.intp)
    i = np.floor((y - pixels.transform.f) / pixels.transform.e).astype(np.intp)
    return i, j


def _nearest(pixels: Pixels | None, at: Pixels) -> NDArray[Any]:
    """A mask on the pixels of another window; 0 outside."""
    height, width = at.shape
    if pixels is None:
        return np.zeros((height, width), dtype=np.uint8)
    i, j = _indices(pixels, at, np.arange(height) + 0.5, np.arange(width) + 0.5)
    values: NDArray[Any] = pixels.values[np.ix_(np.clip(i, 0, pixels.shape[0] - 1), np.clip(j, 0, pixels.shape[1] - 1))]
    values[(i < 0) | (i >= pixels.shape[0])] = 0
    values[:, (j < 0) | (j >= pixels.shape[1])] = 0
    return values


def _bounds(pixels: Pixels) -> tuple[float, float, float, float]:
    transform, (height, width) = pixels.transform, pixels.shape
    return transform.c, transform.f + height * transform.e, transform.c + width * transform.a, transform.f


def _covers(info: RasterInfo, pixels: Pixels) -> bool:
    """Whether a mask reaches over the centres of all pixels."""
    left, bottom, right, top = info.grid.bounds
    half = pixels.transform.a / 2
    west, south, east, north = _bounds(pixels)
    return bool(west + half >= left and south + half >= bottom and east - half <= right and north - half <= top)


def _grid_of(pixels: Pixels, crs: CRS) -> Grid:
    height, width = pixels.shape
    return Grid(crs.to_wkt(), pixels.transform.c, pixels.transform.f, pixels.transform.a, height, width)


def _outside_polygons(mask: MaskPolygons, pixels: Pixels, where: str) -> NDArray[np.bool_] | None:
    if parse_crs(mask.crs) != pixels.crs:
        raise ImageryError(f"{where}: in {mask.crs}, the image in {pixels.crs}. Fetch the original again.")
    areas = [area for _, area in mask.areas if not area.is_empty]
    if not areas:
        LOGGER.warning("%s names no area: what the detectors did not see is known from the image alone.", where)
        return None
    seen = union_all(areas)
    if seen.covers(box(*_bounds(pixels))):
        return None
    with WARNING_FILTERS:
        outside: NDArray[np.bool_] = geometry_mask([seen], out_shape=pixels.shape, transform=pixels.transform)
    return outside if outside.any() else None

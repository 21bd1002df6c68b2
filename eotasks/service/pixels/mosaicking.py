"""One scene of a request: its products over each other, each pixel with all its bands from one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from eotasks.errors import ImageryError
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.mosaic import holes
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.raster import BAND_TYPES, MASK_TYPES, RasterInfo, bounds_in
from eotasks.models.sentinel2 import NATIVE_RESOLUTION
from eotasks.service.errors import RequestError
from eotasks.service.pixels.bands import BandPixels, BandRules, BandSampling, read_bands, read_layer
from eotasks.service.pixels.blocks import Allowance, Computed
from eotasks.service.pixels.clouds import CloudBands
from eotasks.service.pixels.collections import AOT, MASK_RESOLUTION, BandKind, ServedBand
from eotasks.service.pixels.ground import Canvas
from eotasks.service.pixels.order import SceneProducts
from eotasks.service.pixels.products import OpenProduct, OpenProducts, faults_of
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import still_needed

STRIP_PIXELS = 24_000_000
"""Stored pixels that are decoded at a time for one scene, of all bands together; of one alone they take 48 MB."""

STRIP_PLACES = 500_000
"""Pixels of the request whose places in another system are worked on at a time: each takes some hundred bytes."""

STRIP_BYTES = 5 * STRIP_PIXELS
"""Of what a strip takes while it is worked on, about: numbers of two bytes, and masks of them."""

ANGLES = ("sunAzimuthAngles", "sunZenithAngles", "viewAzimuthMean", "viewZenithMean")


@dataclass(frozen=True)
class Wanted:
    """What is read of each scene."""

    bands: Mapping[str, ServedBand]
    """By name, each once."""

    rules: BandRules
    """Of the bands of a product, and of the cloud probability; classes are always nearest."""

    def of_kind(self, kind: BandKind) -> list[str]:
        """Names of the bands of a kind."""
        return [name for name, band in self.bands.items() if band.kind is kind]


class SceneReader:
    """Reads scenes. May be used by several threads."""

    def __init__(self, products: OpenProducts, clouds: CloudBands) -> None:
        self._products, self._clouds = products, clouds

    def read(
        self, scene: SceneProducts, canvas: Canvas, wanted: Wanted, out: Mapping[str, NDArray[Any]], threads: int
    ) -> None:
        """Fill the planes of one scene.

        :param out: By band: (h, w), zeros.
        :param threads: Bands that are decoded at a time.
        :raises ServiceError: as of `faults_of`.
        """
        missing = np.ones(canvas.grid.shape, dtype=bool) if canvas.inside is None else canvas.inside.copy()
        for candidate in scene.candidates:
            if not missing.any():
                return
            self._add(candidate, scene, canvas, wanted, out, missing, threads)
        needed = still_needed(scene.replaced.replaced, ~missing, canvas.grid)
        for each in needed:
            self._add(each.product, scene, canvas, wanted, out, missing, threads)

    def check_computing(self, scenes: Iterable[SceneProducts], wanted: Wanted, canvas: Canvas, most: int) -> None:
        """Look at what cloud masks of some scenes would have to be computed of, until it is too much.

        :param most: Pixels of products.
        :raises TooLargeError: when they are more.
        :raises ServiceError: as of `faults_of`.
        """
        kinds, estimate = wanted.of_kind(BandKind.CLOUDS), Allowance(most)
        for scene in scenes if kinds else ():
            for each in scene.candidates:
                masked = scene.masked.get(each.name)
                if masked is not None and set(kinds) <= masked.masks.keys():
                    continue
                with faults_of(each.name):
                    product = self._products.get(each)
                    window = _under(product, wanted.rules.sampling_of(product), canvas)
                    if window is not None:
                        part, places = canvas.grid.part(*window), canvas.places_of(*window)
                        for what, pixels in self._clouds.pixels_to_compute(kinds, each, masked, part, places).items():
                            estimate.take(pixels, what)

    def has_data(self, candidate: Candidate, canvas: Canvas) -> bool:
        """Whether a product has data anywhere on a canvas, by its coarsest band.

        :raises ServiceError: as of `faults_of`.
        """
        with faults_of(candidate.name):
            product = self._products.get(candidate)
            coarsest = max(product.scene.bands, key=lambda band: NATIVE_RESOLUTION[band])
            sampling = BandSampling({coarsest: "nearest"}, reduced=False, harmonize=True, is_only_mask=True)
            window = _under(product, sampling, canvas)
            if window is None:
                return False
            for rows in _strips(product, sampling, canvas.grid, window):
                part, places = canvas.grid.part(rows, window[1]), canvas.places_of(rows, window[1], window)
                found = read_bands(product, sampling, part, places, threads=1).is_data
                if (found if canvas.inside is None else found & canvas.inside[rows, window[1]]).any():
                    return True
        return False

    def _add(
        self,
        candidate: Candidate,
        scene: SceneProducts,
        canvas: Canvas,
        wanted: Wanted,
        out: Mapping[str, NDArray[Any]],
        missing: NDArray[np.bool_],
        threads: int,
    ) -> None:
        """Fill what is missing from one product."""
        open_ = holes(~missing)
        if open_ is None:
            return
        with faults_of(candidate.name):
            product, computed = self._products.get(candidate), Computed(allowance=canvas.allowance)
            sampling = wanted.rules.sampling_of(product)
            window = canvas.window_under(_ground_of(product, sampling), open_)
            if window is None:
                return
            beside = self._layers_of(product, wanted)
            for rows in _strips(product, sampling, canvas.grid, window, beside):
                columns = window[1]
                if not missing[rows, columns].any():
                    continue
                part = canvas.grid.part(rows, columns)
                places = canvas.places_of(rows, columns, window)
                found = read_bands(product, sampling, part, places, threads=threads)
                new = found.is_data & missing[rows, columns]
                if not new.any():
                    continue
                missing[rows, columns] &= ~new
                for name, values in self._others(candidate, scene, product, part, places, wanted, found, computed):
                    if new.all():
                        out[name][rows, columns] = values
                    else:
                        np.copyto(out[name][rows, columns], values, where=new)

    @staticmethod
    def _layers_of(product: OpenProduct, wanted: Wanted) -> list[RasterInfo]:
        """Files beside the bands that are wanted of a product."""
        files = product.scene.product
        classes = [files.classification for _ in wanted.of_kind(BandKind.CLASSES)]
        layers = [(files.layers.get(name), _types_of(name)) for name in wanted.of_kind(BandKind.LAYER)]
        both = [*((raster, MASK_TYPES) for raster in classes), *layers]
        return [product.layer(raster, types) for raster, types in both if raster is not None]

    def _others(
        self,
        candidate: Candidate,
        scene: SceneProducts,
        product: OpenProduct,
        part: Grid,
        places: Callable[[CRS], Places],
        wanted: Wanted,
        found: BandPixels,
        computed: Computed,
    ) -> Iterator[tuple[str, NDArray[Any] | int]]:
        """All bands of a product under a grid; what holds no data is not looked at."""
        for name in wanted.of_kind(BandKind.REFLECTANCE):
            yield name, found.values[name]
        for name in wanted.of_kind(BandKind.DATA_MASK):
            yield name, 1
        for name in wanted.of_kind(BandKind.CLASSES):
            raster = product.scene.product.classification
            if raster is None:
                raise RequestError(f"Product {product.scene.name} has no scene classification: leave out {name}.")
            yield name, read_layer(product, raster, part, places)
        for name in wanted.of_kind(BandKind.LAYER):
            raster = product.scene.product.layers.get(name)
            if raster is None:
                raise RequestError(f"Product {product.scene.name} does not hold {name}: leave this band out.")
            yield name, read_layer(product, raster, part, places, _types_of(name))
        angles = set(wanted.of_kind(BandKind.ANGLES))
        if angles & set(ANGLES[:2]):
            zenith, azimuth = _told(product, partial(product.scene.sun_angles, part, nearest=True))
            yield from ((name, each) for name, each in zip(ANGLES, (azimuth, zenith), strict=False) if name in angles)
        if angles & set(ANGLES[2:]):
            zenith, azimuth = _told(product, partial(product.scene.view_angles, part, nearest=True))
            pairs = zip(ANGLES[2:], (azimuth, zenith), strict=True)
            yield from ((name, each) for name, each in pairs if name in angles)
        clouds = wanted.of_kind(BandKind.CLOUDS)
        if clouds:
            masked = scene.masked.get(candidate.name)
            method = wanted.rules.method_in(product, MASK_RESOLUTION)
            yield from self._clouds.read(
                clouds, candidate, masked, part, places, clp_method=method, computed=computed
            ).items()


def _types_of(layer: str) -> frozenset[str]:
    return BAND_TYPES if layer == AOT else MASK_TYPES


def _told(
    product: OpenProduct, read: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Angles of a product, 0 where there are none."""
    try:
        zenith, azimuth = read()
    except ImageryError as error:
        if product.scene.product.angles is not None:
            raise
        raise RequestError(f"Product {product.scene.name} does not say its angles: leave these bands out.") from error
    return np.nan_to_num(zenith, nan=0), np.nan_to_num(azimuth, nan=0)


def _ground_of(product: OpenProduct, sampling: BandSampling) -> Grid:
    """That of one of the bands that are read: where it has no data there is none."""
    return product.scene.info(next(iter(sampling.methods))).grid


def _under(product: OpenProduct, sampling: BandSampling, canvas: Canvas) -> tuple[slice, slice] | None:
    """The part of a canvas in which pixels of a product may lie; None where none can."""
    everywhere = slice(0, canvas.grid.height), slice(0, canvas.grid.width)
    return canvas.window_under(_ground_of(product, sampling), everywhere)


def _strips(
    product: OpenProduct,
    sampling: BandSampling,
    grid: Grid,
    window: tuple[slice, slice],
    beside: Sequence[RasterInfo] = (),
) -> Iterator[slice]:
    """Rows of a window in pieces: of each no more is decoded at once than `STRIP_PIXELS`, and no more places are found
    than `STRIP_PLACES`.

    :param beside: Files that are read in full.
    """
    rows, columns = window
    part = grid.part(rows, columns)
    infos = {band: product.scene.info(band) for band in sampling.methods}
    levels = [(infos[band], method.level(infos[band], part)) for band, method in sampling.by_band.items()]
    decoded = 0.0
    for info, level in [*levels, *((info, info.full) for info in beside)]:
        (left, bottom, right, top), there = bounds_in(part, info.crs), info.grid.bounds
        width, height = min(right, there[2]) - max(left, there[0]), min(top, there[3]) - max(bottom, there[1])
        decoded += max(width, 0) * max(height, 0) / level.size**2
    is_same = all(parse_crs(grid.crs) == info.crs for info in infos.values())
    places = 0 if is_same else part.height * part.width
    count = min(max(math.ceil(decoded / STRIP_PIXELS), math.ceil(places / STRIP_PLACES), 1), part.height)
    edges = [rows.start + part.height * index // count for index in range(count + 1)]
    yield from (slice(start, stop) for start, stop in pairwise(edges))

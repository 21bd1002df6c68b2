"""Digital numbers of a product's bands on a grid, each band by the method of its direction: up or down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.raster import BAND_TYPES, MASK_TYPES, Wanted, decode_window, window_under
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.pixels.threads import in_threads
from eotasks.imagery.pixels.window import Sampling, Window
from eotasks.imagery.products.acquisition import Acquisition
from eotasks.models.sentinel2 import NATIVE_RESOLUTION, QUANTIFICATION, band_indices
from eotasks.service.contract.data import Resampling
from eotasks.service.pixels.products import OpenProduct

METHODS: Mapping[Resampling, ResamplingName] = {
    "NEAREST": "nearest",
    "BILINEAR": "bilinear",
    "BICUBIC": "cubic",
}

DATA_BAND = "B02"
"""The band that says where there is data, where a script reads none: of the finest pixels."""

_COARSER = 1.01
"""Pixels of a band that are wider than those of a request by less are as wide: zones of UTM differ."""

_MOST_DN = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class BandSampling:
    """How bands come to the grid of a request."""

    methods: Mapping[str, ResamplingName]
    """By band."""

    reduced: bool
    """Whether lower levels of the files are read."""

    harmonize: bool
    """Whether numbers are reflectance * 10000, not below 0; else they are as in the file."""

    signed: frozenset[str] = frozenset()
    """Bands whose reflectance is wanted as it is, below 0, too: reflectance * 10000 as float32."""

    is_only_mask: bool = False
    """Whether the one band is read to know where there is data."""

    def dtype_of(self, band: str) -> type[np.uint16] | type[np.float32]:
        """Of the numbers of a band."""
        return np.uint16 if self.methods[band] == "nearest" and band not in self.signed else np.float32

    @property
    def by_band(self) -> dict[str, Sampling]:
        """As windows of products take it."""
        return {band: Sampling(method, reduced=self.reduced) for band, method in self.methods.items()}


@dataclass(frozen=True)
class BandRules:
    """How bands come to the pixels of a request: of each product by how wide these are in its middle. By the middle of
    the request the same pixel of the ground would have other values in another request.
    """

    resolutions: Mapping[str, float]
    """Metres of the pixels of the bands that are asked for. None is asked for where only a mask is: one of a product
    says where there is data."""

    upsampling: Resampling
    downsampling: Resampling
    exact_metres: float
    """Of the longer side of a pixel, up to which bands are read in full."""

    harmonize: bool
    signed: frozenset[str]
    """As of `BandSampling`."""

    size_at: Callable[[tuple[float, float], CRS], tuple[float, float]]
    """Width and height of a pixel of the request in metres, at a place."""

    def dtype_of(self, band: str) -> type[np.uint16] | type[np.float32]:
        """Of the numbers of a band, of all products together."""
        is_whole = self.upsampling == self.downsampling == "NEAREST" and band not in self.signed
        return np.uint16 if is_whole else np.float32

    def sampling_of(self, product: OpenProduct) -> BandSampling:
        """How bands of a product are sampled.

        :raises ImageryError: when one of its files cannot be opened.
        """
        size, there = self._size_in(product), product.scene.bands
        is_reduced = max(size) > self.exact_metres
        if self.resolutions:
            methods = {band: self._method(metres, size) for band, metres in self.resolutions.items()}
            return BandSampling(methods, is_reduced, self.harmonize, self.signed)
        band = DATA_BAND if DATA_BAND in there else min(there, key=lambda each: NATIVE_RESOLUTION[each])
        return BandSampling({band: "nearest"}, is_reduced, self.harmonize, is_only_mask=True)

    def method_in(self, product: OpenProduct, resolution: float) -> ResamplingName:
        """The method of a layer of a product.

        :param resolution: Metres of its pixels.
        """
        return self._method(resolution, self._size_in(product))

    def _size_in(self, product: OpenProduct) -> tuple[float, float]:
        info = product.scene.info(product.scene.bands[0])
        return self.size_at(info.middle, info.crs)

    def _method(self, resolution: float, size: tuple[float, float]) -> ResamplingName:
        return method_of(resolution, size, self.upsampling, self.downsampling)


class BandPixels(NamedTuple):
    """What a product has under a grid."""

    values: dict[str, NDArray[Any]]
    """By band: (h, w), of the type of its sampling; 0 without data."""

    is_data: NDArray[np.bool_]
    """(h, w): where all of the bands have a value."""


def method_of(
    resolution: float, size: tuple[float, float], upsampling: Resampling, downsampling: Resampling
) -> ResamplingName:
    """The method of a band: that of upsampling where its pixels are coarser than those of the request.

    :param resolution: Metres of the band's pixels.
    :param size: Width and height of those of the request, in metres; what counts is a square of their area.
    """
    side = (size[0] * size[1]) ** 0.5
    return METHODS[upsampling if resolution > side * _COARSER else downsampling]


def read_bands(
    product: OpenProduct,
    sampling: BandSampling,
    grid: Grid,
    places: Callable[[CRS], Places],
    *,
    threads: int,
) -> BandPixels:
    """Bands of a product.

    :param places: Of the grid's pixels in the product's coordinate system.
    :param threads: Bands that are decoded at a time.
    :raises BandError: when the product lacks a band.
    :raises EOTasksError: when it cannot be read.
    """
    scene, bands = product.scene, list(sampling.methods)
    band_indices(bands, scene.bands, where=scene.name)
    window = scene.window(
        grid, Sampling("nearest"), threads=threads, by_band=sampling.by_band, seen=product.seen, blocks=product.blocks
    )
    window.decode(bands)
    if any(window.pixels(band) is None for band in bands):
        return _nothing(sampling, grid)
    valid = window.valid(bands)
    facts = scene.acquisition

    def bring(band: str) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        if sampling.methods[band] == "nearest":
            values, known = _nearest(window, band, valid[band], places)
            if band in sampling.signed:
                return _as_signed(values, facts, band), known
            return _as_dn(values, facts, band, harmonize=sampling.harmonize), known
        found = window.resampled(band, valid[band], places)
        if band in sampling.signed:
            return _as_signed(found, facts, band), np.isfinite(found)
        return _as_float_dn(found, facts, band, harmonize=sampling.harmonize), np.isfinite(found)

    brought = dict(zip(bands, in_threads(bring, bands, threads), strict=True))
    is_data = np.ones(grid.shape, dtype=bool)
    for _, known in brought.values():
        if known is not None:
            is_data &= known
    values = {band: each for band, (each, _) in brought.items()}
    if not is_data.all():
        for each in values.values():
            each[~is_data] = 0
    return BandPixels(values, is_data)


def read_layer(
    product: OpenProduct,
    raster: RasterFile,
    grid: Grid,
    places: Callable[[CRS], Places],
    types: frozenset[str] = MASK_TYPES,
) -> NDArray[Any]:
    """A file that is no band, each pixel that at the centre of the grid's; (h, w), 0 outside of it.

    :param types: What its pixels may be.
    :raises EOTasksError: when it cannot be read.
    """
    info, files = product.layer(raster, types), product.scene.product.files
    window = window_under(info, info.full, grid, 1)
    if window is None:
        return np.zeros(grid.shape, dtype=np.uint16 if types is BAND_TYPES else np.uint8)
    if product.blocks.takes(info, info.full, window):
        pixels = product.blocks.window(files, raster, info, info.full, window)
    else:
        pixels = decode_window(files, raster, info, Wanted(info.full, window, None))
    pick = places(info.crs).picker(pixels.transform, pixels.shape)
    found, known = pick(pixels.values), pick.known(None)
    if known is not None:
        found[~known] = 0
    return found


def _nothing(sampling: BandSampling, grid: Grid) -> BandPixels:
    values = {band: np.zeros(grid.shape, sampling.dtype_of(band)) for band in sampling.methods}
    return BandPixels(values, np.zeros(grid.shape, dtype=bool))


def _nearest(
    window: Window, band: str, valid: NDArray[np.bool_] | None, places: Callable[[CRS], Places]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_] | None]:
    pixels = window.pixels(band)
    assert pixels is not None  # looked at before
    pick = places(pixels.crs).picker(pixels.transform, pixels.shape)
    return pick(pixels.values), pick.known(valid)


def _as_dn(values: NDArray[np.uint16], facts: Acquisition, band: str, *, harmonize: bool) -> NDArray[np.uint16]:
    """Stored numbers as reflectance * 10000, not below 0; as they are without `harmonize`."""
    offset = facts.offset_of(band) if harmonize else 0
    scaled = harmonize and facts.quantification != QUANTIFICATION
    if not offset and not scaled:
        return values
    if not scaled and offset < 0:
        lowest = np.uint16(-offset)
        above: NDArray[np.uint16] = np.maximum(values, lowest) - lowest
        return above
    numbers = values.astype(np.float32) + np.float32(offset)
    if scaled:
        numbers = np.rint(numbers * np.float32(QUANTIFICATION / facts.quantification))
    clipped: NDArray[np.uint16] = np.clip(numbers, 0, _MOST_DN).astype(np.uint16)
    return clipped


def _as_float_dn(values: NDArray[np.float32], facts: Acquisition, band: str, *, harmonize: bool) -> NDArray[np.float32]:
    """The same of interpolated numbers, which are not rounded; 0 where there are none."""
    if not harmonize:
        return np.where(np.isfinite(values), values, np.float32(0))
    numbers = values + np.float32(facts.offset_of(band))
    if facts.quantification != QUANTIFICATION:
        numbers *= np.float32(QUANTIFICATION / facts.quantification)
    filled: NDArray[np.float32] = np.where(numbers > 0, numbers, np.float32(0))  # of NaN, too
    return filled


def _as_signed(values: NDArray[np.uint16] | NDArray[np.float32], facts: Acquisition, band: str) -> NDArray[np.float32]:
    """Stored numbers as reflectance * 10000, as they are; 0 where there are none."""
    numbers: NDArray[np.float32] = values.astype(np.float32) + np.float32(facts.offset_of(band))
    if facts.quantification != QUANTIFICATION:
        numbers *= np.float32(QUANTIFICATION / facts.quantification)
    return np.where(np.isfinite(numbers), numbers, np.float32(0))

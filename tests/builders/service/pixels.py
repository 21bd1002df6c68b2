"""Products that the service reads in tests, without a catalogue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.imagery.scene import Scene
from eotasks.models.sentinel2 import NATIVE_RESOLUTION
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.evalscript.planes import Plane
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels.read import CatalogueReader, ReadingLimits
from eotasks.service.pixels.sources import ListSource, ProductSources
from eotasks.sources.frames import Candidate
from tests.builders.products import LEFT, TOP, UTM, product

SIDE = 960
"""Metres of a side of the products: 96 pixels of 10 m, 16 of 60 m."""


@dataclass(frozen=True)
class SceneCandidate(Candidate):
    """A product whose location is its scene."""

    def open(self) -> Scene:
        scene: Scene = self.location
        return scene


def noise(band: str, seed: int = 0, *, side: int = SIDE) -> NDArray[np.uint16]:
    """Digital numbers of a band, all others than those of the pixels beside them."""
    pixels = side // NATIVE_RESOLUTION[band]
    generator = np.random.default_rng([seed, *band.encode()])
    return generator.integers(1, 9_000, (pixels, pixels)).astype(np.uint16)


def made(
    folder: Path, bands: Mapping[str, NDArray[np.uint16]], *, of_tile: str = "33UUU", **facts: Any
) -> SceneCandidate:
    """A product, as :func:`tests.builders.products.product` makes it, to be found by a reader.

    :param of_tile: Its tile of the military grid.
    """
    described = product(folder, dict(bands), **({"name": folder.name} | facts))
    scene = Scene(replace(described, acquisition=replace(described.acquisition, tile=of_tile)))
    candidate = SceneCandidate.of_scene(scene, scene)
    assert isinstance(candidate, SceneCandidate)
    return candidate


def reader(*candidates: Candidate, limits: ReadingLimits | None = None, **options: Any) -> CatalogueReader:
    """A reader of a list of products."""
    sources = ProductSources([ListSource(candidates)])
    return CatalogueReader(sources, limits=limits or ReadingLimits(threads=2), **options)


def area(
    *,
    bounds: tuple[float, float, float, float] | None = None,
    size: float = 10,
    crs: str = UTM,
    shape: tuple[int, int] | None = None,
    **options: Any,
) -> OutputArea:
    """All ground of the products, or some bounds; rows and columns of some metres unless said otherwise."""
    left, bottom, right, top = bounds or (LEFT, TOP - SIDE, LEFT + SIDE, TOP)
    height, width = shape or (round((top - bottom) / size), round((right - left) / size))
    return OutputArea(crs, (left, bottom, right, top), height, width, **options)


def asked(collection: str = "sentinel-2-l1c", **options: Any) -> DataRequest:
    """A request for all of 2024."""
    return DataRequest(collection, dt.datetime(2024, 1, 1), dt.datetime(2024, 12, 31, 23, 59, 59), **options)  # noqa: DTZ001


def planes_of(
    source: CatalogueReader,
    where: OutputArea,
    bands: Sequence[str | InputBand],
    data: DataRequest | None = None,
    mosaicking: Mosaicking = Mosaicking.SIMPLE,
) -> dict[str, Plane]:
    """What a script gets, by band."""
    request, wanted = data or asked(), [InputBand(each) if isinstance(each, str) else each for each in bands]
    source.check(request, wanted)
    found = source.find(request, where, mosaicking)
    planes = source.read(request, where, found, wanted)
    assert [plane.band for plane in planes] == [each.name for each in wanted]
    assert all(plane.values.shape == (len(found.scenes), where.height, where.width) for plane in planes)
    assert all(plane.values.flags.c_contiguous for plane in planes)
    return {plane.band: plane for plane in planes}

"""Pixels of a request from catalogues of ours: the reader that the service runs with.

What holds of every request:

- A pixel has all its bands from one product: the first, in the order of the request, with data there in all bands that
  are read. CLP, CLM, SCL and angles are those of the same product. `dataMask` is 1 there.
- A pixel counts where its centre lies in the geometry. `dataMask` and all bands are 0 elsewhere, and where no product
  has data; CLM and SHADOW, too.
- A band is brought to the pixels by `upsampling` where its own are coarser, else by `downsampling`. NEAREST takes the
  pixel in which the centre lies. SCL, CLM, SHADOW and angles are always nearest.
- Pixels of up to `exact_metres` are made of the full resolution of the files; wider ones of the lowest resolution that
  still has two pixels along each side of theirs. SCL and masks are read in full at any width.
- Products whose metadata names more cloud than asked for are left out, those that name none are taken. Of several
  products that show the same pixels the newest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.request import SearchRequest
from eotasks.errors import ConfigurationError, EOTasksError
from eotasks.imagery.files.signing import Modifier
from eotasks.models.threads import resolve_threads
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.evalscript.planes import Plane
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels.bands import BandRules
from eotasks.service.pixels.blocks import Allowance
from eotasks.service.pixels.clouds import MASKS_BYTES, SERVED, CloudBands
from eotasks.service.pixels.collections import (
    AOT,
    COLLECTIONS,
    BandKind,
    Collection,
    ServedBand,
    collection_of,
    divisor_of,
)
from eotasks.service.pixels.ground import (
    PLACES_BYTES,
    Canvas,
    around,
    check_metres,
    grid_of,
    inside,
    metres_at,
    metres_of,
    searched,
    wanted,
)
from eotasks.service.pixels.mosaicking import STRIP_BYTES, SceneReader, Wanted
from eotasks.service.pixels.order import mosaic_order, scenes_of
from eotasks.service.pixels.products import (
    DECODED_BYTES,
    OPEN_BYTES,
    OPEN_PRODUCTS,
    OpenProducts,
    faults_of,
    unsearched,
)
from eotasks.service.pixels.reader import Found
from eotasks.service.pixels.sources import ProductSources
from eotasks.service.pixels.storing import MaskStore
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import choose_products

_FOUND = 4
"""Products that are looked for, for each that a request may find: others stand for some of them."""

_ROOMS = (("decoded_bytes", -1), ("masks_bytes", -1))


@dataclass(frozen=True)
class ReadingLimits:
    """What one request may ask for, and how it is worked on."""

    max_metres: float = 1_500.0
    """Of the side of a pixel on the ground; wider ones are refused."""

    max_products: int = 500
    """That one request may find."""

    exact_metres: float = 200.0
    """Of the side of a pixel, up to which bands are read in full; wider ones are made of a lower resolution."""

    computed_pixels: int = 1_500_000_000
    """Of the finest bands of products whose cloud masks are computed for one request: a dozen whole tiles, some
    minutes of two cores. More want an archive. A series of scenes is refused before any is computed."""

    threads: int | None = None
    """Files that are decoded at a time for a request; None for the cores there are."""

    decoded_bytes: int = DECODED_BYTES
    """Of decoded bands that are kept in memory for requests that come next."""

    masks_bytes: int = MASKS_BYTES
    """Of cloud masks that are kept in memory."""

    def __post_init__(self) -> None:
        for name, least in (("max_metres", 0), ("max_products", 0), ("exact_metres", 0), *_ROOMS):
            value = getattr(self, name)
            if not value > least:
                raise ConfigurationError(f"{name}={value!r} is no limit: give a number above {least}.")

    @property
    def kept_bytes(self) -> int:
        """Memory that a process keeps between requests, at most: what is decoded, masks, and open products."""
        return self.decoded_bytes + self.masks_bytes + OPEN_PRODUCTS * OPEN_BYTES

    @property
    def working_bytes(self) -> int:
        """Memory that a request takes besides its planes, at most."""
        return STRIP_BYTES * resolve_threads(self.threads) + PLACES_BYTES


class CatalogueReader:
    """Finds and reads products of catalogues: a `PixelReader`.

    :param sources: Where products are searched.
    :param collections: Ids of the collections that are served.
    :param compute_masks: Whether CLP, CLM and SHADOW without a file are computed; else they are missing.
    :param store: Takes masks that were computed; None keeps them in memory alone.
    """

    def __init__(
        self,
        sources: ProductSources,
        *,
        limits: ReadingLimits = ReadingLimits(),
        collections: Sequence[str] = tuple(COLLECTIONS),
        compute_masks: bool = True,
        store: MaskStore | None = None,
    ) -> None:
        self._sources, self._limits, self._served = sources, limits, tuple(collections)
        self._products, self._store = OpenProducts(sources, decoded=limits.decoded_bytes), store
        options = SERVED if store is None else store.options
        self._scenes = SceneReader(
            self._products,
            CloudBands(
                sources,
                self._products,
                compute=compute_masks,
                keep=store,
                options=options,
                room=limits.masks_bytes,
            ),
        )

    @classmethod
    def open(
        cls,
        catalogues: Sequence[str],
        *,
        archive: str | None = None,
        store_masks: bool = False,
        limits: ReadingLimits | None = None,
        modifier: Modifier | str | None = None,
        compute_masks: bool = True,
    ) -> CatalogueReader:
        """A reader of what a user names; nothing of it is a client's.

        :param catalogues: As of `ProductSources.open`.
        :param archive: An archive of masks of their products.
        :param store_masks: Whether masks that are computed go there.
        :raises ConfigurationError: for what is no catalogue, and a store without an archive, or of other masks.
        :raises StorageError: when a place cannot be reached.
        """
        if store_masks and archive is None:
            raise ConfigurationError("Masks cannot be stored without an archive: name one, or do not store them.")
        sources = ProductSources.open(catalogues, archive=archive, modifier=modifier)
        store = MaskStore(archive) if store_masks and archive is not None else None
        return cls(sources, limits=limits or ReadingLimits(), compute_masks=compute_masks, store=store)

    def close(self) -> None:
        """Ends what it has begun: masks that were computed are stored first."""
        if self._store is not None:
            self._store.close()

    def check(self, data: DataRequest, bands: Sequence[InputBand]) -> None:
        """As of `PixelReader`."""
        checked = collection_of(data.collection, self._served).checked(bands)
        if not data.harmonize and len({band.name for band, _ in checked}) < len(set(checked)):
            raise RequestError(
                "A band is asked for in DN and in REFLECTANCE, which differ with harmonizeValues=false: ask for one."
            )

    def find(self, data: DataRequest, area: OutputArea, mosaicking: Mosaicking) -> Found:
        """As of `PixelReader`.

        :raises TooLargeError: when more products are found than a request may read.
        :raises ProductError: when a catalogue cannot be searched.
        """
        collection = collection_of(data.collection, self._served)
        check_metres(metres_of(area), self._limits.max_metres, collection.id)
        grid = grid_of(area)
        candidates, masked = self._candidates(data, area, collection)
        choice = choose_products(candidates)
        if len(choice.products) > self._limits.max_products:
            raise self._too_many(f"{len(choice.products):,}", collection)
        products = choice.products
        if mosaicking is not Mosaicking.SIMPLE:
            exact = None if not products else searched(wanted(area), area.crs)
            canvas = Canvas(grid, inside(area, grid))
            products = tuple(each for each in products if self._is_seen(each, exact, canvas))
        ordered = mosaic_order(products, data.order, area.crs, self._crs_of)
        return Found(*scenes_of(ordered, choice, masked, mosaicking, data))

    def read(self, data: DataRequest, area: OutputArea, found: Found, bands: Sequence[InputBand]) -> tuple[Plane, ...]:
        """As of `PixelReader`.

        :raises RequestError: when a product lacks a band, or the area cannot be expressed where it lies.
        :raises TooLargeError: when cloud masks of too many pixels would have to be computed.
        :raises ProductError: when a product is damaged.
        """
        checked = collection_of(data.collection, self._served).checked(bands)
        served = {band.name: band for band, _ in checked}
        grid = grid_of(area)
        rules = self._rules(data, checked, area)
        reading = Wanted(served, rules)
        shape = (len(found.products), *grid.shape)
        arrays: dict[str, NDArray[Any]] = {}
        for band in served.values():
            kind: Any = np.uint8
            if band.kind is BandKind.REFLECTANCE:
                kind = rules.dtype_of(band.name)
            elif band.kind is BandKind.ANGLES:
                kind = np.float32
            elif band.name == AOT:
                kind = np.uint16
            arrays[band.name] = np.zeros(shape, dtype=kind)
        most = self._limits.computed_pixels
        canvas = Canvas(grid, inside(area, grid), Allowance(most))
        if len(found.products) > 1:  # of products over each other, only reading them says which are needed
            self._scenes.check_computing(found.products, reading, canvas, most)
        if found.products and served:
            self._fill(found, canvas, reading, arrays)
        return tuple(Plane(band.name, arrays[band.name], divisor_of(unit)) for band, unit in checked)

    def _fill(self, found: Found, canvas: Canvas, reading: Wanted, arrays: dict[str, NDArray[Any]]) -> None:
        threads = resolve_threads(self._limits.threads)
        workers = min(threads, len(found.products))
        each = max(threads // workers, 1)

        def fill(index: int) -> None:
            planes = {name: values[index] for name, values in arrays.items()}
            self._scenes.read(found.products[index], canvas, reading, planes, each)

        if workers == 1:
            for index in range(len(found.products)):
                fill(index)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="eotasks-scene") as pool:
            jobs = [pool.submit(fill, index) for index in range(len(found.products))]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _too_many(self, count: str, collection: Collection) -> TooLargeError:
        return TooLargeError(
            f"{count} products of {collection.id} are asked for, more than the {self._limits.max_products:,} of one"
            " request. Ask for a shorter time, a smaller area, or less cloud."
        )

    def _rules(self, data: DataRequest, bands: Sequence[tuple[ServedBand, str]], area: OutputArea) -> BandRules:
        units = {band: unit for band, unit in bands if band.kind is BandKind.REFLECTANCE}
        # Reflectance has its offset in any case; only what is below 0 is left as it is.
        signed = () if data.harmonize else (band.name for band, unit in units.items() if unit == "REFLECTANCE")
        return BandRules(
            {band.name: band.resolution for band in units},
            data.upsampling,
            data.downsampling,
            self._limits.exact_metres,
            data.harmonize,
            frozenset(signed),
            lru_cache(partial(metres_at, area)),  # products of one tile have one middle
        )

    def _is_seen(self, candidate: Candidate, exact: BaseGeometry | None, canvas: Canvas) -> bool:
        """Whether a product is a scene of an area: those beside it, which a search finds too, may have pixels of it.

        :param exact: What counts of the area, in degrees.
        """
        if candidate.footprint is None or exact is None or shapely.intersects(exact, candidate.footprint):
            return True
        return self._scenes.has_data(candidate, canvas)

    def _candidates(
        self, data: DataRequest, area: OutputArea, collection: Collection
    ) -> tuple[list[Candidate], dict[str, Candidate]]:
        ground = wanted(area)
        if ground.is_empty or data.end < data.start or data.max_cloud_coverage < 0:
            return [], {}
        most = _FOUND * self._limits.max_products
        request = SearchRequest(
            area=searched(around(area), area.crs),
            start=data.start,
            end=data.end,
            max_cloud_cover=None if data.max_cloud_coverage >= 100 else data.max_cloud_coverage / 100,
            level=collection.level,
            limit=most,
        )
        try:
            listing = self._sources.find(request)
        except (EOTasksError, OSError) as error:
            raise unsearched(error) from error
        if not listing.is_all:
            raise self._too_many(f"At least {most:,}", collection)
        return list(listing.candidates), dict(listing.masked)

    def _crs_of(self, candidate: Candidate) -> str:
        with faults_of(candidate.name):
            return self._products.get(candidate).scene.crs

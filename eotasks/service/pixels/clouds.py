"""CLP, CLM and SHADOW of products on the grid of a request: from their files, else computed of the product.

What is computed is what ``eotasks archive build --resolution 160 --sampling nearest`` writes, by the same functions: at
160 m from the corner of the product's tile, from the pixels under the centres of these, as the service of Sentinel Hub
does it. Where masks are not stored, no more of a product is computed than a request needs
(`eotasks.service.pixels.blocks`). L2A has no B10, so it gets the masks of the L1C product of the same acquisition.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine

from eotasks.catalogue.request import SearchRequest
from eotasks.errors import BandError, EmptyProductError, ModelError, ReflectanceError, message_of
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.raster import MASK_TYPES, describe, pixel_sides_in, read_window, tag_of
from eotasks.imagery.pixels.resampling import ResamplingName, resample
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.mask_classes import without_classes
from eotasks.models.clouds.postprocess import MAX_CLP, NO_DATA
from eotasks.models.sentinel2 import CLOUD_BANDS, NATIVE_RESOLUTION
from eotasks.service.errors import RequestError
from eotasks.service.pixels.blocks import SIDE, CloudBlocks, Computed, Key, Part, part_of
from eotasks.service.pixels.kept import Kept
from eotasks.service.pixels.products import OpenProducts
from eotasks.service.pixels.sources import ProductSources
from eotasks.sources.frames import Candidate, mask_file, stored_mask
from eotasks.sources.replacement import choose_products, newest
from eotasks.workflows.product_masks.images import CERTAIN, CERTAIN_LETTERS, exact_clp
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks, make_masks

LOGGER = logging.getLogger(__name__)

MASKS_BYTES = 128 << 20
"""Of all masks that are kept in memory: a tile at 160 m takes one megabyte of each kind."""

MASKS_SECONDS = 600.0
"""How long a mask is kept: its file may be written anew."""

WHOLE_PIXELS = 4_000_000
"""Up to which a file of masks is kept whole: tiles at 60 m."""

SERVED = CloudMaskOptions(resolution=160, sampling="nearest", quicklook=False)
"""As masks are computed here: s2cloudless, 160 m."""

Keep = Callable[[Scene, ProductMasks, CloudMaskOptions], None]
"""Told of masks that were computed."""


@dataclass(frozen=True, eq=False)
class MaskRaster:
    """A mask of a whole product."""

    values: NDArray[np.uint8]
    known: NDArray[np.bool_]
    """Where there is data."""

    transform: Affine
    crs: CRS

    @property
    def size(self) -> int:
        """Bytes."""
        return self.values.nbytes + self.known.nbytes

    def on(
        self, grid: Grid, places: Callable[[CRS], Places], method: ResamplingName
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Values and where they are known, (h, w) each."""
        if method == "nearest":
            pick = places(self.crs).picker(self.transform, (self.values.shape[0], self.values.shape[1]))
            known = pick.known(self.known)
            return pick(self.values), np.ones(grid.shape, dtype=bool) if known is None else known
        height, width = self.values.shape
        middle = self.transform.c + width / 2 * self.transform.a, self.transform.f + height / 2 * self.transform.e
        sides = pixel_sides_in(grid, self.crs, middle)
        return _as_bytes(
            resample(
                self.values, self.transform, self.crs, grid, valid=self.known, method=method, sides=sides, places=places
            )
        )


@dataclass(frozen=True)
class _Missing:
    """That there is no mask of a product, and none can be made."""

    size: int = 1


Mask = MaskRaster | _Missing


class CloudBands:
    """Gives masks of products. May be used by several threads.

    :param compute: Whether masks without a file are computed; else they are missing.
    :param keep: Is told of masks that were computed, to store them.
    :param options: How masks are computed.
    :param at_a_time: Products that are computed at a time, each with some hundred megabytes.
    :param room: Bytes of the masks and blocks that are kept in memory.
    :param seconds: How long one is kept at most.
    :param side: Rows and columns of the blocks that are computed of a product whose masks nobody keeps.
    """

    def __init__(
        self,
        sources: ProductSources,
        products: OpenProducts,
        *,
        compute: bool = True,
        keep: Keep | None = None,
        options: CloudMaskOptions = SERVED,
        at_a_time: int = 1,
        room: int = MASKS_BYTES,
        seconds: float = MASKS_SECONDS,
        side: int = SIDE,
    ) -> None:
        self._sources, self._products = sources, products
        self._compute, self._keep, self._options = compute, keep, options
        self._turn = threading.BoundedSemaphore(at_a_time)
        self._masks: Kept[Mask] = Kept(room // 2, size=lambda mask: mask.size, seconds=seconds)
        self._blocks = CloudBlocks(options, turn=self._turn, room=room // 4, seconds=seconds)
        self._side = side
        self._computed: Kept[ProductMasks | None] = Kept(room // 8, size=_bytes_of, seconds=seconds)
        # Apart from whole masks, which many small parts would push out.
        self._parts: Kept[Mask] = Kept(room // 8, size=lambda mask: mask.size, seconds=seconds)

    def read(
        self,
        kinds: Sequence[str],
        candidate: Candidate,
        masked: Candidate | None,
        grid: Grid,
        places: Callable[[CRS], Places],
        *,
        clp_method: ResamplingName,
        computed: Computed | None = None,
    ) -> dict[str, NDArray[np.uint8]]:
        """Masks of a product on a grid: CLP 0..255, 0 where it is missing; CLM and SHADOW 0, 1, 255 where missing.

        :param kinds: Of "CLP", "CLM" and "SHADOW".
        :param masked: The product where its files of masks are named; None where nobody names any.
        :param places: Of the grid's pixels.
        :param clp_method: How CLP comes to the grid; classes are always those under the centres.
        :param computed: What was computed for other rows of the same scene, and how much more may be.
        :raises RequestError: for SHADOW of a product that does not say where the sun stood.
        :raises TooLargeError: when it would compute more than is allowed.
        :raises EOTasksError: when a file of masks or the product cannot be read.
        """
        found, computed = {}, Computed() if computed is None else computed
        for kind in sorted(kinds, key=lambda kind: kind != "SHADOW"):  # whose masks serve the others, too
            method: ResamplingName = clp_method if kind == "CLP" else "nearest"
            if masked is not None and kind in masked.masks:
                values, known = self._stored(masked, kind, grid, places, method)
            else:
                values, known = self._made(candidate, kind, grid, places, method, computed)
            missing = np.uint8(0 if kind == "CLP" else NO_DATA)
            found[kind] = values if known.all() else np.where(known, values, missing)
        return found

    def pixels_to_compute(
        self,
        kinds: Sequence[str],
        candidate: Candidate,
        masked: Candidate | None,
        grid: Grid,
        places: Callable[[CRS], Places],
    ) -> dict[Hashable, int]:
        """Pixels of the finest band of products whose masks would have to be computed for one on a grid, by what would
        be computed; none where they are there.

        :raises EOTasksError: when a product cannot be opened.
        """
        without = [kind for kind in kinds if masked is None or kind not in masked.masks]
        if not self._compute or not without:
            return {}
        found: dict[Hashable, int] = {}
        for each, own in self._made_of(candidate):
            to_make = [
                kind
                for kind in without
                if not (own is not None and kind in own.masks) and not self._is_there(_key_of(each), kind, Computed())
            ]
            if to_make:
                part = None if "SHADOW" in to_make else self._part(each, grid, places)
                found[_key_of(each), None if part is None else part.blocks] = self._pixels_of(each, part)
        return found

    def _pixels_of(self, candidate: Candidate, part: Part | None) -> int:
        """Pixels of the finest band of an L1C product that are computed for a part of it; None for all of it."""
        scene = self._products.get(candidate).scene
        if any(band not in scene.bands for band in CLOUD_BANDS):
            return 0  # it has no masks, which takes no pixel to tell
        finest = scene.info(min(scene.bands, key=lambda band: NATIVE_RESOLUTION[band])).full
        if part is None:
            return finest.height * finest.width
        return round(self._blocks.missing(_key_of(candidate), part) * (part.grid.resolution / finest.size) ** 2)

    def _is_there(self, key: Key, kind: str, computed: Computed) -> bool:
        """Whether a mask of a product was computed and is in memory."""
        with_shadows = (True,) if kind == "SHADOW" else (True, False)
        return self._masks.has((key, kind)) or any(self._has_whole(key, each, computed) for each in with_shadows)

    def _stored(
        self, masked: Candidate, kind: str, grid: Grid, places: Callable[[CRS], Places], method: ResamplingName
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        mask = self._masks.get((masked.name, kind, masked.masks[kind]), lambda: _loaded(masked, kind))
        if isinstance(mask, MaskRaster):
            return mask.on(grid, places, method)
        values, known = _as_bytes(stored_mask(masked, kind, grid, method=method))
        return (without_classes(values) if kind == "CLM" else values), known

    def _made(
        self,
        candidate: Candidate,
        kind: str,
        grid: Grid,
        places: Callable[[CRS], Places],
        method: ResamplingName,
        computed: Computed,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        values: NDArray[np.uint8] = np.zeros(grid.shape, dtype=np.uint8)
        known: NDArray[np.bool_] = np.zeros(grid.shape, dtype=bool)
        for each, masked in self._made_of(candidate):
            if masked is not None and kind in masked.masks:
                found, there = self._stored(masked, kind, grid, places, method)
            else:
                mask = self._of(each, kind, grid, places, computed)
                if not isinstance(mask, MaskRaster):
                    continue
                found, there = mask.on(grid, places, method)
            new = there & ~known
            np.copyto(values, found, where=new)
            known |= new
            if known.all():
                break
        return values, known

    def _made_of(self, candidate: Candidate) -> list[tuple[Candidate, Candidate | None]]:
        """The L1C products of a product's acquisition, the newest first, with who names their files of masks."""
        if candidate.level != "L2A":
            return [(candidate, None)]
        if candidate.tile is None:
            LOGGER.info("%s does not say its tile: its CLP and CLM are missing", candidate.name)
            return []
        around = SearchRequest(
            tile=candidate.tile,
            start=candidate.time - SAME_DATATAKE,
            end=candidate.time + SAME_DATATAKE,
            level="L1C",
        )
        listing = self._sources.find(around)
        same = [
            each for each in listing.candidates if each.level == "L1C" and candidate.satellite in (each.satellite, None)
        ]
        chosen = sorted(choose_products(same).products, key=newest, reverse=True)
        if not chosen:
            LOGGER.info("%s: no L1C product of its acquisition is listed: its CLP and CLM are missing", candidate.name)
        return [(each, listing.masked.get(each.name)) for each in chosen]

    def _of(
        self, candidate: Candidate, kind: str, grid: Grid, places: Callable[[CRS], Places], computed: Computed
    ) -> Mask:
        """A mask that is computed of an L1C product, once, whoever asks for it: of all of it, or what a grid needs."""
        if not self._compute:
            return _Missing()
        key = _key_of(candidate)
        is_there = self._is_there(key, kind, computed)
        part = None if is_there or kind == "SHADOW" else self._part(candidate, grid, places)
        if part is not None and self._blocks.serves(key, self._products.get(candidate).scene):
            return self._of_part(candidate, kind, part, computed)
        if not is_there:  # before others wait for the same: what is too much for this request is not for theirs
            _check_sun(self._products.get(candidate).scene, kind)
            computed.allowance.take(self._pixels_of(candidate, None), (key, None))

        def make() -> Mask:
            masks = self._whole(candidate, kind, computed)
            return _Missing() if masks is None else _raster_of(masks, kind)

        return self._masks.get((key, kind), make)

    def _whole(self, candidate: Candidate, kind: str, computed: Computed) -> ProductMasks | None:
        """Masks of all of a product. Shadows are searched where they are asked for, and for an archive that has them if
        the product says where the sun stood; CLP and CLM do not depend on it.
        """
        key, scene = _key_of(candidate), self._products.get(candidate).scene
        shadows = kind == "SHADOW" or (self._options.shadows and _has_sun(scene))
        for each in (True,) if shadows else (True, False):
            if self._has_whole(key, each, computed):
                masks = self._whole_of(candidate, each, computed)
                if masks is not None:
                    return masks
        return self._whole_of(candidate, shadows, computed)

    def _whole_of(self, candidate: Candidate, shadows: bool, computed: Computed) -> ProductMasks | None:
        key = _key_of(candidate), shadows
        if key not in computed.wholes:
            computed.wholes[key] = self._computed.get(key, lambda: self._compute_of(candidate, shadows))
        return computed.wholes[key]

    def _has_whole(self, key: Key, shadows: bool, computed: Computed) -> bool:
        return (key, shadows) in computed.wholes or self._computed.has((key, shadows))

    def _part(self, candidate: Candidate, grid: Grid, places: Callable[[CRS], Places]) -> Part | None:
        """What is computed of a product for a grid; None for all of it, as it is large or to be stored.

        No pixel is read for it.

        :raises EOTasksError: when it cannot be read.
        """
        if self._keep is not None or self._options.detector != SERVED.detector:
            return None
        scene = self._products.get(candidate).scene
        if any(band not in scene.bands for band in CLOUD_BANDS):
            return None
        part = part_of(scene, self._options, grid, places, side=self._side)
        return None if part.is_large else part

    def _of_part(self, candidate: Candidate, kind: str, part: Part, computed: Computed) -> MaskRaster:
        key, scene = _key_of(candidate), self._products.get(candidate).scene
        is_same = computed.part is not None and computed.part[:2] == (key, part)
        if not is_same and not self._parts.has((key, kind, part.blocks)):
            computed.allowance.take(self._pixels_of(candidate, part), (key, part.blocks))

        def make() -> Mask:
            if computed.part is None or computed.part[:2] != (key, part):
                with self._turn:
                    probability, mask = self._blocks.mask(key, scene, part)
                masks = ProductMasks(scene.acquisition, part.grid, probability, mask, None, None)
                computed.part = key, part, masks
            return _raster_of(computed.part[2], kind)

        found = self._parts.get((key, kind, part.blocks), make)
        assert isinstance(found, MaskRaster)
        return found

    def _compute_of(self, candidate: Candidate, shadows: bool) -> ProductMasks | None:
        scene = self._products.get(candidate).scene
        options = replace(self._options, shadows=shadows)
        with self._turn:
            LOGGER.info("%s: its cloud masks are computed", candidate.name)
            try:
                masks = make_masks(scene, options)
            except (BandError, EmptyProductError, ReflectanceError, ModelError) as error:
                LOGGER.warning("%s: no cloud masks can be made of it: %s", candidate.name, message_of(error))
                return None
        if self._keep is not None:
            self._keep(scene, masks, options)
        return masks


def _check_sun(scene: Scene, kind: str) -> None:
    if kind == "SHADOW" and not _has_sun(scene):
        raise RequestError(f"Product {scene.name} does not say where the sun stood, which {kind} needs: leave it out.")


def _has_sun(scene: Scene) -> bool:
    return scene.acquisition.sun_zenith is not None and scene.acquisition.sun_azimuth is not None


def _key_of(candidate: Candidate) -> Key:
    return candidate.name, candidate.baseline, candidate.generation


def _loaded(candidate: Candidate, kind: str) -> Mask:
    """A file of masks as a whole; one that is too large is not."""
    files, raster = mask_file(candidate, kind)
    info = describe(files, raster, MASK_TYPES)
    if info.full.height * info.full.width > WHOLE_PIXELS:
        return _Missing()
    pixels = read_window(files, raster, info, info.full, info.grid)
    if pixels is None:
        return _Missing()
    values: NDArray[np.uint8] = pixels.values
    known = values != NO_DATA
    if kind == "CLP":
        values = exact_clp(values, tag_of(files, raster, CERTAIN, CERTAIN_LETTERS))
    elif kind == "CLM":
        values = without_classes(values)
    return MaskRaster(values, known, pixels.transform, pixels.crs)


def _raster_of(masks: ProductMasks, kind: str) -> Mask:
    known = masks.mask != NO_DATA
    grid = masks.grid
    if kind == "CLP":
        if masks.probability is None:
            return _Missing()
        values = np.rint(masks.probability * np.float32(MAX_CLP)).astype(np.uint8)
    elif kind == "SHADOW":
        if masks.shadow is None:
            return _Missing()
        values, known = masks.shadow, masks.shadow != NO_DATA
    else:
        values = without_classes(masks.mask)
    return MaskRaster(values, known, grid.transform, parse_crs(grid.crs))


def _as_bytes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    known = np.isfinite(values)
    return np.clip(np.rint(np.where(known, values, 0)), 0, MAX_CLP).astype(np.uint8), known


def _bytes_of(masks: ProductMasks | None) -> int:
    if masks is None:
        return 1
    arrays = (masks.probability, masks.mask, masks.shadow)
    return sum(each.nbytes for each in arrays if each is not None)

"""Cloud probability of the parts of a product that requests ask for, and masks of it: those of the whole product.

A pixel at 160 m is made of the pixels under its centre alone, so a block of them can be computed by itself. A mask
looks at the neighbours of a pixel, so it is made of blocks that reach as far around what is asked for.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from eotasks.errors import BandError, ReflectanceError
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.raster import pixel_sides_in
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.postprocess import mask_of, reach_of
from eotasks.service.errors import TooLargeError
from eotasks.service.pixels.kept import Kept
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks, probability_of, seems_plausible
from eotasks.workflows.product_masks.reading import product_grid

SIDE = 64
"""Rows and columns of a block: at 160 m the ground of a tile of the JP2 files of 10 m, which is decoded as a whole."""

WHOLE_SHARE = 0.25
"""Of the blocks of a product, above which all of it is computed at once: that opens each file once."""

_KERNEL = 3
"""Pixels on either side of a place that BILINEAR and BICUBIC look at, at most: two, and one for the edges."""

Window = tuple[slice, slice]
"""Rows and columns, each with a start and a stop."""

Block = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Probability 0..1, 0 without data; where there is data."""

Key = tuple[str, str | None, str]
"""Of a product: name, baseline, and when it was made."""


@dataclass(frozen=True)
class Part:
    """The blocks of a product that are needed."""

    grid: Grid
    """Of the whole product."""

    blocks: tuple[tuple[int, int], ...]
    """By row and column of blocks."""

    side: int = SIDE

    @property
    def is_large(self) -> bool:
        """Whether the whole product is computed rather than so much of it."""
        rows, columns = (math.ceil(each / self.side) for each in self.grid.shape)
        return len(self.blocks) > WHOLE_SHARE * rows * columns

    def windows(self) -> list[Window]:
        """Of the blocks, in the pixels of the product."""
        height, width = self.grid.shape
        return [(_pixels(row, self.side, height), _pixels(column, self.side, width)) for row, column in self.blocks]


def part_of(scene: Scene, options: CloudMaskOptions, grid: Grid, places: Callable[[CRS], Places], *, side: int) -> Part:
    """The blocks that a grid needs, however masks come to it.

    :param places: Of the grid's pixels.
    :raises ImageryError: when the product's bands share no ground.
    :raises AreaError: when the grid cannot be expressed where the product lies.
    """
    whole = product_grid(scene, options.resolution)
    crs = parse_crs(whole.crs)
    there = places(crs)
    left, bottom, right, top = whole.bounds
    wide = max(pixel_sides_in(grid, crs, ((left + right) / 2, (bottom + top) / 2))) / whole.resolution
    around = math.ceil(_KERNEL * max(wide, 1.0)) + reach_of(options.mask, (whole.resolution, whole.resolution))
    columns = _span((there.x - whole.left) / whole.resolution, around, whole.width, side)
    rows = _span((whole.top - there.y) / whole.resolution, around, whole.height, side)
    return Part(whole, tuple((row, column) for row in rows for column in columns), side)


class Allowance:
    """Pixels of products that cloud masks may be computed of for one request. May be used by several threads.

    :param most: Of the finest bands.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self._most, self._taken, self._lock = most, 0, threading.Lock()
        self._counted: set[Hashable] = set()

    def take(self, pixels: int, what: Hashable) -> None:
        """Count pixels that are to be computed.

        :param what: Of which they are: it is computed once, whichever scenes of the request ask for it.
        :raises TooLargeError: when they are more than is left.
        """
        with self._lock:
            if what not in self._counted:
                self._counted.add(what)
                self._taken += pixels
            taken = self._taken
        if pixels and taken > self._most:
            raise TooLargeError(
                f"Cloud masks of these products are not there, and computing them of at least {taken:,} pixels is more"
                f" than the {self._most:,} of one request. Ask for a shorter time or a smaller area, or leave out CLP,"
                " CLM and SHADOW."
            )


@dataclass
class Computed:
    """What is computed for one scene of a request while it is read: for all of its kinds of masks and all of its rows,
    however little room there is to keep it for others.
    """

    wholes: dict[tuple[Key, bool], ProductMasks | None] = field(default_factory=dict)
    """By product, and whether shadows were searched; None of one that no masks can be made of."""

    part: tuple[Key, Part, ProductMasks] | None = None
    """The last one."""

    allowance: Allowance = field(default_factory=Allowance)
    """Of the request."""


class CloudBlocks:
    """Computes blocks of products and keeps those that were used last. May be used by several threads.

    :param options: How masks are made: without shadows.
    :param turn: Of products that are read at a time; whoever asks for a `mask` has it.
    :param room: Bytes of what is kept.
    :param seconds: How long something is kept at most.
    """

    def __init__(
        self, options: CloudMaskOptions, *, turn: AbstractContextManager[object], room: int, seconds: float
    ) -> None:
        self._options, self._turn = options, turn
        self._blocks: Kept[Block] = Kept(room, size=lambda block: block[0].nbytes + block[1].nbytes, seconds=seconds)
        self._plausible: Kept[bool] = Kept(4_096, seconds=seconds)

    def serves(self, key: Hashable, scene: Scene) -> bool:
        """Whether a product may be computed in blocks: one whose values may be wrong is looked at as a whole.

        Ten bands are decoded for that, so it waits for its turn: who asks has none.

        :raises EOTasksError: when the product cannot be read.
        """

        def look() -> bool:
            with self._turn:
                return _is_plausible(scene, self._options)

        return self._plausible.get(key, look)

    def missing(self, key: Hashable, part: Part) -> int:
        """Pixels of blocks that would be computed."""
        windows = zip(part.blocks, part.windows(), strict=True)
        return sum(_size(window) for block, window in windows if not self._blocks.has((key, block)))

    def mask(self, key: Hashable, scene: Scene, part: Part) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Probability and mask (0 clear, 1 cloud, 255 no data), in the shape of the whole product: those of the whole
        product wherever a request that needs this part looks, and no data in other blocks.

        :raises EOTasksError: when the product cannot be read.
        """
        probability: NDArray[np.float32] = np.zeros(part.grid.shape, dtype=np.float32)
        is_data: NDArray[np.bool_] = np.zeros(part.grid.shape, dtype=bool)
        for block, window in zip(part.blocks, part.windows(), strict=True):
            found = self._blocks.get((key, block), partial(self._made, scene, part.grid.part(*window)))
            probability[window], is_data[window] = found
        size = (part.grid.resolution, part.grid.resolution)
        mask = mask_of(
            probability[np.newaxis],
            self._options.mask,
            pixel_size=size,
            valid=is_data[np.newaxis],
            where=scene.name,
        )[0]
        return probability, mask

    def _made(self, scene: Scene, grid: Grid) -> Block:
        return probability_of(scene, self._options, grid)


def _is_plausible(scene: Scene, options: CloudMaskOptions) -> bool:
    try:
        return seems_plausible(scene, options)
    except (BandError, ReflectanceError):
        return False


def _span(places: NDArray[np.float64], around: int, length: int, side: int) -> range:
    """Blocks along an axis that some places lie in, and so many pixels around them."""
    finite = places[np.isfinite(places)]
    if not finite.size:
        return range(0)
    first = max(math.floor(finite.min()) - around, 0)
    last = min(math.floor(finite.max()) + around, length - 1)
    return range(first // side, last // side + 1) if first <= last else range(0)


def _pixels(block: int, side: int, length: int) -> slice:
    return slice(block * side, min((block + 1) * side, length))


def _size(window: Window) -> int:
    rows, columns = window
    return len(range(rows.start, rows.stop)) * len(range(columns.start, columns.stop))

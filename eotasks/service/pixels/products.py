"""Open products, which are kept while requests come for them, and their faults as a client is told them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from eotasks.errors import AreaError, BandError, EOTasksError, GridError, message_of
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.pixels.blocks import DecodedBlocks
from eotasks.imagery.pixels.raster import RasterInfo, describe
from eotasks.imagery.pixels.seen import SeenGround
from eotasks.imagery.scene import Scene
from eotasks.service.errors import ProductError, RequestError, ServiceError
from eotasks.service.pixels.kept import Kept
from eotasks.service.pixels.sources import ProductSources
from eotasks.sources.frames import Candidate

LOGGER = logging.getLogger(__name__)

OPEN_PRODUCTS = 128
"""That are kept: what is known of their files and angles takes one or two megabytes each."""

OPEN_BYTES = 2 << 20
"""Of an open product, about."""

DECODED_BYTES = 256 << 20
"""Of decoded blocks that are kept: a block of 10 m takes two megabytes, and is decoded in a tenth of a second."""

OPEN_SECONDS = 600.0
"""How long a product is kept open: it may be replaced by another of its name."""


@dataclass(frozen=True)
class OpenProduct:
    """A product whose metadata is read."""

    scene: Scene
    blocks: DecodedBlocks
    seen: SeenGround = field(default_factory=SeenGround)
    layers: dict[str, RasterInfo] = field(default_factory=dict)
    """Grids and levels of files that are no bands, by their names."""

    def layer(self, raster: RasterFile, types: frozenset[str]) -> RasterInfo:
        """Grid and levels of a file that is no band, such as that of the scene classification.

        :param types: What its pixels may be.
        :raises ImageryError: when it cannot be opened.
        """
        if raster.name not in self.layers:
            self.layers[raster.name] = describe(self.scene.product.files, raster, types)
        return self.layers[raster.name]


class OpenProducts:
    """Opens products, and keeps those that were used last. May be used by several threads.

    :param room: Products that are kept.
    :param seconds: How long one is kept at most.
    :param decoded: Bytes of decoded bands that are kept, of all products: blocks, and a quarter for squares of them.
    """

    def __init__(
        self,
        sources: ProductSources,
        *,
        room: int = OPEN_PRODUCTS,
        seconds: float = OPEN_SECONDS,
        decoded: int = DECODED_BYTES,
    ) -> None:
        self._sources = sources
        squares = decoded // 4
        self._blocks: Kept[NDArray[Any]] = Kept(decoded - squares, size=lambda block: block.nbytes)
        self._squares: Kept[NDArray[Any]] = Kept(squares, size=lambda square: square.nbytes)
        self._numbers = itertools.count()
        self._kept: Kept[OpenProduct] = Kept(room, seconds=seconds)

    def get(self, candidate: Candidate) -> OpenProduct:
        """A product.

        :raises EOTasksError: when it cannot be opened.
        """
        key = candidate.name, candidate.baseline, candidate.generation
        return self._kept.get(key, lambda: self._opened(candidate))

    def _opened(self, candidate: Candidate) -> OpenProduct:
        scene = self._sources.openable(candidate).open()
        blocks = DecodedBlocks(self._blocks.get, next(self._numbers), keep_square=self._squares.get)
        return OpenProduct(scene, blocks)


@contextmanager
def faults_of(name: str) -> Iterator[None]:
    """What goes wrong with a product in its block, told without where it lies; the log has all of it.

    :raises RequestError: for bands that it does not have, and ground that cannot be expressed where it lies.
    :raises ProductError: for everything else.
    """
    try:
        yield
    except ServiceError:
        raise
    except (AreaError, GridError, RasterioError, CPLE_BaseError) as error:  # the last of the warper
        LOGGER.info("Product %s: %s", name, message_of(error))
        raise RequestError(f"Product {name}: the area cannot be expressed in its coordinate system.") from error
    except BandError as error:
        LOGGER.info("Product %s: %s", name, message_of(error))
        raise RequestError(
            f"Product {name} does not hold all bands that the evalscript reads: leave out bands, or the product."
        ) from error
    except (EOTasksError, OSError) as error:
        LOGGER.exception("Product %s cannot be read", name)
        raise ProductError(f"Product {name} cannot be read. Try again, or tell who runs the service.") from error


def unsearched(error: Exception) -> ProductError:
    """What is told of a catalogue that cannot be searched; the log has all of it."""
    LOGGER.error("Products cannot be searched: %s", message_of(error), exc_info=error)
    return ProductError("Products cannot be searched. Try again, or tell who runs the service.")

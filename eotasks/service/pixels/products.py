"""Open products, which are kept while requests come for them, and their faults as a client is told them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from eotasks.errors import AreaError, BandError, EOTasksError, GridError, message_of
from eotasks.imagery.pixels.seen import SeenGround
from eotasks.imagery.scene import Scene
from eotasks.service.errors import ProductError, RequestError, ServiceError
from eotasks.service.pixels.kept import Kept
from eotasks.service.pixels.sources import ProductSources
from eotasks.sources.frames import Candidate

LOGGER = logging.getLogger(__name__)

OPEN_PRODUCTS = 256
"""That are kept: what is known of their files takes some hundred kilobytes each."""

OPEN_SECONDS = 600.0
"""How long a product is kept open: it may be replaced by another of its name."""


@dataclass(frozen=True)
class OpenProduct:
    """A product whose metadata is read."""

    scene: Scene
    seen: SeenGround = field(default_factory=SeenGround)


class OpenProducts:
    """Opens products, and keeps those that were used last. May be used by several threads."""

    def __init__(self, sources: ProductSources, *, room: int = OPEN_PRODUCTS, seconds: float = OPEN_SECONDS) -> None:
        self._sources = sources
        self._kept: Kept[OpenProduct] = Kept(room, seconds=seconds)

    def get(self, candidate: Candidate) -> OpenProduct:
        """A product.

        :raises EOTasksError: when it cannot be opened.
        """
        key = candidate.name, candidate.baseline, candidate.generation
        return self._kept.get(key, lambda: OpenProduct(self._sources.openable(candidate).open()))


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
    except (AreaError, GridError) as error:
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

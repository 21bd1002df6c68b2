"""Products into a catalogue: found, described side by side, and added in portions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from eotasks.catalogue.discovery import Found, find_products, merge_masks
from eotasks.catalogue.items import add_masks, item_of
from eotasks.catalogue.store import Catalogue
from eotasks.errors import CredentialsError, EOTasksError, MissingDependencyError, StorageError, message_of
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.imagery.scene import open_scene

if TYPE_CHECKING:
    import pystac

LOGGER = logging.getLogger(__name__)

PORTION = 5_000
"""Items that are added at a time: what an interruption loses at most."""

READERS = 8
"""Products that are described at a time: most of it is waiting for a disk or a bucket."""


Progress = Callable[[int, int], None]
"""Is told how many products are done, of how many."""


@dataclass
class AddResult:
    """What came of products."""

    added: int = 0
    replaced: int = 0
    kept: int = 0
    """Were there already, of a newer baseline."""

    masks: int = 0
    """Of them with CLP and CLM."""

    failed: dict[str, str] = field(default_factory=dict)
    """Location and reason of products that cannot be read."""


def add_products(
    catalogue: Catalogue,
    locations: Sequence[str],
    *,
    masks: Sequence[str] = (),
    modifier: Modifier | str | None = None,
    progress: Progress | None = None,
) -> AddResult:
    """Adds all products below some locations to a catalogue.

    A product that cannot be read is named in the result, and the others go on. What stops all (a place that is not
    there, refused credentials) is raised.

    :param masks: Places to look for files of `eotasks cloud-mask` in, besides the locations.
    :param modifier: Signs the addresses of STAC items before they are read; the catalogue keeps them without.
    :param progress: Is told how many products are done, of how many.
    :raises ConfigurationError: when nothing is at a location, or the catalogue is not ours.
    :raises StorageError: when a place cannot be read or written.
    """
    found = [find_products(location) for location in locations]
    products = list(dict.fromkeys(product for each in found for product in each.products))
    known = Found(masks=merge_masks([*found, *(find_products(place) for place in masks)]))
    result = AddResult()
    described = _described(products, partial(_describe, known=known, modifier=modifier_of(modifier)), result, progress)
    while portion := list(islice(described, PORTION)):
        update = catalogue.add(portion)
        result.added += len(update.added)
        result.replaced += len(update.replaced)
        result.kept += len(update.kept)
        result.masks += sum("CLP" in item.assets for item in portion)
    return result


def _described(
    products: Sequence[str],
    describe: Callable[[str], pystac.Item],
    result: AddResult,
    progress: Progress | None,
) -> Iterator[pystac.Item]:
    """Items as they become ready; faults go to the result."""
    report_progress = progress or (lambda *_: None)
    report_progress(0, len(products))
    done = 0
    waiting = iter(products)
    with ThreadPoolExecutor(READERS, thread_name_prefix="catalogue") as pool:
        running: dict[Future[pystac.Item], str] = {}
        while True:
            for product in islice(waiting, 2 * READERS - len(running)):
                running[pool.submit(describe, product)] = product
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=lambda each: running[each]):
                product = running.pop(future)
                done += 1
                report_progress(done, len(products))
                try:
                    item = future.result()
                except (CredentialsError, MissingDependencyError):
                    for other in running:
                        other.cancel()
                    raise
                except Exception as error:
                    LOGGER.info("%s failed", product, exc_info=True)
                    result.failed[product] = message_of(error)
                else:
                    yield item


def _describe(product: str, *, known: Found, modifier: Modifier | None) -> pystac.Item:
    try:
        scene = open_scene(product, modifier=modifier)
        item = item_of(scene)
    except EOTasksError:
        raise
    except OSError as error:
        raise StorageError(f"{product} cannot be read ({error}). Check the path and the rights.") from error
    add_masks(item, known.masks_of(scene.name))
    return item

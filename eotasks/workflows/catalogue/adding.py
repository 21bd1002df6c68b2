"""Products into a catalogue: found, described side by side, and added in portions."""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from eotasks.catalogue.discovery import Found, find_products, merge_masks
from eotasks.catalogue.fields import baseline_of
from eotasks.catalogue.items import add_masks, item_of
from eotasks.catalogue.store import Catalogue
from eotasks.catalogue.table import table_of
from eotasks.errors import (
    ConfigurationError,
    CredentialsError,
    EOTasksError,
    MissingDependencyError,
    StorageError,
    message_of,
)
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.imagery.scene import open_scene
from eotasks.text import redacted

if TYPE_CHECKING:
    import pystac

LOGGER = logging.getLogger(__name__)

PORTION = 5_000
"""Items that are added at a time: what an interruption loses at most."""

LOOKED_FOR = (
    ".SAFE folders, zips of them, tiles as in the AWS buckets (metadata.xml, B02.jp2 and others) and folders with an"
    " acquisition.json"
)
"""What products are known by, in words."""

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

    shadows: int = 0
    """Of them with SHADOW."""

    repeated: dict[str, str] = field(default_factory=dict)
    """Locations of products that lie at another location, too, and that one."""

    failed: dict[str, str] = field(default_factory=dict)
    """Location and reason of products that cannot be read."""

    @property
    def found(self) -> int:
        """Products that were found: each is in one of the counts."""
        return self.added + self.replaced + self.kept + len(self.repeated) + len(self.failed)


def add_products(
    catalogue: Catalogue,
    locations: Sequence[str],
    *,
    masks: Sequence[str] = (),
    modifier: Modifier | str | None = None,
    progress: Progress | None = None,
) -> AddResult:
    """Adds all products below some locations to a catalogue.

    A product that cannot be read or kept is named in the result, and the others go on. What stops all (a place that is
    not there, credentials that open none of the products) is raised. Of a product that lies at two places the first is
    kept, in the order of their names, but for one of a newer baseline.

    :param masks: Places to look for files of `eotasks cloud-mask` in, besides the locations.
    :param modifier: Signs the addresses of STAC items before they are read; the catalogue keeps them without.
    :param progress: Is told how many products are done, of how many.
    :raises ConfigurationError: when nothing is at a location, none of them has a product, or the catalogue is not ours.
    :raises CredentialsError: when that is what is wrong with all products.
    :raises StorageError: when a place cannot be read or written.
    """
    found = [find_products(location) for location in locations]
    products = list(dict.fromkeys(product for each in found for product in each.products))
    if not products:
        _refuse_none(catalogue, locations)
    known = Found(masks=merge_masks([*found, *(find_products(place) for place in masks)]))
    result = AddResult()
    described = _described(products, partial(_describe, known=known, modifier=modifier_of(modifier)), result, progress)
    seen: dict[str, _Seen] = {}
    while portion := list(islice(described, PORTION)):
        _add(catalogue, portion, seen, result)
    return result


def _refuse_none(catalogue: Catalogue, locations: Sequence[str]) -> NoReturn:
    one = len(locations) == 1
    raise ConfigurationError(
        f"There is no product below {redacted(', '.join(locations))}, and nothing was added to {catalogue.location}."
        f" Looked for: {LOOKED_FOR}. Give {'the folder' if one else 'folders'} that holds such products, or a product"
        " itself."
    )


@dataclass(frozen=True)
class _Seen:
    """A product that was described before another of its name."""

    location: str
    time: dt.datetime | None
    baseline: str


def _add(
    catalogue: Catalogue, portion: Sequence[tuple[str, pystac.Item]], seen: dict[str, _Seen], result: AddResult
) -> None:
    """Adds items, each name once; what is left out goes to the result.

    :param seen: By name, of all portions; is told these.
    """
    chosen: dict[str, pystac.Item] = {}
    counted = set(seen)
    for location, item in portion:
        new = _Seen(location, item.datetime, baseline_of(item) or "")
        known = seen.get(item.id, new)
        if new.time != known.time:
            result.failed[location] = (
                f"another product than {known.location}, and of the same name {item.id}: rename one."
            )
            continue
        if new is not known and new.baseline <= known.baseline:
            result.repeated[location] = known.location
            continue
        if new is not known:
            result.repeated[known.location] = location
        seen[item.id], chosen[item.id] = new, item
    if not chosen:
        return
    update = catalogue.add(chosen.values())
    result.added += len(update.added)
    result.replaced += len(set(update.replaced) - counted)
    result.kept += len(update.kept)
    result.masks += sum({"CLP", "CLM"} <= item.assets.keys() for item in chosen.values())
    result.shadows += sum("SHADOW" in item.assets for item in chosen.values())


def _described(
    products: Sequence[str],
    describe: Callable[[str], pystac.Item],
    result: AddResult,
    progress: Progress | None,
) -> Iterator[tuple[str, pystac.Item]]:
    """Locations and items as they become ready; faults go to the result."""
    report_progress = progress or (lambda *_: None)
    report_progress(0, len(products))
    refused = list[CredentialsError]()
    waiting = iter(products)
    with ThreadPoolExecutor(READERS, thread_name_prefix="catalogue") as pool:
        running: deque[tuple[str, Future[pystac.Item]]] = deque()
        for done in range(1, len(products) + 1):
            for product in islice(waiting, 2 * READERS - len(running)):
                running.append((product, pool.submit(describe, product)))
            product, future = running.popleft()  # in their order, so that the same archive makes the same catalogue
            try:
                item = future.result()
            except MissingDependencyError:
                for _, other in running:
                    other.cancel()
                raise
            except Exception as error:
                LOGGER.info("%s failed", product, exc_info=True)
                result.failed[product] = message_of(error)
                refused += [error] if isinstance(error, CredentialsError) else []
            else:
                yield product, item
            report_progress(done, len(products))
    if products and len(refused) == len(products):
        raise refused[0]


def _describe(product: str, *, known: Found, modifier: Modifier | None) -> pystac.Item:
    try:
        scene = open_scene(product, modifier=modifier)
        item = item_of(scene)
    except EOTasksError:
        raise
    except OSError as error:
        raise StorageError(f"{product} cannot be read ({error}). Check the path and the rights.") from error
    add_masks(item, known.masks_of(scene.name))
    table_of([item])  # what a catalogue has no room for is this product's fault, and not that of all
    return item

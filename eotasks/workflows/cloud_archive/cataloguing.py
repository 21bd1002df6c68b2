"""The catalogue of an archive: items of masked products and of their siblings, added a portion at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eotasks.catalogue.fields import CLOUD_ASSETS, MADE_OF, PRODUCT_ASSET
from eotasks.catalogue.items import asset_keys, extensions_of, item_of
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.table import schema, table_of
from eotasks.errors import EOTasksError, ImageryError, message_of
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.frames import OPENERS, Candidate
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import add_row_masks, as_row, files_of_item
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive, folder_in
from eotasks.workflows.cloud_archive.source import Source, SourceProduct

if TYPE_CHECKING:
    import pystac

LOGGER = logging.getLogger(__name__)

PORTION = 500
"""Products that are added at a time: as many are looked at again after a builder was killed."""


class CatalogueWriter:
    """Takes products as their masks become ready, and adds them to the catalogue of their archive.

    :param place: The archive.
    :param superseded: Folders in the archive of masks that a product's replace, by the name of the replaced product, by
        the name of the one that replaces it.
    :param check: Called before anything is written: whether this run still has the archive.
    :param made_of: What a row says that the masks of a product were made of; None: nothing.
    """

    def __init__(
        self,
        place: Place,
        source: Source,
        superseded: Mapping[str, Mapping[str, str]],
        check: Callable[[], None],
        made_of: Callable[[SourceProduct], str] | None = None,
    ) -> None:
        self.failed: dict[str, str] = {}
        """Names of products whose items cannot be kept, with the reason."""
        self.removed: list[str] = []
        """Names of products whose masks others have replaced."""
        self._place, self._source, self._superseded, self._check = place, source, superseded, check
        self._made_of = made_of
        self._catalogue = catalogue_of_archive(place)
        self._waiting: list[str] = []

    def take(self, name: str) -> None:
        """A product whose masks are there."""
        self._waiting.append(name)
        if len(self._waiting) >= PORTION:
            self.flush()

    def flush(self) -> None:
        """Adds what waits.

        :raises StorageError: when it cannot be written, or another run has the archive.
        """
        names, self._waiting = self._waiting, []
        if not names:
            return
        self._check()
        siblings = [each for name in names for each in self._source.siblings.get(name, ())]
        items = self._source.items_of(siblings)
        with ThreadPoolExecutor(OPENERS) as pool:
            by_name = dict(zip(names, pool.map(lambda name: self._rows(name, items), names), strict=True))
        try:
            old = self._add(by_name)
        except ImageryError:  # what a catalogue has no room for is one product's fault: to try each costs as much again
            old = self._add({name: self._with_room(rows) for name, rows in by_name.items()})
        for name, folder in old.items():
            remove_product(self._place, name, folder)
            self.removed.append(name)

    def _add(self, by_name: Mapping[str, Sequence[_Row]]) -> dict[str, str]:
        """Adds rows in one operation; names and folders of products that these replace, which it takes out.

        :param by_name: Rows of products and their siblings, by the name of the product, whose own is the first.
        :raises ImageryError: when the catalogue has no room for something that one of them says, or is damaged.
        """
        rows = {each.item.id: each.item for found in by_name.values() for each in found}
        replacing = [name for name in by_name if name in self._superseded and by_name[name]]
        old = {name: folder for each in replacing for name, folder in self._superseded[each].items()}
        for name in replacing:
            rows = {row.id: row for row in self._left_over(name, by_name[name][0].item, old)} | rows
        self._catalogue.add(rows.values(), remove=list(old))
        return old

    def _with_room(self, rows: Sequence[_Row]) -> list[_Row]:
        """Those that a catalogue has room for; none where it has none for the product itself."""
        kept: list[_Row] = []
        for index, row in enumerate(rows):
            try:
                table_of([row.item])
                kept.append(row)
            except EOTasksError as error:
                LOGGER.info("%s cannot be catalogued", row.name, exc_info=True)
                self.failed[row.name] = message_of(error)
                if not index:
                    return []
        return kept

    def _left_over(self, name: str, row: pystac.Item, old: Mapping[str, str]) -> list[pystac.Item]:
        """Siblings of replaced products that the source has no more: they get the masks of the new one.

        :param row: Of the new product.
        """
        candidate, folders = self._source.products[name].candidate, set(self._superseded[name].values())
        around = SearchRequest(
            tile=candidate.tile, start=candidate.time - SAME_DATATAKE, end=candidate.time + SAME_DATATAKE
        )
        found = [each for each in self._catalogue.find(around) if "CLM" in each.assets and each.id not in old]
        left = [each for each in found if folder_in(self._place, each.assets["CLM"].href) in folders]
        for each in left:
            add_row_masks(each, {kind: row.assets[kind].href for kind in CLOUD_ASSETS if kind in row.assets})
        return left

    def _rows(self, name: str, items: Mapping[str, pystac.Item]) -> list[_Row]:
        """Items of a product and of its siblings, with their masks.

        :param items: Of siblings, as the source has them, by name.
        """
        product = self._source.products[name]
        try:
            row, masks = row_of(self._place, name, product.folder)
            if self._made_of is not None:
                row.properties[MADE_OF] = self._made_of(product)
        except EOTasksError as error:
            LOGGER.info("%s cannot be catalogued", name, exc_info=True)
            self.failed[name] = message_of(error)
            return []
        return [_Row(name, row), *self._siblings(self._source.siblings.get(name, ()), masks, items)]

    def _siblings(
        self, candidates: Iterable[Candidate], masks: Mapping[str, str], items: Mapping[str, pystac.Item]
    ) -> list[_Row]:
        found = []
        for candidate in candidates:
            try:
                item = described(candidate, items.get(candidate.name))
                add_row_masks(item, masks)
                item.stac_extensions = extensions_of(item)
                found.append(_Row(candidate.name, item))
            except (EOTasksError, OSError) as error:
                LOGGER.info("%s cannot be catalogued", candidate.name, exc_info=True)
                self.failed[candidate.name] = message_of(error)
        return found


@dataclass(frozen=True)
class _Row:
    """A row to be."""

    name: str
    """Of the product."""

    item: pystac.Item


def row_of(place: Place, name: str, folder: str) -> tuple[pystac.Item, dict[str, str]]:
    """The row of a product by the item beside its masks, and the locations of these.

    :raises EOTasksError: when there is no item, or it is damaged.
    """
    files = ArchivedFiles(place.child(folder), name)
    item = files.read_item()
    if item is None:
        raise ImageryError(f"{files.where}: is not there. Repair the archive.")
    written = files_of_item(item, files.where)
    masks = {kind: f"{files.place}/{file.name}" for kind, file in written.items()}
    return as_row(item, str(files.place), files.where), masks


def described(candidate: Candidate, item: pystac.Item | None = None) -> pystac.Item:
    """The item of a product for a catalogue of ours: the one of its source where that fits, else made of its files.

    :param item: Of the source.
    :raises EOTasksError: when the product cannot be opened.
    """
    if item is not None and fits_catalogue(item):
        return item.clone()
    made = item_of(candidate.open())
    if not isinstance(candidate.location, str):  # an item has no place that could be opened as a product
        made.assets.pop(PRODUCT_ASSET, None)
    return made


def fits_catalogue(item: pystac.Item) -> bool:
    """Whether a catalogue of ours has a column for all that an item says."""
    return set(item.properties) <= set(schema().names) and set(item.assets) <= set(asset_keys(BANDS))


def remove_product(place: Place, name: str, folder: str) -> None:
    """Remove the masks of a product from an archive, their item first."""
    ArchivedFiles(place.child(folder), name).place.remove(f"{name}.json")
    place.remove(folder)

"""What an archive has: its catalogue says of each product what its masks were made of, and is asked by spans of time.

So a builder that goes on, or is run again every day, looks at no product that is done, neither one by one nor in a list
of all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from eotasks.catalogue.request import Level, SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import choose_products
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.item import digest
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive, folder_in
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.source import Source, SourceProduct

_SPAN = dt.timedelta(days=30)
_PRODUCTS = 20_000


@dataclass
class Looked:
    """What there is of some products."""

    kept: list[str] = field(default_factory=list)
    """Names of products whose masks are there, made of the product as it is, and catalogued with all siblings."""

    todo: list[str] = field(default_factory=list)
    """Names of the others."""

    uncatalogued: set[str] = field(default_factory=set)
    """Of these, names of products that the catalogue has no masks of."""

    superseded: dict[str, dict[str, str]] = field(default_factory=dict)
    """Masks in the archive that those of products to make replace: name of the product -> names and folders."""


class ArchiveState:
    """What the catalogue of an archive has.

    :param settings: What masks are made with.
    :param level: Of the products to mask.
    """

    def __init__(self, place: Place, settings: ArchiveSettings, level: Level) -> None:
        self._place, self._level = place, level
        self._settings = digest(settings.compared())
        self._catalogue = catalogue_of_archive(place)

    def made_of(self, product: SourceProduct) -> str:
        """What a row of the catalogue says of masks of this product, made with these settings."""
        return digest([product.digest, self._settings])

    def look(self, source: Source) -> Looked:
        """What there is of the products of a source, and what they replace.

        :raises EOTasksError: when the catalogue cannot be read.
        """
        looked = Looked()
        if not self._catalogue.exists():
            looked.todo = list(source.products)
            looked.uncatalogued = set(looked.todo)
            return looked
        for products in _spans(source.products.values()):
            self._look_at(products, source, looked)
        return looked

    def _look_at(self, products: Sequence[SourceProduct], source: Source, looked: Looked) -> None:
        request = _around(products)
        marks = self._catalogue.marks(request)
        known: set[str] = set()
        for product in products:
            siblings = {each.name for each in source.siblings.get(product.name, ())}
            known |= siblings | {product.name}
            mark = marks.get(product.name)
            if mark is not None and mark[1] == self.made_of(product) and siblings <= marks.keys():
                looked.kept.append(product.name)
                continue
            looked.todo.append(product.name)
            if mark is None:
                looked.uncatalogued.add(product.name)
        others = marks.keys() - known
        if others:
            self._compare(products, others, request, looked)

    def _compare(
        self, products: Sequence[SourceProduct], others: AbstractSet[str], request: SearchRequest, looked: Looked
    ) -> None:
        """Products of the archive that are not among these, and may show the same pixels."""
        tiles = {each.candidate.tile for each in products}
        items = [item for item in self._catalogue.brief(request) if item.id in others]
        there = [each for each in map(Candidate.of_brief, items) if each.level == self._level and each.tile in tiles]
        mine = {id(each.candidate.location): each for each in products}
        old = {id(each.location): each for each in there}
        choice = choose_products([*there, *(each.candidate for each in products)])
        for each in choice.replaced:
            before, by = old.get(id(each.product.location)), mine.get(id(each.by.location))
            if before is not None and by is not None and "CLM" in before.masks:
                folder = folder_in(self._place, before.masks["CLM"])
                if folder is not None:
                    looked.superseded.setdefault(by.name, {})[before.name] = folder


def names_there(catalogue: Catalogue, source: Source) -> set[str]:
    """Names of the products of a source that a catalogue has masks of."""
    found: set[str] = set()
    for span in _spans(source.products.values()):
        found |= {each.name for each in span} & catalogue.marks(_around(span)).keys()
    return found


def _spans(products: Iterable[SourceProduct]) -> Iterator[list[SourceProduct]]:
    """Products in portions of some days: what is read of a catalogue for each is little, however old the archive."""
    span: list[SourceProduct] = []
    for each in sorted(products, key=lambda each: each.candidate.time):
        if span and (each.candidate.time - span[0].candidate.time > _SPAN or len(span) >= _PRODUCTS):
            yield span
            span = []
        span.append(each)
    if span:
        yield span


def _around(products: Sequence[SourceProduct]) -> SearchRequest:
    """All of the acquisitions of products in order of time."""
    first, last = (each.candidate.time for each in (products[0], products[-1]))
    return SearchRequest(start=first - SAME_DATATAKE, end=last + SAME_DATATAKE)

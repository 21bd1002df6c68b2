"""What an archive is made of: products of a catalogue, of a STAC API, or below a folder or a prefix.

Products of the level that a detector works on are masked; those of the other level that show the same acquisition of a
tile are its siblings, whose items gain the masks. Of products that show the same pixels the newest is masked
(`eotasks.sources.replacement`). Two that complete each other, the parts of a tile that was received in two strips, are
both masked, each for itself.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import shapely

from eotasks.catalogue.brief.items import BriefItem
from eotasks.catalogue.discovery import find_products
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.request import Level, SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, ImageryError, message_of
from eotasks.imagery.files.signing import Modifier, unsigned
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.imagery.scene import open_scene
from eotasks.sources.frames import OPENERS, Candidate, meets
from eotasks.sources.replacement import choose_products
from eotasks.storage.location import is_web
from eotasks.text import redacted
from eotasks.workflows.cloud_archive.item import SourceFacts, digest
from eotasks.workflows.cloud_archive.layout import folder_of
from eotasks.workflows.product_masks.names import check_name
from eotasks.workflows.product_masks.options import CloudMaskOptions, detector_of

if TYPE_CHECKING:
    import pystac

Progress = Callable[[int, int], None]
"""Is told how many products have been looked at, of how many."""

CATALOGUES = (".parquet", ".geoparquet")


@dataclass(frozen=True)
class SourceProduct:
    """A product to mask."""

    candidate: Candidate
    folder: str
    """Of its masks, in the archive."""

    inputs: str | None = None
    """As `SourceFacts.inputs`; None where it is known by its item alone."""

    @property
    def name(self) -> str:
        """Of the product."""
        return self.candidate.name

    @property
    def digest(self) -> str:
        """Of what is known of it: another one when it was processed anew, the same for a copy elsewhere."""
        one = self.candidate
        return digest(
            [one.name, one.satellite, one.tile, one.level, one.baseline, one.datastrip, one.generation, self.inputs]
        )

    def arguments(self) -> dict[str, object]:
        """What the task is told, in a form that is cheap to send and to compare."""
        one = self.candidate
        return {
            "name": one.name,
            "folder": self.folder,
            "location": encode_location(one.location),
            "origin": None if one.origin is None else replace(one.origin, modifier=None),
            "source": self.digest,
        }


@dataclass
class Source:
    """What was found in a source."""

    products: dict[str, SourceProduct] = field(default_factory=dict)
    """To mask, by name, in order of time."""

    siblings: dict[str, list[Candidate]] = field(default_factory=dict)
    """Products of the other level by the name of the one whose masks they share."""

    replaced: list[str] = field(default_factory=list)
    """Products that are left out since others show the same pixels, in words."""

    split: list[tuple[str, ...]] = field(default_factory=list)
    """Names of products that are parts of one acquisition of a tile."""

    failed: dict[str, str] = field(default_factory=dict)
    """Location or name, and reason, of products that cannot be used."""

    items: dict[str, pystac.Item] = field(default_factory=dict)
    """Items of siblings by their names, where the source has items and has given them."""

    ids: dict[str, str] = field(default_factory=dict)
    """Ids of items of siblings by their names, which :attr:`catalogue` gives when they are needed."""

    catalogue: Catalogue | None = None
    found: int = 0
    """How many products to mask were found, of those that are told no more by name too."""

    paired: int = 0
    """How many siblings they have."""

    expected: int = 0
    """How many products to mask the whole source seems to have, where this is a part; 0 where nobody has counted."""

    def items_of(self, siblings: Sequence[Candidate]) -> dict[str, pystac.Item]:
        """Items of siblings by their names, of those that the source has items of.

        :raises EOTasksError: when they cannot be read.
        """
        there = {each.name: self.items[each.name] for each in siblings if each.name in self.items}
        wanted = {self.ids[each.name]: each for each in siblings if each.name in self.ids}
        if self.catalogue is not None and wanted:
            times = [each.time for each in wanted.values()]
            request = SearchRequest(start=min(times), end=max(times))
            read = self.catalogue.named(wanted, request)
            there |= {wanted[item.id].name: unsigned(item) for item in read}
        return there

    def add(self, other: Source) -> None:
        """Takes what another one has."""
        self.products |= other.products
        self.siblings |= other.siblings
        self.items |= other.items
        self.ids |= other.ids
        self.catalogue = self.catalogue or other.catalogue
        self.note(other)

    def note(self, other: Source) -> None:
        """Takes what is told at the end of another one, and not its products."""
        self.replaced += other.replaced
        self.split += other.split
        self.failed |= other.failed
        self.found += other.found
        self.paired += other.paired
        self.expected = max(self.expected, other.expected)

    def part(self, names: Iterable[str]) -> Source:
        """The products of some names, with their siblings, as a source."""
        products = {name: self.products[name] for name in names}
        siblings = {name: self.siblings[name] for name in products if name in self.siblings}
        there = [each.name for group in siblings.values() for each in group]
        items = {name: self.items[name] for name in there if name in self.items}
        ids = {name: self.ids[name] for name in there if name in self.ids}
        return Source(products, siblings, items=items, ids=ids, catalogue=self.catalogue)


def level_of_detector(options: CloudMaskOptions) -> Level:
    """The level of products that a detector is given: L2A for those that go by its classes, else L1C."""
    return "L2A" if "classification" in detector_of(options).needs else "L1C"


def read_source(
    source: str | os.PathLike[str],
    level: Level,
    request: SearchRequest,
    *,
    modifier: Modifier | str | None = None,
    progress: Progress | None = None,
) -> Source:
    """The products of a source. Metadata is read, no pixel.

    :param source: A catalogue (``.parquet``), the address of a STAC API, a folder, or ``s3://bucket/prefix``.
    :param level: Of the products to mask.
    :param request: Which of them; its level counts for nothing. Cloud cover is that of products to mask.
    :param modifier: Signs the addresses of items.
    :raises ConfigurationError: nothing is there.
    :raises EOTasksError: the source cannot be read, or none of its products.
    :warns ProductSkippedWarning: an API has items that say nonsense; it names them.
    """
    wide = replace(request, level=None, max_cloud_cover=None, limit=None)
    text = os.fspath(source)
    found = Source()
    if is_web(text) or text.lower().rstrip("/").endswith(CATALOGUES):
        listed = listed_items(catalogue_of(text, modifier=modifier).find(wide), level, found)
    else:
        listed = [each for each in _of_folder(text, found, modifier, progress) if meets(each.candidate, wide)]
    sort_out(found, listed, level, request)
    return found


def encode_location(location: Any) -> str:
    """A location of `open_scene` as text: a path or an address, or an item as JSON without signatures."""
    if isinstance(location, str | os.PathLike):
        return os.fspath(location)
    content = unsigned(location).to_dict(include_self_link=False, transform_hrefs=False)
    return json.dumps(content, sort_keys=True)


def decode_location(text: str) -> Any:
    """What :func:`encode_location` made a text of."""
    return json.loads(text) if text.startswith("{") else text


@dataclass(frozen=True)
class Listed:
    """A product of a source, before it is known whether it is masked."""

    candidate: Candidate
    inputs: str | None = None


def listed_items(items: Iterable[Any], level: Level, found: Source) -> list[Listed]:
    """Products of items, of pystac or brief ones; what cannot be used is named as failed.

    :param level: Of the products to mask.
    """
    listed = []
    for item in items:
        try:
            brief = isinstance(item, BriefItem)
            candidate = Candidate.of_brief(item) if brief else Candidate.of_item(item)
            if candidate.level is None:
                raise ImageryError(f"STAC item {item.id!r}: does not say whether it is L1C or L2A. Describe it again.")
            name = str(item.properties.get("s2:product_uri") or item.id).removesuffix(".SAFE")
            check_name(name, f"STAC item {item.id!r}")
            listed.append(Listed(candidate if name == candidate.name else replace(candidate, name=name)))
            if candidate.level != level and brief:
                found.ids[name] = item.id
            elif candidate.level != level:
                found.items[name] = unsigned(item)
        except EOTasksError as error:
            found.failed[item.id] = message_of(error)
    return listed


def _of_folder(
    location: str, found: Source, modifier: Modifier | str | None, progress: Progress | None
) -> list[Listed]:
    """:raises EOTasksError: when nothing is there, or credentials open none of the products."""
    products = find_products(location).products
    if not products:
        raise ConfigurationError(
            f"There is no product below {redacted(location)}: give a folder of products, s3://bucket/prefix, a"
            " catalogue (.parquet) or the address of a STAC API."
        )

    def look(product: str) -> Listed | EOTasksError | OSError:
        try:
            scene = open_scene(product, modifier=modifier)
            check_name(scene.name, product)
            return Listed(Candidate.of_scene(product, scene, modifier=modifier), SourceFacts.of(scene).inputs)
        except (EOTasksError, OSError) as error:
            return error

    listed, refused = [], []
    with ThreadPoolExecutor(OPENERS) as pool:
        for done, (product, result) in enumerate(zip(products, pool.map(look, products), strict=True), start=1):
            if isinstance(result, Listed):
                listed.append(result)
            else:
                found.failed[product] = message_of(result)
                refused += [result] if isinstance(result, CredentialsError) else []
            if progress is not None:
                progress(done, len(products))
    if len(refused) == len(products):
        raise refused[0]
    return listed


def sort_out(
    found: Source,
    listed: Sequence[Listed],
    level: Level,
    request: SearchRequest,
    *,
    within: Callable[[dt.datetime], bool] = lambda _: True,
    taken: Callable[[str], bool] = lambda _: False,
) -> None:
    """Puts what is listed where it belongs.

    :param within: Whether what is of a time is taken and told: products of other times are compared only.
    :param taken: Whether a product of a name was taken before.
    """
    masked = [each for each in listed if each.candidate.level == level]
    any_level = replace(request, level=None)
    wanted = [each for each in masked if meets(each.candidate, any_level)]
    known = {id(each.candidate.location): each for each in wanted}
    choice = choose_products(each.candidate for each in wanted)
    found.replaced += [str(each) for each in choice.replaced if within(each.product.time)]
    parts: dict[tuple[object, ...], list[str]] = {}
    chosen: list[Candidate] = []
    for one in choice.products[: request.limit]:
        each = known[id(one.location)]
        candidate = each.candidate
        name = candidate.name
        chosen.append(candidate)
        if not within(one.time):
            continue
        if name in found.products or taken(name):
            other = _shown(found.products[name].candidate) if name in found.products else "one before"
            found.failed[_shown(candidate)] = (
                f"{_shown(candidate)}: another product than {other}, and of the same name {name}: rename one."
            )
            chosen.pop()
            continue
        found.products[name] = SourceProduct(candidate, folder_of(name, candidate.tile, candidate.time), each.inputs)
        parts.setdefault((one.satellite, one.tile, one.time), []).append(name)
    found.split += [tuple(names) for key, names in parts.items() if len(names) > 1 and None not in key]
    others = [each.candidate for each in listed if each.candidate.level != level]
    _pair(found, others, chosen, masked, level, within)
    found.found, found.paired = len(found.products), sum(len(each) for each in found.siblings.values())


def _pair(
    found: Source,
    others: Sequence[Candidate],
    chosen: Sequence[Candidate],
    masked: Sequence[Listed],
    level: Level,
    within: Callable[[dt.datetime], bool],
) -> None:
    """Gives products of the other level to those whose masks they share; names those without any."""
    to_mask = _ByTile(chosen)
    there = _ByTile(each.candidate for each in masked)
    for other in others:
        near = to_mask.near(other)
        if near:
            best = max(near, key=lambda each: (_shared(each, other), each.name))
            if best.name in found.products:
                found.siblings.setdefault(best.name, []).append(other)
        elif within(other.time) and not there.near(other):
            found.failed[_shown(other)] = (
                f"{_shown(other)}: {other.level} without the {level} product of its acquisition, which its masks are"
                f" made of: add that product{' or take --detector scl' if level == 'L1C' else ''}."
            )


class _ByTile:
    """Products by satellite, tile and time."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._found: dict[tuple[str | None, str | None], list[Candidate]] = {}
        for each in sorted(candidates, key=lambda each: each.time):
            self._found.setdefault((each.satellite, each.tile), []).append(each)

    def near(self, one: Candidate) -> list[Candidate]:
        """Those that may be of the same acquisition."""
        group = self._found.get((one.satellite, one.tile), [])
        first = bisect_right(group, one.time - SAME_DATATAKE, key=lambda each: each.time)
        last = bisect_left(group, one.time + SAME_DATATAKE, key=lambda each: each.time)
        return group[first:last]


def _shared(one: Candidate, other: Candidate) -> float:
    """Ground that two products share; none where nobody knows."""
    if one.footprint is None or other.footprint is None:
        return 0.0
    try:
        return float(shapely.intersection(one.footprint, other.footprint).area)
    except shapely.errors.ShapelyError:
        return 0.0


def _shown(candidate: Candidate) -> str:
    """Where a product lies, or the name of its item."""
    location = candidate.location
    return redacted(os.fspath(location)) if isinstance(location, str | os.PathLike) else candidate.name

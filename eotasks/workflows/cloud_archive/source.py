"""What an archive is made of: products of a catalogue, of a STAC API, or below a folder or a prefix.

Products of the level that a detector works on are masked; those of the other level that show the same acquisition of a
tile are its siblings, whose items gain the masks. Of products that show the same pixels the newest is masked
(`eotasks.sources.replacement`). Two that complete each other, the parts of a tile that was received in two strips, are
both masked, each for itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import shapely

from eotasks.catalogue.discovery import find_products
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.request import Level, SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, ImageryError, message_of
from eotasks.imagery.files.signing import Modifier, unsigned
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.imagery.scene import open_scene
from eotasks.sources.frames import OPENERS, Candidate, candidates_of, meets
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

_CATALOGUES = (".parquet", ".geoparquet")


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

    def arguments(self) -> dict[str, object]:
        """What the task is told, in a form that is cheap to send and to compare."""
        one = self.candidate
        known = [one.name, one.satellite, one.tile, one.level, one.baseline, one.datastrip, one.generation, self.inputs]
        return {
            "name": one.name,
            "folder": self.folder,
            "location": encode_location(one.location),
            "origin": None if one.origin is None else replace(one.origin, modifier=None),
            "source": digest(known),
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
    """Items of siblings by their names, where the source has items."""


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
    if is_web(text) or text.lower().rstrip("/").endswith(_CATALOGUES):
        listed = _of_items(catalogue_of(text, modifier=modifier).find(wide), level, found)
    else:
        listed = [each for each in _of_folder(text, found, modifier, progress) if meets(each.candidate, wide)]
    _sort_out(found, listed, level, request)
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
class _Listed:
    candidate: Candidate
    inputs: str | None = None


def _of_items(items: Iterable[pystac.Item], level: Level, found: Source) -> list[_Listed]:
    listed = []
    for item in items:
        try:
            candidate = Candidate.of_item(item)
            if candidate.level is None:
                raise ImageryError(f"STAC item {item.id!r}: does not say whether it is L1C or L2A. Describe it again.")
            name = str(item.properties.get("s2:product_uri") or item.id).removesuffix(".SAFE")
            check_name(name, f"STAC item {item.id!r}")
            listed.append(_Listed(replace(candidate, name=name)))
            if candidate.level != level:
                found.items[name] = unsigned(item)
        except EOTasksError as error:
            found.failed[item.id] = message_of(error)
    return listed


def _of_folder(
    location: str, found: Source, modifier: Modifier | str | None, progress: Progress | None
) -> list[_Listed]:
    """:raises EOTasksError: when nothing is there, or credentials open none of the products."""
    products = find_products(location).products
    if not products:
        raise ConfigurationError(
            f"There is no product below {redacted(location)}: give a folder of products, s3://bucket/prefix, a"
            " catalogue (.parquet) or the address of a STAC API."
        )

    def look(product: str) -> _Listed | EOTasksError | OSError:
        try:
            scene = open_scene(product, modifier=modifier)
            check_name(scene.name, product)
            return _Listed(Candidate.of_scene(product, scene, modifier=modifier), SourceFacts.of(scene).inputs)
        except (EOTasksError, OSError) as error:
            return error

    listed, refused = [], []
    with ThreadPoolExecutor(OPENERS) as pool:
        for done, (product, result) in enumerate(zip(products, pool.map(look, products), strict=True), start=1):
            if isinstance(result, _Listed):
                listed.append(result)
            else:
                found.failed[product] = message_of(result)
                refused += [result] if isinstance(result, CredentialsError) else []
            if progress is not None:
                progress(done, len(products))
    if len(refused) == len(products):
        raise refused[0]
    return listed


def _sort_out(found: Source, listed: Sequence[_Listed], level: Level, request: SearchRequest) -> None:
    """Puts what is listed where it belongs."""
    masked = [each for each in listed if each.candidate.level == level]
    wanted = [each for each in masked if meets(each.candidate, replace(request, level=None))]
    known = {id(each.candidate.location): each for each in wanted}
    choice = choose_products(each.candidate for each in wanted)
    found.replaced = [str(each) for each in choice.replaced]
    parts: dict[tuple[object, ...], list[str]] = {}
    for chosen in choice.products[: request.limit]:
        each = known[id(chosen.location)]
        candidate = each.candidate
        if candidate.name in found.products:
            found.failed[_shown(candidate)] = (
                f"{_shown(candidate)}: another product than {_shown(found.products[candidate.name].candidate)}, and of"
                f" the same name {candidate.name}: rename one."
            )
            continue
        folder = folder_of(candidate.name, candidate.tile, candidate.time)
        found.products[candidate.name] = SourceProduct(candidate, folder, each.inputs)
        parts.setdefault((chosen.satellite, chosen.tile, chosen.time), []).append(candidate.name)
    found.split = [tuple(names) for key, names in parts.items() if len(names) > 1 and None not in key]
    _pair(found, [each.candidate for each in listed if each.candidate.level != level], masked, level)


def _pair(found: Source, others: Sequence[Candidate], masked: Sequence[_Listed], level: Level) -> None:
    """Gives products of the other level to those whose masks they share; names those without any."""
    chosen = _by_tile(each.candidate for each in found.products.values())
    there = _by_tile(each.candidate for each in masked)
    for other in others:
        key = (other.satellite, other.tile)
        near = [each for each in chosen.get(key, ()) if abs(each.time - other.time) < SAME_DATATAKE]
        if near:
            best = max(near, key=lambda each: (_shared(each, other), each.name))
            found.siblings.setdefault(best.name, []).append(other)
        elif not any(abs(each.time - other.time) < SAME_DATATAKE for each in there.get(key, ())):
            found.failed[_shown(other)] = (
                f"{_shown(other)}: {other.level} without the {level} product of its acquisition, which its masks are"
                f" made of: add that product{' or take --detector scl' if level == 'L1C' else ''}."
            )


def _by_tile(candidates: Iterable[Candidate]) -> dict[tuple[str | None, str | None], list[Candidate]]:
    found: dict[tuple[str | None, str | None], list[Candidate]] = {}
    for each in candidates:
        found.setdefault((each.satellite, each.tile), []).append(each)
    return found


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


def archived(catalogue: Catalogue, products: Iterable[SourceProduct], level: Level) -> list[Candidate]:
    """Products of an archive that may be of the same acquisitions as some of a source.

    :param catalogue: Of the archive.
    """
    if not catalogue.exists():
        return []
    items: list[pystac.Item] = []
    by_tile: dict[str, list[SourceProduct]] = {}
    for each in products:
        if each.candidate.tile is not None:
            by_tile.setdefault(each.candidate.tile, []).append(each)
    for tile, group in by_tile.items():
        times = [each.candidate.time for each in group]
        request = SearchRequest(
            level=level, tile=tile, start=min(times) - SAME_DATATAKE, end=max(times) + SAME_DATATAKE
        )
        items += [item for item in catalogue.find(request) if "CLM" in item.assets]
    return candidates_of(items)

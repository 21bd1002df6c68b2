"""Exporting an archive: item after item, tile after tile; what is in memory does not grow with the archive."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from eotasks.catalogue.packages import require
from eotasks.catalogue.store import Catalogue
from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError, ImageryError, message_of
from eotasks.sources.frames import OPENERS
from eotasks.storage.lease import LEASE_FILE, hold_lease
from eotasks.storage.place import Place, PlaceLike, check_folder
from eotasks.text import redacted, shortened
from eotasks.workflows.cloud_archive.exporting.hrefs import MaskHrefs, mask_hrefs
from eotasks.workflows.cloud_archive.exporting.items import (
    ProductAssets,
    check_products,
    files_of,
    level_of_item,
    shown_item,
    with_masks_of,
)
from eotasks.workflows.cloud_archive.exporting.masks import LEVELS, ArchivedMasks, Group, groups_of
from eotasks.workflows.cloud_archive.exporting.table import ItemTable, export_schema, row_of_item
from eotasks.workflows.cloud_archive.exporting.tree import (
    CATALOG_FILE,
    COLLECTION_FILE,
    CatalogueTree,
    Writer,
    root_catalog,
)
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import WrittenFile, encode_item
from eotasks.workflows.cloud_archive.layout import MASKS
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, require_settings
from eotasks.workflows.cloud_archive.whole.status import last_build
from eotasks.workflows.product_masks.names import check_name

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac

LOGGER = logging.getLogger(__name__)

WHAT = "eotasks archive export-stac"
MARKER = ".eotasks-export.json"
_NAMED = 200
"""Characters that are shown of the place of another archive."""
"""In a folder that an export has begun to write, and may write again."""

_PORTION = 64
"""Products that are read at a time."""


@dataclass(frozen=True)
class ExportResult:
    """What came of an export."""

    place: Place
    out: Place
    items: Mapping[str, int]
    """Items of each collection, by its name."""

    written: int
    """Items that were new, or are others than before."""

    kept: int
    """Items that an earlier export had as they are."""

    removed: int
    """Items, or catalogues with all that is in them, that an earlier export had and the archive has no more."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Names of products that cannot be shown, with the reason."""


def export_stac(
    place: PlaceLike,
    out: PlaceLike,
    *,
    absolute: bool = False,
    address: str | None = None,
    copy: bool = False,
    products: ProductAssets = "addresses",
    progress: Callable[[int, int], None] | None = None,
) -> ExportResult:
    """Writes an archive as a static STAC catalogue, with all items of a collection as GeoParquet too.

    One collection a level: the products that were masked, and their siblings of the other level with the same masks.
    Below it catalogues by zone, tile and year, so that none has more than some hundred links. Run again it replaces
    what has changed; what the archive has no more is removed. A reader finds the old catalogue or the new one, and in
    between links that lead to one or the other: they are written from the leaves to the root.

    :param place: The archive.
    :param out: A folder or ``s3://bucket/prefix``: new, empty, or of an earlier export.
    :param absolute: Hrefs of masks are absolute; else they are relative to their items.
    :param address: Where others reach the archive (with `copy`, the export), such as ``https://data.example.org/masks``:
        hrefs of masks begin with it.
    :param copy: Masks are copied into the export, each compared with its checksum.
    :param products: Which assets of the products themselves items keep: those that are at addresses (S3, web), all, or
        none.
    :param progress: Is told how many products have been looked at, of how many.
    :raises ConfigurationError: a builder is at work, `out` holds other things or is in the archive's own folders, no
        relative path leads from it to the masks, or the archive has none.
    :raises StorageError: there is no archive, another export is at work, or something cannot be read or written.
    :raises MissingDependencyError: the extra of the catalogue is not installed.
    """
    require(*Catalogue.packages)
    place, out = Place(place), Place(out)
    check_products(products)
    hrefs = mask_hrefs(place, out, absolute=absolute, address=address, copy=copy)
    settings = require_settings(place)
    build = last_build(place)
    if build is not None and build.state == "running":
        raise ConfigurationError(f"{place} is being built: wait for its end, eotasks archive status {place} shows it.")
    _check_out(place, out)
    if not any(groups_of(place)):
        raise ConfigurationError(f"{place} has no masks yet: make them with eotasks archive build.")
    with hold_lease(out, WHAT) as lease:
        anew = not out.exists(MARKER)
        if anew:
            out.write_bytes(MARKER, encode_item({"version": 1, "archive": _archive_of(place, out)}))
        return _Exporter(place, out, settings, hrefs, products, Writer(out, anew=anew)).run(lease.check, progress)


def collection_name(level: str) -> str:
    """The id of the collection of a level, and the name of its folder."""
    return f"cloud-masks-{level.lower()}"


def _check_out(place: Place, out: Place) -> None:
    """Refuse a place that an export may not write to, before any work.

    :raises ConfigurationError: it holds other things, is the archive's, or cannot be a folder.
    """
    if f"{out}/".startswith(f"{place}/{MASKS}/"):
        raise ConfigurationError(f"--out {out} is among the masks of {place}: give a folder beside them.")
    if out.is_local:
        check_folder(out.local_path())
    names = set(out.names()) - {LEASE_FILE}
    if MARKER in names:
        _check_marker(place, out)
    elif names:
        raise ConfigurationError(
            f"--out {out} holds other things ({', '.join(sorted(names)[:3])}): give a new folder, or that of an earlier"
            " export."
        )


def _archive_of(place: Place, out: Place) -> str:
    """What an export says of whose it is; one that lies in its archive moves with it."""
    return "." if f"{out}/".startswith(f"{place}/") else redacted(str(place))


def _check_marker(place: Place, out: Place) -> None:
    """Refuse the export of another archive: what this one has not would be removed from it."""
    try:
        other = parse_json_object(out.read_bytes(MARKER), ValueError).get("archive")
    except ValueError:
        other = None
    if other != _archive_of(place, out):
        what = f"is the export of {shortened(str(other), _NAMED)}" if other else f"has a damaged {MARKER}"
        raise ConfigurationError(
            f"--out {out} {what}: give a folder of its own; where the archive was moved, remove this one first."
        )


@dataclass(frozen=True)
class _Shown:
    """An item as it is shown, in the collection of its level."""

    level: str
    path: str
    item: Mapping[str, Any]
    row: pa.Table
    is_new: bool
    useless: Sequence[str]
    """Files of an earlier export beside it."""


class _Collection:
    """A collection that is being written."""

    def __init__(self, writer: Writer, out: Place, level: str, settings: ArchiveSettings, columns: pa.Schema) -> None:
        self.tree = CatalogueTree(writer, collection_name(level), level, settings.settings)
        self._files = contextlib.ExitStack()
        self._table = ItemTable(self._files.enter_context(out.writing(self.tree.table)), columns)

    def add(self, parts: Sequence[str], shown: Sequence[_Shown]) -> None:
        self.tree.begin(parts)
        self.tree.add([(each.path, each.item) for each in shown])
        for each in shown:
            self._table.add(each.row)

    def end(self) -> None:
        self._table.close()
        self._files.close()
        self.tree.end()

    def abandon(self, error: BaseException) -> None:
        """Leave the table of an earlier export as it is."""
        with contextlib.suppress(Exception):
            self._table.close()
        with contextlib.suppress(type(error)):
            self._files.__exit__(type(error), error, error.__traceback__)


class _Exporter:
    def __init__(
        self,
        place: Place,
        out: Place,
        settings: ArchiveSettings,
        hrefs: MaskHrefs,
        products: ProductAssets,
        writer: Writer,
    ) -> None:
        self._place, self._out, self._settings = place, out, settings
        self._hrefs, self._products, self._writer = hrefs, products, writer
        self._columns = export_schema(settings.settings)
        self._collections: dict[str, _Collection] = {}
        self._failed: dict[str, str] = {}
        self._masks = ArchivedMasks(place, settings, self._failed)
        self._done = 0

    def run(self, check: Callable[[], None], progress: Callable[[int, int], None] | None) -> ExportResult:
        try:
            with ThreadPoolExecutor(OPENERS) as pool:
                for group in groups_of(self._place):
                    for _ in self._group(group, pool):
                        check()
                        if progress is not None:
                            progress(self._done, max(self._masks.rows, self._done + 1))
            for each in self._collections.values():
                each.end()
        except BaseException as error:
            for each in self._collections.values():
                each.abandon(error)
            raise
        trees = [each.tree for _, each in sorted(self._collections.items())]
        if trees:
            check()
            self._writer.put(CATALOG_FILE, root_catalog(trees))
            gone = {collection_name(level) for level in LEVELS} - {tree.name for tree in trees}
            self._writer.remove_each(sorted(gone))
        if progress is not None:
            progress(self._done, self._done)
        writer, items = self._writer, {tree.name: tree.items for tree in trees}
        failed = dict(sorted(self._failed.items()))
        return ExportResult(self._place, self._out, items, writer.written, writer.kept, writer.removed, failed)

    def _group(self, group: Group, pool: ThreadPoolExecutor) -> Iterator[None]:
        """Shows the masks of a group, a portion at a time."""
        sizes = self._masks.sizes(group)
        there: dict[str, Mapping[str, Mapping[str, int]]] = {}
        for start in range(0, len(sizes), _PORTION):
            names = list(sizes)[start : start + _PORTION]
            read = pool.map(lambda name: self._masks.read(group, name, sizes[name]), names)
            items = {name: item for name, item in zip(names, read, strict=True) if item is not None}
            self._writer.kept_names |= set(names) - items.keys()
            siblings = self._masks.siblings(group, list(items.values()))
            for level in {level_of_item(each) for each in chain(items.values(), *siblings.values())} - there.keys():
                there[level] = self._writer.there(f"{collection_name(level)}/{group.inside}")
            jobs = [
                [item, *(with_masks_of(row, item) for row in siblings.get(name, ()))] for name, item in items.items()
            ]
            found = [each for shown in pool.map(lambda job: self._show(group, job, there), jobs) for each in shown]
            for level in sorted({each.level for each in found}):
                self._add(level, group, [each for each in found if each.level == level])
            self._done += len(found)
            yield

    def _add(self, level: str, group: Group, shown: Sequence[_Shown]) -> None:
        if level not in self._collections:
            self._collections[level] = _Collection(self._writer, self._out, level, self._settings, self._columns)
        self._collections[level].add(group.parts, shown)
        self._writer.count(written=sum(each.is_new for each in shown), kept=sum(not each.is_new for each in shown))
        self._writer.remove_files([path for each in shown for path in each.useless])

    def _show(
        self, group: Group, job: Sequence[pystac.Item], there: Mapping[str, Mapping[str, Mapping[str, int]]]
    ) -> list[_Shown]:
        """Write the item of a product, and those of its siblings.

        :param there: Files of an earlier export, by level and item, as of :meth:`Writer.there`.
        """
        folder, shown = f"{group.folder}/{job[0].id}", list[_Shown]()
        home = folder
        for item in job:
            level = level_of_item(item)
            name = collection_name(level)
            here = f"{name}/{group.inside}/{item.id}"
            path = f"{here}/{item.id}.json"
            if self._hrefs.copied and item is job[0]:
                home = here
            parents = (CATALOG_FILE, f"{name}/{COLLECTION_FILE}", f"{name}/{group.inside}/{CATALOG_FILE}")
            try:
                check_name(item.id, folder)
                old = there[level].get(item.id, {})
                files = files_of(item, path)
                content, hrefs = shown_item(item, path, home, self._hrefs, self._products, parents)
                row = row_of_item(content, hrefs, self._columns)
                is_new = not self._writer.has(path, content, old)
                copies = self._copy(folder, here, files.values(), old, is_new) if home == here else set()
            except ImageryError as error:
                LOGGER.info("%s cannot be shown", item.id, exc_info=True)
                self._failed[item.id] = message_of(error)
                self._writer.kept_names.add(item.id)
                if item is job[0]:  # its siblings have the same masks
                    break
                continue
            if is_new:
                self._writer.put(path, content)
            shown.append(_Shown(level, path, content, row, is_new, sorted(old.keys() - {path, *copies})))
        return shown

    def _copy(
        self, folder: str, here: str, images: Iterable[WrittenFile], there: Mapping[str, int], is_new: bool
    ) -> set[str]:
        """Copy the masks of a product, those that an unchanged item has already left out; their paths.

        :raises ImageryError: when one is another than its checksum says.
        """
        files, paths = ArchivedFiles(self._place.child(folder), folder.rpartition("/")[2]), set()
        for file in images:
            path = f"{here}/{file.name}"
            paths.add(path)
            if not is_new and there.get(path) == file.size:
                continue
            if files.written(file.name) != file:
                raise ImageryError(f"{files.place}/{file.name}: is damaged. Repair the archive.")
            with files.place.reading(file.name) as source:
                self._out.upload(path, source)
        return paths

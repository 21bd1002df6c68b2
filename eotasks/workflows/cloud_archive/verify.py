"""Whether an archive is whole: files against items, items against the catalogue, a sample against its sources."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.packages import require
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, EOTasksError, message_of
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.imagery.files.origin import Origin, mark
from eotasks.imagery.files.signing import Modifier
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.sources.frames import OPENERS, Candidate
from eotasks.storage.place import Place, PlaceLike
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import (
    WrittenFile,
    as_row,
    files_of_item,
    parse_item,
    settings_of_item,
)
from eotasks.workflows.cloud_archive.layout import CATALOGUE_FILE, MASKS, catalogue_of_archive, folder_below, folder_in
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, options_of, require_settings
from eotasks.workflows.cloud_archive.source import level_of_detector, read_source
from eotasks.workflows.cloud_archive.status import last_build
from eotasks.workflows.product_masks.images import stored_probability
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks

Kind = Literal[
    "no item", "bad item", "missing file", "bad file", "unknown file", "not catalogued", "no masks", "other values"
]
"""``no item``: files of masks without an item. ``bad item``: none that can be read, or of other settings. ``missing
file``: an item names it. ``bad file``: of another size or checksum. ``unknown file``: nothing of an archive. ``not
catalogued``: an item without a row. ``no masks``: a row of the catalogue without an item. ``other values``: of the
sample, what is made of the source now."""

Progress = Callable[[int, int], None]

_DEPTH = 3
"""Folders above that of a product: masks, tile, year."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    kind: Kind
    folder: str
    """Of the product, in the archive; the path itself of an unknown file that lies in none."""

    text: str

    @property
    def name(self) -> str:
        """Of the product."""
        return self.folder.rpartition("/")[2]


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what was found."""

    place: Place
    products: int
    """Items."""

    files: int
    """Images that items name."""

    bytes: int
    """Of them, as they should be."""

    sample: tuple[str, ...] = ()
    """Names of products whose masks were made again."""

    findings: tuple[Finding, ...] = ()
    items: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Items that could be read, by their folders."""


def verify_archive(
    place: PlaceLike,
    *,
    checksums: bool = True,
    sample: int = 0,
    seed: int = 0,
    source: str | os.PathLike[str] | None = None,
    modifier: Modifier | str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Looks whether an archive is whole. Nothing is written.

    :param checksums: Whether every image is read and compared with the checksum of its item; else its size counts.
    :param sample: So many products, chosen at random, have their masks made again from their sources and compared.
    :param seed: Of the choice.
    :param source: Where the products of the sample are, as of a build; None: where their items say. Those of an archive
        in a bucket may name no files of this machine.
    :param modifier: Signs the addresses of items that the sample is read from.
    :param progress: Is told how many products have been looked at, of how many.
    :raises ConfigurationError: a builder is at work.
    :raises StorageError: there is no archive, or it cannot be read.
    """
    require(*Catalogue.packages)
    place = Place(place)
    settings = require_settings(place)
    build = last_build(place)
    if build is not None and build.state == "running":
        raise ConfigurationError(f"{place} is being built: wait for its end, eotasks archive status {place} shows it.")
    given = products_of(source, settings, modifier)
    return _Verifier(place, settings, checksums, modifier, given).verify(sample, seed, progress)


class _Verifier:
    def __init__(
        self,
        place: Place,
        settings: ArchiveSettings,
        checksums: bool,
        modifier: Modifier | str | None,
        given: Mapping[str, Candidate],
    ) -> None:
        self._given = given
        self._place, self._settings, self._checksums, self._modifier = place, settings, checksums, modifier
        self._findings: list[Finding] = []
        self._items: dict[str, dict[str, Any]] = {}

    def verify(self, sample: int, seed: int, progress: Progress | None) -> Verification:
        folders, strange = _by_folder(self._place)
        self._findings += [Finding("unknown file", path, f"{path}: nothing of an archive") for path in strange]
        files = size = 0
        with ThreadPoolExecutor(OPENERS) as pool:
            looked = pool.map(lambda each: self._look(each, folders[each]), folders)
            for done, (folder, (item, named, findings)) in enumerate(zip(folders, looked, strict=True), start=1):
                self._findings += findings
                if item is not None:
                    self._items[folder] = item
                files, size = files + len(named), size + sum(each.size for each in named.values())
                if progress is not None:
                    progress(done, len(folders))
        self._compare_catalogue()
        whole = sorted(self._items.keys() - {each.folder for each in self._findings})
        chosen = random.Random(seed).sample(whole, min(sample, len(whole)))  # noqa: S311 - no secret
        if chosen:
            options = options_of(self._settings)
            self._findings += [each for folder in chosen for each in self._made_again(folder, options)]
        order = sorted(self._findings, key=lambda each: (each.folder, each.kind, each.text))
        names = tuple(folder.rpartition("/")[2] for folder in chosen)
        return Verification(self._place, len(self._items), files, size, names, tuple(order), self._items)

    def _look(
        self, folder: str, sizes: Mapping[str, int]
    ) -> tuple[dict[str, Any] | None, Mapping[str, WrittenFile], list[Finding]]:
        """One product: its item, the files that it names, what is wrong."""
        files = ArchivedFiles(self._place.child(folder), folder.rpartition("/")[2])
        if files.item not in sizes:
            return None, {}, [Finding("no item", folder, f"{folder}: {', '.join(sorted(sizes))} without an item")]
        try:
            item = parse_item(self._place.read_bytes(f"{folder}/{files.item}"), f"{folder}/{files.item}")
            named = files_of_item(item, f"{folder}/{files.item}")
        except EOTasksError as error:
            return None, {}, [Finding("bad item", folder, message_of(error))]
        findings = []
        if item["id"] != files.name:
            findings.append(Finding("bad item", folder, f"{folder}: its item is of {item['id'][:100]!r}"))
        elif settings_of_item(item) != self._settings.compared():
            findings.append(Finding("bad item", folder, f"{folder}: made with other settings than the archive's"))
        findings += [each for file in named.values() for each in self._file(folder, file, sizes, files)]
        known = {files.item} | {name for file in named.values() for name in (file.name, f"{file.name}.aux.xml")}
        findings += [
            Finding("unknown file", f"{folder}/{name}", f"{folder}/{name}: no item names it")
            for name in sorted(sizes.keys() - known)
        ]
        return item, named, findings

    def _file(self, folder: str, file: WrittenFile, sizes: Mapping[str, int], files: ArchivedFiles) -> list[Finding]:
        path = f"{folder}/{file.name}"
        if file.name not in sizes:
            return [Finding("missing file", folder, f"{path}: is not there")]
        if sizes[file.name] != file.size:
            return [Finding("bad file", folder, f"{path}: {sizes[file.name]:,} bytes, expected {file.size:,}")]
        if not self._checksums:
            return []
        try:
            found = files.written(file.name)
        except EOTasksError as error:
            return [Finding("bad file", folder, message_of(error))]
        same = found.checksum == file.checksum
        return [] if same else [Finding("bad file", folder, f"{path}: another content than its checksum says")]

    def _compare_catalogue(self) -> None:
        catalogue = catalogue_of_archive(self._place)
        rows = catalogue.masks() if catalogue.exists() else {}
        folders = {name: folder_in(self._place, href) for name, href in rows.items()}
        for folder in sorted(self._items):
            if folders.get(self._items[folder]["id"]) != folder:
                text = f"{folder}: {CATALOGUE_FILE} does not have its masks"
                self._findings.append(Finding("not catalogued", folder, text))
        there = self._items.keys() | {each.folder for each in self._findings if each.kind in ("no item", "bad item")}
        for name, found in sorted(folders.items()):
            elsewhere = folder_below(rows[name])
            if found is None and elsewhere in self._items and self._items[elsewhere]["id"] != name:
                text = f"{elsewhere}: {CATALOGUE_FILE} has the masks of {name} outside of the archive"
                self._findings.append(Finding("not catalogued", elsewhere, text))
            elif found is None and elsewhere not in self._items:
                text = f"{name}: {CATALOGUE_FILE} has its masks outside of the archive"
                self._findings.append(Finding("no masks", name, text))
            elif found is not None and found not in there:
                text = f"{found}: {CATALOGUE_FILE} has masks of {name} there, and there are none"
                self._findings.append(Finding("no masks", found, text))

    def _made_again(self, folder: str, options: CloudMaskOptions) -> list[Finding]:
        """A product whose masks are made again."""
        try:
            item = self._items[folder]
            source = self._given.get(item["id"]) or source_of(self._place, folder, item)
            scene = replace(source, modifier=self._modifier).open()
            masks = make_masks(scene, options)
            probability = masks.probability
            made: dict[str, NDArray[np.uint8] | None] = {
                "CLP": None if probability is None else stored_probability(probability, masks.mask != NO_DATA),
                "CLM": masks.mask,
                "SHADOW": masks.shadow,
            }
            differing = [
                f"{kind} in {int((there != now).sum()) if there.shape == now.shape else now.size:,} pixels"
                for kind, file in files_of_item(self._items[folder], folder).items()
                if (now := made[kind]) is not None and not np.array_equal(there := self._pixels(folder, file), now)
            ]
        except (EOTasksError, OSError, *GDAL_ERRORS) as error:
            text = f"{folder}: cannot be made again: {message_of(error)} Or name its source: --source."
            return [Finding("other values", folder, text)]
        return [Finding("other values", folder, f"{folder}: made again {each} differ") for each in differing]

    def _pixels(self, folder: str, file: WrittenFile) -> NDArray[np.uint8]:
        path = f"{folder}/{file.name}"
        with self._place.reading(path) as there, open_raster(there, path) as dataset:
            values: NDArray[np.uint8] = dataset.read(1)
            return values


def products_of(
    source: str | os.PathLike[str] | None, settings: ArchiveSettings, modifier: Modifier | str | None
) -> dict[str, Candidate]:
    """Products of a source by name, for an archive of these settings; none without a source.

    :raises EOTasksError: the source cannot be read.
    """
    if source is None:
        return {}
    level = level_of_detector(options_of(settings))
    found = read_source(source, level, SearchRequest(), modifier=modifier)
    return {name: each.candidate for name, each in found.products.items()}


def source_of(place: Place, folder: str, item: Mapping[str, Any]) -> Candidate:
    """The product that an item of an archive says its masks are made of.

    What may be read is what a catalogue at the same place may name.

    :raises ImageryError: the item cannot be used.
    """
    row = as_row(item, f"{place}/{folder}", f"{place}/{folder}")
    mark(row, Origin.of(f"{place}/{CATALOGUE_FILE}", "catalogue"))
    return Candidate.of_item(row)


def _by_folder(place: Place) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Sizes of files by the folder of their product and by their names; and paths that lie elsewhere below masks."""
    folders: dict[str, dict[str, int]] = {}
    strange = []
    for path, size in place.files(MASKS).items():
        folder, _, name = f"{MASKS}/{path}".rpartition("/")
        if folder.count("/") == _DEPTH:
            folders.setdefault(folder, {})[name] = size
        else:
            strange.append(f"{folder}/{name}")
    return dict(sorted(folders.items())), strange

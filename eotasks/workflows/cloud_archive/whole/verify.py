"""Whether an archive is whole: files against items, items against the catalogue, a sample against its sources.

It is looked at tile by tile, and the catalogue part by part: of what was seen digests are kept, and what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.brief.summary import MaskRow
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
    settings_of_item,
)
from eotasks.workflows.cloud_archive.layout import CATALOGUE_FILE, MASKS, folder_below, folder_in
from eotasks.workflows.cloud_archive.plan import Sample
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, options_of, require_settings
from eotasks.workflows.cloud_archive.source import level_of_detector
from eotasks.workflows.cloud_archive.whole.contents import CatalogueRows, by_folder, item_in, joined
from eotasks.workflows.cloud_archive.whole.status import last_build
from eotasks.workflows.cloud_archive.windows import Names, source_windows
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

_PORTION = 64
"""Products that are looked at at a time."""


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
    return _Verifier(place, settings, checksums, modifier, source).verify(sample, seed, progress)


class _Verifier:
    def __init__(
        self,
        place: Place,
        settings: ArchiveSettings,
        checksums: bool,
        modifier: Modifier | str | None,
        source: str | os.PathLike[str] | None,
    ) -> None:
        self._source = source
        self._place, self._settings, self._checksums, self._modifier = place, settings, checksums, modifier
        self._findings: list[Finding] = []
        self._products = self._files = self._bytes = 0
        self._rows = CatalogueRows(place)
        self._seen, self._with_items = Names(), Names()
        """Folders of products; and those with an item, each alone and with the id that its item has."""

    def verify(self, sample: int, seed: int, progress: Progress | None) -> Verification:
        whole, done = Sample[str](sample, seed), 0
        with ThreadPoolExecutor(OPENERS) as pool:
            for folders in self._portions():
                looked = pool.map(lambda each, there=folders: self._look(each, there[each]), folders)
                for folder in self._note(dict(zip(folders, looked, strict=True))):
                    whole.add(folder)
                done += len(folders)
                if progress is not None:
                    progress(done, max(self._rows.products, done + 1))
        if progress is not None and done:
            progress(done, done)
        self._rows.each(self._compare_rows)
        chosen = sorted(set(whole.chosen) - {each.folder for each in self._findings})
        self._make_again(chosen)
        order = sorted(set(self._findings), key=lambda each: (each.folder, each.kind, each.text))
        names = tuple(folder.rpartition("/")[2] for folder in chosen)
        return Verification(self._place, self._products, self._files, self._bytes, names, tuple(order))

    def _portions(self) -> Iterator[dict[str, dict[str, int]]]:
        """Sizes of files by the folder of their product and by their names, of some products after the others."""
        for tile in self._place.names(MASKS):
            folders, strange = by_folder(self._place, f"{MASKS}/{tile}")
            self._findings += [Finding("unknown file", path, f"{path}: nothing of an archive") for path in strange]
            names = list(folders)
            for start in range(0, len(names), _PORTION):
                yield {name: folders[name] for name in names[start : start + _PORTION]}

    def _note(self, looked: Mapping[str, _Look]) -> list[str]:
        """Takes what was seen of some products; gives the folders of those that nothing is wrong with so far."""
        items = {folder: str(look.item["id"]) for folder, look in looked.items() if look.item is not None}
        catalogued = self._rows.having(items)
        whole = []
        for folder, look in looked.items():
            self._findings += look.findings
            self._files += len(look.named)
            self._bytes += sum(each.size for each in look.named.values())
            if folder in items and folder not in catalogued:
                text = f"{folder}: {CATALOGUE_FILE} does not have its masks"
                self._findings.append(Finding("not catalogued", folder, text))
            elif folder in items and not any(each.folder == folder for each in look.findings):
                whole.append(folder)
        self._seen.add(looked)
        self._with_items.add([*items, *(joined(folder, name) for folder, name in items.items())])
        self._products += len(items)
        return whole

    def _look(self, folder: str, sizes: Mapping[str, int]) -> _Look:
        """One product."""
        files = ArchivedFiles(self._place.child(folder), folder.rpartition("/")[2])
        if files.item not in sizes:
            text = f"{folder}: {', '.join(sorted(sizes))} without an item"
            return _Look(None, {}, [Finding("no item", folder, text)])
        try:
            item, named = item_in(self._place, folder)
        except EOTasksError as error:
            return _Look(None, {}, [Finding("bad item", folder, message_of(error))])
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
        return _Look(item, named, findings)

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

    def _compare_rows(self, rows: Sequence[MaskRow]) -> None:
        """Rows of the catalogue whose masks are not there, or outside of the archive."""
        own = {row.id: folder_in(self._place, row.href) for row in rows}
        below = {row.id: folder_below(row.href) for row in rows}
        seen = self._seen.those({each for each in own.values() if each is not None})
        elsewhere = {name: each for name, each in below.items() if each is not None and own[name] is None}
        pairs = {joined(folder, name) for name, folder in elsewhere.items()}
        there = self._with_items.those({*elsewhere.values(), *pairs})
        for name, found in own.items():
            if found is not None and found not in seen:
                text = f"{found}: {CATALOGUE_FILE} has masks of {name} there, and there are none"
                self._findings.append(Finding("no masks", found, text))
            elif found is None and elsewhere.get(name) not in there:
                text = f"{name}: {CATALOGUE_FILE} has its masks outside of the archive"
                self._findings.append(Finding("no masks", name, text))
            elif found is None and joined(elsewhere[name], name) not in there:
                text = f"{elsewhere[name]}: {CATALOGUE_FILE} has the masks of {name} outside of the archive"
                self._findings.append(Finding("not catalogued", elsewhere[name], text))

    def _make_again(self, folders: Sequence[str]) -> None:
        """Makes the masks of a sample again."""
        if not folders:
            return
        options = options_of(self._settings)
        names = {folder.rpartition("/")[2] for folder in folders}
        given = products_of(self._source, self._settings, self._modifier, names)
        self._findings += [each for folder in folders for each in self._made_again(folder, options, given)]

    def _made_again(self, folder: str, options: CloudMaskOptions, given: Mapping[str, Candidate]) -> list[Finding]:
        """A product whose masks are made again."""
        try:
            item, files = item_in(self._place, folder)
            source = given.get(item["id"]) or source_of(self._place, folder, item)
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
                for kind, file in files.items()
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


@dataclass(frozen=True)
class _Look:
    """What was seen of a product."""

    item: dict[str, Any] | None
    """None where there is none that can be read."""

    named: Mapping[str, WrittenFile]
    """Files that it names."""

    findings: list[Finding]


def products_of(
    source: str | os.PathLike[str] | None,
    settings: ArchiveSettings,
    modifier: Modifier | str | None,
    names: Collection[str],
) -> dict[str, Candidate]:
    """Products of some names of a source, for an archive of these settings; none without a source.

    :raises EOTasksError: the source cannot be read.
    """
    if source is None or not names:
        return {}
    level = level_of_detector(options_of(settings))
    found: dict[str, Candidate] = {}
    for window in source_windows(source, level, SearchRequest(), modifier=modifier):
        found |= {name: each.candidate for name, each in window.products.items() if name in names}
    return found


def source_of(place: Place, folder: str, item: Mapping[str, Any]) -> Candidate:
    """The product that an item of an archive says its masks are made of.

    What may be read is what a catalogue at the same place may name.

    :raises ImageryError: the item cannot be used.
    """
    row = as_row(item, f"{place}/{folder}", f"{place}/{folder}")
    mark(row, Origin.of(f"{place}/{CATALOGUE_FILE}", "catalogue"))
    return Candidate.of_item(row)

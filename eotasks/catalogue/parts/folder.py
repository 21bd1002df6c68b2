"""The files of a catalogue in parts: read here and on S3, written under names of their own, listed by one exchange."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.foreign import PlacesReader
from eotasks.catalogue.packages import package
from eotasks.catalogue.parts.ids import digests_of, encode_digests, parse_digests
from eotasks.catalogue.parts.manifest import MANIFEST, Manifest, Part, boxes_around, parse_manifest
from eotasks.catalogue.table import in_our_columns, pick_rows, sorted_table, to_parquet
from eotasks.errors import StorageError
from eotasks.limits import CATALOGUE_BYTES
from eotasks.parquet_pages import footer
from eotasks.reading import check_regular
from eotasks.storage.place import Place
from eotasks.storage.temporary import OwnFolder

if TYPE_CHECKING:
    import pyarrow as pa

LOGGER = logging.getLogger(__name__)

ROWS_OF_PART = 32_768
"""Items of a part that no other is added to: a search reads those of its time, which are few and small."""

ROWS_OF_GROUP = 2_048
"""Of a row group: what a search reads whole for one item."""

_READERS = 8

_LOOKS = 5
"""How often a search begins anew where a file that it reads has gone."""


class PartsFolder:
    """The folder of a catalogue. May be used by several threads.

    :param place: The folder, or the prefix of a bucket.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._parsed: tuple[str, Manifest] | None = None
        self._facts: tuple[int, int, int] | None = None
        self._digests: dict[str, NDArray[np.uint64]] = {}
        self._copies: OwnFolder | None = None
        self._lock = threading.Lock()

    def manifest(self) -> tuple[Manifest, str] | None:
        """What the catalogue is now, and the tag of that; None where there is none.

        :raises StorageError: when it cannot be read.
        :raises ImageryError: when it is damaged.
        """
        found = self.place.read_if_there(MANIFEST)
        if found is None:
            return None
        data, tag = found
        known = self._parsed
        if known is None or known[0] != tag:
            known = (tag, parse_manifest(data, str(self.place)))
            self._parsed = known
        return known[1], tag

    def current(self) -> Manifest | None:
        """What the catalogue is now, without a look at a file of this machine that has not changed."""
        if not self.place.is_local:
            found = self.manifest()
            return None if found is None else found[0]
        try:
            facts = self.place.local_path(MANIFEST).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"{self.place}/{MANIFEST} cannot be read ({error.strerror}).") from error
        version = facts.st_mtime_ns, facts.st_size, facts.st_ino
        if self._parsed is None or self._facts != version:
            if self.manifest() is None:
                return None
            self._facts = version
        return self._parsed[1] if self._parsed is not None else None

    def paths(self, parts: Sequence[Part]) -> list[str]:
        """Files of this machine with the content of parts.

        :raises StorageError: when one is not there, or larger than it may be.
        """
        if self.place.is_local:
            return [self._local(part) for part in parts]
        with self._lock:
            if self._copies is None:
                self._copies = OwnFolder()
            folder = self._copies.path
            absent = [part for part in parts if not (folder / part.file).exists()]
            with ThreadPoolExecutor(_READERS) as pool:
                list(pool.map(lambda part: self._download(part, folder), absent))
        return [str(folder / part.file) for part in parts]

    def _local(self, part: Part) -> str:
        path = self.place.local_path(part.file)
        try:
            check_regular(path, CATALOGUE_BYTES)
        except OSError as error:
            raise StorageError(f"{path} cannot be read ({error.strerror}): the catalogue is damaged.") from error
        return str(path)

    def _download(self, part: Part, folder: Path) -> None:
        size = self.place.size(part.file)
        if size is None:
            raise StorageError(f"{self.place}/{part.file} is not there: the catalogue is damaged.")
        if size > CATALOGUE_BYTES.value:
            raise StorageError(f"{self.place}/{part.file}: {CATALOGUE_BYTES.excess(size)}. It is not read.")
        self.place.download(part.file, folder / f"{part.file}.new")
        (folder / f"{part.file}.new").replace(folder / part.file)

    def table(self, part: Part, *, columns: Sequence[str] | None = None) -> pa.Table:
        """All items of a part.

        :param columns: Only these; None: all, as this version has them.
        """
        path = self.paths([part])[0]
        table = pick_rows(path, footer(path), path, columns=columns)
        return in_our_columns(table, path) if columns is None else table

    def digests(self, parts: Sequence[Part]) -> list[NDArray[np.uint64]]:
        """Digests of the ids of parts."""
        with ThreadPoolExecutor(_READERS) as pool:
            absent = [part for part in parts if part.name not in self._digests]
            self._digests |= dict(
                zip([part.name for part in absent], pool.map(self._read_digests, absent), strict=True)
            )
        return [self._digests[part.name] for part in parts]

    def _read_digests(self, part: Part) -> NDArray[np.uint64]:
        found = self.place.read_if_there(part.ids)
        digests = None if found is None else parse_digests(found[0], part.rows)
        if digests is None:
            LOGGER.info("%s/%s is absent or damaged: ids are read of the part", self.place, part.ids)
            digests = digests_of(self.table(part, columns=["id"]).column("id").to_pylist())
        return digests

    def write(self, table: pa.Table, base: str | None) -> Part:
        """Writes a part; it does not count before a manifest has it.

        :param table: Items, not empty.
        :param base: Tag of the manifest that the next one will replace; with the content it makes the name.
        """
        table = sorted_table(table)
        data = to_parquet(table, rows_of_group=ROWS_OF_GROUP)
        name = hashlib.sha256(f"{base}\n{hashlib.sha256(data).hexdigest()}".encode()).hexdigest()[:16]
        times = package("pyarrow.compute").min_max(table.column("datetime").cast("int64")).as_py()
        reader = PlacesReader(str(self.place))
        for batch in table.select(["geometry", "bbox"]).to_batches():
            reader.add(batch)
        boxes = boxes_around(reader.places().bounds)
        part = Part(f"part-{name}", table.num_rows, len(data), times["min"], times["max"], boxes)
        digests = digests_of(table.column("id").to_pylist())
        self.place.write_bytes(part.ids, encode_digests(digests))
        self.place.write_bytes(part.file, data)
        self._digests[part.name] = digests
        return part

    def write_all(self, table: pa.Table, base: str | None) -> list[Part]:
        """Writes items as parts of usual size, one after the other in time."""
        rows = table.num_rows
        if not rows:
            return []
        if rows <= ROWS_OF_PART * 3 // 2:
            return [self.write(table, base)]
        times = table.column("datetime").cast("int64").to_numpy()
        order = np.argsort(times, kind="stable")
        return [self.write(table.take(rows), base) for rows in np.array_split(order, -(-rows // ROWS_OF_PART))]

    def exchange(self, manifest: Manifest, tag: str | None) -> bool:
        """Makes a manifest the present one; whether no other writer was faster.

        :param tag: Of the one that it was made of; None where there was none.
        :raises StorageError: when it cannot be written.
        """
        try:
            self.place.write_if(MANIFEST, manifest.encode(), tag)
        except StorageError:
            found = self.place.read_if_there(MANIFEST)
            if found is None or found[1] == tag:
                raise
            if found[0] == manifest.encode():  # it was written, and the answer was lost
                return True
            LOGGER.info("%s was changed by another in the meantime", self.place)
            return False
        return True

    def discard(self, parts: Collection[Part]) -> None:
        """Removes files that were written for a manifest which another writer was faster than."""
        found = self.manifest()
        there = frozenset[str]() if found is None else found[0].names
        self.remove([each.name for each in parts if each.name not in there])
        self.forget([each for each in parts if each.name not in there])

    def forget(self, parts: Collection[Part]) -> None:
        """Drops what is kept here of parts that the catalogue has no more."""
        for part in parts:
            self._digests.pop(part.name, None)
            if self._copies is not None:
                (self._copies.path / part.file).unlink(missing_ok=True)

    def remove(self, names: Collection[str]) -> None:
        """Removes files of parts, by the names of these."""
        files = [file for name in names for file in (f"{name}.parquet", f"_ids-{name.removeprefix('part-')}.bin")]
        if files:
            self.place.remove_files(files)

    def once_current(self, work: Callable[[Manifest], Any], manifest: Manifest) -> Any:
        """What some work on the present parts gives; it is done again where they were exchanged meanwhile.

        :param manifest: Of :meth:`current`.
        :raises StorageError: when files of the catalogue cannot be read.
        """
        for left in reversed(range(_LOOKS)):
            try:
                return work(manifest)
            except (StorageError, OSError):
                found = self.manifest()
                if not left or found is None or found[0].generation == manifest.generation:
                    raise
                manifest = found[0]
        raise AssertionError("the loop returns or raises")

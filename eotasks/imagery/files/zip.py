"""Products in a zip, on disk, S3 or a web server. Nothing is unpacked, and nothing of an archive is believed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO

from eotasks.errors import EOTasksError, ImageryError, reason_of
from eotasks.imagery.files import http
from eotasks.imagery.files.folder import DiskBytes
from eotasks.imagery.files.gdal import RangedFile, RasterSource, Stream, gdal_path
from eotasks.imagery.files.location import Version, check_size, checked_name
from eotasks.imagery.files.origin import UNKNOWN, Origin
from eotasks.imagery.files.protocol import Fingerprint, RangedBytes
from eotasks.imagery.files.remote import BucketRaster, RangedRaster, WebRaster
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from eotasks.reading import ZIP_DAMAGES, check_packing, open_regular
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3
from eotasks.text import redacted

_OF_MACS = "__MACOSX/"
"""What the archiver of macOS puts beside the files: their icons and the like."""

_HEADER = struct.Struct("<26x2H")
"""Before each file of an archive: the last two numbers are lengths of what follows before the file's bytes."""

_BUFFER = 256 * 1024
"""Bytes that are fetched at least when an archive is far away."""


_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip: of its first file, or of one without files."""


def is_zip(path: str | Path) -> bool:
    """Whether a file on disk is a zip by its first bytes, whatever its name; False for what cannot be read."""
    try:
        with open_regular(path) as stream:
            return begins_as_zip(stream.read(4))
    except OSError:
        return False


def begins_as_zip(content: bytes) -> bool:
    """Whether the first bytes of a file are those of a zip."""
    return content[:4] in _MAGIC


@dataclass(frozen=True)
class ZipFiles:
    """Files of a zip; names are below its one top folder, where it has one, or below a folder that is given.

    :raises ImageryError: when asked for names or content, and the archive is damaged, or holds what no product does:
        names that lead out of it, links, one name twice.
    """

    address: str = field(repr=False)

    origin: Origin = UNKNOWN
    """Which servers of the user's network may be asked."""

    folder: str | None = None
    """Inside of the archive; None for the one top folder, where all are in one."""

    @property
    def location(self) -> str:
        """The archive, without user and signature, and the folder in it that was given."""
        return redacted(self.address) + (f"/{self.folder}" if self.folder else "")

    @cached_property
    def top(self) -> str:
        """Name of the folder that all files are in, "" when there is none."""
        if self.folder is not None:
            return self.folder
        tops = {name.partition("/")[0] for name in self._all}
        return tops.pop() if len(tops) == 1 and all("/" in name for name in self._all) else ""

    @cached_property
    def _all(self) -> dict[str, zipfile.ZipInfo]:
        """All files, by their names in the archive."""
        with self._archive() as archive:
            entries = archive.infolist()
        if len(entries) > PRODUCT_FILES.value:
            raise ImageryError(f"{self.location}: {PRODUCT_FILES.excess()} in it. Give the zip of one product.")
        found: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            # The name as it stands in the archive: zipfile cuts it at a NUL and changes separators.
            name = checked_name(entry.orig_filename.rstrip("/"), self.location)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise ImageryError(f"{self.location}: {name} is a link, which no product holds. It is not read.")
            if entry.is_dir() or name.startswith(_OF_MACS):
                continue
            if name in found:
                raise ImageryError(f"{self.location}: holds {name} twice. Fetch the original again.")
            found[name] = entry
        return found

    def names(self) -> list[str]:
        """Sorted names of all files, below the top folder."""
        start = f"{self.top}/" if self.top else ""
        return sorted(name.removeprefix(start) for name in self._all if name.startswith(start))

    def below(self, folder: str) -> ZipFiles:
        """The files of a folder among them."""
        return replace(self, folder=f"{self.top}/{folder}" if self.top else folder)

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it is absent, damaged, or too large.
        """
        inside = self._inside(name)
        size = self._all[inside].file_size
        check_size(name, size, self.location)
        with self._archive() as archive:
            try:
                with archive.open(inside) as stream:
                    content = stream.read(size + 1)
            except EOTasksError:  # of S3 or a web server
                raise
            except (*ZIP_DAMAGES, OSError) as error:
                raise ImageryError(
                    f"{self.location}: {name[-200:]} is damaged ({reason_of(error)}). Fetch it again."
                ) from error
        if len(content) != size:
            raise ImageryError(f"{self.location}: {name} is not as long as the archive says. Fetch it again.")
        return content

    def raster_path(self, name: str) -> str:
        """The file for GDAL, which reads inside of archives."""
        path = gdal_path(self.address if is_remote(self.address) else str(Path(self.address).absolute()))
        return f"/vsizip/{{{path}}}/{self._inside(name)}"

    def is_far(self, name: str) -> bool:  # noqa: ARG002 - all files lie where the archive does
        """Whether the archive is on a server."""
        return is_remote(self.address)

    def raster_source(self, name: str) -> RasterSource | None:
        """The file of an archive that is far away."""
        if not is_remote(self.address):
            return None
        entry = self._all[self._inside(name)]
        if entry.compress_type == zipfile.ZIP_STORED:
            return _Stored(self._raster(), entry)
        return _Packed(self, entry)

    def raster_bytes(self, name: str) -> RangedBytes | None:
        """A file that lies in the archive as it is."""
        entry = self._all[self._inside(name)]
        if entry.compress_type != zipfile.ZIP_STORED:
            return None
        if is_remote(self.address):
            return _Stored(self._raster(), entry)
        whole = DiskBytes(self.address)
        return DiskBytes(self.address, _start(whole.exactly, entry), entry.file_size)

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and checksum: what is inside says more than the time of the archive."""
        entry = self._all[self._inside(name)]
        return entry.file_size, entry.CRC

    @contextmanager
    def unpacking(self, entry: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        """A file of the archive, unpacked as far as it is read.

        :raises ImageryError: when it is damaged or cannot be fetched.
        """
        with self._archive() as archive, archive.open(entry) as stream:
            yield stream

    def _inside(self, name: str) -> str:
        inside = f"{self.top}/{name}" if self.top else name
        if inside not in self._all:
            raise ImageryError(f"{self.location}: {name} is not in it. Fetch it again.")
        return inside

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with self._stream() as stream, self._opened(stream) as archive:
                yield archive
        except EOTasksError:  # of S3 or a web server
            raise
        except FileNotFoundError as error:
            raise ImageryError(f"{self.location}: nothing there. Check the path.") from error
        except OSError as error:
            raise ImageryError(f"{self.location}: cannot be read ({error.strerror}). Check its rights.") from error

    def _opened(self, stream: IO[bytes]) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(stream)
        except EOTasksError:  # of S3 or a web server
            raise
        except ZIP_DAMAGES as error:
            if isinstance(error.__context__, EOTasksError):  # the same: zipfile takes any OSError for damage
                raise error.__context__  # noqa: B904  # it is the cause, not the consequence
            raise ImageryError(f"{self.location}: cut off or no zip ({reason_of(error)}). Fetch it again.") from error
        try:
            check_packing(archive)
        except ValueError as error:
            raise ImageryError(f"{self.location}: {error}.") from error
        return archive

    def _stream(self) -> IO[bytes]:
        if not is_remote(self.address):
            return _Archive(open_regular(self.address).detach(), io.DEFAULT_BUFFER_SIZE, self.location)
        return _Archive(RangedFile(self._facts.size, self._fetch), _BUFFER, self.location)

    @property
    def version(self) -> Version:
        """Of an archive far away, as it was when it was first looked at."""
        return Version(self._facts.size, self._facts.tag)

    @cached_property
    def _facts(self) -> s3.ObjectFacts | http.WebFacts:
        """The archive far away as it was when it was first looked at: its list of files is of that version alone."""
        if is_s3(self.address):
            return s3.object_facts(self.address)
        found = http.facts_of(self.address, self._internal)
        if found is None:
            raise ImageryError(f"{self.location}: nothing there. Check the address.")
        return found

    def _fetch(self, start: int, stop: int) -> bytes:
        facts = self._facts
        if isinstance(facts, s3.ObjectFacts):
            return s3.read_range(self.address, start, stop, tag=facts.tag)
        return http.read_range(self.address, start, stop, self._internal, facts=facts)

    def _raster(self) -> RangedRaster:
        """The archive as blocks that are kept."""
        facts = self._facts
        if isinstance(facts, s3.ObjectFacts):
            return BucketRaster(self.address, facts)
        return WebRaster(self.address, self._internal, facts=facts)

    @property
    def _internal(self) -> frozenset[str]:
        return self.origin.internal


class _Archive(io.BufferedReader):
    """An archive of which little is read at a time: its list of files is read at once, however long it says it is."""

    def __init__(self, raw: io.RawIOBase, buffer: int, where: str) -> None:
        super().__init__(raw, buffer)
        self._where = where

    def read(self, size: int | None = -1) -> bytes:
        """Bytes of it."""
        most = METADATA_BYTES.value
        if size is not None and size > most:
            raise ImageryError(f"{self._where}: {METADATA_BYTES.excess(size)} in its list of files. It is not read.")
        return super().read(most if size is None or size < 0 else size)


class _Stored(RasterSource):
    """A raster that lies in an archive far away as it is."""

    far = True

    def __init__(self, archive: RangedRaster, entry: zipfile.ZipInfo) -> None:
        self._archive, self._entry = archive, entry

    def length(self) -> int:
        """Bytes of it."""
        return self._size()

    def version(self) -> Version:
        """That of the archive, and where it lies in it."""
        return self._archive.version()._replace(start=self._start)

    def front(self, start: int, stop: int) -> bytes:
        """Bytes near its start, in blocks that are kept."""
        return self._archive.fetch(self._start + start, self._start + min(stop, self._size()))

    def exactly(self, start: int, stop: int) -> bytes:
        """Bytes that are asked for once."""
        return self._archive.exactly(self._start + start, self._start + stop)

    def _size(self) -> int:
        return self._entry.file_size

    @cached_property
    def _start(self) -> int:
        return _start(self._archive.fetch, self._entry)

    def _opened(self) -> RangedFile:
        return RangedFile(self._size(), self.front)


def _start(fetch: Callable[[int, int], bytes], entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a file begin: behind a header of its own, whose length differs from that in the archive's
    list.
    """
    head = entry.header_offset
    header = fetch(head, head + _HEADER.size)
    names = sum(_HEADER.unpack(header)) if len(header) == _HEADER.size else 0
    return head + _HEADER.size + names


class _Packed(RasterSource):
    """A raster in an archive far away that is unpacked."""

    def __init__(self, files: ZipFiles, entry: zipfile.ZipInfo) -> None:
        self._files, self._entry = files, entry

    def version(self) -> Version:
        """That of the archive, and where it lies in it."""
        return self._files.version._replace(start=self._entry.header_offset)

    def _size(self) -> int:
        return self._entry.file_size

    def _opened(self) -> AbstractContextManager[Stream]:
        return self._files.unpacking(self._entry)

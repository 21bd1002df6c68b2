"""Products in a zip, on disk, S3 or a web server. Nothing is unpacked, and nothing of an archive is believed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.bucket import object_fingerprint
from eotasks.imagery.files.gdal import gdal_path, gdal_settings
from eotasks.imagery.files.location import check_size, checked_name
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.limits import PRODUCT_FILES
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3
from eotasks.text import reason_of, redacted

_DAMAGES = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError, IndexError)
"""What zipfile raises over bytes that are no zip, or one of a kind that it does not know (a NotImplementedError)."""

_OF_MACS = "__MACOSX/"
"""What the archiver of macOS puts beside the files: their icons and the like."""

_BUFFER = 256 * 1024
"""Bytes that are fetched at least when an archive is far away."""


@dataclass(frozen=True)
class ZipFiles:
    """Files of a zip; names are below its one top folder, where it has one.

    :raises ImageryError: when asked for names or content, and the archive is damaged, or holds what no product does:
        names that lead out of it, links, one name twice.
    """

    address: str = field(repr=False)

    @property
    def location(self) -> str:
        """The archive, without user and signature."""
        return redacted(self.address)

    @cached_property
    def top(self) -> str:
        """Name of the one folder that all files are in, "" when there is none."""
        tops = {name.partition("/")[0] for name in self._all}
        return tops.pop() if len(tops) == 1 and all("/" in name for name in self._all) else ""

    @cached_property
    def _all(self) -> dict[str, tuple[int, int]]:
        """Size and checksum of all files, by their names in the archive."""
        with self._archive() as archive:
            entries = archive.infolist()
        if len(entries) > PRODUCT_FILES.value:
            raise ImageryError(f"{self.location}: {PRODUCT_FILES.excess()} in it. Give the zip of one product.")
        found: dict[str, tuple[int, int]] = {}
        for entry in entries:
            # The name as it stands in the archive: zipfile cuts it at a NUL and changes separators.
            name = checked_name(entry.orig_filename.rstrip("/"), self.location)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise ImageryError(f"{self.location}: {name} is a link, which no product holds. It is not read.")
            if entry.is_dir() or name.startswith(_OF_MACS):
                continue
            if name in found:
                raise ImageryError(f"{self.location}: holds {name} twice. Fetch the original again.")
            found[name] = entry.file_size, entry.CRC
        return found

    def names(self) -> list[str]:
        """Sorted names of all files, below the top folder."""
        start = f"{self.top}/" if self.top else ""
        return sorted(name.removeprefix(start) for name in self._all)

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it is absent, damaged, or too large.
        """
        inside = self._inside(name)
        check_size(name, self._all[inside][0], self.location)
        with self._archive() as archive:
            try:
                with archive.open(inside) as stream:
                    content = stream.read(self._all[inside][0] + 1)
            except EOTasksError:  # of S3 or a web server
                raise
            except (*_DAMAGES, OSError) as error:
                raise ImageryError(
                    f"{self.location}: {name[-200:]} is damaged ({reason_of(error)}). Fetch it again."
                ) from error
        if len(content) != self._all[inside][0]:
            raise ImageryError(f"{self.location}: {name} is not as long as the archive says. Fetch it again.")
        return content

    def raster_path(self, name: str) -> str:
        """The file for GDAL, which reads inside of archives."""
        path = gdal_path(self.address if is_remote(self.address) else str(Path(self.address).absolute()))
        return f"/vsizip/{{{path}}}/{self._inside(name)}"

    def reading(self) -> AbstractContextManager[object]:
        """Credentials or timeouts for GDAL where the archive is far away."""
        return gdal_settings(self.address)

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and checksum: what is inside says more than the time of the archive."""
        return self._all[self._inside(name)]

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
            return zipfile.ZipFile(stream)
        except EOTasksError:  # of S3 or a web server
            raise
        except _DAMAGES as error:
            if isinstance(error.__context__, EOTasksError):  # the same: zipfile takes any OSError for damage
                raise error.__context__  # noqa: B904  # it is the cause, not the consequence
            raise ImageryError(f"{self.location}: cut off or no zip ({error}). Fetch it again.") from error

    def _stream(self) -> IO[bytes]:
        if not is_remote(self.address):
            return Path(self.address).open("rb")
        return io.BufferedReader(_RemoteFile(self.address), _BUFFER)


class _RemoteFile(io.RawIOBase):
    """A file far away that is read by ranges."""

    def __init__(self, address: str) -> None:
        self._address = address
        size = object_fingerprint(address)[0] if is_s3(address) else http.size_of(address)
        if size is None:
            raise ImageryError(f"{redacted(address)}: nothing there. Check the address.")
        self._size, self._at = size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(22, "before the start of the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fetch the next bytes."""
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self._size)
        if stop <= self._at:
            return 0
        content = self._fetch(self._at, stop)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _fetch(self, start: int, stop: int) -> bytes:
        read = s3.read_range if is_s3(self._address) else http.read_range
        return read(self._address, start, stop)

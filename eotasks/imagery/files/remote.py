"""Files far away as file objects, read by ranges: archives on S3 and the web, and rasters of the web for GDAL.

GDAL does not open addresses of the web itself: it would follow redirects anywhere, and ask for a name again that was
checked. It reads through a `RasterSource`, as rasterio's ``opener``.
"""

from __future__ import annotations

import io
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any

from rasterio.abc import MultiByteRangeResourceContainer

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files import http
from eotasks.text import redacted

BLOCK = 1 << 16
"""Bytes of what is fetched at least of a raster, and kept."""

KEPT_BLOCKS = 512
"""Blocks of all rasters that are kept: headers, mostly, which are read at each opening."""


class RangedFile(io.RawIOBase):
    """A file of which parts can be fetched.

    :param size: Bytes of the file.
    :param fetch: Gives the bytes from a start to a stop.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch, self._at = size, fetch, 0

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
        content = self._next(len(view))
        view[: len(content)] = content
        return len(content)

    def _next(self, count: int) -> bytes:
        stop = min(self._at + count, self._size)
        if stop <= self._at:
            return b""
        content = self._fetch(self._at, stop)
        self._at += len(content)
        return content


Stream = IO[bytes] | RangedFile


class RasterSource(MultiByteRangeResourceContainer):  # type: ignore[misc]  # rasterio has no types
    """What rasterio opens a raster by that GDAL has no path for: ``rasterio.open(source.name, opener=source)``."""

    name = "raster"
    failure: EOTasksError | None = None
    """What went wrong first: GDAL hears that a read fails, not why."""

    def open(self, path: str, *_: str, **__: str) -> _Quiet:
        """The file, for reading; what else rasterio gives is the mode."""
        self.size(path)
        return _Quiet(self, self._opened())

    def isfile(self, path: str) -> bool:
        """Whether a path is the file."""
        return path == self.name

    def isdir(self, _: str) -> bool:
        """It has no folders."""
        return False

    def ls(self, _: str) -> list[str]:
        """Nothing lies beside it."""
        return []

    def mtime(self, _: str) -> int:
        """Nobody knows."""
        return 0

    def rm(self, _: str) -> None:
        """Is not done."""
        raise OSError(30, "read only")

    def size(self, path: str) -> int:
        """Bytes of the file."""
        if path != self.name or self.failure is not None:  # rasterio asks for one that is not there
            raise FileNotFoundError(path)
        try:
            return self._size()
        except EOTasksError as error:
            self.failure = self.failure or error
            raise FileNotFoundError(path) from None

    def _size(self) -> int:
        raise NotImplementedError

    def _opened(self) -> AbstractContextManager[Stream]:
        raise NotImplementedError


class WebRaster(RasterSource):
    """A raster at an address of the web.

    :param url: The address.
    :param internal: Servers of the user's network that may be asked.
    """

    def __init__(self, url: str, internal: frozenset[str]) -> None:
        self._url, self._internal = url, internal

    def _size(self) -> int:
        return _BLOCKS.of(self._url, self._internal, [0])[1]

    def _opened(self) -> AbstractContextManager[Stream]:
        return RangedFile(self._size(), self._fetch)

    def _fetch(self, start: int, stop: int) -> bytes:
        first = start // BLOCK
        found, _ = _BLOCKS.of(self._url, self._internal, range(first, (stop - 1) // BLOCK + 1))
        return b"".join(found)[start - first * BLOCK : stop - first * BLOCK]


class _Quiet:
    """A file as rasterio reads one: what fails reads as nothing, as GDAL expects, and the source keeps the reason."""

    def __init__(self, source: RasterSource, opened: AbstractContextManager[Stream]) -> None:
        self._source, self._opened = source, opened

    def __enter__(self) -> _Quiet:
        try:
            self._stream = self._opened.__enter__()
        except EOTasksError as error:
            self._source.failure = self._source.failure or error
            raise FileNotFoundError(self._source.name) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.__exit__(None, None, None)

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        try:
            return self._stream.read(count) or b""
        except EOTasksError as error:
            self._source.failure = self._source.failure or error
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            self._source.failure = self._source.failure or ImageryError(f"damaged ({error})")
        return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._stream.tell()

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Several parts, as the tiles under a window."""
        found = []
        for offset, size in zip(offsets, sizes, strict=True):
            self.seek(offset)
            found.append(self.read(size))
        return found


class _Blocks:
    """The latest blocks of rasters of the web."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, frozenset[str], int], tuple[bytes, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, url: str, internal: frozenset[str], wanted: Iterable[int]) -> tuple[list[bytes], int]:
        """Some neighbouring blocks of a file, and the bytes of all of it.

        :raises ImageryError: when they cannot be fetched, or the file is another one than before.
        """
        numbers = list(wanted)
        with self._lock:
            found = {number: self._kept.get((url, internal, number)) for number in numbers}
        missing = [number for number, block in found.items() if block is None]
        if missing:
            start, stop = missing[0] * BLOCK, (missing[-1] + 1) * BLOCK
            content, size = http.read_part(url, start, stop, internal)
            if size is None:
                raise ImageryError(f"{redacted(url)}: the server does not say its size. Download the product first.")
            if len(content) != min(stop, size) - start:
                raise ImageryError(
                    f"{redacted(url)}: broke off after {len(content)} of {stop - start} bytes. Try again."
                )
            for number in range(missing[0], missing[-1] + 1):
                at = number * BLOCK - start
                found[number] = content[at : at + BLOCK], size
                self._keep((url, internal, number), (content[at : at + BLOCK], size))
        blocks = [block for number in numbers if (block := found[number]) is not None]
        if len({size for _, size in blocks}) > 1:
            self._forget(url)
            raise ImageryError(f"{redacted(url)}: changed while it was read. Read it again.")
        return [content for content, _ in blocks], blocks[0][1]

    def _keep(self, key: tuple[str, frozenset[str], int], block: tuple[bytes, int]) -> None:
        with self._lock:
            self._kept[key] = block
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_BLOCKS:
                self._kept.popitem(last=False)

    def _forget(self, url: str) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == url]:
                del self._kept[key]


_BLOCKS = _Blocks()

"""What GDAL is told of a file that others gave: its path, its only driver, and that nothing beside it has a say.

GDAL opens nothing far away itself: it would follow redirects anywhere, ask for a name again that was checked, and take
gigabytes for an answer of some bytes. It reads through a `RasterSource`, as rasterio's ``opener``.
"""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import PurePath
from typing import IO, Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError, RasterioIOError

from eotasks.errors import EOTasksError, ImageryError, reason_of
from eotasks.geometry.descriptions import check_description
from eotasks.imagery.beside import LISTING, check_beside
from eotasks.imagery.ending import in_gdal, is_ending
from eotasks.imagery.files.location import Version
from eotasks.models.rasters import block_excess
from eotasks.reading import ZIP_DAMAGES, check_regular
from eotasks.storage.location import is_s3

SETTINGS: Mapping[str, str] = {
    # With more threads GDAL's JP2 driver decodes ahead and drops the errors: a truncated file reads as zeros.
    "GDAL_NUM_THREADS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
}
"""Of GDAL while a file of a product is open: no sibling file has a say."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError)
"""What rasterio raises: the second one by some of its calls, as GDAL has it, which is none of its own kind; the last
over names and tags that are no text."""

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".jp2": "JP2OpenJPEG", ".png": "PNG", ".img": "HFA", ".vrt": "VRT"}
_PLAIN = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "HFA", "ENVI", "EHdr", "AAIGrid", "SRTMHGT", "DTED")
"""Drivers of files that name no others: GDAL has a hundred and fifty, and goes by the content."""


def open_by_name(path: object, name: object = None) -> rasterio.DatasetReader:
    """Open a raster by the only driver that its name says; where that says none, by those of plain files.

    What names other files (``.vrt``) is opened by that name alone: who gives it so knows what it is.

    :param name: What it is called where it was copied from; None for the path's own name.
    :raises RasterioError: when it is damaged, or of another format.
    """
    driver = _driver_of(path, name)
    if driver is not None:
        return rasterio.open(path, driver=driver)
    for plain in _PLAIN:
        with suppress(RasterioError):
            return rasterio.open(path, driver=plain)
    raise RasterioIOError(f"it is of none of the formats {', '.join(_PLAIN)}")


def _driver_of(path: object, name: object) -> str | None:
    return _DRIVERS.get(PurePath(str(path if name is None else name)).suffix.lower())


def check_overviews(source: rasterio.DatasetReader, where: str) -> None:
    """Refuse a raster whose metadata names another file as its overviews: GDAL would open it, whatever and wherever.

    To be asked before anything of overviews is: their count, a level, a read at lower resolution.

    :param where: The file, for the message.
    :raises ImageryError: when it does.
    """
    if source.tags(ns="OVERVIEWS"):
        raise ImageryError(f"{where}: says that its overviews lie in another file. It is not read: fetch it again.")


def check_system(source: rasterio.DatasetReader, where: str) -> None:
    """Refuse a raster whose coordinate system names other files: to bring it to another one, PROJ would open them.

    :param where: The file, for the message.
    :raises ImageryError: when it does.
    """
    if source.crs is not None:
        try:
            check_description(source.crs.to_wkt())
        except (ValueError, RasterioError) as error:
            raise ImageryError(f"{where}: {reason_of(error)}.") from error


@contextmanager
def open_raster(path: object, where: str, *, name: object = None) -> Iterator[rasterio.DatasetReader]:
    """A raster on this machine that is no file of a product: a label, a map, a scene to evaluate.

    :param path: A path, or a ``/vsi`` path that the user gave.
    :param where: The raster, for messages.
    :param name: What it is called where it was copied from; None for the path's own name.
    :raises ImageryError: when its overviews lie in another file, or a block of it has more pixels than any.
    :raises OSError: when it is no regular file.
    :raises RasterioError: when it is damaged, or not of the format that its name says.
    """
    if not str(path).startswith("/vsi"):
        path = os.path.abspath(str(path))  # noqa: PTH100 - GDAL takes how a name begins for more than a name
        check_regular(path)
        check_beside(path, where, headers=_driver_of(path, name) is None)
    one = {"GDAL_NUM_THREADS": SETTINGS["GDAL_NUM_THREADS"], **LISTING}
    with in_gdal(), rasterio.Env(**one), open_by_name(path, name) as source:
        check_overviews(source, where)
        check_system(source, where)
        excess = block_excess(source.block_shapes, interleaved=source.interleaving is Interleaving.pixel)
        if excess is not None:
            raise ImageryError(f"{where}: {excess}. Write it in tiles (gdal_translate -co TILED=YES).")
        yield source


def gdal_path(location: str) -> str:
    """How GDAL names a path or an ``s3://`` address, for catalogues.

    GDAL itself opens what lies on this machine alone: see `RasterSource`.
    """
    return f"/vsis3/{location.removeprefix('s3://')}" if is_s3(location) else location


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

    def open(self, path: str, *_: str, **__: str) -> _RasterStream:
        """The file, for reading; what else rasterio gives is the mode."""
        self.size(path)
        try:
            return _RasterStream(self, self._opened())
        except EOTasksError as error:
            self.failure = self.failure or error
            raise FileNotFoundError(path) from None

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

    @abstractmethod
    def version(self) -> Version:
        """What tells its version from others.

        :raises EOTasksError: when it cannot be fetched.
        """

    @abstractmethod
    def _size(self) -> int:
        """Bytes of the file."""

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Stream]:
        """The file, for reading."""


class _RasterStream:
    """A file as rasterio reads one: what fails reads as nothing, as GDAL expects, and the source keeps the reason."""

    def __init__(self, source: RasterSource, opened: AbstractContextManager[Stream]) -> None:
        self._source, self._opened = source, opened

    def __enter__(self) -> _RasterStream:
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
        if is_ending():
            self._source.failure = self._source.failure or ImageryError("The process ends: it is not read any more.")
            return b""
        try:
            return self._stream.read(count) or b""
        except EOTasksError as error:
            self._source.failure = self._source.failure or error
        except (*ZIP_DAMAGES, OSError) as error:
            self._source.failure = self._source.failure or ImageryError(f"damaged ({reason_of(error)})")
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

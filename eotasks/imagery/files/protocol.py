"""The files of a product, wherever they lie: what layouts and readers of pixels ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from eotasks.imagery.files.gdal import RasterSource

Fingerprint = tuple[int, int]
"""Bytes of a file, and when it changed (nanoseconds since 1970, 0 where nobody knows): as make looks at inputs."""


class RangedBytes(Protocol):
    """A file, or a part of one, of which ranges of bytes are read; all of one version of it, from any thread."""

    @property
    def far(self) -> bool:
        """Whether each range is a request to a server."""

    def length(self) -> int:
        """Bytes of it.

        :raises EOTasksError: when it is absent or cannot be read.
        """

    def version(self) -> Hashable:
        """What tells its version from others, as far as that is known once its length is."""

    def front(self, start: int, stop: int) -> bytes:
        """Bytes near its start, which are asked for again and again; fewer where it ends before.

        :raises EOTasksError: when they cannot be read, or are of another version.
        """

    def exactly(self, start: int, stop: int) -> bytes:
        """These bytes and no others, which are asked for once; fewer where it ends before.

        :raises EOTasksError: when they cannot be read, or are of another version.
        """


class ProductFiles(Protocol):
    """The files of a product, wherever they lie: a folder, a zip, a prefix in a bucket, a web server.

    Names are relative to the product, with ``/``; one that leads out of it is refused.
    """

    @property
    def location(self) -> str:
        """For messages: what the user gave, without secrets."""

    def names(self) -> list[str]:
        """Sorted names of all files.

        :raises ImageryError: when they cannot be listed.
        """

    def read_bytes(self, name: str) -> bytes:
        """A whole, small file, such as metadata.

        :raises ImageryError: when it is absent, cannot be read, or is too large for what it should be.
        """

    def raster_path(self, name: str) -> str:
        """Where a raster lies, as GDAL names it; an address of the web as it is."""

    def is_far(self, name: str) -> bool:
        """Whether a raster lies on a server, so that `raster_source` gives what reads it. Nobody is asked."""

    def raster_source(self, name: str) -> RasterSource | None:
        """What rasterio opens instead of the path; None where GDAL may open the path itself."""

    def raster_bytes(self, name: str) -> RangedBytes | None:
        """The bytes of a raster; None where it has to be unpacked from its start on.

        :raises EOTasksError: when it cannot be found.
        """

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change of a file."""


@dataclass(frozen=True)
class RasterFile:
    """One image file of a product."""

    name: str
    """Inside the product's files."""

    driver: Literal["JP2OpenJPEG", "GTiff"]
    """The only driver that may open it: a file that is something else than its name says is refused."""

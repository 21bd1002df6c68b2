"""The files of a product, wherever they lie: what layouts and readers of pixels ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from eotasks.imagery.files.remote import RasterSource

Fingerprint = tuple[int, int]
"""Bytes of a file, and when it changed (nanoseconds since 1970, 0 where nobody knows): as make looks at inputs."""


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

    def raster_source(self, name: str) -> RasterSource | None:
        """What rasterio opens instead of the path; None where GDAL may open the path itself."""

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change of a file."""


@dataclass(frozen=True)
class RasterFile:
    """One image file of a product."""

    name: str
    """Inside the product's files."""

    driver: Literal["JP2OpenJPEG", "GTiff"]
    """The only driver that may open it: a file that is something else than its name says is refused."""

"""Files of products on a web server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.gdal import RasterSource
from eotasks.imagery.files.location import checked_name
from eotasks.imagery.files.origin import UNKNOWN, Origin
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.imagery.files.remote import WebRaster
from eotasks.imagery.xml import named, parse_xml
from eotasks.limits import METADATA_BYTES
from eotasks.models.sentinel2 import BANDS
from eotasks.text import redacted

_QUESTIONS = 8
"""Asked of a web server at a time."""


@dataclass(frozen=True)
class WebFiles:
    """Files below an address of a web server, which cannot be listed: what is there, its manifest says.

    A server that answers to ranges of bytes is asked for no more of an image than a window needs.
    """

    url: str = field(repr=False)

    origin: Origin = UNKNOWN
    """Which servers of the user's network may be asked."""

    @property
    def location(self) -> str:
        """The address without user and signature."""
        return redacted(self.url)

    @cached_property
    def _names(self) -> list[str]:
        manifest = self._of_manifest()
        if manifest is not None:
            return manifest
        with ThreadPoolExecutor(_QUESTIONS) as pool:
            sizes = pool.map(self._size_of, _TILE_NAMES)
            found = [name for name, size in zip(_TILE_NAMES, sizes, strict=True) if size is not None]
        if not found:
            raise ImageryError(
                f"{self.location}: no manifest.safe and no tile there. Give the address of a .SAFE folder, of a zip, or"
                " of a tile in the layout of the AWS buckets."
            )
        return found

    def _of_manifest(self) -> list[str] | None:
        if self._size_of("manifest.safe") is None:
            return None
        where = f"{self.location}: manifest.safe"
        root = parse_xml(self.read_bytes("manifest.safe"), where)
        links = [str(element.get("href", "")).removeprefix("./") for element in named(root, "fileLocation")]
        return sorted({checked_name(unquote(link), where) for link in links if link})

    def names(self) -> list[str]:
        """Sorted names of the files that manifest.safe lists, or of those of a tile that are there.

        :raises ImageryError: when neither is.
        """
        return self._names

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it is absent, too large, or the server fails.
        """
        return http.read(self._address(name), METADATA_BYTES, self.origin.internal)

    def raster_path(self, name: str) -> str:
        """Its address."""
        return self._address(name)

    def is_far(self, name: str) -> bool:  # noqa: ARG002 - all are
        """It is."""
        return True

    def raster_source(self, name: str) -> RasterSource:
        """The file, read by ranges."""
        return self.raster_bytes(name)

    def raster_bytes(self, name: str) -> WebRaster:
        """The file, read by ranges."""
        return WebRaster(self._address(name), self.origin.internal)

    def fingerprint(self, name: str) -> Fingerprint:
        """Size, and 0 for the time.

        :raises ImageryError: when there is no such file.
        """
        size = self._size_of(name)
        if size is None:
            raise ImageryError(f"{self.location}: {name} is not there. Check the address.")
        return size, 0

    def _size_of(self, name: str) -> int | None:
        return http.size_of(self._address(name), self.origin.internal)

    def _address(self, name: str) -> str:
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(checked_name(name, self.location))}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


_TILE_NAMES = (
    "metadata.xml", "tileInfo.json", "productInfo.json",
    *(f"B{number:02}.jp2" for number in range(1, 13)), "B8A.jp2",
    *(f"R10m/{band}.jp2" for band in ("B02", "B03", "B04", "B08")),
    *(f"R20m/{band}.jp2" for band in ("B05", "B06", "B07", "B8A", "B11", "B12", "SCL")),
    *(f"R60m/{band}.jp2" for band in ("B01", "B09")),
    "qi/MSK_CLOUDS_B00.gml", "qi/MSK_CLASSI_B00.jp2",
    *(f"qi/MSK_DETFOO_{band}.{kind}" for band in BANDS for kind in ("gml", "jp2")),
)  # fmt: skip
"""What a tile of the AWS buckets has, as far as it is read."""

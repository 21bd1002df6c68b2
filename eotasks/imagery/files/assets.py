"""Files that lie scattered over several places: the assets of a STAC item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.bucket import object_fingerprint
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.gdal import gdal_path
from eotasks.imagery.files.origin import UNKNOWN, Origin
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.imagery.files.remote import RasterSource, remote_raster
from eotasks.limits import METADATA_BYTES
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3, is_web
from eotasks.text import redacted


@dataclass(frozen=True)
class AssetFiles:
    """Files of a STAC item, each with an address of its own."""

    location: str
    """Of the item, for messages."""

    addresses: Mapping[str, str] = field(repr=False)
    """By name: a path, ``s3://…`` or ``https://…``, as `eotasks.imagery.files.origin.Origin.resolved` gives them."""

    origin: Origin = UNKNOWN
    """Of the item: which servers of the user's network may be asked."""

    def names(self) -> list[str]:
        """Sorted keys of the assets."""
        return sorted(self.addresses)

    def read_bytes(self, name: str) -> bytes:
        """A whole asset of metadata.

        :raises ImageryError: when it cannot be read.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        return read_document(self._address(name), self.origin)

    def raster_path(self, name: str) -> str:
        """The asset for GDAL."""
        return gdal_path(self._address(name))

    def raster_source(self, name: str) -> RasterSource | None:
        """An asset far away, read by ranges."""
        address = self._address(name)
        return remote_raster(address, self.origin.internal) if is_remote(address) else None

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change, as far as they are known.

        :raises ImageryError: when the asset is not there.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        address = self._address(name)
        if is_s3(address):
            return object_fingerprint(address)
        if is_web(address):
            size = http.size_of(address, self.origin.internal)
            if size is None:
                raise ImageryError(f"{self.location}: asset {name} is not at {redacted(address)}. Search for it again.")
            return size, 0
        path = Path(address).resolve()
        return FolderFiles(path.parent).fingerprint(path.name)

    def _address(self, name: str) -> str:
        if name not in self.addresses:
            raise ImageryError(f"{self.location}: has no asset {name}, there are: {', '.join(sorted(self.addresses))}.")
        return self.addresses[name]


def read_document(address: str, origin: Origin) -> bytes:
    """A whole file of metadata at a path, an ``s3://`` or an ``https://`` address.

    :param origin: Which servers of the user's network may be asked.
    :raises ImageryError: when it cannot be read, or is too large.
    :raises StorageError: when it lies in a bucket that cannot be read.
    """
    if is_web(address):
        return http.read(address, METADATA_BYTES, origin.internal)
    if is_s3(address):
        return s3.read_object(address, METADATA_BYTES)
    path = Path(address).resolve()
    return FolderFiles(path.parent).read_bytes(path.name)

"""Files that lie scattered over several places: the assets of a STAC item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from eotasks.errors import AddressRefusedError, ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.bucket import object_fingerprint
from eotasks.imagery.files.folder import DiskBytes, FolderFiles
from eotasks.imagery.files.gdal import RasterSource, gdal_path
from eotasks.imagery.files.origin import UNKNOWN, Origin
from eotasks.imagery.files.protocol import Fingerprint, RangedBytes
from eotasks.imagery.files.remote import RangedRaster, remote_raster
from eotasks.imagery.files.signing import Signing
from eotasks.limits import METADATA_BYTES
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3, is_web
from eotasks.text import redacted

T = TypeVar("T")


@dataclass(frozen=True)
class AssetFiles:
    """Files of a STAC item, each with an address of its own."""

    location: str
    """Of the item, for messages."""

    addresses: Mapping[str, str] = field(repr=False)
    """By name: a path, ``s3://…`` or ``https://…``, as `eotasks.imagery.files.origin.Origin.resolved` gives them."""

    origin: Origin = UNKNOWN
    """Of the item: which servers of the user's network may be asked."""

    signing: Signing | None = field(default=None, repr=False, compare=False)
    """Who signs the addresses before they are read; None where nobody has to."""

    def names(self) -> list[str]:
        """Sorted keys of the assets."""
        return sorted(self.addresses)

    def read_bytes(self, name: str) -> bytes:
        """A whole asset of metadata.

        :raises ImageryError: when it cannot be read.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        return self._asking(name, lambda address: read_document(address, self.origin))

    def raster_path(self, name: str) -> str:
        """The asset for GDAL; without the signature that a modifier gave it."""
        return gdal_path(self._known(name))

    def is_far(self, name: str) -> bool:
        """Whether the asset is on a server."""
        return is_remote(self._known(name))

    def raster_source(self, name: str) -> RasterSource | None:
        """An asset far away, read by ranges."""
        return self._far(name)

    def raster_bytes(self, name: str) -> RangedBytes:
        """The asset, read by ranges."""
        return self._far(name) or DiskBytes(self._known(name))

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change, as far as they are known.

        :raises ImageryError: when the asset is not there.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        address = self._known(name)
        if is_s3(address):
            return object_fingerprint(address)
        if is_web(address):
            size = self._asking(name, lambda signed: http.size_of(signed, self.origin.internal))
            if size is None:
                raise ImageryError(f"{self.location}: asset {name} is not at {redacted(address)}. Search for it again.")
            return size, 0
        path = Path(address).resolve()
        return FolderFiles(path.parent).fingerprint(path.name)

    def _asking(self, name: str, ask: Callable[[str], T]) -> T:
        """What is asked of an asset; once more with another signature, when the server refuses the first."""
        address = self._address(name)
        try:
            return ask(address)
        except AddressRefusedError:
            other = self._address(name, address)
            if other == address:
                raise
        return ask(other)

    def _far(self, name: str) -> RangedRaster | None:
        address = self._address(name)
        if not is_remote(address):
            return None
        return remote_raster(
            address, self.origin.internal, renewed=None if self.signing is None else partial(self._address, name)
        )

    def _address(self, name: str, refused: str | None = None) -> str:
        """Where an asset is read now.

        :param refused: An address that the server has refused.
        """
        known = self._known(name)
        if self.signing is None:
            return known
        href = self.signing.href(name)
        if refused is not None and self.origin.resolved(href) == refused:  # which may be written otherwise: HTTPS://
            href = self.signing.href(name, refused=href)
        return self.origin.resolved(href)

    def _known(self, name: str) -> str:
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

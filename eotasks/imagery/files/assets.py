"""Files that lie scattered over several places: the assets of a STAC item."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.bucket import object_fingerprint
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.gdal import gdal_path, gdal_settings
from eotasks.imagery.files.protocol import Fingerprint
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
    """By name: a path, ``s3://…`` or ``https://…``."""

    def names(self) -> list[str]:
        """Sorted keys of the assets."""
        return sorted(self.addresses)

    def read_bytes(self, name: str) -> bytes:
        """A whole asset of metadata.

        :raises ImageryError: when it cannot be read.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        return read_document(self._address(name))

    def raster_path(self, name: str) -> str:
        """The asset for GDAL."""
        return gdal_path(self._address(name))

    def reading(self) -> AbstractContextManager[object]:
        """Credentials for GDAL where an asset lies in a bucket, timeouts where one lies on the web."""
        return gdal_settings(*self.addresses.values())

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change, as far as they are known.

        :raises ImageryError: when the asset is not there.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        address = self._address(name)
        if is_s3(address):
            return object_fingerprint(address)
        if is_web(address):
            size = http.size_of(address)
            if size is None:
                raise ImageryError(f"{self.location}: asset {name} is not at {redacted(address)}. Search for it again.")
            return size, 0
        path = Path(address)
        return FolderFiles(path.parent).fingerprint(path.name)

    def _address(self, name: str) -> str:
        if name not in self.addresses:
            raise ImageryError(f"{self.location}: has no asset {name}, there are: {', '.join(sorted(self.addresses))}.")
        return self.addresses[name]


def read_document(address: str) -> bytes:
    """A whole file of metadata at a path, an ``s3://`` or an ``https://`` address.

    :raises ImageryError: when it cannot be read, or is too large.
    :raises StorageError: when it lies in a bucket that cannot be read.
    """
    if is_web(address):
        return http.read(address, METADATA_BYTES)
    if is_s3(address):
        return s3.read_object(address, METADATA_BYTES)
    path = Path(address)
    return FolderFiles(path.parent).read_bytes(path.name)


def resolved(link: str, base: str) -> str:
    """A link of a document as an address of its own.

    :param base: Where the document lies; "" when nobody knows.
    :raises ImageryError: when it leads from elsewhere to files of this machine, or is of a kind that is not read.
    """
    if is_remote(link):
        return link
    scheme = re.match(r"([A-Za-z][\w+.-]+):", link)
    if (scheme is not None and scheme[1].lower() != "file") or link.startswith(("/vsi", "//")):
        raise ImageryError(
            f"{redacted(base) or 'STAC item'}: the link {link.partition('?')[0]!r} is no path, s3:// or https://"
            " address. Download the product first."
        )
    if is_remote(base):
        if scheme is not None:
            raise ImageryError(
                f"{redacted(base)}: the link {link!r} is to a file of this machine, which no other may name. Download"
                " the item first."
            )
        if is_s3(base):
            # By a scheme that urljoin knows: for others it gives back the link as it is.
            return f"s3://{urljoin(base.replace('s3://', 'https://', 1), link).removeprefix('https://')}"
        return urljoin(base, link)
    path = unquote(urlsplit(link).path) if scheme is not None else link
    if path.startswith("/vsi"):
        raise ImageryError(f"{base or 'STAC item'}: the link {link!r} is no path. Download the product first.")
    return path if path.startswith("/") or not base else str(Path(os.path.normpath(Path(base).parent / path)))

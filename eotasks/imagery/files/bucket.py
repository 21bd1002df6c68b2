"""Files of products in a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from eotasks.errors import ImageryError
from eotasks.imagery.files.gdal import RasterSource, gdal_path
from eotasks.imagery.files.location import check_size, checked_name
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.imagery.files.remote import BucketRaster
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from eotasks.storage import s3
from eotasks.storage.bucket import BucketStore
from eotasks.storage.store import Facts


@dataclass(frozen=True)
class BucketFiles:
    """Files below a prefix of a bucket."""

    location: str
    """``s3://bucket/prefix`` without a slash at its end."""

    @cached_property
    def _store(self) -> BucketStore:
        return BucketStore(self.location)

    @cached_property
    def _facts(self) -> dict[str, Fingerprint]:
        """Of all objects, by one listing."""
        entries = islice(self._store.entries(""), PRODUCT_FILES.value + 1)
        found: dict[str, Fingerprint] = {entry.path: Facts.at(entry.size, entry.changed) for entry in entries}
        if len(found) > PRODUCT_FILES.value:
            raise ImageryError(f"{self.location}: {PRODUCT_FILES.excess()}. Give the prefix of a product.")
        if not found:
            raise ImageryError(f"{self.location}: nothing there. Check the bucket and the prefix.")
        return found

    def names(self) -> list[str]:
        """Sorted names of all objects below the prefix.

        :raises ImageryError: when there are none, or too many for a product.
        :raises StorageError: when the bucket cannot be reached.
        :raises CredentialsError: when it wants other credentials.
        """
        return sorted(self._facts)

    def read_bytes(self, name: str) -> bytes:
        """A whole object of metadata.

        :raises ImageryError: when it is too large.
        :raises StorageError: when it is absent or cannot be read.
        :raises CredentialsError: when the bucket wants other credentials.
        """
        if name in self._facts:
            check_size(name, self._facts[name][0], self.location)
        return self._store.read(checked_name(name, self.location), METADATA_BYTES)

    def raster_path(self, name: str) -> str:
        """The object for GDAL."""
        return gdal_path(f"{self.location}/{checked_name(name, self.location)}")

    def is_far(self, name: str) -> bool:  # noqa: ARG002 - all are
        """It is."""
        return True

    def raster_source(self, name: str) -> RasterSource:
        """The object, read by ranges."""
        return self.raster_bytes(name)

    def raster_bytes(self, name: str) -> BucketRaster:
        """The object, read by ranges."""
        return BucketRaster(f"{self.location}/{checked_name(name, self.location)}")

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change.

        :raises ImageryError: when there is no such object.
        """
        if name not in self._facts:
            raise ImageryError(f"{self.location}: {name} is not there. Fetch it again.")
        return self._facts[name]


def object_fingerprint(location: str) -> Fingerprint:
    """Size and time of change of ``s3://bucket/key``.

    :raises StorageError: when it is absent or cannot be read.
    """
    found = s3.object_facts(location)
    return Facts.at(found.size, found.changed)

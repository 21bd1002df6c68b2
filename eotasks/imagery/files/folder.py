"""Files of products in a folder on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from eotasks.errors import ImageryError
from eotasks.imagery.files.location import check_size, checked_name
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from eotasks.storage.folder import FolderStore, leads_out


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder on disk."""

    path: Path

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.path)

    @cached_property
    def _store(self) -> FolderStore:
        return FolderStore(self.path)

    def names(self) -> list[str]:
        """Sorted names of all files.

        :raises ImageryError: when the folder cannot be listed, or holds too much for a product.
        """
        try:
            found = sorted(islice(self._store.files(), PRODUCT_FILES.value + 1))
        except OSError as error:
            raise ImageryError(f"{self.path}: cannot be listed ({error.strerror}). Check its rights.") from error
        if len(found) > PRODUCT_FILES.value:
            raise ImageryError(f"{self.path}: {PRODUCT_FILES.excess()}. Give the folder of one product.")
        return found

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it cannot be read.
        """
        self._inside(name)
        try:
            facts = self._store.facts(name)
            if facts is not None:
                check_size(name, facts.size, self.location)
            return self._store.read(name, METADATA_BYTES)
        except ImageryError:  # an OSError too
            raise
        except OSError as error:
            raise ImageryError(f"{self.location}: {name} cannot be read ({error.strerror}). Fetch it again.") from error

    def raster_path(self, name: str) -> str:
        """The file."""
        return str(self._inside(name).absolute())  # a relative one could look like an address

    def raster_source(self, name: str) -> None:
        """None: GDAL opens the path."""

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change.

        :raises ImageryError: when the file is gone.
        """
        self._inside(name)
        try:
            facts = self._store.facts(name)
        except OSError as error:
            raise ImageryError(f"{self.location}: {name} cannot be read ({error.strerror}). Fetch it again.") from error
        if facts is None:
            raise ImageryError(f"{self.location}: {name} is gone. Fetch it again.")
        return facts

    def _inside(self, name: str) -> Path:
        """The path of a file of the product.

        :raises ImageryError: when its name, or a link on its way, leads out of the product.
        """
        path = self.path / checked_name(name, self.location)
        if leads_out(path, self.path):
            raise ImageryError(
                f"{self.location}: {name} is a link that leads out of the product. It is not read: copy the file."
            )
        return path

"""Files of products in a folder on disk."""

from __future__ import annotations

import io
import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from eotasks.errors import ImageryError
from eotasks.imagery.files.location import check_size, checked_name
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from eotasks.reading import open_regular
from eotasks.storage.folder import FolderStore, leads_out


class DiskBytes:
    """A file on disk, or a part of one. Whoever reads it names it in the errors.

    :param path: The file.
    :param start: Where the part begins.
    :param size: Bytes of the part; None for all up to the end of the file.
    """

    far = False

    def __init__(self, path: str | Path, start: int = 0, size: int | None = None) -> None:
        self._path, self._start, self._size = path, start, size
        self._facts: tuple[int, int, int] | None = None

    def length(self) -> int:
        """Bytes of it.

        :raises ImageryError: when it is absent, no regular file, or cannot be read.
        """
        with self._opened() as (_, facts):
            whole = max(facts[0] - self._start, 0)
        return whole if self._size is None else min(self._size, whole)

    def version(self) -> Hashable:
        """Size, time of change and number of the file."""
        return self._facts, self._start

    def exactly(self, start: int, stop: int) -> bytes:
        """Bytes of it.

        :raises ImageryError: as `length`, and when it was changed meanwhile.
        """
        with self._opened() as (stream, _):
            stream.seek(self._start + start)
            return stream.read(stop - start)

    front = exactly

    @contextmanager
    def _opened(self) -> Iterator[tuple[io.BufferedReader, tuple[int, int, int]]]:
        try:
            with open_regular(self._path) as stream:
                now = os.fstat(stream.fileno())
                facts = now.st_size, now.st_mtime_ns, now.st_ino
                self._facts = self._facts or facts
                if facts != self._facts:
                    raise ImageryError("changed while it was read. Read it again.")
                yield stream, facts
        except ImageryError:  # an OSError too
            raise
        except OSError as error:
            raise ImageryError(f"cannot be read ({error.strerror}). Fetch it again.") from error


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

    def is_far(self, name: str) -> bool:  # noqa: ARG002 - none is
        """It is not."""
        return False

    def raster_source(self, name: str) -> None:
        """None: GDAL opens the path."""

    def raster_bytes(self, name: str) -> DiskBytes:
        """The file, read by ranges."""
        return DiskBytes(self.raster_path(name))

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

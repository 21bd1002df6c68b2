"""What a store of files does, be it a folder or a prefix in a bucket: the protocol that both keep.

`eotasks.storage.place.Place` is for users, says more of what the methods do, and names the file in every error. Paths
are relative, and checked there; "" is all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from eotasks.limits import RECORD_BYTES, Limit


class Entry(NamedTuple):
    """Something at any depth below a folder of a place."""

    path: str
    """Inside that folder."""

    size: int
    """Bytes; 0 for a folder."""

    changed: datetime
    """UTC."""

    is_file: bool
    """On S3 all are, but the empty objects ``NAME/`` where folders are asked for."""


class Facts(NamedTuple):
    """Size and age of a file, as make looks at its inputs."""

    size: int
    """Bytes."""

    changed_ns: int
    """Nanoseconds since 1970."""

    @classmethod
    def at(cls, size: int, changed: datetime) -> Facts:
        """From a time as S3 tells it."""
        return cls(size, int(changed.timestamp() * 1e9))


class Store(Protocol):
    """A folder or a prefix. A file that is absent is a ``FileNotFoundError`` on disk, a ``StorageError`` on S3."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there, or a prefix with something below it."""

    def names(self, path: str) -> list[str]:
        """Sorted names of what lies directly in a folder; none when it is absent."""

    def first_folders(self, number: int) -> tuple[dict[str, set[str]], int | None]:
        """What lies directly in the first folders, by their names, without a look at all there is.

        :param number: How many folders, at most.
        :return: And how many folders there are; None where that is not known without.
        """

    def entries(self, path: str, *, folders: bool = False) -> Iterator[Entry]:
        """What is at any depth below a folder, in any order; nothing when it is absent.

        :param folders: On S3 too, where they are the empty objects ``NAME/`` that some tools make.
        """

    def facts(self, path: str) -> Facts | None:
        """Size and age of a file; None when it is absent."""

    def extent(self, path: str) -> tuple[int, datetime]:
        """Bytes of a file or of all that is in a folder, and when anything there changed last (UTC)."""

    def read(self, path: str, limit: Limit = RECORD_BYTES) -> bytes:
        """The content of a file; a larger one than the limit, and what is no regular file, is refused."""

    def read_tagged(self, path: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str]:
        """As `read`, and a tag of just this content."""

    def write(self, path: str, data: bytes) -> None:
        """Writes a file in one operation."""

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        """Writes a file when it still has a tag (None: when it is absent); gives the new one.

        :raises StorageError: when another writer was faster.
        """

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of a file, whole or not at all; of several writers each one's data gets in."""

    def upload(self, path: str, source: Path) -> None:
        """Copies a file of this machine into the store, in one operation."""

    def download(self, path: str, target: Path) -> None:
        """Copies a file of the store to this machine."""

    def copy(self, path: str, target: str) -> None:
        """Copies a file inside of the store, in one operation; none of it comes by this machine where that can be."""

    def make_folder(self, path: str) -> None:
        """Makes a folder; on S3 the empty object ``NAME/`` that pyfilesystem and eo-learn want of one."""

    def remove_files(self, paths: Collection[str]) -> None:
        """Removes files, on S3 many in one request; a path with a slash at its end is a folder, left if not empty."""

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that is in it; nothing happens when it is absent."""

    def remove_if(self, path: str, tag: str) -> bool:
        """Removes a file that still has a tag; whether it had."""

    def now(self) -> datetime:
        """The time (UTC) by the clock that times of change are of: a file server's, and this machine's may differ."""

    def abort_uploads(self, before: datetime) -> int:
        """Ends uploads in parts that were begun before a time and never finished; how many. On disk there are none."""

    def remove_empty(self, path: str) -> None:
        """Removes a folder that has nothing in it, and leaves any other."""

"""One way to name a place where results lie: a folder, or a prefix in an S3 bucket.

Everything goes through the filesystem object behind a place, so that the rest of the project never asks which it is.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from fs.base import FS
from fs.errors import FSError
from fs.osfs import OSFS
from fs.path import normpath
from fs_s3fs import S3FS

from models.errors import ConfigurationError, StorageError

TEMPORARY_PREFIX = ".tmp-"
"""Of files that are being written; what still has it after a run is rubbish."""


class Place:
    """A folder or an ``s3://bucket/prefix``. Paths inside a place are relative and use ``/``.

    Cheap to make and to pickle: the filesystem behind it is opened on first use, once per process. Credentials of S3
    come from the environment or the AWS profile and are never part of the object.

    :param location: A folder (made on the first write) or ``s3://bucket/prefix``.
    :raises ConfigurationError: when the location is empty or names another kind of store or an unknown home.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        text = os.fspath(location)
        if text.startswith("s3://"):
            bucket, _, prefix = text.removeprefix("s3://").partition("/")
            if not bucket:
                raise ConfigurationError(f"{text!r} names no bucket: write s3://bucket/prefix.")
            text = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
        elif "://" in text:
            raise ConfigurationError(f"{text!r} is no place that is known: give a folder or s3://bucket/prefix.")
        elif not text.strip():
            raise ConfigurationError("A place needs a location: give a folder or s3://bucket/prefix.")
        else:
            try:
                text = str(Path(text).expanduser().absolute())
            except RuntimeError as error:
                raise ConfigurationError(
                    f"{text!r} is in a home directory that is not known: write the whole path."
                ) from error
        self.location = text

    def __reduce__(self) -> tuple[type[Place], tuple[str]]:
        return type(self), (self.location,)

    def __repr__(self) -> str:
        return f"Place({self.location!r})"

    def __str__(self) -> str:
        return self.location

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.location == other.location

    def __hash__(self) -> int:
        return hash(self.location)

    @property
    def is_local(self) -> bool:
        """Whether the place is a folder of this machine."""
        return not self.location.startswith("s3://")

    @cached_property
    def filesystem(self) -> FS:
        """The pyfilesystem object of this place; a folder is made when it is absent.

        :raises StorageError: when it cannot be opened.
        """
        try:
            if self.is_local:
                filesystem: FS = OSFS(self.location, create=True, expand_vars=False)
            else:
                bucket, _, prefix = self.location.removeprefix("s3://").partition("/")
                filesystem = S3FS(bucket, dir_path=prefix or "/", strict=False)
        except (FSError, OSError, ValueError) as error:
            raise StorageError(f"{self.location} cannot be opened ({error}): check the path and its rights.") from error
        return filesystem

    def child(self, name: str) -> Place:
        """The place below this one: a folder, or a longer prefix.

        :raises StorageError: when the name leads out of this place.
        """
        return Place(f"{self.location}/{_inside(name)}")

    def local_path(self, path: str = "") -> Path:
        """The path on this machine's disk, for libraries that want one.

        :raises StorageError: when the place is not on this machine.
        """
        if not self.is_local:
            raise StorageError(f"{self.location} is no folder of this machine: choose a local folder for this step.")
        return Path(self.location, _inside(path)) if path else Path(self.location)

    def exists(self, path: str = "") -> bool:
        """Whether a file or folder is there. Does not make the place."""
        if self.is_local:
            return self.local_path(path).exists()
        with self._named(path):
            return bool(self.filesystem.exists(_inside(path) if path else "/"))

    def names(self, path: str = "") -> list[str]:
        """Sorted names of what lies directly in a folder; an absent folder holds nothing."""
        if not self.exists(path):
            return []
        with self._named(path):
            return sorted(name.strip("/") for name in self.filesystem.listdir(_inside(path) if path else "/"))

    def read_bytes(self, path: str) -> bytes:
        """The content of a file.

        :raises StorageError: when it is absent or cannot be read.
        """
        if not self.exists(path):
            raise StorageError(f"{self.location}/{path} is not there: check the name, or run the step that writes it.")
        with self._named(path):
            return bytes(self.filesystem.readbytes(_inside(path)))

    def write_bytes(self, path: str, data: bytes) -> None:
        """Writes a file in one operation: readers see the old content or the new one, never a part.

        :raises StorageError: when it cannot be written; the old content is then still there.
        """
        if not self.is_local:
            with self._named(path):
                self.filesystem.makedirs(_parent(path), recreate=True)
                self.filesystem.writebytes(_inside(path), data)
            return
        target = self.local_path(path)
        with self._named(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                temporary.write_bytes(data)

    def append_line(self, path: str, line: str) -> None:
        """Adds a line to a text file, whole or not at all. One writer at a time.

        :raises StorageError: when it cannot be written.
        """
        data = line.rstrip("\n").encode() + b"\n"
        if not self.is_local:  # objects cannot grow; manifests are small
            self.write_bytes(path, (self.read_bytes(path) if self.exists(path) else b"") + data)
            return
        target = self.local_path(path)
        with self._named(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a writer died in the middle of its line
                    data = b"\n" + data
                os.write(descriptor, data)
            finally:
                os.close(descriptor)

    def is_folder(self, path: str) -> bool:
        """Whether a folder (or a prefix with something below it) is there."""
        if self.is_local:
            return self.local_path(path).is_dir()
        with self._named(path):
            return bool(self.filesystem.isdir(_inside(path)))

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when it is absent."""
        if not self.exists(path):
            return None
        with self._named(path):
            return int(self.filesystem.getsize(_inside(path)))

    def extent(self, path: str) -> tuple[int, datetime]:
        """Bytes of a file or of all that is in a folder, and when anything there changed last (UTC)."""
        with self._named(path):
            infos = [self.filesystem.getinfo(_inside(path), namespaces=["basic", "details"])]
            if infos[0].is_dir:
                infos += [info for _, info in self.filesystem.walk.info(path, namespaces=["basic", "details"])]
            changed = [info.modified for info in infos if info.modified is not None]
            return sum(info.size for info in infos if not info.is_dir), max(changed, default=datetime.now(UTC))

    def upload(self, path: str, source: Path) -> None:
        """Copies a file of this machine into the place.

        :raises StorageError: when it cannot be written.
        """
        with self._named(path), source.open("rb") as stream:
            self.filesystem.makedirs(_parent(path), recreate=True)
            self.filesystem.upload(_inside(path), stream)

    def download(self, path: str, target: Path) -> None:
        """Copies a file of the place to this machine; nothing happens when it is absent.

        :raises StorageError: when it cannot be read.
        """
        if not self.exists(path):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._named(path), target.open("wb") as stream:
            self.filesystem.download(_inside(path), stream)

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that is in it; nothing happens when it is absent."""
        if not self.exists(path):
            return
        with self._named(path):
            inside = _inside(path)
            if self.filesystem.isdir(inside):
                self.filesystem.removetree(inside)
            else:
                self.filesystem.remove(inside)

    @contextlib.contextmanager
    def _named(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FSError, OSError) as error:
            raise StorageError(f"{self.location}/{path}: {error}. Check the path, the rights and the space.") from error


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside the target that takes its name when the block ends well, and vanishes otherwise.

    :param target: The path to write; its folder has to exist.
    """
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{target.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(place: Path, option: str = "--out") -> None:
    """Refuse a place where no folder is and none can be made, before any work. Makes none.

    :param option: What names the place, for the message.
    :raises ConfigurationError: a file is in the way, or the rights are.
    """
    there = place.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ConfigurationError(f"{option}: {there} is a file: give a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{option}: nothing can be written to {there}: check its rights, or give another one.")


def _flush(path: Path) -> None:
    """Content before name: without it a power cut can leave the new name on an empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path.strip() or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"{path!r} is no name inside a place: use a relative path without '..'.")
    return path


def _parent(path: str) -> str:
    return normpath(path.rpartition("/")[0] or "/")

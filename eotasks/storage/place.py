"""One way to name a place where results lie: a folder, or a prefix in an S3 bucket.

A `Place` does the same on both, so that the rest of the project never asks which it is: every write is one operation (a
rename on disk, one PUT or a finished multipart upload on S3), and every failure a `StorageError` that names the file.
`eotasks.storage.s3` says where endpoint and credentials come from.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from eotasks.durable import atomic_path, make_folder
from eotasks.errors import ConfigurationError, EOTasksError, StorageError
from eotasks.limits import RECORD_BYTES, Limit
from eotasks.reading import check_regular
from eotasks.storage import s3
from eotasks.storage.bucket import BucketStore
from eotasks.storage.folder import FolderStore
from eotasks.storage.location import is_s3
from eotasks.storage.store import Entry, Store
from eotasks.storage.temporary import temporary_folder
from eotasks.text import excerpt, refuse_unseen

if TYPE_CHECKING:
    from fs.base import FS

_PLACE_FAILS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
"""What is wrong with a place, and not with what is written to it."""


PlaceLike: TypeAlias = "Place | str | os.PathLike[str]"
"""What a function takes where it wants a place: a `Place`, or its location as a text or a path."""


class Place:
    """A folder or an ``s3://bucket/prefix``. Paths inside a place are relative and use ``/``.

    Cheap to make and to pickle: nothing is opened before first use, and a bucket is reached through the one client of
    each process. Credentials of S3 come from the environment or the AWS profile and are never part of the object.

    :param location: A folder (made on the first write) or ``s3://bucket/prefix``, as a text or a path; or a place.
    :raises ConfigurationError: when the location is empty or none, or names another kind of store or an unknown home.
    """

    def __init__(self, location: PlaceLike) -> None:
        text = _text_of(location)
        if is_s3(text):
            bucket, prefix = s3.split_location(text)
            if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
                raise ConfigurationError(f"{text!r} has an empty or a dotted part: write s3://bucket/prefix.")
            text = f"s3://{bucket}/{prefix}".rstrip("/")
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
        return not is_s3(self.location)

    @cached_property
    def filesystem(self) -> FS:
        """The place as a pyfilesystem object, for eo-learn's own tasks; a folder is made when it is absent.

        Place itself does not use it. On S3 it is fs-s3fs, which sees only folders that it has made itself.

        :raises StorageError: when it cannot be opened.
        """
        from fs.errors import FSError  # here, as below: pyfilesystem takes two tenths of a second that few need
        from fs.osfs import OSFS

        try:
            if self.is_local:
                return OSFS(self.location, create=True, expand_vars=False)
            bucket, prefix = s3.split_location(self.location)
            opened: FS = _bucket_filesystem()(bucket, dir_path=prefix or "/", strict=False)
            return opened
        except EOTasksError:  # says already what is wrong; some are an OSError or a ValueError too
            raise
        except (FSError, OSError, ValueError) as error:
            raise StorageError(f"{self.location} cannot be opened ({error}): check the path and its rights.") from error

    def child(self, name: str) -> Place:
        """The place below this one: a folder, or a longer prefix.

        :raises StorageError: when the name leads out of this place.
        """
        return Place(f"{self.location}/{_inside(name)}")

    def local_path(self, path: str = "") -> Path:
        """The path on this machine's disk, for libraries that want one; `reading` and `writing` work everywhere.

        :raises StorageError: when the place is not on this machine.
        """
        if not self.is_local:
            raise StorageError(f"{self.location} is no folder of this machine: choose a local folder for this step.")
        return Path(self.location, _inside(path)) if path else Path(self.location)

    def gdal_path(self, path: str) -> str:
        """The path under which GDAL reads a file, inside of ``rasterio.Env(**place.gdal_environment())``."""
        if self.is_local:
            return str(self.local_path(path))
        return f"/vsis3/{self.location.removeprefix('s3://')}/{_inside(path)}"

    def gdal_environment(self) -> dict[str, Any]:
        """Arguments of ``rasterio.Env`` for `gdal_path`: none for a folder, endpoint and credentials for S3."""
        return {} if self.is_local else s3.gdal_environment()

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """A path on this machine with the content of a file: the file itself, or a temporary copy of an object.

        :raises StorageError: when it is absent or cannot be read.
        """
        if self.is_local:
            if not self.local_path(path).exists():
                raise StorageError(self._absent(path))
            with self._named(path):
                check_regular(self.local_path(path))
            yield self.local_path(path)
            return
        with temporary_folder() as folder:
            copy = folder / path.rpartition("/")[2]
            with self._named(path):
                self._store.download(_inside(path), copy)
            yield copy

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """A path on this machine to write; when the block ends well the file is put in place whole, else nothing is.

        The temporary file has the ending of the path, which libraries choose a format by. It lies beside its target on
        disk, and in the machine's temporary folder for S3.

        :raises StorageError: when it cannot be put in place, or the disk is full or may not be written.
        """
        inside = _new(path)
        try:
            if self.is_local:
                target = self.local_path(path)
                with self._named(path):
                    make_folder(target.parent)
                with atomic_path(target) as temporary:
                    yield temporary
                return
            with temporary_folder() as folder:
                temporary = folder / path.rpartition("/")[2]
                yield temporary
                self._store.upload(inside, temporary)
        except OSError as error:
            if error.errno not in _PLACE_FAILS:
                raise
            raise self._failed(path, error) from error

    def exists(self, path: str = "") -> bool:
        """Whether a file or folder is there. Does not make the place. A prefix is there when objects are below it."""
        with self._named(path):
            return self._store.exists(_inside(path) if path else "")

    def names(self, path: str = "") -> list[str]:
        """Sorted names of what lies directly in a folder; an absent folder holds nothing."""
        with self._named(path):
            return self._store.names(_inside(path) if path else "")

    def first_folders(self, number: int) -> tuple[dict[str, set[str]], int | None]:
        """What lies directly in the first folders, by their names: a look that costs the same in a place of any size.

        :param number: How many folders, at most.
        :return: And how many folders there are; None: more than such a look tells.
        """
        with self._named(""):
            return self._store.first_folders(number) if self._store.exists("") else ({}, 0)

    def files(self, path: str = "") -> dict[str, int]:
        """Bytes of all files at any depth below a folder, by their paths inside it, in one listing."""
        return {entry.path: entry.size for entry in self.entries(path) if entry.is_file}

    def entries(self, path: str = "", *, folders: bool = False) -> list[Entry]:
        """What is at any depth below a folder, sorted by path, in one listing; on disk with the folders.

        :param folders: On S3 too, where they are the empty objects ``NAME/`` that some tools make, also of the folder
            itself (an empty path).
        """
        with self._named(path):
            return sorted(self._store.entries(_inside(path) if path else "", folders=folders))

    def read_bytes(self, path: str, limit: Limit = RECORD_BYTES) -> bytes:
        """The content of a file.

        :param limit: Bytes that it may have.
        :raises StorageError: when it is absent, larger, no regular file, or cannot be read.
        """
        with self._named(path):
            return self._store.read(_inside(path), limit)

    def read_tagged(self, path: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str]:
        """The content of a file, and a tag of just this content, for `write_if`.

        :param limit: Bytes that it may have.
        :raises StorageError: as `read_bytes`.
        """
        with self._named(path):
            return self._store.read_tagged(_inside(path), limit)

    def read_if_there(self, path: str) -> tuple[bytes, str] | None:
        """As `read_tagged`; None when the file is absent.

        :raises StorageError: when it cannot be read.
        """
        with self._named(path):
            try:
                return self._store.read_tagged(_inside(path))
            except (FileNotFoundError, NotADirectoryError):
                return None
            except StorageError as error:
                if not s3.is_absent(error):
                    raise
                return None

    def write_bytes(self, path: str, data: bytes) -> None:
        """Writes a file in one operation: readers see the old content or the new one, never a part.

        :raises StorageError: when it cannot be written; the old content is then still there.
        """
        with self._named(path):
            self._store.write(_new(path), data)

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        """Writes a file as `write_bytes`, but only when it still has the tag that was read.

        Of several writers with the same tag one comes through. On S3 by a conditional PUT, on disk under a lock.

        :param tag: From `read_tagged`, or this method; None when there was no such file.
        :return: The tag of what is there now.
        :raises StorageError: when another writer was faster, or it cannot be written; the content is then another's.
        """
        with self._named(path):
            return self._store.write_if(_new(path), data, tag)

    def write_new(self, path: str, data: bytes) -> str | None:
        """Writes a file where none is; its tag, or None where one is, which stays as it is.

        :raises StorageError: when it cannot be written.
        """
        with self._named(path):
            try:
                return self._store.write_if(_new(path), data, None)
            except StorageError:
                if self._store.facts(path) is None:
                    raise
                return None

    def append_line(self, path: str, line: str) -> None:
        """Adds a line to a text file, whole or not at all, also when several write.

        An object cannot grow: on S3 each line costs writing the whole text anew. What gets many lines there writes
        objects of its own, as the manifest of a batch does.

        :raises StorageError: when it cannot be written.
        """
        with self._named(path):
            self._store.append(_new(path), line.rstrip("\n").encode() + b"\n")

    def is_folder(self, path: str) -> bool:
        """Whether a folder (or a prefix with something below it) is there."""
        with self._named(path):
            return self._store.is_folder(_inside(path))

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when it is absent."""
        with self._named(path):
            facts = self._store.facts(_inside(path))
        return None if facts is None else facts.size

    def extent(self, path: str) -> tuple[int, datetime]:
        """Bytes of a file or of all that is in a folder, and when anything there changed last (UTC)."""
        with self._named(path):
            return self._store.extent(_inside(path))

    def upload(self, path: str, source: Path) -> None:
        """Copies a file of this machine into the place, in one operation.

        :raises StorageError: when it cannot be written.
        """
        with self._named(path):
            self._store.upload(_new(path), source)

    def download(self, path: str, target: Path) -> None:
        """Copies a file of the place to this machine; nothing happens when it is absent.

        :raises StorageError: when it cannot be read.
        """
        with self._named(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._store.download(_inside(path), target)
            except FileNotFoundError:
                return
            except StorageError as error:
                if not s3.is_absent(error):
                    raise

    def copy(self, path: str, target: str) -> None:
        """Copies a file inside of the place, in one operation, on S3 by the server alone.

        :raises StorageError: when it is absent or cannot be written.
        """
        with self._named(path):
            self._store.copy(_inside(path), _new(target))

    def make_folder(self, path: str = "") -> None:
        """Makes a folder; on S3 the empty object ``NAME/`` that pyfilesystem and eo-learn want of one."""
        with self._named(path):
            self._store.make_folder(_new(path) if path else "")

    def remove_files(self, paths: Collection[str]) -> None:
        """Removes files, on S3 many in one request; a path with a slash at its end is a folder, left if not empty."""
        with self._named(""):
            self._store.remove_files([f"{_inside(path.rstrip('/'))}{'/' * path.endswith('/')}" for path in paths])

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that is in it; nothing happens when it is absent."""
        with self._named(path):
            self._store.remove(_inside(path))

    def remove_if(self, path: str, tag: str) -> bool:
        """Removes a file that still has the tag that was read or written; whether it had."""
        with self._named(path):
            return self._store.remove_if(_inside(path), tag)

    def now(self) -> datetime:
        """The time (UTC) by the clock of the store, to compare times of change with; this machine's may differ.

        :raises StorageError: when the place is absent, or on disk nothing can be written to it.
        """
        with self._named(""):
            return self._store.now()

    def abort_uploads(self, before: datetime) -> int:
        """Ends uploads in parts that were begun before a time and never finished, whose bytes S3 keeps; how many."""
        with self._named(""):
            return self._store.abort_uploads(before)

    def remove_empty(self, path: str) -> None:
        """Removes a folder that has nothing in it, and leaves any other. S3 has no such folders."""
        with self._named(path):
            self._store.remove_empty(_inside(path))

    @cached_property
    def _store(self) -> Store:
        return FolderStore(Path(self.location)) if self.is_local else BucketStore(self.location)

    @contextlib.contextmanager
    def _named(self, path: str) -> Iterator[None]:
        try:
            yield
        except EOTasksError:  # as above
            raise
        except FileNotFoundError as error:
            raise StorageError(self._absent(path)) from error
        except OSError as error:
            raise self._failed(path, error) from error
        except UnicodeEncodeError as error:  # half a character, as of a file name that is no text
            raise StorageError(f"{self.location!a}: {path!a} is no name that it takes: use text alone.") from error

    def _absent(self, path: str) -> str:
        return f"{self.location}/{path} is not there: check the name, or run the step that writes it."

    def _failed(self, path: str, error: OSError) -> StorageError:
        if isinstance(error, NotADirectoryError):
            return StorageError(f"{self.location}/{path}: a file is where a folder is due. Give a folder.")
        where = "" if self.is_local else f" of {tempfile.gettempdir()}, where files wait for S3"
        return StorageError(f"{self.location}/{path}: {error}. Check the path, the rights and the space{where}.")


_BUCKET_FILESYSTEM = "BucketFilesystem"


def __getattr__(name: str) -> Any:
    if name == _BUCKET_FILESYSTEM:
        return _bucket_filesystem()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_MAKING = threading.Lock()


def _bucket_filesystem() -> Any:
    """The class `BucketFilesystem`: fs-s3fs with the client and the endpoint of everything else here."""
    with _MAKING:  # one class a process, which a cache alone does not make sure of: pickles know it by its name
        return _made_bucket_filesystem()


@cache
def _made_bucket_filesystem() -> Any:
    from fs_s3fs import S3FS

    class BucketFilesystem(S3FS):  # type: ignore[misc]  # fs-s3fs has no types
        __qualname__ = _BUCKET_FILESYSTEM  # by which pickles find it here

        @property
        def client(self) -> Any:
            return s3.s3_client()

        @property
        def s3(self) -> Any:
            if not hasattr(self._tlocal, "s3"):  # resources of boto3 are not for several threads
                self._tlocal.s3 = s3.s3_resource()
            return self._tlocal.s3

    return BucketFilesystem


def _text_of(location: PlaceLike) -> str:
    if isinstance(location, Place):
        return location.location
    if not isinstance(location, str | os.PathLike):
        kind = type(location).__name__
        raise ConfigurationError(f"{excerpt(location)} ({kind}) is no place: give a folder or s3://bucket/prefix.")
    return os.fsdecode(location)


def place_of(location: str | os.PathLike[str]) -> tuple[Place, str]:
    """The place that a file is in, and its name there: ``b.tif`` in ``s3://bucket/a`` for ``s3://bucket/a/b.tif``.

    :raises ConfigurationError: when the location names no file, or as `Place`.
    """
    whole = Place(location)
    folder, _, name = whole.location.rpartition("/")
    if not name or folder == "s3:/":
        raise ConfigurationError(f"{os.fspath(location)!r} names no file: write its name behind the folder or prefix.")
    return Place(folder or "/"), name


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


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path.strip() or path.startswith("/") or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise StorageError(f"{path!r} is no name inside a place: use a relative path without '..'.")
    return path


def _new(path: str) -> str:
    """A path to write: no name that a terminal obeys or nobody sees is made, though one that is there can be read."""
    unseen = refuse_unseen(path)
    if unseen is not None:
        raise StorageError(f"{path!r} is no name inside a place: {unseen}.")
    return _inside(path)

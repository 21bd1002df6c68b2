"""A folder of this machine as a store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from eotasks.durable import atomic_path, facts_of_new_file, make_folder
from eotasks.errors import StorageError
from eotasks.limits import RECORD_BYTES, Limit
from eotasks.reading import check_regular, open_regular, read_regular
from eotasks.storage.store import Entry, Facts

_COUNTED = 10_000
"""Entries of a folder that are counted for a message."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV})
"""What disks say that know no second name of a file, or have enough of them."""


class FolderStore:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def is_folder(self, path: str) -> bool:
        return self._at(path).is_dir()

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._at(path)))  # noqa: PTH208  # names alone
        except FileNotFoundError:  # also of one that another process has just removed or replaced
            return []

    def first_folders(self, number: int) -> tuple[dict[str, set[str]], int | None]:
        with os.scandir(self.root) as there:
            found = list(itertools.islice(there, _COUNTED))
        folders = sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
        first: dict[str, set[str]] = {name: set() for name in folders[:number]}
        for name, names in first.items():
            with contextlib.suppress(OSError):  # may not be listed, or is gone
                names.update(os.listdir(self.root / name))  # noqa: PTH208  # names alone
        return first, len(folders) if len(found) < _COUNTED else None

    def entries(self, path: str, *, folders: bool = False) -> Iterator[Entry]:  # noqa: ARG002  # as on S3
        """Folders that may not be listed, such as ``lost+found``, are passed over."""
        for inside, _ in self._below(path, onerror=None):
            try:
                facts = self._at(f"{path}/{inside}" if path else inside).stat()
            except FileNotFoundError:  # gone since it was listed
                continue
            is_file = stat.S_ISREG(facts.st_mode)
            yield Entry(inside, facts.st_size if is_file else 0, _time(facts), is_file)

    def files(self, path: str = "") -> Iterator[str]:
        """Paths of all files at any depth below a folder, without a look at each one.

        :raises OSError: when a folder cannot be listed.
        """
        return (inside for inside, is_file in self._below(path, onerror=_raise) if is_file)

    def facts(self, path: str) -> Facts | None:
        try:
            facts = self._at(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Facts(facts.st_size, facts.st_mtime_ns)

    def extent(self, path: str) -> tuple[int, datetime]:
        facts = self._at(path).stat()
        if not stat.S_ISDIR(facts.st_mode):
            return facts.st_size, _time(facts)
        entries = list(self.entries(path))
        return sum(entry.size for entry in entries), max([_time(facts), *(entry.changed for entry in entries)])

    def read(self, path: str, limit: Limit = RECORD_BYTES) -> bytes:
        return read_regular(self._at(path), limit)

    def read_tagged(self, path: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str]:
        data = self.read(path, limit)
        return data, _tag(data)

    def write(self, path: str, data: bytes) -> None:
        target = self._prepared(path)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        target = self._prepared(path)
        with locked(target.parent):
            check_tag(target, tag)
            with atomic_path(target) as temporary:
                temporary.write_bytes(data)
        return _tag(data)

    def upload(self, path: str, source: Path) -> None:
        with atomic_path(self._prepared(path)) as temporary:
            shutil.copyfile(source, temporary)

    def download(self, path: str, target: Path) -> None:
        with open_regular(self._at(path)) as stream, target.open("wb") as copy:
            shutil.copyfileobj(stream, copy)

    def copy(self, path: str, target: str) -> None:
        """A second name of the same file, where the disk knows such: files that are written whole never change."""
        source = self._at(path)
        check_regular(source)
        if source.is_symlink():
            raise OSError(errno.ELOOP, "a link, which is not followed", str(source))
        with atomic_path(self._prepared(target)) as temporary:
            link_or_copy(source, temporary)

    def make_folder(self, path: str) -> None:
        make_folder(self._at(path))

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of a file; after a writer that died in the middle of its line a new one begins."""
        descriptor = os.open(self._prepared(path), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            written = os.write(descriptor, data)
            while written < len(data):  # a disk that is just full takes a part, then refuses
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)

    def remove_files(self, paths: Collection[str]) -> None:
        for path in sorted(paths, reverse=True):  # what is in a folder before the folder
            if path.endswith("/"):
                self.remove_empty(path.rstrip("/"))
            else:
                self._at(path).unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        top = self._at(path)
        if top.is_dir() and not top.is_symlink():
            while top.exists():
                with contextlib.suppress(FileNotFoundError):  # another one removes it at the same time
                    shutil.rmtree(top)
        else:
            top.unlink(missing_ok=True)

    def remove_if(self, path: str, tag: str) -> bool:
        target = self._at(path)
        with locked(target.parent):
            if tag_of(target) != tag:
                return False
            target.unlink()
        return True

    def now(self) -> datetime:
        try:
            return datetime.fromtimestamp(facts_of_new_file(self.root).st_mtime, UTC)
        except OSError:  # for want of rights or room: on a disk of this machine it is the same
            return datetime.now(UTC)

    def abort_uploads(self, before: datetime) -> int:  # noqa: ARG002  # as on S3
        return 0

    def remove_empty(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                self._at(path).rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise

    def _below(self, path: str, *, onerror: Callable[[OSError], None] | None) -> Iterator[tuple[str, bool]]:
        """What is at any depth below a folder, and whether it is a file; links to folders are not followed."""
        top = self._at(path)
        for folder, folders, files in os.walk(top, onerror=onerror):
            start = Path(folder).relative_to(top)
            yield from (((start / name).as_posix(), False) for name in folders)
            yield from (((start / name).as_posix(), True) for name in files)

    def _at(self, path: str) -> Path:
        return self.root / path if path else self.root

    def _prepared(self, path: str) -> Path:
        target = self._at(path)
        _refuse_links_of_others(target.parent, self.root)
        make_folder(target.parent)
        return target


def _refuse_links_of_others(folder: Path, root: Path) -> None:
    """Refuse to write through a link to a folder that another user has put below the root; one's own are followed.

    :raises OSError: there is one.
    """
    for at in [folder, *folder.parents][: len(folder.parts) - len(root.parts)]:
        if at.is_symlink() and at.lstat().st_uid not in (os.geteuid(), root.stat().st_uid):
            raise OSError(errno.ELOOP, "a link of another user, which is not followed", str(at))


def link_or_copy(source: Path, target: Path) -> None:
    """A second name of a file, or where the disk knows none a copy with its rights and times."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target)


def leads_out(path: Path, folder: Path) -> bool:
    """Whether links on the way to a path below a folder lead out of it; the folder itself may be a link."""
    below = [path, *path.parents][: len(path.parts) - len(folder.parts)]
    # Mostly there is no link, which is far quicker to tell than where paths really lie.
    if ".." not in path.parts and not any(map(os.path.islink, below)):
        return False
    return not os.path.realpath(path).startswith(os.path.realpath(folder).rstrip("/") + "/")


def _time(facts: os.stat_result) -> datetime:
    return datetime.fromtimestamp(facts.st_mtime, UTC)


def _raise(error: OSError) -> None:
    raise error


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tag_of(file: Path) -> str | None:
    """The tag of a file's content, as `Store.read_tagged` gives it; None when it is absent."""
    if not file.exists():
        return None
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_tag(file: Path, tag: str | None) -> None:
    """Refuse to write a file that another writer has written.

    :param tag: What it had; None: it was absent.
    :raises StorageError: when it has another one.
    """
    if tag_of(file) != tag:
        raise StorageError(f"{file} was written by another run in the meantime: run the step again.")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder against other processes that ask so too, and leaves no lock file.

    A network filesystem that knows no locks is used without one: what is written there is still whole, but of two
    writers in the same instant the first would not learn of the other.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)

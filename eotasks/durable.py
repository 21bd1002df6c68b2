"""Files that are written whole and stay written: the one rule for every file that the project makes on a disk.

A file is written under another name beside its target, flushed, and renamed; then its folder is flushed. So a reader
sees the old content or the new one, and a power cut leaves one of them: without the flush it can leave the new name on
an empty file. Rights are those that the umask (or the folder's access list) gives to any new file, also where a library
makes files with rights of its own, as SQLite does.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Of files that are being written; what still has it after a run is left over."""

_NAME_BYTES = 255
"""What a disk takes for a name."""

_FLUSHES = 8

_CANNOT_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS})
"""What filesystems say that flush no folders, such as some of the network."""


@contextlib.contextmanager
def atomic_path(target: Path, *, without: int = 0) -> Iterator[Path]:
    """A temporary path beside the target that takes its name when the block ends well, and vanishes otherwise.

    :param target: The path to write; its folder has to exist.
    :param without: Bits of rights that the file never has, whatever a new one would get.
    """
    temporary = temporary_beside(target)
    rights = stat.S_IMODE(facts_of_new_file(target.parent).st_mode) & ~without
    try:
        yield temporary
        _finish(temporary, rights)
        temporary.replace(target)
        flush_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):  # the error under way says more
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """As `atomic_path`, of a new folder with all that is in it.

    :param target: Absent or empty; the folder that it is in has to exist.
    """
    temporary = temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        flush_tree(temporary)
        temporary.replace(target)
        flush_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def temporary_beside(target: Path) -> Path:
    """A path in the same folder, with the same ending, and no longer than a name may be."""
    prefix = f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-"
    name, room = os.fsencode(target.name), _NAME_BYTES - len(prefix)
    if len(name) > room:
        name = name[-room:].lstrip(bytes(range(0x80, 0xC0)))  # no half letter at its start
    return target.with_name(prefix + os.fsdecode(name))


def make_folder(folder: Path) -> None:
    """Makes a folder and those on the way to it that are absent, so that a power cut does not take them away again."""
    for holder in make_folders(folder):
        flush_folder(holder)


def make_folders(folder: Path) -> list[Path]:
    """As `make_folder`, and leaves it to the caller to flush what it gives: the folders that got a new one."""
    absent = list(itertools.takewhile(lambda each: not each.is_dir(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    return [made.parent for made in reversed(absent)]


def flush_tree(folder: Path, holders: Iterable[Path] = ()) -> None:
    """Finishes all files of a folder that is to be put in place, then flushes the folders.

    :param holders: Folders outside that are flushed too, as `make_folders` gave them.
    """
    rights = stat.S_IMODE(facts_of_new_file(folder).st_mode)
    below = [(Path(inside), names) for inside, _, names in os.walk(folder, topdown=False, onerror=_raise)]
    files = [inside / name for inside, names in below for name in names]
    # Disks take flushes together that come together: one by one costs several times as much.
    with ThreadPoolExecutor(_FLUSHES) as pool:
        list(pool.map(lambda file: _finish(file, rights), files))
        list(pool.map(flush_folder, [*(inside for inside, _ in below), *holders]))


def flush_folder(folder: Path) -> None:
    """Names of what is in a folder: a rename is on the disk when its folder is."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # may be written and not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)


def flush_file(path: Path) -> None:
    """Content before name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _finish(path: Path, rights: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != rights:
        path.chmod(rights)
    flush_file(path)


def facts_of_new_file(folder: Path) -> os.stat_result:
    """What a new file in a folder is like: its rights, which the umask alone does not say, and the server's time."""
    path = temporary_beside(folder / "new")
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


def _raise(error: OSError) -> None:
    raise error

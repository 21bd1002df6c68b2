"""Where compiled kernels are kept: numba's cache, of which nothing is opened that somebody else can have written.

numba keeps code as pickles, which run any program when they are read. Files of data beside them (`OwnFile`), of which
masks are made, are kept by the same rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

from eotasks.durable import atomic_path
from eotasks.limits import Limit
from eotasks.reading import read_regular

LOGGER = logging.getLogger(__name__)

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_PATIENCE_S = 120.0
"""How long a process waits for the one that compiles: many times what any kernel takes."""


class KeptCode(FunctionCache):
    """numba's cache, but that foreign or damaged files, a full disk or lost rights cost a compilation and no more."""

    def __init__(self, function: Any) -> None:
        self._impl_class = _OwnFolder
        super().__init__(function)
        files = self._cache_file
        self._cache_file = _OwnFiles(self._cache_path, self._impl.filename_base, files._source_stamp)
        self._cache_file.owners = self._impl.locator.owners
        self._lock = _CompileLock(Path(self._cache_path) / f"{self._impl.filename_base}.lock")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept code of a signature; None when there is none to trust: then it is compiled by the caller.

        Of many processes that begin at once, one compiles a function, and the others wait for its code.
        """
        found = self._load(sig, target_context)
        if found is None and self._lock.acquire():
            found = self._load(sig, target_context)
            if found is not None:
                self._lock.release()
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - unpickling damaged bytes raises anything
            LOGGER.warning("Kept code is damaged (%s in %s) and is made anew.", type(error).__name__, self.cache_path)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps the code of a signature."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            LOGGER.warning("Compiled code cannot be kept in %s: %s. Set NUMBA_CACHE_DIR.", self.cache_path, error)
        finally:
            self._lock.release()

    def give_up(self) -> None:
        """What was to be kept will not come: the next process may compile it."""
        self._lock.release()


class _CompileLock:
    """Held by the process that compiles a function, from when its code was not found until it is kept.

    It is the kernel's lock of a file, which ends with its process; where there is no such lock, or whoever holds it is
    stuck, each compiles for itself. Threads of a process take turns by numba's own lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Waits for it; False when somebody else may still be compiling, or nobody can lock here."""
        if self._descriptor is not None:
            return True
        with contextlib.suppress(OSError):  # no rights, or no locks in this file system
            self._descriptor = _lock_file(self._path, time.monotonic() + _PATIENCE_S)
        return self._descriptor is not None

    def release(self) -> None:
        """Lets the next one look for the code."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock_file(path: Path, until: float) -> int | None:
    """The descriptor of a file that nobody else has locked; None when somebody has until that time."""
    with contextlib.ExitStack() as on_failure:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        on_failure.callback(os.close, descriptor)
        while time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                on_failure.pop_all()
                return descriptor
            time.sleep(0.02)
    return None


class _OwnFiles(IndexDataCacheFile):
    """numba's files of one function, in a folder that nobody else writes to."""

    owners: Collection[int] = ()

    def _load_index(self) -> Any:
        return super()._load_index() if self._is_own(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        is_own = os.path.basename(name) == name and self._is_own(self._data_path(name))  # noqa: PTH119 - names of numba's
        return super()._load_data(name) if is_own else None

    def _is_own(self, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            fault = _fault(Path(path), self.owners, stat.S_ISREG)
            if fault is not None:
                LOGGER.warning("Kept code is not read and is made anew: %s.", fault)
            return fault is None
        return True  # numba knows what to do

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[Any]:
        with super()._open_for_write(filepath) as stream:
            os.fchmod(stream.fileno(), stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & ~_BY_OTHERS)
            yield stream


class _PrivateFolder:
    """A locator whose folder, and the one that holds it, are of this user and written to by nobody else."""

    _py_file: str

    @property
    def owners(self) -> tuple[int, ...]:
        """Who may have written its files."""
        return (os.geteuid(),)

    def ensure_cache_path(self) -> None:
        """Makes both folders where they are absent, for this user alone.

        :raises OSError: when one is a link, of another user, or writable by others; numba then takes another folder.
        """
        folder = Path(self.get_cache_path())  # type: ignore[attr-defined]
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        # Others may write to the upper one, such as /tmp, where they cannot rename what is not theirs.
        sticky = folder.parent.lstat().st_mode & stat.S_ISVTX
        upper = None if sticky else _fault(folder.parent, self.owners, stat.S_ISDIR)
        _refuse(upper or _fault(folder, self.owners, stat.S_ISDIR))
        super().ensure_cache_path()  # type: ignore[misc]


class _Given(_PrivateFolder, UserProvidedCacheLocator):
    """In NUMBA_CACHE_DIR."""


class _OfUser(_PrivateFolder, UserWideCacheLocator):
    """In the user's cache folder."""


class _BesideSource(InTreeCacheLocator):
    """In ``__pycache__``, from which Python runs what it finds: whoever may write there or to the source is trusted."""

    @property
    def owners(self) -> tuple[int, ...]:
        """Who may have written its files: this user, the administrator, and whose the source is."""
        return (os.geteuid(), 0, Path(self._py_file).stat().st_uid)

    def ensure_cache_path(self) -> None:
        """:raises OSError: when more may write to the folder than to the source's; numba then takes another one."""
        folder = Path(self.get_cache_path())
        with contextlib.suppress(FileNotFoundError):
            _refuse(_fault(folder, self.owners, stat.S_ISDIR, allowed=folder.parent.stat().st_mode & _BY_OTHERS))
        super().ensure_cache_path()


class _OwnFolder(CompileResultCacheImpl):
    _locator_classes = [_Given, _BesideSource, _OfUser]  # noqa: RUF012 - numba's name


@dataclass(frozen=True)
class OwnFile:
    """A file of data in the folder where the code of a module is kept, which only this user writes."""

    path: Path
    owners: Collection[int]
    """Who may have written it."""

    @classmethod
    def beside(cls, function: Callable[..., Any], name: str) -> OwnFile:
        """The file of a name in the folder for a function's code, which is made where it is absent.

        :raises OSError: when no folder can be written that is of this user alone.
        """
        try:
            locator = _OwnFolder(function).locator
        except RuntimeError as error:  # numba's word for "no folder to keep it in"
            raise PermissionError(str(error)) from error
        return cls(Path(locator.get_cache_path()) / name, locator.owners)

    def read(self, limit: Limit) -> bytes:
        """Its content.

        :raises OSError: when it is absent, not a plain file, longer than the limit, or somebody else can have written
            it.
        """
        fault = _fault(self.path, self.owners, stat.S_ISREG)
        if fault is not None:
            raise PermissionError(fault)
        return read_regular(self.path, limit)

    def write(self, content: bytes) -> None:
        """Writes it whole, or not at all.

        :raises OSError: when it cannot be.
        """
        with atomic_path(self.path, without=_BY_OTHERS) as temporary:
            temporary.write_bytes(content)


def _fault(path: Path, owners: Collection[int], is_kind: Any, *, allowed: int = 0) -> str | None:
    """Why a folder or file may be somebody else's work; None when it cannot be.

    :param allowed: Bits of writing by others that are no fault.
    :raises FileNotFoundError: when it is absent.
    """
    found = path.lstat()
    if not is_kind(found.st_mode):
        return f"{path} is a link or no plain file or folder"
    if found.st_uid not in owners:
        return f"{path} belongs to user {found.st_uid}"
    if found.st_mode & _BY_OTHERS & ~allowed:
        return f"{path} can be written by others (chmod go-w)"
    return None


def _refuse(fault: str | None) -> None:
    if fault is not None:
        _tell(fault)
        raise PermissionError(fault)


@cache
def _tell(fault: str) -> None:
    """Once in a process: there are many kernels."""
    LOGGER.warning(
        "Compiled code is not kept there, since it would run what others put in: %s. Set NUMBA_CACHE_DIR to a folder of"
        " your own.",
        fault,
    )

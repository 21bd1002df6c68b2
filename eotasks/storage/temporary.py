"""Temporary files: private, in one folder a process, and gone when it is, however it ends.

A process that ends by itself removes its folder, workers too (which skip what Python does at an exit); a batch gives
its workers a folder of its own, for those that are killed; and what a killed program has left goes when the next one of
the same user on this machine needs such a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from eotasks.storage.process import ProcessIdentity

_PREFIX = "eotasks-"
_OWNER = ".owner.json"
"""Which process a folder is of."""


class OwnFolder:
    """A new private folder (0700) of this process, in that of the system or of ``TMPDIR``.

    It goes with this object, and at the latest with the process; a forked child leaves it alone.
    """

    def __init__(self) -> None:
        _remove_those_of_the_dead(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.remove = Finalize(self, shutil.rmtree, (self.path, True), exitpriority=0)
        """Removes it now; what cannot be removed is left."""
        with contextlib.suppress(OSError):  # of a full disk: whoever writes into the folder is told
            (self.path / _OWNER).write_text(json.dumps(asdict(ProcessIdentity.current())))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder for a block, removed at its end.

    Not by `tempfile.TemporaryDirectory`: there a forked child that ends removes what is its parent's.
    """
    process, folder = os.getpid(), tempfile.mkdtemp(dir=_folder_of_process())
    try:
        yield Path(folder)
    finally:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Made:
    version: Hashable
    folder: Path
    path: Path


class FilesOfProcess:
    """Files that are made when they are first asked for, and go with the process; a forked child makes its own."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def path(self, key: Hashable, make: Callable[[Path], Path], *, version: Hashable = None) -> Path:
        """What is there under a key, else what is made now.

        :param version: Of what it is made of: where there is another one under the key, that is removed.
        :param make: Makes it in a new private folder, and gives its path; what it leaves when it fails is removed.
        """
        with self._lock:
            known = self._made.get(key)
            if known is not None and known.version == version and known.path.exists():
                return known.path
            if known is not None:  # of another version, or some machine cleans its temporary files
                del self._made[key]
                shutil.rmtree(known.folder, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(dir=_folder_of_process()))
            try:
                path = make(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._made[key] = _Made(version, folder, path)
            return path

    def _begin(self) -> None:
        """In a child, too: a thread that is not there may hold the lock, and the files are its parent's."""
        self._lock = threading.Lock()
        self._made: dict[Hashable, _Made] = {}


_lock = threading.Lock()
_of_process: OwnFolder | None = None


def _folder_of_process() -> Path:
    global _of_process  # one in a process
    with _lock:
        if _of_process is None or not _of_process.path.is_dir():  # some machines clean theirs every few days
            _of_process = OwnFolder()
        return _of_process.path


def _forget() -> None:
    """What a forked child inherits is its parent's, who removes it."""
    global _lock, _of_process
    _lock, _of_process = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def _remove_those_of_the_dead(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():  # in /tmp others may write too
                continue
            owner = ProcessIdentity.parse(json.loads((folder / _OWNER).read_bytes()))
        except (OSError, ValueError):  # gone since it was listed, or not one of these
            continue
        if owner is not None and owner.state() == "gone":
            shutil.rmtree(folder, ignore_errors=True)

"""Files on S3 for libraries that read from disk only: one copy in a process, a new one when the object has changed."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from eotasks.storage import s3
from eotasks.storage.location import is_s3
from eotasks.storage.temporary import OwnFolder

_lock = threading.Lock()
_copies: dict[tuple[str, str], Path] = {}
_folder: OwnFolder | None = None


def local_path_of(path: str | Path) -> str | Path:
    """The file itself, or the path of a copy when it is ``s3://bucket/key``; the copy goes with the process.

    :raises StorageError: when the object is absent or cannot be read.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    if not is_s3(path):
        return path
    global _folder  # one in a process
    location = str(path)
    key = location, object_tag(location)
    with _lock:
        if key not in _copies or not _copies[key].exists():  # some machines clean their temporary files
            if _folder is None or not _folder.path.is_dir():
                _folder = OwnFolder()
            folder = Path(tempfile.mkdtemp(dir=_folder.path))
            target = folder / location.rpartition("/")[2]  # libraries choose a format by the ending
            s3.download_file(location, target)
            _copies[key] = target
        return _copies[key]


def object_tag(location: str) -> str:
    """The ETag of ``s3://bucket/key``: another content has another one.

    :raises StorageError: when the object is absent or cannot be read.
    """
    return s3.object_facts(location).tag


def _forget() -> None:
    """What a forked child inherits is its parent's, who removes it; a thread that is not there may hold the lock."""
    global _lock, _folder
    _lock, _folder = threading.Lock(), None
    _copies.clear()


os.register_at_fork(after_in_child=_forget)

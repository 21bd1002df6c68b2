"""Files on S3 for libraries that read from disk only: one copy in a process, a new one when the object has changed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from eotasks.storage import s3
from eotasks.storage.location import is_s3

_LOCK = threading.Lock()
_COPIES: dict[tuple[int, str, str], Path] = {}
_FOLDERS: dict[int, TemporaryDirectory[str]] = {}
"""By process: what a forked child inherits belongs to its parent, who removes it."""


def local_path_of(path: str | Path) -> str | Path:
    """The file itself, or the path of a copy when it is ``s3://bucket/key``; the copy goes with the process.

    :raises StorageError: when the object is absent or cannot be read.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    if not is_s3(path):
        return path
    location, process = str(path), os.getpid()
    key = process, location, object_tag(location)
    with _LOCK:
        if key not in _COPIES:
            if process not in _FOLDERS:
                _FOLDERS[process] = TemporaryDirectory(prefix="eotasks-")
            folder = Path(_FOLDERS[process].name, str(len(_COPIES)))
            folder.mkdir()
            target = folder / location.rpartition("/")[2]  # libraries choose a format by the ending
            s3.download_file(location, target)
            _COPIES[key] = target
        return _COPIES[key]


def object_tag(location: str) -> str:
    """The ETag of ``s3://bucket/key``: another content has another one.

    :raises StorageError: when the object is absent or cannot be read.
    """
    return s3.object_facts(location).tag

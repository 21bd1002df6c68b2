"""Files on S3 for libraries that read from disk only: one copy in a process, a new one when the object has changed."""

from __future__ import annotations

from pathlib import Path

from eotasks.storage import s3
from eotasks.storage.location import is_s3
from eotasks.storage.temporary import FilesOfProcess

_copies = FilesOfProcess()


def local_path_of(path: str | Path) -> str | Path:
    """The file itself, or the path of a copy when it is ``s3://bucket/key``; the copy goes with the process.

    :raises StorageError: when the object is absent or cannot be read.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    if not is_s3(path):
        return path
    location = str(path)

    def copy(folder: Path) -> Path:
        target = folder / location.rpartition("/")[2]  # libraries choose a format by the ending
        s3.download_file(location, target)
        return target

    return _copies.path((location, object_tag(location)), copy)


def object_tag(location: str) -> str:
    """The ETag of ``s3://bucket/key``: another content has another one.

    :raises StorageError: when the object is absent or cannot be read.
    """
    return s3.object_facts(location).tag

"""The files of a product from the one location that a user gives."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from eotasks.errors import ImageryError, StorageError
from eotasks.imagery.files import http
from eotasks.imagery.files.bucket import BucketFiles
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import ProductFiles
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.files.zip import ZipFiles, begins_as_zip, is_zip
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3, plain_scheme


def open_files(location: str | os.PathLike[str], origin: Origin | None = None) -> ProductFiles:
    """The files at a location.

    :param location: A folder or a zip, on disk, at ``s3://bucket/…`` or ``https://…``.
    :param origin: Of what lies there; None when the user named it himself.
    :raises ImageryError: when nothing is there, or it is neither a folder nor a zip.
    :raises CredentialsError: when a bucket wants other credentials.
    """
    text = plain_scheme(os.fspath(location))
    known = origin or Origin.of(text)
    if is_remote(text):
        return _open_remote(text, known)
    path = Path(text)
    if path.is_dir():
        return FolderFiles(path)
    if text.lower().endswith(".zip") or is_zip(path):
        return ZipFiles(text, known)
    what = "neither a folder nor a zip" if path.exists() else "nothing there"
    raise ImageryError(f"{path}: {what}. Give a product: its folder or zip, or its address on S3 or the web.")


def _open_remote(text: str, origin: Origin) -> ProductFiles:
    """Files at an address. One whose name says nothing is looked at when it is no folder: archives hand out zips under
    numbers.
    """
    if urlsplit(text).path.lower().endswith(".zip"):
        return ZipFiles(text, origin)
    files: ProductFiles = BucketFiles(text.rstrip("/")) if is_s3(text) else WebFiles(text, origin)
    try:
        files.names()
    except ImageryError as error:
        if not _is_remote_zip(text, origin):
            raise error from error.__cause__
        return ZipFiles(text, origin)
    return files


def _is_remote_zip(text: str, origin: Origin) -> bool:
    try:
        content = s3.read_range(text, 0, 4) if is_s3(text) else http.read_range(text, 0, 4, origin.internal)
    except (ImageryError, StorageError):
        return False
    return begins_as_zip(content)

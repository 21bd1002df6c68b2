"""The files of a product from the one location that a user gives."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from eotasks.errors import ImageryError
from eotasks.imagery.files.bucket import BucketFiles
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import ProductFiles
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.files.zip import ZipFiles
from eotasks.storage.location import is_remote, is_s3, is_web, plain_scheme


def open_files(location: str | os.PathLike[str], origin: Origin | None = None) -> ProductFiles:
    """The files at a location.

    :param location: A folder or a zip, on disk, at ``s3://bucket/…`` or ``https://…``.
    :param origin: Of what lies there; None when the user named it himself.
    :raises ImageryError: when nothing is there, or it is neither a folder nor a zip.
    :raises CredentialsError: when a bucket wants other credentials.
    """
    text = plain_scheme(os.fspath(location))
    known = origin or Origin.of(text)
    is_zip = urlsplit(text).path.lower().endswith(".zip") if is_remote(text) else text.lower().endswith(".zip")
    if is_zip:
        return ZipFiles(text, known)
    if is_s3(text):
        return BucketFiles(text.rstrip("/"))
    if is_web(text):
        return WebFiles(text, known)
    path = Path(text)
    if not path.is_dir():
        what = "neither a folder nor a zip" if path.exists() else "nothing there"
        raise ImageryError(f"{path}: {what}. Give a product: its folder or zip, or its address on S3 or the web.")
    return FolderFiles(path)

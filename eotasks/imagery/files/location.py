"""Where the files of a product lie: a folder, a zip, a prefix in a bucket, a web server, or scattered over several.

What is inside an archive or behind an address is not ours: names that lead elsewhere are refused, nothing is unpacked,
and no file of metadata is read that is larger than any real one.
"""

from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import rasterio

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.models.sentinel2 import BANDS

if TYPE_CHECKING:
    from eotasks.imagery.products.product import Fingerprint, ProductFiles

MAX_METADATA = 64 * 1024**2
"""Bytes of a file of metadata: those of a data strip reach 13 MB, those of a tile half of one."""

_QUESTIONS = 8
"""Asked of a web server at a time."""

MAX_NAMES = 20_000
"""Files of one product: real ones have some hundred."""


def open_files(location: str | os.PathLike[str]) -> ProductFiles:
    """The files at a location.

    :param location: A folder or a zip, on disk, at ``s3://bucket/…`` or ``https://…``.
    :raises ImageryError: when nothing is there, or it is neither a folder nor a zip.
    :raises CredentialsError: when a bucket wants other credentials.
    """
    from eotasks.imagery.files.zip import ZipFiles

    text = os.fspath(location)
    is_zip = urlsplit(text).path.lower().endswith(".zip") if is_remote(text) else text.lower().endswith(".zip")
    if is_zip:
        return ZipFiles(text)
    if text.startswith("s3://"):
        return BucketFiles(text.rstrip("/"))
    if is_remote(text):
        return WebFiles(text)
    path = Path(text)
    if not path.is_dir():
        what = "neither a folder nor a zip" if path.exists() else "nothing there"
        raise ImageryError(f"{path}: {what}. Give a product: its folder or zip, or its address on S3 or the web.")
    return FolderFiles(path)


def is_remote(location: str) -> bool:
    """Whether a location is an address rather than a path on disk."""
    return location.startswith(("s3://", "http://", "https://"))


def shown(location: str) -> str:
    """A location for messages: no user, password or signature in it."""
    parts = urlsplit(location)
    if parts.scheme not in ("http", "https"):
        return location
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def checked(name: str, where: str) -> str:
    """A name inside a product.

    :raises ImageryError: when it leads out of it.
    """
    parts = name.split("/")
    if not name or "\\" in name or "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise ImageryError(f"{where}: holds a file named {name!r}, which leads out of the product. It is not read.")
    return name


def limited(name: str, size: int, where: str) -> None:
    """Refuse to read a file into memory that is larger than it can be.

    :raises ImageryError: when it is.
    """
    if size > MAX_METADATA:
        raise ImageryError(
            f"{where}: {name} has {size:,} bytes, metadata has less than {MAX_METADATA:,}. It is not read."
        )


def gdal_path(location: str) -> str:
    """What rasterio opens for a path, an ``s3://`` or an ``https://`` address."""
    if location.startswith("s3://"):
        return f"/vsis3/{location.removeprefix('s3://')}"
    if is_remote(location):
        return f"/vsicurl/{location}"
    return location


def gdal_settings(*locations: str) -> AbstractContextManager[object]:
    """GDAL's settings while files at some locations are open.

    :raises CredentialsError: when those of a bucket are half given.
    """
    remote = [location for location in locations if is_remote(location)]
    if not remote:
        return nullcontext()
    settings: dict[str, Any] = {}
    if any(not location.startswith("s3://") for location in remote):
        settings |= http.GDAL_SETTINGS
    if any(location.startswith("s3://") for location in remote):
        from eotasks.storage.s3 import gdal_environment

        settings |= gdal_environment()
    environment: AbstractContextManager[object] = rasterio.Env(**settings)
    return environment


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder on disk."""

    path: Path

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.path)

    def names(self) -> list[str]:
        """Sorted names of all files.

        :raises ImageryError: when the folder cannot be listed, or holds too much for a product.
        """
        found: list[str] = []
        try:
            for folder, _, files in os.walk(self.path, onerror=_raise):
                below = Path(folder).relative_to(self.path)
                found += [(below / name).as_posix() for name in files]
                if len(found) > MAX_NAMES:
                    raise ImageryError(f"{self.path}: more than {MAX_NAMES} files. Give the folder of one product.")
        except OSError as error:
            raise ImageryError(f"{self.path}: cannot be listed ({error.strerror}). Check its rights.") from error
        return sorted(found)

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it cannot be read.
        """
        path = self.path / checked(name, self.location)
        try:
            limited(name, path.stat().st_size, self.location)
            return path.read_bytes()
        except OSError as error:
            raise ImageryError(f"{self.location}: {name} cannot be read ({error.strerror}). Fetch it again.") from error

    def raster_path(self, name: str) -> str:
        """The file."""
        return str(self.path / checked(name, self.location))

    def reading(self) -> AbstractContextManager[object]:
        """Nothing to set."""
        return nullcontext()

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change.

        :raises ImageryError: when the file is gone.
        """
        try:
            facts = (self.path / name).stat()
        except OSError as error:
            raise ImageryError(f"{self.location}: {name} is gone ({error.strerror}). Fetch it again.") from error
        return facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True)
class BucketFiles:
    """Files below a prefix of a bucket."""

    location: str
    """``s3://bucket/prefix`` without a slash at its end."""

    @cached_property
    def _sizes(self) -> dict[str, Fingerprint]:
        from eotasks.storage.s3 import s3_client, s3_errors, split_location

        bucket, prefix = split_location(self.location)
        start = f"{prefix}/" if prefix else ""
        found: dict[str, Fingerprint] = {}
        with s3_errors(self.location):
            for page in s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(start)
                    if name and not name.endswith("/"):
                        found[name] = int(entry["Size"]), int(entry["LastModified"].timestamp() * 1e9)
                if len(found) > MAX_NAMES:
                    raise ImageryError(f"{self.location}: more than {MAX_NAMES} objects. Give the prefix of a product.")
        if not found:
            raise ImageryError(f"{self.location}: nothing there. Check the bucket and the prefix.")
        return found

    def names(self) -> list[str]:
        """Sorted names of all objects below the prefix.

        :raises ImageryError: when there are none, or too many for a product.
        :raises StorageError: when the bucket cannot be reached.
        :raises CredentialsError: when it wants other credentials.
        """
        return sorted(self._sizes)

    def read_bytes(self, name: str) -> bytes:
        """A whole object of metadata.

        :raises ImageryError: when it is too large.
        :raises StorageError: when it is absent or cannot be read.
        :raises CredentialsError: when the bucket wants other credentials.
        """
        from eotasks.storage.s3 import read_object

        if name in self._sizes:
            limited(name, self._sizes[name][0], self.location)
        return read_object(f"{self.location}/{checked(name, self.location)}")

    def raster_path(self, name: str) -> str:
        """The object for GDAL."""
        return gdal_path(f"{self.location}/{checked(name, self.location)}")

    def reading(self) -> AbstractContextManager[object]:
        """Endpoint and credentials for GDAL."""
        return gdal_settings(self.location)

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change.

        :raises ImageryError: when there is no such object.
        """
        if name not in self._sizes:
            raise ImageryError(f"{self.location}: {name} is not there. Fetch it again.")
        return self._sizes[name]


@dataclass(frozen=True)
class WebFiles:
    """Files below an address of a web server, which cannot be listed: what is there, its manifest says.

    A server that answers to ranges of bytes is asked for no more of an image than a window needs.
    """

    url: str = field(repr=False)

    @property
    def location(self) -> str:
        """The address without user and signature."""
        return shown(self.url)

    @cached_property
    def _names(self) -> list[str]:
        manifest = self._of_manifest()
        if manifest is not None:
            return manifest
        with ThreadPoolExecutor(_QUESTIONS) as pool:
            sizes = pool.map(http.size_of, map(self._address, _TILE_NAMES))
            found = [name for name, size in zip(_TILE_NAMES, sizes, strict=True) if size is not None]
        if not found:
            raise ImageryError(
                f"{self.location}: no manifest.safe and no tile there. Give the address of a .SAFE folder, of a zip, or"
                " of a tile in the layout of the AWS buckets."
            )
        return found

    def _of_manifest(self) -> list[str] | None:
        from eotasks.imagery.xml import named, parse_xml

        if http.size_of(self._address("manifest.safe")) is None:
            return None
        where = f"{self.location}: manifest.safe"
        root = parse_xml(http.read(self._address("manifest.safe"), MAX_METADATA), where)
        links = [str(element.get("href", "")).removeprefix("./") for element in named(root, "fileLocation")]
        return sorted({checked(unquote(link), where) for link in links if link})

    def names(self) -> list[str]:
        """Sorted names of the files that manifest.safe lists, or of those of a tile that are there.

        :raises ImageryError: when neither is.
        """
        return self._names

    def read_bytes(self, name: str) -> bytes:
        """A whole file of metadata.

        :raises ImageryError: when it is absent, too large, or the server fails.
        """
        return http.read(self._address(name), MAX_METADATA)

    def raster_path(self, name: str) -> str:
        """The file for GDAL."""
        return gdal_path(self._address(name))

    def reading(self) -> AbstractContextManager[object]:
        """Timeouts and repetitions for GDAL."""
        return gdal_settings(self.url)

    def fingerprint(self, name: str) -> Fingerprint:
        """Size, and 0 for the time.

        :raises ImageryError: when there is no such file.
        """
        size = http.size_of(self._address(name))
        if size is None:
            raise ImageryError(f"{self.location}: {name} is not there. Check the address.")
        return size, 0

    def _address(self, name: str) -> str:
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(checked(name, self.location))}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


_TILE_NAMES = (
    "metadata.xml", "tileInfo.json", "productInfo.json",
    *(f"B{number:02}.jp2" for number in range(1, 13)), "B8A.jp2",
    *(f"R10m/{band}.jp2" for band in ("B02", "B03", "B04", "B08")),
    *(f"R20m/{band}.jp2" for band in ("B05", "B06", "B07", "B8A", "B11", "B12", "SCL")),
    *(f"R60m/{band}.jp2" for band in ("B01", "B09")),
    "qi/MSK_CLOUDS_B00.gml", "qi/MSK_CLASSI_B00.jp2",
    *(f"qi/MSK_DETFOO_{band}.{kind}" for band in BANDS for kind in ("gml", "jp2")),
)  # fmt: skip
"""What a tile of the AWS buckets has, as far as it is read."""


def object_fingerprint(location: str) -> Fingerprint:
    """Size and time of change of ``s3://bucket/key``.

    :raises StorageError: when it is absent or cannot be read.
    """
    from eotasks.storage.s3 import s3_client, s3_errors, split_location

    bucket, key = split_location(location)
    with s3_errors(location):
        facts: dict[str, Any] = s3_client().head_object(Bucket=bucket, Key=key)
    changed: dt.datetime = facts["LastModified"]
    return int(facts["ContentLength"]), int(changed.timestamp() * 1e9)


def _raise(error: OSError) -> None:
    raise error

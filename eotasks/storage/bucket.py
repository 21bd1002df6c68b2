"""A prefix in an S3 bucket as a store."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from eotasks.errors import StorageError
from eotasks.limits import LISTED_OBJECTS, RECORD_BYTES, Limit
from eotasks.storage import s3, s3_conditions
from eotasks.storage.store import Entry, Facts
from eotasks.storage.temporary import temporary_folder

_TOO_LARGE_TO_COPY = frozenset({"InvalidRequest", "EntityTooLarge"})
"""What S3 says of more than 5 GB, which are copied in parts; those take two requests more."""

_EMPTY_PAGE = 100
"""Objects that a page counts as at least."""


class BucketStore:
    """A prefix in an S3 bucket, by boto3.

    Not by fs-s3fs: that wants an empty object for every folder (what other tools have uploaded has none), asks several
    times for every file, and knows no conditional writes. A folder is here what has objects below it.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._bucket_is_there = False
        self.bucket, self.prefix = s3.split_location(location)

    def exists(self, path: str) -> bool:
        return (bool(path) and self.facts(path) is not None) or self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        below = self._key(path)
        with s3.asking(self._at(path)):
            answer = s3.s3_client().list_objects_v2(Bucket=self.bucket, Prefix=_folder(below), MaxKeys=1)
        return bool(answer.get("KeyCount", len(answer.get("Contents", ())))) or not below

    def names(self, path: str) -> list[str]:
        prefix = _folder(self._key(path))
        found: set[str] = set()
        for page in self._pages(path, Prefix=prefix, Delimiter="/"):
            found |= {entry["Prefix"][len(prefix) :].rstrip("/") for entry in page.get("CommonPrefixes", ())}
            found |= {entry["Key"][len(prefix) :] for entry in page.get("Contents", ())}
        return sorted(found - {""})

    def first_folders(self, number: int) -> tuple[dict[str, set[str]], int | None]:
        prefix = _folder(self.prefix)
        with s3.asking(self.location):
            page = s3.s3_client().list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        folders: dict[str, set[str]] = {}
        for entry in page.get("Contents", ()):
            name, _, inside = entry["Key"][len(prefix) :].partition("/")
            if inside and name and not name.startswith("."):
                folders.setdefault(name, set()).add(inside.partition("/")[0])
        count = None if page.get("IsTruncated") else len(folders)
        return dict(itertools.islice(sorted(folders.items()), number)), count

    def entries(self, path: str, *, folders: bool = False) -> Iterator[Entry]:
        for name, size, changed in self._objects(path, markers=folders):
            if name or folders:
                yield Entry(name.rstrip("/"), size, changed, is_file=not name.endswith("/"))

    def facts(self, path: str) -> Facts | None:
        found = self._object(path)
        return None if found is None else Facts.at(found.size, found.changed)

    def extent(self, path: str) -> tuple[int, datetime]:
        found = self._object(path) if path else None
        if found is not None:
            return found.size, found.changed
        objects = list(self._objects(path))
        return sum(size for _, size, _ in objects), max((time for *_, time in objects), default=datetime.now(UTC))

    def read(self, path: str, limit: Limit = RECORD_BYTES) -> bytes:
        return self.read_tagged(path, limit)[0]

    def read_tagged(self, path: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str]:
        return s3.read_tagged(self._at(path), limit)

    def write(self, path: str, data: bytes) -> None:
        s3.write_object(self._at(path), data)

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        return s3_conditions.write_if(self._at(path), data, tag)

    def upload(self, path: str, source: Path) -> None:
        s3.upload_file(source, self._at(path))

    def download(self, path: str, target: Path) -> None:
        s3.download_file(self._at(path), target)

    def copy(self, path: str, target: str) -> None:
        source = {"Bucket": self.bucket, "Key": self._key(path)}
        with s3.s3_errors(self._at(path)):
            try:
                s3.s3_client().copy_object(Bucket=self.bucket, Key=self._key(target), CopySource=source)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _TOO_LARGE_TO_COPY:
                    s3.s3_client().copy(source, self.bucket, self._key(target))
                elif s3.is_unknown(error):
                    with temporary_folder() as folder:
                        s3.download_file(self._at(path), folder / "copy")
                        s3.upload_file(folder / "copy", self._at(target))
                else:
                    raise

    def make_folder(self, path: str) -> None:
        with s3.asking(self._at(path)):
            s3.s3_client().put_object(Bucket=self.bucket, Key=_folder(self._key(path)), Body=b"")

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of an object, which is written anew; of several writers each one's data gets in."""
        for left in reversed(range(20)):
            there, tag = s3_conditions.read_if_there(self._at(path)) or (b"", None)
            between = b"\n" if there and not there.endswith(b"\n") else b""
            try:
                self.write_if(path, there + between + data, tag)
                return
            except StorageError as error:
                if not left or not s3.lost_race(error):
                    raise

    def remove(self, path: str) -> None:
        names = [name for name, *_ in self._objects(path, markers=True) if name]
        prefix = _folder(self._key(path))
        # Some servers (seaweedfs) keep a folder whose objects are gone, and list it, until its own key is removed.
        files = [name for name in names if not name.endswith("/")]
        keys = [f"{prefix}{name}" for name in (*files, *_folders_of(names))]
        keys += [prefix, self._key(path)] if path else []
        self._delete(path, keys)

    def remove_files(self, paths: Collection[str]) -> None:
        if paths:  # as in `remove`: what is in a folder before the folder
            self._delete("", [self._key(path) for path in sorted(paths, reverse=True)])

    def _delete(self, path: str, keys: list[str]) -> None:
        for start in range(0, len(keys), 1000):  # as many as one request takes
            with s3.asking(self._at(path)):
                answer = s3.s3_client().delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in keys[start : start + 1000]], "Quiet": True},
                )
            for failed in answer.get("Errors", ()):
                raise StorageError(
                    f"s3://{self.bucket}/{failed['Key']} cannot be removed ({failed.get('Code')}): check the rights."
                )

    def remove_if(self, path: str, tag: str) -> bool:
        return s3_conditions.remove_if(self._at(path), tag)

    def now(self) -> datetime:
        return s3.server_time(self.location)

    def abort_uploads(self, before: datetime) -> int:
        client = s3.s3_client()
        with s3.s3_errors(self.location):
            pages = client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=_folder(self.prefix)
            )
            found = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Initiated"] < before]
            for upload in found:
                client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(found)

    def remove_empty(self, path: str) -> None:
        """Nothing to remove: S3 has no empty folders."""

    def _object(self, path: str) -> s3.ObjectFacts | None:
        try:
            return s3.object_facts(self._at(path))
        except StorageError as error:
            if not s3.is_absent(error):
                raise
        if not self._bucket_is_there:
            s3.check_bucket(self.location)
            self._bucket_is_there = True
        return None

    def _objects(self, path: str, *, markers: bool = False) -> Iterator[tuple[str, int, datetime]]:
        """Relative name, bytes and time of all objects below a folder; other tools' folder markers when asked for."""
        prefix = _folder(self._key(path))
        for page in self._pages(path, Prefix=prefix):
            with s3.s3_errors(self._at(path)):
                found = [
                    (entry["Key"][len(prefix) :], int(entry["Size"]), entry["LastModified"])
                    for entry in page.get("Contents", ())
                ]
            yield from (facts for facts in found if markers or (facts[0] and not facts[0].endswith("/")))

    def _pages(self, path: str, **arguments: str) -> Iterator[dict[str, Any]]:
        pages = iter(s3.s3_client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **arguments))
        left = LISTED_OBJECTS.value
        while left > 0:
            with s3.asking(self._at(path)):
                page = next(pages, None)
            if page is None:
                return
            yield page
            # A page may be empty though there are others: of them, too, there is no end without a count.
            left -= max(len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ())), _EMPTY_PAGE)
        raise StorageError(f"{self._at(path)}: {LISTED_OBJECTS.excess()}. Give a prefix with less below it.")

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.prefix, path) if part)

    def _at(self, path: str) -> str:
        return f"{self.location}/{path}" if path else self.location


def _folders_of(names: list[str]) -> list[str]:
    """The folders that files are in, the deepest first, each with a slash at its end."""
    parts = [name.split("/") for name in names]
    folders = {f"{'/'.join(part[:depth])}/" for part in parts for depth in range(1, len(part))}
    return sorted(folders, key=lambda folder: (-folder.count("/"), folder))


def _folder(key: str) -> str:
    return f"{key}/" if key else ""

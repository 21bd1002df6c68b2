"""The two kinds of places, a folder and a prefix in a bucket, with the same methods.

`eotasks.storage.place.Place` is for users, and says what the methods do. Paths are relative, and checked there; "" is
all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from eotasks.errors import StorageError
from eotasks.storage import s3

TEMPORARY_PREFIX = ".tmp-"
"""Of files that are being written; what still has it after a run is rubbish."""


_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


class Entry(NamedTuple):
    """Something at any depth below a folder of a place."""

    path: str
    """Inside that folder."""

    size: int
    """Bytes; 0 for a folder."""

    changed: datetime
    """UTC."""

    is_file: bool
    """On S3 there are only files."""


class FolderStore:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def is_folder(self, path: str) -> bool:
        return self._at(path).is_dir()

    def names(self, path: str) -> list[str]:
        folder = self._at(path)
        return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []

    def entries(self, path: str) -> Iterator[Entry]:
        folder = self._at(path)
        for entry in sorted(folder.rglob("*")):
            try:
                facts = entry.stat()
            except FileNotFoundError:  # gone since it was listed
                continue
            is_file = stat.S_ISREG(facts.st_mode)
            changed = datetime.fromtimestamp(facts.st_mtime, UTC)
            yield Entry(entry.relative_to(folder).as_posix(), facts.st_size if is_file else 0, changed, is_file)

    def size(self, path: str) -> int | None:
        try:
            return self._at(path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def extent(self, path: str) -> tuple[int, datetime]:
        top = self._at(path)
        entries = [top, *top.rglob("*")] if top.is_dir() else [top]
        facts = [(entry.is_file(), entry.stat()) for entry in entries]
        changed = max(fact.st_mtime for _, fact in facts)
        return sum(fact.st_size for is_file, fact in facts if is_file), datetime.fromtimestamp(changed, UTC)

    def read(self, path: str) -> tuple[bytes, str]:
        data = self._at(path).read_bytes()
        return data, _tag(data)

    def write(self, path: str, data: bytes) -> None:
        target = self._prepared(path)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        target = self._prepared(path)
        with _locked(target.parent):
            there = _tag(target.read_bytes()) if target.exists() else None
            if there != tag:
                raise StorageError(f"{target} was written by another run in the meantime: run the step again.")
            with atomic_path(target) as temporary:
                temporary.write_bytes(data)
        return _tag(data)

    def upload(self, path: str, source: Path) -> None:
        with atomic_path(self._prepared(path)) as temporary:
            shutil.copyfile(source, temporary)

    def download(self, path: str, target: Path) -> None:
        shutil.copyfile(self._at(path), target)

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of a file; after a writer that died in the middle of its line a new one begins."""
        descriptor = os.open(self._prepared(path), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            written = os.write(descriptor, data)
            while written < len(data):  # a disk that is just full takes a part, then refuses
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        top = self._at(path)
        if top.is_dir() and not top.is_symlink():
            shutil.rmtree(top)
        else:
            top.unlink(missing_ok=True)

    def _at(self, path: str) -> Path:
        return self.root / path if path else self.root

    def _prepared(self, path: str) -> Path:
        target = self._at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


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
        return (bool(path) and self.size(path) is not None) or self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        below = self._key(path)
        with s3.s3_errors(self._at(path)):
            answer = s3.s3_client().list_objects_v2(Bucket=self.bucket, Prefix=_folder(below), MaxKeys=1)
        return bool(answer.get("KeyCount", len(answer.get("Contents", ())))) or not below

    def names(self, path: str) -> list[str]:
        prefix = _folder(self._key(path))
        found: set[str] = set()
        for page in self._pages(path, Prefix=prefix, Delimiter="/"):
            found |= {entry["Prefix"][len(prefix) :].rstrip("/") for entry in page.get("CommonPrefixes", ())}
            found |= {entry["Key"][len(prefix) :] for entry in page.get("Contents", ())}
        return sorted(found - {""})

    def entries(self, path: str) -> Iterator[Entry]:
        return (Entry(*facts, is_file=True) for facts in self._objects(path))

    def size(self, path: str) -> int | None:
        facts = self._facts(path)
        return None if facts is None else int(facts["ContentLength"])

    def extent(self, path: str) -> tuple[int, datetime]:
        facts = self._facts(path) if path else None
        if facts is not None:
            return int(facts["ContentLength"]), facts["LastModified"]
        objects = list(self._objects(path))
        return sum(size for _, size, _ in objects), max((time for *_, time in objects), default=datetime.now(UTC))

    def read(self, path: str) -> tuple[bytes, str]:
        return s3.read_tagged(self._at(path))

    def write(self, path: str, data: bytes) -> None:
        s3.write_object(self._at(path), data)

    def write_if(self, path: str, data: bytes, tag: str | None) -> str:
        try:
            return s3.write_object(self._at(path), data, replaces=tag, new=tag is None)
        except StorageError as error:
            if not s3.lost_race(error):
                raise
            # A write that came through, but whose answer was lost, was tried again and met itself.
            there, tag_there = self.read(path)
            if there != data:
                raise
            return tag_there

    def upload(self, path: str, source: Path) -> None:
        s3.upload_file(source, self._at(path))

    def download(self, path: str, target: Path) -> None:
        s3.download_file(self._at(path), target)

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of an object, which is written anew; of several writers each one's data gets in."""
        for left in reversed(range(20)):
            try:
                there, tag = self.read(path)
            except StorageError as error:
                if not s3.is_absent(error):
                    raise
                there, tag = b"", None
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
        for start in range(0, len(keys), 1000):  # as many as one request takes
            with s3.s3_errors(self._at(path)):
                answer = s3.s3_client().delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in keys[start : start + 1000]], "Quiet": True},
                )
            for failed in answer.get("Errors", ()):
                raise StorageError(
                    f"s3://{self.bucket}/{failed['Key']} cannot be removed ({failed.get('Code')}): check the rights."
                )

    def _facts(self, path: str) -> dict[str, Any] | None:
        with s3.s3_errors(self._at(path)):
            try:
                facts: dict[str, Any] = s3.s3_client().head_object(Bucket=self.bucket, Key=self._key(path))
            except s3.s3_client().exceptions.ClientError as error:
                if not s3.is_absent(error):
                    raise
                if not self._bucket_is_there:
                    s3.check_bucket(self.location)
                    self._bucket_is_there = True
                return None
            return facts

    def _objects(self, path: str, *, markers: bool = False) -> Iterator[tuple[str, int, datetime]]:
        """Relative name, bytes and time of all objects below a folder; other tools' folder markers when asked for."""
        prefix = _folder(self._key(path))
        for page in self._pages(path, Prefix=prefix):
            for entry in page.get("Contents", ()):
                name = entry["Key"][len(prefix) :]
                if markers or (name and not name.endswith("/")):
                    yield name, int(entry["Size"]), entry["LastModified"]

    def _pages(self, path: str, **arguments: str) -> Iterator[dict[str, Any]]:
        with s3.s3_errors(self._at(path)):
            yield from s3.s3_client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **arguments)

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


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside the target that takes its name when the block ends well, and vanishes otherwise.

    :param target: The path to write; its folder has to exist.
    """
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{target.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Content before name: without it a power cut can leave the new name on an empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder against other processes that ask so too, and leaves no lock file.

    A network filesystem that knows no locks is used without one: what is written there is still whole, but of two
    writers in the same instant the first would not be told.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)

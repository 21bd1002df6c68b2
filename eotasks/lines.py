"""Texts that grow by lines, such as the manifest of a batch, on disk and on S3.

An object cannot grow, and writing it anew for every line would cost the square of its length. On S3 an append is a new
object ``PATH.parts/TIME-ID``. When many have come together they are sealed: ``PATH`` is written with all lines so far
and the name of the last part in it as metadata (one operation), then those parts are removed. A reader passes over the
parts that are in ``PATH`` already, so that it sees every line once, whenever it looks.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from eotasks import s3
from eotasks._stores import BucketStore, Tail
from models.errors import StorageError

SEAL_PARTS = 64
"""So many parts are sealed into one object, when they are not few beside what is sealed already."""

SEAL_SHARE = 1 / 8
"""Parts of fewer bytes than this share of the sealed text wait: so each byte is written about eight times at most."""

_LAST = "eotasks-last-part"
"""Metadata of the sealed object."""


class Appendable(Protocol):
    """What a `LineWriter` writes to: a Place."""

    @property
    def is_local(self) -> bool:
        """Whether appending costs next to nothing."""

    def append_lines(self, path: str, lines: list[str]) -> None:
        """Adds lines in one operation."""

    def seal(self, path: str) -> None:
        """Puts parts together."""


class LineWriter:
    """Adds lines to a text of a place: at once on disk, at most every few seconds on S3. One writer at a time.

    For a ``with`` block: at its end, also by an error, everything is written and sealed. Threads may share it.

    :param place: A Place.
    :param path: The text inside the place; `Place.read_lines` reads it.
    :param every: Seconds between writes to S3.
    """

    def __init__(self, place: Appendable, path: str, *, every: float = 2.0) -> None:
        self.place, self.path, self.every = place, path, every
        self._waiting: list[str] = []
        self._written = -float("inf")
        self._lock = threading.Lock()

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, line: str) -> None:
        """Adds a line; it is written now, or with others when its time has come.

        :raises StorageError: when it cannot be written. It stays with those that wait.
        """
        with self._lock:
            self._waiting.append(line)
            self._write_when_due()

    def tick(self) -> None:
        """Writes what waits when its time has come. Whoever waits for something else calls it now and then.

        :raises StorageError: as `write`.
        """
        with self._lock:
            self._write_when_due()

    def flush(self) -> None:
        """Writes what waits, now.

        :raises StorageError: as `write`.
        """
        with self._lock:
            self._write()

    def close(self) -> None:
        """Writes what waits, and seals the text.

        :raises StorageError: as `write`.
        """
        self.flush()
        self.place.seal(self.path)

    def _write_when_due(self) -> None:
        if self.place.is_local or time.monotonic() >= self._written + self.every:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._written = time.monotonic()  # a server that fails is not asked for every line
            self.place.append_lines(self.path, self._waiting)
            self._waiting = []


def append_to_file(target: Path, data: bytes) -> None:
    """Adds whole lines to a file; after a writer that died in the middle of its line they begin a new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        written = os.write(descriptor, data)
        while written < len(data):  # a disk that is just full takes a part, then refuses
            written += os.write(descriptor, data[written:])
    finally:
        os.close(descriptor)


def append_to_bucket(store: BucketStore, path: str, data: bytes) -> None:
    """Adds whole lines as one part, and seals when many have come together."""
    tail = store.tails.get(path) or _look(store, path)
    # Later than every part that is known, also when this machine's clock is behind that of the writer before.
    number = max(time.time_ns(), int(tail.last.partition("-")[0] or 0) + 1)
    name = f"{number:020d}-{uuid.uuid4().hex[:8]}"
    store.write(f"{_folder(path)}/{name}", data)
    store.tails[path] = Tail(name, tail.parts + 1, tail.size + len(data), tail.sealed)
    if tail.parts + 1 >= SEAL_PARTS and (tail.size + len(data)) >= SEAL_SHARE * tail.sealed:
        seal_in_bucket(store, path)


def seal_in_bucket(store: BucketStore, path: str) -> None:
    """Writes the sealed object anew with all parts, then removes them."""
    names = sorted(store.files(_folder(path)))
    if not names:
        return
    there = _sealed(store, path)
    new = [name for name in names if name > there.last]
    if new:
        data = there.data + b"".join(_read_parts(store, path, new))
        store.write_if(path, data, there.tag, {_LAST: new[-1]})
        store.tails[path] = Tail(new[-1], 0, 0, len(data))
    store.remove_files(f"{_folder(path)}/{name}" for name in names)


def split_lines(data: bytes) -> list[str]:
    """The lines of a text; a character that a dying writer cut in two becomes a replacement character."""
    return data.decode(errors="replace").splitlines()


def read_from_bucket(store: BucketStore, path: str) -> bytes:
    """The sealed text and the parts after it.

    The parts are listed before the sealed object is read: what is sealed in between is then in that object. A part that
    vanishes after that was sealed too, and everything is read again.
    """
    for left in reversed(range(5)):
        names = sorted(store.files(_folder(path)))
        there = _sealed(store, path)
        try:
            return there.data + b"".join(_read_parts(store, path, [name for name in names if name > there.last]))
        except StorageError as error:
            if not left or not s3.is_absent(error):
                raise
    raise AssertionError("the loop returns or raises")


@dataclass(frozen=True)
class _Sealed:
    data: bytes
    tag: str | None
    last: str


def _sealed(store: BucketStore, path: str) -> _Sealed:
    try:
        found = store.describe(path)
    except StorageError as error:
        if not s3.is_absent(error):
            raise
        return _Sealed(b"", None, "")
    # A text that another program put there may end without a line break.
    data = found.data if not found.data or found.data.endswith(b"\n") else found.data + b"\n"
    return _Sealed(data, found.tag, found.metadata.get(_LAST, ""))


def _look(store: BucketStore, path: str) -> Tail:
    sizes = store.files(_folder(path))
    there = _sealed(store, path)
    new = {name: size for name, size in sizes.items() if name > there.last}
    return Tail(max(new, default=there.last), len(new), sum(new.values()), len(there.data))


def _read_parts(store: BucketStore, path: str, names: list[str]) -> list[bytes]:
    paths = [f"{_folder(path)}/{name}" for name in names]
    if len(paths) < 2:
        return [store.read(part)[0] for part in paths]
    with ThreadPoolExecutor(min(8, len(paths))) as pool:
        return list(pool.map(lambda part: store.read(part)[0], paths))


def _folder(path: str) -> str:
    return f"{path}.parts"

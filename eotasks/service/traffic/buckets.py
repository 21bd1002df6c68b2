"""Where buckets of clients are kept: in a process, or in a file that several processes share."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import stat
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from eotasks.errors import ConfigurationError

MOST_CLIENTS = 10_000
"""Buckets that are kept; of others the one that was not used for longest goes, which is full again by then."""

SHARED_VARIABLE = "EOTASKS_SHARED_RATES"
"""The file that processes of one service share, made by the one that starts them."""

_IN_SET = 8
"""Places of the file that the bucket of a client may be in."""
_SETS = -(-MOST_CLIENTS // _IN_SET)
_PLACE = struct.Struct("=8sdd")
"""Whose, how many requests are left, and when that was so."""
_BYTES = _SETS * _IN_SET * _PLACE.size
_NOBODY = bytes(8)


class Bucket(NamedTuple):
    """What a client has left."""

    left: float
    """Requests."""

    at: float
    """Seconds of the clock."""


Step = Callable[[Bucket | None], Bucket]
"""From a bucket to what it is next; None where there is none."""


class Buckets(Protocol):
    """Keeps buckets by client. May be used by several threads."""

    def change(self, client: str, step: Step) -> None:
        """Change a bucket; nobody else changes it meanwhile."""
        ...


class OwnBuckets:
    """Of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def change(self, client: str, step: Step) -> None:
        """As of `Buckets`."""
        with self._lock:
            self._buckets[client] = step(self._buckets.pop(client, None))
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)


class SharedBuckets:
    """Of all processes that open a file, which has a place for so many clients as are kept and never grows.

    The clock has to be one for all of them, as Python's monotonic clock is on one machine. A process that dies leaves
    the file to the others.
    """

    def __init__(self, path: Path) -> None:
        """
        :param path: Of `make_shared`.
        :raises OSError: when it is another file, or none.
        """
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(self._file)
            if not stat.S_ISREG(found.st_mode) or found.st_size != _BYTES:  # a shorter one ends who writes behind it
                raise OSError(errno.EINVAL, f"it is no file of {_BYTES:,} bytes")
            self._places = mmap.mmap(self._file, _BYTES)
        except BaseException:
            os.close(self._file)
            raise

    def change(self, client: str, step: Step) -> None:
        """As of `Buckets`."""
        name = hashlib.sha256(client.encode(errors="replace")).digest()
        start = int.from_bytes(name[8:16], "big") % _SETS * _IN_SET
        offsets = [(start + place) * _PLACE.size for place in range(_IN_SET)]
        with self._lock:  # the other is of the process, not of its threads
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                places = {offset: _PLACE.unpack_from(self._places, offset) for offset in offsets}
                mine = [offset for offset, (whose, *_) in places.items() if whose == name[:8]]
                bucket = Bucket(*places[mine[0]][1:]) if mine else None
                offset = mine[0] if mine else min(offsets, key=lambda each: _order(places[each]))
                _PLACE.pack_into(self._places, offset, name[:8], *step(bucket))
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        self._places.close()
        os.close(self._file)


def _order(place: tuple[bytes, float, float]) -> tuple[bool, float]:
    """Of places to be taken: those of nobody, then the one that was not used for longest."""
    whose, _, at = place
    return whose != _NOBODY, at


def make_shared(path: Path) -> None:
    """An empty file for `SharedBuckets`, for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.truncate(descriptor, _BYTES)
    finally:
        os.close(descriptor)


def buckets_of_process() -> Buckets | None:
    """Those that this process shares with others of its service; None when it is alone.

    :raises ConfigurationError: the variable names no file of a service that runs.
    """
    path = os.environ.get(SHARED_VARIABLE)
    try:
        return SharedBuckets(Path(path)) if path else None
    except OSError as error:
        raise ConfigurationError(
            f"{SHARED_VARIABLE}={path} is no file of a service that runs ({error.strerror}): take the variable away."
        ) from error

"""One run at a time in a place: a lease, a small file that its owner renews while it works.

The lease is taken by a conditional write, so of two runs that begin at the same moment one gets it, on disk and on S3.
A run on the same machine that died is seen to be dead, and its lease is free at once; one on another machine is taken
for dead when its lease has not been renewed for `STALE_SECONDS`, which is all that the clocks of machines and store may
differ by. An owner that slept for longer finds its lease with another one, and stops.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import psutil

from eotasks.errors import CredentialsError, StorageError
from eotasks.storage.place import Place

__all__ = ["BEAT_SECONDS", "LEASE_FILE", "STALE_SECONDS", "Lease", "held"]

LOGGER = logging.getLogger(__name__)

LEASE_FILE = ".eotasks-run.json"
"""Name of the lease in its place; like everything with a dot before it, it is no result."""

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0

_HELD: set[str] = set()
"""Owners of the leases that this process holds."""

_ATTEMPTS = 5
_SAME_START = 2.0
"""Seconds that two readings of the start of one process may differ by."""


@dataclass(frozen=True)
class _Owner:
    """Content of the file."""

    owner: str
    """Of this lease alone."""

    what: str
    """What runs, for the message."""

    host: str
    pid: int
    machine: str
    """Tells processes of one machine (and one container of it) from others, whose process numbers say nothing here."""

    started: float
    """When the process began, seconds since 1970: a number may come again for another process."""

    since: str
    """When the lease was taken."""

    renewed: str

    @classmethod
    def new(cls, what: str) -> _Owner:
        now = _now()
        process = psutil.Process()
        return cls(
            uuid.uuid4().hex, what, platform.node(), process.pid, _machine(), process.create_time(), now, now
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> _Owner | None:
        """None where the file is not one that this version can read."""
        try:
            content = json.loads(data)
            return cls(**{each.name: content[each.name] for each in fields(cls)})
        except (ValueError, KeyError, TypeError):
            return None

    def is_dead(self) -> bool:
        """Whether it is known that the process is gone; of one elsewhere nothing is known."""
        if self.machine != _machine():
            return False
        if self.pid == os.getpid():  # a lease that this process could not give back, when the store was away
            return self.owner not in _HELD
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > _SAME_START
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False

    def __str__(self) -> str:
        return f"{self.what} since {self.since}, process {self.pid} on {self.host}"


class Lease:
    """What the owner of a place holds. Made by `held`."""

    def __init__(self, place: Place, owner: _Owner, tag: str) -> None:
        self._place, self._owner, self._tag = place, owner, tag
        self._renewed = time.monotonic()
        self._lost = False
        self._over = threading.Event()

    def check(self) -> None:
        """Tell when another run has taken the place over; cheap, to be called between pieces of work.

        :raises StorageError: when it has.
        """
        if self._lost:
            raise StorageError(
                f"{self._place} has been taken over by another run, because this one gave no sign of life for"
                f" {STALE_SECONDS:.0f} s: let the other one finish, then run the command again."
            )

    def _beat(self, seconds: float) -> None:
        while not self._over.wait(seconds):
            self._renew()

    def _renew(self) -> None:
        content = _encoded(self._owner, renewed=_now())
        try:
            self._tag = self._place.write_if(LEASE_FILE, content, self._tag)
            self._renewed = time.monotonic()
        except (StorageError, CredentialsError) as error:
            if self._is_anothers():
                self._lost = True
                self._over.set()
            else:  # a store that is away for a while; the next beat tries again
                LOGGER.warning("The lease of %s could not be renewed: %s", self._place, error)

    def _is_anothers(self) -> bool:
        try:
            data, tag = self._place.read_tagged(LEASE_FILE)
        except (StorageError, CredentialsError):
            return False
        found = _Owner.parse(data)
        if found is not None and found.owner == self._owner.owner:
            self._tag = tag  # a write whose answer was lost
            return False
        return True

    def _release(self) -> None:
        """Remove the file, while it is certain that nobody else may have taken it."""
        if self._lost or time.monotonic() - self._renewed > STALE_SECONDS / 2:
            return
        try:
            self._place.remove(LEASE_FILE)
        except (StorageError, CredentialsError) as error:
            LOGGER.warning("The lease of %s could not be given back: %s", self._place, error)


@contextlib.contextmanager
def held(place: Place, what: str, *, beat_seconds: float = BEAT_SECONDS) -> Iterator[Lease]:
    """Hold a place for one run while the block runs; folders on the way are made, and removed again when empty.

    :param what: What runs, for whoever is refused, such as ``eotasks land-cover``.
    :param beat_seconds: How often the lease is renewed, by a thread of its own.
    :raises StorageError: when another run holds the place, or it cannot be written.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    made = _folders_to_make(place)
    owner = _Owner.new(what)
    _HELD.add(owner.owner)
    try:
        lease = _taken(place, owner)
        thread = threading.Thread(target=lease._beat, args=(beat_seconds,), name=f"lease of {place}", daemon=True)
        thread.start()
        try:
            yield lease
        finally:
            lease._over.set()
            thread.join(timeout=beat_seconds)
            lease._release()
    finally:
        _HELD.discard(owner.owner)
        with contextlib.suppress(OSError):  # results are in it
            for folder in made:
                folder.rmdir()


def _folders_to_make(place: Place) -> list[Path]:
    """The folders on the way to a place that are absent, the deepest first."""
    if not place.is_local:
        return []
    folder = place.local_path()
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _taken(place: Place, owner: _Owner) -> Lease:
    for left in reversed(range(_ATTEMPTS)):
        tag = _free_tag(place)
        try:
            return Lease(place, owner, place.write_if(LEASE_FILE, _encoded(owner), tag))
        except StorageError:
            if not left or _tag(place) == tag:  # not a race that another run has won
                raise
    raise AssertionError("the loop returns or raises")


def _free_tag(place: Place) -> str | None:
    """Tag of the lease that may be replaced; None where there is none."""
    if place.size(LEASE_FILE) is None:
        return None
    try:
        data, tag = place.read_tagged(LEASE_FILE)
        _, changed = place.extent(LEASE_FILE)
    except (StorageError, FileNotFoundError):
        if place.size(LEASE_FILE) is None:  # given back in the meantime
            return None
        raise
    found = _Owner.parse(data)
    age = (datetime.now(UTC) - changed).total_seconds()
    if age > STALE_SECONDS or (found is not None and found.is_dead()):
        LOGGER.info("The lease of %s is that of a run that died (%s).", place, found)
        return tag
    raise StorageError(
        f"{place} is in use by another run ({found or 'of another version of eotasks'}): wait until it ends, or give"
        f" another place. When it died, its hold ends {STALE_SECONDS:.0f} s after its last sign of life."
    )


def _tag(place: Place) -> str | None:
    return None if place.size(LEASE_FILE) is None else place.read_tagged(LEASE_FILE)[1]


def _encoded(owner: _Owner, **changes: str) -> bytes:
    return (json.dumps(asdict(owner) | changes, indent=1) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _machine() -> str:
    """Boot and, in a container, its own numbering of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"{uuid.getnode():x} {psutil.boot_time():.0f}"

"""One run at a time in a place: a lease, a small file that its owner renews while it works.

The lease is taken by a conditional write, so of two runs that begin at the same moment one gets it, on disk and on S3.
A run on the same machine that died is seen to be dead, and its lease is free at once; one on another machine is taken
for dead when its lease has not been renewed for `STALE_SECONDS` by the clock of the store: those of machines do not
matter. An owner that was stopped or slept for longer looks at its lease before it goes on, and ends where another has
it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from eotasks.documents import parse_json_object
from eotasks.errors import EOTasksError, StorageError
from eotasks.storage.place import Place
from eotasks.storage.process import ProcessIdentity

LOGGER = logging.getLogger(__name__)

LEASE_FILE = ".eotasks-run.json"
"""Name of the lease in its place; like everything with a dot before it, it is no result."""

RENEW_SECONDS = 20.0
STALE_SECONDS = 180.0

_OWNERS: set[str] = set()
"""Owners of the leases that this process has."""

_LEASES: list[Lease] = []
"""The leases themselves."""

_PARTS: dict[str, str] = {}
"""What runs by `ensure_lease` in this process, by its place."""

_PARTS_LOCK = threading.Lock()

_ATTEMPTS = 5
_PATIENCE = 20.0
"""Seconds that the end of a run waits for a renewal under way."""
_SHOWN = 200
"""Characters of a text of the file: it is of whoever may write to the place."""


@dataclass(frozen=True)
class _Owner:
    """Content of the file."""

    owner: str
    """Of this lease alone."""

    what: str
    """What runs, for the message."""

    process: ProcessIdentity
    since: str
    """When the lease was taken."""

    @classmethod
    def new(cls, what: str) -> _Owner:
        return cls(uuid.uuid4().hex, what, ProcessIdentity.current(), _now())

    @classmethod
    def parse(cls, data: bytes) -> _Owner | None:
        """None where the file is not one that this version can read."""
        try:
            content = parse_json_object(data, ValueError)
            process = ProcessIdentity.parse(content)
            owner, what, since = (str(content[key])[:_SHOWN] for key in ("owner", "what", "since"))
        except (ValueError, KeyError):
            return None
        return None if process is None else cls(owner, what, process, since)

    def encode(self) -> bytes:
        content = {"owner": self.owner, "what": self.what, **asdict(self.process), "since": self.since}
        return (json.dumps(content | {"renewed": _now()}, indent=1) + "\n").encode()

    def is_dead(self) -> bool:
        """Whether it is known that the process is gone; of one elsewhere nothing is known."""
        if self.process.is_current:  # a lease that this process could not release, when the store was away
            return self.owner not in _OWNERS
        return self.process.state() == "gone"

    def __str__(self) -> str:
        return f"{self.what} since {self.since}, process {self.process.pid} on {self.process.host[:_SHOWN]}"


class Lease:
    """A place that is in use by one run. Made by `hold_lease`."""

    def __init__(self, place: Place, owner: _Owner, tag: str) -> None:
        self._place, self._owner = place, owner
        self._tag: str | None = tag
        self._renewed = _uptime()
        self._lost = False
        self._over = threading.Event()
        self._file = threading.Lock()
        self._thread = threading.get_ident()

    def check(self) -> None:
        """Ends a run whose place another one has taken over; cheap, to be called between pieces of work.

        After a pause in which nothing was renewed (the process was stopped, the machine slept, the store was away) it
        looks at the lease first.

        :raises StorageError: when another run has it.
        """
        if not self._lost and _uptime() - self._renewed > STALE_SECONDS / 2:
            self._renew()
        if self._lost:
            raise StorageError(
                f"{self._place} has been taken over by another run, because this one did not renew its lease for"
                f" {STALE_SECONDS:.0f} s: let the other one finish, then run the command again."
            )

    def covers(self, place: Place) -> bool:
        """Whether this thread has taken the lease, and the place is that of the lease or lies in it."""
        inner, outer = _real_location(place), _real_location(self._place)
        inside = inner == outer or inner.startswith(outer.rstrip("/") + "/")
        return inside and self._thread == threading.get_ident()

    def _renew_every(self, seconds: float) -> None:
        while not self._over.wait(seconds):
            self._renew()

    def _renew(self) -> None:
        """Writes the lease again; when another run has it, that is noted, and all else is tried again next time."""
        with self._file:
            if self._over.is_set():
                return
            try:
                self._write()
            except Exception as error:  # noqa: BLE001  # a beat that stops would lose the place without a word
                LOGGER.warning("The lease of %s could not be renewed: %s", self._place, error)

    def _write(self) -> None:
        for left in reversed(range(3)):
            try:
                self._tag = self._place.write_if(LEASE_FILE, self._owner.encode(), self._tag)
            except StorageError:
                if self._is_anothers():
                    self._lost = True
                    self._over.set()
                    return
                if not left:
                    raise
            else:
                self._renewed = _uptime()
                return

    def _is_anothers(self) -> bool:
        """Whether another run has the lease; else the tag of what is there is that to write over."""
        there = self._place.read_if_there(LEASE_FILE)
        if there is None:  # somebody has removed it, and nobody has taken it
            self._tag = None
            return False
        found = _Owner.parse(there[0])
        self._tag = there[1]  # after a write whose answer was lost
        return found is None or found.owner != self._owner.owner

    def _release(self) -> None:
        """Removes the file when it is still that of this lease."""
        if not self._file.acquire(timeout=_PATIENCE):
            LOGGER.warning("The lease of %s could not be released: the store does not answer.", self._place)
            return
        try:
            if not self._lost and not self._is_anothers() and self._tag is not None:
                self._place.remove_if(LEASE_FILE, self._tag)
        except EOTasksError as error:
            LOGGER.warning("The lease of %s could not be released: %s", self._place, error)
        finally:
            self._file.release()


@contextlib.contextmanager
def hold_lease(place: Place, what: str, *, renew_seconds: float = RENEW_SECONDS) -> Iterator[Lease]:
    """Keeps a place for one run while the block runs; folders on the way are made, and removed again when empty.

    :param what: What runs, for whoever is refused, such as ``eotasks land-cover``.
    :param renew_seconds: How often the lease is renewed, by a thread of its own.
    :raises StorageError: when another run has the place, or it cannot be written.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    made = _folders_to_make(place)
    owner = _Owner.new(what)
    _OWNERS.add(owner.owner)
    try:
        lease = _taken(place, owner)
        name, arguments = f"lease of {place}", (renew_seconds,)
        thread = threading.Thread(target=lease._renew_every, args=arguments, name=name, daemon=True)
        thread.start()
        _LEASES.append(lease)
        try:
            yield lease
        finally:
            if lease in _LEASES:  # a forked child has none: this one is its parent's
                _LEASES.remove(lease)
                lease._over.set()
                lease._release()
                thread.join(timeout=_PATIENCE)
    finally:
        _OWNERS.discard(owner.owner)
        with contextlib.suppress(OSError):  # results are in it
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def ensure_lease(place: Place, what: str) -> Iterator[Lease]:
    """As `hold_lease`, but where this thread has the place already, or one that it lies in, that lease counts.

    So a command takes its place for the whole of its run, and the parts of the run do not take it again. Two parts in
    one place at the same time are refused, also in two threads of one process.

    :raises StorageError: as `hold_lease`.
    """
    location = _real_location(place)
    with _PARTS_LOCK:
        if location in _PARTS:
            raise StorageError(
                f"{place} is in use by another run of this process ({_PARTS[location]}): wait until it ends, or give"
                " another place."
            )
        _PARTS[location] = what
    try:
        lease = next((lease for lease in _LEASES if lease.covers(place)), None)
        with contextlib.nullcontext(lease) if lease is not None else hold_lease(place, what) as found:
            yield found
    finally:
        _PARTS.pop(location, None)  # absent in a forked child


def _real_location(place: Place) -> str:
    """One text for one place, by whichever links it is named."""
    return os.path.realpath(place.location) if place.is_local else place.location


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
            return Lease(place, owner, place.write_if(LEASE_FILE, owner.encode(), tag))
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
        if place.size(LEASE_FILE) is None:  # released in the meantime
            return None
        raise
    found = _Owner.parse(data)
    age = (place.now() - changed).total_seconds()
    if age > STALE_SECONDS or (found is not None and found.is_dead()):
        LOGGER.info("The lease of %s is that of a run that died (%s).", place, found)
        return tag
    raise StorageError(
        f"{place} is in use by another run ({found or 'of another version of eotasks'}): wait until it ends, or give"
        f" another place. If it has died, its lease ends {STALE_SECONDS:.0f} s after it was last renewed."
    )


def _tag(place: Place) -> str | None:
    return None if place.size(LEASE_FILE) is None else place.read_tagged(LEASE_FILE)[1]


def _forget() -> None:
    """A forked child has no lease and no part of a run: those are its parent's, and so is a lock that may be taken."""
    global _PARTS_LOCK
    _PARTS_LOCK = threading.Lock()
    for collection in (_OWNERS, _LEASES, _PARTS):
        collection.clear()


os.register_at_fork(after_in_child=_forget)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _uptime() -> float:
    """Seconds that also go on while the machine sleeps, where the system counts such."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

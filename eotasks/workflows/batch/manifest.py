"""The manifest of a place: what its batches did and are doing, a line an event.

On disk it is ``manifest.jsonl``, which gets a line as soon as something happens. An object on S3 cannot grow, so there
each run of a batch has parts of its own, ``batch/manifest-TIME-RUN-NUMBER.jsonl``: the last one is put again every two
seconds when there is news, by a thread of its own, so that no worker waits for the store, and after 64 kB the next one
begins. No run touches a part of another, the bytes sent grow with the number of lines, and a store that is away for a
while is waited for. A reader takes ``manifest.jsonl`` and then the parts, so that a place can be copied either way.

Every line has the version of the format; one of a newer version asks for an upgrade.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import quote

from eotasks.errors import CredentialsError, EOTasksError, StorageError
from eotasks.storage.place import Place
from eotasks.storage.process import ProcessIdentity
from eotasks.workflows.batch.outcomes import PatchOutcome

LOGGER = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"
BATCH_FOLDER = "batch"
"""Beside the manifest: its parts on S3, the logs of patches that failed, and the report."""
MANIFEST_VERSION = 2

Kind = Literal["batch", "running", "lost", "outcome", "interrupted", "end"]
"""``batch``: a batch begins. ``running``: a patch begins. ``lost``: its worker is gone, it will run again. ``outcome``:
what became of it. ``interrupted``: it was stopped with the batch. ``end``: the batch is over."""

_PART_PREFIX = "manifest-"
_PART_BYTES = 64_000
_FLUSH_SECONDS = 2.0
_READERS = 8
_OUTAGE_SECONDS = 90.0
"""How long the store may be away while a batch goes on; its lines wait in memory."""
_OUTCOME_FIELDS = frozenset(entry.name for entry in fields(PatchOutcome))


@dataclass(frozen=True)
class Event:
    """One line of the manifest."""

    kind: Kind
    """What happened."""

    stage: str
    """Name of the batch."""

    at: datetime
    """When, in UTC."""

    run: str
    """Which run of the batch."""

    name: str | None = None
    """The patch; None for a line about the batch."""

    outcome: PatchOutcome | None = None
    """Of the kind ``outcome``."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Everything else in the line."""


class ManifestWriter:
    """Writes the lines of one run of a batch.

    :param place: Where the manifest is; None writes nothing.
    :param stage: Name of the batch.
    """

    def __init__(self, place: Place | None, stage: str) -> None:
        self.place = place
        self.stage = stage
        self.run = uuid.uuid4().hex[:8]
        self._parts = None if place is None or place.is_local else _Parts(place, self.run)

    def batch(self, **facts: object) -> None:
        """The batch begins: written before any work, so that a place that cannot be used is an error at once.

        :param facts: Such as ``patches`` (their number), ``workers``, ``executor``, ``settings``.
        :raises StorageError: when it cannot be written.
        """
        self._write("batch", process=this_process(), **facts)
        self.flush()

    def running(self, name: str, attempt: int) -> None:
        """A patch begins."""
        self._write("running", name=name, attempts=attempt)

    def lost(self, name: str, attempt: int, *, step: str | None, error: str | None) -> None:
        """The worker of a patch is gone; the patch will run again."""
        self._write("lost", name=name, attempts=attempt, error_step=step, error=error)

    def outcome(self, outcome: PatchOutcome, *, fingerprint: str | None = None) -> None:
        """What became of a patch.

        :param fingerprint: Of its arguments and of the configuration it ran with.
        """
        content = asdict(outcome)
        del content["traceback"], content["log"]  # they have a file of their own
        self._write("outcome", **content, **({"fingerprint": fingerprint} if fingerprint else {}))

    def log(self, name: str, text: str) -> None:
        """Keeps the log of a patch beside the manifest; on S3 with the next lines that are written.

        :raises StorageError: when it cannot be written.
        """
        path, data = log_path(self.stage, name), text.encode(errors="replace")
        if self._parts is not None:
            self._parts.add_file(path, data)
        elif self.place is not None:
            self.place.write_bytes(path, data)

    def interrupted(self, names: Iterable[str]) -> None:
        """Patches that were running when the batch was stopped."""
        for name in names:
            self._write("interrupted", name=name)

    def end(self, state: str) -> None:
        """The batch is over, and everything is written.

        :param state: ``complete``, ``interrupted`` or ``stopped``.
        :raises StorageError: when it cannot be written.
        """
        self._write("end", state=state)
        self.close()

    def flush(self) -> None:
        """Writes what waits, now.

        :raises StorageError: when it cannot be written; it goes on waiting.
        """
        if self._parts is not None:
            self._parts.flush()

    def close(self) -> None:
        """Writes what waits; nothing may follow.

        :raises StorageError: when it cannot be written.
        """
        if self._parts is not None:
            self._parts.close()

    def _write(self, kind: Kind, **content: object) -> None:
        if self.place is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"version": MANIFEST_VERSION, "kind": kind, "stage": self.stage, "run": self.run, "finished": now}
        line = json.dumps(head | content, ensure_ascii=False)
        if self._parts is None:
            self.place.append_line(MANIFEST, line)
        else:
            self._parts.add(line)


class _Parts:
    """Lines that go to objects: gathered here, put in the background."""

    def __init__(self, place: Place, run: str) -> None:
        self._place = place
        self._stem = f"{BATCH_FOLDER}/{_PART_PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{run}"
        self._number = 0
        self._part = bytearray()
        self._put = 0
        self._files: deque[tuple[str, bytes]] = deque()
        self._lines = threading.Lock()
        self._putting = threading.Lock()
        self._closed = threading.Event()
        self._failing_since: float | None = None
        self._error: EOTasksError | None = None
        self._thread: threading.Thread | None = None

    def add(self, line: str) -> None:
        """Takes a line.

        :raises StorageError: when the store has been away for too long, or refuses.
        """
        if self._error is not None:
            raise self._error
        with self._lines:
            self._part += line.encode() + b"\n"
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="eotasks-manifest", daemon=True)
            self._thread.start()

    def add_file(self, path: str, data: bytes) -> None:
        """Takes a file that goes with the next lines."""
        self._files.append((path, data))

    def flush(self) -> None:
        """Puts files that wait, and the part when there is news in it.

        :raises StorageError: when something cannot be written; it is kept for the next time.
        """
        with self._putting:
            while self._files:
                self._place.write_bytes(*self._files[0])
                self._files.popleft()
            with self._lines:
                data = bytes(self._part)
            if len(data) == self._put:
                return
            self._place.write_bytes(f"{self._stem}-{self._number:04d}.jsonl", data)
            self._put = len(data)
            if self._put >= _PART_BYTES:
                with self._lines:
                    del self._part[: self._put]
                self._put, self._number = 0, self._number + 1

    def close(self) -> None:
        """Puts the rest."""
        self._closed.set()
        self.flush()

    def _watch(self) -> None:
        while not self._closed.wait(_FLUSH_SECONDS):
            try:
                self.flush()
                self._failing_since = None
            except EOTasksError as error:
                self._handle_failure(error)

    def _handle_failure(self, error: EOTasksError) -> None:
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if isinstance(error, CredentialsError) or now - self._failing_since > _OUTAGE_SECONDS:
            self._error = error
            self._closed.set()
        else:
            LOGGER.warning("The manifest waits: %s", error)


def this_process() -> dict[str, object]:
    """The process that runs a batch, so that a reader can see whether it is still there."""
    return asdict(ProcessIdentity.current())


def read_events(place: Place) -> list[Event]:
    """All lines of a manifest in the order they were written; none when there is no manifest.

    A line that a killed writer left unfinished is passed over.

    :raises StorageError: when a line is of another version.
    """
    files = [MANIFEST] if place.exists(MANIFEST) else []
    files += [
        f"{BATCH_FOLDER}/{name}"
        for name in place.names(BATCH_FOLDER)
        if name.startswith(_PART_PREFIX) and name.endswith(".jsonl")
    ]
    with ThreadPoolExecutor(_READERS) as pool:
        contents = list(pool.map(place.read_bytes, files))
    events = []
    for file, content in zip(files, contents, strict=True):
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
            event = _parse(line, f"{place}/{file}, line {number}")
            if event is not None:
                events.append(event)
    return events


def _parse(line: str, where: str) -> Event | None:
    try:
        content: dict[str, Any] = json.loads(line)
        version = int(content.pop("version"))
        if version != MANIFEST_VERSION:
            cure = "upgrade eotasks" if version > MANIFEST_VERSION else "no release wrote that: remove the manifest"
            raise StorageError(f"{where} has version {version}, this eotasks reads {MANIFEST_VERSION}: {cure}.")
        kind, run = content.pop("kind"), str(content.pop("run"))
        stage, at = str(content.pop("stage")), datetime.fromisoformat(content.pop("finished"))
        if kind not in get_args(Kind):
            return None
        if kind == "outcome":
            outcome = PatchOutcome(**{key: content.pop(key) for key in tuple(content) if key in _OUTCOME_FIELDS})
            return Event(kind, stage, at, run, outcome.name, outcome, content)
        return Event(kind, stage, at, run, content.pop("name", None), None, content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def log_path(stage: str, name: str) -> str:
    """Where the log of a patch lies inside the place; names may hold any character."""
    return f"{log_folder(stage)}/{_file_name(name)}.log"


def log_folder(stage: str) -> str:
    """Where the logs of a batch lie inside the place."""
    return f"{BATCH_FOLDER}/logs/{_file_name(stage)}"


def _file_name(name: str) -> str:
    quoted = quote(name, safe=" ()+,=@", errors="surrogatepass") or "%00"
    return quoted.replace(".", "%2E", 1) if quoted.startswith(".") else quoted

"""The manifest of a place: what its batches did and are doing, a line an event.

On disk it is ``manifest.jsonl``, which gets a line as soon as something happens. An object on S3 cannot grow, so there
each run of a batch has parts of its own, ``batch/manifest-TIME-RUN-NUMBER.jsonl``: the last one is put again every two
seconds when there is news, by a thread of its own, so that no worker waits for the store, and after 64 kB the next one
begins. No run touches a part of another, the bytes sent grow with the number of lines, and a store that is away for a
while is waited for. A reader takes ``manifest.jsonl`` and then the parts, so that a place can be copied either way; the
runs by the number that each has, since the clocks of the machines they ran on may differ.

Every line has the version of the format; one of a newer version asks for an upgrade.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from eotasks.documents import check_signs
from eotasks.errors import CredentialsError, EOTasksError, StorageError, message_of
from eotasks.limits import MANIFEST_BYTES
from eotasks.storage.place import Place
from eotasks.storage.process import ProcessIdentity
from eotasks.workflows.batch.log_files import BATCH_FOLDER, log_path
from eotasks.workflows.batch.outcomes import PatchOutcome, PatchState

LOGGER = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"
MANIFEST_VERSION = 2

Kind = Literal["batch", "skipped", "running", "lost", "outcome", "interrupted", "end"]
"""``batch``: a batch begins. ``skipped``: patches that were complete before; readers get an ``outcome`` of each.
``running``: a patch begins. ``lost``: its worker is gone, it will run again. ``outcome``: what became of it.
``interrupted``: it was stopped with the batch. ``end``: the batch is over."""

_PART_PREFIX = "manifest-"
_PART_BYTES = 64_000
_FLUSH_SECONDS = 2.0
_READERS = 8
_OUTAGE_SECONDS = 90.0
"""How long the store may be away, or the disk full, while a batch goes on; its lines wait in memory."""
_CREDENTIALS_SECONDS = 30.0
"""The same for credentials that are refused: files that have them are rewritten now and then."""
_LAST_SECONDS = 5.0
"""The same at the end of a batch that was interrupted, and should leave soon."""
_RETRY_SECONDS = 1.0
_WARN_SECONDS = 15.0
_NAMES = 500
"""Names of skipped patches in a line."""
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
        self._sink: _Lines | _Parts | None = None
        if place is not None:
            self._sink = _Lines(place) if place.is_local else _Parts(place, self.run)

    def batch(self, **facts: object) -> None:
        """The batch begins: written before any work, so that a place that cannot be used is an error at once.

        :param facts: Such as ``patches`` (their number), ``workers``, ``executor``, ``settings``, and ``sequence``, a
            number that is greater than that of all runs before.
        :raises StorageError: when it cannot be written.
        """
        self._write("batch", process=this_process(), **facts)
        self.flush()

    def skipped(self, names: Sequence[str]) -> None:
        """Patches that were complete before."""
        for start in range(0, len(names), _NAMES):
            self._write("skipped", names=names[start : start + _NAMES])

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
        if not content["warnings"]:
            del content["warnings"]  # as a rule there are none
        self._write("outcome", **content, **({"fingerprint": fingerprint} if fingerprint else {}))

    def log(self, name: str, text: str) -> None:
        """Keeps the log of a patch beside the manifest; on S3 with the next lines that are written.

        :raises StorageError: when it cannot be written.
        """
        if self._sink is not None:
            self._sink.add_file(log_path(self.stage, name), text.encode(errors="replace"))

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
        self.close(_OUTAGE_SECONDS if state == "complete" else _LAST_SECONDS)

    def flush(self) -> None:
        """Writes what waits, now.

        :raises StorageError: when it cannot be written; it goes on waiting.
        """
        if self._sink is not None:
            self._sink.flush()

    def close(self, patience: float = 0.0) -> None:
        """Writes what waits; nothing may follow.

        :param patience: For how many seconds it is tried again.
        :raises StorageError: when it cannot be written.
        """
        if self._sink is None:
            return
        self._sink.stop()
        deadline = time.monotonic() + patience
        while True:
            try:
                self._sink.flush()
                return
            except EOTasksError as error:
                if time.monotonic() > deadline:
                    raise
                LOGGER.warning("The end of the manifest waits: %s", error)
            time.sleep(_RETRY_SECONDS)

    def _write(self, kind: Kind, **content: object) -> None:
        if self._sink is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"version": MANIFEST_VERSION, "kind": kind, "stage": self.stage, "run": self.run, "finished": now}
        self._sink.add(json.dumps(head | content))  # ASCII: a name or a message may hold what is no text


class _Outage:
    """How long writing has failed."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._warned = 0.0

    def end(self) -> None:
        """Writing works again."""
        self._since = None

    def is_over(self, error: EOTasksError) -> bool:
        """Whether it has lasted for too long; else a warning is logged."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > (_CREDENTIALS_SECONDS if isinstance(error, CredentialsError) else _OUTAGE_SECONDS):
            return True
        if now == self._since or now - self._warned > _WARN_SECONDS:
            self._warned = now
            LOGGER.warning("The manifest waits: %s", error)
        return False


class _Lines:
    """Lines that go to a file on disk at once, or later where it is full or away."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._waiting: list[str] = []
        self._outage = _Outage()

    def add(self, line: str) -> None:
        """Writes a line, and those that wait.

        :raises StorageError: when that has failed for too long.
        """
        self._waiting.append(line)
        try:
            self.flush()
        except EOTasksError as error:
            if self._outage.is_over(error):
                raise

    def add_file(self, path: str, data: bytes) -> None:
        """Writes a file."""
        self._place.write_bytes(path, data)

    def flush(self) -> None:
        """Writes the lines that wait.

        :raises StorageError: when they cannot be written; they go on waiting.
        """
        if self._waiting:
            self._place.append_line(MANIFEST, "\n".join(self._waiting))
            self._waiting.clear()
            self._outage.end()

    def stop(self) -> None:
        """Nothing follows but what waits."""


class _Parts:
    """Lines that go to objects: gathered here, put in the background."""

    def __init__(self, place: Place, run: str) -> None:
        self._place = place
        self._run, self._began = run, datetime.now(UTC)
        self._number = 0
        self._part = bytearray()
        self._put = 0
        self._files: deque[tuple[str, bytes]] = deque()
        self._lines = threading.Lock()
        self._putting = threading.Lock()
        self._closed = threading.Event()
        self._outage = _Outage()
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
            self._place.write_bytes(f"{BATCH_FOLDER}/{part_name(self._run, self._began, self._number)}", data)
            self._put = len(data)
            if self._put >= _PART_BYTES:
                with self._lines:
                    del self._part[: self._put]
                self._put, self._number = 0, self._number + 1

    def stop(self) -> None:
        """Ends the thread; nothing follows but what waits."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_FLUSH_SECONDS):
            try:
                self.flush()
                self._outage.end()
            except Exception as error:  # noqa: BLE001  # whatever it is, it would end this thread unseen
                self._handle_failure(error)

    def _handle_failure(self, error: Exception) -> None:
        ours = error if isinstance(error, EOTasksError) else StorageError(f"{self._place}: {message_of(error)}")
        if self._outage.is_over(ours):
            self._error = ours
            self._closed.set()


def this_process() -> dict[str, object]:
    """The process that runs a batch, so that a reader can see whether it is still there."""
    return asdict(ProcessIdentity.current())


def iter_events(place: Place) -> Iterator[Event]:
    """The lines of a manifest in the order they were written; none when there is no manifest.

    A line that a killed writer left unfinished, or that is no line of a manifest, is passed over.

    :raises StorageError: when a line is of another version.
    """
    for line, where in manifest_lines(place):
        yield from _parse(line, where)


def manifest_lines(place: Place) -> Iterator[tuple[str, str]]:
    """The lines of a manifest as texts in the order they were written, and where each is, for messages.

    :raises StorageError: when it cannot be read.
    """
    files = [MANIFEST] if place.exists(MANIFEST) else []
    files += [f"{BATCH_FOLDER}/{name}" for name in place.names(BATCH_FOLDER) if is_part(name)]
    with ThreadPoolExecutor(_READERS) as pool:
        contents = dict(zip(files, pool.map(lambda file: place.read_bytes(file, MANIFEST_BYTES), files), strict=True))
    for file in _in_order(contents):
        content = contents.pop(file).decode(errors="replace")
        for number, line in enumerate(content.split("\n"), start=1):  # a name may hold other ends of lines
            yield line, f"{place}/{file}, line {number}"


def is_part(name: str) -> bool:
    """Whether a file of the folder of batches is a part of the manifest."""
    return name.startswith(_PART_PREFIX) and name.endswith(".jsonl")


def part_name(run: str, began: datetime, number: int = 0) -> str:
    """Name of a part, by the run that writes it."""
    return f"{_PART_PREFIX}{began:%Y%m%dT%H%M%S%f}-{run}-{number:04d}.jsonl"


def _in_order(contents: Mapping[str, bytes]) -> list[str]:
    """The files of a manifest, runs by their sequence, and by their time where they have none."""
    sequences: dict[str, int] = {}
    for file in sorted(contents):
        sequences.setdefault(_run_of(file), _sequence(contents[file]))
    return sorted(contents, key=lambda file: (file != MANIFEST, sequences[_run_of(file)], file))


def _run_of(file: str) -> str:
    return file.rpartition("-")[0]


def _sequence(content: bytes) -> int:
    """The sequence in the first line of a part; 0 where it has none."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        return int(json.loads(content.partition(b"\n")[0]).get("sequence", 0))
    return 0


def _parse(line: str, where: str) -> list[Event]:
    """The events of a line: several where it is of patches that were skipped, none where it is damaged."""
    try:
        check_signs(line)
        content: dict[str, Any] = json.loads(line)
        version = int(content.pop("version"))
        if version != MANIFEST_VERSION:
            cure = "upgrade eotasks" if version > MANIFEST_VERSION else "no release wrote that: remove the manifest"
            raise StorageError(f"{where} has version {version}, this eotasks reads {MANIFEST_VERSION}: {cure}.")
        kind, run = content.pop("kind"), str(content.pop("run"))
        stage, at = str(content.pop("stage")), datetime.fromisoformat(content.pop("finished")).astimezone(UTC)
        if kind == "skipped":
            names = [name for name in content["names"] if isinstance(name, str)]
            outcomes = [PatchOutcome(name, "skipped", attempts=0) for name in names]
            return [Event("outcome", stage, at, run, outcome.name, outcome) for outcome in outcomes]
        if kind not in get_args(Kind):
            return []
        if kind == "outcome":
            outcome = PatchOutcome(**{key: content.pop(key) for key in tuple(content) if key in _OUTCOME_FIELDS})
            return [Event(kind, stage, at, run, outcome.name, outcome, content)] if _is_sound(outcome) else []
        name = content.pop("name", None)
        return [Event(kind, stage, at, run, None if name is None else str(name), None, content)]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return []


def _is_sound(outcome: PatchOutcome) -> bool:
    """Whether all values of an outcome that was read are of their kinds."""
    numbers = [*outcome.seconds_by_step.values(), *outcome.peak_memory_mb_by_step.values()]
    texts = [outcome.error_step, outcome.error, outcome.traceback, outcome.log, *outcome.warnings]
    return (
        isinstance(outcome.name, str)
        and outcome.state in get_args(PatchState)
        and type(outcome.attempts) is int
        and isinstance(outcome.warnings, tuple | list)
        and all(type(value) in (int, float) and math.isfinite(value) for value in numbers)
        and all(text is None or isinstance(text, str) for text in texts)
    )

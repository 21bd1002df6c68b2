"""Running a workflow over one patch, observed: the same in this process, in a worker process and on Ray.

Whatever is raised, also by what is around the tasks, ends up in the report of the patch.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psutil
from eolearn.core import EONode, EOWorkflow
from eolearn.core.eoexecution import EOExecutor, _ProcessingData
from eolearn.core.eonode import ExceptionInfo, NodeStats
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import is_of_interrupt, message_of, stack_of
from eotasks.text import harmless, shortened
from eotasks.workflows.batch.ahead import PREPARED, Ahead
from eotasks.workflows.batch.warned import kept_warnings
from eotasks.workflows.batch.workers.memory import StepMemory

WORKFLOW_LOGGER = "eolearn.core.eoworkflow"
"""Logs the stack of every failed task; outcomes carry it instead."""

LOG_LINES = 200
"""Lines of its log that are kept of a patch."""

_LINE_CHARACTERS = 4_000
_STACK_CHARACTERS = 50_000
_INDEX_BYTES = 8
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class PatchJob:
    """One patch to run: its position, and eo-learn's data without the workflow, which workers have already."""

    index: int
    name: str
    data: _ProcessingData
    arguments: Mapping[str, dict[str, object]]
    """Arguments of execute by node uid: a node itself would bring its whole upstream along."""

    attempt: int = 0
    """Which attempt this is, counted from 1; 0 as long as no worker has had it."""


@dataclass(frozen=True)
class PatchReport:
    """What comes back from a worker: times and memory of the steps, no data."""

    index: int
    results: WorkflowResults
    """Without outputs."""

    peaks: Mapping[str, float]
    """Peak memory in MB by node uid."""

    attempts: int = 1
    """How often the patch was tried."""

    quarantined: bool = False
    """The patch has cost so many workers that it is not tried again."""

    error: str | None = None
    """What went wrong in one line, as the process that raised it has it; None when the patch ended well."""

    log: str = ""
    """What was logged while it ran, the last lines of it; kept for patches that did not end well."""

    warnings: tuple[str, ...] = ()
    """What it warned of, as `kept_warnings` has it; none of a patch in this process, where they are shown at once."""


def make_job(index: int, name: str, data: _ProcessingData) -> PatchJob:
    """A job of eo-learn's processing data."""
    arguments = {node.uid: kwargs for node, kwargs in data.workflow_kwargs.items()}
    return PatchJob(index, name, replace(data, workflow=_NO_WORKFLOW, workflow_kwargs={}), arguments)


def pack_job(
    job: PatchJob, dumps: Callable[[object], bytes] = pickle.dumps, *, upcoming: PatchJob | None = None
) -> bytes:
    """A job as it goes to a worker; index and length are outside of what is pickled.

    :param dumps: What pickles.
    :param upcoming: The job that the worker will get next, for tasks that prepare it (`eotasks.workflows.batch.ahead`).
    """
    pickled = dumps(job)
    ahead = b"" if upcoming is None else upcoming.index.to_bytes(_INDEX_BYTES, "big") + dumps(upcoming.arguments)
    return b"".join(
        [job.index.to_bytes(_INDEX_BYTES, "big"), len(pickled).to_bytes(_INDEX_BYTES, "big"), pickled, ahead]
    )


def execute_packed_job(
    workflow: EOWorkflow,
    packed: bytes,
    *,
    memory: StepMemory,
    on_step: Callable[[str], None],
    ahead: Ahead | None = None,
) -> PatchReport:
    """As `execute_job`, in a worker; arguments that cannot be rebuilt there are a failure of their patch.

    :param packed: By `pack_job`.
    :param ahead: Of this worker: has what of this patch is prepared, and prepares the next one.
    """
    start = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive
    view, index = memoryview(packed), int.from_bytes(packed[:_INDEX_BYTES], "big")
    stop = 2 * _INDEX_BYTES + int.from_bytes(packed[_INDEX_BYTES : 2 * _INDEX_BYTES], "big")
    try:
        job: PatchJob = pickle.loads(view[2 * _INDEX_BYTES : stop])  # noqa: S301  # of our own parent
    except BaseException as error:  # noqa: BLE001  # unpickling runs code of any class
        return _failed_report(index, error, start)
    if ahead is not None:
        job = replace(job, arguments=_with_prepared(job, ahead))
        with contextlib.suppress(BaseException):  # what cannot be rebuilt fails when its own turn comes
            if stop < len(packed):
                upcoming = pickle.loads(view[stop + _INDEX_BYTES :])  # noqa: S301  # of our own parent
                ahead.begin(int.from_bytes(packed[stop : stop + _INDEX_BYTES], "big"), upcoming)
    with kept_warnings() as warned:
        report = execute_job(workflow, job, memory=memory, on_step=on_step)
    return replace(report, warnings=tuple(warned))


def _with_prepared(job: PatchJob, ahead: Ahead) -> dict[str, dict[str, object]]:
    prepared = ahead.take(job.index)
    return {
        uid: {**arguments, PREPARED: prepared[uid]} if uid in prepared else arguments
        for uid, arguments in job.arguments.items()
    }


def execute_job(
    workflow: EOWorkflow,
    job: PatchJob,
    *,
    memory: StepMemory,
    on_step: Callable[[str], None] | None = None,
    interruptible: bool = False,
) -> PatchReport:
    """Runs the workflow over one patch. Whatever is raised meanwhile ends up in the report.

    :param memory: Measures each step.
    :param on_step: Told the uid of each node before it runs.
    :param interruptible: A KeyboardInterrupt may come from the user, who wants the batch to end; it is raised.
    """
    peaks: dict[str, float] = {}
    errors: list[str] = []
    observed = copy.copy(workflow)
    run_node = workflow._execute_node
    start = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive

    def execute_node(*, node: EONode, **arguments: Any) -> tuple[object, NodeStats]:
        if on_step is not None:
            on_step(node.uid)
        begun = datetime.now()  # noqa: DTZ005  # the same
        with _measured(memory, peaks, node.uid):
            try:
                result, stats = run_node(node=node, **arguments)
            except BaseException as error:
                if interruptible and isinstance(error, KeyboardInterrupt):
                    raise
                # eo-learn prints all arguments, and passes on what that raises; it never keeps a KeyboardInterrupt
                cause = error.__cause__ if isinstance(error, KeyboardInterrupt) else None
                result, stats = None, _failed_node(node.uid, node.get_name(), cause or error, begun)
        if stats.exception_info is not None:
            if interruptible and is_of_interrupt(stats.exception_info.exception):
                raise KeyboardInterrupt from stats.exception_info.exception
            errors.append(message_of(stats.exception_info.exception))
            stats = replace(stats, exception_info=_harmless(stats.exception_info))
        return result, stats

    observed._execute_node = execute_node  # type: ignore[method-assign]  # the one place where a node runs
    with _log_of_this_thread() as log:
        try:
            kwargs = {node: job.arguments[node.uid] for node in workflow.get_nodes() if node.uid in job.arguments}
            data = replace(job.data, workflow=observed, workflow_kwargs=kwargs)
            results = EOExecutor._execute_workflow(data).drop_outputs()
        except BaseException as error:
            if interruptible and isinstance(error, KeyboardInterrupt):
                raise
            report = _failed_report(job.index, error, start)
            return replace(report, attempts=job.attempt, log="\n".join(log))
    if results.error_node_uid is None:
        return PatchReport(job.index, results, peaks, attempts=job.attempt)
    return PatchReport(job.index, results, peaks, attempts=job.attempt, error=errors[-1], log="\n".join(log))


def lost_report(
    job: PatchJob, error: Exception, start: datetime, *, uid: str | None = None, step: str = _UNKNOWN
) -> PatchReport:
    """The report of a patch whose process is gone.

    :param start: When the step, or the patch, began.
    :param uid: The node that ran last; None when nobody knows.
    :param step: Its name.
    """
    return _failed_report(job.index, error, start, uid=uid or _UNKNOWN, step=step)


def record_text(record: logging.LogRecord) -> str:
    """The message of a record; of a call that gave other arguments than its text asks for, the text."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001  # a log line is no reason to fail, whatever code of its arguments runs
        text = record.msg if type(record.msg) is str else f"<{type(record.msg).__name__}>"
    return shortened(text, _LINE_CHARACTERS)


def log_line(record: logging.LogRecord) -> str:
    """A record as the log of a patch shows it; times in UTC."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return harmless(f"{when} {record.levelname} {record.name}: {record_text(record)}")


@contextlib.contextmanager
def _log_of_this_thread() -> Iterator[deque[str]]:
    """What this thread logs inside the block, without the stacks that outcomes carry."""
    handler = _LastLines(threading.get_ident())
    logger = logging.getLogger()
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


class _LastLines(logging.Handler):
    """Keeps the last lines of one thread."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the record when it is of this thread."""
        if record.thread == self._thread and record.name != WORKFLOW_LOGGER:
            with contextlib.suppress(Exception):  # a record that is none is no reason to fail
                self.lines.append(log_line(record))


@contextlib.contextmanager
def _measured(memory: StepMemory, peaks: dict[str, float], uid: str) -> Iterator[None]:
    """Measures a step; one that cannot be measured, for want of a file descriptor or a thread, has no peak."""
    cannot = (OSError, RuntimeError, MemoryError, psutil.Error)
    started = False
    with contextlib.suppress(*cannot):
        memory.start()
        started = True
    try:
        yield
    finally:
        if started:
            with contextlib.suppress(*cannot):
                peaks[uid] = memory.stop()


def _failed_report(
    index: int, error: BaseException, start: datetime, *, uid: str = _UNKNOWN, step: str = _UNKNOWN
) -> PatchReport:
    stats = _failed_node(uid, step, error, start)
    assert stats.exception_info is not None
    stats = replace(stats, exception_info=_harmless(stats.exception_info))
    return PatchReport(index, WorkflowResults({}, start, stats.end_time, {uid: stats}), {}, error=message_of(error))


def _failed_node(uid: str, step: str, error: BaseException, start: datetime) -> NodeStats:
    stack = stack_of(error) if error.__traceback__ is not None else ""
    failure = ExceptionInfo(error, traceback=stack, origin="unknown origin.")
    return NodeStats(uid, step, start, datetime.now(), failure)  # noqa: DTZ005  # eo-learn's times are naive


def _harmless(failure: ExceptionInfo) -> ExceptionInfo:
    """A failure that can be printed, as eo-learn does, and of a readable length."""
    error = failure.exception
    try:
        str(error), repr(error)
    except BaseException:  # noqa: BLE001  # runs code of any exception class
        error = RuntimeError(message_of(error))
    return replace(failure, exception=error, traceback=shortened(failure.traceback, _STACK_CHARACTERS))


_NO_WORKFLOW = EOWorkflow([])

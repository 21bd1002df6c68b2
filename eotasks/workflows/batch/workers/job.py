"""Running a workflow over one patch, observed: the same in this process, in a worker process and on Ray."""

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

from eolearn.core import EONode, EOWorkflow
from eolearn.core.eoexecution import EOExecutor, _ProcessingData
from eolearn.core.eonode import ExceptionInfo, NodeStats
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import message_of
from eotasks.text import harmless
from eotasks.workflows.batch.workers.memory import StepMemory

WORKFLOW_LOGGER = "eolearn.core.eoworkflow"
"""Logs the stack of every failed task; outcomes carry it instead."""

LOG_LINES = 200
"""Lines of its log that are kept of a patch."""


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
    """Without outputs; exceptions can be pickled."""

    peaks: Mapping[str, float]
    """Peak memory in MB by node uid."""

    attempts: int = 1
    """How often the patch was tried."""

    quarantined: bool = False
    """The patch has cost so many workers that it is not tried again."""

    log: str = ""
    """What was logged while it ran, the last lines of it; kept for patches that did not end well."""


def make_job(index: int, name: str, data: _ProcessingData) -> PatchJob:
    """A job of eo-learn's processing data."""
    arguments = {node.uid: kwargs for node, kwargs in data.workflow_kwargs.items()}
    return PatchJob(index, name, replace(data, workflow=_NO_WORKFLOW, workflow_kwargs={}), arguments)


def execute_job(
    workflow: EOWorkflow, job: PatchJob, *, memory: StepMemory, on_step: Callable[[str], None] | None = None
) -> PatchReport:
    """Runs the workflow over one patch. Errors of its tasks end up in the report.

    :param memory: Measures each step.
    :param on_step: Told the uid of each node before it runs.
    """
    peaks: dict[str, float] = {}
    observed = copy.copy(workflow)
    run_node = workflow._execute_node

    def execute_node(*, node: EONode, **arguments: Any) -> tuple[object, NodeStats]:
        if on_step is not None:
            on_step(node.uid)
        memory.start()
        try:
            return run_node(node=node, **arguments)
        finally:
            peaks[node.uid] = memory.stop()

    observed._execute_node = execute_node  # type: ignore[method-assign]  # the one place where a node runs
    kwargs = {node: job.arguments[node.uid] for node in workflow.get_nodes() if node.uid in job.arguments}
    data = replace(job.data, workflow=observed, workflow_kwargs=kwargs)
    with _log_of_this_thread() as log:
        results = EOExecutor._execute_workflow(data).drop_outputs()
    text = "\n".join(log) if results.error_node_uid is not None else ""
    return PatchReport(job.index, _picklable(results), peaks, attempts=job.attempt, log=text)


def log_line(record: logging.LogRecord) -> str:
    """A record as the log of a patch shows it; times in UTC."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return harmless(f"{when} {record.levelname} {record.name}: {record.getMessage()}")


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
            with contextlib.suppress(TypeError, ValueError):  # a message that cannot be made up is no reason to fail
                self.lines.append(log_line(record))


def lost_report(
    job: PatchJob, error: Exception, start: datetime, *, uid: str | None = None, step: str = "unknown"
) -> PatchReport:
    """The report of a patch whose process is gone.

    :param start: When the step, or the patch, began.
    :param uid: The node that ran last; None when nobody knows.
    :param step: Its name.
    """
    uid = uid or "unknown"
    failure = ExceptionInfo(error, traceback="", origin="")
    stats = {uid: NodeStats(uid, step, start, datetime.now(), failure)}  # noqa: DTZ005  # eo-learn's times are naive
    return PatchReport(job.index, WorkflowResults({}, start, datetime.now(), stats), {})  # noqa: DTZ005  # the same


def _picklable(results: WorkflowResults) -> WorkflowResults:
    return replace_stats(results, {uid: _picklable_stats(stats) for uid, stats in results.stats.items()})


def replace_stats(results: WorkflowResults, stats: dict[str, NodeStats]) -> WorkflowResults:
    """The results with other statistics."""
    return WorkflowResults(results.outputs, results.start_time, results.end_time, stats)


def _picklable_stats(stats: NodeStats) -> NodeStats:
    if stats.exception_info is None:
        return stats
    error = stats.exception_info.exception
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:  # noqa: BLE001  # pickling runs code of any exception class: whatever it raises, it cannot travel
        error = RuntimeError(message_of(error))
    return replace(stats, exception_info=replace(stats.exception_info, exception=error))


_NO_WORKFLOW = EOWorkflow([])

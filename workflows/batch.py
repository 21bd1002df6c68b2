"""A workflow over many patches: worker processes, threads or Ray; outcomes, progress, manifest.

Results go through storage: a workflow ends with tasks that save, and what comes back from a worker are times, memory
and errors only.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

from eolearn.core import EONode, EOWorkflow
from eolearn.core.eoexecution import EOExecutor, _ExecutionRunParams, _ProcessingData
from eolearn.core.eoworkflow import WorkflowResults

from models.errors import BatchError, ConfigurationError
from models.threads import ENVIRONMENT_VARIABLE, available_cores, resolve_threads
from workflows.attempts import PatchQueue
from workflows.execution import WORKFLOW_LOGGER, PatchJob, PatchReport, execute_job, make_job
from workflows.monitor import SampledPeak
from workflows.outcomes import (
    ManifestLine,
    PatchOutcome,
    append_manifest,
    outcome_of,
    read_manifest,
    step_names,
)
from workflows.places import Place
from workflows.workers import StartMethod, WorkerPool

__all__ = [
    "BatchResult",
    "ManifestLine",
    "PatchOutcome",
    "WorkerExecutor",
    "read_manifest",
    "run_batch",
]

LOGGER = logging.getLogger(__name__)

ExecutorName = Literal["processes", "threads", "ray", "serial"]
_EXECUTORS = ("processes", "threads", "ray", "serial")


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch."""

    stage: str
    """Name of the batch."""

    outcomes: Sequence[PatchOutcome]
    """One for each patch, in the order they were given in."""

    seconds: float
    """Wall clock of the whole batch."""

    workers: int
    """Patches that ran at the same time."""

    threads: int
    """Threads of each engine in a worker."""

    @property
    def done(self) -> list[str]:
        """Names of the patches that ran to the end."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "done"]

    @property
    def failed(self) -> list[PatchOutcome]:
        """Outcomes of the patches that are not there and were to be: failed and quarantined."""
        return [outcome for outcome in self.outcomes if outcome.state in ("failed", "quarantined")]

    @property
    def quarantined(self) -> list[str]:
        """Names of the patches that cost too many workers to be tried again."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "quarantined"]

    @property
    def skipped(self) -> list[str]:
        """Names of the patches that were complete before."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "skipped"]

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, otherwise 1."""
        return 1 if self.failed else 0


def run_batch(
    workflow: EOWorkflow,
    patches: Mapping[str, Mapping[EONode, Mapping[str, object]]],
    *,
    executor: ExecutorName = "processes",
    workers: int | None = None,
    threads: int | None = None,
    place: Place | None = None,
    stage: str = "batch",
    skip: Callable[[str], bool] | None = None,
    on_progress: Callable[[PatchOutcome], None] | None = None,
    start_method: StartMethod = "forkserver",
) -> BatchResult:
    """Runs a workflow over patches. A patch that fails is told in its outcome, the others go on.

    :param patches: Arguments of the nodes' execute for each patch, by its name.
    :param executor: ``processes``: worker processes, never forked from this one. ``threads`` and ``serial``: in this
        process, for tasks that cannot be pickled and for debugging. ``ray``: a Ray cluster.
    :param workers: Patches that run at the same time; None takes the cores.
    :param threads: Threads of every engine inside a worker; None shares the cores among the workers. In ``threads``
        and ``serial`` it reaches the engines that ask `models.threads`.
    :param place: Where ``manifest.jsonl`` grows by a line for each patch; None keeps none.
    :param stage: Name of the batch in the manifest and the report.
    :param skip: Whether a patch is complete already: then nothing runs for it. Asked once for each patch, here.
    :param on_progress: Called here with each outcome as it comes.
    :param start_method: How worker processes start: ``forkserver`` or ``spawn``.
    :return: An outcome for each patch, in their order.
    :raises ConfigurationError: when an argument cannot be used.
    :raises BatchError: when nothing can run at all: no patches, a workflow that cannot be pickled, workers that do not
        start.
    :raises MissingDependencyError: when Ray is asked for and not installed.
    """
    start = time.perf_counter()
    if executor not in _EXECUTORS:
        raise ConfigurationError(f"Executor {executor!r} is unknown: choose one of {', '.join(_EXECUTORS)}.")
    if not patches:
        raise BatchError(f"Batch {stage!r} has no patches: check the area, or the filter of the patches.")
    if executor == "ray":
        importlib.import_module("workflows.ray_backend")  # a missing Ray is told before any work
    outcomes: dict[str, PatchOutcome] = {}

    def record(outcome: PatchOutcome) -> None:
        outcomes[outcome.name] = outcome
        if place is not None:
            append_manifest(place, stage, outcome)
        if on_progress is not None:
            on_progress(outcome)

    remaining = {}
    for name, arguments in patches.items():
        if skip is not None and skip(name):
            record(PatchOutcome(name, "skipped", attempts=0))
        else:
            remaining[name] = {node: dict(kwargs) for node, kwargs in arguments.items()}
    workers = _workers(workers, executor, len(remaining))
    threads = _threads(threads, workers)
    if remaining:
        runner = WorkerExecutor(
            workflow,
            remaining.values(),
            execution_names=remaining,
            executor=executor,
            threads=threads,
            start_method=start_method,
            on_outcome=record,
            raise_on_temporal_mismatch=executor != "threads",  # warning filters belong to a process, not to a thread
        )
        runner.run(workers=workers)
    ordered = [outcomes[name] for name in patches]
    return BatchResult(stage, ordered, time.perf_counter() - start, workers, threads)


class WorkerExecutor(EOExecutor):
    """An EOExecutor with worker processes that are never forked from this one, and one patch in flight in each.

    Use it like an EOExecutor: ``run(workers=2)``, then ``make_report()``. Different from it: arguments may come from a
    generator; outputs of the workflow stay in the workers; a worker that dies takes only its own patch along;
    ``tqdm`` arguments are not used.

    :param workflow: The workflow.
    :param execution_kwargs: Arguments of the nodes for each execution.
    :param executor: As in `run_batch`.
    :param threads: Threads of every engine inside a worker; None shares the cores among the workers.
    :param start_method: ``forkserver`` or ``spawn``.
    :param on_outcome: Called with each outcome as it comes.
    :param options: Other options of EOExecutor, such as ``execution_names``, ``save_logs`` and ``logs_folder``.
    :raises BatchError: when arguments name a node that is not part of the workflow.
    """

    def __init__(
        self,
        workflow: EOWorkflow,
        execution_kwargs: Iterable[dict[EONode, dict[str, object]]],
        *,
        executor: ExecutorName = "processes",
        threads: int | None = None,
        start_method: StartMethod = "forkserver",
        on_outcome: Callable[[PatchOutcome], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(workflow, list(execution_kwargs), **options)
        self.executor = executor
        self.threads = threads
        self.start_method = start_method
        self.on_outcome = on_outcome
        self.outcomes: dict[str, PatchOutcome] = {}
        """Outcomes by execution name, in the order in which patches were finished."""
        uids = {node.uid for node in workflow.get_nodes()}
        for name, kwargs in zip(self.execution_names, self.execution_kwargs, strict=True):
            for node in kwargs:
                if node.uid not in uids:
                    raise BatchError(
                        f"Patch {name!r} has arguments for {node.get_name()}, which is not part of the workflow:"
                        " give them to one of its nodes."
                    )

    def _run_execution(
        self, processing_args: list[_ProcessingData], run_params: _ExecutionRunParams
    ) -> list[WorkflowResults]:
        jobs = [
            make_job(index, name, data)
            for index, (name, data) in enumerate(zip(self.execution_names, processing_args, strict=True))
        ]
        workers = _workers(run_params.workers, self.executor, len(jobs))
        steps = step_names(self.workflow)
        results: dict[int, WorkflowResults] = {}
        with contextlib.closing(self._reports(PatchQueue(jobs), workers, steps)) as reports:
            for report in reports:
                results[report.index] = report.results
                name = self.execution_names[report.index]
                outcome = outcome_of(
                    name,
                    report.results,
                    steps,
                    report.peaks,
                    attempts=report.attempts,
                    quarantined=report.quarantined,
                )
                self.outcomes[name] = outcome
                if self.on_outcome is not None:
                    self.on_outcome(outcome)
        return [results[index] for index in range(len(jobs))]

    def _reports(self, queue: PatchQueue, workers: int, steps: Mapping[str, str]) -> Generator[PatchReport, None, None]:
        threads = _threads(self.threads, workers)
        if self.executor in ("threads", "serial"):
            return _in_this_process(self.workflow, queue, workers, threads, logs=self.save_logs)
        payload = _pickled(self.workflow, queue.waiting)
        if self.executor == "ray":
            from workflows.ray_backend import run_on_ray

            return run_on_ray(payload, queue, workers=workers, threads=threads)
        pool = WorkerPool(payload, workers, threads=threads, start_method=self.start_method, steps=steps)
        return pool.run(queue)


def _in_this_process(
    workflow: EOWorkflow, queue: PatchQueue, workers: int, threads: int, *, logs: bool
) -> Generator[PatchReport, None, None]:
    """Reports of patches that run in threads of this process, or one after the other for one worker."""
    with _own_threads(threads), contextlib.nullcontext() if logs else _without_stack_traces():
        if workers == 1:
            while (job := queue.take()) is not None:
                yield queue.finish(execute_job(workflow, job, memory=SampledPeak()))
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="eotasks") as pool:

            def submit(count: int) -> set[Future[PatchReport]]:
                jobs = [job for _ in range(count) if (job := queue.take()) is not None]
                return {pool.submit(execute_job, workflow, job, memory=SampledPeak()) for job in jobs}

            running = submit(workers)
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                reports = [queue.finish(future.result()) for future in finished]
                running |= submit(len(finished))
                yield from reports


@contextlib.contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Keeps eo-learn from logging the stack of a failed task: the outcome has it."""
    logger = logging.getLogger(WORKFLOW_LOGGER)

    def is_no_error(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    logger.addFilter(is_no_error)
    try:
        yield
    finally:
        logger.removeFilter(is_no_error)


@contextlib.contextmanager
def _own_threads(threads: int) -> Iterator[None]:
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT_VARIABLE]
        else:
            os.environ[ENVIRONMENT_VARIABLE] = before


def _pickled(workflow: EOWorkflow, jobs: Iterable[PatchJob]) -> bytes:
    """The workflow as bytes; what cannot be pickled is named."""
    cure = "use a function of a module instead of a lambda or an open handle, or executor='threads'"
    for job in jobs:
        if (error := _pickle_error(job)) is not None:
            raise BatchError(f"The arguments of patch {job.name!r} cannot go to a worker ({error}): {cure}.")
    for node in workflow.get_nodes():
        if (error := _pickle_error(node.task)) is not None:
            culprits = [name for name, value in vars(node.task).items() if _pickle_error(value) is not None]
            what = f" (attribute {', '.join(culprits)})" if culprits else ""
            raise BatchError(f"Task {node.get_name()}{what} cannot go to a worker ({error}): {cure}.")
    return pickle.dumps(workflow)


def _pickle_error(value: object) -> str | None:
    try:
        pickle.dumps(value)
    except Exception as error:  # noqa: BLE001  # pickling runs code of any class; the caller names what it could not
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def _workers(workers: int | None, executor: ExecutorName, jobs: int) -> int:
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers={workers} is no number of workers: give a whole number of at least 1.")
    if executor == "serial":
        return 1
    return max(1, min(workers or available_cores(), jobs))


def _threads(threads: int | None, workers: int) -> int:
    return resolve_threads(threads) if threads is not None else max(1, available_cores() // workers)

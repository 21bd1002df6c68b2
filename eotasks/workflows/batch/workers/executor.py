"""eo-learn's executor on workers of our own, at its seam `_run_execution`: processes, threads or Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue as queues
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Literal

from eolearn.core import EONode, EOWorkflow
from eolearn.core.eoexecution import EOExecutor, _ExecutionRunParams, _ProcessingData
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import BatchError, ConfigurationError
from eotasks.models.threads import ENVIRONMENT_VARIABLE, available_cores
from eotasks.workflows.batch.outcomes import PatchOutcome, outcome_of, step_names
from eotasks.workflows.batch.workers.job import WORKFLOW_LOGGER, PatchJob, PatchReport, execute_job, make_job
from eotasks.workflows.batch.workers.memory import SampledPeak
from eotasks.workflows.batch.workers.pool import StartMethod, WorkerPool
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import Size, Sizing, share_of_cores

LOGGER = logging.getLogger(__name__)

ExecutorName = Literal["processes", "threads", "ray", "serial"]
EXECUTORS: tuple[ExecutorName, ...] = ("processes", "threads", "ray", "serial")

NO_RAY = "executor='ray' needs Ray, which is not installed: pip install 'eotasks[ray]', or use executor='processes'."
"""For whoever imports a module that needs it."""


class WorkerExecutor(EOExecutor):
    """An EOExecutor with worker processes that are never forked from this one, and one patch in flight in each.

    Use it like an EOExecutor: ``run(workers=2)``, then ``make_report()``. Different from it: arguments may come from a
    generator; outputs of the workflow stay in the workers; a worker that dies takes only its own patch along, which
    then runs again (`eotasks.workflows.batch.workers.queue`); ``run(workers=None)`` measures the first patch to see how
    many fit into memory; ``tqdm`` arguments are not used.

    :param workflow: The workflow.
    :param execution_kwargs: Arguments of the nodes for each execution.
    :param executor: As in `run_batch`.
    :param threads: Threads of every engine inside a worker; None shares the cores among the workers.
    :param start_method: ``forkserver`` or ``spawn``.
    :param on_outcome: Called with each outcome as it comes.
    :param on_start: Called with the name of each patch that begins, and which attempt it is.
    :param on_lost: Called with the outcome of each attempt that cost a worker and will be repeated.
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
        on_start: Callable[[str, int], None] | None = None,
        on_lost: Callable[[PatchOutcome], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(workflow, list(execution_kwargs), **options)
        self.executor = executor
        self.threads = threads
        self.start_method = start_method
        self.on_outcome = on_outcome
        self.on_start = on_start
        self.on_lost = on_lost
        self.size: Size | None = None
        """Workers and threads of the run, once they are known."""
        self.outcomes: dict[str, PatchOutcome] = {}
        """Outcomes by execution name, in the order in which patches were finished."""
        self._steps = step_names(workflow)
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
        queue = PatchQueue(jobs, on_start=self._tell_start, on_lost=self._tell_lost)
        results: dict[int, WorkflowResults] = {}
        with contextlib.closing(self._reports(queue, run_params.workers)) as reports:
            for report in reports:
                results[report.index] = report.results
                outcome = self._outcome(report)
                self.outcomes[outcome.name] = outcome
                if self.on_outcome is not None:
                    self.on_outcome(outcome)
        return [results[index] for index in range(len(jobs))]

    def _reports(self, queue: PatchQueue, workers: int | None) -> Generator[PatchReport, None, None]:
        if self.executor == "processes" and workers is None:
            return self._sized_reports(queue)
        self.size = asked_size(workers, self.threads, self.executor, len(queue))
        if self.executor == "ray":
            raise ConfigurationError(
                "WorkerExecutor runs nothing on Ray: use eotasks.workflows.batch.ray.executor.RayWorkerExecutor."
            )
        if self.executor in ("threads", "serial"):
            return _in_this_process(self.workflow, queue, self.size, logs=self.save_logs)
        payload = pickled_workflow(self.workflow, queue.waiting)
        return self._pool(payload, self.size.workers, self.size.threads).run(queue)

    def _sized_reports(self, queue: PatchQueue) -> Generator[PatchReport, None, None]:
        """The first patch runs alone; its memory says how many workers follow."""
        sizing = Sizing(len(queue), self.threads)
        self.size = sizing.settled
        pool = self._pool(pickled_workflow(self.workflow, queue.waiting), 1, sizing.trial_threads)
        pool.on_trial = self.size is None
        with contextlib.closing(pool.run(queue)) as reports:
            for report in reports:
                yield report
                if self.size is None and (size := sizing.observe(self._outcome(report))) is not None:
                    self.size, pool.on_trial = size, False
                    pool.size, pool.threads = size.workers, size.threads
                    LOGGER.info("%s", size.note)
        self.size = self.size or Size(1, sizing.trial_threads, "No patch ended well, so they all ran one by one.")

    def _pool(self, payload: bytes, workers: int, threads: int) -> WorkerPool:
        return WorkerPool(payload, workers, threads=threads, start_method=self.start_method, steps=self._steps)

    def _outcome(self, report: PatchReport) -> PatchOutcome:
        return outcome_of(
            self.execution_names[report.index],
            report.results,
            self._steps,
            report.peaks,
            attempts=report.attempts,
            quarantined=report.quarantined,
            log=report.log or None,
        )

    def _tell_start(self, job: PatchJob) -> None:
        if self.on_start is not None:
            self.on_start(job.name, job.attempt)

    def _tell_lost(self, _: PatchJob, report: PatchReport) -> None:
        if self.on_lost is not None:
            self.on_lost(self._outcome(report))


def executor_class(executor: ExecutorName) -> type[WorkerExecutor]:
    """The class that runs patches in this way.

    :raises MissingDependencyError: when it is Ray and Ray is not installed.
    """
    if executor != "ray":
        return WorkerExecutor
    from eotasks.workflows.batch.ray.executor import RayWorkerExecutor

    return RayWorkerExecutor


def asked_size(workers: int | None, threads: int | None, executor: ExecutorName, jobs: int) -> Size:
    """The size of a batch without measuring: what is asked for, else the cores.

    :raises ConfigurationError: when it is no number of workers or threads.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers={workers} is no number of workers: give a whole number of at least 1.")
    chosen = 1 if executor == "serial" else max(1, min(workers or available_cores(), jobs))
    return Size(chosen, share_of_cores(threads, chosen))


def _in_this_process(
    workflow: EOWorkflow, queue: PatchQueue, size: Size, *, logs: bool
) -> Generator[PatchReport, None, None]:
    """Reports of patches that run in threads of this process, or one after the other for one worker."""
    with _own_threads(size.threads), contextlib.nullcontext() if logs else _without_stack_traces():
        if size.workers > 1:
            yield from _in_threads(workflow, queue, size.workers)
            return
        while (job := queue.take()) is not None:
            yield queue.finish(execute_job(workflow, job, memory=SampledPeak()))


def _in_threads(workflow: EOWorkflow, queue: PatchQueue, workers: int) -> Generator[PatchReport, None, None]:
    """Reports of patches that run in threads.

    A thread cannot be ended from outside. When the batch stops early, no patch begins any more, and those that run are
    waited for; a second interrupt leaves at once, for which the threads are daemons.
    """
    jobs: queues.SimpleQueue[PatchJob | None] = queues.SimpleQueue()
    ended: queues.SimpleQueue[PatchReport | BaseException] = queues.SimpleQueue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            try:
                ended.put(execute_job(workflow, job, memory=SampledPeak()))
            except BaseException as error:  # noqa: BLE001  # goes to the thread that waits for it
                ended.put(error)

    def submit() -> None:
        if (job := queue.take()) is not None:
            jobs.put(job)

    threads = [threading.Thread(target=work, name=f"eotasks_{number}", daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
        submit()
    try:
        while queue:
            report = ended.get()
            if isinstance(report, BaseException):
                raise report
            finished = queue.finish(report)
            submit()
            yield finished
    finally:
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()


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


def pickled_workflow(
    workflow: EOWorkflow, jobs: Iterable[PatchJob], dumps: Callable[[object], bytes] = pickle.dumps
) -> bytes:
    """The workflow as bytes.

    :param dumps: What pickles.
    :raises BatchError: when it or the arguments of a patch cannot be pickled; it names what cannot.
    """
    cure = "use a function of a module instead of a lambda or an open handle, or executor='threads'"
    for job in jobs:
        if (error := _pickle_error(job, dumps)) is not None:
            raise BatchError(f"The arguments of patch {job.name!r} cannot go to a worker ({error}): {cure}.")
    for node in workflow.get_nodes():
        if (error := _pickle_error(node.task, dumps)) is not None:
            culprits = [name for name, value in vars(node.task).items() if _pickle_error(value, dumps) is not None]
            what = f" (attribute {', '.join(culprits)})" if culprits else ""
            raise BatchError(f"Task {node.get_name()}{what} cannot go to a worker ({error}): {cure}.")
    return dumps(workflow)


def _pickle_error(value: object, dumps: Callable[[object], bytes]) -> str | None:
    try:
        dumps(value)
    except Exception as error:  # noqa: BLE001  # pickling runs code of any class; the caller names what it could not
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None

"""eo-learn's executor on workers of our own, at its seam `_run_execution`: worker processes, or this process."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol

from eolearn.core import EONode, EOWorkflow
from eolearn.core.eoexecution import EOExecutor, _ExecutionRunParams, _ProcessingData
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import BatchError, ConfigurationError
from eotasks.workflows.batch.ahead import prepares
from eotasks.workflows.batch.outcomes import PatchOutcome, outcome_of, step_names
from eotasks.workflows.batch.workers.job import PatchJob, PatchReport, make_job
from eotasks.workflows.batch.workers.kinds import ExecutorName, StartMethod, checked_timeout
from eotasks.workflows.batch.workers.local import run_in_this_process
from eotasks.workflows.batch.workers.pickling import pickled_workflow
from eotasks.workflows.batch.workers.pool import WorkerPool
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import MachineCapacity, Size, Sizing, asked_size

LOGGER = logging.getLogger(__name__)


class Pool(Protocol):
    """Workers that run the patches of a queue; `size` and `on_trial` may be changed between two reports."""

    size: Size
    """How many workers, and with what."""

    on_trial: bool
    """While it is true, a worker that has ended a patch gets the next one only after its report was handled."""

    def run(self, queue: PatchQueue) -> Generator[PatchReport, None, None]:
        """Reports in the order in which patches are finished. Closing it ends the workers."""


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
    :param patch_timeout: As in `run_batch`.
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
        patch_timeout: float | None = None,
        on_outcome: Callable[[PatchOutcome], None] | None = None,
        on_start: Callable[[str, int], None] | None = None,
        on_lost: Callable[[PatchOutcome], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(workflow, list(execution_kwargs), **options)
        self.executor = executor
        self.threads = threads
        self.start_method = start_method
        self.patch_timeout = checked_timeout(patch_timeout, executor)
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
        queue = PatchQueue(jobs, on_start=self._report_start, on_lost=self._report_lost)
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
        size = asked_size(workers, self.threads, self.executor, len(queue))
        if self.executor == "ray":
            raise ConfigurationError(
                "WorkerExecutor runs nothing on Ray: use eotasks.workflows.batch.ray.executor.RayWorkerExecutor."
            )
        if self.executor in ("threads", "serial"):
            self.size = size
            return run_in_this_process(self.workflow, queue, size, logs=self.save_logs)
        payload = pickled_workflow(self.workflow, queue.waiting)
        sizing = Sizing(MachineCapacity(len(queue), self.threads)) if workers is None else None
        start_with = size if sizing is None else sizing.trial
        pool = WorkerPool(
            payload,
            start_with,
            start_method=self.start_method,
            steps=self._steps,
            patch_timeout=self.patch_timeout,
            prepares=prepares(self.workflow),
        )
        pool.shrinks = sizing is not None
        return self._reports_of(pool, queue, sizing)

    def _reports_of(self, pool: Pool, queue: PatchQueue, sizing: Sizing | None) -> Generator[PatchReport, None, None]:
        """Reports of workers.

        :param sizing: None where the pool has the size that was asked for. Otherwise the first patch runs alone, and
            its memory says how many workers follow.
        """
        self.size = pool.size if sizing is None else sizing.size
        pool.on_trial = self.size is None
        with contextlib.closing(pool.run(queue)) as reports:
            for report in reports:
                yield report
                if sizing is not None and self.size is None:
                    self.size = sizing.observe(self._outcome(report))
                    if self.size is not None:
                        pool.size, pool.on_trial = self.size, False
                        LOGGER.info("%s", self.size.note)
                elif sizing is not None:
                    smaller = sizing.grow(self._outcome(report))
                    if smaller is not None:
                        self.size = pool.size = smaller
                        LOGGER.warning("A patch took more memory than those before. %s", smaller.note)
        self.size = self.size or pool.size

    def _outcome(self, report: PatchReport) -> PatchOutcome:
        return outcome_of(
            self.execution_names[report.index],
            report.results,
            self._steps,
            report.peaks,
            attempts=report.attempts,
            quarantined=report.quarantined,
            error=report.error,
            log=report.log or None,
            warnings=report.warnings,
        )

    def _report_start(self, job: PatchJob) -> None:
        if self.on_start is not None:
            self.on_start(job.name, job.attempt)

    def _report_lost(self, _: PatchJob, report: PatchReport) -> None:
        if self.on_lost is not None:
            self.on_lost(self._outcome(report))

"""Patches in this process: in threads, or one after the other."""

from __future__ import annotations

import contextlib
import logging
import os
import queue as queues
import threading
from collections.abc import Generator, Iterator

from eolearn.core import EOWorkflow

from eotasks.models.threads import ENVIRONMENT_VARIABLE
from eotasks.workflows.batch.workers.job import WORKFLOW_LOGGER, PatchJob, PatchReport, execute_job
from eotasks.workflows.batch.workers.memory import SampledPeak
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import Size


def run_in_this_process(
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

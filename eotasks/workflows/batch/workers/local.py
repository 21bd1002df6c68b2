"""Patches in this process: in threads, or one after the other."""

from __future__ import annotations

import contextlib
import logging
import queue as queues
import threading
from collections.abc import Generator, Iterator

from eolearn.core import EOWorkflow

from eotasks.errors import BatchError
from eotasks.models.threads import shared_thread_setting
from eotasks.workflows.batch.workers.job import WORKFLOW_LOGGER, PatchJob, PatchReport, execute_job
from eotasks.workflows.batch.workers.memory import SampledPeak
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import Size


def run_in_this_process(
    workflow: EOWorkflow, queue: PatchQueue, size: Size, *, logs: bool
) -> Generator[PatchReport, None, None]:
    """Reports of patches that run in threads of this process, or one after the other for one worker."""
    with shared_thread_setting(size.threads), contextlib.nullcontext() if logs else _without_stack_traces():
        if size.workers > 1:
            yield from _in_threads(workflow, queue, size.workers)
            return
        interruptible = threading.current_thread() is threading.main_thread()  # interrupts reach no other one
        while (job := queue.take()) is not None:
            yield queue.finish(execute_job(workflow, job, memory=SampledPeak(), interruptible=interruptible))


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

    threads: list[threading.Thread] = []
    try:
        for number in range(workers):
            thread = threading.Thread(target=work, name=f"eotasks_{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more of them to give
                if not threads:
                    raise BatchError(f"No thread can be started ({error}): use executor='serial'.") from error
                break
            threads.append(thread)
            submit()
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

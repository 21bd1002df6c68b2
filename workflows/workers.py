"""Worker processes by forkserver or spawn, one patch in flight in each.

Forking a process that has run OpenMP (LightGBM's training) deadlocks or breaks its pool, and EOExecutor forks on
Linux; and when one process of its pool is killed, the whole batch is lost. Here each worker has its own pipe: the one
that dies takes only its own patch along.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any, Literal

import threadpoolctl  # type: ignore[import-untyped]  # it has no hints
from eolearn.core import EOWorkflow

from models.errors import BatchError, ConfigurationError
from models.threads import resolve_threads, thread_environment
from workflows import worker_entry
from workflows.execution import WORKFLOW_LOGGER, PatchJob, PatchReport, execute_job, lost_report
from workflows.monitor import ResettablePeak, SampledPeak

LOGGER = logging.getLogger(__name__)

StartMethod = Literal["forkserver", "spawn"]

_JOIN_SECONDS = 5.0
_GUARD = "keep `if __name__ == '__main__':` around the call in your script, or use executor='threads'"


class WorkerPool:
    """A number of worker processes for one workflow.

    :param workflow: The pickled workflow.
    :param size: Number of processes.
    :param threads: Threads of every engine inside a worker.
    :param start_method: ``forkserver`` (workers start fast and share pages) or ``spawn``. Where the system has no fork
        server, ``spawn`` it is.
    :param steps: Names of the steps by node uid, for messages.
    """

    def __init__(
        self, workflow: bytes, size: int, *, threads: int, start_method: StartMethod, steps: Mapping[str, str]
    ) -> None:
        self.workflow = workflow
        self.size = size
        self.steps = steps
        self.threads = threads
        self._context = _context(start_method)
        self._workers: list[_Worker] = []

    def run(self, jobs: Iterable[PatchJob]) -> Generator[PatchReport, None, None]:
        """Runs the jobs; reports come in the order in which patches are finished.

        A job leaves the queue only when a worker is free. Closing the iterator ends the workers.

        :raises BatchError: when workers cannot start at all.
        """
        waiting = deque(jobs)
        try:
            for _ in range(min(self.size, len(waiting))):
                self._start_worker()
            while waiting or any(worker.job for worker in self._workers):
                speakers = wait([worker.connection for worker in self._workers])
                for worker in [worker for worker in self._workers if worker.connection in speakers]:
                    report = self._listen(worker, waiting)
                    if report is not None:
                        yield report
        finally:
            self._stop()

    def _listen(self, worker: _Worker, waiting: deque[PatchJob]) -> PatchReport | None:
        """Takes one message of a worker that has something to say, or has died."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker, waiting)
        report: PatchReport | None = None
        if kind == "step":
            worker.node, worker.since = content, datetime.now()  # noqa: DTZ005  # eo-learn's times are naive
        elif kind == "log":
            logging.getLogger(content.name).handle(content)
        elif kind == "refused":
            raise BatchError(content)
        else:
            report, worker.job, worker.ready = content, None, True
            self._give(worker, waiting)
        return report

    def _give(self, worker: _Worker, waiting: deque[PatchJob]) -> None:
        if not waiting:
            return
        worker.job, worker.node = waiting.popleft(), None
        with contextlib.suppress(OSError):  # it died while it was idle: its connection tells
            worker.connection.send_bytes(pickle.dumps(worker.job))

    def _bury(self, worker: _Worker, waiting: deque[PatchJob]) -> PatchReport | None:
        """Ends a worker that died, and starts another one when there is work left."""
        self._workers.remove(worker)
        worker.process.join(_JOIN_SECONDS)
        worker.connection.close()
        how = _death(worker.process.exitcode)
        if not worker.ready:
            raise BatchError(f"A worker process ended while it was starting ({how}): {_GUARD}.")
        job = worker.job
        report = None
        if job is not None:
            step = self.steps[worker.node] if worker.node else "before the first"
            error = BatchError(f"The worker process ended ({how}).")
            LOGGER.warning("Patch %s, step %s: %s", job.name, step, error)
            report = lost_report(job, error, worker.since, uid=worker.node, step=step)
        if waiting:
            self._start_worker()
        return report

    def _start_worker(self) -> None:
        settings = thread_environment(self.threads)
        # Passive: OpenMP threads that wait by spinning take the cores from the other workers (100 times slower).
        # A server that forks has to stay single-threaded; its children set their own number.
        forking = isinstance(self._context, ForkServerContext)
        with _environment(thread_environment(1) if forking else settings):
            ours, theirs = self._context.Pipe()
            environment = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ) | settings
            process = self._context.Process(
                target=worker_entry.main, args=(theirs, environment), name="eotasks-worker", daemon=True
            )
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        with contextlib.suppress(OSError):  # it died at once: its connection tells
            ours.send_bytes(pickle.dumps((self.workflow, logging.getLogger().getEffectiveLevel())))

    def _stop(self) -> None:
        for worker in self._workers:
            if worker.job is not None:
                worker.process.terminate()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(_JOIN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()


class _Worker:
    """The parent's view of a worker process."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.ready = False
        self.job: PatchJob | None = None
        self.node: str | None = None
        self.since = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive


def serve(connection: Connection) -> None:
    """A worker's loop: takes the workflow, then a patch at a time, until the parent hangs up."""
    sending = threading.Lock()

    def tell(kind: str, content: object) -> None:
        with sending:
            connection.send((kind, content))

    with contextlib.suppress(EOFError, OSError):  # the parent is gone or has closed the pool: nobody is listening
        pickled, level = pickle.loads(connection.recv_bytes())  # noqa: S301  # of our own parent
        logging.getLogger().setLevel(level)
        logging.getLogger().addHandler(_ForwardingHandler(tell))
        try:
            workflow: EOWorkflow = pickle.loads(pickled)  # noqa: S301  # the same
            threadpoolctl.threadpool_limits(resolve_threads())  # engines that the fork server had loaded already
            memory = ResettablePeak() if ResettablePeak.available() else SampledPeak()
            tell("ready", None)
            while True:
                job: PatchJob = pickle.loads(connection.recv_bytes())  # noqa: S301  # the same
                tell("report", execute_job(workflow, job, memory=memory, on_step=lambda uid: tell("step", uid)))
        except (EOFError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # unpickling imports and runs the user's modules; all is told
            tell("refused", _refusal(error))


class _ForwardingHandler(logging.Handler):
    """Sends log records of a worker to the parent, where the user's handlers are."""

    def __init__(self, tell: Any) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record with its message made up; failed tasks are left out: their report tells of them."""
        if record.name == WORKFLOW_LOGGER:
            return
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        with contextlib.suppress(
            OSError, TypeError, AttributeError, pickle.PicklingError
        ):  # a log line is no reason to fail
            self._tell("log", record)


def _refusal(error: Exception) -> str:
    return (
        f"The workflow cannot be rebuilt in a worker process ({type(error).__name__}: {error}): define its tasks in a"
        " module that can be imported, not in a notebook or shell, or use executor='threads'."
    )


def _context(start_method: StartMethod) -> ForkServerContext | SpawnContext:
    if start_method not in ("forkserver", "spawn"):
        raise ConfigurationError(f"start_method {start_method!r} is not known: choose 'forkserver' or 'spawn'.")
    if start_method == "spawn" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workflows.worker_preload"])
    return context


def _death(exit_code: int | None) -> str:
    if exit_code is None:
        return "its pipe closed"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    return f"{name}, mostly for lack of memory: use fewer workers or smaller patches" if name == "SIGKILL" else name


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that start inside the block."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

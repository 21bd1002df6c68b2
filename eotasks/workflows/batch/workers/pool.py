"""Worker processes by forkserver or spawn, one patch in flight in each.

Forking a process that has run OpenMP (LightGBM's training) deadlocks or breaks its pool, and EOExecutor forks on
Linux; and when one process of its pool is killed, the whole batch is lost. Here each worker has its own pipe: the one
that dies takes only its own patch along, and another one takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from eotasks.errors import BatchError, ConfigurationError
from eotasks.models.threads import thread_environment
from eotasks.storage.temporary import OwnFolder
from eotasks.workflows.batch.workers.entry import run_worker
from eotasks.workflows.batch.workers.job import LOG_LINES, PatchJob, PatchReport, log_line
from eotasks.workflows.batch.workers.kinds import START_METHODS, StartMethod
from eotasks.workflows.batch.workers.memory import oom_kills
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import Size

LOGGER = logging.getLogger(__name__)

_JOIN_SECONDS = 3.0
_STARTS = 3
"""Workers that may die one after the other while they start, by a signal from elsewhere."""
_LOST_SERVER = 255
"""What multiprocessing reports of a child of a fork server that is gone."""
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGBUS})
_GUARD = "keep `if __name__ == '__main__':` around the call in your script, or use executor='threads'"


class WorkerPool:
    """A number of worker processes for one workflow.

    :param workflow: The pickled workflow.
    :param size: Number of processes, and of threads of every engine in each.
    :param start_method: ``forkserver`` (workers start fast and share pages) or ``spawn``. Where the system has no fork
        server, ``spawn`` it is.
    :param steps: Names of the steps by node uid, for messages.
    """

    def __init__(self, workflow: bytes, size: Size, *, start_method: StartMethod, steps: Mapping[str, str]) -> None:
        self.workflow = workflow
        self.size = size
        self.steps = steps
        self.on_trial = False
        """While it is true, a worker that has ended a patch gets the next one only after its report was handled."""
        self._context = _context(start_method)
        self._temporary = OwnFolder()  # of the workers: those that are killed leave what they have there
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    def run(self, queue: PatchQueue) -> Generator[PatchReport, None, None]:
        """Runs the patches; reports come in the order in which patches are finished.

        A patch leaves the queue only when a worker is free. Closing the iterator ends the workers. Between two reports,
        `size` and `on_trial` may be changed.

        :raises BatchError: when workers cannot start at all.
        """
        self.size = replace(self.size, workers=max(1, min(self.size.workers, len(queue))))
        try:
            while queue:
                self._assign_work(queue)
                ready = wait([worker.connection for worker in self._workers])
                for worker in [worker for worker in self._workers if worker.connection in ready]:
                    report = self._receive(worker, queue)
                    if report is not None:
                        yield report
        finally:
            self._stop()
            self._temporary.remove()

    def _assign_work(self, queue: PatchQueue) -> None:
        """Gives work to workers that have none, and starts those that are missing.

        Also when fewer patches are left than workers: where workers die, the last patches then find one that is ready.
        """
        for worker in [worker for worker in self._workers if worker.ready and worker.job is None]:
            if worker.threads != self.size.threads:
                self._workers.remove(worker)
                worker.end(time.monotonic() + _JOIN_SECONDS)
            else:
                self._send_job(worker, queue)
        for _ in range(self.size.workers - len(self._workers)):
            self._start_worker()

    def _receive(self, worker: _Worker, queue: PatchQueue) -> PatchReport | None:
        """Takes one message of a worker that has sent one, or has died."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return self._handle_lost_worker(worker, queue)
        report: PatchReport | None = None
        if kind == "step":
            worker.node, worker.since = content, datetime.now()  # noqa: DTZ005  # eo-learn's times are naive
        elif kind == "log":
            worker.log.append(log_line(content))
            logging.getLogger(content.name).handle(content)
        elif kind == "refused":
            raise BatchError(content)
        elif kind == "ready":
            worker.ready, self._failed_starts = True, 0
        else:
            worker.job, report = None, queue.finish(content)
        if worker.ready and worker.job is None and not self.on_trial and worker.threads == self.size.threads:
            self._send_job(worker, queue)  # before the report is handled, which may take its time
        return report

    def _send_job(self, worker: _Worker, queue: PatchQueue) -> None:
        job = queue.take()
        if job is None:
            return
        try:
            worker.connection.send_bytes(pickle.dumps(job))
        except OSError:  # it died while it was idle: its connection ends
            queue.put_back(job)
        else:
            worker.begin(job)

    def _handle_lost_worker(self, worker: _Worker, queue: PatchQueue) -> PatchReport | None:
        """Removes a worker that died; its patch runs again or is quarantined."""
        self._workers.remove(worker)
        worker.end(time.monotonic() + _JOIN_SECONDS)
        code, out_of_memory = worker.process.exitcode, oom_kills() > worker.oom_kills
        if not worker.ready:
            self._failed_starts += 1
            from_elsewhere = code is None or code < 0 or code == _LOST_SERVER
            if not from_elsewhere or self._failed_starts >= _STARTS:
                raise BatchError(f"A worker process ended while it was starting ({_exit_reason(code)}): {_GUARD}.")
        if worker.job is None:
            LOGGER.warning(
                "A worker process ended between two patches (%s). Another one takes its place.", _exit_reason(code)
            )
            return None
        step = self.steps[worker.node] if worker.node else "before the first"
        out_of_memory = out_of_memory and code == -signal.SIGKILL
        error = BatchError(f"The worker process ended ({_exit_reason(code, out_of_memory=out_of_memory)}).")
        caused_by_patch = out_of_memory or _is_crash(code)
        report = queue.lose(
            worker.job, error, since=worker.since, uid=worker.node, step=step, caused_by_patch=caused_by_patch
        )
        return None if report is None else replace(report, log="\n".join(worker.log))

    def _start_worker(self) -> None:
        settings = thread_environment(self.size.threads) | {"TMPDIR": str(self._temporary.path)}
        # Passive: OpenMP threads that wait by spinning take the cores from the other workers (100 times slower).
        # A server that forks has to stay single-threaded; its children set their own number.
        forking = isinstance(self._context, ForkServerContext)
        with _environment(thread_environment(1) if forking else settings):
            ours, theirs = self._context.Pipe()
            environment = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ) | settings
            process = self._context.Process(
                target=run_worker, args=(theirs, environment), name="eotasks-worker", daemon=True
            )
            try:
                process.start()
            except (EOFError, OSError) as error:  # the fork server has just ended; the next start makes one
                self._failed_starts += 1
                ours.close()
                if self._failed_starts >= _STARTS:
                    raise BatchError(f"Worker processes do not start ({error}): use executor='threads'.") from error
                return
            finally:
                theirs.close()
        worker = _Worker(process, ours, self.size.threads)
        self._workers.append(worker)
        with contextlib.suppress(OSError):  # it died at once: its connection ends
            ours.send_bytes(pickle.dumps((self.workflow, logging.getLogger().getEffectiveLevel())))

    def _stop(self) -> None:
        """Ends all workers: those with a patch are terminated, and killed when they do not end within seconds."""
        try:
            for worker in self._workers:
                if worker.job is not None:
                    worker.process.terminate()
                worker.connection.close()
            deadline = time.monotonic() + _JOIN_SECONDS
            for worker in self._workers:
                worker.end(deadline)
        except BaseException:  # a second interrupt: at once
            for worker in self._workers:
                worker.process.kill()
            raise
        finally:
            self._workers.clear()


class _Worker:
    """The parent's view of a worker process."""

    def __init__(self, process: Any, connection: Connection, threads: int) -> None:
        self.process = process
        self.connection = connection
        self.threads = threads
        self.ready = False
        self.job: PatchJob | None = None
        self.node: str | None = None
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.oom_kills = 0
        self.since = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive

    def begin(self, job: PatchJob) -> None:
        """Notes that the worker has a patch from now on."""
        self.job, self.node, self.since = job, None, datetime.now()  # noqa: DTZ005  # the same
        self.oom_kills = oom_kills()
        self.log.clear()

    def end(self, deadline: float) -> None:
        """Hangs up and waits for the process to end; kills it when it has not by then.

        :param deadline: On the monotonic clock, in seconds.
        """
        self.connection.close()
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join(_JOIN_SECONDS)


def _context(start_method: StartMethod) -> ForkServerContext | SpawnContext:
    if start_method not in START_METHODS:
        raise ConfigurationError(f"start_method {start_method!r} is not known: choose 'forkserver' or 'spawn'.")
    if start_method == "spawn" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["eotasks.workflows.batch.workers.preload"])
    return context


def _exit_reason(exit_code: int | None, *, out_of_memory: bool = False) -> str:
    """How a process ended, for messages.

    :param out_of_memory: The kernel has killed a process for lack of memory meanwhile.
    """
    if exit_code is None:
        return "its pipe closed"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    cure = "use fewer workers or smaller patches"
    if out_of_memory:
        return f"{name} for lack of memory: {cure}"
    return f"{name}, by somebody or for lack of memory: then {cure}" if name == "SIGKILL" else name


def _is_crash(exit_code: int | None) -> bool:
    """Whether a process ended by something that it did itself."""
    if exit_code is None or exit_code == _LOST_SERVER:
        return False
    return exit_code >= 0 or -exit_code in _CRASHES


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

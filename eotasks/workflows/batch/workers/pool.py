"""Worker processes by forkserver or spawn, one patch in flight in each.

Forking a process that has run OpenMP (LightGBM's training) deadlocks or breaks its pool, and EOExecutor forks on
Linux; and when one process of its pool is killed, the whole batch is lost. Here each worker has its own pipe: the one
that dies takes only its own patch along, and another one takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import struct
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from typing import Any

import psutil

from eotasks.errors import BatchError
from eotasks.models.threads import environment, thread_environment
from eotasks.storage.temporary import OwnFolder
from eotasks.workflows.batch.workers.attempt import LOOK_SECONDS, Attempt, StepWatch, hand_on
from eotasks.workflows.batch.workers.entry import run_worker
from eotasks.workflows.batch.workers.job import PatchJob, PatchReport, pack_job
from eotasks.workflows.batch.workers.kinds import StartMethod, importable_main, interrupts_blocked, process_context
from eotasks.workflows.batch.workers.memory import oom_kills
from eotasks.workflows.batch.workers.messages import MESSAGE_BYTES, decode
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import Size

LOGGER = logging.getLogger(__name__)

_JOIN_SECONDS = 3.0
_STARTS = 3
"""Workers that may fail to start one after the other, for no reason of their own, while there is none."""
_PAUSE_SECONDS = 0.5
"""Between two tries to start the only worker: a fork server that was killed is seen to be gone by then."""
_START_SECONDS = 900.0
"""How long a worker may take to start, which is to load the user's modules."""
_MESSAGE_SECONDS = 60
"""How long a worker may take to take or to give a message that it has begun."""
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
    :param patch_timeout: Seconds after which the worker of a patch is ended; None for never.
    :param prepares: Whether workers are told which patch they will get next.
    """

    def __init__(
        self,
        workflow: bytes,
        size: Size,
        *,
        start_method: StartMethod,
        steps: Mapping[str, str],
        patch_timeout: float | None = None,
        prepares: bool = False,
    ) -> None:
        self.workflow = workflow
        self.size = size
        self.steps = steps
        self.on_trial = False
        """While it is true, a worker that has ended a patch gets the next one only after its report was handled."""
        self.shrinks = False
        """Whether there is one worker less each time that the kernel has killed one for lack of memory."""
        self._prepares = prepares
        self._context = process_context(start_method)
        self._temporary = OwnFolder()  # of the workers: those that are killed leave what they have there
        self._watch = StepWatch(steps, patch_timeout)
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._has_started = False
        self._next_start = self._next_look = 0.0

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
                for worker, has_spoken in self._workers_to_look_at():
                    if worker not in self._workers:
                        continue
                    report = self._receive(worker, queue) if has_spoken else self._look_after(worker, queue)
                    if report is not None:
                        yield report
        finally:
            self._stop()
            self._temporary.remove()

    def _assign_work(self, queue: PatchQueue) -> None:
        """Gives work to workers that have none, ends those that are too many, and starts those that are missing.

        Also when fewer patches are left than workers: where workers die, the last patches then find one that is ready.
        """
        for worker in [worker for worker in self._workers if worker.is_idle]:
            if worker.threads != self.size.threads or len(self._workers) > self.size.workers:
                self._workers.remove(worker)
                queue.release(worker, lost=False)
                worker.end(time.monotonic() + _JOIN_SECONDS)
            else:
                self._send_job(worker, queue)
        if not self._workers:
            time.sleep(max(0.0, self._next_start - time.monotonic()))
        for _ in range(self.size.workers - len(self._workers)):
            if time.monotonic() >= self._next_start:
                self._start_worker()

    def _workers_to_look_at(self) -> list[tuple[_Worker, bool]]:
        """Workers that have sent a message (true), and those that seem to have ended or to hang (false)."""
        if not self._workers:
            return []
        attempts = [worker.attempt for worker in self._workers if worker.attempt is not None]
        # A process that a task has forked keeps the connection of a dead worker open: the sentinel tells nevertheless.
        sentinels = [worker.process.sentinel for worker in self._workers if not worker.lost_server]
        connections = [worker.connection for worker in self._workers]
        ready = set(wait([*connections, *sentinels], self._watch.seconds_to_wait(attempts)))
        look_at_all = not ready or time.monotonic() >= self._next_look
        if look_at_all:
            self._next_look = time.monotonic() + _PAUSE_SECONDS
        spoken = [(worker, True) for worker in self._workers if worker.connection in ready]
        return spoken + [
            (worker, False)
            for worker in self._workers
            if worker.connection not in ready and (look_at_all or worker.process.sentinel in ready)
        ]

    def _receive(self, worker: _Worker, queue: PatchQueue) -> PatchReport | None:
        """Takes one message of a worker that has sent one, or has died."""
        try:
            kind, content = decode(worker.connection.recv_bytes(MESSAGE_BYTES))
        except (EOFError, OSError, ValueError):  # also when it stops in the middle, or anything else is written there
            return self._handle_lost_worker(worker, queue)
        attempt, report = worker.attempt, None
        if kind == "log":
            if attempt is not None:
                attempt.keep_log(content)
            hand_on(content)
        elif kind == "step" and attempt is not None:
            attempt.begin_step(content)
        elif kind == "refused":
            self._workers.remove(worker)
            worker.end(time.monotonic() + _JOIN_SECONDS)
            self._handle_failed_start(content, certain=True)
        elif kind == "ready":
            worker.ready, self._has_started, self._failed_starts = True, True, 0
        elif kind in ("report", "last report") and attempt is not None and content.index == attempt.job.index:
            worker.attempt, report = None, queue.finish(content)
            self._watch.end(report)
            if kind == "last report":
                self._workers.remove(worker)
                queue.release(worker, lost=False)
                worker.end(time.monotonic() + _JOIN_SECONDS)
                return report
        if worker.is_idle and not self.on_trial and worker.threads == self.size.threads:
            self._send_job(worker, queue)  # before the report is handled, which may take its time
        return report

    def _look_after(self, worker: _Worker, queue: PatchQueue) -> PatchReport | None:
        """Removes a worker that has ended in silence, or takes too long."""
        if worker.has_ended():
            return None if worker.connection.poll() else self._handle_lost_worker(worker, queue)
        if worker.attempt is not None:
            overdue = self._watch.overdue(worker.attempt)
            if overdue is not None:
                return self._handle_lost_worker(worker, queue, overdue)
        elif not worker.ready and time.monotonic() - worker.started > _START_SECONDS:
            return self._handle_lost_worker(worker, queue, BatchError(f"it was not ready in {_START_SECONDS:.0f} s"))
        return None

    def _send_job(self, worker: _Worker, queue: PatchQueue) -> None:
        job = queue.take(worker) if len(self._workers) <= self.size.workers else None
        if job is None:
            return
        upcoming = queue.reserve(worker, job, spare=self.size.workers - 1) if self._prepares else None
        try:
            worker.connection.send_bytes(pack_job(job, upcoming=upcoming))
        except OSError:  # it died while it was idle, or takes nothing
            queue.put_back(job)
            self._handle_lost_worker(worker, queue)
        else:
            worker.begin(job)

    def _handle_lost_worker(
        self, worker: _Worker, queue: PatchQueue, overdue: BatchError | None = None
    ) -> PatchReport | None:
        """Removes a worker that died, or that has to; its patch runs again or is quarantined.

        :param overdue: Why it has to die.
        """
        self._workers.remove(worker)
        queue.release(worker, lost=True)
        if overdue is not None:
            worker.kill()  # before it is hung up on: it would end, and leave what it has started
        worker.end(time.monotonic() + _JOIN_SECONDS)
        code, out_of_memory = worker.process.exitcode, oom_kills() > worker.oom_kills
        if not worker.ready:
            from_elsewhere = code is None or code < 0 or code == _LOST_SERVER
            reason = str(overdue) if overdue else _exit_reason(code)
            message = f"A worker process ended while it was starting ({reason}): {_GUARD}."
            self._handle_failed_start(message, certain=not from_elsewhere)
            return None
        if worker.attempt is None:
            LOGGER.warning(
                "A worker process ended between two patches (%s). Another one takes its place.", _exit_reason(code)
            )
            return None
        out_of_memory = out_of_memory and code == -signal.SIGKILL and overdue is None
        if out_of_memory and self.shrinks and self.size.workers > 1:
            self.size = replace(self.size, workers=self.size.workers - 1)
            LOGGER.warning("Memory has run out: the batch goes on with %d workers.", self.size.workers)
        died = BatchError(f"The worker process ended ({_exit_reason(code, out_of_memory=out_of_memory)}).")
        caused_by_patch = overdue is not None or out_of_memory or _is_crash(code)
        return worker.attempt.lose(queue, overdue or died, self.steps, caused_by_patch=caused_by_patch)

    def _start_worker(self) -> None:
        settings = thread_environment(self.size.threads) | {"TMPDIR": str(self._temporary.path)}
        # Passive: OpenMP threads that wait by spinning take the cores from the other workers (100 times slower).
        # A server that forks has to stay single-threaded; its children set their own number.
        forking = isinstance(self._context, ForkServerContext)
        with environment(thread_environment(1) if forking else settings):
            variables = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ) | settings
            ours = theirs = None
            try:
                ours, theirs = self._context.Pipe()
                _limit_waiting(ours)
                process = self._context.Process(
                    target=run_worker, args=(theirs, variables), name="eotasks-worker", daemon=True
                )
                with importable_main(), interrupts_blocked():
                    process.start()
            except (EOFError, OSError) as error:  # the fork server has just ended, or the system has no more to give
                if ours is not None:
                    ours.close()
                self._handle_failed_start(f"Worker processes do not start ({error}): use executor='threads'.")
                return
            finally:
                if theirs is not None:
                    theirs.close()
        worker = _Worker(process, ours, self.size.threads)
        self._workers.append(worker)
        with contextlib.suppress(OSError):  # it died at once: its connection ends
            ours.send_bytes(pickle.dumps((self.workflow, logging.getLogger().getEffectiveLevel())))

    def _handle_failed_start(self, message: str, *, certain: bool = False) -> None:
        """A worker did not come to its first patch. The batch goes on with those that there are, and tries again.

        :param certain: No worker will ever start, if none has so far.
        :raises BatchError: when there is no other worker, and trying again does not help.
        """
        self._failed_starts += 1
        if not self._workers and (self._failed_starts >= _STARTS or (certain and not self._has_started)):
            raise BatchError(message)
        self._next_start = time.monotonic() + (_PAUSE_SECONDS if not self._workers else LOOK_SECONDS)
        if self._failed_starts == 1 and (self._has_started or not certain):
            LOGGER.warning("%s The batch goes on with %d workers, and tries again.", message, len(self._workers))

    def _stop(self) -> None:
        """Ends all workers: those with a patch are terminated, and killed when they do not end within seconds."""
        try:
            for worker in self._workers:
                if worker.attempt is not None:
                    worker.terminate()
                worker.connection.close()
            deadline = time.monotonic() + _JOIN_SECONDS
            for worker in self._workers:
                worker.end(deadline)
        except BaseException:  # a second interrupt: at once
            for worker in self._workers:
                worker.kill()
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
        self.attempt: Attempt | None = None
        self.oom_kills = 0
        self.started = time.monotonic()
        self.lost_server = False
        """The fork server is gone: multiprocessing knows nothing of the worker any more, and takes it for dead."""
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(process.pid)

    @property
    def is_idle(self) -> bool:
        """Whether it could have a patch."""
        return self.ready and self.attempt is None

    def begin(self, job: PatchJob) -> None:
        """Notes that the worker has a patch from now on."""
        self.attempt = Attempt(job)
        self.oom_kills = oom_kills()

    def has_ended(self) -> bool:
        """Whether the process is there no more, as far as one can know without its connection."""
        if not self.lost_server:
            if self.process.exitcode != _LOST_SERVER or not self._is_alive():
                return self.process.exitcode is not None
            self.lost_server = True
        return not self._is_alive()

    def terminate(self) -> None:
        """Asks the process to end."""
        with contextlib.suppress(psutil.Error):
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """Ends the process and all that it has started."""
        if self._process is None:
            return
        family = _stopped_family(self._process)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        deadline = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < deadline and any(_runs(process) for process in family):
            time.sleep(0.01)

    def end(self, deadline: float) -> None:
        """Hangs up and waits for the process to end; kills it when it has not by then.

        :param deadline: On the monotonic clock, in seconds.
        """
        self.connection.close()
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self._is_alive():
            self.kill()
            self.process.join(_JOIN_SECONDS)

    def _is_alive(self) -> bool:
        return self._process is not None and _runs(self._process)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False


def _stop(process: psutil.Process) -> None:
    """Stops a process, and waits until it is: it may be about to start another one."""
    deadline = time.monotonic() + 1
    with contextlib.suppress(psutil.Error):
        process.suspend()
        while _runs(process) and process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.001)


def _stopped_family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it has started. Each is stopped, and listed again then: it starts no more of them."""
    family: list[psutil.Process] = []
    new = [process]
    while new:
        family += new
        for each in new:
            _stop(each)
        new = []
        for each in family:
            with contextlib.suppress(psutil.Error):
                new += [child for child in each.children() if child not in family]
    return family


def _limit_waiting(connection: Connection) -> None:
    """A worker that is stopped in the middle of a message, or takes none, must not hold up the others for ever."""
    if os.name != "posix":
        return
    duration = struct.pack("ll", _MESSAGE_SECONDS, 0)
    with socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, duration)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, duration)


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

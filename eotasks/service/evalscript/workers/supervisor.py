"""Keeps the worker processes of a pool: starts them, lends them one job at a time, replaces those that have ended."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import socket
import threading
import time
import weakref
from collections import deque

from eotasks.service.errors import BusyError, EngineError
from eotasks.service.evalscript.workers.channel import WorkerGoneError
from eotasks.service.evalscript.workers.places import Lease, Places
from eotasks.service.evalscript.workers.process import WorkerProcess, describe_status, ended_from_outside
from eotasks.service.evalscript.workers.sandbox import SandboxLimits, SandboxState

__all__ = ["Places", "Supervisor"]

LOGGER = logging.getLogger(__name__)

_START_SECONDS = 120.0
"""How long a worker may take to start, on a machine that does much else."""
_STARTING = 2
"""Workers that start at the same time."""
_REST_SECONDS = 5.0
"""How long a worker may take to make ready for the next job: some milliseconds, as a rule."""
_JOIN_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_DYING_SECONDS = 0.05
"""Between two looks, while there are workers that were killed and have not ended yet."""
_SLOW_TIMES, _SLOW_SECONDS = 3, 0.2
"""A job takes long when it takes so many times as long as others do on average, and at least so many seconds."""
_FAULTS = 3
"""Workers that end while they start, one after the other, before it is said that the engine does not work."""
_PAUSES = (0.0, 0.2, 1.0, 5.0, 15.0)
"""Seconds before the next start, by the number of those that failed."""


class Supervisor:
    """Workers of one pool. One thread of its own starts them all: the kernel ends a worker with the thread that started
    it, and that thread lives as long as the pool.

    Forked, it has no workers and starts its own when the first is asked for.

    :param places: How many.
    :param limits: Of each.
    :param module: Whose `main` they run.
    """

    def __init__(self, places: Places, limits: SandboxLimits, module: str) -> None:
        self.places = places
        self.limits = limits
        self._module = module
        self._closed = False
        self._ended = False
        """Closed, and no job runs any more: the thread may end, and with it the workers."""
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._idle: deque[WorkerProcess] = deque()
        self._starting: list[WorkerProcess] = []
        self._resting: list[WorkerProcess] = []
        """Those that have answered, and make ready for the next job: one that cannot shall not get it."""
        self._leases: set[Lease] = set()
        self._dying: list[WorkerProcess] = []
        self._queue: deque[object] = deque()
        self._faults = 0
        self.fault = ""
        """Why no worker starts; empty while all is well."""
        self._next_start = 0.0
        self._job_s = 0.5
        """Seconds of jobs on average, the last ten or so."""
        self.state: SandboxState | None = None
        """What holds of the newest worker; None until one was ready."""

    def start(self) -> None:
        """Start workers; more calls do nothing.

        :raises EngineError: when it is closed.
        """
        with self._changed:
            if self._closed:
                raise EngineError("The service ends: no script is run any more.")
            if self._thread is None:
                self._wake = socket.socketpair()
                for end in self._wake:
                    end.setblocking(False)
                self._thread = threading.Thread(target=self._supervise, name="evalscript supervisor", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def wait_ready(self, seconds: float) -> SandboxState:
        """Wait for the first worker.

        :raises EngineError: when none starts.
        """
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self.state is not None or self.fault or self._closed, seconds)
            if self.state is None:
                raise EngineError(self.fault or f"No worker of the engine has started within {seconds:g} s.")
            return self.state

    def take(self, wait_s: float) -> Lease:
        """A worker for one job, in the order in which they are asked for.

        :param wait_s: Seconds to wait for one.
        :raises BusyError: when none is free in time, or too many wait.
        :raises EngineError: when none can be started.
        """
        self.start()
        ticket = object()
        until = time.monotonic() + wait_s
        with self._changed:
            if len(self._queue) >= self.places.waiting:
                raise self._busy("Too many scripts wait")
            self._queue.append(ticket)
            try:
                while True:
                    free = self._changed.wait_for(lambda: self._is_next(ticket), max(0.0, until - time.monotonic()))
                    if self._closed or self._is_broken():
                        raise EngineError(self.fault or "The service ends: no script is run any more.")
                    if not free:
                        raise self._busy(f"No worker was free within {wait_s:g} s")
                    worker = self._idle.popleft()
                    if worker.is_alive:
                        lease = Lease(worker)
                        self._leases.add(lease)
                        return lease
                    worker.reap()
                    self._call()
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def slow_after(self, most: float) -> float:
        """Seconds after which a job takes long: some times as long as others do, within bounds."""
        return min(most, max(_SLOW_SECONDS, _SLOW_TIMES * self._job_s))

    def slow_down(self, lease: Lease) -> None:
        """Let a job that takes long leave its place to others, while there is room for it beside them."""
        with self._changed:
            if lease not in self._leases or lease.is_slow or self._count_slow() >= self.places.slow:
                return
            lease.is_slow = True
            lease.worker.take_less()
            self._changed.notify_all()
            self._call()

    def give_back(self, lease: Lease, *, fit: bool) -> None:
        """End a lease.

        :param fit: Whether the worker may get another job.
        """
        worker, took = lease.worker, time.monotonic() - lease.started
        worker.busy_s += took
        if fit:
            worker.take_as_before()
        reusable = (
            fit
            and not worker.is_nice
            and worker.jobs < self.places.jobs
            and worker.busy_s < self.limits.cpu_seconds / 2
            and worker.resident_bytes() < self.places.resident_bytes
        )
        with self._changed:
            self._leases.discard(lease)
            if fit and not lease.is_slow:
                self._job_s += (took - self._job_s) / 10
            # Those that were started beside slow jobs stay: to start others for the next ones would cost more.
            most = self.places.workers + self.places.spares + self.places.slow
            kept = reusable and not self._closed and self._count() < most
            if kept:
                worker.rests_until = time.monotonic() + _REST_SECONDS
                self._resting.append(worker)
            self._changed.notify_all()
            if not kept:
                worker.end()  # a process of a gigabyte takes a while to end: nobody waits for it
                self._dying.append(worker)
        self._call()

    def close(self, grace_s: float = 0.0) -> None:
        """End all workers; scripts that run get the seconds of grace. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
            if thread is None:
                return
            self._changed.wait_for(lambda: not self._leases, grace_s)
            self._ended = True
            running = [lease.worker for lease in self._leases]
        for worker in running:  # whoever waits for it hears that it has ended, and reaps it
            worker.end()
        self._call()
        if thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)
        atexit.unregister(self.close)

    def forget(self) -> None:
        """In a process that was forked: the workers are those of the parent."""
        for worker in [*self._workers(), *self._dying]:
            worker.forget()
        for end in self._wake or ():
            end.close()
        self._begin()

    def counts(self) -> dict[str, int]:
        """Workers by what they do, and jobs that wait."""
        with self._changed:
            return {
                "idle": len(self._idle) + len(self._resting),
                "busy": len(self._leases) - self._count_slow(),
                "slow": self._count_slow(),
                "starting": len(self._starting),
                "waiting": len(self._queue),
            }

    def pids(self) -> list[int]:
        """Of all workers."""
        with self._changed:
            return [worker.pid for worker in self._workers()]

    def _workers(self) -> list[WorkerProcess]:
        """All that have not been ended."""
        return [*self._idle, *self._resting, *self._starting, *(lease.worker for lease in self._leases)]

    def _count(self) -> int:
        return len(self._idle) + len(self._resting) + len(self._starting) + len(self._leases)

    def _is_broken(self) -> bool:
        return bool(self.fault) and not (self._idle or self._resting or self._leases)

    def _is_next(self, ticket: object) -> bool:
        if self._closed or self._is_broken():
            return True
        busy = len(self._leases) - self._count_slow()
        return self._queue[0] is ticket and busy < self.places.workers and bool(self._idle)

    def _busy(self, what: str) -> BusyError:
        wait_s = max(1.0, self._job_s * (len(self._queue) + 1) / self.places.workers)
        return BusyError(f"{what}: try again in {wait_s:.0f} s.", wait_s=wait_s)

    def _count_slow(self) -> int:
        return sum(lease.is_slow for lease in self._leases)

    def _wanted(self) -> int:
        return self.places.workers + self.places.spares + self._count_slow()

    def _call(self) -> None:
        """Make the supervisor look."""
        if self._wake is not None:
            with contextlib.suppress(OSError):
                self._wake[1].send(b"!")

    def _supervise(self) -> None:
        assert self._wake is not None
        wake = self._wake
        try:
            while not self._ended:
                try:
                    self._bury()
                    self._start_missing()
                    ready = self._wait(wake[0])
                    self._look_at_starting(ready)
                    self._look_at_resting(ready)
                except Exception:  # this thread ends with the pool and not before: the workers would end with it
                    LOGGER.exception("The supervisor of the engine goes on after a fault.")
                    time.sleep(_LOOK_SECONDS)
        finally:
            for worker in [*self._starting, *self._resting, *self._idle, *self._dying]:
                worker.kill()
            for end in wake:
                end.close()

    def _wait(self, wake: socket.socket) -> set[int]:
        """:return: Descriptors of starting and resting workers that have spoken or ended."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        with self._changed:
            spoken_to = [*self._starting, *self._resting]
        for worker in spoken_to:
            poll.register(worker, select.POLLIN)
        seconds = _DYING_SECONDS if self._dying else _LOOK_SECONDS
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if wake.fileno() in ready:
            with contextlib.suppress(OSError):
                wake.recv(4096)
        return ready

    def _bury(self) -> None:
        """Leave no zombies."""
        with self._changed:
            dead = [worker for worker in self._idle if not worker.is_alive]
            for worker in dead:
                self._idle.remove(worker)
            killed = [worker for worker in self._dying if not worker.is_alive]
            self._dying = [worker for worker in self._dying if worker not in killed]
        for worker in dead:
            LOGGER.warning("An idle worker of the engine has ended (%s).", describe_status(worker.reap()))
        for worker in killed:
            worker.reap()

    def _start_missing(self) -> None:
        while len(self._starting) < _STARTING and time.monotonic() >= self._next_start:
            with self._changed:
                if self._closed or self._count() >= self._wanted():
                    return
            try:
                worker = WorkerProcess(self.limits, self._module)
            except EngineError as error:
                self._note_fault(str(error))
                return
            with self._changed:
                self._starting.append(worker)

    def _look_at_starting(self, ready: set[int]) -> None:
        for worker in list(self._starting):
            if worker.fileno() in ready:
                try:
                    state = worker.become_ready(time.monotonic() + 10)
                except WorkerGoneError as error:
                    self._end_start(worker, str(error), worker.reap())
                except EngineError as error:
                    self._end_start(worker, str(error))
                else:
                    self._welcome(worker, state)
            elif time.monotonic() > worker.started + _START_SECONDS:
                self._end_start(worker, f"it was not ready within {_START_SECONDS:g} s")

    def _look_at_resting(self, ready: set[int]) -> None:
        with self._changed:
            resting = list(self._resting)
        for worker in resting:
            has_spoken = worker.fileno() in ready
            if not has_spoken and time.monotonic() < worker.rests_until:
                continue
            fit = has_spoken and worker.is_rested()
            with self._changed:
                self._resting.remove(worker)
                if fit:
                    self._idle.appendleft(worker)  # the one whose memory is warm
                    self._changed.notify_all()
            if not fit:
                LOGGER.info("A worker of the engine does not come back from a script.")
                worker.kill()

    def _welcome(self, worker: WorkerProcess, state: SandboxState) -> None:
        if state != self.state:
            log = LOGGER.info if state.seccomp else LOGGER.warning
            log("Workers of the engine: %s.", state.text)
        with self._changed:
            self._starting.remove(worker)
            self._idle.append(worker)
            self.state, self._faults, self.fault, self._next_start = state, 0, "", 0.0
            self._changed.notify_all()

    def _end_start(self, worker: WorkerProcess, reason: str, status: int = 0) -> None:
        with self._changed:
            self._starting.remove(worker)
        worker.kill()
        if ended_from_outside(status):  # no fault of the engine
            LOGGER.warning("A worker of the engine was ended from outside (%s).", describe_status(status))
            self._next_start = time.monotonic() + _PAUSES[1]
        else:
            self._note_fault(worker.last_words.splitlines()[-1] if worker.last_words else reason)

    def _note_fault(self, reason: str) -> None:
        LOGGER.error("A worker of the engine does not start: %s", reason)
        with self._changed:
            self._faults += 1
            self._next_start = time.monotonic() + _PAUSES[min(self._faults, len(_PAUSES) - 1)]
            if self._faults >= _FAULTS:
                self.fault = f"The engine of evalscripts does not start: {reason}"
            self._changed.notify_all()


_all: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_all):
        each.forget()


os.register_at_fork(after_in_child=_forget_all)

"""One worker process, as the service sees it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eotasks.service.errors import EngineError
from eotasks.service.evalscript.workers.channel import Channel, WorkerAnswerError
from eotasks.service.evalscript.workers.protocol import LONGEST_ANSWER, Job, progress_of
from eotasks.service.evalscript.workers.sandbox import SandboxLimits, SandboxState
from eotasks.text import harmless, shortened

WORKER = "eotasks.service.evalscript.workers.main"
"""The module whose `main` a worker runs."""

_START = """import json, sys
options = json.loads(sys.argv[1])
sys.path[:] = options["path"]
from {module} import main
main(options)
"""

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""All that a worker gets, and where libraries are."""
_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")

_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""Signals by which others end a process: an operator, the kernel that is out of memory. No script raises them, as long
as only the parent kills."""
_END_SECONDS, _REAP_SECONDS = 1.0, 5.0
"""How long one that has closed its stream may take to end, and one that was killed."""
_SENTENCE_SECONDS = 1.0
_NICE = 10
_TOLD = 300
"""Characters of what a worker has written to its standard error, in messages."""
_MESSAGES_PER_SECOND = 100
"""Of progress: a worker that sends more is not ours any more."""


class WorkerProcess:
    """A process that runs one script at a time.

    It has its own group, so that an interrupt on a terminal does not reach it, and its priority can be changed.

    :param limits: What it may take.
    :param module: Whose `main` it runs.
    """

    def __init__(self, limits: SandboxLimits, module: str = WORKER) -> None:
        self.jobs = 0
        self.busy_s = 0.0
        """Seconds that its jobs have taken."""
        self.is_nice = False
        self.rests_until = 0.0
        """When it has to be ready for the next job, once it has answered; by `time.monotonic`."""
        self.started = time.monotonic()
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise EngineError(f"No worker of the engine can be started: {error}.") from error
        try:
            options = {
                "path": [each for each in sys.path if Path(each).is_absolute()],
                "channel": theirs.fileno(),
                "parent": os.getpid(),
                "limits": asdict(limits),
            }
            libraries = {name: os.environ[name] for name in _LIBRARIES if name in os.environ}
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of ours
                [sys.executable, "-I", "-c", _START.format(module=module), json.dumps(options)],
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env=_ENVIRONMENT | libraries,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            ours.close()
            raise EngineError(f"No worker of the engine can be started: {error}.") from error
        finally:
            theirs.close()
        self.channel = Channel(ours, longest_header=LONGEST_ANSWER)
        self._last_words = ""

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs. One that has ended is no zombie after this."""
        return self._process.poll() is None

    def fileno(self) -> int:
        """For `select`: the end of its stream."""
        return self.channel.end.fileno()

    def become_ready(self, deadline: float) -> SandboxState:
        """Hear that it is ready.

        :raises WorkerGoneError: when it has ended.
        :raises WorkerLateError: when it says nothing in time.
        :raises WorkerAnswerError: when it says something else.
        """
        header = self.channel.receive(deadline)
        sandbox = header.get("sandbox")
        try:
            if header.get("say") != "ready":
                raise TypeError
            return SandboxState(**sandbox)  # type: ignore[arg-type]  # one of another version tells something else
        except TypeError:
            raise WorkerAnswerError("A worker of the engine does not start as it should.") from None

    def is_rested(self) -> bool:
        """Hear, of one that has answered and said something, that it is ready for the next job."""
        try:
            return self.channel.receive(time.monotonic() + _SENTENCE_SECONDS).get("say") == "rested"
        except EngineError:
            return False

    def send(self, job: Job, deadline: float) -> None:
        """Give it a job.

        :raises WorkerGoneError: when it has ended.
        :raises WorkerLateError: when it does not take the job in time.
        """
        self.jobs += 1
        self.channel.send(job.header, job.blobs, deadline)

    def hear(self, until: float, progress: Progress) -> dict[str, Any] | None:
        """The answer to its job; None when there is none yet.

        :param until: By `time.monotonic`. An answer that has begun to come is waited for.
        :param progress: Is told how far it is.
        :raises WorkerGoneError: when it has ended.
        :raises WorkerAnswerError: when it says what cannot be said.
        """
        poll = select.poll()
        poll.register(self.channel.end, select.POLLIN)
        while poll.poll(max(0.0, until - time.monotonic()) * 1000):
            header = self.channel.receive(progress.deadline)
            done = progress_of(header)
            if done is None:
                return header
            progress.tell(done)
        return None

    def take_less(self) -> None:
        """Leave the processor to others that want it."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, self.pid, _NICE)
            self.is_nice = True

    def take_as_before(self) -> None:
        """Have its priority again, where the system lets us give it."""
        if self.is_nice:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PGRP, self.pid, os.getpriority(os.PRIO_PROCESS, 0))
                self.is_nice = False

    def resident_bytes(self) -> int:
        """Memory that it holds; 0 where the system does not tell."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def end(self) -> None:
        """Make it end, whatever it does; `reap` comes later."""
        self._process.kill()

    def kill(self) -> None:
        """End it, whatever it does, and leave no zombie."""
        self._process.kill()
        self.reap()

    def reap(self) -> int:
        """Wait for the end of one that has ended or was killed.

        :return: Its exit status; negative: the signal. One that has closed its stream and goes on is ended, as 0.
        """
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = 0
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_SECONDS)
        if self._process.stderr is not None and not self._process.stderr.closed:
            os.set_blocking(self._process.stderr.fileno(), False)
            with contextlib.suppress(OSError):
                self._last_words = (os.read(self._process.stderr.fileno(), 1 << 16) or b"").decode(errors="replace")
            self._process.stderr.close()
        self.channel.close()
        return status

    @property
    def last_words(self) -> str:
        """What one that has ended has written to its standard error, shortened."""
        return harmless(shortened(self._last_words.strip(), _TOLD))

    def forget(self) -> None:
        """In a process that was forked: it is the child of another."""
        self.channel.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.returncode = 0  # so that nobody waits for it


class Progress:
    """How far a job is.

    :param pixels: All of it.
    :param deadline: When it has to end, by `time.monotonic`.
    """

    def __init__(self, pixels: int, deadline: float) -> None:
        self.pixels = pixels
        self.deadline = deadline
        self.done = 0
        self._most = 100 + _MESSAGES_PER_SECOND * max(0.0, deadline - time.monotonic())

    def tell(self, done: int) -> None:
        """Hear of it; a script may make a worker tell anything.

        :raises WorkerAnswerError: when it tells too often.
        """
        self.done = min(done, self.pixels)
        self._most -= 1
        if self._most < 0:
            raise WorkerAnswerError("A worker of the engine talks without end.")


def ended_from_outside(status: int) -> bool:
    """Whether an exit status is of a process that others have ended."""
    return status < 0 and -status in _OUTSIDE


def describe_status(status: int) -> str:
    """An exit status, for messages."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"

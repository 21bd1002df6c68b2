"""What a worker process does: it takes the workflow, then one patch at a time, until the connection is closed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pickle
import select
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import threadpoolctl  # type: ignore[import-untyped]  # it has no hints
from eolearn.core import EOWorkflow

from eotasks.errors import message_of
from eotasks.models.threads import resolve_threads
from eotasks.workflows.batch.ahead import Ahead
from eotasks.workflows.batch.warned import warnings_of_threads
from eotasks.workflows.batch.workers.job import WORKFLOW_LOGGER, execute_packed_job
from eotasks.workflows.batch.workers.memory import ResettablePeak, SampledPeak, StepMemory
from eotasks.workflows.batch.workers.messages import encode

_ORPHANED = 3
_FORKED = 0
_DESCRIPTORS = Path("/proc/self/fd")


def run_loop(connection: Connection) -> None:
    """A worker's loop: messages to the parent are those of `eotasks.workflows.batch.workers.messages`."""
    sending, own_pid = threading.Lock(), os.getpid()

    def send(kind: str, content: object = None) -> None:
        with sending:
            connection.send_bytes(encode(kind, content))

    _end_with_the_parent(connection)
    with contextlib.suppress(EOFError, OSError), contextlib.ExitStack() as stack:
        # the parent may be gone, or have closed the pool: nobody is listening
        pickled, level = pickle.loads(connection.recv_bytes())  # noqa: S301  # of our own parent
        try:
            set_up_process(level, send)
            workflow: EOWorkflow = pickle.loads(pickled)  # noqa: S301  # the same
        except BaseException as error:  # noqa: BLE001  # unpickling imports and runs the user's modules; the parent gets the error
            send("refused", rebuild_error(error))
            return
        memory, ahead = step_memory(), Ahead(workflow)
        stack.enter_context(warnings_of_threads())
        send("ready")
        while True:
            job = connection.recv_bytes()
            report = execute_packed_job(
                workflow, job, memory=memory, on_step=lambda uid: send("step", uid), ahead=ahead
            )
            if os.getpid() != own_pid:  # a task has forked, and its child came back as if it were this worker
                os._exit(_FORKED)
            if is_worn_out():
                send("last report", report)
                return
            send("report", report)


def set_up_process(level: int, send: Callable[[str, object], None]) -> None:
    """Sets up a process for patches: where its log records go, and the threads of engines that are loaded already.

    :param level: Of the root logger.
    :param send: Takes each record, of the kind ``log``.
    """
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(_ForwardingHandler(send))
    threadpoolctl.threadpool_limits(resolve_threads())


def _end_with_the_parent(connection: Connection) -> None:
    """Ends this process when the parent is gone, in the middle of a patch too: a batch that is started again would
    otherwise meet workers of the dead one that still write. Linux reports the end of the connection; elsewhere the
    patch comes to its end first.
    """
    if sys.platform != "linux":
        return
    poll = select.poll()
    poll.register(connection.fileno(), 0)  # no events but the end of the connection, which cannot be switched off

    def watch() -> None:
        poll.poll()
        os._exit(_ORPHANED)

    threading.Thread(target=watch, name="eotasks-parent", daemon=True).start()


class _ForwardingHandler(logging.Handler):
    """Sends log records of a worker to the parent, where the user's handlers are."""

    def __init__(self, send: Callable[[str, object], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record; failed tasks are left out: their report has them."""
        if record.name != WORKFLOW_LOGGER:
            with contextlib.suppress(Exception):  # a log line is no reason to fail
                self._send("log", record)


def step_memory() -> StepMemory:
    """What measures steps in a process of our own."""
    return ResettablePeak() if ResettablePeak.available() else SampledPeak()


def is_worn_out() -> bool:
    """Whether a patch has left this process with more than half of its file descriptors taken: the next one would fail
    for want of them, which is not its fault.
    """
    if sys.platform != "linux":
        return False
    import resource

    try:
        return 2 * len(list(_DESCRIPTORS.iterdir())) > resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)


def rebuild_error(error: BaseException) -> str:
    """Why a workflow cannot be rebuilt, and what helps."""
    return (
        f"The workflow cannot be rebuilt in a worker process ({message_of(error)}): define its tasks in a"
        " module that can be imported, not in a notebook or shell, or use executor='threads'."
    )

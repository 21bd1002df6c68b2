"""What a worker process does: it takes the workflow, then one patch at a time, until the connection is closed."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import threadpoolctl  # type: ignore[import-untyped]  # it has no hints
from eolearn.core import EOWorkflow

from eotasks.errors import EOTasksError
from eotasks.models.threads import resolve_threads
from eotasks.text import harmless
from eotasks.workflows.batch.workers.job import WORKFLOW_LOGGER, PatchJob, execute_job
from eotasks.workflows.batch.workers.memory import ResettablePeak, SampledPeak

_ORPHANED = 3


def run_loop(connection: Connection) -> None:
    """A worker's loop. Messages to the parent are pairs of a kind and its content: ``ready``, ``step`` with the uid of
    the node that begins, ``log`` with a record, ``report``, and ``refused`` with the reason.
    """
    sending = threading.Lock()

    def send(kind: str, content: object) -> None:
        with sending:
            connection.send((kind, content))

    _end_with_the_parent(connection)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone or has closed the pool: nobody is listening
        pickled, level = pickle.loads(connection.recv_bytes())  # noqa: S301  # of our own parent
        try:
            set_up_process(level, send)
            workflow: EOWorkflow = pickle.loads(pickled)  # noqa: S301  # the same
            memory = ResettablePeak() if ResettablePeak.available() else SampledPeak()
            send("ready", None)
            while True:
                job: PatchJob = pickle.loads(connection.recv_bytes())  # noqa: S301  # the same
                send("report", execute_job(workflow, job, memory=memory, on_step=lambda uid: send("step", uid)))
        except Exception as error:  # unpickling imports and runs the user's modules; the parent gets the error
            if isinstance(error, EOFError | OSError) and not isinstance(error, EOTasksError):
                raise  # of the connection
            send("refused", rebuild_error(error))


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
        """Sends the record with its message made up; failed tasks are left out: their report has them."""
        if record.name == WORKFLOW_LOGGER:
            return
        record.msg, record.args, record.exc_info = harmless(record.getMessage()), None, None
        with contextlib.suppress(
            OSError, TypeError, AttributeError, pickle.PicklingError
        ):  # a log line is no reason to fail
            self._send("log", record)


def rebuild_error(error: Exception) -> str:
    """Why a workflow cannot be rebuilt, and what helps."""
    return (
        f"The workflow cannot be rebuilt in a worker process ({type(error).__name__}: {error}): define its tasks in a"
        " module that can be imported, not in a notebook or shell, or use executor='threads'."
    )

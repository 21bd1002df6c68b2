"""Where a worker process begins. Nothing heavy may be imported here: engines read their settings when they load."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from multiprocessing.connection import Connection

from eotasks.allocator import share_arenas


def run_worker(connection: Connection, environment: dict[str, str]) -> None:
    """Sets up the process, then runs jobs until the parent closes the connection.

    :param connection: To the parent.
    :param environment: The whole environment of the parent (a fork server keeps the one it was started with), with
        the thread settings of this batch.
    """
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # asked for anew: the environment names the folder of the batch
    ignore_interrupts()
    threads = environment.get("EOTASKS_NUM_THREADS", "")
    share_arenas(int(threads) if threads.isdecimal() else 1)
    multiprocessing.current_process().daemon = False  # to the parent it is one; tasks may have processes of their own
    ignore_library_warnings()

    from eotasks.workflows.batch.workers.loop import run_loop

    run_loop(connection)


def ignore_interrupts() -> None:
    """The parent decides what an interrupt means, or a terminal that was closed. It has started this process with
    interrupts blocked; one that came meanwhile goes with the block.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignore_library_warnings() -> None:
    """Keeps library warnings off the screen, unless the user asked Python for them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")

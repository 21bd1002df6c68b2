"""Where a worker process begins. Nothing heavy may be imported here: engines read their settings when they load."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection

_ARENAS, _ARENAS_VARIABLE = -8, "MALLOC_ARENA_MAX"
"""glibc's number of the setting for ``mallopt`` (M_ARENA_MAX), and the user's own setting of it."""

_FEWEST_ARENAS = 2


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
    limit_arenas(environment)
    multiprocessing.current_process().daemon = False  # to the parent it is one; tasks may have processes of their own
    ignore_library_warnings()

    from eotasks.workflows.batch.workers.loop import run_loop

    run_loop(connection)


def limit_arenas(environment: Mapping[str, str]) -> None:
    """Has all threads of this process share few pools of memory: glibc makes eight for each core, and none gives what
    was freed there to the threads of another. A worker that fetches and decodes side by side kept some 50 MB so.

    :param environment: Of the worker; a user's own number there counts.
    """
    if _ARENAS_VARIABLE in environment:
        return
    number = environment.get("EOTASKS_NUM_THREADS", "")
    threads = int(number) if number.isdecimal() else 1
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENAS, max(threads, _FEWEST_ARENAS))


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

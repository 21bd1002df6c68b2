"""How patches may run: executors, and how worker processes start."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Literal

from eotasks.errors import ConfigurationError, MissingDependencyError
from eotasks.extras import install_line, is_installed
from eotasks.text import did_you_mean

ExecutorName = Literal["processes", "threads", "ray", "serial"]
"""As `eotasks.workflows.batch.run.run_batch` explains them."""

EXECUTORS: tuple[ExecutorName, ...] = ("processes", "threads", "ray", "serial")

StartMethod = Literal["forkserver", "spawn"]
"""How worker processes start; they are never forked from this one."""

START_METHODS: tuple[StartMethod, ...] = ("forkserver", "spawn")


def no_ray() -> str:
    """The message of whoever imports a module that needs Ray."""
    line = install_line("ray")
    return f"executor='ray' needs Ray, which is not installed: use executor='processes', or install it: {line}"


def require_ray() -> None:
    """Refuse, before any work, a batch on a cluster where Ray is not there; imports nothing.

    :raises MissingDependencyError: Ray is not installed.
    """
    if not is_installed("ray"):
        raise MissingDependencyError(no_ray())


def checked_timeout(patch_timeout: float | None, executor: ExecutorName) -> float | None:
    """Seconds that a patch may take, None for any time.

    :raises ConfigurationError: when it is no time, or what runs in this process would have to be ended.
    """
    if patch_timeout is None:
        return None
    if not 0 < patch_timeout < float("inf"):
        raise ConfigurationError(f"patch_timeout={patch_timeout} is no time: give seconds above 0, or None.")
    if executor not in ("processes", "ray"):
        raise ConfigurationError(
            f"patch_timeout={patch_timeout} needs a process to end, and executor={executor!r} has none: use 'processes'"
            " or 'ray', or leave it out."
        )
    return float(patch_timeout)


def process_context(start_method: StartMethod) -> ForkServerContext | SpawnContext:
    """What makes worker processes; ``spawn`` where the system has no fork server.

    :raises ConfigurationError: when the method is not known.
    """
    if start_method not in START_METHODS:
        raise ConfigurationError(
            f"start_method {start_method!r} is not known{did_you_mean(start_method, START_METHODS)}:"
            " choose 'forkserver' or 'spawn'."
        )
    if start_method == "spawn" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["eotasks.workflows.batch.workers.preload"])
    return context


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Blocks Ctrl-C for processes that start inside the block, which it reaches as it does this one: they would end by
    a stack on the screen in the middle of their imports. They unblock it by `ignore_interrupts`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def importable_main() -> Iterator[None]:
    """Keeps multiprocessing from running a script again that is no file: one that was read from standard input."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or os.path.exists(os.path.join(multiprocessing.process.ORIGINAL_DIR, path)):  # type: ignore[attr-defined]  # noqa: PTH110, PTH118  # as multiprocessing looks for it
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = path

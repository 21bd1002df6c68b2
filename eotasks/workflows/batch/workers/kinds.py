"""How patches may run: executors, and how worker processes start."""

from __future__ import annotations

from typing import Literal

from eotasks.errors import ConfigurationError

ExecutorName = Literal["processes", "threads", "ray", "serial"]
"""As `eotasks.workflows.batch.run.run_batch` explains them."""

EXECUTORS: tuple[ExecutorName, ...] = ("processes", "threads", "ray", "serial")

StartMethod = Literal["forkserver", "spawn"]
"""How worker processes start; they are never forked from this one."""

START_METHODS: tuple[StartMethod, ...] = ("forkserver", "spawn")

NO_RAY = "executor='ray' needs Ray, which is not installed: pip install 'eotasks[ray]', or use executor='processes'."
"""For whoever imports a module that needs it."""


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

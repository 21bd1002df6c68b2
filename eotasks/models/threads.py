"""How many threads an engine may use: one setting for all of them."""

from __future__ import annotations

import os

from eotasks.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "EOTASKS_NUM_THREADS"
_FALLBACKS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
_ENGINES = (
    "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GDAL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip

PASSIVE_WAIT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP's threads spin while they wait; with more threads than free cores that costs several times the work itself."""


def resolve_threads(threads: int | None = None) -> int:
    """Number of threads for an engine of this process.

    Order: the argument, then EOTASKS_NUM_THREADS, then OMP_NUM_THREADS or NUMBA_NUM_THREADS, then the cores this
    process may run on.

    :param threads: Number of threads (>= 1), or None for the setting.
    :raises ConfigurationError: when the argument or a variable is not a positive whole number.
    """
    if threads is not None:
        return _positive(threads, "threads")
    for name in (ENVIRONMENT_VARIABLE, *_FALLBACKS):
        value = os.environ.get(name)
        if value:
            return _positive(value.split(",")[0], name)
    return available_cores()


def available_cores() -> int:
    """Number of cores this process may run on (its affinity where the system has one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that hold every engine (OpenMP, numba, BLAS, GDAL, OpenCV) to a number of threads."""
    value = str(_positive(threads, "threads"))
    return {ENVIRONMENT_VARIABLE: value, **dict.fromkeys(_ENGINES, value), **PASSIVE_WAIT}


def _positive(value: int | str, name: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigurationError(f"{name}={value!r} is no number of threads: give a whole number of at least 1.")
    return number

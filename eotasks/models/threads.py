"""How many threads an engine may use: one setting for all of them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping

from eotasks.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "EOTASKS_NUM_THREADS"
_FALLBACKS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
_ENGINES = (
    "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GDAL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip

_LOCK = threading.RLock()
_BLOCKS: list[list[str | None]] = []
"""What was set before, and what each block has set."""

PASSIVE_WAIT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP's threads spin while they wait; with more threads than free cores that costs several times the work itself."""


OPENJPEG_INLINE = {"OPJ_NUM_THREADS": "0"}
"""OpenJPEG decodes in the thread that asks. GDAL, told to use one thread, has it start one for each tile of each file
and wait for it: 18,000 switches for the masks of a product, and a twentieth of their CPU. Where files are
decoded side by side, as they are here, it needs none."""


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
    return {ENVIRONMENT_VARIABLE: value, **dict.fromkeys(_ENGINES, value), **PASSIVE_WAIT, **OPENJPEG_INLINE}


@contextlib.contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that start inside the block; one such block at a time in this process."""
    with _LOCK:
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                _set_variable(name, value)


@contextlib.contextmanager
def shared_thread_setting(threads: int) -> Iterator[None]:
    """EOTASKS_NUM_THREADS of this process while the block runs; of blocks that overlap the last one counts."""
    block: list[str | None] = [str(threads)]
    with _LOCK:
        if not _BLOCKS:
            _BLOCKS.append([os.environ.get(ENVIRONMENT_VARIABLE)])
        _BLOCKS.append(block)
        _set_variable(ENVIRONMENT_VARIABLE, block[0])
    try:
        yield
    finally:
        with _LOCK:
            del _BLOCKS[next(index for index, other in enumerate(_BLOCKS) if other is block)]
            _set_variable(ENVIRONMENT_VARIABLE, _BLOCKS[-1][0])
            if len(_BLOCKS) == 1:
                _BLOCKS.clear()


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _positive(value: int | str, name: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigurationError(f"{name}={value!r} is no number of threads: give a whole number of at least 1.")
    return number

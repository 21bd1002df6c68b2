"""Compiling kernels: once per machine, kept on disk, free of the interpreter's lock."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numba

LOGGER = logging.getLogger(__name__)

ANNOUNCED_AFTER = 1.0
"""Seconds after which a first call says what it is busy with; reading kept code takes less."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_KERNELS: list[Any] = []


def kernel(function: _Function) -> _Function:
    """Compile a function on its first call, for the types it is called with.

    The code is kept in numba's cache (``__pycache__`` beside the source, or NUMBA_CACHE_DIR, or the user's cache
    folder). Where none can be written it is compiled in every process, and a warning says so.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # numba's word for "no folder to keep it in"
        LOGGER.warning("%s is compiled in every process: %s. Set NUMBA_CACHE_DIR.", function.__name__, error)
        compiled = numba.njit(**options)(function)
    _KERNELS.append(compiled)
    return compiled  # type: ignore[no-any-return]  # numba's dispatcher, called as the function is


@contextlib.contextmanager
def announced() -> Iterator[None]:
    """Around a first call: tells when kernels are being compiled, and how long it took."""
    missed = _cache_misses()
    started = time.perf_counter()
    timer = threading.Timer(
        ANNOUNCED_AFTER, LOGGER.warning, ["Compiling the tree engine for this machine: once, some seconds, then kept."]
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if _cache_misses() > missed:
            LOGGER.info("compiled the tree engine in %.1f s", time.perf_counter() - started)


def _cache_misses() -> int:
    return sum(sum(item.stats.cache_misses.values()) for item in _KERNELS)

"""Compiling kernels: once per machine, kept on disk, free of the interpreter's lock."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.core.caching import FunctionCache

LOGGER = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function on its first call, for the types it is called with.

    The code is kept in numba's cache (``__pycache__`` beside the source, or NUMBA_CACHE_DIR, or the user's cache
    folder). Where none can be written it is compiled in every process, and a warning says so.
    """
    _Announcement.listen()
    compiled: Any = numba.njit(nogil=True, error_model="numpy", boundscheck=False)(function)
    try:
        compiled._cache = _Cache(function)
    except RuntimeError as error:  # numba's word for "no folder to keep it in"
        LOGGER.warning("%s is compiled in every process: %s. Set NUMBA_CACHE_DIR.", function.__name__, error)
    return compiled


class _Cache(FunctionCache):
    """numba's cache, but that a damaged file, a full disk or lost rights cost a compilation and no more."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - unpickling damaged bytes raises anything
            LOGGER.warning("Kept code is damaged (%s in %s) and is made anew.", type(error).__name__, self.cache_path)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            LOGGER.warning("Compiled code cannot be kept in %s: %s. Set NUMBA_CACHE_DIR.", self.cache_path, error)


class _Announcement(event.Listener):
    """Tells, once per process, that kernels of ours are being compiled: the first call on a machine takes seconds."""

    _listening = False

    def __init__(self) -> None:
        self._announced = False

    @classmethod
    def listen(cls) -> None:
        if not cls._listening:
            cls._listening = True
            event.register("numba:compile", cls())

    def on_start(self, event: Any) -> None:
        module = str(event.data["dispatcher"].py_func.__module__)
        if not self._announced and module.startswith("eotasks.models."):
            self._announced = True
            LOGGER.warning("Compiling array kernels for this machine: once, some seconds, then kept on disk.")

    def on_end(self, event: Any) -> None:
        """Nothing to say."""

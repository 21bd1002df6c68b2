"""Compiling kernels: once per machine, kept on disk, free of the interpreter's lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

LOGGER = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function on its first call, for the types it is called with.

    The code is kept in numba's cache (``__pycache__`` beside the source, or NUMBA_CACHE_DIR, or the user's cache
    folder). Where none can be written it is compiled in every process, and a warning says so.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    _Announcement.listen()
    try:
        compiled: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # numba's word for "no folder to keep it in"
        LOGGER.warning("%s is compiled in every process: %s. Set NUMBA_CACHE_DIR.", function.__name__, error)
        compiled = numba.njit(**options)(function)
    return compiled


class _Announcement(event.Listener):
    """Tells, once per process, that kernels of ours are being compiled: the first call on a machine takes seconds."""

    _listening = False

    def __init__(self) -> None:
        self._told = False

    @classmethod
    def listen(cls) -> None:
        if not cls._listening:
            cls._listening = True
            event.register("numba:compile", cls())  # type: ignore[no-untyped-call]

    def on_start(self, event: Any) -> None:
        module = str(event.data["dispatcher"].py_func.__module__)
        if not self._told and module.startswith("models."):
            self._told = True
            LOGGER.warning("Compiling array kernels for this machine: once, some seconds, then kept on disk.")

    def on_end(self, event: Any) -> None:
        """Nothing to say."""

"""Compiling kernels: once per machine, kept on disk, free of the interpreter's lock."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

from eotasks.models.kept_code import KeptCode

LOGGER = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function on its first call, for the types it is called with.

    The code is kept in numba's cache (NUMBA_CACHE_DIR, or ``__pycache__`` beside the source, or the user's cache
    folder): in the first that can be written, and that nobody else can write to. Where there is none it is compiled in
    every process, and a warning says so.
    """
    _Compilations.listen()
    compiled: Any = numba.njit(nogil=True, error_model="numpy", boundscheck=False)(function)
    try:
        compiled._cache = KeptCode(function)
    except RuntimeError as error:  # numba's word for "no folder to keep it in"
        LOGGER.warning("%s is compiled in every process: %s. Set NUMBA_CACHE_DIR.", function.__name__, error)
    return compiled


class _Compilations(event.Listener):
    """Tells, once per process, that kernels of ours are being compiled: the first call on a machine takes seconds.
    Where it fails or is interrupted, other processes no longer wait for the code.
    """

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
        if not self._announced and module.startswith("eotasks."):
            self._announced = True
            LOGGER.warning("Compiling array kernels for this machine: once, some seconds, then kept on disk.")

    def on_end(self, event: Any) -> None:
        kept = event.data["dispatcher"]._cache
        # `event.is_failed` of numba 0.68 says the opposite.
        if sys.exc_info()[0] is not None and isinstance(kept, KeptCode):
            kept.give_up()

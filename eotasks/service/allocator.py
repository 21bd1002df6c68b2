"""How the C library hands out memory in processes that answer requests."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""
ARENAS = 2
"""glibc makes eight a core, and each keeps the holes of what its threads have freed: after thousands of requests some
20 MB each."""


def share_arenas(arenas: int = ARENAS) -> bool:
    """Let all threads to come take memory from a few arenas. For the start of a process, before it has threads.

    :return: Whether it is so; not where the operator has decided (`MALLOC_ARENA_MAX`), nor with another C library.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, arenas))
    return False

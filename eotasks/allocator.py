"""How glibc hands out memory in processes of ours, and what it keeps of freed memory; other C libraries keep little."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Numbers of options: M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h."""

_LARGE = 2 << 20
"""Bytes: of arrays this large a product at 160 m has a few dozen. OpenJPEG reads by 1 MB, anew for each tile of a file:
given back each time, that was a fifth of what masks of small tiles cost."""

_FEWEST_ARENAS = 2


def share_arenas(threads: int = _FEWEST_ARENAS) -> bool:
    """Let all threads to come take memory from a few arenas. For the start of a process, before it has threads.

    glibc makes eight for each core, and none gives what was freed there to the threads of another: after thousands of
    requests some 20 MB each, and 50 MB of a worker that fetches and decodes side by side.

    :param threads: That work at a time: so many arenas, two at least.
    :return: Whether it is so; not where the user has decided (`MALLOC_ARENA_MAX`), nor with another C library.
    """
    return "MALLOC_ARENA_MAX" not in os.environ and _set(_ARENA_MAX, max(threads, _FEWEST_ARENAS))


def give_back_large_arrays() -> None:
    """Have every large array returned to the system as soon as it is freed, from now on, in all of this process.

    For commands, which have a process of their own. glibc raises the size from which it does so up to the largest array
    that was freed, 32 MB at most, and each thread keeps such arrays for itself: 30 MB at 160 m.
    """
    _set(_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return to the system what has been freed: glibc keeps some 50 MB of it for threads that have ended."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        _library().malloc_trim(0)


def _set(option: int, value: int) -> bool:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return bool(_library().mallopt(option, value))
    return False


def _library() -> Any:
    return ctypes.CDLL(None)

"""What the C library keeps of freed memory, given back to the system: glibc alone keeps any that matters."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any

_MMAP_THRESHOLD = -3
"""glibc's number of the option, M_MMAP_THRESHOLD of malloc.h."""

_LARGE = 1 << 20
"""Bytes: of arrays this large a product at 160 m has a few dozen."""


def give_back() -> None:
    """Return to the system what has been freed: glibc keeps some 50 MB of it for threads that have ended."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        _library().malloc_trim(0)


def give_back_large_arrays() -> None:
    """Have every large array returned to the system as soon as it is freed, from now on, in all of this process.

    For commands, which have a process of their own. glibc raises the size from which it does so up to the largest array
    that was freed, 32 MB at most, and each thread keeps such arrays for itself: 30 MB at 160 m.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        _library().mallopt(_MMAP_THRESHOLD, _LARGE)


def _library() -> Any:
    return ctypes.CDLL(None)

"""The end of the process waits for threads that are in GDAL.

A thread that is in native code when Python shuts down is ended the moment it asks for the interpreter again. Where GDAL
has called us, to fetch a part of a file or to tell an error, it is ended through GDAL's own frames, which do not stand
that: the whole process dies by SIGABRT ("terminate called without an active exception"), after its work was done, and
whatever its exit status was to be. Threads that nobody waits for are those that read ahead, and those that a second
interrupt leaves behind.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator

from eotasks.errors import ImageryError

WAIT_SECONDS = 20.0
"""For which an end waits: a block is decoded in a second, and nothing more is fetched by then."""

_INTERRUPTED = 130
"""Exit status of who was interrupted while it waited."""


class _Gate:
    """Counts the threads inside, lets none in any more when the process ends, and waits for the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._of_thread = threading.local()
        self.is_closed = False

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """GDAL works in this thread; where the process ends, it does not come so far.

        :raises ImageryError: the process ends, and waits for this thread all the same.
        """
        depth = getattr(self._of_thread, "depth", 0)
        with self._changed:
            if self.is_closed and not depth and threading.current_thread() is not threading.main_thread():
                self._changed.wait_for(lambda: False, WAIT_SECONDS)  # the interpreter ends it here, in Python alone
                raise ImageryError("The process ends: nothing is read any more. Wait for threads before it does.")
            self._inside += 1
        self._of_thread.depth = depth + 1
        try:
            yield
        finally:
            self._of_thread.depth = depth
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, seconds: float = WAIT_SECONDS) -> bool:
        """Waits for those inside; whether all have come out."""
        with self._changed:
            self.is_closed = True
            return self._changed.wait_for(lambda: not self._inside, seconds)


_gate = _Gate()


def in_gdal() -> contextlib.AbstractContextManager[None]:
    """While GDAL has a file open, in any thread."""
    return _gate.inside()


def is_ending() -> bool:
    """Whether the process ends: what GDAL asks for is refused then, so that it comes back soon."""
    return _gate.is_closed


def _wait() -> None:
    try:
        _gate.close()
    except KeyboardInterrupt:  # who interrupts once more wants out, and not to see it crash
        os._exit(_INTERRUPTED)


def _anew() -> None:
    """In a forked process none of the other threads is there."""
    global _gate
    _gate = _Gate()


atexit.register(_wait)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)

"""How many requests for parts of images a process has under way at a time: `eotasks.limits.REQUESTS`, at most.

A place is taken for one try. Who waits before the next one gives it back meanwhile: a server that fails for a minute is
no reason for the others to wait.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eotasks.limits import REQUESTS


class Gate:
    """Passed by as many threads at a time as the limit says at that moment."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Nobody is inside: in a forked child, which has none of those threads."""
        self._changed = threading.Condition()
        self._inside = 0
        self._own = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """A place in this block, waited for.

        :raises ConfigurationError: when the limit is set to what is no number.
        """
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def pause(self, seconds: float) -> None:
        """Sleep; the place of this thread, if it has one, is another's meanwhile. Who is interrupted has none."""
        had_place = self._has_place
        self._leave()
        time.sleep(seconds)
        if had_place:
            self._enter()

    @property
    def _has_place(self) -> bool:
        """Whether this thread has one: one that was interrupted in a pause has not, nor has a forked child's."""
        return getattr(self._own, "has_place", False)

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside < REQUESTS.value)
            self._inside += 1
            self._own.has_place = True

    def _leave(self) -> None:
        if not self._has_place:
            return
        with self._changed:
            self._own.has_place = False
            self._inside -= 1
            self._changed.notify_all()  # the limit may be another one now


GATE = Gate()
"""Of this process."""

os.register_at_fork(after_in_child=GATE.forget)

"""How many requests for parts of images a process has under way at a time: `eotasks.limits.REQUESTS`, at most.

A place is taken for one try. Who waits before the next one gives it back meanwhile: a server that fails for a minute is
no reason for the others to wait.
"""

from __future__ import annotations

import math
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
        self._since: dict[int, float] = {}

    @contextmanager
    def passed(self) -> Iterator[None]:
        """A place in this block, waited for.

        :raises ConfigurationError: when the limit is set to what is no number.
        """
        own = threading.get_ident()
        try:
            self._enter()
            yield
        finally:
            self._leave()
            self._since.pop(own, None)

    def pause(self, seconds: float) -> None:
        """Sleep; the place of this thread, if it has one, is another's meanwhile. Who is interrupted has none."""
        had_place = self._has_place
        if had_place:
            self._since[threading.get_ident()] = math.inf
        self._leave()
        time.sleep(seconds)
        if had_place:
            self._enter()

    def seconds_inside(self, thread: int, seconds: float) -> float:
        """How long a thread has been asking, of so many seconds: since it got its place; 0 while it waits for one, or
        pauses; all of them where it needs none.
        """
        since = self._since.get(thread)
        return seconds if since is None else max(min(seconds, time.monotonic() - since), 0)

    @property
    def _has_place(self) -> bool:
        """Whether this thread has one: one that was interrupted in a pause has not, nor has a forked child's."""
        return getattr(self._own, "has_place", False)

    def _enter(self) -> None:
        own = threading.get_ident()
        self._since[own] = math.inf
        with self._changed:
            self._changed.wait_for(lambda: self._inside < REQUESTS.value)
            self._inside += 1
            self._own.has_place = True
            self._since[own] = time.monotonic()

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

"""Questions to a server that several threads have at the same time: one asks, the others take its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar, cast

PATIENCE = 5.0
"""Seconds that a thread waits for the answer to another one before it asks itself: a server may be silent to one
connection, and answer to the next.
"""

T = TypeVar("T")


class Asked:
    """What is asked for just now. Nothing is kept once it is there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Future[Any]] = {}

    def once(self, what: Hashable, ask: Callable[[], T]) -> T:
        """The answer to a question. Whom the server fails, fails alone: the others ask it themselves.

        :param what: The question; those of one that are equal have answers of one type.
        :param ask: Asks it.
        """
        own: Future[T] = Future()
        given_up = None
        while True:
            with self._lock:
                job = self._jobs.get(what)
                if job is None or job is given_up:
                    self._jobs[what] = own
                    break
            try:
                return cast("T", job.result(timeout=PATIENCE))
            except (CancelledError, TimeoutError):
                given_up = job  # one of those who wait asks, the others wait for that one
        try:
            found = ask()
        except BaseException:
            self._end(what, own)
            own.cancel()
            raise
        own.set_result(found)
        self._end(what, own)
        return found

    def _end(self, what: Hashable, own: Future[Any]) -> None:
        with self._lock:
            if self._jobs.get(what) is own:
                del self._jobs[what]

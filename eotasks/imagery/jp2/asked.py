"""Questions to a server that several threads have at the same time: one asks, the others take its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eotasks.network.gate import GATE

PATIENCE = 5.0
"""Seconds that a thread waits for the answer to another one before it asks itself: a server may be silent to one
connection, and answer to the next. They count from when the request may go out.
"""

T = TypeVar("T")


@dataclass
class _Question:
    """To which there is no answer yet."""

    answer: list[Any] = field(default_factory=list)
    """The first that came."""

    askers: int = 0
    waiting: int = 0

    last: int | None = None
    """Thread that asked last; None where that one has failed."""

    begun: float = 0
    """When it began."""

    def patience(self) -> float:
        """Seconds that are left to the one who asked last; not above 0 where another one should ask."""
        if self.last is None:
            return 0
        return PATIENCE - GATE.seconds_inside(self.last, time.monotonic() - self.begun)


class Asked:
    """What is asked for just now. Nothing is kept once it is there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._questions: dict[Hashable, _Question] = {}

    def once(self, what: Hashable, ask: Callable[[], T]) -> T:
        """The answer to a question, whoever gets it first. Whom the server fails, fails alone: the others ask it
        themselves.

        :param what: The question; those of one that are equal have answers of one type.
        :param ask: Asks it.
        """
        own = threading.get_ident()
        with self._changed:
            question = self._questions.setdefault(what, _Question())
            question.waiting += 1
            try:
                while not question.answer and (left := question.patience()) > 0:
                    self._changed.wait(left)
            finally:
                question.waiting -= 1
            if question.answer:
                found: T = question.answer[0]
                return found
            question.askers += 1
            question.last, question.begun = own, time.monotonic()
        try:
            found = ask()
        except BaseException:
            with self._changed:
                question.askers -= 1
                if question.last == own:
                    question.last = None
                if not question.askers and not question.waiting:
                    self._end(what, question)
                self._changed.notify_all()
            raise
        with self._changed:
            question.askers -= 1
            question.answer[:] = question.answer or [found]
            self._end(what, question)
            self._changed.notify_all()
        return found

    def _end(self, what: Hashable, question: _Question) -> None:
        if self._questions.get(what) is question:
            del self._questions[what]

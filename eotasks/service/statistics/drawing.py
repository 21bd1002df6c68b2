"""Intervals drawn some at a time, each by itself: what fails says so, and costs no other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from starlette.requests import ClientDisconnect

from eotasks.service.answers import TOLD, answer_of, is_ours
from eotasks.service.errors import (
    BusyError,
    EngineError,
    RequestError,
    ScriptError,
    ScriptTimeoutError,
    ServiceError,
)
from eotasks.service.statistics.intervals import Interval

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

ErrorType = Literal["BAD_REQUEST", "EXECUTION_ERROR", "TIMEOUT"]

SECONDS = 100.0
"""After which no interval is begun: the client waits 120 s for an answer, and asks for the rest by itself."""

HOPELESS = 3
"""A script that fails in so many intervals, and works in none, is not run on the others. One whose time was over counts
for two: it has cost enough."""


class Work(Protocol):
    """Threads of the service (`eotasks.service.traffic.work`)."""

    async def run(self, job: Callable[[], T]) -> T:
        """What a function gives.

        :raises BusyError: when too many wait for a thread.
        """
        ...


@dataclass(frozen=True)
class Failure:
    """Why an interval has no statistics."""

    type: ErrorType
    message: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What a client is told: what it can mend, and of other errors only that there was one."""
        kind: ErrorType = "EXECUTION_ERROR"
        if isinstance(error, ScriptTimeoutError):
            kind = "TIMEOUT"
        elif isinstance(error, (RequestError, *TOLD)) and not isinstance(error, ScriptError):
            kind = "BAD_REQUEST"
        if isinstance(error, (ServiceError, *TOLD)):
            return cls(kind, answer_of(error, "").message)
        return cls(kind, "The pixels of this interval could not be read or drawn. Try again, or tell who runs it.")


_LATE = Failure("TIMEOUT", "The time of the request was over before this interval was begun: ask for it by itself.")


async def _stays() -> bool:
    return False


async def draw_all(
    intervals: Sequence[Interval],
    draw: Callable[[Interval], T],
    work: Work,
    *,
    at_once: int,
    until: float,
    is_gone: Callable[[], Awaitable[bool]] = _stays,
) -> list[T | Failure]:
    """What a function gives of each interval, or why it gives nothing.

    Each is one job of `work`, so that a long request leaves the threads to others in between.

    :param at_once: Intervals that are drawn at the same time.
    :param until: Of the monotonic clock: no interval is begun after it.
    :param is_gone: Whether who asked has hung up: then no interval is begun either.
    :raises BusyError: when none was drawn, as others are served.
    :raises EngineError: when the engine does not work.
    """
    run = _Run(intervals, draw, work, until, is_gone)
    await asyncio.gather(*(run.lane() for _ in range(min(at_once, len(intervals)))))
    return run.results()


class _Run(Generic[T]):
    """Intervals being drawn."""

    def __init__(
        self,
        intervals: Sequence[Interval],
        draw: Callable[[Interval], T],
        work: Work,
        until: float,
        is_gone: Callable[[], Awaitable[bool]],
    ) -> None:
        self._intervals, self._draw, self._work = intervals, draw, work
        self._until, self._is_gone = until, is_gone
        self._found: list[T | Failure] = [_LATE] * len(intervals)
        self._left = iter(range(len(intervals)))
        self._drawn = self._failed = self._marks = 0
        self._hopeless: Failure | None = None
        self._busy: BusyError | None = None
        self._broken: EngineError | None = None

    def results(self) -> list[T | Failure]:
        """Of all intervals, once all lanes have ended."""
        if self._broken is not None:
            raise self._broken
        if self._busy is not None and not self._drawn and not self._failed:
            raise self._busy
        return self._found

    async def lane(self) -> None:
        """Draw one interval after the other, until none is left."""
        for place in self._left:  # that of all lanes: each interval is taken by one
            if self._broken is not None or await self._is_gone():
                return
            self._found[place] = await self._one(self._intervals[place])

    async def _one(self, interval: Interval) -> T | Failure:
        while self._hopeless is None and (left := self._until - time.monotonic()) > 0:
            try:
                drawn = await self._work.run(lambda: self._draw(interval))
            except BusyError as error:
                self._busy = error
                await asyncio.sleep(min(error.wait_s, left))
            except EngineError as error:
                self._broken = error
                break
            except ClientDisconnect:
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this interval's
                return self._failure(interval, error)
            else:
                self._drawn += 1
                return drawn
        return self._hopeless or _LATE

    def _failure(self, interval: Interval, error: Exception) -> Failure:
        failure = Failure.of(error)
        self._failed += 1
        if is_ours(error):
            LOGGER.error("Statistics from %s failed", interval.start.isoformat(), exc_info=error)
        if isinstance(error, ScriptError):
            self._marks += 2 if isinstance(error, ScriptTimeoutError) else 1
            if self._marks >= HOPELESS and not self._drawn:
                self._hopeless = failure
        return failure

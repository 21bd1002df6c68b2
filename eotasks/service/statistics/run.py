"""Drawing the intervals of a plan, some at a time, and what is said of each."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from eotasks.errors import EOTasksError
from eotasks.service.errors import (
    BusyError,
    EngineError,
    RequestError,
    ScriptError,
    ScriptTimeoutError,
    ServiceError,
)
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.render import Renderer, RenderRequest
from eotasks.service.statistics.intervals import Interval
from eotasks.service.statistics.outputs import MASK, outputs_of, summaries_of
from eotasks.service.statistics.plan import Plan, StatisticsCall, plan_of

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

ErrorType = Literal["BAD_REQUEST", "EXECUTION_ERROR", "TIMEOUT"]

SECONDS = 100.0
"""After which no interval is begun: the client waits 120 s for an answer, and asks for the rest by itself."""

HOPELESS = 3
"""A script that fails in so many intervals, and works in none, is not run on the others."""


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
    def of(cls, error: EOTasksError) -> Failure:
        """What a client is told: the messages of the service, and of other errors only that there was one."""
        if isinstance(error, ScriptTimeoutError):
            return cls("TIMEOUT", str(error))
        if isinstance(error, ScriptError):
            return cls("EXECUTION_ERROR", str(error))
        if isinstance(error, RequestError):
            return cls("BAD_REQUEST", str(error))
        if isinstance(error, ServiceError):
            return cls("EXECUTION_ERROR", str(error))
        return cls("EXECUTION_ERROR", "The pixels of this interval could not be read.")


_LATE = Failure("TIMEOUT", "The time of the request was over before this interval was begun: ask for it by itself.")


async def statistics_of(
    call: StatisticsCall, renderer: Renderer, work: Work, *, at_once: int, seconds: float = SECONDS
) -> dict[str, Any]:
    """The answer of the Statistical API.

    Of intervals without products nothing is said, and no script is run. Each of the others is one job of `work`, so
    that a long request leaves the threads to others in between.

    :param at_once: Intervals that are drawn at the same time.
    :param seconds: After which no interval is begun: the others are told as TIMEOUT.
    :raises RequestError: when the request cannot be drawn, whatever the interval.
    :raises BusyError: when no interval was drawn, as others are served.
    :raises EngineError: when the engine does not work.
    """
    until = time.monotonic() + seconds
    plan = await work.run(lambda: plan_of(call, renderer))
    results = await _Run(plan, renderer, work, until).all(at_once)
    errors = sum(isinstance(result, Failure) for result in results)
    status = "OK" if not errors else "PARTIAL" if errors < len(results) else "FAILED"
    data = [_told(interval, result) for interval, result in zip(plan.intervals, results, strict=True)]
    return {"data": data, "status": status, "geometryPixelCount": plan.pixels_inside}


class _Run:
    """Intervals being drawn."""

    def __init__(self, plan: Plan, renderer: Renderer, work: Work, until: float) -> None:
        self._plan, self._renderer, self._work, self._until = plan, renderer, work, until
        self._results: list[dict[str, Any] | Failure] = [_LATE] * len(plan.intervals)
        self._left = iter(range(len(plan.intervals)))
        self._drawn = self._failed = 0
        self._hopeless: Failure | None = None
        self._busy: BusyError | None = None
        self._broken: EngineError | None = None

    async def all(self, at_once: int) -> list[dict[str, Any] | Failure]:
        await asyncio.gather(*(self._lane() for _ in range(min(at_once, len(self._results)))))
        if self._broken is not None:
            raise self._broken
        if self._busy is not None and not self._drawn and not self._failed:
            raise self._busy
        return self._results

    async def _lane(self) -> None:
        for place in self._left:  # that of all lanes: each interval is taken by one
            if self._broken is not None:
                return
            self._results[place] = await self._one(self._plan.intervals[place])

    async def _one(self, interval: Interval) -> dict[str, Any] | Failure:
        while self._hopeless is None and (left := self._until - time.monotonic()) > 0:
            try:
                drawn = await self._work.run(lambda: draw(self._plan, interval, self._renderer))
            except BusyError as error:
                self._busy = error
                await asyncio.sleep(min(error.wait_s, left))
            except EngineError as error:
                self._broken = error
                break
            except EOTasksError as error:
                return self._failure(interval, error)
            else:
                self._drawn += 1
                return drawn
        return self._hopeless or _LATE

    def _failure(self, interval: Interval, error: EOTasksError) -> Failure:
        failure = Failure.of(error)
        self._failed += 1
        if not isinstance(error, ServiceError):
            LOGGER.error("Statistics from %s: %s", interval.start.isoformat(), error)
        if isinstance(error, ScriptError) and not self._drawn and self._failed >= HOPELESS:
            self._hopeless = failure
        return failure


def draw(plan: Plan, interval: Interval, renderer: Renderer) -> dict[str, Any]:
    """`outputs` of an interval.

    :raises EOTasksError: whatever goes wrong.
    """
    call = plan.call
    rendered = renderer.render(RenderRequest(call.script, call.area, call.data_in(interval), auto=SampleType.FLOAT32))
    outputs = outputs_of(rendered.setup)
    mask = next(output for output in rendered.setup.outputs if output.id == MASK)
    return summaries_of(outputs, rendered.images, mask, call.calculations)


def _told(interval: Interval, result: dict[str, Any] | Failure) -> dict[str, Any]:
    bounds = {"from": moment(interval.start), "to": moment(interval.end)}
    if isinstance(result, Failure):
        return {"interval": bounds, "error": {"type": result.type, "message": result.message}}
    return {"interval": bounds, "outputs": result}


def moment(time_: dt.datetime) -> str:
    """A time as answers have it."""
    return f"{time_.isoformat()}Z"

"""The answer of the Statistical API: what a script draws of each interval, as numbers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Awaitable, Callable
from typing import Any

from eotasks.service.evalscript.setup import SampleType
from eotasks.service.render import Renderer, RenderRequest
from eotasks.service.statistics.drawing import SECONDS, Failure, Work, draw_all
from eotasks.service.statistics.intervals import Interval
from eotasks.service.statistics.outputs import MASK, outputs_of, summaries_of
from eotasks.service.statistics.plan import Plan, StatisticsCall, plan_of


async def statistics_of(
    call: StatisticsCall,
    renderer: Renderer,
    work: Work,
    *,
    at_once: int,
    is_gone: Callable[[], Awaitable[bool]],
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """The answer to a request.

    Of intervals without products nothing is said, and no script is run.

    :param at_once: Intervals that are drawn at the same time.
    :param is_gone: Whether who asked has hung up: then no interval is begun.
    :param seconds: After which no interval is begun: the others are told as TIMEOUT.
    :raises RequestError: when the request cannot be drawn, whatever the interval.
    :raises BusyError: when no interval was drawn, as others are served.
    :raises EngineError: when the engine does not work.
    """
    until = time.monotonic() + seconds
    plan = await work.run(lambda: plan_of(call, renderer))
    results = await draw_all(
        plan.intervals,
        lambda interval: draw(plan, interval, renderer),
        work,
        at_once=at_once,
        until=until,
        is_gone=is_gone,
    )
    errors = sum(isinstance(result, Failure) for result in results)
    status = "OK" if not errors else "PARTIAL" if errors < len(results) else "FAILED"
    data = [_told(interval, result) for interval, result in zip(plan.intervals, results, strict=True)]
    return {"data": data, "status": status, "geometryPixelCount": plan.pixels_inside}


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

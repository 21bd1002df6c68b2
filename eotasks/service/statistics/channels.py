"""The answer of FIS: a channel for each band that a script gives, and in it an entry for each day, newest first."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.service.contract.fis import FisRequest, HistogramType
from eotasks.service.errors import RequestError, ScriptError, ScriptTimeoutError
from eotasks.service.evalscript.setup import Output, SampleType, Setup
from eotasks.service.render import Renderer, RenderRequest
from eotasks.service.statistics.bins import Binning, histogram_of
from eotasks.service.statistics.drawing import SECONDS, Failure, Work, draw_all
from eotasks.service.statistics.intervals import Interval
from eotasks.service.statistics.outputs import MASK
from eotasks.service.statistics.plan import StatisticsCall, intervals_drawn

MASK_SCRIPT = """//VERSION=3
function setup() {
  return {input: ["dataMask"], output: {id: "dataMask", bands: 1, sampleType: "UINT8"}};
}
function evaluatePixel(sample) { return [sample.dataMask]; }
"""
"""Which pixels have data, for scripts that do not say so themselves."""

_DEFAULT = "default"
Entry = dict[str, Any]


async def channels_of(
    asked: FisRequest,
    call: StatisticsCall,
    renderer: Renderer,
    work: Work,
    *,
    at_once: int,
    is_gone: Callable[[], Awaitable[bool]],
    seconds: float = SECONDS,
) -> dict[str, list[Entry]]:
    """The answer to a request.

    :param call: Its `statistics`, checked.
    :param at_once: Days that are drawn at the same time.
    :param is_gone: Whether who asked has hung up: then no day is begun.
    :param seconds: After which none is begun.
    :raises ServiceError: when a day cannot be drawn: an answer has no place to say so.
    """
    until = time.monotonic() + seconds

    def plan() -> tuple[Output, list[Interval]]:
        setup = renderer.engine.describe(call.script).setup
        return _drawn(setup), intervals_drawn(call, setup, renderer)

    output, intervals = await work.run(plan)
    found = await draw_all(
        intervals,
        lambda each: _entries(asked, call, each, renderer),
        work,
        at_once=at_once,
        until=until,
        is_gone=is_gone,
    )
    channels: dict[str, list[Entry]] = {f"C{number}": [] for number in range(len(output.bands))}
    for interval, entries in reversed(list(zip(intervals, found, strict=True))):
        if isinstance(entries, Failure):
            raise _error(interval, entries)
        for number, entry in enumerate(entries):
            if entry is not None:
                channels.setdefault(f"C{number}", []).append({"date": interval.start.date().isoformat(), **entry})
    return channels


def _drawn(setup: Setup) -> Output:
    """The output whose bands are channels.

    :raises RequestError: when a script has none besides its mask.
    """
    others = [output for output in setup.outputs if output.id != MASK]
    if not others:
        raise RequestError(f"The evalscript has no output besides {MASK}: there is nothing to sum up.")
    return next((output for output in others if output.id == _DEFAULT), others[0])


def _entries(asked: FisRequest, call: StatisticsCall, interval: Interval, renderer: Renderer) -> list[Entry | None]:
    """What is said of each band on a day; None of one in which no pixel counts."""
    request = RenderRequest(call.script, call.area, call.data_in(interval), auto=SampleType.FLOAT32)
    rendered = renderer.render(request)
    mask = rendered.images.get(MASK)
    if mask is None:
        mask = renderer.render(replace(request, script=MASK_SCRIPT)).images[MASK]
    counted = np.isfinite(mask[..., 0]) & (mask[..., 0] != 0)
    image = rendered.images[_drawn(rendered.setup).id]
    return [_entry(asked, image[..., number], counted) for number in range(image.shape[-1])]


def _entry(asked: FisRequest, values: NDArray[Any], counted: NDArray[np.bool_]) -> Entry | None:
    kept: NDArray[np.float64] = values[np.isfinite(values) & counted].astype(np.float64)
    if not kept.size:
        return None
    moments = {"min": kept.min(), "max": kept.max(), "mean": kept.mean(), "stDev": kept.std()}
    entry: Entry = {"basicStats": {name: float(value) for name, value in moments.items()}}
    if asked.bins is not None:
        found = histogram_of(_binning(asked.bins, asked.kind, kept), kept, "BINS")
        bins = [
            {"value": float(edge), "count": float(count)}
            for edge, count in zip(found.edges, found.counts, strict=False)
        ]
        entry["histogram"] = {"bins": bins}
    return entry


def _binning(bins: int, kind: HistogramType, kept: NDArray[np.float64]) -> Binning:
    """Bins of equal width, or of about as many values each, as far as values that are equal can be parted."""
    if kind == "EQUIDISTANT":
        return Binning(count=bins)
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
    return Binning(edges=tuple(edges.tolist())) if len(edges) > 1 else Binning(count=1)


def _error(interval: Interval, failure: Failure) -> Exception:
    text = f"{interval.start.date().isoformat()}: {failure.message}"
    if failure.type == "TIMEOUT":
        return ScriptTimeoutError(f"{text} Or ask for a shorter time.")
    return ScriptError(text) if failure.type == "EXECUTION_ERROR" else RequestError(text)

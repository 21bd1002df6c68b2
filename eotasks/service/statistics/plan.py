"""A statistical request, checked: what is summed up, over which intervals. No pixel is read here."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.contract.ground import area_of
from eotasks.service.contract.request import DataEntry, data_of, time_range_of
from eotasks.service.contract.statistics import (
    CalculationDefinition,
    HistogramDefinition,
    StatisticsDefinition,
    StatisticsRequest,
)
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.evalscript.setup import Mosaicking, Output, Setup
from eotasks.service.pixels.ground import grid_of, inside
from eotasks.service.render import Renderer, pair
from eotasks.service.statistics.bins import Binning, check
from eotasks.service.statistics.intervals import Interval, Period, intervals_of
from eotasks.service.statistics.outputs import DEFAULT, Calculations, check_names, outputs_of
from eotasks.service.statistics.summary import Calculation

MOST_INTERVALS = 4_000
"""Of one request: ten years of days."""

MOST_PIXELS = 1_000_000_000
"""Of one request, in all intervals that have products: a year of acquisitions of 2500 x 2500 pixels."""

MOST_VALUES = 500_000
"""Bins and percentiles of one answer."""


@dataclass(frozen=True)
class StatisticsCall:
    """A request, checked as far as that needs neither script nor catalogue."""

    script: str
    area: OutputArea
    entries: tuple[DataEntry, ...]
    intervals: tuple[Interval, ...]
    calculations: Calculations

    def data_in(self, interval: Interval) -> tuple[DataRequest, ...]:
        """The data of an interval."""
        return data_of(self.entries, times=(interval.start, interval.last))


@dataclass(frozen=True)
class Plan:
    """What is drawn."""

    call: StatisticsCall
    outputs: tuple[Output, ...]
    """Those of the script, without its mask."""

    intervals: tuple[Interval, ...]
    """Those that have products."""

    pixels_inside: int
    """Pixels of the grid whose middle lies in the geometry of the request; all where it has none."""


def call_of(request: StatisticsRequest, *, max_side: int) -> StatisticsCall:
    """A request of the wire.

    :param max_side: Rows and columns of the grid, each.
    :raises RequestError: for what cannot be computed, whatever there is on the ground.
    :raises TooLargeError: for too many intervals.
    """
    asked = request.aggregation
    script = asked.evalscript if request.evalscript is None else request.evalscript
    if script is None:
        raise RequestError("aggregation.evalscript is missing: give the script whose outputs are summed up.")
    area = area_of(
        request.input.bounds,
        width=asked.width,
        height=asked.height,
        resx=asked.resx,
        resy=asked.resy,
        max_side=max_side,
        where="aggregation",
    )
    start, end = time_range_of(asked.time_range, "aggregation.timeRange", includes_last=False)
    _check_times(request.input.data, start, end)
    intervals = intervals_of(start, end, Period.of(asked.interval.of), asked.interval.last, most=MOST_INTERVALS)
    calculations = {name: calculations_of(each, name) for name, each in request.calculations.items()}
    return StatisticsCall(script, area, tuple(request.input.data), tuple(intervals), calculations)


def calculations_of(definition: CalculationDefinition, name: str) -> dict[str, Calculation]:
    """What is asked of the bands of an output. A band that is named has "default" for what is not said of itself.

    :param name: The output, for messages.
    :raises RequestError: for bins or percentiles that cannot be computed.
    """
    histograms, statistics = definition.histograms, definition.statistics
    names = dict.fromkeys([*histograms, *statistics, DEFAULT])
    return {
        band: Calculation(
            _binning(histograms.get(band, histograms.get(DEFAULT)), f"calculations.{name}.histograms.{band}"),
            _percentiles(statistics.get(band, statistics.get(DEFAULT)), f"calculations.{name}.statistics.{band}"),
        )
        for band in names
    }


def _binning(definition: HistogramDefinition | None, where: str) -> Binning | None:
    if definition is None:
        return None
    edges = None if definition.edges is None else tuple(definition.edges)
    binning = Binning(edges, definition.count, definition.width, definition.low, definition.high)
    check(binning, where)
    return binning


def _percentiles(definition: StatisticsDefinition | None, where: str) -> tuple[float, ...]:
    if definition is None or definition.percentiles is None:
        return ()
    found = definition.percentiles.k
    if not all(0 <= percent <= 100 for percent in found):  # nor is NaN
        raise RequestError(f"{where}.percentiles.k: give percent from 0 to 100, such as 50 for the median.")
    return tuple(dict.fromkeys(float(percent) for percent in found))


def plan_of(call: StatisticsCall, renderer: Renderer) -> Plan:
    """Ask the script what it declares, and the catalogue which intervals have products.

    :raises RequestError: when the script has no mask, or lacks what calculations are asked of.
    :raises TooLargeError: when all intervals together have too many pixels, or the answer too many numbers.
    :raises ScriptError: when the script fails.
    :raises BusyError: when no worker is free in time.
    """
    setup = renderer.engine.describe(call.script).setup
    outputs = outputs_of(setup)
    if "updateOutput" not in setup.hooks:  # which changes the bands, once it knows the scenes
        check_names(call.calculations, outputs)
    intervals = intervals_drawn(call, setup, renderer)
    _check_answer(call.calculations, outputs, len(intervals))
    return Plan(call, tuple(outputs), tuple(intervals), pixels_inside(call.area))


def pixels_inside(area: OutputArea) -> int:
    """Pixels of a grid whose middle lies in the geometry of a request; all where it has none."""
    found = inside(area, grid_of(area))
    return area.height * area.width if found is None else int(np.count_nonzero(found))


def intervals_drawn(call: StatisticsCall, setup: Setup, renderer: Renderer) -> list[Interval]:
    """The intervals that any data of a request has products in, by one search of all the time.

    Where that would find more than one request may, halves of the time are searched by themselves.

    :raises TooLargeError: when all of them together have too many pixels.
    """
    for interval in call.intervals[:1]:
        for declared, data in pair(setup.inputs, call.data_in(interval)):
            renderer.reader.check(data, declared.bands)

    def search(intervals: Sequence[Interval]) -> list[Interval]:
        if not intervals:
            return []
        try:
            return with_products(
                intervals, _times(call, Interval(intervals[0].start, intervals[-1].end), setup, renderer)
            )
        except TooLargeError:
            if len(intervals) == 1:  # what is wrong with it is said when it is drawn
                return list(intervals)
        half = len(intervals) // 2
        return search(intervals[:half]) + search(intervals[half:])

    found = search(call.intervals)
    if call.area.height * call.area.width * len(found) > MOST_PIXELS:
        raise TooLargeError(
            f"{len(found):,} intervals with data of {call.area.width} x {call.area.height} pixels are more than"
            f" {MOST_PIXELS:,} pixels: ask for larger ones, or less time."
        )
    return found


def _times(call: StatisticsCall, interval: Interval, setup: Setup, renderer: Renderer) -> list[dt.datetime]:
    """When there are products of any data of a request."""
    return [
        tile.time
        for _, data in pair(setup.inputs, call.data_in(interval))
        for scene in renderer.reader.find(data, call.area, Mosaicking.TILE).scenes
        for tile in scene.tiles
    ]


def with_products(intervals: Sequence[Interval], times: Iterable[dt.datetime]) -> list[Interval]:
    """Those of some intervals that one of some times is in.

    :param intervals: In order, no two with a moment in common.
    """
    starts = [interval.start for interval in intervals]
    places = {(bisect_right(starts, time) - 1, time) for time in times}
    found = {place for place, time in places if place >= 0 and time < intervals[place].end}
    return [intervals[place] for place in sorted(found)]


def _check_times(entries: Sequence[DataEntry], start: dt.datetime, end: dt.datetime) -> None:
    """:raises RequestError: when data has a time of its own that would leave out a part of the aggregation's."""
    for number, entry in enumerate(entries):
        if entry.data_filter.time_range is not None:
            where = f"input.data.{number}.dataFilter.timeRange"
            first, last = time_range_of(entry.data_filter.time_range, where)
            if first > start or last < end:
                raise RequestError(
                    f"{where} leaves out a part of aggregation.timeRange, which is what counts: leave it out."
                )


def _check_answer(calculations: Calculations, outputs: Sequence[Output], intervals: int) -> None:
    def numbers(by_band: Mapping[str, Calculation], band: str) -> int:
        asked = by_band.get(band) or by_band.get(DEFAULT) or Calculation()
        binning = asked.binning
        bins = 0 if binning is None else len(binning.edges or ()) or binning.count or 0
        return bins + len(asked.percentiles)

    each = sum(
        numbers(calculations.get(output.id) or calculations.get(DEFAULT) or {}, band)
        for output in outputs
        for band in output.bands
    )
    if each * intervals > MOST_VALUES:
        raise TooLargeError(
            f"{each:,} bins and percentiles of each of {intervals:,} intervals are more than {MOST_VALUES:,} numbers:"
            " ask for fewer bins, longer intervals, or less time."
        )

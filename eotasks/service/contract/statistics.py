"""Requests of the Statistical API as they are written.

As the real service has it, not its published description: percentiles are percent, and counts beyond the bins are
called `overflowCount` and `underflowCount`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from eotasks.service.contract.request import Count, Input, TimeRange, Wire

LastInterval = Literal["SKIP", "SHORTEN", "EXTEND"]

MOST_BINS = 10_000
"""Of one histogram."""

MOST_PERCENTILES = 100
_MOST_NAMES = 200
_NAME = 200

Name = Annotated[str, Field(max_length=_NAME)]
Word = Annotated[LastInterval, BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)]


class AggregationInterval(Wire):
    """How the time of a request is cut."""

    of: str = Field(max_length=40, description="Duration of an interval, ISO 8601, a day at least: P1D, P10D, P1M.")
    last: Word = Field(
        "SKIP",
        alias="lastIntervalBehavior",
        description="A last interval that is not full: left out, ended with the range, or extended beyond it.",
    )


class Aggregation(Wire):
    """Time, grid and script."""

    evalscript: str | None = Field(None, description="With an output dataMask: 0 leaves a pixel out.")
    time_range: TimeRange = Field(alias="timeRange")
    interval: AggregationInterval = Field(alias="aggregationInterval")
    width: Count | None = Field(None, description="Columns; 256 where nothing is said.")
    height: Count | None = Field(None, description="Rows; 256 where nothing is said.")
    resx: float | None = Field(None, description="Width of a pixel in units of the CRS, instead of width.")
    resy: float | None = Field(None, description="Height of a pixel in units of the CRS, instead of height.")


class HistogramDefinition(Wire):
    """Bins of a histogram: `nBins`, `binWidth` or `bins`."""

    count: Count | None = Field(None, alias="nBins", description="Number of bins.")
    width: int | float | None = Field(None, alias="binWidth")
    low: int | float | None = Field(None, alias="lowEdge", description="First edge; the least value without it.")
    high: int | float | None = Field(None, alias="highEdge", description="Last edge; the greatest value without it.")
    edges: list[int | float] | None = Field(None, alias="bins", max_length=MOST_BINS + 1)


class Percentiles(Wire):
    """Which percentiles."""

    k: list[int | float] = Field(max_length=MOST_PERCENTILES, description="Percent, 0 to 100.")


class StatisticsDefinition(Wire):
    """Statistics of a band besides those that every band has."""

    percentiles: Percentiles | None = None


class CalculationDefinition(Wire):
    """What is asked of an output, by the names of its bands; "default" is for all others."""

    histograms: dict[Name, HistogramDefinition] = Field({}, max_length=_MOST_NAMES)
    statistics: dict[Name, StatisticsDefinition] = Field({}, max_length=_MOST_NAMES)


class StatisticsRequest(Wire):
    """A request of the Statistical API."""

    input: Input
    aggregation: Aggregation
    evalscript: str | None = Field(None, description="As a part of a form: instead of that of `aggregation`.")
    calculations: dict[Name, CalculationDefinition] = Field({}, max_length=_MOST_NAMES)

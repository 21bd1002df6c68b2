"""Bins of histograms: their edges, and how many values are in each.

A bin holds its low edge and not its high one, but for the last, which holds both; what is below the first or above the
last is counted apart. So each value is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eotasks.service.contract.statistics import MOST_BINS
from eotasks.service.errors import RequestError

Number = int | float

_FEWEST_EDGES = 2
_FARTHEST = 1e300
"""Of numbers that are given, so that their differences are numbers too."""

_WHOLE = 1e-9
"""How near, relative to their number, bins are to a whole number of them: widths such as 0.1 are not exact."""


@dataclass(frozen=True)
class Binning:
    """How values are binned: by edges, or by a number or a width between two edges. Checked by :func:`check`."""

    edges: tuple[Number, ...] | None = None
    count: int | None = None
    width: Number | None = None
    low: Number | None = None
    """The first edge; None for the least value."""

    high: Number | None = None
    """The last edge; None for the greatest value, or the first edge beyond it where a width is given."""

    @property
    def numbers(self) -> list[Number]:
        """All edges and widths that were given."""
        return [*(self.edges or ()), *(each for each in (self.width, self.low, self.high) if each is not None)]


class Histogram(NamedTuple):
    """Values counted by bins."""

    edges: list[Number]
    """One more than there are bins; none where there are no bins."""

    counts: list[int]
    underflow: int
    overflow: int


def check(binning: Binning, where: str) -> None:
    """Refuse what cannot be binned, whatever the values.

    :param where: For the message, such as "histogram of B0".
    :raises RequestError: says what is wrong.
    """
    given = [name for name, value in (("bins", binning.edges), ("nBins", binning.count), ("binWidth", binning.width))
             if value is not None]  # fmt: skip
    if len(given) != 1:
        raise RequestError(f"{where}: give one of nBins, binWidth and bins, not {' and '.join(given) or 'none'}.")
    if not all(abs(number) < _FARTHEST for number in binning.numbers):  # of NaN it is not said either
        raise RequestError(f"{where}: edges and widths are finite numbers.")
    if binning.edges is not None:
        if binning.low is not None or binning.high is not None:
            raise RequestError(f"{where}: bins have their edges already: leave out lowEdge and highEdge.")
        if len(binning.edges) < _FEWEST_EDGES or not np.all(np.diff(np.array(binning.edges, dtype=np.float64)) > 0):
            raise RequestError(f"{where}: bins are two edges at least, each greater than the one before.")
        _check_count(len(binning.edges) - 1, where)
        return
    if binning.width is not None and binning.width <= 0:
        raise RequestError(f"{where}: binWidth is {binning.width}: give a width above 0.")
    if binning.count is not None:
        if binning.count < 1:
            raise RequestError(f"{where}: nBins is {binning.count}: give 1 or more.")
        _check_count(binning.count, where)
    if binning.low is not None and binning.high is not None:
        if binning.low >= binning.high:
            raise RequestError(
                f"{where}: lowEdge {binning.low} is not below highEdge {binning.high}: exchange them, or part them."
            )
        _between(binning, binning.low, binning.high, where)


def histogram_of(binning: Binning, values: NDArray[np.float64], where: str) -> Histogram:
    """Count values by bins.

    :param binning: Checked by :func:`check`.
    :param values: Finite. Of none there are bins only where their edges do not depend on values.
    :param where: For messages.
    :raises RequestError: when there would be too many bins, or bins too narrow for numbers of 64 bits.
    """
    edges = _edges(binning, values, where)
    if edges is None:
        is_below = binning.low is not None
        return Histogram([], [], values.size if is_below else 0, 0 if is_below else values.size)
    limits = np.array(edges, dtype=np.float64)
    below, above = values < limits[0], values > limits[-1]
    places = np.searchsorted(limits, values[~below & ~above], side="right") - 1
    counts = np.bincount(np.minimum(places, len(limits) - 2), minlength=len(limits) - 1)
    return Histogram(edges, counts.tolist(), int(below.sum()), int(above.sum()))


def _edges(binning: Binning, values: NDArray[np.float64], where: str) -> list[Number] | None:
    """Edges, ascending; None where there is no bin: the values, or the lack of them, leave no room for one."""
    if binning.edges is not None:
        return list(binning.edges)
    if values.size == 0 and (binning.low is None or binning.high is None):
        return None
    low = float(values.min()) if binning.low is None else binning.low
    high = float(values.max()) if binning.high is None else binning.high
    return _between(binning, low, high, where)


def _between(binning: Binning, low: Number, high: Number, where: str) -> list[Number] | None:
    if low > high:
        return None
    if low == high:
        return [low, high]
    if binning.width is None:
        count = binning.count or 1
        step = (high - low) / count
        edges: list[Number] = [low, *(low + number * step for number in range(1, count)), high]
    else:
        edges = _of_width(binning.width, low, high, where, open_end=binning.high is None)
    if not np.all(np.diff(np.array(edges, dtype=np.float64)) > 0):
        raise RequestError(f"{where}: bins from {low:g} to {high:g} are too narrow for numbers: ask for fewer.")
    return edges


def _of_width(width: Number, low: Number, high: Number, where: str, *, open_end: bool) -> list[Number]:
    """Edges a width apart; the last is the high one, or, of an open end, the first that is not below it."""
    parts = (high - low) / width
    _check_count(parts, where)
    whole = round(parts)
    count = max(whole if abs(parts - whole) <= _WHOLE * max(whole, 1) else math.ceil(parts), 1)
    edges = [low + number * width for number in range(count)]
    if not open_end:
        return [*edges, high]
    end = low + count * width
    return [*edges, end] if end >= high else [*edges, end, low + (count + 1) * width]


def _check_count(count: float, where: str) -> None:
    if not count <= MOST_BINS:
        raise RequestError(f"{where}: there would be more than {MOST_BINS:,} bins: ask for fewer or wider ones.")


def as_integers(edges: Sequence[Number]) -> list[Number]:
    """Edges as integers where all of them are whole numbers, else all as floats."""
    whole = all(float(edge).is_integer() for edge in edges)
    return [int(edge) if whole else float(edge) for edge in edges]

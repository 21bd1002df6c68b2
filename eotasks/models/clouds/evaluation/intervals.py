"""How sure a number over scenes is: percentile intervals by the bootstrap.

Groups are drawn with replacement, as many as there are, and the number is taken of what was drawn; the interval holds
the middle of the values that come out (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13). All
of a group is drawn or none: pixels of one frame, and frames of one place, are much alike, and taking them for
independent makes intervals that are far too narrow, as a binomial one (Wilson) over pixels would be.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError

DRAWS = 2000
LEVEL = 0.95

_AT_ONCE = 4_000_000
"""Values that are drawn at once, which bounds the memory."""


@dataclass(frozen=True)
class Interval:
    """Where a number lies; both NaN where that cannot be said."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether it can be said."""
        return not math.isnan(self.low)

    def __str__(self) -> str:
        """As 0.89–0.93; a dash where it is not known."""
        return f"{self.low:.2f}–{self.high:.2f}" if self.known else "–"


UNKNOWN = Interval(math.nan, math.nan)


def median_interval(
    values: Sequence[float],
    groups: Sequence[Hashable],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """The interval of a median.

    :param values: A number of each frame; NaN is a frame in which it is not defined, and does not count.
    :param groups: What each belongs to. The same groups and seed give the same draws, whatever the values.
    :param draws: How often is drawn.
    :param level: Share of the drawn medians inside.
    :return: Unknown where fewer than two groups have a number.
    :raises ConfigurationError: as many groups as values are due, a level in 0..1, and a draw.
    """
    if len(values) != len(groups) or not 0 < level < 1 or draws < 1:
        raise ConfigurationError(
            f"{len(values)} values, {len(groups)} groups, level={level!r}, draws={draws!r}: give a group for each"
            " value, a level between 0 and 1, and a draw at least."
        )
    table = _by_group(values, groups)
    if np.isfinite(table).any(axis=1).sum() < 2:
        return UNKNOWN
    generator = np.random.default_rng(seed)
    step = max(_AT_ONCE // table.size, 1)
    medians = [
        _medians(table[generator.integers(len(table), size=(min(step, draws - start), len(table)))])
        for start in range(0, draws, step)
    ]
    drawn = np.concatenate(medians)
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _by_group(values: Sequence[float], groups: Sequence[Hashable]) -> NDArray[np.float64]:
    """(groups, most frames of one): the values, NaN where there is none."""
    members: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    table = np.full((len(members), max(map(len, members.values()), default=0)), np.nan)
    for row, found in enumerate(members.values()):
        table[row, : len(found)] = found
    return table


def _medians(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of every draw (draws, groups, frames), NaN left out; NaN where there is nothing else."""
    flat = np.sort(drawn.reshape(len(drawn), -1), axis=1)  # NaN come last
    count = np.isfinite(flat).sum(axis=1)
    rows = np.arange(len(flat))
    last = np.maximum(count - 1, 0)
    middle: NDArray[np.float64] = (flat[rows, last // 2] + flat[rows, (last + 1) // 2]) / 2
    return middle

"""What is said of one band of an image: its moments, percentiles and histogram.

Everything is computed in double precision of the pixels that count: those of the mask whose value is a finite number.
Percentiles are values that occur: the least one that so many percent of the pixels do not exceed (the inverse of the
distribution, `method="inverted_cdf"` of numpy). So are those in the documented answers of the original, each of which
is a value of 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.service.statistics.bins import Binning, as_integers, histogram_of

NOT_A_NUMBER = "NaN"
"""What the original says of a band in which no pixel counts; JSON has no such number."""


@dataclass(frozen=True)
class Calculation:
    """What is asked of a band besides its moments."""

    binning: Binning | None = None
    percentiles: tuple[float, ...] = ()
    """Percent, 0..100."""


def summary_of(
    values: NDArray[Any], counted: NDArray[np.bool_] | None, calculation: Calculation, where: str
) -> dict[str, Any]:
    """A band as the Statistical API tells it: `stats`, and `histogram` where one is asked for.

    :param values: (h, w) numbers of any type.
    :param counted: (h, w) pixels that the mask of the script leaves; None for all.
    :param where: The band, for messages.
    :raises RequestError: when the histogram would have too many bins.
    """
    finite = np.isfinite(values)
    kept: NDArray[np.float64] = values[finite if counted is None else finite & counted].astype(np.float64)
    told: dict[str, Any] = {"stats": _stats(kept, values.size, calculation.percentiles)}
    if calculation.binning is not None:
        is_whole = bool(np.issubdtype(values.dtype, np.integer))
        told["histogram"] = _histogram(calculation.binning, kept, where, is_whole=is_whole)
    return told


def _stats(kept: NDArray[np.float64], samples: int, percentiles: tuple[float, ...]) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("min", "max", "mean", "stDev"), NOT_A_NUMBER)
    ranks: dict[str, Any] = {f"{float(percent)}": NOT_A_NUMBER for percent in percentiles}
    if kept.size:
        found = {"min": kept.min(), "max": kept.max(), "mean": kept.mean(), "stDev": kept.std()}
        found = {name: float(value) for name, value in found.items()}
        if percentiles:
            values = np.percentile(kept, percentiles, method="inverted_cdf")
            ranks = dict(zip(ranks, np.atleast_1d(values).tolist(), strict=True))
    found |= {"sampleCount": samples, "noDataCount": samples - kept.size}
    return found | ({"percentiles": ranks} if percentiles else {})


def _histogram(binning: Binning, kept: NDArray[np.float64], where: str, *, is_whole: bool) -> dict[str, Any]:
    """As the wire has it. Edges are integers where the values are, and whatever was given, or else floats."""
    found = histogram_of(binning, kept, f"Histogram of {where}")
    in_integers = is_whole and all(isinstance(number, int) for number in binning.numbers)
    edges = as_integers(found.edges) if in_integers else [float(edge) for edge in found.edges]
    bins = [
        {"lowEdge": low, "highEdge": high, "count": count}
        for low, high, count in zip(edges, edges[1:], found.counts, strict=False)
    ]
    return {"bins": bins, "overflowCount": found.overflow, "underflowCount": found.underflow}

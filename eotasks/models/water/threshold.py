"""Above which NDWI a pixel of a frame is water: by Otsu's method near edges, or of the whole frame.

Otsu 1979, IEEE Transactions on Systems, Man, and Cybernetics 9, 62-66; Canny 1986, IEEE Transactions on Pattern
Analysis and Machine Intelligence 8, 679-698. Near edges there is about as much water as land, whatever the share of
water in the frame, which is what Otsu's method needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.water.vocabulary import AlgorithmStatus

CANNY_SIGMA = 4.0
CANNY_HIGH_THRESHOLD = 0.3
EDGE_RADIUS = 4
"""Pixels by which edges are widened."""

MIN_POSITIVE_RATIO = 0.9
"""Lowest ratio of the pixels above NDWI 0 to those above the threshold: below it, the threshold has gone into land."""

NO_WATER = 1.0
"""No NDWI exceeds it."""


@dataclass(frozen=True)
class WaterThreshold:
    """A threshold, and how it was found."""

    value: float
    """NDWI strictly above which a pixel is water."""

    status: AlgorithmStatus


def edge_threshold(index: NDArray[np.floating[Any]]) -> WaterThreshold:
    """The threshold of the Water Observatory: Otsu's of the NDWI near Canny's edges.

    :param index: NDWI (h, w); NaN where it is not known: such pixels have no say, and make no edge. (The original
        scales by the minimum and the range, which one NaN turns to NaN.)
    """
    known = np.isfinite(index)
    values = index[known]
    if not values.size or values.min() == values.max():
        return WaterThreshold(NO_WATER, AlgorithmStatus.NO_WATER)
    from skimage.filters import threshold_otsu

    near = index[near_edges(index) & known]
    if near.size and near.min() < near.max():
        found = WaterThreshold(float(threshold_otsu(near)), AlgorithmStatus.OTSU_AT_EDGES)  # type: ignore[no-untyped-call]
        other = AlgorithmStatus.ZERO_AFTER_EDGES
    else:
        found = WaterThreshold(float(threshold_otsu(values)), AlgorithmStatus.OTSU_OF_FRAME)  # type: ignore[no-untyped-call]
        other = AlgorithmStatus.ZERO_AFTER_FRAME
    above = np.count_nonzero(values > found.value)
    if np.count_nonzero(values > 0) < MIN_POSITIVE_RATIO * above:
        return WaterThreshold(0.0, other)
    return found


def near_edges(index: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """(h, w), the pixels at most 4 from an edge of the NDWI, which is scaled to 0..1 for it.

    :param index: NDWI (h, w) with at least two values; NaN where it is not known.
    """
    from skimage.feature import canny
    from skimage.morphology import dilation, disk

    known = np.isfinite(index)
    values = index[known]
    lowest, spread = values.min(), np.ptp(values)
    scaled = np.where(known, (index - lowest) / spread, 0)
    edges = canny(  # type: ignore[no-untyped-call]
        scaled, sigma=CANNY_SIGMA, high_threshold=CANNY_HIGH_THRESHOLD, mask=None if known.all() else known
    )
    return np.asarray(dilation(edges, disk(EDGE_RADIUS)) > 0)  # type: ignore[no-untyped-call]


def frame_threshold(index: NDArray[np.floating[Any]]) -> WaterThreshold:
    """The threshold of eo-learn's example of water monitoring: Otsu's of the whole frame, NaN taken as -1.

    Its weakness: land takes part, so that a frame with little water has its threshold in the land.

    :param index: NDWI (h, w); it is not changed (the example writes into it).
    """
    filled = np.where(np.isnan(index), index.dtype.type(-1), index)
    if filled.size == 0 or filled.min() == filled.max():
        return WaterThreshold(NO_WATER, AlgorithmStatus.NO_WATER)
    from skimage.filters import threshold_otsu

    return WaterThreshold(float(threshold_otsu(filled)), AlgorithmStatus.OTSU_OF_FRAME)  # type: ignore[no-untyped-call]

"""What another threshold of the cloud probability would have given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.clouds.evaluation.counts import BinaryCounts
from eotasks.models.clouds.postprocess import CLOUD, NO_DATA


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Labelled pixels above every threshold of a probability: what another threshold would have given.

    It is about the probability of single pixels; smoothing and dilation of a mask come on top. Curves add up.
    """

    thresholds: NDArray[np.float32]
    """(n,) ascending, float32 as masks are thresholded."""

    true_positive: NDArray[np.int64]
    """(n,) cloud pixels strictly above each threshold."""

    false_positive: NDArray[np.int64]
    """(n,) other pixels strictly above it."""

    positives: int
    negatives: int

    def counts(self, index: int) -> BinaryCounts:
        """The counts at a threshold."""
        found, alarms = int(self.true_positive[index]), int(self.false_positive[index])
        return BinaryCounts(found, alarms, self.positives - found, self.negatives - alarms)

    def nearest(self, threshold: float) -> int:
        """Index of the threshold next to this one."""
        return int(np.argmin(np.abs(self.thresholds - np.float32(threshold))))

    def best(self) -> tuple[float, BinaryCounts]:
        """The threshold of the highest balanced overall accuracy, the lowest of equals, and the counts there.

        Chosen on the pixels that judge it, it flatters: choose on some scenes, judge on others.
        """
        found, alarms = self.true_positive / max(self.positives, 1), self.false_positive / max(self.negatives, 1)
        index = int(np.argmax(found - alarms))
        return float(self.thresholds[index]), self.counts(index)

    def equals(self, other: ThresholdCurve) -> bool:
        """True for the same counts at the same thresholds."""
        return (self.positives, self.negatives) == (other.positives, other.negatives) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("thresholds", "true_positive", "false_positive")
        )

    def __add__(self, other: ThresholdCurve) -> ThresholdCurve:
        if not np.array_equal(self.thresholds, other.thresholds):
            raise ConfigurationError("curves of different thresholds do not add up: take them at the same ones.")
        return ThresholdCurve(
            self.thresholds,
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.positives + other.positives,
            self.negatives + other.negatives,
        )


THRESHOLDS: NDArray[np.float32] = (np.arange(100) / 100).astype(np.float32)
"""0, 0.01 .. 0.99: where curves are taken."""


def threshold_curve(
    reference: NDArray[np.generic], probability: NDArray[np.floating], valid: NDArray[np.bool_] | None = None
) -> ThresholdCurve:
    """Cloud against the rest at the thresholds 0, 0.01 .. 0.99.

    :param reference: uint8: 0 clear, 1 cloud, 2 shadow, 255 not judged.
    :param probability: Cloud probability of that shape, 0..1.
    :param valid: Boolean of that shape: pixels that have a probability; None when all have. Others do not count.
    :raises GridError: shapes that differ.
    """
    if reference.shape != probability.shape or (valid is not None and valid.shape != reference.shape):
        raise GridError(f"the probability has shape {probability.shape}, the reference {reference.shape}.")
    judged = reference != NO_DATA if valid is None else (reference != NO_DATA) & valid
    cloud = reference[judged] == CLOUD
    below = np.searchsorted(THRESHOLDS, probability[judged].astype(np.float32), side="left")

    def above(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        histogram = np.bincount(below[chosen], minlength=len(THRESHOLDS) + 1)
        return histogram[::-1].cumsum()[::-1][1:].astype(np.int64)

    return ThresholdCurve(THRESHOLDS, above(cloud), above(~cloud), int(cloud.sum()), int((~cloud).sum()))

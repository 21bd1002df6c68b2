"""Confusion counts of a scene, and the accuracies that follow from them; the package says how each is defined."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.evaluation.labels import CLASSES, Target, checked, positive_classes
from eotasks.models.clouds.postprocess import NO_DATA


@dataclass(frozen=True)
class BinaryCounts:
    """Labelled pixels of one class against the rest. The module says how its numbers are defined."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    unanswered_positive: int = 0
    """Pixels of the class for which the mask has no answer."""

    unanswered_negative: int = 0
    """Other pixels for which it has none."""

    @property
    def positives(self) -> int:
        """Pixels of the class in the reference."""
        return self.true_positive + self.false_negative + self.unanswered_positive

    @property
    def negatives(self) -> int:
        """Other labelled pixels."""
        return self.true_negative + self.false_positive + self.unanswered_negative

    @property
    def total(self) -> int:
        """Labelled pixels."""
        return self.positives + self.negatives

    @property
    def producers_accuracy(self) -> float:
        """Share of the class that was found (recall)."""
        return _share(self.true_positive, self.positives)

    @property
    def users_accuracy(self) -> float:
        """Share of what was called the class that is it (precision)."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def specificity(self) -> float:
        """Share of the rest that was left alone."""
        return _share(self.true_negative, self.negatives)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the rest that was called the class."""
        return _share(self.false_positive, self.negatives)

    @property
    def balanced_overall_accuracy(self) -> float:
        """Mean of producer's accuracy and specificity: 0.5 for a constant answer, whatever the share of the class."""
        return 0.5 * (self.producers_accuracy + self.specificity)

    @property
    def overall_accuracy(self) -> float:
        """Share of the labelled pixels that are right."""
        return _share(self.true_positive + self.true_negative, self.total)

    @property
    def f1(self) -> float:
        """Harmonic mean of producer's and user's accuracy."""
        missed = self.false_negative + self.unanswered_positive
        return _share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + missed)

    def __add__(self, other: BinaryCounts) -> BinaryCounts:
        return BinaryCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
            self.unanswered_positive + other.unanswered_positive,
            self.unanswered_negative + other.unanswered_negative,
        )


@dataclass(frozen=True, eq=False)
class CloudConfusion:
    """Labelled pixels counted by reference class and by class of the mask. Those of several scenes add up."""

    counts: NDArray[np.int64]
    """(3, 3): row = reference, column = mask, both in the order of ``CLASSES``."""

    unanswered: NDArray[np.int64]
    """(3,): labelled pixels of each class for which the mask has no answer."""

    @property
    def total(self) -> int:
        """Labelled pixels."""
        return int(self.counts.sum() + self.unanswered.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """(3,) labelled pixels of each class."""
        support: NDArray[np.int64] = self.counts.sum(axis=1) + self.unanswered
        return support

    @property
    def overall_accuracy(self) -> float:
        """Share of the labelled pixels whose class is right, of all three."""
        return _share(int(np.trace(self.counts)), self.total)

    def against_rest(self, target: Target) -> BinaryCounts:
        """The counts with a class as the positive one.

        :raises ConfigurationError: no such target.
        """
        inside = np.isin(np.arange(len(CLASSES)), positive_classes(target))
        block = self.counts
        return BinaryCounts(
            true_positive=int(block[np.ix_(inside, inside)].sum()),
            false_positive=int(block[np.ix_(~inside, inside)].sum()),
            false_negative=int(block[np.ix_(inside, ~inside)].sum()),
            true_negative=int(block[np.ix_(~inside, ~inside)].sum()),
            unanswered_positive=int(self.unanswered[inside].sum()),
            unanswered_negative=int(self.unanswered[~inside].sum()),
        )

    def __add__(self, other: CloudConfusion) -> CloudConfusion:
        return CloudConfusion(self.counts + other.counts, self.unanswered + other.unanswered)


def confusion(reference: NDArray[np.generic], mask: NDArray[np.generic], *, where: str = "the mask") -> CloudConfusion:
    """Count the labelled pixels of a scene.

    :param reference: uint8, any shape: 0 clear, 1 cloud, 2 shadow, 255 not judged.
    :param mask: uint8 of that shape: 0 clear, 1 cloud, 2 shadow, 255 no answer; boolean is cloud or clear.
    :param where: What the mask is, for messages.
    :raises GridError: shapes that differ.
    :raises ReferenceDataError: other values.
    """
    truth, answer = checked(reference, mask, where)
    judged = truth != NO_DATA
    size = len(CLASSES)
    answers = np.where(answer[judged] == NO_DATA, size, answer[judged]).astype(np.intp)
    joint = np.bincount(truth[judged].astype(np.intp) * (size + 1) + answers, minlength=size * (size + 1))
    table = joint.astype(np.int64).reshape(size, size + 1)
    return CloudConfusion(table[:, :size].copy(), table[:, size].copy())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan

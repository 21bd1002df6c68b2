"""Accuracies of many scenes as a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eotasks.models.clouds.evaluation.counts import BinaryCounts, CloudConfusion
from eotasks.models.clouds.evaluation.labels import Target

LOW, HIGH = 0.1, 0.9
"""Accuracies of a scene below and above which CloudSEN12 calls it low and high."""


@dataclass(frozen=True)
class Spread:
    """A number over the scenes in which it is defined. All NaN where that is none."""

    scenes: int
    """Scenes in which it is defined."""

    median: float
    mean: float
    low: float
    """Share of those scenes below 0.1."""

    middle: float
    """Share from 0.1 to 0.9, both included."""

    high: float
    """Share above 0.9."""


def spread(values: Sequence[float]) -> Spread:
    """Sum up a number over scenes; NaN is a scene in which it is not defined, and does not count."""
    defined = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    count = int(defined.size)
    if not count:
        return Spread(0, math.nan, math.nan, math.nan, math.nan, math.nan)
    low, high = float((defined < LOW).mean()), float((defined > HIGH).mean())
    middle = float(((defined >= LOW) & (defined <= HIGH)).mean())
    return Spread(count, float(np.median(defined)), float(defined.mean()), low, middle, high)


@dataclass(frozen=True)
class Accuracy:
    """How well a class was told from the rest, over scenes."""

    target: Target
    pooled: BinaryCounts
    """All pixels of all scenes."""

    scenes: int
    """Scenes with any labelled pixel."""

    scenes_with: int
    """Scenes whose reference has the class."""

    balanced_overall_accuracy: Spread
    """Over the scenes that have the class and something else."""

    producers_accuracy: Spread
    """Over the scenes that have the class."""

    users_accuracy: Spread
    """Over the scenes that have the class in reference and mask."""

    f1: Spread
    """Over the scenes that have the class."""

    overall_accuracy: Spread
    """Over all scenes."""

    false_alarms: Spread
    """Share of the pixels that was called the class, over the scenes that have none of it."""


def accuracy(scenes: Sequence[CloudConfusion], target: Target) -> Accuracy:
    """Sum up scenes; those without a labelled pixel do not count.

    :raises ConfigurationError: no such target.
    """
    counts = [scene.against_rest(target) for scene in scenes if scene.total]
    having = [each for each in counts if each.positives]

    def over(chosen: Sequence[BinaryCounts], number: Callable[[BinaryCounts], float]) -> Spread:
        return spread([number(each) for each in chosen])

    return Accuracy(
        target=target,
        pooled=sum(counts, BinaryCounts(0, 0, 0, 0)),
        scenes=len(counts),
        scenes_with=len(having),
        balanced_overall_accuracy=over(having, lambda each: each.balanced_overall_accuracy),
        producers_accuracy=over(having, lambda each: each.producers_accuracy),
        users_accuracy=over(having, lambda each: each.users_accuracy),
        f1=over(having, lambda each: each.f1),
        overall_accuracy=over(counts, lambda each: each.overall_accuracy),
        false_alarms=over([each for each in counts if not each.positives], lambda each: each.false_alarm_rate),
    )

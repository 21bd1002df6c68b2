"""How far two masks of the same pixels agree, without any truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.evaluation.counts import CloudConfusion
from eotasks.models.clouds.evaluation.labels import CLASSES, Target
from eotasks.models.clouds.postprocess import NO_DATA


@dataclass(frozen=True)
class ClassAgreement:
    """How far two masks agree on a class."""

    pixels: int
    """For which both have an answer."""

    share: float
    """Of these pixels, that both call the class or both do not; NaN where there is none."""

    kappa: float
    """Cohen's: 1 for the same masks, 0 for what chance gives with as much of the class in each. NaN where both masks
    have nothing of the class, or nothing else."""


def pair_counts(first: NDArray[np.generic], second: NDArray[np.generic]) -> CloudConfusion:
    """Pixels by the classes of two masks, those for which both have an answer.

    :param first: uint8, any shape: 0 clear, 1 cloud, 2 shadow, 255 no answer.
    :param second: The same.
    :return: Rows are the classes of the first, columns those of the second. Those of several scenes add up.
    :raises GridError: shapes that differ.
    """
    if first.shape != second.shape:
        raise GridError(f"masks of shapes {first.shape} and {second.shape} cannot be compared: give both on one grid.")
    size = len(CLASSES)
    first, second = first.astype(np.uint8, copy=False), second.astype(np.uint8, copy=False)
    both = (first != NO_DATA) & (second != NO_DATA)
    joint = np.bincount(first[both].astype(np.intp) * size + second[both], minlength=size * size)
    return CloudConfusion(joint.astype(np.int64).reshape(size, size), np.zeros(size, dtype=np.int64))


def class_agreement(counts: CloudConfusion, target: Target = "cloud") -> ClassAgreement:
    """What the counts of a pair say of a class against the rest.

    :raises ConfigurationError: no such target.
    """
    found = counts.against_rest(target)
    pixels = found.total
    if not pixels:
        return ClassAgreement(0, math.nan, math.nan)
    share = found.overall_accuracy
    in_first = found.positives / pixels
    in_second = (found.true_positive + found.false_positive) / pixels
    by_chance = in_first * in_second + (1 - in_first) * (1 - in_second)
    kappa = (share - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan
    return ClassAgreement(pixels, share, kappa)

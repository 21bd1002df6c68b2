"""How good a land-cover map is: confusion, accuracies, F1, ROC, and the spread over seeds.

Every prediction counts. A prediction of a class that the test samples do not hold, and a sample without a prediction,
are errors; leaving them out, as the original example does, flatters the scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from eotasks.errors import ModelError
from eotasks.models.classes import NO_DATA, ClassTable
from eotasks.models.landcover.splits import split_patches as split_patches

SPREAD_METRICS = ("overall_accuracy", "macro_f1", "weighted_f1", "baseline_accuracy", "baseline_macro_f1")
"""Numbers of a validation that a spread summarises."""


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Test samples counted by reference class and predicted class.

    Matrices of folds that have the same classes add up: ``first + second``.
    """

    counts: NDArray[np.int64]
    """(k, k): row = reference class, column = predicted class, both in the order of ``classes``."""

    classes: ClassTable
    """The classes that occur in the reference or in the prediction."""

    unpredicted: NDArray[np.int64]
    """(k,): samples of each reference class without a prediction (0); they are errors."""

    @property
    def support(self) -> NDArray[np.int64]:
        """(k,) samples of each reference class."""
        support: NDArray[np.int64] = self.counts.sum(axis=1) + self.unpredicted
        return support

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(k,) samples predicted as each class."""
        predicted: NDArray[np.int64] = self.counts.sum(axis=0)
        return predicted

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.support.sum())

    def by_reference(self) -> NDArray[np.float64]:
        """(k, k) shares of each row's reference samples: the diagonal is the producer's accuracy. NaN without any."""
        return _ratio(self.counts, self.support[:, None])

    def by_prediction(self) -> NDArray[np.float64]:
        """(k, k) shares of each column's predictions: the diagonal is the user's accuracy. NaN without any."""
        return _ratio(self.counts, self.predicted[None, :])

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        merged = {item.id: item for item in (*self.classes, *other.classes)}
        table = ClassTable(tuple(merged[class_id] for class_id in sorted(merged)))
        first, second = self._arranged(table), other._arranged(table)
        return ConfusionMatrix(first.counts + second.counts, table, first.unpredicted + second.unpredicted)

    def _arranged(self, table: ClassTable) -> ConfusionMatrix:
        """The same counts in the order of a table that has all classes of this one."""
        position = [table.ids.index(class_id) for class_id in self.classes.ids]
        counts, unpredicted = np.zeros((len(table), len(table)), np.int64), np.zeros(len(table), np.int64)
        counts[np.ix_(position, position)] = self.counts
        unpredicted[position] = self.unpredicted
        return ConfusionMatrix(counts, table, unpredicted)


@dataclass(frozen=True)
class ClassAccuracy:
    """How well one class was found."""

    class_id: int
    name: str
    support: int
    """Test samples of the class."""

    predicted: int
    """Test samples predicted as the class."""

    users_accuracy: float
    """Share of the predictions of the class that are right (precision); NaN when it was never predicted."""

    producers_accuracy: float
    """Share of the class's samples that were found (recall); NaN when the test samples hold none."""

    f1: float
    """2 TP / (2 TP + FP + FN): 0 for a class that is never right."""


@dataclass(frozen=True)
class Baseline:
    """What always answering the most frequent class of the test samples would score; no constant answer beats it."""

    class_id: int
    name: str
    accuracy: float
    macro_f1: float


@dataclass(frozen=True, eq=False)
class Validation:
    """Scores on held-out samples, with the majority-class baseline beside them."""

    matrix: ConfusionMatrix
    per_class: tuple[ClassAccuracy, ...]
    """In the order of ``matrix.classes``, classes that were predicted but have no test sample included."""

    overall_accuracy: float
    """Share of all test samples that are right."""

    macro_f1: float
    """Mean F1 over the classes that the test samples hold, each with the same weight."""

    weighted_f1: float
    """Mean F1 over the same classes, weighted by their number of test samples."""

    baseline: Baseline

    @property
    def baseline_accuracy(self) -> float:
        """Overall accuracy of the majority class."""
        return self.baseline.accuracy

    @property
    def baseline_macro_f1(self) -> float:
        """Macro F1 of the majority class."""
        return self.baseline.macro_f1

    def to_dict(self) -> dict[str, JsonValue]:
        """Everything as plain values for JSON; None where a number is undefined."""
        return {
            "samples": self.matrix.total,
            "overall_accuracy": self.overall_accuracy,
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "baseline": {
                "class": self.baseline.name,
                "accuracy": self.baseline.accuracy,
                "macro_f1": self.baseline.macro_f1,
            },
            "classes": {
                item.name: {
                    "id": item.class_id,
                    "support": item.support,
                    "predicted": item.predicted,
                    "users_accuracy": _or_none(item.users_accuracy),
                    "producers_accuracy": _or_none(item.producers_accuracy),
                    "f1": item.f1,
                }
                for item in self.per_class
            },
            "confusion": [[int(value) for value in row] for row in self.matrix.counts],
            "unpredicted": [int(value) for value in self.matrix.unpredicted],
        }


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: ClassTable) -> ConfusionMatrix:
    """Count samples by reference and predicted class.

    :param y_true: (n,) reference ids; 0 (unlabelled) is refused.
    :param y_pred: (n,) predicted ids; 0 is a sample without a prediction, which is an error.
    :param classes: Table that has every id; the matrix keeps those that occur, in the table's order.
    :raises ModelError: for lengths that differ, no sample, unlabelled samples, or an id that is not in the table.
    """
    truth, prediction = _ids(y_true, "reference"), _ids(y_pred, "prediction")
    if truth.shape != prediction.shape:
        raise ModelError(f"there are {truth.size} reference ids but {prediction.size} predictions: give one for each.")
    if not truth.size:
        raise ModelError("there is no test sample: hold out patches or blocks that have labels.")
    if (truth == NO_DATA).any():
        raise ModelError(f"{int((truth == NO_DATA).sum())} reference ids are 0 (unlabelled): leave those samples out.")
    occurring = (set(np.unique(truth).tolist()) | set(np.unique(prediction).tolist())) - {NO_DATA}
    unknown = sorted(occurring - set(classes.ids))
    if unknown:
        raise ModelError(f"class id {', '.join(map(str, unknown))} is not in the class table: add it or map it.")
    table = classes.select(occurring)
    size = len(table)
    position = np.full(int(max(truth.max(), prediction.max())) + 1, size)
    position[table.ids] = np.arange(size)
    joint = np.bincount(position[truth] * (size + 1) + position[prediction], minlength=size * (size + 1))
    joint = joint.reshape(size, size + 1).astype(np.int64)
    return ConfusionMatrix(joint[:, :size].copy(), table, joint[:, size].copy())


def evaluate(y_true: ArrayLike, y_pred: ArrayLike, classes: ClassTable) -> Validation:
    """Validate predictions against reference ids.

    :param y_true: (n,) reference ids, none of them 0.
    :param y_pred: (n,) predicted ids; 0 is no prediction.
    :param classes: Table that has every id.
    :raises ModelError: see :func:`confusion_matrix`.
    """
    return summarize(confusion_matrix(y_true, y_pred, classes))


def summarize(matrix: ConfusionMatrix) -> Validation:
    """Scores of a confusion matrix, which may be the sum of several folds.

    :raises ModelError: when no class has a test sample.
    """
    support, predicted = matrix.support, matrix.predicted
    total = int(support.sum())
    if not total:
        raise ModelError("the confusion matrix holds no test sample: hold out patches or blocks that have labels.")
    right = np.diag(matrix.counts)
    users, producers = _ratio(right, predicted), _ratio(right, support)
    f1 = 2.0 * right / np.maximum(support + predicted, 1)
    present = support > 0
    return Validation(
        matrix=matrix,
        per_class=tuple(
            ClassAccuracy(item.id, item.name, int(n), int(m), float(user), float(producer), float(score))
            for item, n, m, user, producer, score in zip(
                matrix.classes, support, predicted, users, producers, f1, strict=True
            )
        ),
        overall_accuracy=float(right.sum() / total),
        macro_f1=float(f1[present].mean()),
        weighted_f1=float((f1 * support).sum() / total),
        baseline=_baseline(matrix),
    )


@dataclass(frozen=True, eq=False)
class RocCurve:
    """One class against the rest on the test samples, for every threshold of its score."""

    class_id: int
    name: str
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    auc: float
    """Area under the curve: 0.5 for chance, 1 for perfect."""


def roc_curves(y_true: ArrayLike, scores: ArrayLike, score_classes: ClassTable) -> list[RocCurve]:
    """ROC of every class, one against the rest.

    A class is left out when all test samples, or none, belong to it: the curve is not defined then.

    :param y_true: (n,) reference ids, none of them 0.
    :param scores: (n, k) scores in the order of ``score_classes``, as a model predicts them.
    :raises ModelError: for shapes that do not fit together.
    """
    from sklearn.metrics import auc, roc_curve

    truth, values = _ids(y_true, "reference"), np.asarray(scores)
    if values.shape != (truth.size, len(score_classes)):
        raise ModelError(
            f"scores have shape {values.shape}, {truth.size} samples of {len(score_classes)} classes need "
            f"({truth.size}, {len(score_classes)}): pass what the model predicted."
        )
    curves = []
    for column, item in enumerate(score_classes):
        positive = truth == item.id
        if positive.any() and not positive.all():
            false_rate, true_rate, _ = roc_curve(positive, values[:, column])
            curves.append(RocCurve(item.id, item.name, false_rate, true_rate, float(auc(false_rate, true_rate))))
    return curves


@dataclass(frozen=True)
class MetricSpread:
    """One number over several seeds."""

    mean: float
    std: float
    """Sample standard deviation (n - 1); NaN for one seed."""

    minimum: float
    maximum: float
    values: tuple[float, ...]
    """In the order of the seeds."""


@dataclass(frozen=True, eq=False)
class SeedSpread:
    """The same validation repeated over a fixed set of seeds."""

    seeds: tuple[int, ...]
    metrics: dict[str, MetricSpread]
    """By name, see :data:`SPREAD_METRICS`."""

    validations: tuple[Validation, ...]
    """In the order of the seeds."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Everything but the single validations as plain values for JSON."""
        return {
            "seeds": list(self.seeds),
            **{
                name: {
                    "mean": spread.mean,
                    "std": _or_none(spread.std),
                    "min": spread.minimum,
                    "max": spread.maximum,
                    "values": list(spread.values),
                }
                for name, spread in self.metrics.items()
            },
        }


def spread_of(validations: dict[int, Validation]) -> SeedSpread:
    """Spread of validations that are already there, by seed.

    :raises ModelError: when there is none.
    """
    if not validations:
        raise ModelError("there is no validation to summarise: give one or more seeds.")
    metrics = {name: _spread([getattr(item, name) for item in validations.values()]) for name in SPREAD_METRICS}
    return SeedSpread(tuple(validations), metrics, tuple(validations.values()))


def _baseline(matrix: ConfusionMatrix) -> Baseline:
    support = matrix.support
    majority = matrix.classes.ids[int(support.argmax())]
    found = int(support.max())
    total = int(support.sum())
    f1 = 2.0 * found / (total + found)
    return Baseline(
        class_id=majority,
        name=matrix.classes.name_of(majority),
        accuracy=found / total,
        macro_f1=f1 / int((support > 0).sum()),
    )


def _ids(values: ArrayLike, what: str) -> NDArray[np.int64]:
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
        raise ModelError(f"{what} ids have shape {ids.shape} and dtype {ids.dtype}: give one row of whole numbers.")
    if ids.size and (ids.min() < 0 or ids.max() > 255):
        raise ModelError(f"{what} ids run from {ids.min()} to {ids.max()}: class ids are 0 to 255.")
    return ids.astype(np.int64)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(part.shape, whole.shape)
    ratio = np.full(shape, np.nan)
    np.divide(part, whole, out=ratio, where=np.broadcast_to(whole > 0, shape))
    return ratio


def _spread(values: Sequence[float]) -> MetricSpread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return MetricSpread(float(np.mean(values)), std, min(values), max(values), tuple(values))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value

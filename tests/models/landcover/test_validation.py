from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from eotasks.errors import ModelError
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.validation import (
    Validation,
    confusion_matrix,
    evaluate,
    roc_curves,
    spread_of,
    summarize,
)

# 2 forest, 3 grassland, 8 artificial; class 5 (water) is predicted but has no test sample, 0 is no prediction.
TRUTH = np.array([2, 2, 2, 2, 2, 2, 3, 3, 3, 8])
PREDICTED = np.array([2, 2, 2, 2, 3, 5, 3, 3, 0, 5], np.uint8)


def test_every_prediction_counts() -> None:
    result = evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES)
    assert result.overall_accuracy == 0.6
    assert result.matrix.classes.ids == [2, 3, 5, 8]
    assert result.matrix.counts.tolist() == [[4, 1, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert result.matrix.unpredicted.tolist() == [0, 1, 0, 0]
    forest, grass, water, artificial = result.per_class
    assert (forest.users_accuracy, forest.producers_accuracy, forest.f1) == (1.0, 4 / 6, 0.8)
    assert (grass.users_accuracy, grass.producers_accuracy, grass.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert (water.support, water.predicted, water.users_accuracy, water.f1) == (0, 2, 0.0, 0.0)
    assert math.isnan(water.producers_accuracy)
    assert (artificial.support, artificial.f1) == (1, 0.0)
    assert math.isnan(artificial.users_accuracy)


def test_macro_f1_is_the_mean_over_classes_with_test_samples() -> None:
    result = evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES)
    assert result.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    assert result.weighted_f1 == pytest.approx((6 * 0.8 + 3 * 2 / 3) / 10)


def test_dropping_predictions_of_absent_classes_as_the_example_does_would_flatter() -> None:
    kept = np.isin(PREDICTED, TRUTH)
    flattered = evaluate(TRUTH[kept], PREDICTED[kept], SLOVENIAN_CLASSES)
    assert flattered.overall_accuracy == 6 / 7
    assert evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES).overall_accuracy == 0.6


def test_majority_baseline() -> None:
    result = evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES)
    assert (result.baseline.class_id, result.baseline.accuracy) == (2, 0.6)
    assert result.baseline.macro_f1 == pytest.approx(0.75 / 3)
    assert result.baseline.name == "Forest"


@given(st.lists(st.tuples(st.sampled_from([1, 2, 5, 9]), st.sampled_from([1, 2, 5, 9])), min_size=1, max_size=60))
def test_scores_equal_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    result = evaluate(truth, predicted, SLOVENIAN_CLASSES)
    present = np.unique(truth)
    options = {"labels": present, "zero_division": 0}
    assert result.overall_accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", **options))
    assert result.weighted_f1 == pytest.approx(f1_score(truth, predicted, average="weighted", **options))
    rows = {item.class_id: item for item in result.per_class}
    for class_id, user, producer in zip(
        present,
        precision_score(truth, predicted, average=None, **options),
        recall_score(truth, predicted, average=None, **options),
        strict=True,
    ):
        assert np.nan_to_num(rows[class_id].users_accuracy) == pytest.approx(user)
        assert rows[class_id].producers_accuracy == pytest.approx(producer)
    constant = np.full_like(truth, result.baseline.class_id)
    assert result.baseline.accuracy == pytest.approx(accuracy_score(truth, constant))
    assert result.baseline.macro_f1 == pytest.approx(f1_score(truth, constant, average="macro", **options))


def test_normalised_matrices() -> None:
    matrix = evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES).matrix
    assert matrix.by_reference()[1].tolist() == [0, 2 / 3, 0, 0]
    assert matrix.by_prediction()[:, 2].tolist() == [0.5, 0, 0, 0.5]
    assert np.isnan(matrix.by_reference()[2]).all()
    assert np.isnan(matrix.by_prediction()[:, 3]).all()


@given(st.integers(0, 10))
def test_folds_add_up_to_the_whole(cut: int) -> None:
    whole = confusion_matrix(TRUTH, PREDICTED, SLOVENIAN_CLASSES)
    parts = [
        confusion_matrix(TRUTH[part], PREDICTED[part], SLOVENIAN_CLASSES)
        for part in (slice(None, cut), slice(cut, None))
        if len(TRUTH[part])
    ]
    total = sum(parts[1:], start=parts[0])
    assert total.classes == whole.classes
    assert (total.counts == whole.counts).all()
    assert (total.unpredicted == whole.unpredicted).all()
    assert summarize(total).to_dict() == summarize(whole).to_dict()


def test_adding_keeps_the_order_of_the_table() -> None:
    first = confusion_matrix([8, 2], [8, 2], SLOVENIAN_CLASSES)
    second = confusion_matrix([3, 8], [3, 2], SLOVENIAN_CLASSES)
    total = first + second
    assert total.classes.ids == [2, 3, 8]
    assert total.counts.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert first.counts.tolist() == [[1, 0], [0, 1]]


def test_plain_values_for_json() -> None:
    content = evaluate(TRUTH, PREDICTED, SLOVENIAN_CLASSES).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert isinstance(content["classes"], dict)
    assert isinstance(content["classes"]["Water"], dict)
    assert content["classes"]["Water"]["producers_accuracy"] is None
    assert content["samples"] == 10


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([], [], "no test sample"),
        ([1, 2], [1], "2 reference ids but 1 predictions"),
        ([1, 0], [1, 1], "1 reference ids are 0"),
        ([1, 77], [1, 1], "class id 77 is not in the class table"),
        ([1, 300], [1, 1], "class ids are 0 to 255"),
        ([1.0, 2.0], [1, 1], "whole numbers"),
        ([[1]], [[1]], "whole numbers"),
    ],
)
def test_ids_that_are_none_are_refused(truth: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        evaluate(truth, predicted, SLOVENIAN_CLASSES)


def test_roc_of_each_class_that_has_both_sides() -> None:
    truth = np.array([2, 2, 3, 3, 3, 8])
    scores = np.array(
        [[0.9, 0.1, 0], [0.3, 0.7, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.2, 0.8, 0], [0.5, 0.5, 0]], np.float32
    )
    table = SLOVENIAN_CLASSES.select([2, 3, 5])
    curves = roc_curves(truth, scores, table)
    assert [curve.class_id for curve in curves] == [2, 3]
    for curve, column in zip(curves, (0, 1), strict=True):
        assert curve.auc == pytest.approx(roc_auc_score(truth == curve.class_id, scores[:, column]))
        assert (curve.false_positive_rate[[0, -1]] == [0, 1]).all()
        assert (curve.true_positive_rate[[0, -1]] == [0, 1]).all()
    assert roc_curves([2, 2], scores[:2], table) == []
    with pytest.raises(ModelError, match="scores have shape"):
        roc_curves(truth, scores[:, :2], table)


def _validate(seed: int) -> Validation:
    predicted = TRUTH.copy()
    predicted[:seed] = 3
    return evaluate(TRUTH, predicted, SLOVENIAN_CLASSES)


def test_spread_over_seeds() -> None:
    spread = spread_of({seed: _validate(seed) for seed in (1, 2, 4)})
    accuracy = spread.metrics["overall_accuracy"]
    assert accuracy.values == (0.9, 0.8, 0.6)
    assert (accuracy.minimum, accuracy.maximum) == (0.6, 0.9)
    assert accuracy.mean == pytest.approx(2.3 / 3)
    assert accuracy.std == pytest.approx(np.std([0.9, 0.8, 0.6], ddof=1))
    assert spread.metrics["baseline_accuracy"].std == pytest.approx(0)
    json.dumps(spread.to_dict(), allow_nan=False)
    assert math.isnan(spread_of({1: _validate(1)}).metrics["macro_f1"].std)


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="no validation"):
        spread_of({})

"""Numbers of masks against labels: by hand, against scikit-learn, and by what must always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from eotasks.errors import ConfigurationError, GridError, ReferenceDataError
from eotasks.models.clouds.evaluation import (
    AGREEMENT_COLORS,
    FALSE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LABEL_SCHEMES,
    MISSED,
    MIXED_UP,
    NO_ANSWER,
    NOT_JUDGED,
    RIGHT_CLOUD,
    RIGHT_SHADOW,
    TARGETS,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
    UNANSWERED,
    BinaryCounts,
    CloudConfusion,
    Target,
    accuracy,
    agreement,
    agreement_picture,
    confusion,
    error_map,
    map_labels,
    spread,
    threshold_curve,
)

REFERENCE = np.array([[0, 0, 0, 1, 1, 1, 2, 2, 255, 255]], dtype=np.uint8)
MASK = np.array([[0, 1, 255, 1, 0, 255, 2, 1, 1, 0]], dtype=np.uint8)

classes = hnp.arrays(np.uint8, st.integers(1, 40), elements=st.sampled_from([0, 1, 2, 255]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    reference = draw(classes)
    elements = st.sampled_from([0, 1, 2, 255])
    return reference, draw(hnp.arrays(np.uint8, reference.shape, elements=elements))


def scene(reference: list[int], mask: list[int]) -> CloudConfusion:
    return confusion(np.array(reference, np.uint8), np.array(mask, np.uint8))


def test_counts_by_hand() -> None:
    counts = confusion(REFERENCE, MASK)
    assert counts.counts.tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert counts.unanswered.tolist() == [1, 1, 0]
    assert counts.support.tolist() == [3, 3, 2]
    assert counts.total == 8
    assert counts.overall_accuracy == 3 / 8


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("cloud", BinaryCounts(1, 2, 1, 2, 1, 1)),
        ("shadow", BinaryCounts(1, 0, 1, 4, 0, 2)),
        ("cloud or shadow", BinaryCounts(3, 1, 1, 1, 1, 1)),
        ("clear", BinaryCounts(1, 1, 1, 3, 1, 1)),
    ],
)
def test_one_class_against_the_rest(target: Target, expected: BinaryCounts) -> None:
    assert confusion(REFERENCE, MASK).against_rest(target) == expected


def test_an_unanswered_pixel_is_an_error_but_no_false_alarm() -> None:
    counts = BinaryCounts(6, 2, 1, 8, unanswered_positive=1, unanswered_negative=2)
    assert counts.producers_accuracy == 6 / 8
    assert counts.users_accuracy == 6 / 8
    assert counts.specificity == 8 / 12
    assert counts.false_alarm_rate == 2 / 12
    assert counts.balanced_overall_accuracy == 0.5 * (6 / 8 + 8 / 12)
    assert counts.overall_accuracy == 14 / 20
    assert counts.f1 == 12 / 16


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        (BinaryCounts(0, 3, 0, 5), {"producers_accuracy", "balanced_overall_accuracy"}),
        (BinaryCounts(0, 0, 4, 5), {"users_accuracy"}),
        (BinaryCounts(4, 0, 1, 0), {"specificity", "balanced_overall_accuracy", "false_alarm_rate"}),
        (BinaryCounts(0, 0, 0, 5), {"producers_accuracy", "users_accuracy", "balanced_overall_accuracy", "f1"}),
    ],
    ids=["class absent", "nothing called it", "nothing else", "absent and not called"],
)
def test_what_is_not_defined_is_nan(counts: BinaryCounts, undefined: set[str]) -> None:
    names = (
        "producers_accuracy", "users_accuracy", "specificity", "false_alarm_rate", "balanced_overall_accuracy",
        "overall_accuracy", "f1",
    )  # fmt: skip
    assert {name for name in names if math.isnan(getattr(counts, name))} == undefined


@settings(max_examples=60, deadline=None)
@given(pairs(), st.sampled_from(sorted(TARGETS)))
def test_numbers_are_those_of_scikit_learn(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], target: Target) -> None:
    reference, mask = pair
    judged = (reference != 255) & (mask != 255)
    assume(judged.any())
    truth, called = np.isin(reference[judged], TARGETS[target]), np.isin(mask[judged], TARGETS[target])
    counts = confusion(np.where(judged, reference, 255).astype(np.uint8), mask).against_rest(target)
    for ours, peer in (
        (counts.producers_accuracy, recall_score),
        (counts.users_accuracy, precision_score),
        (counts.f1, f1_score),
    ):
        assert ours == pytest.approx(peer(truth, called, zero_division=np.nan), nan_ok=True)
    if truth.any() and not truth.all():
        assert counts.balanced_overall_accuracy == pytest.approx(balanced_accuracy_score(truth, called))


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_the_parts_of_a_scene_add_up_to_it(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    reference, mask = pair
    half = len(reference) // 2
    whole, parts = confusion(reference, mask), confusion(reference[:half], mask[:half])
    parts = parts + confusion(reference[half:], mask[half:])
    np.testing.assert_array_equal(whole.counts, parts.counts)
    np.testing.assert_array_equal(whole.unanswered, parts.unanswered)
    for target in TARGETS:
        counts = whole.against_rest(target)
        assert counts.total == whole.total == int((reference != 255).sum())
        assert counts == parts.against_rest(target)


@settings(max_examples=60, deadline=None)
@given(pairs(), st.sampled_from(sorted(TARGETS)))
def test_a_map_shows_what_was_counted(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], target: Target) -> None:
    codes = agreement(*pair, target)
    counts = confusion(*pair).against_rest(target)
    seen = [int((codes == code).sum()) for code in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE)]
    assert seen == [counts.true_positive, counts.false_positive, counts.false_negative, counts.true_negative]
    assert (codes == NO_ANSWER).sum() == counts.unanswered_positive + counts.unanswered_negative
    assert (codes == NOT_JUDGED).sum() == (pair[0] == 255).sum()


def test_a_picture_has_the_colour_of_each_code() -> None:
    picture = agreement_picture(agreement(REFERENCE, MASK))
    assert picture.shape == (1, 10, 3)
    assert picture.dtype == np.uint8
    hexadecimal = ["#" + bytes(pixel).hex() for pixel in picture[0]]
    assert hexadecimal[0] == AGREEMENT_COLORS[TRUE_NEGATIVE]
    assert hexadecimal[1] == AGREEMENT_COLORS[FALSE_POSITIVE]
    assert hexadecimal[3] == AGREEMENT_COLORS[TRUE_POSITIVE]
    assert hexadecimal[4] == AGREEMENT_COLORS[FALSE_NEGATIVE]
    assert len(set(AGREEMENT_COLORS.values())) == 6


def test_medians_leave_out_the_scenes_in_which_a_number_is_not_defined() -> None:
    scenes = [
        scene([1, 1, 0, 0], [1, 1, 0, 0]),  # perfect
        scene([1, 1, 0, 0], [0, 0, 0, 0]),  # nothing called: UA not defined
        scene([1, 1, 1, 1], [1, 0, 0, 0]),  # nothing but cloud: BOA not defined
        scene([0, 0, 0, 0], [1, 0, 0, 0]),  # no cloud: a false alarm
        scene([255, 255], [1, 0]),  # no label: no scene
    ]
    found = accuracy(scenes, "cloud")
    assert (found.scenes, found.scenes_with) == (4, 3)
    assert (found.producers_accuracy.scenes, found.producers_accuracy.median) == (3, 0.25)
    assert (found.users_accuracy.scenes, found.users_accuracy.median) == (2, 1.0)
    assert (found.balanced_overall_accuracy.scenes, found.balanced_overall_accuracy.median) == (2, 0.75)
    assert (found.false_alarms.scenes, found.false_alarms.mean) == (1, 0.25)
    assert found.overall_accuracy.scenes == 4
    assert found.pooled == BinaryCounts(3, 1, 5, 7)


def test_a_class_that_no_scene_has() -> None:
    found = accuracy([scene([0, 1], [0, 1])], "shadow")
    assert found.scenes_with == found.producers_accuracy.scenes == 0
    assert math.isnan(found.producers_accuracy.median)
    assert math.isnan(found.pooled.producers_accuracy)


def test_low_middle_and_high_as_cloudsen12_has_them() -> None:
    values = spread([0.0, 0.0999, 0.1, 0.5, 0.9, 0.9001, math.nan, 1.0])
    assert values.scenes == 7
    assert (values.low, values.middle, values.high) == (2 / 7, 3 / 7, 2 / 7)
    assert values.median == 0.5
    assert math.isnan(spread([math.nan]).median)


def test_shares_of_a_published_row() -> None:
    # s2cloudless on the 777 patches with cloud of CloudSEN12's test set: 7.08 / 52.38 / 40.54 % of its PA.
    found = spread([0.05] * 55 + [0.5] * 407 + [0.95] * 315)
    assert [round(100 * share, 2) for share in (found.low, found.middle, found.high)] == [7.08, 52.38, 40.54]


@pytest.mark.parametrize(
    ("labels", "scheme", "expected"),
    [
        ([0, 1, 2, 3], "cloudsen12", [0, 1, 1, 2]),
        ([0, 1, 2, 255], "eotasks", [0, 1, 2, 255]),
    ],
)
def test_schemes(labels: list[int], scheme: str, expected: list[int]) -> None:
    for dtype in (np.uint8, np.int16, np.int64):
        mapped = map_labels(np.array([labels], dtype=dtype), LABEL_SCHEMES[scheme])
        assert mapped.tolist() == [expected]
        assert mapped.dtype == np.uint8


def test_boolean_labels_and_no_labels_at_all() -> None:
    mapping = {0: "clear", 1: "cloud"}
    assert map_labels(np.array([True, False]), mapping).tolist() == [1, 0]
    assert map_labels(np.zeros((0, 3), np.uint8), mapping).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "mapping", "error", "message"),
    [
        ([7], {0: "clear"}, ReferenceDataError, "the label 7 is in no class"),
        ([0], {0: "fog"}, ConfigurationError, "fog is no class"),
        ([0.0], {0: "clear"}, ReferenceDataError, "labels of type float64"),
    ],
)
def test_labels_that_cannot_be_used(
    labels: list[float], mapping: dict[int, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        map_labels(np.array(labels), mapping)


def test_bad_input_is_refused() -> None:
    with pytest.raises(GridError, match="Give both on one grid"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ReferenceDataError, match="the value 3 is no class"):
        confusion(np.zeros(1, np.uint8), np.array([3], np.uint8))
    with pytest.raises(ReferenceDataError, match="float64 holds no classes"):
        confusion(np.zeros(1, np.uint8), np.zeros(1))
    with pytest.raises(ConfigurationError, match="target='fog'"):
        confusion(REFERENCE, MASK).against_rest("fog")  # type: ignore[arg-type]


def test_a_boolean_mask_is_cloud_or_clear() -> None:
    counts = confusion(np.array([1, 1, 0], np.uint8), np.array([True, False, False])).against_rest("cloud")
    assert counts == BinaryCounts(1, 0, 1, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_a_curve_has_the_counts_of_every_threshold(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    reference = random.choice(np.array([0, 1, 2, 255], np.uint8), size)
    # Hundredths lie on the thresholds themselves, where strictly above matters.
    probability = (random.integers(0, 101, size) / 100).astype(np.float32)
    curve = threshold_curve(reference, probability)
    for index, threshold in enumerate(curve.thresholds):
        expected = confusion(np.where(reference == 2, 0, reference).astype(np.uint8), probability > threshold)
        assert curve.counts(index) == expected.against_rest("cloud")


def test_curves_add_up_and_find_their_best() -> None:
    reference = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    probability = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1], np.float32)
    curve = threshold_curve(reference, probability)
    threshold, counts = curve.best()
    assert threshold == pytest.approx(0.3)
    assert counts == BinaryCounts(3, 0, 0, 3)
    double = curve + curve
    assert double.counts(30) == BinaryCounts(6, 0, 0, 6)
    assert not double.equals(curve)
    assert curve.nearest(0.404) == 40
    valid = np.array([True, True, False, True, True, True])
    assert threshold_curve(reference, probability, valid).positives == 2
    with pytest.raises(GridError):
        threshold_curve(reference, probability[:3])


@given(pairs(), st.booleans())
def test_an_error_map_counts_what_the_confusion_counts(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], shadows: bool
) -> None:
    reference, mask = pair
    codes = error_map(reference, mask, shadows=shadows)
    counts = confusion(reference, mask)
    assert (codes == 0).sum() == (reference == 255).sum()
    assert (codes == UNANSWERED).sum() == counts.unanswered.sum()
    cloud = counts.against_rest("cloud")
    assert (codes == RIGHT_CLOUD).sum() == cloud.true_positive
    if shadows:
        both = counts.against_rest("cloud or shadow")
        assert (codes == RIGHT_SHADOW).sum() == counts.against_rest("shadow").true_positive
        assert (codes == FALSE).sum() == both.false_positive
        assert (codes == MISSED).sum() == both.false_negative
        assert (codes == MIXED_UP).sum() == counts.counts[1, 2] + counts.counts[2, 1]
    else:
        assert (codes == FALSE).sum() == cloud.false_positive
        assert (codes == MISSED).sum() == cloud.false_negative

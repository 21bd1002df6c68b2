"""Intervals by the bootstrap, and how far two masks agree: by hand, against scikit-learn, by what must always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.clouds.evaluation import class_agreement, intervals, median_interval, pair_counts

classes = hnp.arrays(np.uint8, (2, 60), elements=st.sampled_from([0, 1, 2, 255]))


@settings(max_examples=30)
@given(classes)
def test_agreement_is_that_of_scikit_learn(masks: NDArray[np.uint8]) -> None:
    first, second = masks
    both = (first != 255) & (second != 255)
    for target, codes in (("cloud", [1]), ("shadow", [2]), ("cloud or shadow", [1, 2])):
        found = class_agreement(pair_counts(first, second), target)  # type: ignore[arg-type]
        a, b = np.isin(first[both], codes), np.isin(second[both], codes)
        assert found.pixels == both.sum()
        if not both.any():
            assert math.isnan(found.share)
            continue
        assert found.share == (a == b).mean()
        if len({*a.tolist(), *b.tolist()}) == 1:
            assert math.isnan(found.kappa)
        else:
            assert found.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)


def test_counts_of_scenes_add_up_and_shapes_are_checked() -> None:
    first, second = np.array([0, 1, 1, 2, 255], np.uint8), np.array([0, 1, 0, 1, 1], np.uint8)
    counts = pair_counts(first, second) + pair_counts(second, first)
    assert counts.counts.tolist() == [[2, 1, 0], [1, 2, 1], [0, 1, 0]]
    with pytest.raises(GridError, match="cannot be compared"):
        pair_counts(first, second[:3])


def by_hand(values: list[float], groups: list[str], draws: int, seed: int) -> list[float]:
    names = list(dict.fromkeys(groups))
    generator = np.random.default_rng(seed)
    medians = []
    for picked in generator.integers(len(names), size=(draws, len(names))):
        drawn = [
            value for index in picked for value, group in zip(values, groups, strict=True) if group == names[index]
        ]
        defined = [value for value in drawn if not math.isnan(value)]
        medians.append(float(np.median(defined)) if defined else math.nan)
    return medians


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1) | st.just(math.nan), st.sampled_from("abcd")), max_size=12))
def test_an_interval_is_the_middle_of_the_medians_of_whole_groups(frames: list[tuple[float, str]]) -> None:
    values, groups = [value for value, _ in frames], [group for _, group in frames]
    found = median_interval(values, groups, draws=40, level=0.8, seed=3)
    if len({group for value, group in frames if not math.isnan(value)}) < 2:
        assert not found.known
        assert str(found) == "–"
        return
    low, high = np.nanquantile(by_hand(values, groups, 40, 3), [0.1, 0.9])
    assert (found.low, found.high) == pytest.approx((low, high))


def test_groups_make_wider_intervals_than_frames_taken_for_independent() -> None:
    values = [0.5] * 10 + [0.7] * 10 + [0.9] * 10
    scenes = ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    wide, narrow = median_interval(values, scenes), median_interval(values, list(range(30)))
    assert (wide.low, wide.high) == (0.5, 0.9)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_the_memory_of_draws_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = [0.1, 0.4, 0.5, 0.9], ["a", "b", "c", "d"]
    whole = median_interval(values, groups, draws=50)
    monkeypatch.setattr(intervals, "_AT_ONCE", 12)
    assert median_interval(values, groups, draws=50) == whole


@pytest.mark.parametrize(
    "options", [{"groups": ["a"]}, {"level": 0.0}, {"level": 1.0}, {"draws": 0}], ids=lambda value: next(iter(value))
)
def test_what_no_interval_can_be_made_of(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="give a group for each value"):
        median_interval(**{"values": [0.1, 0.2], "groups": ["a", "b"], **options})  # type: ignore[arg-type]

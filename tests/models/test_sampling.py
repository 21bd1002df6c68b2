from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.sampling import patch_generator, sample_pixels

LABELS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def counts(labels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> dict[int, int]:
    return dict(zip(*(each.tolist() for each in np.unique(labels[rows, columns], return_counts=True)), strict=True))


@pytest.fixture
def labels() -> np.ndarray:
    """100 unlabelled, 60 of class 3, 36 of class 8, 4 of class 200."""
    flat = np.repeat(np.array([0, 3, 8, 200], np.uint8), [100, 60, 36, 4])
    return rng(7).permutation(flat).reshape(10, 20)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ({"fraction": 0.25}, {3: 15, 8: 9, 200: 1}),
        ({"fraction": 1.0}, {3: 60, 8: 36, 200: 4}),
        ({"fraction": 0.0}, {}),
        ({"fraction": {3: 0.5, 200: 1}}, {3: 30, 200: 4}),
        ({"fraction": {99: 1.0}}, {}),
        ({"per_class": 10}, {3: 10, 8: 10, 200: 4}),
        ({"per_class": 0}, {}),
        ({"per_class": {8: 7, 99: 5}}, {8: 7}),
        ({"per_class": 5, "exclude": (3,)}, {0: 5, 8: 5, 200: 4}),
    ],
    ids=str,
)
def test_amounts(labels: np.ndarray, amount: dict, expected: dict[int, int]) -> None:
    assert counts(labels, *sample_pixels(labels, **amount, rng=rng())) == expected


@given(LABELS, st.floats(0, 1), st.integers(0, 99))
def test_fraction_draws_distinct_pixels_in_row_major_order(labels: np.ndarray, fraction: float, seed: int) -> None:
    rows, columns = sample_pixels(labels, fraction=fraction, rng=rng(seed))
    flat = rows * labels.shape[1] + columns
    assert (np.diff(flat) > 0).all()
    for label in range(1, 5):
        assert (labels[rows, columns] == label).sum() == round((labels == label).sum() * fraction)


@given(LABELS, st.integers(0, 20), st.integers(0, 20))
def test_a_smaller_sample_is_part_of_a_larger(labels: np.ndarray, one: int, other: int) -> None:
    small, large = (
        set(zip(*sample_pixels(labels, per_class=n, rng=rng(3)), strict=True)) for n in sorted((one, other))
    )
    assert small <= large


@given(LABELS)
def test_the_draw_of_a_class_does_not_depend_on_the_others(labels: np.ndarray) -> None:
    rows, columns = sample_pixels(labels, fraction=0.5, rng=rng(1))
    alone_rows, alone_columns = sample_pixels(labels, fraction={2: 0.5}, rng=rng(1))
    inside = labels[rows, columns] == 2
    np.testing.assert_array_equal(rows[inside], alone_rows)
    np.testing.assert_array_equal(columns[inside], alone_columns)


def test_every_pixel_is_equally_likely() -> None:
    labels = np.ones((4, 5), np.uint8)
    hits = np.zeros(labels.shape)
    for seed in range(2000):
        hits[sample_pixels(labels, fraction=0.25, rng=rng(seed))] += 1
    # binomial(2000, 0.25): standard deviation 19.4
    assert np.abs(hits - 500).max() < 5 * 19.4


def test_patches_draw_differently_and_the_same_again(labels: np.ndarray) -> None:
    first, again, other, seeded = (
        sample_pixels(labels, fraction=0.25, rng=patch_generator(seed, name))[0].tolist()
        for seed, name in [(42, "a"), (42, "a"), (42, "b"), (43, "a")]
    )
    assert first == again
    assert first != other
    assert first != seeded


def test_the_draw_is_pinned() -> None:
    # Values of a seed are part of the interface: a model trained today can be trained again.
    rows, columns = sample_pixels(np.ones((20, 20), np.int16), per_class=4, rng=patch_generator(42, "patch_r00_c00"))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 8), (8, 2), (12, 8), (13, 5)]


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ({}, "either fraction"),
        ({"fraction": 0.5, "per_class": 3}, "either fraction"),
        ({"fraction": 1.01}, "fraction is 1.01"),
        ({"fraction": float("nan")}, "fraction is nan"),
        ({"fraction": {3: -0.1}}, r"fraction\[3\] is -0.1"),
        ({"fraction": {"forest": 0.1}}, "'forest'"),
        ({"per_class": -1}, "per_class is -1"),
        ({"per_class": 2.5}, "per_class is 2.5"),
        ({"per_class": {3: True}}, r"per_class\[3\] is True"),
    ],
    ids=str,
)
def test_refuses_amounts(labels: np.ndarray, amount: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sample_pixels(labels, **amount, rng=rng())


def test_refuses_what_is_no_label_image() -> None:
    with pytest.raises(FeatureError, match="float32"):
        sample_pixels(np.zeros((3, 3), np.float32), fraction=1, rng=rng())
    with pytest.raises(FeatureError, match=r"\(3, 3, 1\)"):
        sample_pixels(np.zeros((3, 3, 1), np.uint8), fraction=1, rng=rng())
    with pytest.raises(ConfigurationError, match="seed is -1"):
        patch_generator(-1, "a")

"""The forest equals LightGBM for models nobody trains: any shape of tree, threshold, and rule for missing values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import Booster

from eotasks.models.forest import Forest
from tests.models.forest.oracle import (
    DEFAULT_LEFT,
    MISSING_NAN,
    MISSING_NONE,
    MISSING_ZERO,
    NUMERICAL,
    ZERO_LIMIT,
    HandTree,
    assert_equal_to_lightgbm,
    edge_rows,
    model_text,
    random_tree,
)

DECISIONS = [rule | side for rule in (MISSING_NONE, MISSING_ZERO, MISSING_NAN) for side in (NUMERICAL, DEFAULT_LEFT)]
EXTREME = [
    0.0, -0.0, 5e-324, -5e-324, 1e-40, -1e-40, ZERO_LIMIT, -ZERO_LIMIT, 1e-35, 1e300, -1e300, 3.5e38, -3.5e38, 1.7e308,
    -1.7e308, np.inf, -np.inf,
]  # fmt: skip
"""LightGBM itself writes infinity where a split only parts NaN from numbers."""

thresholds = st.one_of(
    st.sampled_from(EXTREME), st.floats(-2, 2), st.floats(-2, 2, width=32), st.integers(-3, 3).map(float)
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(thresholds, min_size=1, max_size=12), min_size=1, max_size=5),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.lists(st.sampled_from(DECISIONS), min_size=1, max_size=6),
    st.sampled_from([1, 7, 300]),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)
def test_any_forest(
    choices: list[list[float]], leaves: list[int], decisions: list[int], count: int, dtype: type, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    text = model_text([random_tree(generator, size, choices, decisions) for size in leaves], features=len(choices))
    assert_equal_to_lightgbm(
        Forest.from_text(text), Booster(model_str=text), edge_rows(text, count, seed=seed, dtype=dtype)
    )


@settings(max_examples=15, deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 4), st.sampled_from(["multiclass", "multiclassova"]), st.integers(0, 2**32 - 1)
)
def test_any_number_of_classes(outputs: int, rounds: int, objective: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    choices = [list(generator.normal(size=20)) for _ in range(4)]
    trees = [
        random_tree(generator, int(generator.integers(1, 30)), choices, DECISIONS) for _ in range(rounds * outputs)
    ]
    words = f"{objective} num_class:{outputs}" + (" sigmoid:1.3" if objective == "multiclassova" else "")
    text = model_text(trees, features=4, outputs=outputs, objective=words)
    assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), edge_rows(text, 257, seed=seed))


@pytest.mark.parametrize("distinct", [1, 2, 253, 254, 255, 256, 257, 1000, 65_534, 65_535, 65_536, 70_000])
def test_any_number_of_thresholds(distinct: int) -> None:
    """The numbers around which one or two bytes no longer hold a bin, in a feature beside one with two of them."""
    generator = np.random.default_rng(distinct)
    values = np.sort(generator.normal(size=distinct))
    chunks = np.array_split(generator.permutation(values), max(1, distinct // 500))
    trees = [balanced(list(chunk), generator, feature=number % 2 * 0) for number, chunk in enumerate(chunks)]
    trees.append(HandTree([1, 1], [0.0, 1.0], [0, 0], [-1, -2], [1, -3], [0.25, 0.5, 1.0]))
    text = model_text(trees, features=2)
    rows = edge_rows(text, 2000, seed=distinct)
    assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), rows)


@pytest.mark.parametrize("side", ["left", "right", "zigzag"])
def test_a_tree_as_deep_as_it_has_leaves(side: str) -> None:
    """Nothing here may go by recursion or by a stack of fixed size."""
    depth = 3000
    generator = np.random.default_rng(4)
    lefts = [side == "left" or (side == "zigzag" and node % 2 == 0) for node in range(depth)]
    following = [*range(1, depth), -depth - 1]
    tree = HandTree(
        [node % 3 for node in range(depth)],
        list(generator.normal(size=depth)),
        [int(generator.choice(DECISIONS)) for _ in range(depth)],
        [child if left else -node - 1 for node, (child, left) in enumerate(zip(following, lefts, strict=True))],
        [-node - 1 if left else child for node, (child, left) in enumerate(zip(following, lefts, strict=True))],
        list(generator.normal(size=depth + 1)),
    )
    text = model_text([tree, tree], features=3)
    assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), edge_rows(text, 500, seed=1))


@pytest.mark.parametrize("values", [EXTREME, *([value] for value in EXTREME), [5e-324, 1e-323], [-1.7e308, 1.7e308]])
def test_thresholds_of_any_size(values: list[float]) -> None:
    """Differences that overflow, or that are too small to divide by."""
    generator = np.random.default_rng(8)
    text = model_text([random_tree(generator, 12, [values], DECISIONS) for _ in range(8)], features=1)
    assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), edge_rows(text, 400, seed=1))


def test_one_feature_and_many() -> None:
    generator = np.random.default_rng(9)
    for features in (1, 2, 300):
        choices = [list(generator.normal(size=5)) for _ in range(features)]
        text = model_text([random_tree(generator, 60, choices, DECISIONS) for _ in range(5)], features=features)
        assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), edge_rows(text, 130, seed=1))


def test_a_feature_that_no_tree_asks_for_is_not_looked_at() -> None:
    tree = HandTree([2], [0.5], [MISSING_NAN], [-1], [-2], [1.0, 2.0])
    text = model_text([tree], features=4)
    rows = edge_rows(text, 200, seed=1)
    forest = Forest.from_text(text)
    assert_equal_to_lightgbm(forest, Booster(model_str=text), rows)
    changed = rows.copy()
    changed[:, [0, 1, 3]] = np.nan
    assert np.array_equal(forest.predict(changed), forest.predict(rows))


def test_sums_are_made_in_the_order_of_the_trees() -> None:
    """Values whose sum depends on the order: 1e16, 1, -1e16 add up to 0, and in any other order to 1 or 2."""
    trees = [HandTree([], [], [], [], [], [value]) for value in (1e16, 1.0, -1e16, 1e-20)]
    trees += [HandTree([0], [0.0], [0], [-1], [-2], [value, -value]) for value in (3e15, 0.3, -3e15)]
    for objective in ("binary sigmoid:1", "regression"):
        text = model_text(trees, features=1, objective=objective)
        forest, booster = Forest.from_text(text), Booster(model_str=text)
        assert_equal_to_lightgbm(forest, booster, np.array([[-1.0], [1.0]]))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("objective", ["binary sigmoid:1", "binary sigmoid:0.01", "multiclass num_class:3"])
def test_scores_of_any_size(scale: float, objective: str) -> None:
    """Where the sigmoid or the exponentials reach 0, 1 or overflow."""
    generator = np.random.default_rng(3)
    outputs = 3 if objective.startswith("multiclass") else 1
    trees = [random_tree(generator, 50, [list(generator.normal(size=30))] * 2, DECISIONS) for _ in range(2 * outputs)]
    for tree in trees:
        tree.leaves[:] = [leaf * scale for leaf in tree.leaves]
    text = model_text(trees, features=2, outputs=outputs, objective=objective)
    assert_equal_to_lightgbm(Forest.from_text(text), Booster(model_str=text), edge_rows(text, 1500, seed=5))


def balanced(values: list[float], generator: np.random.Generator, feature: int) -> HandTree:
    """A search tree over all the values: every one of them is a threshold."""
    tree = HandTree([], [], [], [], [], [])

    def add(part: list[float]) -> int:
        if not part:
            tree.leaves.append(float(generator.normal()))
            return -len(tree.leaves)
        node = len(tree.features)
        middle = len(part) // 2
        for field, value in ((tree.features, feature), (tree.decisions, 0), (tree.left, 0), (tree.right, 0)):
            field.append(value)
        tree.thresholds.append(part[middle])
        tree.left[node] = add(part[:middle])
        tree.right[node] = add(part[middle + 1 :])
        return node

    add(sorted(values))
    return tree

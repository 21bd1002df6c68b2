"""What the tests of the forest share: LightGBM as the oracle, rows that hit every edge, and models written by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightgbm import Booster
from numpy.typing import NDArray

from eotasks.models.forest import Forest

Rows = NDArray[Any]
Doubles = NDArray[np.float64]

ZERO_LIMIT = 1.0000000180025095e-35
"""LightGBM's kZeroThreshold (1e-35 as float32): what is not further from zero than this is zero to it."""

SPECIAL = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-35, -1e-35, ZERO_LIMIT, -ZERO_LIMIT, 5e-324, -5e-324, 1e300, -1e300]
)
"""Values that have a rule of their own, or none where one would be due."""

NUMERICAL, DEFAULT_LEFT = 0, 2
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 4, 8
"""Bits of a split's decision_type."""


def ulps(first: NDArray[Any], second: NDArray[Any]) -> int:
    """Largest distance in steps of their float type; infinities have their place at the end, NaN must be shared."""
    assert first.shape == second.shape
    assert first.dtype == second.dtype
    assert np.array_equal(np.isnan(first), np.isnan(second))
    one, other = (_ordered(values[~np.isnan(values)]) for values in (first, second))
    return int((np.maximum(one, other).view(np.uint64) - np.minimum(one, other).view(np.uint64)).max(initial=0))


def _ordered(values: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers in the order of the values, neighbours one apart, both zeros at 0."""
    bits = values.view(f"i{values.itemsize}").astype(np.int64)
    return np.where(bits < 0, np.int64(np.iinfo(f"i{values.itemsize}").min) - bits, bits)


def assert_same_bits(found: Doubles, expected: Doubles) -> None:
    """Bits, so that 0.0 is not -0.0 either."""
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    different = np.flatnonzero((found.view(np.int64) != np.asarray(expected).view(np.int64)).reshape(-1))
    where = different[:5]
    assert not len(different), f"{len(different)} of {found.size}: {found.flat[where]} for {expected.flat[where]}"


def lightgbm_values(booster: Booster, rows: Rows, *, raw_score: bool = False) -> Doubles:
    """What LightGBM says, in one thread."""
    return np.asarray(booster.predict(rows, raw_score=raw_score, num_threads=1))


def assert_equal_to_lightgbm(
    forest: Forest, booster: Booster, rows: Rows, *, threads: Sequence[int] = (1, 3), probability_ulps: int = 1
) -> None:
    """Raw scores to the last bit, results within some steps of float64, whatever the number of threads."""
    before = rows.copy()
    raw, result = lightgbm_values(booster, rows, raw_score=True), lightgbm_values(booster, rows)
    found = [forest.predict(rows, threads=number) for number in threads]
    for number, values in zip(threads, found, strict=True):
        assert_same_bits(forest.predict(rows, raw_score=True, threads=number), raw)
        assert ulps(values, result) <= probability_ulps
        assert_same_bits(values, found[0])
    assert np.array_equal(rows, before, equal_nan=True)


def edge_rows(text: str, count: int, seed: int, *, dtype: type[np.floating[Any]] = np.float64) -> Rows:
    """Rows of thresholds of the model, of their neighbours in both float types, and of special values."""
    thresholds = [
        float(value) for line in re.findall(r"^threshold=(.*)$", text, re.MULTILINE) for value in line.split()
    ]
    features = int(re.findall(r"^max_feature_idx=(\d+)$", text, re.MULTILINE)[0]) + 1
    with np.errstate(over="ignore"):
        single = np.unique(thresholds).astype(np.float32)
        steps = [side for towards in (np.inf, -np.inf) for side in _neighbours(np.unique(thresholds), single, towards)]
        values = np.concatenate([np.unique(thresholds), single.astype(np.float64), *steps, SPECIAL])
        chosen = np.random.default_rng(seed).choice(values, (count, features))
        return np.ascontiguousarray(chosen, dtype=dtype)


def _neighbours(double: Doubles, single: NDArray[np.float32], towards: float) -> tuple[Doubles, Doubles]:
    return np.nextafter(double, towards), np.nextafter(single, np.float32(towards)).astype(np.float64)


@dataclass(frozen=True)
class HandTree:
    """A tree as the text format has it: node k's children are nodes, or leaves as -leaf - 1."""

    features: list[int]
    thresholds: list[float]
    decisions: list[int]
    left: list[int]
    right: list[int]
    leaves: list[float]


def random_tree(
    generator: np.random.Generator, leaves: int, thresholds: Sequence[Sequence[float]], decisions: Sequence[int]
) -> HandTree:
    """A tree of any shape.

    :param leaves: Number of leaves, at least 1.
    :param thresholds: For each feature the thresholds to choose from.
    :param decisions: The decision types to choose from.
    """
    tree = HandTree([], [], [], [], [], list(generator.normal(size=leaves)))
    slots: list[tuple[list[int], int] | None] = [None]  # where the parent of each leaf names it
    for node in range(leaves - 1):
        leaf = int(generator.integers(len(slots)))
        parent = slots[leaf]
        if parent is not None:
            parent[0][parent[1]] = node
        feature = int(generator.integers(len(thresholds)))
        tree.features.append(feature)
        tree.thresholds.append(float(generator.choice(thresholds[feature])))
        tree.decisions.append(int(generator.choice(decisions)))
        tree.left.append(-leaf - 1)
        tree.right.append(-len(slots) - 1)
        slots[leaf] = (tree.left, node)
        slots.append((tree.right, node))
    return tree


def model_text(
    trees: Sequence[HandTree], *, features: int, outputs: int = 1, objective: str = "binary sigmoid:1"
) -> str:
    """The trees in LightGBM's text format, version 4; tree i adds to output i modulo ``outputs``."""
    blocks = [f"Tree={number}\n{_tree_text(tree)}\n\n" for number, tree in enumerate(trees)]
    head = [
        "tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}", "label_index=0",
        f"max_feature_idx={features - 1}", f"objective={objective}",
        "feature_names=" + " ".join(f"band_{number}" for number in range(features)),
        "feature_infos=" + " ".join(["[-1e300:1e300]"] * features),
        "tree_sizes=" + " ".join(str(len(block)) for block in blocks),
    ]  # fmt: skip
    return "\n".join(head) + "\n\n" + "".join(blocks) + "end of trees\n\nparameters:\nend of parameters\n"


def _tree_text(tree: HandTree) -> str:
    splits = len(tree.features)
    fields: dict[str, Sequence[float]] = {
        "num_leaves": [splits + 1],
        "num_cat": [0],
        "split_feature": tree.features,
        "split_gain": [1] * splits,
        "threshold": tree.thresholds,
        "decision_type": tree.decisions,
        "left_child": tree.left,
        "right_child": tree.right,
        "leaf_value": tree.leaves,
        "leaf_weight": [1] * (splits + 1),
        "leaf_count": [1] * (splits + 1),
        "internal_value": [0] * splits,
        "internal_weight": [1] * splits,
        "internal_count": [1] * splits,
        "is_linear": [0],
        "shrinkage": [1],
    }
    if not splits:
        fields = {name: fields[name] for name in ("num_leaves", "num_cat", "leaf_value", "is_linear", "shrinkage")}
    return "".join(f"{name}={' '.join(map(_number, values))}\n" for name, values in fields.items())


def _number(value: float) -> str:
    return format(value, ".17g")

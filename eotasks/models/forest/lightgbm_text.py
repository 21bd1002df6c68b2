"""Reading LightGBM's text of a model: version 2 to 4 of the format, numerical splits.

Source: LightGBM's ``src/io/gbdt_model_text.cpp`` and ``tree.cpp`` (names of the lines, bits of ``decision_type``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ModelError, UnsupportedModelError

Transform = Literal["identity", "sigmoid", "softmax"]

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
"""What counts as missing at a split: nothing (NaN acts as 0), zero and NaN, or NaN."""

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_PLAIN_OBJECTIVES = frozenset({"regression", "regression_l1", "huber", "fair", "quantile", "mape", "custom"})
_VERSIONS = ("v2", "v3", "v4")
_SAVE_AGAIN = "Save the model again with LightGBM, or copy the file again."


@dataclass(frozen=True)
class Splits:
    """The trees of a model: their inner nodes one tree after another, and their leaves likewise.

    Children are numbers within the tree: an inner node from 0, a leaf as -1 for the first one, -2 for the second.
    """

    tree_nodes: NDArray[np.int64]
    """(trees,) inner nodes of a tree."""

    tree_leaves: NDArray[np.int64]
    """(trees,) leaves of a tree."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing: NDArray[np.int64]
    """(nodes,) MISSING_NONE, MISSING_ZERO or MISSING_NAN."""

    default_left: NDArray[np.bool_]
    """(nodes,) a missing value goes to the left."""

    leaf_value: NDArray[np.float64]


@dataclass(frozen=True)
class LightGBMModel:
    """What the text of a model says, as far as predictions depend on it."""

    feature_names: tuple[str, ...]
    n_outputs: int
    transform: Transform
    sigmoid: float
    """Factor inside the logistic function, where ``transform`` is "sigmoid"."""

    splits: Splits


def parse_model(text: str, *, where: str = "the model") -> LightGBMModel:
    """Read a model's text.

    :param text: What ``Booster.save_model`` writes.
    :param where: What the text is, for messages.
    :raises UnsupportedModelError: categorical splits, linear trees, averaged forests, an unknown objective: the message
        names it.
    :raises ModelError: the text is no model, or is damaged.
    """
    head, *trees = re.split(r"^Tree=\d+\s*$", text.partition("\nend of trees")[0], flags=re.MULTILINE)
    if not text.startswith("tree") or "\nend of trees" not in text:
        raise ModelError(f"{where} is no complete LightGBM model text (tree … end of trees). {_SAVE_AGAIN}")
    header = _lines(head)
    if header.get("version", "v4") not in _VERSIONS:
        raise UnsupportedModelError(f"{where}: version {header['version']} of the model's text.")
    if re.search(r"^average_output\s*$", head, re.MULTILINE):
        raise UnsupportedModelError(f"{where}: an averaged forest (boosting=rf).")
    try:
        outputs = int(header.get("num_tree_per_iteration", header["num_class"]))
        names = tuple(header["feature_names"].split(" "))  # nothing else separates: a name may hold any other space
        features = int(header["max_feature_idx"]) + 1
        transform, sigmoid = _transform(header.get("objective", "custom"), where)
        splits = _splits([_lines(tree) for tree in trees], where)
    except UnsupportedModelError:
        raise
    except (KeyError, ValueError, OverflowError) as error:
        raise ModelError(f"{where} is damaged: {error}. {_SAVE_AGAIN}") from error
    if len(names) != features or outputs < 1 or not trees or len(trees) % outputs:
        raise ModelError(f"{where} is damaged: its header does not fit its {len(trees)} trees. {_SAVE_AGAIN}")
    if ((splits.feature < 0) | (splits.feature >= features)).any():
        raise ModelError(f"{where} is damaged: a split on a feature that is not there. {_SAVE_AGAIN}")
    return LightGBMModel(names, outputs, transform, sigmoid, splits)


def _lines(block: str) -> dict[str, str]:
    return {key: value for key, mark, value in (line.rstrip("\r").partition("=") for line in block.split("\n")) if mark}


def _transform(objective: str, where: str) -> tuple[Transform, float]:
    name, *options = objective.split()
    values = dict(option.split(":", 1) for option in options if ":" in option)
    if name in ("binary", "multiclassova"):
        return "sigmoid", float(values.get("sigmoid", 1))
    if name == "cross_entropy":
        return "sigmoid", 1.0
    if name == "multiclass":
        return "softmax", 1.0
    if name in _PLAIN_OBJECTIVES and "sqrt" not in options:
        return "identity", 1.0
    raise UnsupportedModelError(f"{where}: objective {objective!r}.")


def _splits(trees: list[dict[str, str]], where: str) -> Splits:
    if any(int(tree["num_cat"]) for tree in trees):
        raise UnsupportedModelError(f"{where}: categorical splits.")
    if any(int(tree.get("is_linear", 0)) for tree in trees):
        raise UnsupportedModelError(f"{where}: linear trees.")
    leaves = np.array([int(tree["num_leaves"]) for tree in trees], np.int64)
    nodes = np.maximum(leaves - 1, 0)

    def inner(key: str, dtype: type[Any]) -> NDArray[Any]:
        return _column(trees, key, nodes, dtype)

    decision = inner("decision_type", np.int64)
    if ((decision >> _MISSING_SHIFT) & 3 > MISSING_NAN).any():
        raise ValueError("a decision_type that LightGBM does not write")
    if (decision & _CATEGORICAL).any():
        raise UnsupportedModelError(f"{where}: categorical splits.")
    return Splits(
        tree_nodes=nodes,
        tree_leaves=leaves,
        feature=inner("split_feature", np.int64),
        threshold=inner("threshold", np.float64),
        left=inner("left_child", np.int64),
        right=inner("right_child", np.int64),
        missing=(decision >> _MISSING_SHIFT) & 3,
        default_left=(decision & _DEFAULT_LEFT) != 0,
        leaf_value=_column(trees, "leaf_value", leaves, np.float64),
    )


def _column(trees: list[dict[str, str]], key: str, counts: NDArray[np.int64], dtype: type[Any]) -> NDArray[Any]:
    """One line of every tree, joined; a tree of a single leaf has no inner nodes, and its lines are empty."""
    parts = [
        _numbers(tree, key, dtype) if count else np.empty(0, dtype) for tree, count in zip(trees, counts, strict=True)
    ]
    for index, (part, count) in enumerate(zip(parts, counts, strict=True)):
        if len(part) != count:
            raise ValueError(f"tree {index} has {len(part)} values of {key} where {count} are due")
    return np.concatenate(parts)


def _numbers(tree: Mapping[str, str], key: str, dtype: type[Any]) -> NDArray[Any]:
    return np.array(tree[key].split(), dtype=dtype)

"""Reading LightGBM's text of a model: version 2 to 4 of the format.

All that predictions depend on is read and checked, also of models that the engine does not run: LightGBM's own reader
trusts the text, and a changed digit ends the process or reads foreign memory.

Source: LightGBM's ``src/io/gbdt_model_text.cpp`` and ``tree.cpp`` (names of the lines, bits of ``decision_type``).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ModelError

Transform = Literal["identity", "sigmoid", "softmax"]

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
"""What counts as missing at a split: nothing (NaN acts as 0), zero and NaN, or NaN."""

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_PLAIN_OBJECTIVES = frozenset({"regression", "regression_l1", "huber", "fair", "quantile", "mape", "custom"})
_OTHER_OBJECTIVES = frozenset({"poisson", "gamma", "tweedie", "cross_entropy_lambda", "lambdarank", "rank_xendcg"})
"""Those that LightGBM writes and the engine does not run."""

_VERSIONS = ("v2", "v3", "v4")
_AVERAGED = re.compile(r"^average_output\s*$", re.MULTILINE)
_WORD = 0xFFFFFFFF
_REASON = 120
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

    categorical: NDArray[np.bool_]
    """(nodes,) the threshold is no limit but the number of a set of categories."""

    leaf_value: NDArray[np.float64]


@dataclass(frozen=True)
class Categories:
    """The sets of categories of a tree: set k is the bits of ``words[bounds[k]:bounds[k + 1]]``."""

    bounds: NDArray[np.int64]
    words: NDArray[np.int64]
    """Of 32 bits each."""


@dataclass(frozen=True)
class LinearLeaves:
    """The linear models in the leaves of a tree; terms of all leaves one after another."""

    constant: NDArray[np.float64]
    """(leaves,)"""

    terms: NDArray[np.int64]
    """(leaves,) terms of a leaf."""

    feature: NDArray[np.int64]
    """(terms,)"""

    coefficient: NDArray[np.float64]
    """(terms,)"""


@dataclass(frozen=True)
class LightGBMModel:
    """What the text of a model says, as far as predictions depend on it. Every number is one that can be."""

    feature_names: tuple[str, ...]
    n_outputs: int
    objective: str
    """As the text has it, with the options that predictions depend on."""

    transform: Transform
    """Of a model that the engine runs."""

    sigmoid: float
    """Factor inside the logistic function, where ``transform`` is "sigmoid"."""

    averaged: bool
    """Outputs are means over the trees (boosting=rf)."""

    splits: Splits
    categories: tuple[Categories | None, ...]
    """Of each tree; None where it has no such split."""

    linear_leaves: tuple[LinearLeaves | None, ...]
    """Of each tree; None where its leaves are plain values."""

    unsupported: str | None
    """What of it the engine cannot run."""


def parse_model(text: str, *, where: str = "the model") -> LightGBMModel:
    """Read a model's text.

    :param text: What ``Booster.save_model`` writes.
    :param where: What the text is, for messages.
    :raises ModelError: the text is no model, or is damaged.
    """
    with _damage(where):
        head, trees = _parts(text)
        return _model(_lines(head), trees, averaged=bool(_AVERAGED.search(head)))


def gains(text: str, *, where: str = "the model") -> NDArray[np.float64]:
    """Gain of each feature summed over all trees, as ``Booster.feature_importance(importance_type="gain")``.

    :return: (features,)
    :raises ModelError: the text is no model, or is damaged.
    """
    with _damage(where):
        head, trees = _parts(text)
        model = _model(_lines(head), trees, averaged=False)
        gain = _column(trees, "split_gain", model.splits.tree_nodes, np.float32)
        total = np.bincount(model.splits.feature, np.where(gain > 0, gain, 0), len(model.feature_names))
        return total.astype(np.float64)


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """Turns what a damaged text makes of its reading into an error that names it."""
    try:
        yield
    except (KeyError, ValueError, OverflowError) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)[:_REASON]
        raise ModelError(f"{where} is no LightGBM model text, or is damaged: {reason}. {_SAVE_AGAIN}") from error


def _parts(text: str) -> tuple[str, list[dict[str, str]]]:
    """The lines before the trees, and those of each tree."""
    whole, mark, _ = text.partition("\nend of trees")
    if not text.startswith("tree") or not mark:
        raise ValueError("it does not go from 'tree' to 'end of trees'")
    head, *trees = re.split(r"^Tree=\d+\s*$", whole, flags=re.MULTILINE)
    return head, [_lines(tree) for tree in trees]


def _lines(block: str) -> dict[str, str]:
    return {key: value for key, mark, value in (line.rstrip("\r").partition("=") for line in block.split("\n")) if mark}


def _model(header: Mapping[str, str], trees: list[dict[str, str]], *, averaged: bool) -> LightGBMModel:
    outputs = int(header.get("num_tree_per_iteration", header["num_class"]))
    names = tuple(header["feature_names"].split(" "))  # nothing else separates: a name may hold any other space
    if len(names) != int(header["max_feature_idx"]) + 1 or outputs < 1 or not trees or len(trees) % outputs:
        raise ValueError(f"its header does not fit its {len(trees)} trees")
    objective, transform, sigmoid = _objective(header.get("objective", "custom"), outputs)
    splits = _splits(trees)
    categories = tuple(map(_categories, trees))
    linear_leaves = tuple(_linear_leaves(tree, int(n)) for tree, n in zip(trees, splits.tree_leaves, strict=True))
    features = [splits.feature, *(each.feature for each in linear_leaves if each is not None)]
    if any(((each < 0) | (each >= len(names))).any() for each in features):
        raise ValueError("a split on a feature that is not there")
    if splits.categorical.any():
        _check_sets(splits, categories)
    version = header.get("version", "v4")
    reasons = {
        f"version {version[:20]!r} of the model's text": version not in _VERSIONS,
        "an averaged forest (boosting=rf)": averaged,
        f"objective {header.get('objective', '')!r}": transform is None,
        "categorical splits": any(each is not None for each in categories),
        "linear trees": any(each is not None for each in linear_leaves),
    }
    return LightGBMModel(
        feature_names=names,
        n_outputs=outputs,
        objective=objective,
        transform=transform or "identity",
        sigmoid=sigmoid,
        averaged=averaged,
        splits=splits,
        categories=categories,
        linear_leaves=linear_leaves,
        unsupported=next((reason for reason, holds in reasons.items() if holds), None),
    )


def _objective(text: str, outputs: int) -> tuple[str, Transform | None, float]:
    """The objective with the options that count, what it makes of sums, None where only LightGBM knows it, and the
    factor of a logistic function.
    """
    name, *options = text.split() or [""]
    values = dict(option.split(":", 1) for option in options if ":" in option)
    if int(values.get("num_class", outputs)) != outputs:
        raise ValueError(f"objective {text[:80]!r} for {outputs} outputs")
    if name in ("binary", "multiclassova"):
        sigmoid = float(values.get("sigmoid", 1))
        if not 0 < sigmoid < np.inf:
            raise ValueError(f"a sigmoid of {sigmoid}")
        classes = f" num_class:{outputs}" if name == "multiclassova" else ""
        return f"{name}{classes} sigmoid:{sigmoid!r}", "sigmoid", sigmoid
    if name == "cross_entropy":
        return name, "sigmoid", 1.0
    if name == "multiclass":
        return f"{name} num_class:{outputs}", "softmax", 1.0
    if name in _PLAIN_OBJECTIVES:
        return (f"{name} sqrt", None, 1.0) if "sqrt" in options else (name, "identity", 1.0)
    if name in _OTHER_OBJECTIVES:
        return name, None, 1.0
    raise ValueError(f"objective {text[:80]!r} is none of LightGBM's")


def _splits(trees: list[dict[str, str]]) -> Splits:
    leaves = np.array([int(tree["num_leaves"]) for tree in trees], np.int64)
    nodes = np.maximum(leaves - 1, 0)

    def inner(key: str, dtype: type[Any]) -> NDArray[Any]:
        return _column(trees, key, nodes, dtype)

    decision = inner("decision_type", np.int64)
    if ((decision >> _MISSING_SHIFT) & 3 > MISSING_NAN).any():
        raise ValueError("a decision_type that LightGBM does not write")
    return Splits(
        tree_nodes=nodes,
        tree_leaves=leaves,
        feature=inner("split_feature", np.int64),
        threshold=inner("threshold", np.float64),
        left=inner("left_child", np.int64),
        right=inner("right_child", np.int64),
        missing=(decision >> _MISSING_SHIFT) & 3,
        default_left=(decision & _DEFAULT_LEFT) != 0,
        categorical=(decision & _CATEGORICAL) != 0,
        leaf_value=_column(trees, "leaf_value", leaves, np.float64),
    )


def _categories(tree: Mapping[str, str]) -> Categories | None:
    sets = int(tree["num_cat"])
    if not sets:
        return None
    bounds, words = _numbers(tree, "cat_boundaries", np.int64), _numbers(tree, "cat_threshold", np.int64)
    sound = len(bounds) == sets + 1 and bounds[0] == 0 and bounds[-1] == len(words) and (np.diff(bounds) >= 0).all()
    if not sound or (words < 0).any() or (words > _WORD).any():
        raise ValueError("sets of categories that do not fit together")
    return Categories(bounds, words)


def _check_sets(splits: Splits, categories: tuple[Categories | None, ...]) -> None:
    """Refuse a categorical split on a set that its tree does not have."""
    sets = np.repeat([0 if each is None else len(each.bounds) - 1 for each in categories], splits.tree_nodes)
    chosen, sets = splits.threshold[splits.categorical], sets[splits.categorical]
    if not ((chosen >= 0) & (chosen < sets) & (chosen == np.floor(chosen))).all():
        raise ValueError("a categorical split on a set that is not there")


def _linear_leaves(tree: Mapping[str, str], leaves: int) -> LinearLeaves | None:
    if not int(tree.get("is_linear", 0)):
        return None
    found = LinearLeaves(
        constant=_numbers(tree, "leaf_const", np.float64),
        terms=_numbers(tree, "num_features", np.int64),
        feature=_numbers(tree, "leaf_features", np.int64),
        coefficient=_numbers(tree, "leaf_coeff", np.float64),
    )
    sound = len(found.constant) == len(found.terms) == leaves and (found.terms >= 0).all()
    if not sound or not sum(map(int, found.terms)) == len(found.feature) == len(found.coefficient):
        raise ValueError("linear leaves that do not fit together")
    return found


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

"""A model that the engine does not support, run by LightGBM.

LightGBM reads a text without checking it, so it never gets one of others: the text here is written anew, of the
checked fields that predictions depend on and of nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ModelError, reason_of
from eotasks.models.forest.layout import nodes_in_preorder
from eotasks.models.forest.lightgbm_text import Categories, LightGBMModel, LinearLeaves


class ModelOfLightGBM:
    """A model for LightGBM to run: of the text of ours that it gets, the names of its features and its outputs.

    Safe to call from several threads; pickled as what it is made of, all of it our own.
    """

    def __init__(self, text: str, feature_names: tuple[str, ...], n_outputs: int) -> None:
        self.feature_names = feature_names
        self.n_outputs = n_outputs
        self._text = text
        self._booster: Any = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ModelOfLightGBM], tuple[Any, ...]]:
        return type(self), (self._text, self.feature_names, self.n_outputs)

    def predict(self, rows: NDArray[Any], *, raw_score: bool, threads: int) -> NDArray[np.float64]:
        """As ``lightgbm.Booster.predict``.

        :param rows: (n, features).
        """
        return np.asarray(self.booster().predict(rows, raw_score=raw_score, num_threads=threads), np.float64)

    def booster(self) -> Any:
        """LightGBM's own object, made at the first call.

        :raises ModelError: when LightGBM refuses the model.
        """
        with self._lock:
            if self._booster is None:
                from lightgbm import Booster  # here: only a model that the engine does not support needs it
                from lightgbm.basic import LightGBMError

                try:
                    self._booster = Booster(model_str=self._text)
                except LightGBMError as error:
                    raise ModelError(
                        f"the model's text is damaged ({reason_of(error)}). Save the model again."
                    ) from error
            return self._booster


def model_of_lightgbm(model: LightGBMModel, *, where: str = "the model") -> ModelOfLightGBM:
    """A model as LightGBM can be given it.

    :raises ModelError: its nodes make no trees.
    """
    nodes_in_preorder(model.splits, where=where)
    return ModelOfLightGBM(_text_of(model), model.feature_names, model.n_outputs)


def _text_of(model: LightGBMModel) -> str:
    trees = [f"Tree={number}\n{''.join(lines)}\n\n" for number, lines in enumerate(_trees_of(model))]
    features = len(model.feature_names)
    head = [
        "tree", "version=v4", f"num_class={model.n_outputs}", f"num_tree_per_iteration={model.n_outputs}",
        "label_index=0", f"max_feature_idx={features - 1}",
        *([] if model.objective == "custom" else [f"objective={model.objective}"]),
        *(["average_output"] if model.averaged else []),
        _line("feature_names", (f"f{feature}" for feature in range(features))),
        _line("feature_infos", ["none"] * features),
        _line("tree_sizes", (len(tree) for tree in trees)),
    ]  # fmt: skip
    text = "\n".join(line.rstrip("\n") for line in head)
    return f"{text}\n\n{''.join(trees)}end of trees\n\nparameters:\nend of parameters\n"


def _trees_of(model: LightGBMModel) -> Iterator[list[str]]:
    splits = model.splits
    decision = splits.missing << 2 | splits.default_left.astype(np.int64) << 1 | splits.categorical
    nodes, leaves = np.cumsum([0, *splits.tree_nodes]), np.cumsum([0, *splits.tree_leaves])
    for tree, (sets, linear) in enumerate(zip(model.categories, model.linear_leaves, strict=True)):
        inner, outer = slice(nodes[tree], nodes[tree + 1]), slice(leaves[tree], leaves[tree + 1])
        yield [
            f"num_leaves={splits.tree_leaves[tree]}\n",
            f"num_cat={0 if sets is None else len(sets.bounds) - 1}\n",
            _line("split_feature", splits.feature[inner].tolist()),
            _line("threshold", splits.threshold[inner].tolist()),
            _line("decision_type", decision[inner].tolist()),
            _line("left_child", splits.left[inner].tolist()),
            _line("right_child", splits.right[inner].tolist()),
            _line("leaf_value", splits.leaf_value[outer].tolist()),
            *_lines_of_sets(sets),
            *_lines_of_leaves(linear),
        ]


def _lines_of_sets(sets: Categories | None) -> list[str]:
    if sets is None:
        return []
    return [_line("cat_boundaries", sets.bounds.tolist()), _line("cat_threshold", sets.words.tolist())]


def _lines_of_leaves(linear: LinearLeaves | None) -> list[str]:
    if linear is None:
        return ["is_linear=0\n"]
    return [
        "is_linear=1\n",
        _line("leaf_const", linear.constant.tolist()),
        _line("num_features", linear.terms.tolist()),
        _line("leaf_features", linear.feature.tolist()),
        _line("leaf_coeff", linear.coefficient.tolist()),
    ]


def _line(key: str, values: Iterable[object]) -> str:
    """Numbers as Python writes them, which reads back as the same ones."""
    return f"{key}={' '.join(map(str, values))}\n"

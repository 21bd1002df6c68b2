"""The engine's own form of an ensemble: features as bins of one byte, trees in preorder.

LightGBM bins its features, so a feature has few distinct thresholds, and a value is fully described, for the trees, by
its bin: the number of thresholds below it. ``x <= threshold[k]`` is then ``bin <= k``. One column of bins stands for up
to 255 thresholds of a feature under one rule for missing values; a feature that has more thresholds, or whose missing
values go left at some nodes and right at others, gets several columns. So every split of every model, missing values
included, is one comparison of bytes.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.errors import ModelError, UnsupportedModelError, reason_of
from eotasks.models.forest.kernels import preorder, right_children
from eotasks.models.forest.lightgbm_text import MISSING_NONE, MISSING_ZERO, LightGBMModel, Splits

LEAF = 0xFFFF
"""In place of a column number: the node is a leaf."""

BINS = 256
ZERO = float(np.float32(1e-35))
"""LightGBM reads values this close to zero as zero (kZeroThreshold)."""

_MAGIC = b"eotasks forest 1\n"
_GOES_LEFT, _GOES_RIGHT = 0, 255


@dataclass(frozen=True)
class Columns:
    """What turns a row of features into a row of bins."""

    feature: NDArray[np.int32]
    """(columns,) the feature a column is made of."""

    first: NDArray[np.int64]
    """(columns + 1,) where a column's thresholds start."""

    threshold: NDArray[np.float64]
    """Thresholds of all columns, ascending within a column."""

    nan_bin: NDArray[np.uint8]
    """(columns,) the bin of NaN."""

    zero_bin: NDArray[np.int16]
    """(columns,) the bin of values that LightGBM reads as zero; -1 where zero is like any other value."""

    def __len__(self) -> int:
        return len(self.feature)


@dataclass(frozen=True)
class Layout:
    """An ensemble ready for the kernels, and all that is stored of one."""

    feature_names: tuple[str, ...]
    n_outputs: int
    transform: str
    sigmoid: float
    columns: Columns
    node_column: NDArray[np.uint16]
    """(nodes,) column of a split, LEAF for a leaf; trees one after another, each in preorder: left child next."""

    node_bin: NDArray[np.uint8]
    """(nodes,) a value goes to the left when its bin is not above this one."""

    leaf_value: NDArray[np.float64]
    """Values of the leaves in the order of the nodes."""

    nodes: NDArray[np.uint64] = field(init=False, repr=False)
    """(nodes,) packed: bin (8 bits), column (16), right child or, for a leaf, its number (40)."""

    roots: NDArray[np.int64] = field(init=False, repr=False)
    """(trees,) first node of a tree."""

    weight: NDArray[np.int32] = field(init=False, repr=False)
    """(columns, 256) number of splits of a column below a bin: how much of the forest a range of bins spans."""

    deepest: int = field(init=False, repr=False)
    """Splits above the deepest leaf."""

    def __post_init__(self) -> None:
        is_leaf = self.node_column == LEAF
        inner = self.node_column[~is_leaf]
        sound = len(self.node_bin) == len(self.node_column) and is_leaf.sum() == len(self.leaf_value)
        sound = sound and (inner.size == 0 or int(inner.max()) < len(self.columns))
        target, roots, deepest = (
            right_children(is_leaf) if sound else (np.empty(0, np.int64), np.empty(0, np.int64), -1)
        )
        if deepest < 0 or len(roots) == 0 or len(roots) % self.n_outputs:
            raise ModelError("the nodes of a stored forest make no trees: the file is damaged. Copy it again.")
        packed = (target.astype(np.uint64) << np.uint64(24)) | (self.node_column.astype(np.uint64) << np.uint64(8))
        counts = np.zeros((len(self.columns), BINS + 1), np.int32)
        np.add.at(counts, (inner.astype(np.intp), self.node_bin[~is_leaf].astype(np.intp) + 1), 1)
        for name, value in (
            ("nodes", packed | self.node_bin.astype(np.uint64)),
            ("roots", roots),
            ("weight", np.cumsum(counts, axis=1, dtype=np.int32)[:, :BINS].copy()),
            ("deepest", deepest),
        ):
            object.__setattr__(self, name, value)

    @property
    def n_features(self) -> int:
        """Features of a row."""
        return len(self.feature_names)


def layout_of(model: LightGBMModel, *, where: str = "the model") -> Layout:
    """Lay a model out for the kernels.

    :param model: As its text says.
    :param where: What it is, for messages.
    :raises UnsupportedModelError: categorical splits, linear trees, averaged forests, an unknown objective, NaN among
        the thresholds, or more columns of bins than 65,534: the message names it.
    :raises ModelError: its nodes make no trees.
    """
    splits = model.splits
    if model.unsupported is not None:
        raise UnsupportedModelError(f"{where}: {model.unsupported}.")
    if np.isnan(splits.threshold).any():
        raise UnsupportedModelError(f"{where}: NaN as a threshold.")
    columns, node_column, node_bin = _columns_of(splits)
    if len(columns) >= LEAF:
        raise UnsupportedModelError(f"{where}: {len(columns)} columns of bins.")
    order, leaves = nodes_in_preorder(splits, where=where)
    is_leaf = order < 0
    inner = np.where(is_leaf, 0, order)
    all_leaves = len(splits.left) == 0
    return Layout(
        feature_names=model.feature_names,
        n_outputs=model.n_outputs,
        transform=model.transform,
        sigmoid=model.sigmoid,
        columns=columns,
        node_column=np.where(is_leaf, LEAF, 0 if all_leaves else node_column[inner]).astype(np.uint16),
        node_bin=np.where(is_leaf, 0, 0 if all_leaves else node_bin[inner]).astype(np.uint8),
        leaf_value=splits.leaf_value[leaves],
    )


def nodes_in_preorder(splits: Splits, *, where: str = "the model") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of all trees, each reached once from its root: as :func:`eotasks.models.forest.kernels.preorder`.

    :raises ModelError: a child is not there, or is reached twice or never.
    """
    order, leaves = preorder(splits.tree_nodes, splits.tree_leaves, splits.left, splits.right)
    if len(order) != len(splits.left) + len(splits.leaf_value):
        raise ModelError(f"{where} is damaged: the nodes of a tree do not hang together. Copy it again.")
    return order, leaves


def _columns_of(splits: Splits) -> tuple[Columns, NDArray[np.int64], NDArray[np.int64]]:
    """The columns, and for every split its column and its bin there."""
    side = np.where(splits.missing == MISSING_NONE, 0, splits.default_left)
    key = (splits.feature * 3 + splits.missing) * 2 + side
    node_column, node_bin = np.zeros(len(key), np.int64), np.zeros(len(key), np.int64)
    features: list[int] = []
    tables: list[NDArray[np.float64]] = []
    nan_bins: list[int] = []
    zero_bins: list[int] = []
    for value in np.unique(key):
        at = np.flatnonzero(key == value)
        missing, goes_left = int(value) // 2 % 3, bool(value % 2)
        distinct, position = np.unique(splits.threshold[at], return_inverse=True)
        position = position.reshape(-1)
        node_column[at] = len(features) + position // (BINS - 1)
        node_bin[at] = position % (BINS - 1)
        for start in range(0, len(distinct), BINS - 1):
            table = distinct[start : start + BINS - 1]
            features.append(int(value) // 6)
            tables.append(table)
            nan_bins.append(_nan_bin(table, missing, goes_left))
            zero_bins.append(_zero_bin(table, missing, goes_left))
    return (
        Columns(
            feature=np.array(features, np.int32),
            first=np.concatenate([[0], np.cumsum([len(table) for table in tables])]).astype(np.int64),
            threshold=np.concatenate([*tables, np.empty(0)]),
            nan_bin=np.array(nan_bins, np.uint8),
            zero_bin=np.array(zero_bins, np.int16),
        ),
        node_column,
        node_bin,
    )


def _nan_bin(table: NDArray[np.float64], missing: int, goes_left: bool) -> int:
    if missing == MISSING_NONE:
        return int(np.searchsorted(table, 0.0))
    return _GOES_LEFT if goes_left else _GOES_RIGHT


def _zero_bin(table: NDArray[np.float64], missing: int, goes_left: bool) -> int:
    if missing == MISSING_ZERO:
        return _GOES_LEFT if goes_left else _GOES_RIGHT
    near = (table >= -ZERO) & (table < ZERO)
    return int(np.searchsorted(table, 0.0)) if near.any() else -1


_STORED_COLUMNS = tuple(item.name for item in fields(Columns))
_STORED_NODES = ("node_column", "node_bin", "leaf_value")
_DTYPES = {
    "feature": "<i4", "first": "<i8", "threshold": "<f8", "nan_bin": "|u1", "zero_bin": "<i2",
    "node_column": "<u2", "node_bin": "|u1", "leaf_value": "<f8",
}  # fmt: skip


def to_bytes(layout: Layout) -> bytes:
    """The engine's own form as bytes, the same on every machine: a line of JSON, then the arrays, little-endian."""
    arrays = {name: getattr(layout.columns, name) for name in _STORED_COLUMNS}
    arrays |= {name: getattr(layout, name) for name in _STORED_NODES}
    head = {
        "feature_names": layout.feature_names,
        "n_outputs": layout.n_outputs,
        "transform": layout.transform,
        "sigmoid": layout.sigmoid,
        "lengths": {name: len(array) for name, array in arrays.items()},
    }
    parts = [np.ascontiguousarray(array, dtype=_DTYPES[name]).tobytes() for name, array in arrays.items()]
    return b"".join([_MAGIC, json.dumps(head, sort_keys=True).encode(), b"\n", *parts])


def from_bytes(content: bytes, *, where: str = "the stored forest") -> Layout:
    """The forest that :func:`to_bytes` stored.

    :raises ModelError: it is none, or is damaged.
    """
    try:
        if not content.startswith(_MAGIC):
            raise ValueError("it does not start as one")
        line, _, body = content[len(_MAGIC) :].partition(b"\n")
        head = parse_json_object(line, ModelError)
        arrays = _arrays(head["lengths"], body)
        columns = Columns(**{name: arrays[name] for name in _STORED_COLUMNS})
        _check(head, columns)
        return Layout(
            feature_names=tuple(map(str, head["feature_names"])),
            n_outputs=int(head["n_outputs"]),
            transform=str(head["transform"]),
            sigmoid=float(head["sigmoid"]),
            columns=columns,
            **{name: arrays[name] for name in _STORED_NODES},
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(
            f"{where} is no forest of this version, or is damaged ({reason_of(error)}). Make it again."
        ) from error


def _arrays(lengths: dict[str, Any], body: bytes) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for name, dtype in _DTYPES.items():
        stop = start + int(lengths[name]) * np.dtype(dtype).itemsize
        if not start <= stop <= len(body):
            raise ValueError("it is cut off")
        arrays[name] = np.frombuffer(body[start:stop], dtype).astype(np.dtype(dtype).newbyteorder("="))
        start = stop
    if start != len(body):
        raise ValueError("it is longer than it says")
    return arrays


def _check(head: dict[str, Any], columns: Columns) -> None:
    """Refuse what would send a kernel out of its arrays."""
    count = len(columns.feature)
    lengths = np.diff(columns.first)
    sound = (
        len(columns.first) == count + 1
        and len(columns.nan_bin) == len(columns.zero_bin) == count
        and columns.first[0] == 0
        and columns.first[-1] == len(columns.threshold)
        and bool(((lengths > 0) & (lengths < BINS)).all())
        and (count == 0 or (columns.feature.min() >= 0 and columns.feature.max() < len(head["feature_names"])))
        and not np.isnan(columns.threshold).any()
        and bool((columns.zero_bin < BINS).all())
        and head["transform"] in ("identity", "sigmoid", "softmax")
        and int(head["n_outputs"]) > 0
        and math.isfinite(float(head["sigmoid"]))
    )
    if not sound:
        raise ValueError("its parts do not fit together")
    for start, stop in itertools.pairwise(columns.first):
        if (np.diff(columns.threshold[start:stop]) <= 0).any():
            raise ValueError("its thresholds are not in order")

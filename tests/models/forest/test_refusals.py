"""What the forest cannot run is named and left to LightGBM; what is damaged or does not fit is refused."""

from __future__ import annotations

import logging
import pickle
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import Booster, Dataset, train
from numpy.typing import NDArray

from eotasks.errors import ModelError, UnsupportedModelError
from eotasks.models.forest import Forest
from tests.models.forest.oracle import HandTree, assert_same_bits, edge_rows, lightgbm_values, model_text, random_tree

UNSUPPORTED: dict[str, dict[str, Any]] = {
    "categorical splits": {"objective": "binary", "categorical_feature": [1]},
    "linear trees": {"objective": "regression", "linear_tree": True},
    "averaged forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    "objective 'poisson'": {"objective": "poisson"},
    "objective 'gamma'": {"objective": "gamma"},
    "objective 'tweedie'": {"objective": "tweedie"},
    "objective 'cross_entropy_lambda'": {"objective": "cross_entropy_lambda"},
    "objective 'regression sqrt'": {"objective": "regression", "reg_sqrt": True},
}  # fmt: skip


def small_text(outputs: int = 1) -> str:
    generator = np.random.default_rng(2)
    choices = [list(generator.normal(size=8)) for _ in range(3)]
    trees = [random_tree(generator, 9, choices, [0, 2, 6, 8]) for _ in range(2 * outputs)]
    objective = "binary sigmoid:1" if outputs == 1 else f"multiclass num_class:{outputs}"
    return model_text(trees, features=3, outputs=outputs, objective=objective)


def unsupported(name: str) -> tuple[Booster, NDArray[np.float64]]:
    generator = np.random.default_rng(5)
    x = generator.normal(size=(400, 3))
    x[:, 1] = generator.integers(0, 6, 400)
    labels = np.exp(x[:, 0]) + (x[:, 1] % 2)
    if UNSUPPORTED[name]["objective"] in ("binary", "cross_entropy_lambda"):
        labels = (labels > 1.5).astype(float)
    parameters = {"verbosity": -1, "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, **UNSUPPORTED[name]}
    categories = parameters.pop("categorical_feature", "auto")
    return train(parameters, Dataset(x, labels, params=parameters, categorical_feature=categories), 4), x


@pytest.mark.parametrize("name", list(UNSUPPORTED))
def test_what_it_cannot_run_is_named_and_left_to_lightgbm(name: str, caplog: pytest.LogCaptureFixture) -> None:
    booster, x = unsupported(name)
    with caplog.at_level(logging.WARNING):
        forest = Forest.from_text(booster.model_to_string())
    [record] = caplog.records
    assert name in record.getMessage()
    assert "LightGBM" in record.getMessage()
    assert forest.engine == "lightgbm"
    assert (forest.n_features, forest.n_outputs) == (3, 1)
    for other in (forest, pickle.loads(pickle.dumps(forest))):
        assert_same_bits(other.predict(x, threads=2), lightgbm_values(booster, x))
        assert_same_bits(other.predict(x, raw_score=True), lightgbm_values(booster, x, raw_score=True))
    with pytest.raises(UnsupportedModelError):
        forest.to_bytes()
    with pytest.raises(UnsupportedModelError, match=re.escape(name)):
        Forest.from_text(booster.model_to_string(), fallback=False)


def test_a_supported_model_is_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    forest = Forest.from_text(small_text(), fallback=False)
    assert forest.engine == "compiled"
    assert not caplog.records


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((4, 2)), "3 features.*2"),
        (np.zeros((4, 4)), "3 features.*4"),
        (np.zeros(3), "shape"),
        (np.zeros((2, 2, 3)), "shape"),
        (np.array([["a", "b", "c"]]), "<U1"),
        (np.zeros((2, 3), dtype=np.complex128), "complex"),
        (np.array([[None, 1, 2]], dtype=object), "object"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: NDArray[Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Forest.from_text(small_text()).predict(rows)


def test_a_missing_file_and_one_that_is_no_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.txt"):
        Forest.load(tmp_path / "absent.txt")
    for name, content in (("empty.txt", b""), ("other.txt", b"a letter"), ("picture.txt", b"\x89PNG\xff\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=re.escape(name)):
            Forest.load(tmp_path / name)


def change(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[: len(text) // 2],
    "cut off before the end of the trees": lambda text: text[: text.index("end of trees")],
    "a tree less": lambda text: text[: text.index("Tree=0")] + text[text.index("end of trees") :],
    "a threshold less": change(r"^threshold=\S+ ", "threshold="),
    "a leaf less": change(r"^leaf_value=\S+ ", "leaf_value="),
    "no thresholds": change(r"^threshold=.*\n", ""),
    "a word for a number": change(r"^leaf_value=\S+", "leaf_value=seven"),
    "a feature that is not there": change(r"^split_feature=\d+", "split_feature=3"),
    "a feature below zero": change(r"^split_feature=\d+", "split_feature=-1"),
    "a child that is not there": change(r"^right_child=-?\d+", "right_child=99"),
    "a leaf that is not there": change(r"^right_child=-?\d+", "right_child=-99"),
    "a circle": change(r"^left_child=-?\d+", "left_child=0"),
    "another number of features": change(r"^max_feature_idx=2", "max_feature_idx=7"),
    "no feature names": change(r"^feature_names=.*\n", ""),
    "no outputs": change(r"^num_tree_per_iteration=1", "num_tree_per_iteration=0"),
    "trees that do not divide": change(r"^num_tree_per_iteration=1", "num_tree_per_iteration=3"),
    "a sigmoid that is no number": change(r"sigmoid:1", "sigmoid:one"),
}


@pytest.mark.parametrize("name", list(DAMAGES))
def test_a_damaged_text_is_refused(name: str) -> None:
    text = small_text()
    damaged = DAMAGES[name](text)
    assert damaged != text
    with pytest.raises(ModelError, match=r"where it lay"):
        Forest.from_text(damaged, where="where it lay")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bytes_with_a_fault_are_refused_or_harmless(data: st.DataObject) -> None:
    """Stored forests come from disk: whatever they hold, no kernel may leave its arrays."""
    blob = Forest.from_text(small_text(outputs=data.draw(st.sampled_from([1, 2])))).to_bytes()
    place = data.draw(st.integers(0, len(blob) - 1))
    spoilt = data.draw(
        st.sampled_from([blob[:place], blob[:place] + bytes([blob[place] ^ 255]) + blob[place + 1 :], blob + b"more"])
    )
    try:
        forest = Forest.from_bytes(spoilt)
    except ModelError:
        return
    assert spoilt != blob
    forest.predict(np.random.default_rng(0).normal(size=(300, forest.n_features)))


def test_bytes_of_something_else_are_refused() -> None:
    for content in (b"", b"tree\n", pickle.dumps(1), small_text().encode()):
        with pytest.raises(ModelError, match="stored forest"):
            Forest.from_bytes(content)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_some_columns_of_the_rows_in_another_order(kind: type[np.generic]) -> None:
    text = small_text()
    forest, booster = Forest.from_text(text), Booster(model_str=text)
    wide = np.random.default_rng(3).integers(0, 3, (700, 6)).astype(kind)
    found = forest.predict(wide, columns=[4, 0, 4], raw_score=True)
    assert_same_bits(found, lightgbm_values(booster, wide[:, [4, 0, 4]].astype(np.float64), raw_score=True))
    for columns in ([0, 1], [0, 1, 6], [0, 1, -1], [0, 1, 2, 3]):
        with pytest.raises(ModelError, match="columns"):
            forest.predict(wide, columns=columns)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_table_of_digital_numbers_gives_what_the_reflectances_give(kind: type[np.floating[Any]]) -> None:
    generator = np.random.default_rng(6)
    choices = [list((generator.integers(0, 65_536, 60) / 10_000).astype(kind).astype(float)) for _ in range(3)]
    text = model_text([random_tree(generator, 60, choices, [0, 6, 8]) for _ in range(4)], features=3)
    forest, booster = Forest.from_text(text), Booster(model_str=text)
    every = np.arange(65_536)
    values = (every.astype(kind) / kind(10_000)).astype(kind)
    numbers = np.stack([every, every[::-1], generator.permutation(every)], axis=1).astype(np.uint16)
    found = forest.predict(numbers, table=forest.table_of(values), raw_score=True, threads=2)
    assert_same_bits(found, lightgbm_values(booster, values[numbers], raw_score=True))
    with pytest.raises(ModelError, match="65536"):
        forest.table_of(values[:100])
    for rows, table in ((numbers.astype(np.int64), forest.table_of(values)), (numbers, forest.table_of(values)[:, 1:])):
        with pytest.raises(ModelError, match="goes with rows of uint16"):
            forest.predict(rows, table=table)


def test_a_booster_is_taken_as_its_text() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(300, 2))
    booster = train({"objective": "binary", "verbosity": -1}, Dataset(x, (x[:, 0] > 0).astype(float)), 3)
    forest = Forest.from_booster(booster)
    assert_same_bits(forest.predict(x, raw_score=True), lightgbm_values(booster, x, raw_score=True))


def test_a_model_of_constants_only_needs_no_feature() -> None:
    text = model_text([HandTree([], [], [], [], [], [0.5]), HandTree([], [], [], [], [], [-2.25])], features=2)
    forest, rows = Forest.from_text(text), edge_rows(model_text([], features=2), 30, seed=1)
    assert_same_bits(forest.predict(rows, raw_score=True), np.full(30, -1.75))
    assert Forest.from_bytes(forest.to_bytes()).to_bytes() == forest.to_bytes()


def test_integers_are_read_as_lightgbm_reads_them() -> None:
    text = model_text([random_tree(np.random.default_rng(2), 2, [[16777216.5]], [0])], features=1)
    forest, booster = Forest.from_text(text), Booster(model_str=text)
    for dtype in (np.int32, np.int64, np.uint32):
        rows = np.array([[16777215], [16777216], [16777217], [16777218]], dtype=dtype)
        assert_same_bits(forest.predict(rows, raw_score=True), booster.predict(rows, raw_score=True))


def test_copies_of_other_layouts_are_small() -> None:
    generator = np.random.default_rng(3)
    text = model_text([random_tree(generator, 5, [[1.5, 2.5]] * 3, [0])], features=3)
    forest = Forest.from_text(text)
    wide = generator.integers(0, 5, (40_000, 300)).astype(np.int16)  # 96 MB as float64
    expected = forest.predict(wide[:, [5, 6, 7]], raw_score=True)
    tracemalloc.start()
    found = forest.predict(wide, columns=[5, 6, 7], raw_score=True, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_same_bits(found, expected)
    assert peak < 16e6


def test_a_kind_of_missing_value_that_is_none() -> None:
    text = model_text([random_tree(np.random.default_rng(2), 3, [[0.5, 1.5]], [0])], features=1)
    with pytest.raises(ModelError, match="decision_type that LightGBM does not write"):
        Forest.from_text(text.replace("decision_type=0", "decision_type=12"))

"""The forest equals LightGBM for models that LightGBM has trained, over its settings: raw scores to the last bit."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightgbm import Booster, Dataset, early_stopping, train
from numpy.typing import NDArray

from eotasks.models.clouds.pixel import model_path
from eotasks.models.forest import Forest
from tests.models.forest.oracle import assert_equal_to_lightgbm, assert_same_bits, edge_rows, lightgbm_values

ROWS, FEATURES, CLASSES = 1200, 7, 4

SMALL: dict[str, Any] = {
    "verbosity": -1, "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": 3, "num_leaves": 31,
    "min_data_in_leaf": 3,
}  # fmt: skip

MODELS: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "binary, another sigmoid": {"objective": "binary", "sigmoid": 2.7},
    "binary, without a starting score": {"objective": "binary", "scale_pos_weight": 9.0, "boost_from_average": False},
    "multiclass": {"objective": "multiclass", "num_class": CLASSES},
    "one against all": {"objective": "multiclassova", "num_class": CLASSES},
    "regression": {"objective": "regression"},
    "missing is nothing special": {"objective": "binary", "use_missing": False},
    "zero is missing": {"objective": "binary", "zero_as_missing": True},
    "zero is missing, multiclass": {"objective": "multiclass", "num_class": CLASSES, "zero_as_missing": True},
    "1023 bins": {"objective": "binary", "max_bin": 1023, "min_data_in_bin": 1},
    "2 bins": {"objective": "binary", "max_bin": 2},
    "stumps": {"objective": "binary", "num_leaves": 2},
    "more than 256 leaves": {"objective": "regression", "num_leaves": 700, "min_data_in_leaf": 1},
    "a long chain": {"objective": "regression", "num_leaves": 200, "min_data_in_leaf": 1, "path_smooth": 50.0},
    "shallow": {"objective": "binary", "max_depth": 2},
    "constant trees": {"objective": "binary", "min_data_in_leaf": ROWS},
    "constant trees, multiclass": {"objective": "multiclass", "num_class": CLASSES, "min_gain_to_split": 30.0},
    "extremely random": {"objective": "binary", "extra_trees": True},
    "dropped trees": {"objective": "binary", "boosting": "dart"},
    "drawn rows": {"objective": "binary", "data_sample_strategy": "goss"},
    "some columns a tree": {"objective": "binary", "feature_fraction": 0.3},
}  # fmt: skip


@functools.cache
def samples(kind: str = "mixed") -> NDArray[np.float64]:
    """Features of several sorts: normal, whole numbers, mostly zero, tiny, huge, float32 values, two values."""
    generator = np.random.default_rng(11)
    x = generator.normal(size=(ROWS, FEATURES))
    x[:, 1] = generator.integers(-4, 5, ROWS)
    x[generator.random(ROWS) < 0.7, 2] = 0
    x[:, 3] *= 1e-30
    x[:, 4] *= 1e200
    x[:, 5] = x[:, 5].astype(np.float32)
    x[:, 6] = generator.random(ROWS) < 0.5
    if kind == "mixed":
        x[generator.random(x.shape) < 0.08] = np.nan
    return x


@functools.cache
def trained(name: str, kind: str = "mixed") -> Booster:
    x = samples(kind)
    filled = np.nan_to_num(x)
    score = filled[:, 0] + 0.4 * filled[:, 1] + np.sign(filled[:, 2] * filled[:, 3]) + 0.5 * np.sign(filled[:, 4])
    parameters = {**SMALL, **MODELS[name]}
    classes = np.digitize(score, np.quantile(score, np.linspace(0, 1, CLASSES + 1)[1:-1]))
    labels = {"binary": score > 0, "regression": score * 1e3}.get(parameters["objective"], classes)
    return train(parameters, Dataset(x, labels.astype(float), free_raw_data=False), num_boost_round=12)


@pytest.fixture(params=list(MODELS))
def booster(request: pytest.FixtureRequest) -> Booster:
    return trained(request.param)


def test_equal_on_what_it_was_trained_with(booster: Booster) -> None:
    assert_equal_to_lightgbm(Forest.from_text(booster.model_to_string()), booster, samples())


def test_equal_on_thresholds_their_neighbours_and_special_values(booster: Booster) -> None:
    text = booster.model_to_string()
    forest = Forest.from_text(text)
    for dtype in (np.float64, np.float32):
        assert_equal_to_lightgbm(forest, booster, edge_rows(text, 3001, seed=2, dtype=dtype))


@pytest.mark.parametrize("name", ["binary", "missing is nothing special", "zero is missing", "multiclass"])
def test_equal_when_nothing_was_missing_in_training(name: str) -> None:
    booster = trained(name, "complete")
    text = booster.model_to_string()
    assert_equal_to_lightgbm(Forest.from_text(text), booster, edge_rows(text, 2000, seed=3))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 1023, 1024, 1025, 4097])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_equal_for_any_number_of_rows(name: str, count: int) -> None:
    booster = trained(name)
    text = booster.model_to_string()
    forest = Forest.from_text(text)
    rows = edge_rows(text, count, seed=count)
    if count:
        assert_equal_to_lightgbm(forest, booster, rows)
    empty = forest.predict(rows[:0])
    assert (empty.shape, empty.dtype) == ((0,) if name == "binary" else (0, CLASSES), np.dtype(np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_for_any_strides(dtype: type[np.floating[Any]]) -> None:
    booster = trained("binary")
    forest = Forest.from_text(booster.model_to_string())
    wide = edge_rows(booster.model_to_string(), 2 * 777 * 3, seed=5, dtype=dtype).reshape(2 * 777, 3 * FEATURES)
    read_only = wide[:, :FEATURES].copy()
    read_only.setflags(write=False)
    packed = np.zeros(len(wide), dtype=[("one byte", np.uint8), ("rows", dtype, (FEATURES,))])
    packed["rows"] = wide[:, :FEATURES]
    for rows in (
        np.asfortranarray(wide[:, :FEATURES]), wide[::2, FEATURES : 2 * FEATURES], wide[::-1, 3 * FEATURES - 1 :: -3],
        wide[:, ::3], read_only, np.broadcast_to(wide[:1, :FEATURES], (50, FEATURES)),
        wide[:, :FEATURES].astype(np.dtype(dtype).newbyteorder(">")), packed["rows"],
    ):  # fmt: skip
        assert rows.shape[1] == FEATURES
        plain = np.ascontiguousarray(rows, dtype=dtype)
        expected = lightgbm_values(booster, plain, raw_score=True)
        assert_same_bits(forest.predict(rows, raw_score=True, threads=2), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.bool_])
def test_other_numbers_are_their_floats(dtype: type[np.generic]) -> None:
    booster = trained("binary")
    forest = Forest.from_text(booster.model_to_string())
    rows = np.random.default_rng(6).integers(0, 9, (500, FEATURES)).astype(dtype)
    assert_same_bits(
        forest.predict(rows, raw_score=True), lightgbm_values(booster, rows.astype(np.float64), raw_score=True)
    )


def test_equal_to_a_model_that_stopped_early() -> None:
    x = samples()
    labels = (np.nan_to_num(x[:, 0]) + np.random.default_rng(1).normal(size=ROWS) > 0).astype(float)
    parts = Dataset(x[:600], labels[:600], free_raw_data=False)
    held_out = parts.create_valid(x[600:], labels[600:])
    booster = train(
        {**SMALL, "objective": "binary", "learning_rate": 0.5}, parts, 60, valid_sets=[held_out],
        callbacks=[early_stopping(3, verbose=False)], keep_training_booster=True,
    )  # fmt: skip
    assert 0 < booster.best_iteration < booster.current_iteration()
    assert_equal_to_lightgbm(Forest.from_text(booster.model_to_string()), booster, x)


def test_a_file_is_read_as_its_text(tmp_path: Path) -> None:
    booster = trained("multiclass")
    booster.save_model(str(tmp_path / "model.txt"))
    forest = Forest.load(tmp_path / "model.txt")
    assert (forest.n_features, forest.n_outputs) == (FEATURES, CLASSES)
    assert list(forest.feature_names) == booster.feature_name()
    assert_equal_to_lightgbm(forest, booster, samples())


def test_names_of_features_are_kept() -> None:
    x = samples("complete")[:, :3]
    names = ["B8A", "NDVI_2017-01-01", "Wärme\u00a0Mai"]  # a space that LightGBM does not divide at
    booster = train({**SMALL, "objective": "binary"}, Dataset(x, (x[:, 0] > 0).astype(float), feature_name=names), 2)
    assert list(Forest.from_text(booster.model_to_string()).feature_names) == names


@pytest.mark.slow
def test_the_cloud_model_on_spectra_and_on_its_thresholds() -> None:
    text = model_path().read_text()
    booster, forest = Booster(model_str=text), Forest.from_text(text)
    spectra = np.random.default_rng(7).gamma(2, 0.15, (5000, 10))
    assert_equal_to_lightgbm(forest, booster, spectra)
    assert_equal_to_lightgbm(forest, booster, spectra.astype(np.float32))
    assert_equal_to_lightgbm(forest, booster, edge_rows(text, 5000, seed=8, dtype=np.float32))
    numbers = (np.round(spectra * 10_000) / 10_000).astype(np.float32)
    assert_equal_to_lightgbm(forest, booster, np.repeat(numbers, 3, axis=0))  # neighbours alike, as in an image

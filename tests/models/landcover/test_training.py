from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from numpy.typing import NDArray

from eotasks.errors import ModelError
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.card import TrainingExtent
from eotasks.models.landcover.model import CARD_FILE, MODEL_FILE, LandCoverModel, load_model
from eotasks.models.landcover.training import DEFAULT_PARAMETERS, train

DATES = ["2019-01-01", "2019-04-01", "2019-07-01", "2019-10-01"]
NAMES = ["B04", "B08", "NDVI"]
IDS = np.array([2, 3, 8])  # not consecutive


def samples(count: int = 900, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Rows of 4 dates x 3 features; only NDVI in July tells the classes apart."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(IDS, count, p=[0.6, 0.3, 0.1]).astype(np.uint8)
    rows = rng.normal(0, 0.1, (count, 12)).astype(np.float32)
    rows[:, 2 * 3 + 2] += np.select([labels == 2, labels == 3], [0.9, 0.5], 0.0)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows, labels


def fitted(rows: Any, labels: Any, **changes: Any) -> LandCoverModel:
    settings: dict[str, Any] = {
        "classes": SLOVENIAN_CLASSES,
        "feature_names": NAMES,
        "dates": DATES,
        "parameters": {"num_iterations": 15},
        "threads": 1,
    }
    return train(rows, labels, **(settings | changes))


@pytest.fixture(scope="module")
def model() -> LandCoverModel:
    return fitted(
        *samples(),
        bands=["B04", "B08"],
        indices={"NDVI": ["B08", "B04"]},
        extent=TrainingExtent(crs="EPSG:32633", bbox=(0, 0, 10, 10)),
        simulated=True,
    )


def test_predicts_ids_of_the_table_and_scores_in_the_order_of_the_card(model: LandCoverModel) -> None:
    rows, labels = samples(seed=2)
    predicted, scores = model.predict(rows)
    assert predicted.dtype == np.uint8
    assert scores.dtype == np.float32
    assert scores.shape == (len(rows), 3)
    assert model.scores_classes.ids == [2, 3, 8]
    assert (predicted == IDS[scores.argmax(axis=1)]).all()
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert (predicted == labels).mean() > 0.9


def test_defaults_are_those_of_the_example() -> None:
    rows, labels = samples()
    ours = fitted(rows, labels, parameters=None)
    theirs = LGBMClassifier(
        objective="multiclass", num_class=3, metric="multi_logloss", random_state=42, verbosity=-1, n_jobs=1
    ).fit(rows, labels)
    expected = theirs.booster_.predict(rows)
    _, scores = ours.predict(rows)
    assert np.array_equal(scores, expected.astype(np.float32))


def test_card_says_what_the_model_was_trained_on(model: LandCoverModel) -> None:
    card = model.card
    _, labels = samples()
    assert (card.feature_names, card.dates, card.seed, card.simulated) == (NAMES, DATES, 42, True)
    assert card.samples == {
        "Forest": int((labels == 2).sum()),
        "Grassland": int((labels == 3).sum()),
        "Artificial surface": int((labels == 8).sum()),
    }
    assert card.parameters == dict(DEFAULT_PARAMETERS) | {"num_iterations": 15}
    assert {"lightgbm", "numpy"} <= set(card.packages)
    assert card.extent is not None
    assert card.extent.crs == "EPSG:32633"


@pytest.mark.parametrize("threads", [2, 3])
def test_trees_and_card_do_not_depend_on_the_number_of_threads(threads: int, tmp_path: Path) -> None:
    rows, labels = samples(6000)
    one, many = fitted(rows, labels, threads=1), fitted(rows, labels, threads=threads)
    assert one.text == many.text
    assert one.card == many.card
    assert "num_threads" not in one.text
    one.save(tmp_path / "one")
    many.save(tmp_path / "many")
    for name in (MODEL_FILE, CARD_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    for first, second in zip(one.predict(rows, threads=1), many.predict(rows, threads=threads), strict=True):
        assert np.array_equal(first, second)


def test_a_seed_matters_only_where_something_is_drawn() -> None:
    bagged = {"num_iterations": 5, "bagging_fraction": 0.5, "bagging_freq": 1}
    first = fitted(*samples(), parameters=bagged, seed=1)
    assert first.text == fitted(*samples(), parameters=bagged, seed=1).text
    _, ours = first.predict(samples()[0])
    _, other = fitted(*samples(), parameters=bagged, seed=2).predict(samples()[0])
    assert not np.array_equal(ours, other)


def test_names_of_the_sklearn_interface_are_understood() -> None:
    by_own_name = fitted(*samples(), parameters={"num_iterations": 3, "min_data_in_leaf": 5})
    by_sklearn = fitted(*samples(), parameters={"n_estimators": 3, "min_child_samples": 5})
    assert by_own_name.text == by_sklearn.text


def test_balanced_classes_find_more_of_the_rare_one() -> None:
    rng = np.random.default_rng(3)
    labels = np.where(rng.random(3000) < 0.05, 5, 2)
    rows = (rng.normal(size=(3000, 12)) + 0.8 * (labels == 5)[:, None]).astype(np.float32)
    plain, _ = fitted(rows[:2000], labels[:2000]).predict(rows[2000:])
    balanced, _ = fitted(
        rows[:2000], labels[:2000], parameters={"num_iterations": 15, "class_weight": "balanced"}
    ).predict(rows[2000:])
    rare = labels[2000:] == 5
    assert (balanced[rare] == 5).sum() > (plain[rare] == 5).sum()


def test_importance_is_by_date_and_feature(model: LandCoverModel) -> None:
    gain = model.feature_importance()
    assert gain.shape == (4, 3)
    assert np.unravel_index(gain.argmax(), gain.shape) == (2, 2)


def test_a_pixel_without_any_value_is_not_predicted(model: LandCoverModel) -> None:
    rows, _ = samples()
    rows = rows[:5].copy()
    rows[[1, 3]] = np.nan
    labels, scores = model.predict(rows)
    assert (labels == 0).tolist() == [False, True, False, True, False]
    assert not scores[[1, 3]].any()
    empty_labels, empty_scores = model.predict(np.empty((0, 12), np.float32))
    assert (empty_labels.shape, empty_scores.shape) == ((0,), (0, 3))


def test_parts_and_dtype_of_the_input_do_not_matter(model: LandCoverModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = samples()
    labels, scores = model.predict(rows)
    monkeypatch.setattr("eotasks.models.landcover.model.CHUNK_VALUES", 12 * 7)
    for same in (rows, rows.astype(np.float64), np.asfortranarray(rows)):
        again, scores_again = model.predict(same)
        assert np.array_equal(again, labels)
        assert np.array_equal(scores_again, scores)


def test_input_is_not_changed(model: LandCoverModel) -> None:
    rows, labels = samples()
    before = rows.copy(), labels.copy()
    model.predict(rows)
    fitted(rows, labels)
    assert np.array_equal(rows, before[0], equal_nan=True)
    assert np.array_equal(labels, before[1])


def test_input_that_does_not_fit_the_card_is_refused(model: LandCoverModel) -> None:
    rows, _ = samples()
    model.predict(rows, feature_names=NAMES, dates=[day.replace("2019", "2021") for day in DATES])
    with pytest.raises(ModelError, match="the input has 9 columns, the model expects 12 = 4 dates x 3 features"):
        model.predict(rows[:, :9])
    with pytest.raises(ModelError, match="expects B04, B08, NDVI"):
        model.predict(rows, feature_names=["NDVI", "B04", "B08"])
    with pytest.raises(ModelError, match="expects the season of 2019-04-01"):
        model.predict(rows, dates=["2019-01-01", "2019-05-01", "2019-07-01", "2019-10-01"])
    with pytest.raises(ModelError, match=r"shape \(12,\)"):
        model.predict(rows[0])
    rows[0, 0] = np.inf
    with pytest.raises(ModelError, match="infinity"):
        model.predict(rows)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([2, 2, 2, 2], "at least two classes, there is only Forest"),
        ([2, 3, 0, 0], "2 labels are 0"),
        ([2, 3, 99, 3], "label 99 is not in the class table"),
        ([2, 3, 8], "4 rows of features but labels of shape"),
        ([2.0, 3.0, 2.0, 3.0], "dtype float64"),
    ],
)
def test_labels_that_cannot_train_are_refused(labels: list[float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fitted(np.zeros((4, 12), np.float32), np.array(labels))


def test_no_sample_at_all_is_refused() -> None:
    with pytest.raises(ModelError, match="at least two classes, there is none"):
        fitted(np.full((4, 12), np.nan, np.float32), np.array([2, 3, 2, 3]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_leafs": 3}, r"num_leafs .*mean 'num_leaves'.* is not known: use boosting"),
        ({"num_threads": 3}, "parameter num_threads is not known"),
        ({"n_estimators": 3, "num_iterations": 3}, "given twice"),
        ({"num_iterations": 0}, "num_iterations=0: Input should be greater than or equal to 1"),
        ({"num_iterations": 2.5}, r"num_iterations=2\.5"),
        ({"class_weight": "even"}, "class_weight='even'"),
        ({"num_leaves": 1}, "num_leaves=1"),
        ({"num_leaves": "many"}, "num_leaves='many'"),
        ({"subsample": 1.5}, r"bagging_fraction=1\.5"),
        ({"boosting": "rf"}, "needs bagging_freq"),
    ],
)
def test_parameters_that_are_none_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        fitted(*samples(100), parameters=parameters)
    assert "\n" not in str(caught.value)


def test_columns_must_be_dates_times_features() -> None:
    rows, labels = samples(100)
    with pytest.raises(ModelError, match="the input has 12 columns, the model expects 8"):
        fitted(rows, labels, feature_names=["B04", "B08"])


def test_samples_without_a_value_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    rows, labels = samples(300)
    with caplog.at_level(logging.WARNING):
        expected = fitted(rows, labels)
        assert not [record for record in caplog.records if "left out" in record.message]
        found = fitted(np.vstack([rows, np.full((2, 12), np.nan, np.float32)]), np.append(labels, [2, 3]))
    assert "left out 2 of 302 samples" in caplog.text
    assert found.text == expected.text
    assert found.card == expected.card


def test_a_class_too_small_for_a_leaf_is_named(caplog: pytest.LogCaptureFixture) -> None:
    rows, labels = samples(300)
    labels[:4] = 4
    with caplog.at_level(logging.WARNING):
        fitted(rows, labels, parameters={"num_iterations": 2, "lambda_l2": 1.0})
        assert "Shrubland" not in caplog.text
        fitted(rows, labels)
    assert "class Shrubland has 4 training samples" in caplog.text


def test_two_classes_are_enough_and_few_rows_train() -> None:
    model = fitted(np.arange(48, dtype=np.float32).reshape(4, 12), np.array([1, 9, 1, 9]))
    labels, scores = model.predict(np.zeros((1, 12), np.float32))
    assert labels.tolist() == [1]
    assert scores.shape == (1, 2)


def test_save_and_load(model: LandCoverModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "my models" / "land cover")
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, MODEL_FILE]
    loaded = load_model(folder)
    assert loaded.card == model.card
    assert loaded.text == model.text
    rows, _ = samples()
    for first, second in zip(loaded.predict(rows), model.predict(rows), strict=True):
        assert np.array_equal(first, second)
    assert np.array_equal(loaded.feature_importance(), model.feature_importance())
    fitted(*samples(200)).save(folder)
    assert load_model(folder).text != model.text
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, MODEL_FILE]


def test_a_pickled_model_is_its_text_and_card(model: LandCoverModel) -> None:
    rows, _ = samples()
    before = model.predict(rows)
    content = pickle.dumps(model)
    assert len(content) < len(model.text) + 5000
    for first, second in zip(pickle.loads(content).predict(rows), before, strict=True):
        assert np.array_equal(first, second)


def test_metrics_go_onto_the_card(model: LandCoverModel, tmp_path: Path) -> None:
    validated = model.with_metrics({"overall_accuracy": 0.9, "macro_f1": None})
    assert validated.text == model.text
    assert load_model(validated.save(tmp_path)).card.metrics == {"overall_accuracy": 0.9, "macro_f1": None}
    assert model.card.metrics == {}
    with pytest.raises(ModelError, match="None for undefined"):
        model.with_metrics({"macro_f1": float("nan")})


def test_a_damaged_or_absent_model_is_named(model: LandCoverModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model\.json in '.*nowhere'"):
        load_model(tmp_path / "nowhere")
    folder = model.save(tmp_path / "model")
    (folder / MODEL_FILE).write_text(model.text + "\n")
    with pytest.raises(ModelError, match=r"model\.txt' is not the text its card was written for"):
        load_model(folder)
    (folder / MODEL_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"cannot read '.*model\.txt'"):
        load_model(folder)
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ModelError, match=r"there is no model\.txt"):
        load_model(folder)
    card = json.loads(model.card.to_json())
    (folder / CARD_FILE).write_text(json.dumps(card | {"version": 99}))
    (folder / MODEL_FILE).write_text(model.text)
    with pytest.raises(ModelError, match="upgrade eotasks"):
        load_model(folder)


def test_text_and_card_of_different_models_are_refused(model: LandCoverModel) -> None:
    with pytest.raises(ModelError, match="not the one its card was written for"):
        LandCoverModel(fitted(*samples(200)).text, model.card)


def test_a_failed_save_leaves_the_model_that_was_there(
    model: LandCoverModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.save(tmp_path / "model")
    other = fitted(*samples(200))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eotasks.models.landcover.model.os.fsync", full)
    with pytest.raises(ModelError, match=r"cannot write the model to .*No space left"):
        other.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, MODEL_FILE]
    assert load_model(folder).text == model.text


def test_a_place_that_is_a_file_is_refused(model: LandCoverModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot write the model to"):
        model.save(tmp_path / "file")

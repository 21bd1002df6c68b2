from __future__ import annotations

import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub import CRS, BBox

from eotasks import prediction
from eotasks.errors import ConfigurationError, FeatureError, ModelError
from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.models.landcover.training import LandCoverModel, train
from eotasks.prediction import PredictLandCoverTask, cached_model, pixel_rows, predict_image

FEATURES = (FeatureType.DATA, "FEATURES")
PREDICTION = (FeatureType.MASK_TIMELESS, "PREDICTION")
SCORES = (FeatureType.DATA_TIMELESS, "SCORES")
DATES = ["2019-03-01", "2019-06-01", "2019-09-01"]
NAMES = ["NDVI", "NDWI"]
CLASSES = ClassTable((LandCoverClass(1, "field", "#ffff00"), LandCoverClass(5, "lake", "#0000ff"),
                      LandCoverClass(8, "town", "#ff0000")))  # fmt: skip


def class_of(features: np.ndarray) -> np.ndarray:
    """The truth: which class a pixel (..., t, c) is. Only the second feature of the first date matters."""
    return np.select([features[..., 0, 1] < 0.3, features[..., 0, 1] < 0.6], [1, 5], 8).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> LandCoverModel:
    features = np.random.default_rng(0).random((600, 3, 2), np.float32)
    return train(
        features.reshape(600, 6), class_of(features), classes=CLASSES, feature_names=NAMES, dates=DATES,
        parameters={"num_iterations": 10, "min_data_in_leaf": 5}, threads=1,
    )  # fmt: skip


def patch(features: np.ndarray | None = None, dates: list[str] | None = None) -> EOPatch:
    if features is None:
        features = np.random.default_rng(1).random((3, 16, 9, 2), np.float32)
    eopatch = EOPatch(bbox=BBox((0, 0, 90, 160), CRS("EPSG:32633")), timestamps=dates or DATES)
    eopatch[FEATURES] = features
    return eopatch


def predict(model: Any, eopatch: EOPatch | None = None, **options: Any) -> EOPatch:
    task = PredictLandCoverTask(FEATURES, PREDICTION, model=model, scores_feature=SCORES, **options)
    return task.execute(eopatch or patch())


def test_columns_are_the_features_of_one_date_after_the_other() -> None:
    features = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    rows = pixel_rows(features)
    assert rows.shape == (12, 10)
    for time, row, column, channel in [(0, 0, 0, 0), (1, 2, 3, 4), (1, 0, 2, 3), (0, 1, 1, 1)]:
        assert rows[row * 4 + column, time * 5 + channel] == features[time, row, column, channel]


def test_maps_the_classes(model: LandCoverModel) -> None:
    eopatch = patch()
    before = eopatch[FEATURES].copy()
    result = predict(model, eopatch)
    labels, scores = result[PREDICTION], result[SCORES]
    assert labels.shape == (16, 9, 1)
    assert labels.dtype == np.uint8
    assert scores.shape == (16, 9, 3)
    assert scores.dtype == np.float32
    truth = class_of(np.moveaxis(before, 0, 2))
    assert (labels[..., 0] == truth).mean() > 0.9
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(np.array(CLASSES.ids)[scores.argmax(axis=-1)], labels[..., 0])
    np.testing.assert_array_equal(result[FEATURES], before)


def test_equals_the_model_row_by_row_whatever_the_chunks(
    model: LandCoverModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = patch()[FEATURES]
    valid = np.random.default_rng(2).random((16, 9)) > 0.3
    labels, scores = predict_image(features, model, valid=valid)
    expected, expected_scores = model.predict(pixel_rows(features))
    np.testing.assert_array_equal(labels, np.where(valid, expected.reshape(16, 9), 0))
    np.testing.assert_array_equal(scores, np.where(valid[..., None], expected_scores.reshape(16, 9, 3), 0))
    monkeypatch.setattr(prediction, "CHUNK_VALUES", 9 * 6 * 5)  # five rows of the image at a time
    for threads in (1, 2):
        again, again_scores = predict_image(features, model, valid=valid, threads=threads)
        np.testing.assert_array_equal(again, labels)
        np.testing.assert_array_equal(again_scores, scores)


def test_rows_of_pixels_are_gone_before_the_next_are_made(
    model: LandCoverModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take most of the memory: a copy of the features, with all dates of a pixel in a row."""
    made: list[weakref.ref[Any]] = []

    def watched(features: Any) -> Any:
        assert not [rows for rows in made if rows() is not None]
        rows = pixel_rows(features)
        made.append(weakref.ref(rows))
        return rows

    monkeypatch.setattr(prediction, "CHUNK_VALUES", 9 * 6 * 5)
    monkeypatch.setattr(prediction, "pixel_rows", watched)
    predict_image(patch()[FEATURES], model)
    assert len(made) == 4


def test_pixels_that_were_never_observed(model: LandCoverModel) -> None:
    features = patch()[FEATURES].copy()
    features[:, 3, 4] = np.nan
    features[1, 5] = np.nan
    result = predict(model, patch(features))
    assert result[PREDICTION][3, 4, 0] == 0
    assert not result[SCORES][3, 4].any()
    assert np.count_nonzero(result[PREDICTION] == 0) == 1


def test_valid_masks(model: LandCoverModel) -> None:
    eopatch = patch()
    eopatch[FeatureType.MASK, "IS_DATA"] = np.zeros((3, 16, 9, 1), bool)
    eopatch[FeatureType.MASK, "IS_DATA"][1, :4] = True
    eopatch[FeatureType.MASK_TIMELESS, "WANTED"] = np.ones((16, 9, 1), bool)
    eopatch[FeatureType.MASK_TIMELESS, "SMALL"] = np.ones((2, 9, 1), bool)
    sometimes = predict(model, eopatch, valid_feature=(FeatureType.MASK, "IS_DATA"))[PREDICTION]
    assert (sometimes[:4] != 0).all()
    assert not sometimes[4:].any()
    assert (predict(model, eopatch, valid_feature=(FeatureType.MASK_TIMELESS, "WANTED"))[PREDICTION] != 0).all()
    eopatch[FeatureType.MASK, "CLM"] = np.zeros((3, 16, 9, 1), np.uint8)
    with pytest.raises(FeatureError, match="mask/CLM is uint8 where a boolean mask is due"):
        predict(model, eopatch, valid_feature=(FeatureType.MASK, "CLM"))
    with pytest.raises(FeatureError, match=r"SMALL has shape \(2, 9, 1\)"):
        predict(model, eopatch, valid_feature=(FeatureType.MASK_TIMELESS, "SMALL"))


def test_an_image_without_pixels(model: LandCoverModel) -> None:
    labels, scores = predict_image(np.zeros((3, 0, 9, 2), np.float32), model)
    assert labels.shape == (0, 9)
    assert scores.shape == (0, 9, 3)
    with pytest.raises(ModelError, match="columns"):
        predict_image(np.zeros((3, 0, 9, 1), np.float32), model)


def test_a_saved_model_is_read_once_and_never_pickled(model: LandCoverModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "my model")
    task = PredictLandCoverTask(FEATURES, PREDICTION, model=folder)
    task.execute(patch())
    assert len(pickle.dumps(task)) < 2000 < len(model.text)
    copy = pickle.loads(pickle.dumps(task))
    np.testing.assert_array_equal(copy.execute(patch())[PREDICTION], predict(model)[PREDICTION])
    assert cached_model(str(folder)) is cached_model(str(folder))
    before = cached_model(str(folder))
    model.with_metrics({"accuracy": 1}).save(folder)
    assert cached_model(str(folder)) is not before
    assert cached_model(str(folder)).card.metrics == {"accuracy": 1}


def test_a_model_travels_with_the_task(model: LandCoverModel) -> None:
    task = pickle.loads(pickle.dumps(PredictLandCoverTask(FEATURES, PREDICTION, model=model)))
    np.testing.assert_array_equal(task.execute(patch())[PREDICTION], predict(model)[PREDICTION])


def test_what_does_not_fit_the_card(model: LandCoverModel) -> None:
    with pytest.raises(ModelError, match="columns"):
        predict(model, patch(np.zeros((3, 4, 4, 3), np.float32)))
    with pytest.raises(ModelError, match="columns"):
        predict(model, patch(np.zeros((2, 4, 4, 2), np.float32), DATES[:2]))
    with pytest.raises(ModelError, match="season of 2019-06-01"):
        predict(model, patch(dates=["2019-03-01", "2019-07-01", "2019-09-01"]))
    with pytest.raises(ModelError, match="NDVI, NDWI"):
        predict(model, feature_names=["NDWI", "NDVI"])
    other_year = patch(dates=["2022-03-01", "2022-06-01", "2022-09-01"])
    np.testing.assert_array_equal(predict(model, other_year)[PREDICTION], predict(model)[PREDICTION])
    predict(model, patch(dates=["2019-03-01", "2019-07-01", "2019-09-01"]), check_dates=False)


def test_errors(model: LandCoverModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model"):
        predict(tmp_path / "nowhere")
    with pytest.raises(FeatureError, match="data/FEATURES is not in the EOPatch"):
        PredictLandCoverTask(FEATURES, PREDICTION, model=model).execute(EOPatch(bbox=patch().bbox))
    with pytest.raises(ConfigurationError, match="model is a int: give"):
        predict(7)
    with pytest.raises(ConfigurationError, match="DATA_TIMELESS"):
        PredictLandCoverTask(FEATURES, PREDICTION, model=model, scores_feature=FEATURES)
    with pytest.raises(FeatureError, match=r"\(3, 4, 2\)"):
        predict_image(np.zeros((3, 4, 2), np.float32), model)

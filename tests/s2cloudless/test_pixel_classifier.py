"""The drop-in's PixelClassifier: Boosters by the engine, other classifiers by themselves."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from lightgbm import Booster, Dataset, train
from s2cloudless import PixelClassifier as Original
from sklearn.tree import DecisionTreeClassifier

from eotasks.errors import ConfigurationError, ModelError, NoClassLabelsError
from eotasks.s2cloudless import PixelClassifier
from eotasks.s2cloudless.pixel_classifier import CHUNK_PIXELS

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.random((1500, 4))
LABELS = (ROWS[:, 0] + ROWS[:, 2] > 1).astype(int)
IMAGES = GENERATOR.random((2, 7, 5, 4))


def trained(rounds: int = 8, **parameters: Any) -> Booster:
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, **parameters}
    return train(settings, Dataset(ROWS, LABELS, free_raw_data=False), rounds, keep_training_booster=True)


@pytest.mark.parametrize("data", [IMAGES, IMAGES.astype(np.float32), IMAGES[:, ::2], IMAGES[0], IMAGES[:0]])
def test_a_booster(data: Any) -> None:
    booster = trained()
    ours, theirs = PixelClassifier(booster), Original(booster)
    probabilities, expected = ours.image_predict_proba(data), theirs.image_predict_proba(data)
    assert (probabilities.shape, probabilities.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_max_ulp(probabilities, expected, 1)
    assert ours.classifier is booster


def test_trees_that_are_trained_later_are_noticed() -> None:
    booster = trained()
    classifier = PixelClassifier(booster)
    before = classifier.image_predict_proba(IMAGES)
    booster.update()
    after = classifier.image_predict_proba(IMAGES)
    assert not np.array_equal(before, after)
    np.testing.assert_array_max_ulp(after, Original(booster).image_predict_proba(IMAGES), 1)


def test_pickles() -> None:
    classifier = PixelClassifier(trained())
    expected = classifier.image_predict_proba(IMAGES)
    assert pickle.loads(pickle.dumps(classifier)).image_predict_proba(IMAGES).tobytes() == expected.tobytes()


def test_a_classifier_of_scikit_learn() -> None:
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(ROWS, LABELS)
    ours, theirs = PixelClassifier(tree), Original(tree)
    assert ours.classifier is tree
    np.testing.assert_array_equal(ours.image_predict(IMAGES), theirs.image_predict(IMAGES))
    np.testing.assert_array_equal(ours.image_predict_proba(IMAGES), theirs.image_predict_proba(IMAGES))
    assert ours.image_predict_cloud(IMAGES[..., [3, 2, 1, 0]], [3, 2, 1, 0]).dtype == np.float32


def test_what_has_no_such_methods_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not have a predict method"):
        PixelClassifier(object())  # type: ignore[arg-type]


def test_a_booster_has_no_class_labels() -> None:
    with pytest.raises(NotImplementedError, match="image_predict_proba"):
        PixelClassifier(trained()).image_predict(IMAGES)
    assert issubclass(NoClassLabelsError, ModelError)


def test_several_classes_and_other_features_are_refused() -> None:
    rows = Dataset(ROWS, LABELS + (ROWS[:, 1] > 0.5), free_raw_data=False)
    several = train({"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}, rows, 2)
    with pytest.raises(ModelError, match="3 classes"):
        PixelClassifier(several).image_predict_proba(IMAGES)
    with pytest.raises(ModelError, match="4 features"):
        PixelClassifier(trained()).image_predict_proba(IMAGES[..., :3])


@pytest.mark.parametrize("layout", ["one after the other", "strided"])
def test_more_pixels_than_are_predicted_at_a_time(layout: str) -> None:
    booster = trained(2)
    wide = np.random.default_rng(1).random((1, 3, CHUNK_PIXELS // 2, 4), dtype=np.float32)
    data = wide if layout == "one after the other" else wide[:, :, ::-1]
    answer = PixelClassifier(booster).image_predict_cloud(data)
    assert answer.tobytes() == Original(booster).image_predict_proba(data)[..., 1].astype(np.float32).tobytes()

"""The multi-temporal model: cloud probability of 90 features."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, ModelError
from eotasks.models.clouds.weights import load_multi_temporal
from eotasks.models.forest import Forest

_LOADING = threading.Lock()


class Classifier(Protocol):
    """A model of the user's own: a LightGBM Booster or ``eotasks.models.forest.Forest``, whose ``predict`` gives
    probabilities, or anything with the ``predict_proba`` of scikit-learn, whose second column is cloud.
    """

    def predict(self, rows: Any, /) -> Any:
        """Predictions of rows (n, features)."""


def probabilities(
    features: NDArray[np.floating[Any]], classifier: Classifier | None = None, *, threads: int | None = None
) -> NDArray[np.float64]:
    """Cloud probability of each column of features.

    :param features: Float array (features, n): 90, in the order of ``eotasks.models.clouds.temporal.tile``.
    :param classifier: A model to take instead of the project's.
    :param threads: Threads of the project's model, None for the setting.
    :return: float64 (n,), 0..1.
    :raises ModelError: when the classifier gives anything else than one probability a row.
    """
    if classifier is None:
        return np.asarray(_forest().predict(features.T, threads=threads), dtype=np.float64)
    return predictor(classifier)(np.ascontiguousarray(features.T))


def _forest() -> Forest:
    """The project's own model, loaded once per process; never a part of a task, so never pickled."""
    with _LOADING:
        return _load()


def check_classifier(classifier: Classifier | None, name: str) -> Classifier | None:
    """The classifier itself.

    :raises ConfigurationError: when it cannot predict.
    """
    if classifier is not None and not callable(getattr(classifier, "predict", None)):
        raise ConfigurationError(
            f"{name}={classifier!r} is no classifier: give one with predict (and predict_proba, unless predict gives"
            " probabilities), or None."
        )
    return classifier


def predictor(classifier: Classifier) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Prediction by a user's model.

    :raises ModelError: when called, if it gives anything else than one probability 0..1 a row.
    """
    by_class = getattr(classifier, "predict_proba", None)

    def predict(rows: NDArray[Any]) -> NDArray[np.float64]:
        predicted = np.asarray(classifier.predict(rows) if by_class is None else by_class(rows)[:, 1], dtype=np.float64)
        if predicted.shape != (len(rows),) or not (predicted.min(initial=0) >= 0 and predicted.max(initial=0) <= 1):
            raise ModelError(
                f"{type(classifier).__name__} gives shape {predicted.shape} for {len(rows)} rows, or values outside"
                " 0..1: a classifier of clouds gives one probability a row."
            )
        return predicted

    return predict


@functools.cache
def _load() -> Forest:
    return load_multi_temporal()

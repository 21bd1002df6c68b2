"""``PixelClassifier`` of s2cloudless: a LightGBM model, or any classifier of scikit-learn's kind, over images.

LightGBM models are run by the tree engine (``eotasks.models.forest``): raw scores and float32 probabilities equal those
of LightGBM in every bit, float64 probabilities within one unit in the last place.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, ModelError, NoClassLabelsError, reason_of
from eotasks.limits import MODEL_BYTES
from eotasks.models.clouds.pixel import CHUNK_PIXELS, model_path, pixel_forest
from eotasks.models.forest.lightgbm_model import model_of_lightgbm
from eotasks.models.forest.lightgbm_text import parse_model
from eotasks.reading import read_regular

if TYPE_CHECKING:
    from lightgbm import Booster

    from eotasks.models.forest import Forest

LOGGER = logging.getLogger(__name__)

_THREADS = ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
"""Names that LightGBM has for the number of threads."""

_DEFAULTS = {
    "start_iteration": 0,
    "num_iteration": None,
    "pred_leaf": False,
    "pred_contrib": False,
    "data_has_header": False,
    "validate_features": False,
}
"""Options of ``Booster.predict`` that change nothing at these values."""


class ClassifierType(Protocol):
    """What a classifier has to have."""

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Class labels of rows (n, features)."""
        ...

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803
        """Probabilities (n, classes) of rows (n, features)."""
        ...


class ModelFile:
    """A LightGBM model in a file, read when it is first needed; only the path is pickled."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._forest: Forest | None = None
        self._booster: Booster | None = None

    def __reduce__(self) -> tuple[type[ModelFile], tuple[str | os.PathLike[str]]]:
        return ModelFile, (self.path,)

    @property
    def forest(self) -> Forest:
        """The model for the engine; that of s2cloudless is one for the whole process."""
        if self._forest is None:
            self._forest = pixel_forest() if self._is_known() else _load(self.path)
        return self._forest

    @property
    def booster(self) -> Booster:
        """The model for LightGBM, which gets no text of others (``eotasks.models.forest.lightgbm_model``)."""
        if self._booster is None:
            if self._is_known():
                pixel_forest()  # knows the checksum
                from lightgbm import Booster

                self._booster = Booster(model_file=model_path())
            else:
                self._booster = _booster_of(self.path)
        return self._booster

    def _is_known(self) -> bool:
        return os.fspath(self.path) == str(model_path())


class TrainedBooster:
    """A ``lightgbm.Booster``. Trees that are trained later are noticed, leaves that are set by hand are not."""

    def __init__(self, booster: Booster) -> None:
        self.booster = booster
        self._forest: Forest | None = None
        self._trees: tuple[int, int] | None = None

    def __reduce__(self) -> tuple[type[TrainedBooster], tuple[Booster]]:
        return TrainedBooster, (self.booster,)

    @property
    def forest(self) -> Forest:
        """The model for the engine, as it is now."""
        trees = (self.booster.num_trees(), self.booster.best_iteration)
        if self._forest is None or trees != self._trees:
            from eotasks.models.forest import Forest

            self._forest, self._trees = Forest.from_booster(self.booster), trees
        return self._forest


class PixelClassifier:
    """Applies a classifier of pixels to a stack of images.

    :param classifier: A ``lightgbm.Booster``, or an object with the methods ``predict`` and ``predict_proba`` of
        scikit-learn's classifiers; also a ``ModelFile``.
    :raises ConfigurationError: one of the methods is missing.
    """

    def __init__(self, classifier: Booster | ClassifierType | ModelFile) -> None:
        self._model: ModelFile | TrainedBooster | None = None
        self._other: ClassifierType | None = None
        if isinstance(classifier, ModelFile):
            self._model = classifier
        elif _is_booster(classifier):
            self._model = TrainedBooster(classifier)
        elif (missing := _missing_method(classifier)) is None:
            self._other = cast("ClassifierType", classifier)
        else:
            raise ConfigurationError(
                f"Classifier does not have a {missing} method! Give a lightgbm.Booster, or a classifier with both"
                " predict and predict_proba."
            )

    @property
    def classifier(self) -> Booster | ClassifierType:
        """What was given; of a file the ``lightgbm.Booster``, which is loaded for it."""
        return self._model.booster if self._model is not None else self._sklearn()

    def image_predict(self, data: NDArray[Any], **kwargs: Any) -> NDArray[Any]:
        """Class labels of all pixels.

        :param data: Array (N, height, width, bands).
        :param kwargs: For the classifier's ``predict``.
        :return: Array (N, height, width).
        :raises NoClassLabelsError: the classifier is a Booster, which has probabilities only.
        """
        if self._model is not None:
            raise NoClassLabelsError(
                "a lightgbm.Booster predicts probabilities only: use image_predict_proba, and compare with a threshold."
            )
        pixels = data.reshape((-1, data.shape[-1]))
        return self._sklearn().predict(pixels, **kwargs).reshape(*data.shape[:-1])

    def image_predict_proba(self, data: NDArray[Any], **kwargs: Any) -> NDArray[Any]:
        """Probabilities of the classes of all pixels.

        :param data: Array (N, height, width, bands).
        :param kwargs: For the classifier: ``Booster.predict`` or ``predict_proba``.
        :return: Array (N, height, width, classes); float64 with two classes for a Booster.
        :raises ModelError: a Booster of several classes, or one with another number of features.
        """
        if self._model is None:
            probabilities = self._sklearn().predict_proba(data.reshape((-1, data.shape[-1])), **kwargs)
            return probabilities.reshape(*data.shape[:-1], probabilities.shape[-1])
        probability = np.empty(data.shape[:-1])
        self._fill(probability, data, None, kwargs)
        return np.stack([1.0 - probability, probability], axis=-1)

    def image_predict_cloud(
        self, data: NDArray[Any], columns: Sequence[int] | None = None, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Probabilities of the second class, without the copies that ``image_predict_proba`` takes.

        :param data: Array (N, height, width, bands).
        :param columns: Which bands are the model's features, in its order; None for all.
        :param kwargs: As of ``image_predict_proba``.
        :return: float32 (N, height, width).
        """
        if self._model is None:
            chosen = data if columns is None else data[..., columns]
            return self.image_predict_proba(chosen, **kwargs)[..., 1].astype(np.float32)
        result = np.empty(data.shape[:-1], dtype=np.float32)
        self._fill(result, data, columns, kwargs)
        return result

    def _fill(
        self,
        result: NDArray[Any],
        data: NDArray[Any],
        columns: Sequence[int] | None,
        options: Mapping[str, Any],
    ) -> None:
        predict = self._predict_rows(columns, options)
        for rows, part in _rows_and_results(data, result):
            part[...] = predict(rows).reshape(part.shape)

    def _predict_rows(
        self, columns: Sequence[int] | None, options: Mapping[str, Any]
    ) -> Callable[[NDArray[Any]], NDArray[Any]]:
        assert self._model is not None
        if options.get("pred_leaf") or options.get("pred_contrib"):
            raise ConfigurationError(
                "pred_leaf and pred_contrib give no probabilities: call the Booster's own predict."
            )
        for_engine = _options_of_engine(options)
        if for_engine is None:
            booster = self._model.booster
            LOGGER.warning("%s: LightGBM predicts with these options, at its own speed.", ", ".join(sorted(options)))
            return lambda rows: np.asarray(booster.predict(rows if columns is None else rows[:, columns], **options))
        forest, (raw_score, threads) = self._model.forest, for_engine
        if forest.n_outputs != 1:
            raise ModelError(
                f"the model has {forest.n_outputs} classes where one of two (cloud or not) is due: use eotasks.Forest."
            )
        return lambda rows: forest.predict(
            as_lightgbm_reads(rows), columns=columns, raw_score=raw_score, threads=threads
        )

    def _sklearn(self) -> ClassifierType:
        assert self._other is not None
        return self._other


def as_lightgbm_reads(rows: NDArray[Any]) -> NDArray[np.float32] | NDArray[np.float64]:
    """float32 and float64 of this machine's byte order as they are; every other dtype as float32."""
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float32)


def _rows_and_results(data: NDArray[Any], result: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Pixels (n, bands) and a view of their results, a bounded number at a time: only those are ever copied."""
    if data.flags.c_contiguous or data.ndim < 3:
        data, result = data.reshape(-1, data.shape[-1]), result.reshape(-1)
    elif data.ndim > 3:
        for index in range(len(data)):
            yield from _rows_and_results(data[index], result[index])
        return
    step = max(1, CHUNK_PIXELS // max(1, int(np.prod(data.shape[1:-1]))))
    for start in range(0, len(data), step):
        part = slice(start, start + step)
        yield data[part].reshape(-1, data.shape[-1]), result[part]


def _options_of_engine(options: Mapping[str, Any]) -> tuple[bool, int | None] | None:
    """(raw score, threads) of options of ``Booster.predict``; None where only LightGBM knows what they do."""
    rest = {name: value for name, value in options.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
    raw_score = bool(rest.pop("raw_score", False))
    given = [int(rest.pop(name)) for name in _THREADS if name in rest]
    threads = given[0] if given and given[0] > 0 else None
    return None if rest else (raw_score, threads)


def _is_booster(classifier: object) -> TypeGuard[Booster]:
    """Whoever has made a Booster has imported LightGBM, so that nobody else pays for it."""
    lightgbm = sys.modules.get("lightgbm")
    return lightgbm is not None and isinstance(classifier, lightgbm.Booster)


def _missing_method(classifier: object) -> str | None:
    names = ("predict", "predict_proba")
    return next((name for name in names if not callable(getattr(classifier, name, None))), None)


def _load(path: str | os.PathLike[str]) -> Forest:
    from eotasks.models.forest import Forest

    return Forest.load(path)


def _booster_of(path: str | os.PathLike[str]) -> Booster:
    where = os.fspath(path)
    try:
        text = read_regular(path, MODEL_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{where} is no LightGBM model text.") from error
    except OSError as error:
        raise ModelError(f"the model file {where} cannot be read: {reason_of(error)}.") from error
    booster: Booster = model_of_lightgbm(parse_model(text, where=where), where=where).booster()
    return booster

"""A trained model -> a map of classes and their scores."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.features import IMAGES, Feature, array_of, describe, feature_of
from eotasks.models.landcover import model as saved
from eotasks.models.landcover.model import CARD_FILE, CHUNK_VALUES, MODEL_FILE, LandCoverModel
from eotasks.models.scales import check_mask
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place


class PredictLandCoverTask(EOTask):
    """Land cover of every pixel: MASK_TIMELESS (h, w, 1) uint8 class ids, 0 where nothing was observed.

    The features are (t, h, w, c), resampled to the dates of the model; number, order and season of the dates, and the
    number (and names) of the features are checked against the model's card.
    """

    def __init__(
        self,
        feature: Feature,
        prediction_feature: Feature,
        *,
        model: str | Path | Place | LandCoverModel,
        scores_feature: Feature | None = None,
        valid_feature: Feature | None = None,
        feature_names: Sequence[str] | None = None,
        check_dates: bool = True,
        threads: int | None = None,
    ) -> None:
        """
        :param feature: Features, DATA (t, h, w, c); NaN is a missing value.
        :param prediction_feature: Output, a MASK_TIMELESS.
        :param model: Where a model was saved, a folder or ``s3://bucket/prefix``, read on first use in each process and
            never pickled; or a model.
        :param scores_feature: Output for the score 0..1 of each class, DATA_TIMELESS (h, w, k) float32, in the order
            of the card's classes; 0 where nothing was observed.
        :param valid_feature: A boolean mask, timeless or temporal; pixels that are never valid are not predicted.
        :param feature_names: Names of the c features, checked against the card when given.
        :param check_dates: Check that the patch's dates lie in the seasons of the card's dates.
        :param threads: Threads of the model, None for the setting. The values do not depend on it.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.feature = feature_of(feature, (FeatureType.DATA,))
        self.prediction_feature = feature_of(prediction_feature, (FeatureType.MASK_TIMELESS,))
        if not isinstance(model, str | Path | Place | LandCoverModel):
            raise ConfigurationError(
                f"model is a {type(model).__name__}: give the folder of a saved model, or a model."
            )
        self.model = str(model) if isinstance(model, Path | Place) else model
        self.scores_feature = (
            None if scores_feature is None else feature_of(scores_feature, (FeatureType.DATA_TIMELESS,))
        )
        masks = IMAGES - {FeatureType.DATA, FeatureType.DATA_TIMELESS}
        self.valid_feature = None if valid_feature is None else feature_of(valid_feature, masks)
        self.feature_names = None if feature_names is None else list(feature_names)
        self.check_dates = check_dates
        self.threads = threads

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the map, and the scores where asked for.

        :raises ModelError: when the model cannot be read, or the features do not fit its card.
        :raises FeatureError: when a feature is missing or has the wrong shape, or the mask is not boolean.
        """
        features = array_of(eopatch, self.feature, "stack and resample the features first")
        labels, scores = predict_image(
            features,
            self._model(),
            valid=None if self.valid_feature is None else self._valid(eopatch, self.valid_feature, features.shape[1:3]),
            feature_names=self.feature_names,
            dates=eopatch.timestamps if self.check_dates else None,
            threads=self.threads,
        )
        eopatch[self.prediction_feature] = labels[..., np.newaxis]
        if self.scores_feature is not None:
            eopatch[self.scores_feature] = scores
        return eopatch

    def _model(self) -> LandCoverModel:
        return self.model if isinstance(self.model, LandCoverModel) else cached_model(self.model)

    @staticmethod
    def _valid(eopatch: EOPatch, feature: Feature, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        mask = array_of(eopatch, feature, "add the mask first, or leave valid_feature out")
        if mask.shape[-3:] != (*shape, 1):
            raise FeatureError(f"Feature {describe(feature)} has shape {mask.shape}, the features {shape} pixels.")
        flags = check_mask(mask, name=describe(feature))[..., 0]
        return np.logical_or.reduce(flags, axis=0) if mask.ndim == 4 else flags


def predict_image(
    features: NDArray[np.floating[Any]],
    model: LandCoverModel,
    *,
    valid: NDArray[np.bool_] | None = None,
    feature_names: Sequence[str] | None = None,
    dates: Sequence[datetime] | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Classes and scores of the pixels of an image, a few rows at a time.

    :param features: (t, h, w, c), float32 or float64, NaN where missing. A pixel becomes a row of t * c columns with
        all features of the first date first, as the original example stacks them.
    :param valid: (h, w), False where no prediction is wanted.
    :return: Labels (h, w) uint8, 0 where invalid or all NaN; scores (h, w, k) float32, there 0.
    :raises ModelError: when the features do not fit the model's card.
    :raises FeatureError: when the features are not (t, h, w, c), or ``valid`` is not boolean.
    """
    if valid is not None:
        check_mask(valid, name="the valid mask")
    if features.ndim != 4:
        raise FeatureError(f"Features to predict from have shape {features.shape}: give (t, h, w, c).")
    times, height, width, channels = features.shape
    labels = np.zeros((height, width), np.uint8)
    scores = np.zeros((height, width, len(model.card.classes)), np.float32)
    step = max(1, CHUNK_VALUES // max(1, width * times * channels))
    for start in range(0, max(height, 1), step):  # an image without rows is still checked against the card
        part = slice(start, start + step)
        rows = pixel_rows(features[:, part])
        wanted = np.ones(len(rows), bool) if valid is None else valid[part].ravel()
        found, probabilities = model.predict(
            rows if wanted.all() else rows[wanted], feature_names=feature_names, dates=dates, threads=threads
        )
        labels[part][wanted.reshape(-1, width)] = found
        scores[part][wanted.reshape(-1, width)] = probabilities
        del rows, found, probabilities  # or they are there still while the next ones are made
    return labels, scores


def pixel_rows(features: NDArray[Any]) -> NDArray[Any]:
    """Rows for a model from features (t, h, w, c): (h * w, t * c), column ``date * c + feature``."""
    times, height, width, channels = features.shape
    return np.moveaxis(features, 0, 2).reshape(height * width, times * channels)


def load_model(location: str | Path | Place) -> LandCoverModel:
    """Load a model that was saved, and check that text and card belong together.

    :param location: A folder, or ``s3://bucket/prefix``.
    :raises ModelError: as :func:`eotasks.models.landcover.model.load_model`.
    :raises StorageError: when S3 cannot be read.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    return saved.load_model(Place(location) if isinstance(location, str) and is_s3(location) else location)


def cached_model(location: str) -> LandCoverModel:
    """A saved model, read once per process and again when its files have changed.

    :param location: A folder, or ``s3://bucket/prefix``; there only the card is read again, which names its text.
    :raises ModelError: as :func:`load_model`.
    :raises StorageError: when S3 cannot be read.
    """
    place = Place(location)
    if not place.is_local:
        if place.size(CARD_FILE) is None:
            return load_model(place)  # names what is missing
        return _load(place, place.read_tagged(CARD_FILE)[1])
    stamps = []
    for name in (MODEL_FILE, CARD_FILE):
        try:
            status = place.local_path(name).stat()
        except OSError:
            return load_model(location)
        stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return _load(place.local_path().resolve(), tuple(stamps))


@lru_cache(maxsize=2)
def _load(location: Path | Place, _stamps: Hashable) -> LandCoverModel:
    return load_model(location)

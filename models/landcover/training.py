"""Training, saving, loading and using a land-cover model: gradient-boosted trees over the time series of a pixel.

The method is that of eo-learn's land-cover example of Slovenia: all features at all resampled dates are the columns
of one row per pixel, and LightGBM with its default parameters separates the classes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from models.errors import ModelError
from models.landcover.card import CardClass, ModelCard, TrainingExtent, build_card, iso
from models.landcover.classes import NO_DATA, ClassTable
from models.threads import resolve_threads

if TYPE_CHECKING:
    from lightgbm import Booster

LOGGER = logging.getLogger(__name__)

MODEL_FILE = "model.txt"
CARD_FILE = "model.json"

DEFAULT_PARAMETERS: Mapping[str, JsonValue] = {
    "boosting": "gbdt",
    "num_iterations": 100,
    "learning_rate": 0.1,
    "num_leaves": 31,
    "max_depth": -1,
    "min_data_in_leaf": 20,
    "min_sum_hessian_in_leaf": 1e-3,
    "min_gain_to_split": 0.0,
    "bagging_fraction": 1.0,
    "bagging_freq": 0,
    "feature_fraction": 1.0,
    "lambda_l1": 0.0,
    "lambda_l2": 0.0,
    "max_bin": 255,
    "bin_construct_sample_cnt": 200_000,
    "class_weight": None,
}
"""What the example trains with: the defaults of ``lightgbm.LGBMClassifier`` under LightGBM's own names.

``class_weight`` is ours: ``None`` weighs every sample the same, ``"balanced"`` gives every class the same total weight.
"""

_SKLEARN_NAMES: Mapping[str, str] = {
    "boosting_type": "boosting",
    "n_estimators": "num_iterations",
    "min_child_samples": "min_data_in_leaf",
    "min_child_weight": "min_sum_hessian_in_leaf",
    "min_split_gain": "min_gain_to_split",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "subsample_for_bin": "bin_construct_sample_cnt",
}

_CHUNK_VALUES = 8_000_000  # input values of one call of the engine: bounds its float64 scores and buffers
_THREADS_LINE = re.compile(r"^\[num_threads: .*\]\n", re.MULTILINE)


class LandCoverModel:
    """A trained model: gives every row of features a class and a score per class.

    Cheap to pickle (the model's text and card); the engine is built at the first prediction of a process.

    :param text: LightGBM's text of the trees.
    :param card: The card that belongs to the text.
    :raises ModelError: when the text is not the one the card was written for.
    """

    def __init__(self, text: str, card: ModelCard) -> None:
        if sha256_of(text) != card.sha256:
            raise ModelError("the model's text is not the one its card was written for: save or copy both together.")
        self._text = text
        self._card = card
        self._booster: Booster | None = None

    def __getstate__(self) -> tuple[str, ModelCard]:
        return self._text, self._card

    def __setstate__(self, state: tuple[str, ModelCard]) -> None:
        self._text, self._card = state
        self._booster = None

    def __repr__(self) -> str:
        names = ", ".join(item.name for item in self._card.classes)
        return f"LandCoverModel({len(self._card.dates)} dates x {len(self._card.feature_names)} features -> {names})"

    @property
    def card(self) -> ModelCard:
        """What the model was trained on and expects."""
        return self._card

    @property
    def text(self) -> str:
        """LightGBM's text of the trees, the same for the same data and seed on any number of threads."""
        return self._text

    @property
    def scores_classes(self) -> ClassTable:
        """Classes in the order of the score columns."""
        return self._card.class_table

    def predict(
        self,
        features: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        dates: Sequence[str | date | datetime] | None = None,
        threads: int | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Classes and scores of rows of features.

        :param features: (n, dates * features), float32 or float64, column ``date * features + feature``; NaN is a
            missing value, and a row of NaN only is no observation: its label is 0 and its scores are 0.
        :param feature_names: Names of the features of a date, checked against the card when given.
        :param dates: Dates of the input, checked against the card when given (see :meth:`ModelCard.check_dates`).
        :param threads: Threads of LightGBM, None for the setting. The values do not depend on it.
        :return: Labels (n,) uint8, ids of the class table, ties to the first class; scores (n, k) float32, sum 1, in
            the order of :attr:`scores_classes`.
        :raises ModelError: when the input does not fit the card, or holds infinity.
        """
        rows = _as_rows(features)
        self._card.check_columns(rows.shape[1])
        if feature_names is not None:
            self._card.check_features(feature_names)
        if dates is not None:
            self._card.check_dates(dates)
        ids = np.array([item.id for item in self._card.classes], np.uint8)
        labels = np.full(len(rows), NO_DATA, np.uint8)
        scores = np.zeros((len(rows), len(ids)), np.float32)
        threads = resolve_threads(threads)
        step = max(1, _CHUNK_VALUES // rows.shape[1])
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            observed = ~np.isnan(part).all(axis=1)
            if not observed.any():
                continue
            found = self._engine().predict(np.ascontiguousarray(part[observed]), num_threads=threads)
            found = np.asarray(found, np.float32)
            scores[start : start + step][observed] = found
            labels[start : start + step][observed] = ids[found.argmax(axis=1)]
        return labels, scores

    def feature_importance(self) -> NDArray[np.float64]:
        """Gain of each feature at each date, summed over all trees: (dates, features) float64, in the card's order."""
        gain = np.asarray(self._engine().feature_importance(importance_type="gain"), np.float64)
        return gain.reshape(len(self._card.dates), len(self._card.feature_names))

    def with_metrics(self, metrics: Mapping[str, JsonValue]) -> LandCoverModel:
        """The same model with the results of a validation on its card.

        :param metrics: Anything JSON can hold, such as ``Validation.to_dict()``; no NaN.
        :raises ModelError: for values that JSON cannot hold.
        """
        card = build_card(self._card.model_dump() | {"metrics": dict(metrics)})
        try:
            card.to_json()
        except ValueError as error:
            raise ModelError(f"the metrics hold a value JSON cannot hold ({error}): use None for undefined.") from error
        return LandCoverModel(self._text, card)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``model.txt`` and ``model.json`` into a folder, which is made when absent.

        Both files are complete under other names before the first is renamed; the card, which holds the checksum of
        the text, comes last. So a reader sees the old model, the new one, or is told that they do not fit.

        :return: The folder.
        :raises ModelError: when the folder cannot be written.
        """
        target = Path(folder)
        contents = {MODEL_FILE: self._text, CARD_FILE: self._card.to_json()}
        staged: dict[str, Path] = {}
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                staged[name] = _write_beside(target / name, content)
            for name in contents:
                staged.pop(name).replace(target / name)
        except OSError as error:
            raise ModelError(f"cannot write the model to {str(target)!r} ({error}): choose another folder.") from error
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)
        return target

    def _engine(self) -> Booster:
        if self._booster is None:
            self._booster = _build_booster(self._text, self._card)
        return self._booster


def train(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    classes: ClassTable,
    feature_names: Sequence[str],
    dates: Sequence[str | date | datetime],
    bands: Sequence[str] = (),
    indices: Mapping[str, Sequence[str]] | None = None,
    extent: TrainingExtent | None = None,
    simulated: bool = False,
    parameters: Mapping[str, JsonValue] | None = None,
    seed: int = 42,
    threads: int | None = None,
) -> LandCoverModel:
    """Train a land-cover model.

    Class ids need not be consecutive; a class of the table without a sample is not part of the model. Rows without a
    single value (all NaN) are left out. The same input and seed give the same text on any number of threads.

    :param features: (n, dates * features) float32, column ``date * features + feature``; NaN is a missing value.
    :param labels: (n,) ids of the class table; 0 (unlabelled) is refused.
    :param classes: Names and colours of the ids, for the card.
    :param feature_names: Names of the features of a date, such as ``["B02", ..., "NDVI"]``.
    :param dates: Dates of the features, ascending.
    :param bands: Bands that the features are made of, for the card.
    :param indices: Index name and its bands, for the card.
    :param extent: Where the samples lie, for the card.
    :param simulated: True when any observation is simulated, for the card.
    :param parameters: Values that differ from :data:`DEFAULT_PARAMETERS`, by those names or by the names of
        ``LGBMClassifier`` (``n_estimators``, ``min_child_samples`` ...).
    :param seed: Seed of LightGBM.
    :param threads: Threads of LightGBM, None for the setting.
    :raises ModelError: for input that does not fit together, fewer than two classes, unknown ids or parameters.
    """
    from lightgbm import Dataset
    from lightgbm import train as train_booster
    from lightgbm.basic import LightGBMError

    rows, ids = _training_rows(features, labels)
    settings = _settings(parameters)
    present, encoded, counts = np.unique(ids, return_inverse=True, return_counts=True)
    unknown = sorted(set(present.tolist()) - set(classes.ids))
    if unknown:
        raise ModelError(f"label {', '.join(map(str, unknown))} is not in the class table: add the class or map it.")
    known = [classes.by_id[int(value)] for value in present]
    if len(known) < 2:
        only = known[0].name if known else "none"
        raise ModelError(f"training needs samples of at least two classes, there is {only}: add labelled patches.")
    days = [iso(value) for value in dates]
    card: dict[str, Any] = {
        "feature_names": list(feature_names),
        "dates": days,
        "bands": list(bands),
        "indices": {name: list(members) for name, members in (indices or {}).items()},
        "classes": [CardClass(id=item.id, name=item.name, color=item.color) for item in known],
        "samples": {item.name: int(count) for item, count in zip(known, counts, strict=True)},
        "extent": extent,
        "simulated": simulated,
        "seed": seed,
        "parameters": settings,
        "packages": _versions("eotasks", "lightgbm", "numpy"),
    }
    # Checked before the work starts; the checksum is only known after it.
    build_card(card | {"sha256": "0" * 64}).check_columns(rows.shape[1])
    weight = None
    if settings["class_weight"] == "balanced":
        weight = (len(ids) / (len(counts) * counts))[encoded]
    engine = {name: value for name, value in settings.items() if name not in ("num_iterations", "class_weight")}
    engine |= {
        "objective": "multiclass",
        "num_class": len(known),
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,  # one thread sums a column's histogram, in the order of the rows; else it is timed
        "num_threads": resolve_threads(threads),
        "verbosity": -1,
    }
    dataset = Dataset(rows, label=encoded, weight=weight, feature_name=_column_names(days, feature_names))
    try:
        booster = train_booster(engine, dataset, num_boost_round=int(str(settings["num_iterations"])))
    except LightGBMError as error:
        raise ModelError(f"LightGBM refuses to train ({error}): check the parameters.") from error
    text = _THREADS_LINE.sub("", booster.model_to_string(num_iteration=-1))
    return LandCoverModel(text, build_card(card | {"sha256": sha256_of(text)}))


def load_model(folder: str | os.PathLike[str]) -> LandCoverModel:
    """Load a model that :meth:`LandCoverModel.save` wrote, and check that text and card belong together.

    :raises ModelError: when a file is missing, damaged, of a newer version, or not the one of the card.
    """
    source = Path(folder)
    texts = {}
    for name in (CARD_FILE, MODEL_FILE):
        try:
            texts[name] = (source / name).read_bytes().decode("utf-8")
        except FileNotFoundError as error:
            raise ModelError(f"there is no {name} in {str(source)!r}: give the folder a model was saved to.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"cannot read {str(source / name)!r} ({error}): save the model again.") from error
    card = ModelCard.from_json(texts[CARD_FILE], where=repr(str(source / CARD_FILE)))
    if sha256_of(texts[MODEL_FILE]) != card.sha256:
        raise ModelError(
            f"{str(source / MODEL_FILE)!r} is not the text its card was written for: save the model again."
        )
    model = LandCoverModel(texts[MODEL_FILE], card)
    model._engine()
    return model


def sha256_of(text: str) -> str:
    """Checksum of a model's text (UTF-8)."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _build_booster(text: str, card: ModelCard) -> Booster:
    from lightgbm import Booster
    from lightgbm.basic import LightGBMError

    try:
        booster = Booster(model_str=text)
    except LightGBMError as error:
        raise ModelError(f"the model's text is damaged ({error}): save the model again.") from error
    if booster.num_feature() != card.columns or booster.num_model_per_iteration() != len(card.classes):
        raise ModelError("the model's text has another number of columns or classes than its card: save it again.")
    return booster


def _as_rows(features: ArrayLike) -> NDArray[Any]:
    rows = np.asarray(features)
    if rows.ndim != 2:
        raise ModelError(f"features have shape {rows.shape}: give one row per pixel, (n, dates * features).")
    if not np.issubdtype(rows.dtype, np.floating):
        rows = rows.astype(np.float32)
    if np.isinf(rows).any():
        raise ModelError("features hold infinity: give NaN where a value is missing.")
    return rows


def _training_rows(features: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows with at least one value, and their ids."""
    rows, ids = _as_rows(features), np.asarray(labels)
    if ids.ndim != 1 or len(ids) != len(rows):
        raise ModelError(f"there are {len(rows)} rows of features but labels of shape {ids.shape}: give one per row.")
    if ids.dtype.kind not in "iu":
        raise ModelError(f"labels have dtype {ids.dtype}: give whole numbers, the ids of the class table.")
    if (ids == NO_DATA).any():
        raise ModelError(f"{int((ids == NO_DATA).sum())} labels are 0, which is unlabelled: leave those pixels out.")
    observed = ~np.isnan(rows).all(axis=1)
    if not observed.all():
        LOGGER.warning("left out %d of %d samples without a single valid value", int((~observed).sum()), len(rows))
        rows, ids = rows[observed], ids[observed]
    return np.ascontiguousarray(rows), ids.astype(np.int64)


def _settings(parameters: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    given: dict[str, JsonValue] = {}
    for name, value in (parameters or {}).items():
        own_name = _SKLEARN_NAMES.get(name, name)
        if own_name in given:
            raise ModelError(f"parameter {own_name} is given twice, the second time as {name}: keep one.")
        given[own_name] = value
    unknown = sorted(set(given) - set(DEFAULT_PARAMETERS))
    if unknown:
        raise ModelError(f"parameter {', '.join(unknown)} is not known: use {', '.join(DEFAULT_PARAMETERS)}.")
    settings = dict(DEFAULT_PARAMETERS) | given
    if settings["class_weight"] not in (None, "balanced"):
        raise ModelError(f"class_weight={settings['class_weight']!r}: use None or 'balanced'.")
    rounds = settings["num_iterations"]
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ModelError(f"num_iterations={rounds!r}: give a whole number of at least 1.")
    return settings


def _column_names(dates: Sequence[str], feature_names: Sequence[str]) -> list[str]:
    # LightGBM takes no JSON punctuation in names, and a time of day has colons.
    return [f"{day.replace(':', '')}_{name}" for day in dates for name in feature_names]


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # a checkout that is not installed has no version
    return found


def _write_beside(path: Path, content: str) -> Path:
    """Write a file completely under a temporary name in the same folder."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    Path(name).chmod(0o644)  # mkstemp gives 0600, which other readers of a shared folder cannot open
    return Path(name)

"""Training a land-cover model: gradient-boosted trees over the time series of a pixel.

The method is that of eo-learn's land-cover example of Slovenia: all features at all resampled dates are the columns
of one row per pixel, and LightGBM with its default parameters separates the classes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from eotasks.errors import ModelError
from eotasks.models.classes import NO_DATA, ClassTable, LandCoverClass
from eotasks.models.landcover.card import CardClass, TrainingExtent, build_card, iso
from eotasks.models.landcover.model import CARD_FILE as CARD_FILE
from eotasks.models.landcover.model import MODEL_FILE as MODEL_FILE
from eotasks.models.landcover.model import LandCoverModel as LandCoverModel
from eotasks.models.landcover.model import as_rows, sha256_of
from eotasks.models.landcover.model import load_model as load_model
from eotasks.models.landcover.parameters import DEFAULT_PARAMETERS as DEFAULT_PARAMETERS
from eotasks.models.landcover.parameters import TrainingParameters, training_parameters
from eotasks.models.threads import resolve_threads

LOGGER = logging.getLogger(__name__)

_THREADS_LINE = re.compile(r"^\[num_threads: .*\]\n", re.MULTILINE)


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
    settings = training_parameters(parameters)
    present, encoded, counts = np.unique(ids, return_inverse=True, return_counts=True)
    known = _known_classes(present, classes)
    _warn_of_rare(known, counts, settings)
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
        "parameters": settings.model_dump(),
        "packages": _versions("eotasks", "lightgbm", "numpy"),
    }
    # Checked before the work starts; the checksum is only known after it.
    build_card(card | {"sha256": "0" * 64}).check_columns(rows.shape[1])
    weight = (len(ids) / (len(counts) * counts))[encoded] if settings.class_weight == "balanced" else None
    dataset = Dataset(rows, label=encoded, weight=weight, feature_name=_column_names(days, feature_names))
    try:
        booster = train_booster(
            _engine_parameters(settings, len(known), seed, threads), dataset, settings.num_iterations
        )
    except LightGBMError as error:
        raise ModelError(f"LightGBM refuses to train ({error}): check the parameters.") from error
    text = _THREADS_LINE.sub("", booster.model_to_string(num_iteration=-1))
    return LandCoverModel(text, build_card(card | {"sha256": sha256_of(text)}))


def _known_classes(present: NDArray[np.int64], classes: ClassTable) -> list[LandCoverClass]:
    unknown = sorted(set(present.tolist()) - set(classes.ids))
    if unknown:
        raise ModelError(f"label {', '.join(map(str, unknown))} is not in the class table: add the class or map it.")
    known = [classes.by_id[int(value)] for value in present]
    if len(known) < 2:
        only = f"only {known[0].name}" if known else "none"
        raise ModelError(f"training needs samples of at least two classes, there is {only}: add labelled patches.")
    return known


def _warn_of_rare(known: Sequence[LandCoverClass], counts: NDArray[np.int64], settings: TrainingParameters) -> None:
    # Without regularisation the scores of a class that cannot fill a leaf may run away, and take other classes along.
    smallest = settings.min_data_in_leaf
    if settings.lambda_l2:
        return
    for item, count in zip(known, counts, strict=True):
        if count < smallest:
            LOGGER.warning(
                "class %s has %d training samples, fewer than a leaf holds (%d): training may be unstable, add samples "
                "or set lambda_l2 to 1",
                item.name,
                count,
                smallest,
            )


def _engine_parameters(
    settings: TrainingParameters, classes: int, seed: int, threads: int | None
) -> dict[str, JsonValue]:
    return settings.model_dump(exclude={"num_iterations", "class_weight"}) | {
        "objective": "multiclass",
        "num_class": classes,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,  # one thread sums a column's histogram, in the order of the rows; else it is timed
        "num_threads": resolve_threads(threads),
        "verbosity": -1,
    }


def _training_rows(features: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows with at least one value, and their ids."""
    rows, ids = as_rows(features), np.asarray(labels)
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

"""Samples of all patches to a model, validated on what it has not seen, once per seed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from eolearn.core import FeatureType
from numpy.typing import NDArray

import eotasks
from eotasks.area import Patch
from eotasks.eopatches.load import load_eopatch
from eotasks.errors import GridError, ModelError
from eotasks.models.landcover.card import TrainingExtent
from eotasks.models.landcover.record import TrainingRecord, load_record, recorded_key
from eotasks.models.landcover.splits import checkerboard
from eotasks.models.landcover.training import LandCoverModel, train
from eotasks.models.landcover.validation import (
    RocCurve,
    SeedSpread,
    Validation,
    confusion_matrix,
    roc_curves,
    spread_of,
    summarize,
)
from eotasks.models.sampling import patch_generator, sample_pixels
from eotasks.series import INDICES
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import ResolvedFeatures

LOGGER = logging.getLogger(__name__)

FEATURES_SAMPLED = (FeatureType.DATA, "FEATURES_SAMPLED")
LABELS_SAMPLED = (FeatureType.MASK_TIMELESS, "LULC_ERODED_SAMPLED")
SAMPLE_PIXELS = (FeatureType.MASK_TIMELESS, "SAMPLE_ROWS_COLS")

_CODE = ("models/landcover", "models/forest", "models/sampling.py", "workflows/land_cover/training.py")
"""What a trained model and its scores depend on of us."""

_PACKAGES = ("eotasks", "lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels of all patches, one row each."""

    features: NDArray[np.float32]
    """(n, dates * features), column ``date * features + feature``."""

    labels: NDArray[np.uint8]
    """(n,) class ids, none of them 0."""

    patch: NDArray[np.int64]
    """(n,) position of the pixel's patch in ``patches``."""

    rows: NDArray[np.int64]
    """(n,) row in the whole area's grid of patches."""

    columns: NDArray[np.int64]
    """(n,) column likewise."""

    patches: tuple[Patch, ...]
    dates: tuple[dt.datetime, ...]

    def of(self, names: frozenset[str]) -> NDArray[np.bool_]:
        """(n,) true for samples of the named patches."""
        chosen = np.array([patch.name in names for patch in self.patches], dtype=bool)
        return np.asarray(chosen[self.patch], dtype=bool)


@dataclass(frozen=True, eq=False)
class Trained:
    """The model of the map and how well it does on what was held out."""

    model: LandCoverModel
    validation: Validation
    """With the first seed, whose training samples made the model (with blocks: both colours, each tested once)."""

    seeds: SeedSpread
    roc: list[RocCurve]
    train_counts: dict[int, int]
    test_counts: dict[int, int]

    def save(self, place: Place, key: str) -> None:
        """Keeps the model, and all of this beside it.

        :param key: Of the training, as :func:`training_key` makes it.
        """
        validations = dict(zip(self.seeds.seeds, self.seeds.validations, strict=True))
        TrainingRecord(key, self.model, validations, self.roc, self.train_counts, self.test_counts).save(place)


def trained_before(place: Place, key: str, resolved: ResolvedFeatures) -> Trained | None:
    """What a place has of the same training; None where it has none, or not all of it.

    :param key: Of the training, as :func:`training_key` makes it.
    """
    if recorded_key(place) != key:
        return None
    record = load_record(place, resolved.classes)
    if record is None or not record.validations:
        LOGGER.warning("What %s has of the same training is damaged: the model is trained anew.", place)
        return None
    return Trained(
        model=record.model,
        validation=next(iter(record.validations.values())),
        seeds=spread_of(record.validations),
        roc=record.roc,
        train_counts=record.train_counts,
        test_counts=record.test_counts,
    )


def training_key(
    samples: Samples, config: LandCoverConfig, resolved: ResolvedFeatures, splits: dict[int, frozenset[str]]
) -> str:
    """A text that changes with whatever a training depends on: samples, settings, our code and the packages."""
    settings = {
        "seeds": [[seed, sorted(test)] for seed, test in splits.items()],
        "validation": config.validation.model_dump(mode="json"),
        "per_class": config.sampling.per_class,
        "parameters": config.model.model_dump(mode="json"),
        "names": resolved.names,
        "bands": resolved.bands,
        "indices": {name: INDICES[name] for name in resolved.indices if name in INDICES},
        "classes": [[item.id, item.name, item.color] for item in resolved.classes],
        "simulated": config.source.is_simulated,
        "patches": [[patch.name, patch.crs, list(patch.bbox)] for patch in samples.patches],
        "dates": [time.isoformat() for time in samples.dates],
        "code": _digest_of_code(),
        "packages": {name: version(name) for name in _PACKAGES},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in (samples.features, samples.labels, samples.patch, samples.rows, samples.columns):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _digest_of_code() -> str:
    """Of the modules that train and validate: a checkout changes without its version."""
    root = Path(eotasks.__file__).parent
    digest = hashlib.sha256()
    for part in _CODE:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def load_samples(place: Place, patches: Sequence[Patch]) -> Samples:
    """Gather the samples that the first workflow left in the features' EOPatches.

    :param place: Place of the features.
    :param patches: Patches that are complete there.
    :raises GridError: when patches have different dates.
    :raises ModelError: when no patch has a labelled pixel, or all are of one class.
    """
    parts, dates = [], None
    offsets = grid_offsets(patches)
    for position, patch in enumerate(patches):
        eopatch = load_eopatch(place, patch.name, features=[FEATURES_SAMPLED, LABELS_SAMPLED, SAMPLE_PIXELS])
        times = tuple(eopatch.timestamps or ())
        dates = times if dates is None else dates
        if times != dates:
            raise GridError(
                f"Patch {patch.name} has {len(times)} dates from {times[0]:%Y-%m-%d}, the ones before it {len(dates)}"
                f" from {dates[0]:%Y-%m-%d}: set features.step_days, so that all patches get the same dates."
            )
        pixels = eopatch[SAMPLE_PIXELS][:, 0].astype(np.int64)
        rows = as_rows(eopatch[FEATURES_SAMPLED][:, :, 0])
        parts.append((rows, eopatch[LABELS_SAMPLED].ravel(), np.full(len(rows), position), pixels + offsets[position]))
    if not parts or not sum(len(part[0]) for part in parts):
        raise ModelError(
            f"None of the {len(patches)} patches has a labelled pixel: check that the reference covers the area and"
            " that reference.erosion_radius leaves something of its polygons."
        )
    labels = np.concatenate([part[1] for part in parts]).astype(np.uint8)
    if labels.min() == labels.max():
        raise ModelError(
            f"All {labels.size} labelled pixels are of class {labels[0]}, and a model needs at least two: map"
            " more values in reference.classes, or choose a larger area."
        )
    pixels = np.concatenate([part[3] for part in parts])
    return Samples(
        features=np.concatenate([part[0] for part in parts]),
        labels=labels,
        patch=np.concatenate([part[2] for part in parts]).astype(np.int64),
        rows=pixels[:, 0],
        columns=pixels[:, 1],
        patches=tuple(patches),
        dates=dates or (),
    )


def grid_offsets(patches: Sequence[Patch]) -> NDArray[np.int64]:
    """(n, 2) row and column of each patch's first pixel in the grid of all patches of its CRS, whatever their sizes."""
    corners: dict[str, tuple[float, float]] = {}
    for patch in patches:
        top, left = corners.get(patch.crs, (-np.inf, np.inf))
        corners[patch.crs] = max(top, patch.bbox.max_y), min(left, patch.bbox.min_x)
    offsets = np.empty((len(patches), 2), dtype=np.int64)
    for index, patch in enumerate(patches):
        (top, left), box = corners[patch.crs], patch.bbox
        offsets[index] = (
            round((top - box.max_y) * patch.height / (box.max_y - box.min_y)),
            round((box.min_x - left) * patch.width / (box.max_x - box.min_x)),
        )
    return offsets


def as_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(t, n, c) to the model's rows (n, t * c), column ``date * features + feature``."""
    dates, count, width = features.shape
    return np.ascontiguousarray(features.transpose(1, 0, 2)).reshape(count, dates * width)


def train_and_validate(
    samples: Samples, config: LandCoverConfig, resolved: ResolvedFeatures, splits: dict[int, frozenset[str]]
) -> Iterator[tuple[int, Validation] | Trained]:
    """Validate once per seed, and train the model of the map with the first one.

    A seed moves the split (which patches are held out, or where the checkerboard lies) and the draw of capped training
    samples: LightGBM's defaults draw nothing themselves.

    :param splits: Names of the patches held out by each seed; empty sets where blocks are.
    :return: (seed, validation) as they come, then what was trained.
    """
    first, *_ = splits
    trainer = _Trainer(samples, config, resolved)
    validations: dict[int, Validation] = {}
    for seed, test in splits.items():
        folds = list(trainer.folds(test, seed))
        predictions = [trainer.fit_and_score(fold, seed) for fold in folds]
        matrices = [
            confusion_matrix(samples.labels[f.test], p.labels, resolved.classes)
            for f, p in zip(folds, predictions, strict=True)
        ]
        validations[seed] = summarize(sum(matrices[1:], start=matrices[0]))
        yield seed, validations[seed]
        if seed == first:
            main_folds, main_predictions = folds, predictions
    model = main_predictions[0].model
    training = main_folds[0].training
    if config.validation.split == "blocks":
        # Each colour was tested by a model of the other one; the map is made by a model of both.
        training = trainer.capped(np.ones(len(samples.labels), dtype=bool), first)
        model = trainer.train(training, first)
    tested = np.concatenate([fold.test for fold in main_folds])
    yield Trained(
        model=model.with_metrics({"validation": validations[first].to_dict()}),
        validation=validations[first],
        seeds=spread_of(validations),
        roc=_roc(samples, main_folds, main_predictions),
        train_counts=_counts(samples.labels[training]),
        test_counts=_counts(samples.labels[tested]),
    )


@dataclass(frozen=True, eq=False)
class _Fold:
    training: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Prediction:
    model: LandCoverModel
    labels: NDArray[np.uint8]
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Trainer:
    """Models of some of the samples, as configured."""

    samples: Samples
    config: LandCoverConfig
    resolved: ResolvedFeatures

    def folds(self, test: frozenset[str], seed: int) -> Iterator[_Fold]:
        """Training and test samples: one fold of patches, or one for each colour of a checkerboard."""
        samples, validation = self.samples, self.config.validation
        if validation.split == "patches":
            held_out = samples.of(test)
            if not held_out.any():
                raise ModelError(
                    f"The held-out patches ({', '.join(sorted(test))}) have no labelled pixel: choose others in"
                    " validation.test_patches, or split by blocks."
                )
            yield _Fold(self.capped(~held_out, seed), np.flatnonzero(held_out))
            return
        colour = checkerboard(samples.rows, samples.columns, validation.block_size, seed=seed)
        for test_colour in (0, 1):
            held_out = colour == test_colour
            if held_out.all() or not held_out.any():
                raise ModelError(
                    "All labelled pixels lie on one colour of the checkerboard: make validation.block_size smaller."
                )
            yield _Fold(self.capped(~held_out, seed), np.flatnonzero(held_out))

    def capped(self, allowed: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
        """Training samples, at most ``per_class`` of each class in each patch."""
        limit, samples = self.config.sampling.per_class, self.samples
        if limit is None:
            return np.flatnonzero(allowed)
        chosen = []
        for position, patch in enumerate(samples.patches):
            members = np.flatnonzero(allowed & (samples.patch == position))
            if members.size:
                _, columns = sample_pixels(
                    samples.labels[members][np.newaxis], per_class=limit, rng=patch_generator(seed, patch.name)
                )
                chosen.append(members[columns])
        return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)

    def fit_and_score(self, fold: _Fold, seed: int) -> _Prediction:
        """A model of the training samples, and what it makes of the test samples."""
        model = self.train(fold.training, seed)
        labels, scores = model.predict(self.samples.features[fold.test], threads=self.config.run.threads)
        return _Prediction(model, labels, scores)

    def train(self, training: NDArray[np.int64], seed: int) -> LandCoverModel:
        """A model of some samples."""
        samples, config, resolved = self.samples, self.config, self.resolved
        return train(
            samples.features[training],
            samples.labels[training],
            classes=resolved.classes,
            feature_names=resolved.names,
            dates=[time.date() for time in samples.dates],
            bands=resolved.bands,
            indices={name: INDICES[name] for name in resolved.indices if name in INDICES},
            extent=_extent(samples.patches),
            simulated=config.source.is_simulated,
            parameters=config.model.parameters,
            seed=seed,
            threads=config.run.threads,
        )


def _extent(patches: Sequence[Patch]) -> TrainingExtent:
    """Box around all patches of the first one's CRS."""
    boxes = [tuple(patch.bbox) for patch in patches if patch.bbox.crs == patches[0].bbox.crs]
    left, bottom, right, top = zip(*boxes, strict=True)
    return TrainingExtent(crs=f"EPSG:{patches[0].bbox.crs.epsg}", bbox=(min(left), min(bottom), max(right), max(top)))


def _roc(samples: Samples, folds: Sequence[_Fold], predictions: Sequence[_Prediction]) -> list[RocCurve]:
    """Curves over all folds; models of two folds may know different classes, then the common ones count."""
    common = set.intersection(*(set(item.model.scores_classes.ids) for item in predictions))
    table = predictions[0].model.scores_classes
    table = type(table)(tuple(item for item in table if item.id in common))
    scores = [
        item.scores[:, [item.model.scores_classes.ids.index(class_id) for class_id in table.ids]]
        for item in predictions
    ]
    truth = np.concatenate([samples.labels[fold.test] for fold in folds])
    return roc_curves(truth, np.concatenate(scores), table)


def _counts(labels: NDArray[np.uint8]) -> dict[int, int]:
    ids, counts = np.unique(labels, return_counts=True)
    return {int(class_id): int(count) for class_id, count in zip(ids, counts, strict=True)}

"""What a training has measured, kept beside its model, so that the same training need not be done again.

Numbers come back as they were, in every bit. A record that is absent, damaged or of another training is none: then the
model is trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eotasks.documents import parse_json_object
from eotasks.errors import ModelError
from eotasks.limits import MODEL_BYTES
from eotasks.models.classes import ClassTable
from eotasks.models.landcover.model import FileStore, LandCoverModel, load_model
from eotasks.models.landcover.validation import ConfusionMatrix, RocCurve, Validation, summarize

RECORD_VERSION = 1
"""Of the record that this code writes; one of another version is none."""

RECORD_FILE = "training.json"
CURVES_FILE = "roc.f64"
"""The two rates of each curve, one after the other: float64, little-endian."""


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """A model and what was measured about it."""

    key: str
    """Changes with whatever the training depends on: samples, settings, code."""

    model: LandCoverModel
    validations: dict[int, Validation]
    """By seed, in their order."""

    roc: list[RocCurve]
    train_counts: dict[int, int]
    test_counts: dict[int, int]

    def save(self, store: FileStore) -> None:
        """Writes all of it; the record, which holds the checksums of the others, comes last.

        :raises StorageError: when the store cannot be written.
        """
        self.model.save(store)
        curves = b"".join(
            np.asarray(rates, "<f8").tobytes()
            for curve in self.roc
            for rates in (curve.false_positive_rate, curve.true_positive_rate)
        )
        content = {
            "version": RECORD_VERSION,
            "key": self.key,
            "model": self.model.card.sha256,
            "card": _digest(self.model.card.to_json().encode()),
            "curves": _digest(curves),
            "roc": [
                {"id": curve.class_id, "name": curve.name, "auc": curve.auc, "points": len(curve.true_positive_rate)}
                for curve in self.roc
            ],
            "seeds": [[seed, _plain(validation.matrix)] for seed, validation in self.validations.items()],
            "train_counts": [list(each) for each in self.train_counts.items()],
            "test_counts": [list(each) for each in self.test_counts.items()],
        }
        store.write_bytes(CURVES_FILE, curves)
        store.write_bytes(RECORD_FILE, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def recorded_key(store: FileStore) -> str | None:
    """The key of the record in a store; None where there is none that this code reads."""
    content = _content(store)
    return None if content is None else str(content.get("key"))


def load_record(store: FileStore, classes: ClassTable) -> TrainingRecord | None:
    """The record of a store, with its model; None where one of its files is absent or damaged.

    :param classes: The class table that the validations were made with.
    :raises StorageError: when the store cannot be read.
    """
    content = _content(store)
    if content is None:
        return None
    try:
        model = load_model(store)
        card = _digest(model.card.to_json().encode())
        if (model.card.sha256, card) != (content["model"], content["card"]) or not store.exists(CURVES_FILE):
            return None
        curves = store.read_bytes(CURVES_FILE, MODEL_BYTES)
        if _digest(curves) != content["curves"]:
            return None
        return TrainingRecord(
            key=str(content["key"]),
            model=model,
            validations={int(seed): summarize(_matrix(of, classes)) for seed, of in content["seeds"]},
            roc=_curves(content["roc"], curves),
            train_counts=_counts(content["train_counts"]),
            test_counts=_counts(content["test_counts"]),
        )
    except (ModelError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _content(store: FileStore) -> dict[str, Any] | None:
    if not store.exists(RECORD_FILE):
        return None
    try:
        content = parse_json_object(store.read_bytes(RECORD_FILE, MODEL_BYTES), ModelError)
    except ModelError:
        return None
    return content if content.get("version") == RECORD_VERSION else None


def _plain(matrix: ConfusionMatrix) -> dict[str, Any]:
    return {
        "classes": list(matrix.classes.ids),
        "counts": matrix.counts.tolist(),
        "unpredicted": matrix.unpredicted.tolist(),
    }


def _matrix(plain: Mapping[str, Any], classes: ClassTable) -> ConfusionMatrix:
    known = {item.id: item for item in classes}
    table = ClassTable(tuple(known[int(class_id)] for class_id in plain["classes"]))
    counts = np.array(plain["counts"], dtype=np.int64)
    unpredicted = np.array(plain["unpredicted"], dtype=np.int64)
    if counts.shape != (len(table), len(table)) or unpredicted.shape != (len(table),):
        raise ValueError("a confusion matrix of another size")
    return ConfusionMatrix(counts, table, unpredicted)


def _curves(plain: Sequence[Mapping[str, Any]], content: bytes) -> list[RocCurve]:
    values, start, curves = np.frombuffer(content, "<f8").astype(np.float64), 0, []
    for each in plain:
        points = int(each["points"])
        rates = values[start : start + 2 * points]
        if points < 1 or len(rates) != 2 * points:
            raise ValueError("a curve of another length")
        curves.append(RocCurve(int(each["id"]), str(each["name"]), rates[:points], rates[points:], float(each["auc"])))
        start += 2 * points
    return curves


def _counts(plain: Sequence[Sequence[int]]) -> dict[int, int]:
    return {int(class_id): int(count) for class_id, count in plain}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

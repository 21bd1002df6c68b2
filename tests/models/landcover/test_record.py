"""What a training has measured comes back in every bit, or not at all."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eotasks.models.classes import ClassTable
from eotasks.models.landcover.record import CURVES_FILE, RECORD_FILE, TrainingRecord, load_record, recorded_key
from eotasks.models.landcover.training import train
from eotasks.models.landcover.validation import evaluate, roc_curves
from eotasks.storage.place import Place

CLASSES = ClassTable.from_list(
    [{"id": 2, "name": "forest", "color": "#006400"}, {"id": 5, "name": "water", "color": "#0000ff"},
     {"id": 9, "name": "sand", "color": "#ffff00"}]
)  # fmt: skip


@pytest.fixture(scope="module")
def record() -> TrainingRecord:
    rng = np.random.default_rng(3)
    labels = np.array([2, 5])[rng.integers(0, 2, 400)].astype(np.uint8)
    features = (rng.normal(size=(400, 2)) + labels[:, np.newaxis] / 5).astype(np.float32)
    model = train(
        features, labels, classes=CLASSES, feature_names=["B02", "NDVI"], dates=[dt.date(2019, 6, 1)],
        simulated=True, parameters={"num_iterations": 3}, seed=1,
    )  # fmt: skip
    found, scores = model.predict(features)
    truth = labels.copy()
    truth[:7] = 9  # a class that the model does not know
    found[20:22] = 0  # pixels without a prediction
    validations = {42: evaluate(truth, found, CLASSES), 7: evaluate(labels, found, CLASSES)}
    roc = roc_curves(labels, scores, model.scores_classes)
    return TrainingRecord("a key", model, validations, roc, {2: 190, 5: 210}, {2: 3})


def test_all_of_it_comes_back_in_every_bit(record: TrainingRecord, tmp_path: Path) -> None:
    place = Place(tmp_path / "model")
    assert recorded_key(place) is None
    assert load_record(place, CLASSES) is None
    record.save(place)
    assert recorded_key(place) == "a key"
    found = load_record(place, CLASSES)
    assert found is not None
    assert (found.model.text, found.model.card) == (record.model.text, record.model.card)
    assert list(found.validations) == [42, 7]
    for seed, validation in record.validations.items():
        assert found.validations[seed].to_dict() == validation.to_dict()
        assert found.validations[seed].matrix.classes == validation.matrix.classes
        assert repr(found.validations[seed].per_class) == repr(validation.per_class)  # NaN among them
    assert (found.train_counts, found.test_counts) == (record.train_counts, record.test_counts)
    assert len(found.roc) == len(record.roc) == 2
    for curve, before in zip(found.roc, record.roc, strict=True):
        assert (curve.class_id, curve.name, curve.auc) == (before.class_id, before.name, before.auc)
        assert curve.true_positive_rate.tobytes() == before.true_positive_rate.tobytes()
        assert curve.false_positive_rate.tobytes() == before.false_positive_rate.tobytes()


def changed(key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / RECORD_FILE).read_text())
        (folder / RECORD_FILE).write_text(json.dumps({**content, key: value}))

    return change


DAMAGED: dict[str, Callable[[Path], object]] = {
    "no curves": lambda folder: (folder / CURVES_FILE).unlink(),
    "cut curves": lambda folder: (folder / CURVES_FILE).write_bytes(b"1234567"),
    "no model": lambda folder: (folder / "model.txt").unlink(),
    "another model": lambda folder: (folder / "model.txt").write_text("tree"),
    "no card": lambda folder: (folder / "model.json").unlink(),
    "another card": lambda folder: (folder / "model.json").write_text(
        (folder / "model.json").read_text().replace("#006400", "#006401")
    ),
    "no JSON": lambda folder: (folder / RECORD_FILE).write_bytes(b"{"),
    "a list": lambda folder: (folder / RECORD_FILE).write_bytes(b"[]"),
    "another version": changed("version", 2),
    "no seeds": changed("seeds", None),
    "a class that is unknown": changed("seeds", [[1, {"classes": [3], "counts": [[1]], "unpredicted": [0]}]]),
    "no square": changed("seeds", [[1, {"classes": [2], "counts": [[1, 2]], "unpredicted": [0]}]]),
    "curves of another length": changed("roc", [{"id": 2, "name": "forest", "auc": 1, "points": 10**9}]),
    "curves of no length": changed("roc", [{"id": 2, "name": "forest", "auc": 1, "points": "many"}]),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_what_is_not_whole_is_none(record: TrainingRecord, tmp_path: Path, fault: str) -> None:
    place = Place(tmp_path / "model")
    record.save(place)
    DAMAGED[fault](place.local_path())
    assert load_record(place, CLASSES) is None

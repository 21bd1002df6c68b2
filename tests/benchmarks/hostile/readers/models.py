"""Models: LightGBM's text, stored forests, cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np

from eotasks.models.forest import Forest
from eotasks.models.landcover.card import ModelCard, iso
from eotasks.models.landcover.model import sha256_of
from tests.benchmarks.hostile.format import Format, Read

_LINES = (
    b"num_cat=1", b"num_leaves=0", b"num_leaves=-1", b"left_child=", b"cat_threshold=1 2 3", b"cat_boundaries=0 9",
    b"is_linear=1", b"average_output", b"tree_sizes=", b"end of trees", b"Tree=0", b"objective=lambdarank",
    b"version=v9",
)  # fmt: skip


def _booster(categorical: bool) -> lightgbm.Booster:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    rows[:, 5] = rng.integers(0, 6, 400)
    labels = (rows[:, 0] + (rows[:, 5] % 2) > 0.3).astype(int)
    data = lightgbm.Dataset(rows, labels, categorical_feature=[5] if categorical else "auto")
    settings = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lightgbm.train(settings, data, num_boost_round=4)


def _text(categorical: bool, folder: Path) -> tuple[Sequence[bytes], Read]:
    rows = np.random.default_rng(1).normal(size=(64, 6))
    file = folder / "model.txt"

    def read(content: bytes) -> object:
        file.write_bytes(content)
        forest = Forest.load(file)
        given = rows if forest.n_features == 6 else np.zeros((8, min(forest.n_features, 1000)))
        return forest.predict(given, threads=1)

    return [_booster(categorical).model_to_string().encode()], read


def _supported(folder: Path) -> tuple[Sequence[bytes], Read]:
    return _text(False, folder)


def _with_fallback(folder: Path) -> tuple[Sequence[bytes], Read]:
    return _text(True, folder)


def _stored(folder: Path) -> tuple[Sequence[bytes], Read]:
    sample = Forest.from_booster(_booster(False)).to_bytes()
    rows = np.random.default_rng(1).normal(size=(64, 6))

    def read(content: bytes) -> object:
        forest = Forest.from_bytes(content)
        given = rows if forest.n_features == 6 else np.zeros((8, min(forest.n_features, 1000)))
        return forest.predict(given, threads=1)

    return [sample], read


def _cards(folder: Path) -> tuple[Sequence[bytes], Read]:
    card = ModelCard.model_validate(
        {
            "feature_names": ["NDVI", "NDWI"], "dates": ["2019-01-01", "2019-06-01T10:00:00+02:00"], "bands": ["B04"],
            "indices": {"NDVI": ["B08", "B04"]}, "samples": {"forest": 10}, "simulated": True, "seed": 1,
            "classes": [{"id": n, "name": f"class {n}", "color": "#00ff00"} for n in (1, 2)],
            "extent": {"crs": "EPSG:32633", "bbox": [0, 0, 1, 1]}, "parameters": {"num_leaves": 31},
            "packages": {"lightgbm": "4"}, "metrics": {"accuracy": 0.9, "by": [{"a": None}]}, "sha256": sha256_of("x"),
        }
    )  # fmt: skip

    def read(content: bytes) -> object:
        found = ModelCard.from_json(content.decode("utf-8", "surrogateescape"))
        found.check_dates(found.dates)
        found.check_columns(found.columns)
        return [iso(date) for date in found.dates], found.class_table, found.to_json()

    return [card.to_json().encode()], read


FORMATS = (
    Format("lightgbm", "lines", _supported, _LINES),
    Format("lightgbm-fallback", "lines", _with_fallback, _LINES),
    Format("forest", "bytes", _stored, (b"NaN", b"1e400", b"\0" * 8, b"\xff" * 8, b"eotasks forest 2\n"), head=600),
    Format("card", "json", _cards, (b"NaN", b"1e400", b"null", b"[", b"{", b"\\ud800")),
)

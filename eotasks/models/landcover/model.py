"""A trained land-cover model: using it, saving it, loading it.

It needs nothing but LightGBM's text of the trees and the JSON card beside it, so that it outlives pickles. The tree
engine (``eotasks.models.forest``) predicts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from eotasks.durable import atomic_path, flush_file, make_folder
from eotasks.errors import EOTasksError, ModelError, UnsupportedModelError, reason_of
from eotasks.limits import MODEL_BYTES, Limit
from eotasks.models.classes import NO_DATA, ClassTable
from eotasks.models.forest.lightgbm_text import gains
from eotasks.models.landcover.card import ModelCard, build_card
from eotasks.models.threads import resolve_threads
from eotasks.reading import read_regular

if TYPE_CHECKING:
    from eotasks.models.forest import Forest

MODEL_FILE = "model.txt"
CARD_FILE = "model.json"

_CHECKED_ROWS = 1 << 16
CHUNK_VALUES = 8_000_000
"""Input values of one call of the engine: bounds its float64 scores and buffers, and 32 MB of float32 rows."""


class FileStore(Protocol):
    """Somewhere else than a folder of this machine that a model can be kept in, such as an ``eotasks`` place on S3."""

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name."""
        ...

    def read_bytes(self, path: str, limit: Limit) -> bytes:
        """The content of a file that has no more bytes than the limit."""
        ...

    def write_bytes(self, path: str, data: bytes) -> None:
        """Writes a file in one operation."""
        ...


Store = TypeVar("Store", bound=FileStore)


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
        self._forest: Forest | None = None

    def __getstate__(self) -> tuple[str, ModelCard]:
        return self._text, self._card

    def __setstate__(self, state: tuple[str, ModelCard]) -> None:
        self._text, self._card = state
        self._forest = None

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
        :param threads: Threads of the engine, None for the setting. The values do not depend on it.
        :return: Labels (n,) uint8, ids of the class table, ties to the first class; scores (n, k) float32, sum 1, in
            the order of :attr:`scores_classes`.
        :raises ModelError: when the input does not fit the card, or holds infinity.
        """
        rows = as_rows(features)
        self._card.check_columns(rows.shape[1])
        if feature_names is not None:
            self._card.check_features(feature_names)
        if dates is not None:
            self._card.check_dates(dates)
        ids = np.array([item.id for item in self._card.classes], np.uint8)
        labels = np.full(len(rows), NO_DATA, np.uint8)
        scores = np.zeros((len(rows), len(ids)), np.float32)
        threads = resolve_threads(threads)
        step = max(1, CHUNK_VALUES // rows.shape[1])
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            observed = ~np.isnan(part).all(axis=1)
            if not observed.any():
                continue
            rows_seen = part if observed.all() else part[observed]
            found = self._engine().predict(rows_seen, threads=threads).astype(np.float32)
            scores[start : start + step][observed] = found
            labels[start : start + step][observed] = ids[found.argmax(axis=1)]
        return labels, scores

    def feature_importance(self) -> NDArray[np.float64]:
        """Gain of each feature at each date, summed over all trees: (dates, features) float64, in the card's order."""
        return gains(self._text, where="the model's text").reshape(len(self._card.dates), len(self._card.feature_names))

    def with_metrics(self, metrics: Mapping[str, JsonValue]) -> LandCoverModel:
        """The same model with the results of a validation on its card.

        :param metrics: Anything JSON can hold, such as ``Validation.to_dict()``; no NaN.
        :raises ModelError: for values that JSON cannot hold.
        """
        card = build_card(self._card.model_dump() | {"metrics": dict(metrics)})
        try:
            card.to_json()
        except ValueError as error:
            raise ModelError(
                f"the metrics hold a value JSON cannot hold ({reason_of(error)}): use None for undefined."
            ) from error
        return LandCoverModel(self._text, card)

    @overload
    def save(self, folder: str | os.PathLike[str]) -> Path: ...

    @overload
    def save(self, folder: Store) -> Store: ...

    def save(self, folder: str | os.PathLike[str] | Store) -> Path | Store:
        """Write ``model.txt`` and ``model.json`` into a folder, which is made when absent, or into a store.

        Both files are complete under other names before the first is renamed; the card, which holds the checksum of
        the text, comes last. So a reader sees the old model, the new one, or is told that they do not fit.

        :param folder: A folder of this machine, or a store of files such as ``eotasks.storage.place.Place``.
        :return: The folder, or the store.
        :raises ModelError: when the folder cannot be written.
        :raises StorageError: when the store cannot be written.
        """
        contents = {MODEL_FILE: self._text, CARD_FILE: self._card.to_json()}
        if not isinstance(folder, str | os.PathLike):
            for name, content in contents.items():
                folder.write_bytes(name, content.encode("utf-8"))
            return folder
        return _save_to_folder(_local(folder), contents)

    def _engine(self) -> Forest:
        if self._forest is None:
            self._forest = _build_forest(self._text, self._card)
        return self._forest


def load_model(folder: str | os.PathLike[str] | FileStore) -> LandCoverModel:
    """Load a model that :meth:`LandCoverModel.save` wrote, and check that text and card belong together.

    :param folder: A folder of this machine, or a store of files such as ``eotasks.storage.place.Place``.
    :raises ModelError: when a file is missing, damaged, of a newer version, or not the one of the card.
    :raises StorageError: when a store cannot be read.
    """
    where = str(_local(folder)) if isinstance(folder, str | os.PathLike) else str(folder)
    texts = {}
    for name in (CARD_FILE, MODEL_FILE):
        try:
            texts[name] = _content(folder, name).decode("utf-8")
        except FileNotFoundError as error:
            raise ModelError(f"there is no {name} in {where!r}: give the folder a model was saved to.") from error
        except EOTasksError:
            raise
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"cannot read {f'{where}/{name}'!r} ({reason_of(error)}): save the model again."
            ) from error
    card = ModelCard.from_json(texts[CARD_FILE], where=repr(f"{where}/{CARD_FILE}"))
    if sha256_of(texts[MODEL_FILE]) != card.sha256:
        raise ModelError(f"{f'{where}/{MODEL_FILE}'!r} is not the text its card was written for: save the model again.")
    model = LandCoverModel(texts[MODEL_FILE], card)
    model._engine()
    return model


def _content(folder: str | os.PathLike[str] | FileStore, name: str) -> bytes:
    if isinstance(folder, str | os.PathLike):
        return read_regular(Path(folder) / name, MODEL_BYTES)
    if not folder.exists(name):
        raise FileNotFoundError(name)
    return folder.read_bytes(name, MODEL_BYTES)


def _local(folder: str | os.PathLike[str]) -> Path:
    if "://" in os.fspath(folder):
        raise ModelError(f"{os.fspath(folder)!r} is no folder of this machine: give an eotasks.Place of it.")
    return Path(folder)


def _save_to_folder(target: Path, contents: dict[str, str]) -> Path:
    try:
        make_folder(target)
        with contextlib.ExitStack() as stack:
            for name in reversed(contents):  # the last one that is begun is the first one that is put in place
                temporary = stack.enter_context(atomic_path(target / name))
                temporary.write_text(contents[name], encoding="utf-8", newline="")
                flush_file(temporary)
    except OSError as error:
        raise ModelError(
            f"cannot write the model to {str(target)!r} ({reason_of(error)}): choose another folder."
        ) from error
    return target


def sha256_of(text: str) -> str:
    """Checksum of a model's text (UTF-8)."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _build_forest(text: str, card: ModelCard) -> Forest:
    from eotasks.models.forest import Forest  # here: reading a card does not pay for the import of numba

    try:
        forest = Forest.from_text(text, fallback=False, where="the model's text")
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{error} Train the land-cover model with eotasks.") from error
    if forest.n_features != card.columns or forest.n_outputs != len(card.classes):
        raise ModelError("the model's text has another number of columns or classes than its card: save it again.")
    return forest


def as_rows(features: ArrayLike) -> NDArray[Any]:
    """Features as a table of floating-point rows without infinity; a view where nothing has to change.

    :raises ModelError: for another number of dimensions than two, or infinity.
    """
    rows = np.asarray(features)
    if rows.ndim != 2:
        raise ModelError(f"features have shape {rows.shape}: give one row per pixel, (n, dates * features).")
    if not np.issubdtype(rows.dtype, np.floating):
        rows = rows.astype(np.float32)
    if any(np.isinf(rows[start : start + _CHECKED_ROWS]).any() for start in range(0, len(rows), _CHECKED_ROWS)):
        raise ModelError("features hold infinity: give NaN where a value is missing.")
    return rows

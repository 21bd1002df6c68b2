"""Forest: the predictions of a LightGBM model, to the last bit, many times faster.

How it works. A row becomes a row of bins, one byte per column (``eotasks.models.forest.layout``). The rows of a chunk
are put in an order in which neighbours are alike, as in the leaves of a k-d tree, and cut into blocks of 512. A block
goes through a tree as one, and 32 of them together, a bit each: a split on whose one side the whole range of a block's
bins lies costs its rows nothing, and of the hundreds of splits of a tree only a dozen or so are left. There, vector
instructions on bytes give each row the number of its leaf. Sums are taken tree by tree in the model's own order, so
they equal LightGBM's in every bit.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eotasks.errors import ModelError, UnsupportedModelError
from eotasks.limits import MODEL_BYTES
from eotasks.models.forest import kernels
from eotasks.models.forest.kept_layout import kept_layout
from eotasks.models.forest.layout import ZERO, Columns, Layout, from_bytes, layout_of, to_bytes
from eotasks.models.forest.lightgbm_model import ModelOfLightGBM, model_of_lightgbm
from eotasks.models.forest.lightgbm_text import parse_model
from eotasks.models.threads import resolve_threads
from eotasks.reading import read_regular

LOGGER = logging.getLogger(__name__)

NUMBERS = 1 << 16
"""Entries of a table of digital numbers (uint16)."""

_WORK_BYTES = 48 << 20
"""What all threads hold beside input and output. The more rows a chunk has, the more alike are those of a block."""

_SLICE_BYTES = 4 << 20
"""Rows that are copied at a time where their dtype asks for it."""

_CHUNK_ROWS = 1 << 19
_LEAST_ROWS = 1 << 12
"""Rows below which another thread is not worth its start."""


class Forest:
    """A LightGBM ensemble, ready to predict. Immutable; safe to call from several threads; small when pickled.

    Binary, multiclass and plain regression models with numerical splits are run by the engine; a model it does not
    support (categorical splits, linear trees, averaged forests, other objectives) is run by LightGBM, and a warning
    names the reason. Make one by :meth:`load`, :meth:`from_text`, :meth:`from_booster` or :meth:`from_bytes`.
    """

    def __init__(self, layout: Layout | ModelOfLightGBM) -> None:
        self._layout = layout if isinstance(layout, Layout) else None
        self._other = None if isinstance(layout, Layout) else layout
        self._search = None if self._layout is None else _Search(self._layout.columns)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, fallback: bool = True) -> Forest:
        """Read a model file: LightGBM's text, or the engine's own form.

        :param path: What ``Booster.save_model`` or :meth:`to_bytes` wrote.
        :param fallback: False raises where LightGBM would have to do the work, by a text that is written anew.
        :raises ModelError: missing, damaged, or no such file.
        :raises UnsupportedModelError: without fallback, a model that the engine cannot run.
        """
        try:
            content = read_regular(path, MODEL_BYTES)
        except OSError as error:
            raise ModelError(f"the model file {os.fspath(path)} cannot be read: {error.strerror}.") from error
        if content.startswith(b"eotasks forest"):
            return cls.from_bytes(content, where=os.fspath(path))
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{os.fspath(path)} is no LightGBM model text.") from error
        return cls.from_text(text, fallback=fallback, where=os.fspath(path))

    @classmethod
    def from_text(cls, text: str, *, fallback: bool = True, where: str = "the model") -> Forest:
        """Take LightGBM's text of a model; parameters and errors as :meth:`load`."""
        model = parse_model(text, where=where)
        try:
            return cls(layout_of(model, where=where))
        except UnsupportedModelError as error:
            if not fallback:
                raise
            forest = cls(other := model_of_lightgbm(model, where=where))
            other.booster()  # tells what LightGBM refuses now
            LOGGER.warning("%s The engine does not support it: LightGBM predicts, at its own speed.", error)
            return forest

    @classmethod
    def from_known_text(cls, content: bytes, digest: str, *, where: str = "the model") -> Forest:
        """Take a text that comes again in every process: its laid-out form is kept on the user's disk.

        As :meth:`from_text` without fallback, in a twentieth of the time; see `eotasks.models.forest.kept_layout`.

        :param content: The text, in UTF-8.
        :param digest: SHA-256 of the content, in hexadecimal digits, which the caller has compared.
        """

        def made() -> Layout:
            return layout_of(parse_model(content.decode("utf-8"), where=where), where=where)

        return cls(kept_layout(digest, made))

    @classmethod
    def from_booster(cls, booster: Any, *, fallback: bool = True) -> Forest:
        """Take a trained ``lightgbm.Booster`` (its best iteration, where it has one); errors as :meth:`load`."""
        return cls.from_text(booster.model_to_string(), fallback=fallback, where="the booster")

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str = "the stored forest") -> Forest:
        """Take what :meth:`to_bytes` made.

        :raises ModelError: another content, or a damaged one.
        """
        return cls(from_bytes(content, where=where))

    def to_bytes(self) -> bytes:
        """The engine's own form: about a tenth of LightGBM's text, the same bytes on every machine.

        :raises UnsupportedModelError: the model is one that LightGBM runs.
        """
        return to_bytes(self._compiled_layout())

    def __reduce__(self) -> tuple[Callable[..., Forest], tuple[Any, ...]]:
        if self._layout is None:
            return Forest, (self._other,)
        return Forest.from_bytes, (to_bytes(self._layout),)

    def __repr__(self) -> str:
        if self._layout is None:
            return f"Forest(engine='lightgbm', features={self.n_features}, outputs={self.n_outputs})"
        trees = len(self._layout.roots)
        return f"Forest(trees={trees}, features={self.n_features}, outputs={self.n_outputs})"

    @property
    def engine(self) -> Literal["compiled", "lightgbm"]:
        """What predicts: this engine, or LightGBM where it has to."""
        return "lightgbm" if self._layout is None else "compiled"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of a row."""
        return self._source().feature_names

    @property
    def n_features(self) -> int:
        """Features of a row."""
        return len(self.feature_names)

    @property
    def n_outputs(self) -> int:
        """1, or the number of classes of a multiclass model."""
        return self._source().n_outputs

    def predict(
        self,
        rows: ArrayLike,
        *,
        columns: Sequence[int] | None = None,
        table: NDArray[np.uint8] | None = None,
        raw_score: bool = False,
        threads: int | None = None,
    ) -> NDArray[np.float64]:
        """Predict, as ``lightgbm.Booster.predict`` does: raw scores equal its own in every bit.

        :param rows: (n, features), any real dtype (integers are read as float32, as LightGBM does);
            NaN is missing, by the model's rules.
        :param columns: Which columns of the rows are the model's features, in its order; None takes all as they are.
        :param table: Bins of digital numbers (:meth:`table_of`); the rows are then uint16.
        :param raw_score: Sums of leaf values, before the logistic function or softmax.
        :param threads: Threads, None for the setting (``eotasks.models.threads``). The values do not depend on it.
        :return: float64 (n,), or (n, classes) for a multiclass model.
        :raises ModelError: another number of features, a dtype that is no number, or a table that does not fit.
        """
        values = self._rows(rows, columns)
        if table is not None:
            self._check_table(table, values)
        threads = resolve_threads(threads)
        if self._other is not None:
            chosen = values if columns is None else values[:, list(columns)]
            return self._other.predict(chosen, raw_score=raw_score, threads=threads)
        result = np.empty((len(values), self.n_outputs), np.float64)
        bands = np.arange(self.n_features) if columns is None else np.asarray(columns, np.int64)
        source = bands[self._compiled_layout().columns.feature].astype(np.int64)

        def work(start: int, stop: int) -> None:
            self._predict(values[start:stop], source, table, result[start:stop], raw_score=raw_score)

        self._share(work, len(values), threads)
        return result[:, 0] if self.n_outputs == 1 else result

    def table_of(self, values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Bins of all digital numbers, for :meth:`predict`: a number's bins are then looked up, not searched.

        :param values: (65536,) the feature value each digital number stands for.
        :return: uint8 (columns of bins, 65536).
        :raises ModelError: another shape.
        :raises UnsupportedModelError: the model is one that LightGBM runs.
        """
        layout = self._compiled_layout()
        if values.shape != (NUMBERS,):
            raise ModelError(
                f"a table needs the values of all {NUMBERS} numbers, not an array of shape {values.shape}."
            )
        bins = np.empty((len(layout.columns), NUMBERS), np.uint8)
        self._bins(values.reshape(-1, 1), np.zeros(len(layout.columns), np.int64), None, bins)
        return bins

    def _rows(self, rows: ArrayLike, columns: Sequence[int] | None) -> NDArray[Any]:
        values = np.asarray(rows)
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise ModelError(f"rows of numbers (n, features) are due, not {values.dtype} of shape {values.shape}.")
        width = values.shape[1]
        if columns is None and width != self.n_features:
            raise ModelError(f"the model has {self.n_features} features, the rows {width}.")
        if columns is not None and (
            len(columns) != self.n_features or not all(0 <= column < width for column in columns)
        ):
            raise ModelError(f"columns {list(columns)} do not name {self.n_features} of the rows' {width}.")
        return values

    def _check_table(self, table: NDArray[np.uint8], values: NDArray[Any]) -> None:
        expected = (len(self._compiled_layout().columns), NUMBERS)
        if values.dtype != np.uint16 or table.shape != expected or table.dtype != np.uint8:
            raise ModelError(
                f"a table of shape {expected}, made by table_of of this forest, goes with rows of uint16; given:"
                f" {table.dtype} {table.shape} and rows of {values.dtype}."
            )

    def _share(self, work: Callable[[int, int], None], count: int, threads: int) -> None:
        """Run the chunks of all rows, by several threads where there is enough for them."""
        threads = min(threads, max(1, count // _LEAST_ROWS))
        row_bytes = 2 * len(self._compiled_layout().columns) + 8 * self.n_outputs + 8
        step = max(kernels.BLOCK, min(_CHUNK_ROWS, _WORK_BYTES // (threads * row_bytes)))
        pieces = -(-max(-(-count // step), threads if count else 0) // threads) * threads
        edges = [count * piece // pieces for piece in range(pieces + 1)] if pieces else [0]
        parts = [(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]
        if threads == 1 or len(parts) < 2:
            for start, stop in parts:
                work(start, stop)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="forest") as pool:
            for done in [pool.submit(work, start, stop) for start, stop in parts]:
                done.result()

    def _predict(
        self,
        rows: NDArray[Any],
        source: NDArray[np.int64],
        table: NDArray[np.uint8] | None,
        result: NDArray[np.float64],
        *,
        raw_score: bool,
    ) -> None:
        layout = self._compiled_layout()
        count, columns = len(rows), len(layout.columns)
        bins = np.empty((columns, count), np.uint8)
        self._bins(rows, source, table, bins)
        order = np.empty(count, np.int32)
        kernels.divide(bins, layout.weight, order)
        blocks = np.empty((-(-count // kernels.BLOCK), columns, kernels.BLOCK), np.uint8)
        low, high = np.empty(len(blocks) * columns, np.uint8), np.empty(len(blocks) * columns, np.uint8)
        kernels.gather(bins, order, blocks, low, high)
        del bins
        sums = np.zeros(layout.n_outputs * len(blocks) * kernels.BLOCK, np.float64)
        kernels.sum_trees(
            blocks.reshape(-1), low, high, layout.nodes, layout.roots, layout.leaf_value, layout.deepest,
            layout.n_outputs, columns, sums,
        )  # fmt: skip
        kernels.scatter(sums, order, result)
        if not raw_score and layout.transform == "sigmoid":
            kernels.logistic(result, layout.sigmoid)
        elif not raw_score and layout.transform == "softmax":
            kernels.softmax(result)

    def _bins(
        self, rows: NDArray[Any], source: NDArray[np.int64], table: NDArray[np.uint8] | None, bins: NDArray[np.uint8]
    ) -> None:
        """Fill ``bins`` (columns, rows), a slice at a time: rows of another dtype are copied for it."""
        columns, search = self._compiled_layout().columns, self._search
        assert search is not None
        step = max(1, _SLICE_BYTES // max(8 * rows.shape[1], 1))
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            if table is not None:
                kernels.bins_of_numbers(np.ascontiguousarray(part), source, table, bins, begin)
                continue
            # Integers become float32, as LightGBM reads them.
            wide = part.dtype.kind == "f" and part.dtype.itemsize >= 8
            values, row_step, feature_step = _laid_out(part.astype(np.float64 if wide else np.float32, copy=False))
            kernels.bins_of_values(
                values, row_step, feature_step, len(part), source, search.first, search.threshold, search.offset,
                search.scale, search.start, columns.nan_bin, columns.zero_bin, ZERO, bins, begin,
            )  # fmt: skip

    def _compiled_layout(self) -> Layout:
        if self._layout is None:
            raise UnsupportedModelError("this model is run by LightGBM: it has no form of the engine's own.")
        return self._layout

    def _source(self) -> Layout | ModelOfLightGBM:
        source = self._layout or self._other
        assert source is not None
        return source


def _laid_out(rows: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
    """The memory of rows (n, features) as one run, and the steps in it from a row, and from a feature, to the next.

    Features often come as planes, of which rows are a transposed view: those are read as they lie.
    """
    size = rows.itemsize
    if not rows.flags.aligned or any(step < 0 or step % size for step in rows.strides):
        rows = np.array(rows, order="C")
    steps = [step // size for step in rows.strides]
    reach = sum((length - 1) * step for length, step in zip(rows.shape, steps, strict=True)) + 1
    return (
        np.lib.stride_tricks.as_strided(rows, (reach if rows.size else 0,), (size,), writeable=False),
        steps[0],
        steps[1],
    )


class _Search:
    """Where to begin the search for a value's bin: equal cells over the middle of a column's thresholds.

    :param columns: Columns with at least one threshold each.
    """

    def __init__(self, columns: Columns) -> None:
        count = len(columns)
        self.offset, self.scale = np.empty(count), np.empty(count)
        self.start = np.empty((count, kernels.CELLS), np.uint8)
        self.first = columns.first + np.arange(count + 1)
        self.threshold = np.insert(columns.threshold, columns.first[1:], np.inf)
        for column in range(count):
            table = columns.threshold[columns.first[column] : columns.first[column + 1]]
            # Thresholds may reach 1e20 where a model was trained with such fills: the outermost ones are searched one
            # by one, so that they do not make the cells too wide for all the others.
            low, high = table[len(table) // 50], table[-1 - len(table) // 50]
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                scale = kernels.CELLS / (high - low)
                # Thresholds may be as close as floats can be, as far apart, or infinite (all numbers against NaN):
                # the cells are then no help, and any will do.
                self.offset[column], self.scale[column] = (low, scale) if 0.0 < scale < np.inf else (0.0, 1.0)
                cells = np.clip((table - self.offset[column]) * self.scale[column], 0.0, kernels.CELLS - 1.0)
            self.start[column] = np.searchsorted(cells.astype(np.int64), np.arange(kernels.CELLS))

"""Blocks of bands, lazy or not: one function of NumPy arrays is run frame by frame, or chunk by chunk by dask.

A function gets the numbers of its frames, the bands (t, h, w, bands) in the convention of the project (float
reflectance, or integers of reflectance * 10000), and the pixels with data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.validity import is_fill
from eotasks.xarray.bands.scaling import Scaling
from eotasks.xarray.bands.stack import BandStack
from eotasks.xarray.chunks.overlap import Reach, with_room
from eotasks.xarray.packages import is_lazy

OfBands = Callable[..., NDArray[Any]]
"""A function of a block: numbers of the frames (t,), bands (t, h, w, bands), boolean pixels with data (t, h, w) or None
for all, and more arrays (t, h, w) where the caller gives them. It gives (t, h, w), or (t, n, m) of any size where the
caller expects it. To reach the workers of dask it is an object of a module, not a closure."""

OfRaw = Callable[[int, tuple[int, int], NDArray[np.bool_] | None, tuple[NDArray[Any], ...]], object]
"""A function of a block of one frame: the frame's number, the place of the block's first pixel (row, column) in it,
boolean pixels with data (1, h, w) or None for what the bands say, and the arrays of the stack as they are."""


@dataclass(frozen=True)
class Reader:
    """Brings blocks of a stack to the convention of the project, and tells where there is data."""

    whole: bool
    """Whether a block has all bands; else there is one for each."""

    digital: NDArray[np.int64] | None
    """(t, bands) to add to integers of reflectance * 10000 but for that; None where nothing is to be done."""

    reflectance: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """What numbers are divided by (bands,) after this (t, bands) was added; None for reflectance. In double precision,
    so that floats which are digital numbers give the very reflectance that integers give."""

    no_data: tuple[float | None, ...]
    """Of each band."""

    zero_is_no_data: NDArray[np.bool_]
    """(t, bands)."""

    positions: tuple[int, ...]
    """Of the bands that are asked for: what others hold makes no difference."""

    @classmethod
    def of(cls, stack: BandStack, wanted: tuple[str, ...]) -> Reader:
        """The reader of a stack."""
        scalings = stack.scalings
        positions = tuple(stack.names.index(band) for band in wanted)
        digital, reflectance = _conversion([scalings[position] for position in positions], scalings)
        return cls(
            whole=len(stack.arrays) == 1 and stack.arrays[0].ndim == 4,
            digital=digital,
            reflectance=reflectance,
            no_data=tuple(each.no_data for each in scalings),
            zero_is_no_data=np.stack([each.zero_is_no_data for each in scalings], axis=1),
            positions=positions,
        )

    def read(
        self, frames: NDArray[np.intp], is_data: NDArray[np.bool_] | None, blocks: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Bands (t, h, w, bands), and the pixels with data (t, h, w), None for all."""
        raw = blocks[0] if self.whole else np.moveaxis(np.stack(blocks), 0, -1)  # a band stays in one piece
        valid = self._present(frames, raw) if is_data is None else is_data
        if self.digital is not None:
            bands = raw.astype(np.int32) + self.digital[frames][:, np.newaxis, np.newaxis].astype(np.int32)
        elif self.reflectance is not None:
            divisor, shift = self.reflectance
            bands = np.empty(raw.shape, dtype=np.float32)
            for index, frame in enumerate(frames):
                bands[index] = (raw[index].astype(np.float64) + shift[frame]) / divisor
        else:
            bands = raw
        return bands, None if valid.all() else valid

    def pixels(
        self,
        frame: int,
        is_data: NDArray[np.bool_] | None,
        blocks: tuple[NDArray[Any], ...],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Some pixels (n, bands) of a block of one frame, and where there is data (n,)."""
        few = tuple(each[:, rows, columns][:, np.newaxis] for each in blocks)
        seen = None if is_data is None else is_data[:, rows, columns][:, np.newaxis]
        bands, valid = self.read(np.array([frame]), seen, few)
        return bands[0, 0], np.ones(len(rows), dtype=bool) if valid is None else valid[0, 0]

    def dtype_of(self, raw: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the bands that come of those of another."""
        if self.digital is not None:
            return np.dtype(np.int32)
        return np.dtype(np.float32) if self.reflectance is not None else raw

    def _present(self, frames: NDArray[np.intp], raw: NDArray[Any]) -> NDArray[np.bool_]:
        present = ~is_fill(raw)
        for position in self.positions:
            band = raw[..., position]
            if raw.dtype.kind == "f":
                present &= ~np.isnan(band)
            no_data = self.no_data[position]
            if no_data is not None:
                present &= band != no_data
            zero = self.zero_is_no_data[frames, position]
            if zero.any():
                present[zero] &= band[zero] != 0
        return present


def _conversion(
    wanted: list[Scaling], scalings: tuple[Scaling, ...]
) -> tuple[NDArray[np.int64] | None, tuple[NDArray[np.float64], NDArray[np.float64]] | None]:
    """Digital offsets, or divisors and what is added; None twice where the numbers are in the convention already."""
    whole = [each.digital_offset for each in wanted]
    if all(each is not None for each in whole):
        if not any(np.any(each) for each in whole if each is not None):
            return None, None
        every = [each.digital_offset for each in scalings]
        return np.stack([np.zeros_like(whole[0]) if each is None else each for each in every], axis=1), None
    if all(not each.integer and each.scale == 1 and not each.offset.any() for each in wanted):
        return None, None
    divisors = np.array([_whole(1 / each.scale) for each in scalings])
    return None, (
        divisors,
        np.stack([_whole(each.offset * by) for each, by in zip(scalings, divisors, strict=True)], 1),
    )


def _whole(numbers: Any) -> Any:
    """Numbers as the whole ones that they are meant to be, where they are so near: 0.0001 is not 1/10000."""
    nearest = np.rint(numbers)
    return np.where(np.abs(numbers - nearest) <= 1e-6 * np.maximum(np.abs(nearest), 1), nearest, numbers)


def map_frames(
    function: OfBands,
    stack: BandStack,
    reader: Reader,
    *,
    is_data: Any | None,
    dtype: Any,
    others: tuple[Any, ...] = (),
    channels: int | None = None,
    extent: tuple[int, int] | None = None,
    margins: Reach | None = None,
    whole_frames: bool = False,
) -> Any:
    """A function over all blocks.

    :param is_data: Boolean (t, h, w), of dask or NumPy, or None.
    :param others: More arrays (t, h, w) that the function takes.
    :param dtype: Of the result.
    :param channels: Number of channels where the result of a block is (t, h, w, channels).
    :param extent: Height and width of the result of a block, None for those of the block.
    :param margins: Rows and columns of its neighbours that a block gets on each side, off its result again.
    :param whole_frames: Whether a block is a whole frame.
    :return: array (t, h, w) or (t, h, w, channels) of dask where one of the inputs is, else of NumPy.
    """
    work = _Work(function, reader, is_data is not None, len(others))
    inputs = (*(() if is_data is None else (is_data,)), *others, *stack.arrays)
    frames = np.arange(stack.layout.shape[0])
    if any(map(is_lazy, inputs)):
        return _lazily(work, (frames,), inputs, dtype, channels, extent, margins, whole_frames)
    parts = [
        work(frames[index : index + 1], *(each[index : index + 1] for each in inputs)) for index in range(len(frames))
    ]
    height, width = extent or stack.layout.shape[1:]
    empty = (0, height, width, *(() if channels is None else (channels,)))
    return np.concatenate(parts) if parts else np.zeros(empty, dtype=dtype)


def look_at(look: OfRaw, stack: BandStack, *, is_data: Any | None) -> Any:
    """What a function says of every block, which it looks at as it is: an object a frame and block, (t, rows, columns).

    :param is_data: Boolean (t, h, w), of dask or NumPy, or None.
    :return: array of objects, of dask where one of the inputs is, else of NumPy.
    """
    work = _Look(look, is_data is not None)
    inputs = (*(() if is_data is None else (is_data,)), *stack.arrays)
    frames, rows, columns = map(np.arange, stack.layout.shape)
    if any(map(is_lazy, inputs)):
        return _lazily(work, (frames, rows, columns), inputs, object, None, (1, 1), None, False)
    parts = [
        work(frames[index : index + 1], rows, columns, *(each[index : index + 1] for each in inputs))
        for index in range(len(frames))
    ]
    return np.concatenate(parts) if parts else np.empty((0, 1, 1), dtype=object)


@dataclass(frozen=True)
class _Look:
    """What a task of dask does that looks at a block."""

    look: OfRaw
    masked: bool

    def __call__(
        self, frames: NDArray[np.intp], rows: NDArray[np.intp], columns: NDArray[np.intp], *blocks: NDArray[Any]
    ) -> NDArray[np.object_]:
        result = np.empty((len(frames), 1, 1), dtype=object)
        is_data, bands = (blocks[0], blocks[1:]) if self.masked else (None, blocks)
        for index in range(len(frames)):
            one = slice(index, index + 1)
            result[index, 0, 0] = self.look(
                int(frames[index]),
                (int(rows[0]), int(columns[0])) if rows.size and columns.size else (0, 0),
                None if is_data is None else is_data[one],
                tuple(each[one] for each in bands),
            )
        return result


@dataclass(frozen=True)
class _Work:
    """What a task of dask does."""

    function: OfBands
    reader: Reader
    masked: bool
    others: int

    def __call__(self, frames: NDArray[np.intp], *blocks: NDArray[Any]) -> NDArray[Any]:
        first = int(self.masked)
        is_data = blocks[0] if self.masked else None
        others, bands = blocks[first : first + self.others], blocks[first + self.others :]
        return self.function(frames, *self.reader.read(frames, is_data, bands), *others)


def _lazily(
    work: _Work | _Look,
    numbers: tuple[NDArray[np.intp], ...],
    inputs: tuple[Any, ...],
    dtype: Any,
    channels: int | None,
    extent: tuple[int, int] | None,
    margins: Reach | None,
    whole_frames: bool,
) -> Any:
    import dask.array
    from dask.array.overlap import overlap, trim_internal

    # the bands come last: their chunks are those of the result
    frames = numbers[0]
    chunks = next(each for each in reversed(inputs) if is_lazy(each)).chunks[:3]
    depth = {0: 0, 1: 0, 2: 0}
    if whole_frames:
        chunks = ((1,) * len(frames), *((sum(sizes),) for sizes in chunks[1:]))
    if margins is not None:
        chunks, depth = with_room(chunks, margins)
    arguments: list[Any] = []
    for each, axis, sizes in zip(numbers, "tyx", chunks, strict=False):
        arguments += [dask.array.from_array(each, chunks=(sizes,)), axis]
    for each in inputs:
        due = (*chunks, each.shape[3:]) if each.ndim == 4 else chunks
        array = each.rechunk(due) if is_lazy(each) else dask.array.from_array(np.asarray(each), due)
        if any(depth.values()):
            array = overlap(array, depth={**depth, 3: 0} if each.ndim == 4 else depth, boundary="none")
        arguments += [array, "tyxb"[: each.ndim]]
    changes: dict[str, Any] = {} if extent is None else {"adjust_chunks": {"y": extent[0], "x": extent[1]}}
    if channels is not None:
        changes["new_axes"] = {"n": channels}
    axes = "tyx" if channels is None else "tyxn"
    result = dask.array.blockwise(
        work, axes, *arguments, dtype=dtype, concatenate=True, meta=np.empty((0,) * len(axes), dtype), **changes
    )
    return trim_internal(result, depth, boundary="none") if any(depth.values()) else result

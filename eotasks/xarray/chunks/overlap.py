"""Steps that need neighbours, chunk by chunk: each gets a margin of its neighbours' pixels, and gives it up again.

The results are those of whole frames in every bit. OpenCV rounds the last columns of an array otherwise than the others
(those that fill no vector of the processor), so a chunk begins at a multiple of ``ALIGNMENT`` columns of its frame, and
where it ends within the frame it has as many columns more than the step needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.xarray.packages import is_lazy

ALIGNMENT = 64
"""Columns, a multiple of all that processors work on at a time (four vectors of 16 floats)."""

Reach = tuple[int, int]
"""Rows and columns from which a step takes part in a pixel."""


def map_with_neighbours(
    function: Callable[..., NDArray[Any]], arrays: tuple[Any, ...], reach: Reach, dtype: Any
) -> Any:
    """A function over arrays (t, h, w), by chunks with margins where they are dask's.

    :param function: Of blocks (t, h, w), gives one of that shape.
    :param reach: How far it looks.
    :return: array (t, h, w), chunked as the first one, but that no chunk is smaller than the margin.
    """
    if not any(map(is_lazy, arrays)):
        return _frame_by_frame(function, arrays, dtype)
    import dask.array
    from dask.array.overlap import overlap

    chunks = next(each for each in arrays if is_lazy(each)).chunks
    chunks, depth = with_room(chunks, (reach[0], reach[1] + ALIGNMENT if reach[1] else 0))
    wide = [
        overlap(
            each.rechunk(chunks) if is_lazy(each) else dask.array.from_array(np.asarray(each), chunks),
            depth=depth,
            boundary="none",
        )
        for each in arrays
    ]
    rows, columns = (_starts(chunks[axis]) for axis in (1, 2))
    return dask.array.map_blocks(
        _Trimmed(function, chunks[1:], (depth[1], depth[2]), reach, (rows, columns)),
        *wide,
        dtype=dtype,
        chunks=chunks,
        meta=np.empty((0, 0, 0), dtype),
    )


def with_room(
    chunks: tuple[tuple[int, ...], ...], margins: Reach
) -> tuple[tuple[tuple[int, ...], ...], dict[int, int]]:
    """Chunks of (t, h, w) that are no smaller than their margins, and the depth of the margins by axis."""
    from dask.array.overlap import ensure_minimum_chunksize

    made, depth = list(chunks), {0: 0, 1: 0, 2: 0}
    for axis, margin in ((1, margins[0]), (2, margins[1])):
        size = sum(made[axis])
        if len(made[axis]) > 1 and 2 * margin >= size:
            made[axis] = (size,)
        elif len(made[axis]) > 1:
            made[axis] = ensure_minimum_chunksize(max(margin, 1), made[axis])
        depth[axis] = margin if len(made[axis]) > 1 else 0
    return tuple(made), depth


def _frame_by_frame(function: Callable[..., NDArray[Any]], arrays: tuple[Any, ...], dtype: Any) -> NDArray[Any]:
    result = np.empty(arrays[0].shape, dtype=dtype)
    for index in range(len(result)):
        result[index] = function(*(each[index : index + 1] for each in arrays))[0]
    return result


def _starts(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(start) for start in np.cumsum((0, *sizes[:-1])))


@dataclass(frozen=True)
class _Trimmed:
    """The function on a block with its margins, which are cut to ``ALIGNMENT`` before and off after."""

    function: Callable[..., NDArray[Any]]
    chunks: tuple[tuple[int, ...], ...]
    depth: tuple[int, int]
    reach: Reach
    starts: tuple[tuple[int, ...], tuple[int, ...]]

    def __call__(self, *blocks: NDArray[Any], block_id: tuple[int, ...] | None = None) -> NDArray[Any]:
        if block_id is None:
            return self.function(*blocks)
        row, column = block_id[-2:]
        above = self.depth[0] if row else 0
        before = self.depth[1] if column else 0
        first = self.starts[1][column] - before
        spare = -first % ALIGNMENT if before else 0
        height, width = self.chunks[0][row], self.chunks[1][column]
        made = self.function(*(np.ascontiguousarray(each[:, :, spare:]) for each in blocks))
        return made[:, above : above + height, before - spare : before - spare + width]

"""Some pixels of a frame that are the same however the frame is cut into chunks.

Every pixel has a rank by its place in the frame, as good as random. The sample is the pixels with data of the lowest
ranks, and those of a frame are among those of its chunks: so samples of chunks can be joined to that of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.scale_signs import MOST_PIXELS
from eotasks.xarray.packages import is_lazy

FEWEST_KEPT = 256
"""Pixels with data that are kept at least, where there are so many: a share of them is told to 3 %."""


@dataclass(frozen=True)
class Sample:
    """Pixels of a part of a frame by their ranks."""

    ranks: NDArray[np.uint64]
    """(n,), ascending."""

    pixels: NDArray[Any]
    """(n, bands)."""


def places_like(shape: tuple[int, int, int], arrays: Sequence[Any]) -> Any:
    """Number of each pixel in its frame, int64 (t, h, w): of dask and chunked as the last lazy array, or of NumPy.

    :param arrays: (t, h, w) or (t, h, w, bands).
    """
    lazy = next((each for each in reversed(arrays) if is_lazy(each)), None)
    _, height, width = shape
    if lazy is None:
        return np.broadcast_to(np.arange(height * width).reshape(1, height, width), shape)
    import dask.array

    chunks = lazy.chunks[:3]
    rows = dask.array.arange(height, chunks=(chunks[1],), dtype=np.int64)
    columns = dask.array.arange(width, chunks=(chunks[2],), dtype=np.int64)
    return dask.array.broadcast_to(rows[:, np.newaxis] * width + columns, shape, chunks=chunks)


def sample_of(
    places: NDArray[np.int64], pixels: NDArray[Any], seen: NDArray[np.bool_], columns: Sequence[int], crowd: int
) -> Sample:
    """The sample of a part of a frame.

    :param places: (h, w), number of each pixel in the frame.
    :param pixels: (h, w, bands).
    :param seen: (h, w) boolean, with data.
    :param columns: Of the bands to keep.
    :param crowd: Number of the pixels of the whole frame.
    """
    ranks = _ranks(places[seen])
    chosen = _lowest(ranks, crowd)
    rows, across = np.unravel_index(np.flatnonzero(seen)[chosen], seen.shape)
    return Sample(ranks[chosen], pixels[rows, across][:, list(columns)])


def joined(samples: Sequence[Sample], crowd: int) -> Sample:
    """The sample of a frame by those of all its parts."""
    ranks = np.concatenate([each.ranks for each in samples])
    pixels = np.concatenate([each.pixels for each in samples])
    chosen = _lowest(ranks, crowd)
    return Sample(ranks[chosen], pixels[chosen])


def _lowest(ranks: NDArray[np.uint64], crowd: int) -> NDArray[np.intp]:
    """Positions of the ranks to keep, in their order: ``MOST_PIXELS`` of a frame full of data, all of a small one."""
    if crowd > MOST_PIXELS:
        limit = np.uint64((1 << 64) // crowd * MOST_PIXELS)
        few = np.flatnonzero(ranks < limit)
        if len(few) < FEWEST_KEPT < len(ranks):
            few = np.argpartition(ranks, FEWEST_KEPT)[:FEWEST_KEPT]
        elif len(few) < FEWEST_KEPT:
            few = np.arange(len(ranks))
    else:
        few = np.arange(len(ranks))
    order: NDArray[np.intp] = few[np.argsort(ranks[few])]
    return order


def _ranks(places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Different numbers of different places, without order: the finaliser of SplitMix64 (Steele et al. 2014)."""
    mixed = places.astype(np.uint64)
    mixed += np.uint64(1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed

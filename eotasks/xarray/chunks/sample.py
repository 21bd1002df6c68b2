"""Some pixels of a frame that are the same however the frame is cut into chunks.

Every pixel has a rank by its place in the frame, as good as random. The sample is the pixels with data of the lowest
ranks, and those of a frame are among those of its chunks: so samples of chunks can be joined to that of the frame. Of a
chunk its places of the lowest ranks are looked at first; only where hardly any of them has data, all the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.scale_signs import MOST_PIXELS

FEWEST_KEPT = 256
"""Pixels with data that are kept at least, where there are so many: a share of them is told to 3 %."""

LOOKED_AT = 4 * FEWEST_KEPT
"""Places of a chunk that are looked at first, at least: a quarter of them with data is enough."""

_RANKED = 1 << 15
"""Places that are ranked at a time, which stay in the processor's cache."""

Pixels = Callable[[NDArray[np.intp], NDArray[np.intp]], tuple[NDArray[Any], NDArray[np.bool_]]]
"""Of rows and columns of a chunk (n,), what they hold (n, bands) and where there is data (n,)."""


@dataclass(frozen=True)
class Sample:
    """Pixels of a part of a frame by their ranks."""

    ranks: NDArray[np.uint64]
    """(n,), ascending."""

    pixels: NDArray[Any]
    """(n, bands)."""


@dataclass(frozen=True)
class Part:
    """A chunk of a frame."""

    top: int
    left: int
    height: int
    width: int
    frame_height: int
    frame_width: int

    @property
    def crowd(self) -> int:
        """Number of the pixels of the whole frame."""
        return self.frame_height * self.frame_width


def sample_of(part: Part, pixels: Pixels) -> Sample:
    """The sample of a part of a frame."""
    places, ranks = _lowest_places(part)
    sample, enough = _of_places(part, places, ranks, pixels)
    if enough:
        return sample
    return _of_places(part, np.arange(part.height * part.width), None, pixels)[0]


def _of_places(
    part: Part, places: NDArray[np.intp], ranks: NDArray[np.uint64] | None, pixels: Pixels
) -> tuple[Sample, bool]:
    """The sample among some places, and whether others could not change it."""
    values, seen = pixels(*np.divmod(places, part.width))
    chosen = _ranks_in(part, places[seen]) if ranks is None else ranks[seen]
    enough = len(places) == part.height * part.width or len(chosen) >= FEWEST_KEPT
    kept = _lowest(chosen, part.crowd)
    return Sample(chosen[kept], values[seen][kept]), enough


def joined(samples: Sequence[Sample], crowd: int) -> Sample:
    """The sample of a frame by those of all its parts."""
    ranks = np.concatenate([each.ranks for each in samples])
    pixels = np.concatenate([each.pixels for each in samples])
    chosen = _lowest(ranks, crowd)
    return Sample(ranks[chosen], pixels[chosen])


def _lowest(ranks: NDArray[np.uint64], crowd: int) -> NDArray[np.intp]:
    """Positions of the ranks to keep, in their order: ``MOST_PIXELS`` of a frame full of data, all of a small one."""
    if crowd > MOST_PIXELS:
        few = np.flatnonzero(ranks < _limit(crowd))
        if len(few) < FEWEST_KEPT < len(ranks):
            few = np.argpartition(ranks, FEWEST_KEPT)[:FEWEST_KEPT]
        elif len(few) < FEWEST_KEPT:
            few = np.arange(len(ranks))
    else:
        few = np.arange(len(ranks))
    order: NDArray[np.intp] = few[np.argsort(ranks[few])]
    return order


def _limit(crowd: int) -> np.uint64:
    return np.uint64((1 << 64) // crowd * MOST_PIXELS)


@functools.lru_cache(maxsize=1024)
def _lowest_places(part: Part) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Places (n,) of a chunk with the lowest ranks, those of the sample of a frame full of data among them; and ranks.

    The same for every frame, so they are kept.
    """
    size = part.height * part.width
    if part.crowd <= MOST_PIXELS or size <= LOOKED_AT:
        places: NDArray[np.intp] = np.arange(size)
        return places, _ranks_in(part, places)
    limit = int(_limit(part.crowd))
    while True:  # twice as many as are due: hardly ever too few
        limit = min(max(limit, (1 << 64) // size * 2 * LOOKED_AT), (1 << 64) - 1)
        found = [
            places[_ranks_in(part, places) <= np.uint64(limit)]
            for places in (np.arange(start, min(start + _RANKED, size)) for start in range(0, size, _RANKED))
        ]
        places = np.concatenate(found)
        if len(places) >= LOOKED_AT:
            return places, _ranks_in(part, places)
        limit *= 2


def _ranks_in(part: Part, places: NDArray[np.intp]) -> NDArray[np.uint64]:
    rows, columns = np.divmod(places, part.width)
    return _ranks((rows + part.top) * part.frame_width + (columns + part.left))


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

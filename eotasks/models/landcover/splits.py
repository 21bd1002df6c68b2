"""Holding out test samples: whole patches, or square blocks of pixels.

Neighbouring pixels are alike, so a random split of pixels tests on what was trained. Patches or blocks keep training
and test samples apart; blocks still touch, so scores on them are on the optimistic side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eotasks.errors import ModelError


def split_patches(
    names: Sequence[str], *, test: float | Sequence[int] | Sequence[str], seed: int = 42
) -> tuple[list[str], list[str]]:
    """Split patches into training and test patches.

    :param names: Unique names of all patches.
    :param test: The test patches by position or by name, or the fraction of patches to draw (rounded to the nearest
        whole number, at least one patch for each part).
    :param seed: Seed of the draw; the result depends on the set of names only through their order.
    :return: Names for training, names for testing, both in the order given.
    :raises ModelError: for a patch that is not there, or a part that would be empty.
    """
    if len(set(names)) != len(names):
        raise ModelError("patch names occur more than once: give every patch its own name.")
    if isinstance(test, (int, float)):
        chosen = _draw(len(names), float(test), seed)
    else:
        chosen = {_position(names, item) for item in test}
    if not chosen or len(chosen) == len(names):
        raise ModelError(
            f"{len(chosen)} of {len(names)} patches would be for testing: leave at least one for each part, or split "
            "by blocks."
        )
    training = [name for index, name in enumerate(names) if index not in chosen]
    return training, [name for index, name in enumerate(names) if index in chosen]


def block_ids(rows: ArrayLike, cols: ArrayLike, block: int, *, offset: tuple[int, int] = (0, 0)) -> NDArray[np.int64]:
    """Which block a pixel lies in.

    :param rows: (n,) pixel rows, 0 in the north; any integers, such as those of the whole area.
    :param cols: (n,) pixel columns.
    :param block: Side of a block in pixels.
    :param offset: Rows and columns by which the grid of blocks is shifted north and west.
    :return: (n, 2) int64: row and column of the block.
    :raises ModelError: for a side below 1, or coordinates that do not fit together.
    """
    if block < 1:
        raise ModelError(f"block={block}: give a side of at least 1 pixel.")
    y, x = np.asarray(rows), np.asarray(cols)
    if y.ndim != 1 or y.shape != x.shape or y.dtype.kind not in "iu" or x.dtype.kind not in "iu":
        raise ModelError("pixel rows and columns must be two lists of whole numbers of the same length.")
    return np.stack([(y.astype(np.int64) + offset[0]) // block, (x.astype(np.int64) + offset[1]) // block], axis=1)


def checkerboard(rows: ArrayLike, cols: ArrayLike, block: int, *, seed: int | None = None) -> NDArray[np.uint8]:
    """Colour of the board that a pixel lies on: 0 or 1, one for training and one for testing, and then the reverse.

    :param rows: (n,) pixel rows.
    :param cols: (n,) pixel columns.
    :param block: Side of a square in pixels.
    :param seed: Shifts the board by a random number of pixels (0 to ``2 * block - 1`` rows, 0 to ``block - 1``
        columns: every board there is); None puts its corner at pixel 0, 0.
    :return: (n,) uint8.
    :raises ModelError: see :func:`block_ids`.
    """
    offset = (0, 0)
    if seed is not None and block >= 1:
        rng = np.random.default_rng(seed)
        offset = int(rng.integers(2 * block)), int(rng.integers(block))
    y, x = block_ids(rows, cols, block, offset=offset).T
    color: NDArray[np.uint8] = ((y + x) % 2).astype(np.uint8)
    return color


def _draw(count: int, fraction: float, seed: int) -> set[int]:
    if not 0.0 < fraction < 1.0:
        raise ModelError(f"test={fraction}: give a fraction between 0 and 1, or a list of patches.")
    size = min(max(math.floor(count * fraction + 0.5), 1), count - 1)
    return {int(index) for index in np.random.default_rng(seed).permutation(count)[:size]}


def _position(names: Sequence[str], item: int | str) -> int:
    if isinstance(item, str):
        if item not in names:
            raise ModelError(f"there is no patch {item!r} to test on: the patches are {', '.join(names)}.")
        return names.index(item)
    if not 0 <= item < len(names):
        raise ModelError(f"there is no patch {item} to test on: there are {len(names)} patches, from 0.")
    return int(item)

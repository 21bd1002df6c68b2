"""The 90 features of the multi-temporal model, for a tile of the processing grid and one frame after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.temporal.frames import Frames
from eotasks.models.clouds.temporal.grid import gaussian_taps, mirrored
from eotasks.models.clouds.temporal.kernels import (
    blur,
    local_moments,
    pair_similarity,
    similarity_statistics,
    temporal_statistics,
)
from eotasks.models.clouds.temporal.window import window_of
from eotasks.models.sentinel2 import CLOUD_BANDS

BANDS = len(CLOUD_BANDS)
FEATURES = 9 * BANDS
"""Per band: reflectance, local mean; SSIM maximum, mean, deviation; lowest and mean over time; two differences."""

TILE_CELLS = 128
"""Largest side of a tile: holds the window's statistics near 60 MB, and the taps' reach is not large beside it."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class _Around:
    """A tile along one axis, and the cells around it that the taps reach."""

    start: int
    stop: int
    size: int
    """Cells of the frame along this axis."""

    reach: int
    needed: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        positions = np.arange(self.start - self.reach, self.stop + self.reach, dtype=np.intp)
        object.__setattr__(self, "needed", mirrored(positions, self.size))

    @property
    def read(self) -> slice:
        """The cells to read."""
        return slice(int(self.needed.min()), int(self.needed.max()) + 1)

    @property
    def taken(self) -> NDArray[np.intp]:
        """For every cell of the tile and the reach around it, which of the cells read to take."""
        return np.asarray(self.needed - self.read.start, dtype=np.intp)

    @property
    def inner(self) -> slice:
        """The tile among the cells read."""
        return slice(self.start - self.read.start, self.stop - self.read.start)


@dataclass(frozen=True)
class _Frame:
    """A frame of the window, as far as the tile needs it."""

    planes: NDArray[np.float32]
    """(10, H, W), the tile and its surroundings."""

    valid: NDArray[np.bool_]
    """(H, W)"""

    values: NDArray[np.float32]
    """(10, cells) of the tile."""

    counted: NDArray[np.bool_]
    """(cells)"""

    share: NDArray[np.float64]
    """(h, w) of the tile: local share of valid cells, 1 where there are none."""


@dataclass(frozen=True)
class _Target:
    """A frame whose features are made, and the frames of its window: what is the same for all bands."""

    index: int
    window: range

    both: dict[int, NDArray[np.bool_]]
    """(H, W) where both frames are valid, by the other one."""

    counted: NDArray[np.bool_]
    """(frames, cells) of the tile that are valid."""

    compared: NDArray[np.bool_]
    """(other frames, cells) of the tile that are valid in both."""


class TileWindow:
    """Features of the cells of one tile. Frames are asked for in ascending order, so that statistics of a frame and the
    similarity of a pair are computed once and kept no longer than a later frame needs them.
    """

    def __init__(
        self, frames: Frames, rows: range, columns: range, *, max_frames: int, pool: ThreadPoolExecutor | None = None
    ):
        """
        :param frames: The series.
        :param rows: Rows of the processing grid, and ``columns``.
        :param max_frames: Frames of a window.
        :param pool: Threads over which the bands are spread. The values do not depend on it.
        """
        self._frames = frames
        self._max_frames = max_frames
        self._map: Callable[..., Iterable[Any]] = map if pool is None else pool.map
        self._taps = gaussian_taps(frames.grid.sigma)
        reach = len(self._taps) // 2
        height, width = frames.grid.cells
        self._rows = _Around(rows.start, rows.stop, height, reach)
        self._columns = _Around(columns.start, columns.stop, width, reach)
        self._weights = (self._taps, self._rows.taken, self._columns.taken)
        self._loaded: dict[int, _Frame] = {}
        self._moments: list[dict[int, Moments]] = [{} for _ in range(BANDS)]
        self._pairs: list[dict[tuple[int, int], NDArray[np.float64]]] = [{} for _ in range(BANDS)]

    def features(self, target: int) -> NDArray[np.float64]:
        """Features of one frame: float64 (90, cells), in the order of the model."""
        window = self._window(target)
        self._move_to(window)
        frame = self._target(target, window)
        out = np.empty((FEATURES, frame.counted.shape[1]), dtype=np.float64)
        list(self._map(lambda band: self._band_features(band, frame, out), range(BANDS)))
        return out

    def _window(self, target: int) -> range:
        return window_of(target, len(self._frames), self._max_frames)

    def _move_to(self, window: range) -> None:
        for index in [index for index in self._loaded if index not in window]:
            del self._loaded[index]
            for moments in self._moments:
                moments.pop(index, None)
        for index in window:
            if index not in self._loaded:
                self._loaded[index] = self._load(index)

    def _load(self, index: int) -> _Frame:
        planes, valid = self._frames.planes(index, self._rows.read, self._columns.read)
        inner = (self._rows.inner, self._columns.inner)
        share = np.asarray(blur(valid.astype(np.float64), *self._weights))
        share[share == 0] = 1
        return _Frame(planes, valid, planes[:, *inner].reshape(BANDS, -1), valid[inner].reshape(-1), share)

    def _target(self, target: int, window: range) -> _Target:
        valid, inner = self._loaded[target].valid, (self._rows.inner, self._columns.inner)
        both = {other: valid & self._loaded[other].valid for other in window if other != target}
        counted = np.stack([self._loaded[index].counted for index in window])
        compared = np.empty((len(both), counted.shape[1]), dtype=bool)
        for position, each in enumerate(both.values()):
            compared[position] = each[inner].reshape(-1)
        return _Target(target, window, both, counted, compared)

    def _band_features(self, band: int, frame: _Target, out: NDArray[np.float64]) -> None:
        target, window = frame.index, frame.window
        for index in window:
            if index not in self._moments[band]:
                loaded = self._loaded[index]
                self._moments[band][index] = local_moments(loaded.planes[band], loaded.share, *self._weights)
        out[band] = self._loaded[target].values[band]
        out[BANDS + band] = self._moments[band][target][0].reshape(-1)
        similarity = np.empty(frame.compared.shape, dtype=np.float64)
        for position, (other, both_valid) in enumerate(frame.both.items()):
            similarity[position] = self._similarity(band, target, other, both_valid).reshape(-1)
        highest = out[2 * BANDS + 3 * band :]
        similarity_statistics(similarity, frame.compared, highest[0], highest[1], highest[2])
        lowest, differences = out[5 * BANDS + 2 * band :], out[7 * BANDS + 2 * band :]
        values = np.stack([self._loaded[index].values[band] for index in window])
        of_window = window.index(target)
        temporal_statistics(values, frame.counted, of_window, lowest[0], lowest[1], differences[0], differences[1])

    def _similarity(self, band: int, target: int, other: int, both_valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        pairs = self._pairs[band]
        pair = (min(target, other), max(target, other))
        if pair in pairs:
            return pairs.pop(pair)  # of two frames, the later one needs it last
        one, two = self._loaded[target].planes[band], self._loaded[other].planes[band]
        (mean_one, variance_one), (mean_two, variance_two) = self._moments[band][target], self._moments[band][other]
        plane: NDArray[np.float64] = pair_similarity(
            one, two, both_valid, mean_one, mean_two, variance_one, variance_two, *self._weights
        )
        if other > target and target in self._window(other):
            pairs[pair] = plane
        return plane


def tiles_of(cells: tuple[int, int], largest: int = TILE_CELLS) -> list[tuple[range, range]]:
    """Rows and columns of tiles of about one size that cover a grid."""
    rows, columns = (_parts(size, largest) for size in cells)
    return [(row, column) for row in rows for column in columns]


def _parts(size: int, largest: int) -> list[range]:
    count = -(-size // largest)
    edges = [size * part // count for part in range(count + 1)] if count else [0]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]

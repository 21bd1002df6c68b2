"""Clouds through time: the multi-temporal (InterSSIM) method over a series of frames.

Method: a pixel is compared with itself in the frames around it, by the structural similarity of its surroundings in
each band and by its reflectance against the lowest and the mean; trees decide on these 90 features. Their answer and
that of the single-scene model together make the mask. It is the method of ``CloudMaskTask`` of eo-learn-mask 1.4.2
(Sinergise, MIT), and gives its values; the structural similarity is that of Wang, Bovik, Sheikh and Simoncelli 2004,
IEEE Transactions on Image Processing 13, 600-612.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.temporal.frames import Frames
from eotasks.models.clouds.temporal.grid import ProcessingGrid
from eotasks.models.clouds.temporal.masks import FrameClouds
from eotasks.models.clouds.temporal.model import Classifier, predictor, probabilities
from eotasks.models.clouds.temporal.settings import OUTPUTS, Output, TemporalSettings, check_outputs
from eotasks.models.clouds.temporal.tile import BANDS, TileWindow, tiles_of
from eotasks.models.scales import ReflectanceScale
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.models.threads import resolve_threads

ROWS_TOGETHER = 1 << 14
"""Cells that are predicted in one call, where frames have less: 12 MB of features. A user's own classifier is given one
frame at a time."""

WINDOWS_AT_A_TIME = 2
"""Of a frame of several tiles, the tiles are gone through once for so many windows of frames: more would hold more
probabilities, fewer would compute the statistics of the frames in between more often."""


def multi_temporal_clouds(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    pixel_size: tuple[float, float],
    outputs: Collection[Output] = ("multi_probability", "mask"),
    settings: TemporalSettings | None = None,
    names: Sequence[str] | None = None,
    mono_classifier: Classifier | None = None,
    multi_classifier: Classifier | None = None,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    threads: int | None = None,
    where: Sequence[str] | None = None,
) -> dict[Output, NDArray[Any]]:
    """Cloud probabilities and masks of a series.

    Equal to ``CloudMaskTask`` of eo-learn-mask 1.4.2 where that works; no output depends on which others are asked for
    (there, the mask of both models grows twice when the masks of each are wanted). Where it fails: a series of one
    frame, or a window of one, has no frame to compare with, and the model is given what it was trained with for pixels
    that no other frame shows; a frame smaller than one cell of the resolution is one cell. Frames are taken in their
    order, whatever lies between them; those within half a window of the ends look further to one side.

    Memory beyond input and output is that of one window of frames on a tile, and the cells of a few frames: it grows
    neither with the number of frames nor, much, with their size.

    :param bands: Array (t, h, w, bands): float reflectance (1.0 = 100 %), or integer DN = reflectance * 10000 with the
        baseline offset removed.
    :param valid: Boolean array (t, h, w) of the pixels with data, or None for all. Without data, values should be 0, as
        in the training data: the local averages count on it.
    :param pixel_size: Metres (y, x) of a pixel; local statistics are taken over a Gaussian of 100 m.
    :param outputs: What to compute. Without "multi_*" and "mask" only the single-scene model runs.
    :param settings: None for the defaults.
    :param names: Names of the bands in their order, or None to tell by count (10 or 13).
    :param mono_classifier: A model of ten reflectances to take instead of s2cloudless'.
    :param multi_classifier: A model of the 90 features to take instead of the original's.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether another scale, a baseline offset and another order of the bands are refused
        (``eotasks.models.clouds.plausibility``).
    :param threads: Threads, None for the setting. The values do not depend on it.
    :param where: What each frame is, for messages.
    :return: For each output an array (t, h, w): probabilities float32 0..1 (not averaged), masks boolean; 0 and False
        where not valid.
    :raises ConfigurationError: an unknown output.
    :raises BandError: when the ten bands are not all there.
    :raises ReflectanceError: values that are no reflectance inside valid data.
    :raises GridError: shapes that do not fit, or a resolution finer than the pixels.
    :raises MissingDependencyError: when the model of s2cloudless 1.7.3 is not installed.
    :raises ModelError: a classifier that gives no probabilities.
    """
    wanted = check_outputs(outputs)
    settings = settings or TemporalSettings()
    if bands.ndim != 4:
        raise GridError(f"bands of shape {bands.shape} where (time, height, width, bands) is due.")
    named = [f"frame {index}" for index in range(len(bands))] if where is None else where
    if check_bands:
        refuse_implausible(bands, valid, bands=names, scale=scale, frame_names=named)
    shape = (bands.shape[1], bands.shape[2])
    grid = ProcessingGrid.of(shape, pixel_size, settings.resolution, where=named[0] if named else "the bands")
    frames = Frames(bands, valid, grid, names=names, scale=scale, where=named)
    classifiers = _Classifiers(mono_classifier, multi_classifier, resolve_threads(threads))
    mono = _Mono(frames, classifiers)
    results: dict[Output, NDArray[Any]] = {
        output: np.zeros(bands.shape[:3], dtype=np.float32 if output.endswith("probability") else bool)
        for output in OUTPUTS
        if output in wanted
    }
    if min(bands.shape[:3]) == 0:
        return results
    with closing(_multi(frames, settings.max_frames, classifiers)) as multi:
        for index in range(len(frames)):
            clouds = FrameClouds(
                settings,
                mono=functools.partial(mono.probability, index),
                multi=lambda: grid.enlarge(next(multi)),
            )
            for output, array in results.items():
                array[index] = clouds.output(output)
                if frames.valid is not None:
                    array[index][~frames.valid[index]] = 0
    return results


@dataclass(frozen=True)
class _Classifiers:
    """Who answers, and with how many threads."""

    mono: Classifier | None
    multi: Classifier | None
    threads: int


class _Mono:
    """Single-scene probabilities, asked for frame by frame."""

    def __init__(self, frames: Frames, classifiers: _Classifiers) -> None:
        self._frames, self._classifiers = frames, classifiers
        self._together = 1 if classifiers.mono is not None else _together(frames)
        self._answers: dict[int, NDArray[np.float64]] = {}

    def probability(self, index: int) -> NDArray[np.float64]:
        """Of one frame: float64 (h, w)."""
        if index not in self._answers:
            following = range(index, min(index + self._together, len(self._frames)))
            answers = self._predicted(np.concatenate([self._rows(each) for each in following]))
            self._answers = dict(zip(following, answers.reshape(len(following), *self._frames.grid.cells), strict=True))
        return self._frames.grid.enlarge(self._answers.pop(index))

    def _rows(self, index: int) -> NDArray[np.float32]:
        planes, _ = self._frames.planes(index)
        return planes.reshape(BANDS, -1).T

    def _predicted(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        if self._classifiers.mono is not None:
            return predictor(self._classifiers.mono)(rows)
        threads = self._classifiers.threads
        return cloud_probability(rows, bands=CLOUD_BANDS, check_bands=False, threads=threads).astype(np.float64)


def _together(frames: Frames) -> int:
    """Frames whose cells are predicted in one call: a call of some rows takes as long as one of some hundred."""
    height, width = frames.grid.cells
    return max(ROWS_TOGETHER // max(height * width, 1), 1)


def _multi(frames: Frames, max_frames: int, classifiers: _Classifiers) -> Generator[NDArray[np.float64], None, None]:
    """Multi-temporal probability (H, W) of one frame after another, on the processing grid."""
    tiles = tiles_of(frames.grid.cells)
    with _pool(classifiers.threads) as pool:
        make = functools.partial(TileWindow, frames, max_frames=max_frames, pool=pool)
        only = make(*tiles[0]) if len(tiles) == 1 else None
        at_a_time = WINDOWS_AT_A_TIME * max_frames if only is None else _together(frames)
        for first in range(0, len(frames), at_a_time):
            targets = range(first, min(first + at_a_time, len(frames)))
            answers = np.empty((len(targets), *frames.grid.cells), dtype=np.float64)
            for rows, columns in tiles:
                part = answers[:, rows.start : rows.stop, columns.start : columns.stop]
                _answer(make(rows, columns) if only is None else only, targets, part, classifiers)
            yield from answers


def _answer(tile: TileWindow, targets: range, answers: NDArray[np.float64], classifiers: _Classifiers) -> None:
    """Write the probabilities (targets, rows, columns) of a tile."""
    cells = math.prod(answers.shape[1:])
    step = 1 if classifiers.multi is not None else max(ROWS_TOGETHER // max(cells, 1), 1)
    for first in range(0, len(targets), step):
        part = answers[first : first + step]
        features = np.concatenate([tile.features(target) for target in targets[first : first + step]], axis=1)
        part[...] = probabilities(features, classifiers.multi, threads=classifiers.threads).reshape(part.shape)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor | None]:
    if threads == 1:
        yield None
    else:
        with ThreadPoolExecutor(threads, thread_name_prefix="clouds") as pool:
            yield pool

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from eotasks.models.clouds.temporal import frames as frames_module
from eotasks.models.clouds.temporal.frames import Frames
from eotasks.models.clouds.temporal.grid import ProcessingGrid
from eotasks.models.clouds.temporal.tile import FEATURES, TileWindow, tiles_of
from eotasks.models.clouds.temporal.window import window_of

SHAPE = (9, 33, 28)


@pytest.fixture(scope="module")
def frames() -> Frames:
    rng = np.random.default_rng(4)
    bands = rng.uniform(0, 1.2, (*SHAPE, 10)).astype(np.float32)
    valid = rng.uniform(size=SHAPE) > 0.15
    valid[3] = False
    valid[:, 4:8, 5:9] = False
    bands[~valid] = 0
    grid = ProcessingGrid.of(SHAPE[1:], (25, 25), None)
    return Frames(bands, valid, grid, where=[f"frame {index}" for index in range(len(bands))])


def whole(frames: Frames, max_frames: int, pool: Any = None) -> TileWindow:
    height, width = frames.grid.cells
    return TileWindow(frames, range(height), range(width), max_frames=max_frames, pool=pool)


def features_by_formulas(frames: Frames, target: int, max_frames: int) -> Any:
    """The 90 features written down plainly, with OpenCV and masked arrays: (cells, 90)."""

    def average(plane: Any) -> Any:
        return cv2.GaussianBlur(plane.astype(np.float64), (0, 0), frames.grid.sigma, borderType=cv2.BORDER_REFLECT)

    window = window_of(target, len(frames), max_frames)
    loaded = {index: frames.planes(index) for index in window}
    (values, valid), n = loaded[target], len(window)
    columns: dict[int, Any] = {}
    for band in range(10):
        mean, variance = {}, {}
        for index, (planes, there) in loaded.items():
            share = average(there)
            mean[index] = average(planes[band]) / np.where(share == 0, 1, share)
            variance[index] = average(planes[band] * planes[band]) - mean[index] ** 2
        similarity, counted = [], []
        for index in (index for index in window if index != target):
            both = valid & loaded[index][1]
            cross = mean[target] * mean[index]
            product = values[band].astype(np.float64) * both * (loaded[index][0][band] * both)
            top = (2 * cross + 1e-6) * (2 * (average(product) - cross) + 1e-5)
            bottom = (mean[target] ** 2 + mean[index] ** 2 + 1e-6) * (variance[target] + variance[index] + 1e-5)
            similarity.append(top / bottom)
            counted.append(both)
        ssim = np.ma.array(similarity, mask=~np.array(counted))
        series = np.ma.array([loaded[index][0][band] for index in window], mask=[~loaded[index][1] for index in window])
        lowest, typical = np.ma.min(series, axis=0).data, np.ma.mean(series, axis=0).data
        above = values[band].astype(np.float64) * (1 + 1 / (n - 1)) - n * typical / (n - 1)
        columns[band], columns[10 + band] = values[band], mean[target]
        for offset, statistic in enumerate((np.ma.max, np.ma.mean, np.ma.std)):
            columns[20 + 3 * band + offset] = statistic(ssim, axis=0).data.astype(np.float32)
        columns[50 + 2 * band], columns[51 + 2 * band] = lowest, typical
        columns[70 + 2 * band] = np.where(valid, values[band] - lowest, values[band])
        columns[71 + 2 * band] = np.where(valid, above, values[band])
    return np.stack([columns[column] for column in range(FEATURES)]).reshape(FEATURES, -1)


@pytest.mark.parametrize("max_frames", [2, 5, 6, 20])
def test_features_are_those_of_the_formulas(frames: Frames, max_frames: int) -> None:
    tile = whole(frames, max_frames)
    for target in range(len(frames)):
        found, expected = tile.features(target), features_by_formulas(frames, target, max_frames)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)  # variances near 0 magnify the last bit
        exact = [*range(10), *range(50, 90)]
        assert np.array_equal(found[exact], expected[exact])


def test_a_tile_has_the_values_of_the_whole_to_the_last_bit(frames: Frames) -> None:
    height, width = frames.grid.cells
    entire = whole(frames, 5)
    tiles = [(part, TileWindow(frames, *part, max_frames=5)) for part in tiles_of((height, width), largest=13)]
    assert len(tiles) == 9
    for target in range(len(frames)):
        joined = np.empty((FEATURES, height, width))
        for (rows, columns), tile in tiles:
            part = tile.features(target).reshape(FEATURES, len(rows), len(columns))
            joined[:, rows.start : rows.stop, columns.start : columns.stop] = part
        assert np.array_equal(joined.reshape(FEATURES, -1), entire.features(target))


def test_values_depend_neither_on_what_was_asked_before_nor_on_threads(frames: Frames) -> None:
    moving = whole(frames, 5)
    with ThreadPoolExecutor(4) as pool:
        threaded = whole(frames, 5, pool)
        for target in range(len(frames)):
            expected = whole(frames, 5).features(target)
            assert np.array_equal(moving.features(target), expected)
            assert np.array_equal(threaded.features(target), expected)


def test_no_more_is_kept_than_later_frames_need(frames: Frames) -> None:
    tile = whole(frames, 5)
    for target in range(len(frames)):
        tile.features(target)
        assert set(tile._loaded) == set(window_of(target, len(frames), 5))
        for moments, pairs in zip(tile._moments, tile._pairs, strict=True):
            assert set(moments) == set(tile._loaded)
            assert all(one <= target < two for one, two in pairs)
            assert len(pairs) <= 6
    assert not any(tile._pairs)


@pytest.mark.parametrize("cells", [(1, 1), (5, 7), (128, 128), (129, 400), (0, 4)])
def test_tiles_cover_a_grid_once(cells: tuple[int, int]) -> None:
    count = np.zeros(cells, dtype=int)
    for rows, columns in tiles_of(cells):
        assert len(rows) <= 128
        assert len(columns) <= 128
        count[rows.start : rows.stop, columns.start : columns.stop] += 1
    assert (count == 1).all()


def test_frames_on_a_coarser_grid_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "KEPT_BYTES", 200)  # of four cells: one frame of 164 bytes
    bands = np.random.default_rng(5).uniform(0, 1, (4, 20, 20, 10)).astype(np.float32)
    grid = ProcessingGrid.of((20, 20), (10, 10), (100, 100))
    frames = Frames(bands, None, grid, where=["frame"] * 4)
    expected = [frames.planes(index)[0] for index in range(4)]
    assert len(frames._kept) == 1
    for index in (3, 0, 0, 2):
        assert np.array_equal(frames.planes(index)[0], expected[index])
        assert len(frames._kept) == 1

from __future__ import annotations

import cv2
import numpy as np
import pytest

from eotasks.errors import GridError
from eotasks.models.clouds.temporal.grid import ProcessingGrid, gaussian_taps, mirrored


@pytest.mark.parametrize(
    ("shape", "pixel", "cell", "cells"),
    [
        ((101, 100), 10.0, 10.0, (101, 100)),
        ((101, 100), 10.0, 20.0, (50, 50)),
        ((101, 100), 10.0, 120.0, (8, 8)),
        ((11, 30), 10.0, 120.0, (1, 2)),  # the original fails: no row of cells
        ((5, 5), 10.0, 500.0, (1, 1)),
        ((100, 100), 10 - 1e-12, 10.0, (100, 100)),  # a bounding box is not exact: still the pixels
        ((0, 7), 10.0, 20.0, (0, 3)),
    ],
)
def test_sizes(shape: tuple[int, int], pixel: float, cell: float, cells: tuple[int, int]) -> None:
    assert ProcessingGrid.of(shape, (pixel, pixel), (cell, cell)).cells == cells


def test_no_resolution_is_that_of_the_pixels() -> None:
    grid = ProcessingGrid.of((7, 5), (10.3, 9.7), None)
    assert grid.is_native
    assert grid.sigma == 10.0  # 100 m on the ground


def test_the_window_is_100_metres_on_the_ground() -> None:
    assert ProcessingGrid.of((60, 60), (10, 10), (20, 20)).sigma == 5
    assert ProcessingGrid.of((60, 60), (10, 10), (10, 40)).sigma == 4


def test_a_resolution_finer_than_the_pixels_is_refused() -> None:
    with pytest.raises(GridError, match=r"frame 3: a processing resolution of 5 x 5 m is finer .* 10 x 10 m .*None"):
        ProcessingGrid.of((20, 20), (10, 10), (5, 5), where="frame 3")
    with pytest.raises(GridError, match="above 0"):
        ProcessingGrid.of((20, 20), (0, 10), None)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_mirrored_repeats_the_border_as_often_as_it_takes(size: int) -> None:
    expected = np.pad(np.arange(size), 20, mode="symmetric")
    assert np.array_equal(mirrored(np.arange(-20, size + 20), size), expected)


@pytest.mark.parametrize("sigma", [0.4, 100 / 120, 1.0, 5.0, 9.98, 10.0])
def test_taps_are_those_of_opencv(sigma: float) -> None:
    impulse = np.zeros((1, 301))
    impulse[0, 150] = 1
    answer = cv2.GaussianBlur(impulse, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)[0]
    taps = gaussian_taps(sigma)
    half = len(taps) // 2
    assert np.allclose(answer[150 - half : 151 + half], taps, rtol=1e-14, atol=0)
    assert not answer[: 150 - half].any()


def test_constant_planes_stay_what_they_are() -> None:
    grid = ProcessingGrid.of((30, 41), (10, 10), (35, 60))
    planes = np.full((2, 30, 41), 0.25, dtype=np.float32)
    assert np.allclose(grid.shrink(planes), 0.25, atol=1e-7)
    assert np.array_equal(grid.enlarge(np.full(grid.cells, 0.25)), planes[0])
    assert (grid.shrink(np.ones((1, 30, 41), dtype=np.uint8)) == 1).all()

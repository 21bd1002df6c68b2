from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import ModelError
from eotasks.models.landcover.splits import block_ids, checkerboard, split_patches

NAMES = [f"patch_{index:02d}" for index in range(25)]
ROWS, COLS = (axis.ravel() for axis in np.indices((60, 45)))


def test_patches_of_the_example() -> None:
    training, test = split_patches(NAMES, test=[0, 8, 16, 19, 20])
    assert test == ["patch_00", "patch_08", "patch_16", "patch_19", "patch_20"]
    assert len(training) == 20
    assert split_patches(NAMES, test=test) == (training, test)


@given(st.floats(0.01, 0.99), st.integers(0, 2**32), st.integers(2, 30))
def test_a_fraction_of_patches_is_drawn_by_the_seed(fraction: float, seed: int, count: int) -> None:
    names = [str(index) for index in range(count)]
    training, test = split_patches(names, test=fraction, seed=seed)
    assert sorted(training + test, key=int) == names
    assert len(test) == min(max(int(count * fraction + 0.5), 1), count - 1)
    assert split_patches(names, test=fraction, seed=seed) == (training, test)


def test_another_seed_draws_other_patches() -> None:
    assert len({tuple(split_patches(NAMES, test=0.2, seed=seed)[1]) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("names", "test", "message"),
    [
        (["a", "b"], [2], "no patch 2 to test on"),
        (["a", "b"], [-1], "no patch -1 to test on"),
        (["a", "b"], ["c"], "no patch 'c' to test on: the patches are a, b"),
        (["a", "b"], [], "0 of 2 patches"),
        (["a", "b"], [0, 1], "2 of 2 patches"),
        (["a", "a"], [0], "more than once"),
        (["a"], 0.5, "of 1 patches"),
        (["a", "b"], 1.0, "between 0 and 1"),
        (["a", "b"], 0.0, "between 0 and 1"),
    ],
)
def test_a_split_that_leaves_a_part_empty_is_refused(
    names: list[str], test: float | Sequence[int], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        split_patches(names, test=test)


def test_blocks_of_pixels_have_their_place() -> None:
    assert block_ids([0, 9, 10, -1], [0, 25, 9, 0], 10).tolist() == [[0, 0], [0, 2], [1, 0], [-1, 0]]
    assert block_ids([0, 9], [0, 9], 10, offset=(1, 0)).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "cols", "block", "message"),
    [([0], [0], 0, "block=0"), ([0, 1], [0], 5, "same length"), ([0.5], [0.5], 5, "whole numbers")],
)
def test_blocks_need_pixels(rows: list[int], cols: list[int], block: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        block_ids(rows, cols, block)


def test_checkerboard_alternates() -> None:
    board = checkerboard(ROWS, COLS, 10).reshape(60, 45)
    assert (board[:10, :10] == 0).all()
    assert (board[:10, 10:20] == 1).all()
    assert (board[10:20, :10] == 1).all()
    assert (board[10:] == 1 - board[:-10]).all()
    assert (board[:, 10:] == 1 - board[:, :-10]).all()


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_a_seed_shifts_the_board(seed: int, block: int) -> None:
    board = checkerboard(ROWS, COLS, block, seed=seed).reshape(60, 45)
    assert (board[block:] == 1 - board[:-block]).all()
    assert (board[:, block:] == 1 - board[:, :-block]).all()
    assert (board == checkerboard(ROWS, COLS, block, seed=seed).reshape(60, 45)).all()


def test_boards_of_different_seeds_differ() -> None:
    boards = {checkerboard(ROWS, COLS, 10, seed=seed).tobytes() for seed in range(5)}
    assert len(boards) == 5

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import GridError
from eotasks.imagery.grid import Grid

UTM = "EPSG:32633"


def test_bounds_and_transform() -> None:
    grid = Grid(UTM, left=330_000, top=5_822_040, resolution=10, height=768, width=1536)
    assert grid.shape == (768, 1536)
    assert grid.bounds == (330_000, 5_814_360, 345_360, 5_822_040)
    assert tuple(grid.transform)[:6] == (10, 0, 330_000, 0, -10, 5_822_040)


@given(
    left=st.integers(100_000, 900_000),
    top=st.integers(1_000_000, 9_000_000),
    resolution=st.sampled_from([10, 20, 60, 80, 160, 12.5, 0.1]),
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
)
def test_from_bounds_inverts_bounds(left: int, top: int, resolution: float, height: int, width: int) -> None:
    grid = Grid(UTM, left, top, resolution, height, width)
    again = Grid.from_bounds(grid.bounds, UTM, resolution)
    assert again.shape == grid.shape
    assert again.left == grid.left
    assert again.top == grid.top


def test_extent_of_a_real_eopatch_is_refused_at_10_m_with_a_cure() -> None:
    bounds = (465181.0522318204, 5079244.8912012065, 466180.53145382757, 5080254.63349641)
    with pytest.raises(GridError, match=r"99\.\d+ x 100\.\d+ pixels of 10 are no whole number.*right 4661\d\d"):
        Grid.from_bounds(bounds, UTM, 10)


@pytest.mark.parametrize(
    ("bounds", "resolution", "message"),
    [
        ((0, 0, 100, 105), 10, "no whole number"),
        ((0, 0, 4, 4), 10, "no whole number"),
        ((100, 0, 0, 100), 10, "empty"),
        ((0, 0, 0, 100), 10, "empty"),
        ((0, 0, float("nan"), 100), 10, "finite"),
        ((0, 0, 100), 10, "four"),
        ((0, 0, 100, 100), 0, "pixel size"),
        ((0, 0, 100, 100), -10, "pixel size"),
        ((0, 0, 100, 100), float("inf"), "pixel size"),
    ],
)
def test_refused_extents(bounds: tuple[float, ...], resolution: float, message: str) -> None:
    with pytest.raises(GridError, match=message):
        Grid.from_bounds(bounds, UTM, resolution)


def test_unknown_coordinate_system() -> None:
    with pytest.raises(GridError, match="EPSG:1"):
        Grid.from_bounds((0, 0, 100, 100), "EPSG:1", 10)


@pytest.mark.parametrize(("height", "width"), [(0, 1), (1, 0), (-1, 5)])
def test_a_grid_has_pixels(height: int, width: int) -> None:
    with pytest.raises(GridError, match="at least one row"):
        Grid(UTM, 0, 0, 10, height, width)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(0, 1e7),
    st.floats(0, 1e7),
    st.floats(1, 1e5),
    st.floats(1, 1e5),
    st.sampled_from([10.0, 20, 60, 2.5, 0.3]),
)
def test_the_advice_can_be_followed(left: float, top: float, width: float, height: float, resolution: float) -> None:
    """Its numbers are exact: rounded to six digits they would miss the pixels again."""
    bounds = (left, top - height, left + width, top)
    try:
        Grid.from_bounds(bounds, "EPSG:32633", resolution)
    except GridError as error:
        advice = re.search(r"Use right (\S+) and bottom (\S+),", str(error))
        if advice is None:  # too many pixels
            return
        right, bottom = float(advice[1]), float(advice[2])
        grid = Grid.from_bounds((left, bottom, right, top), "EPSG:32633", resolution)
        assert abs(grid.bounds[2] - bounds[2]) <= resolution
        assert abs(grid.bounds[1] - bounds[1]) <= resolution


def test_pixels_that_are_no_squares() -> None:
    grid = Grid(UTM, 300_000, 5_000_000, 10, 30, 20, pixel_height=25)
    assert grid.bounds == (300_000, 5_000_000 - 750, 300_200, 5_000_000)
    assert tuple(grid.transform)[:6] == (10, 0, 300_000, 0, -25, 5_000_000)
    assert (grid.across, grid.down) == (10, 25)
    part = grid.part(slice(2, 5), slice(1, 3))
    assert part == Grid(UTM, 300_010, 5_000_000 - 50, 10, 3, 2, pixel_height=25)
    with pytest.raises(GridError, match=r"pixel height -1 is no pixel size"):
        Grid(UTM, 0, 0, 10, 1, 1, pixel_height=-1)


def test_a_square_is_a_square_however_it_was_said() -> None:
    assert Grid(UTM, 0, 0, 10, 1, 1, pixel_height=10) == Grid(UTM, 0, 0, 10, 1, 1)
    assert Grid(UTM, 0, 0, 10, 1, 1, pixel_height=10).pixel_height is None
    assert Grid(UTM, 0, 0, 10, 1, 1).down == 10

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.errors import ConfigurationError, FeatureError, GridError
from models.rasters import erode_labels, mosaic_arrays


def square(side: int = 15, margin: int = 10, label: int = 3) -> np.ndarray:
    labels = np.zeros((side + 2 * margin,) * 2, np.uint8)
    labels[margin : margin + side, margin : margin + side] = label
    return labels


def eroded_by_hand(labels: np.ndarray, radius: int, no_data: int) -> np.ndarray:
    """A pixel stays when all pixels of the image within the radius carry its label."""
    result = labels.copy()
    rows, columns = np.indices(labels.shape)
    for (row, column), label in np.ndenumerate(labels):
        near = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        if (labels[near] != label).any():
            result[row, column] = no_data
    return result


@pytest.mark.parametrize(("radius", "left"), [(0, 225), (1, 169), (2, 121), (3, 81), (4, 49), (5, 25), (7, 1), (8, 0)])
def test_a_square_loses_the_radius_on_every_side(radius: int, left: int) -> None:
    labels = square()
    eroded = erode_labels(labels, radius=radius)
    assert np.count_nonzero(eroded) == left
    assert set(np.unique(eroded)) <= {0, 3}
    assert eroded.dtype == np.uint8


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int32]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(0, 2),
    ),
    st.integers(0, 4),
    st.sampled_from([0, 7]),
)
def test_equals_the_definition(labels: np.ndarray, radius: int, no_data: int) -> None:
    before = labels.copy()
    eroded = erode_labels(labels, radius=radius, no_data=no_data)
    np.testing.assert_array_equal(eroded, eroded_by_hand(labels, radius, no_data))
    np.testing.assert_array_equal(labels, before)
    assert eroded.dtype == labels.dtype


def test_the_border_of_the_image_is_no_edge_of_a_class() -> None:
    np.testing.assert_array_equal(erode_labels(np.full((6, 9), 2, np.uint8), radius=3), 2)


def test_neighbouring_classes_both_lose_their_mixed_pixels() -> None:
    labels = np.repeat(np.array([[1] * 5 + [2] * 5], np.uint8), 4, axis=0)
    assert erode_labels(labels, radius=1)[0].tolist() == [1, 1, 1, 1, 0, 0, 2, 2, 2, 2]
    assert erode_labels(labels, radius=1, only=[1])[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2, 2]


def test_an_image_without_pixels() -> None:
    assert erode_labels(np.zeros((0, 5), np.uint8)).shape == (0, 5)


@pytest.mark.parametrize("radius", [-1, 1.0, True, "1"])
def test_refuses_a_radius(radius: object) -> None:
    with pytest.raises(ConfigurationError, match="radius is"):
        erode_labels(square(), radius=radius)


@pytest.mark.parametrize("labels", [np.zeros((3, 3)), np.zeros((3, 3), bool), np.zeros((3, 3, 1), np.uint8)])
def test_refuses_what_is_no_label_image(labels: np.ndarray) -> None:
    with pytest.raises(FeatureError, match="shape"):
        erode_labels(labels)


def cut(image: np.ndarray, row: int, column: int, height: int, width: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """A tile of an image of 20 m pixels whose top left corner is (1000, 5000)."""
    bounds = (1000 + 20 * column, 5000 - 20 * (row + height), 1000 + 20 * (column + width), 5000 - 20 * row)
    return image[row : row + height, column : column + width], tuple(map(float, bounds))


@pytest.mark.parametrize("shape", [(12, 18), (12, 18, 3)])
def test_tiles_make_the_image_again(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    tiles = [cut(image, row, column, 6, 6) for row in (0, 6) for column in (0, 6, 12)]
    mosaic, bounds = mosaic_arrays(tiles[::-1])
    np.testing.assert_array_equal(mosaic, image)
    assert bounds == (1000, 4760, 1360, 5000)
    assert mosaic.dtype == np.float32


def test_gaps_are_filled_and_the_first_tile_wins() -> None:
    ones, twos = np.ones((3, 3), np.uint8), np.full((3, 3), 2, np.uint8)
    mosaic, _ = mosaic_arrays([(ones, (0, 20, 30, 50)), (twos, (10, 0, 40, 30))], fill=9)
    assert mosaic.tolist() == [[1, 1, 1, 9], [1, 1, 1, 9], [1, 1, 1, 2], [9, 2, 2, 2], [9, 2, 2, 2]]


@pytest.mark.parametrize(
    ("tiles", "message"),
    [
        ([], "no tiles"),
        ([(np.ones((2, 2)), (0, 0, 2, 2)), (np.ones((4, 4)), (2, 0, 4, 2))], "pixels of 0.5 x 0.5"),
        ([(np.ones((2, 2)), (0, 0, 2, 2)), (np.ones((2, 2)), (2.5, 0, 4.5, 2))], "0.500 columns"),
        ([(np.ones((2, 2)), (0, 0, 2, 2)), (np.ones((2, 2), int), (2, 0, 4, 2))], "int64"),
        ([(np.ones((2, 2)), (0, 0, 2, 2)), (np.ones((2, 2, 3)), (2, 0, 4, 2))], "one kind"),
        ([(np.ones((2, 2)), (0, 0, 0, 2))], "no pixels"),
    ],
    ids=["none", "resolution", "alignment", "dtype", "bands", "empty"],
)
def test_refuses_tiles_of_different_grids(tiles: list, message: str) -> None:
    with pytest.raises(GridError, match=message):
        mosaic_arrays(tiles)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.rasters import erode_labels, shifted


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
        st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.uint64]),
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


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_labels_of_64_bits_keep_their_border(dtype: type) -> None:
    labels = np.full((6, 6), np.iinfo(dtype).max, dtype)
    labels[:, 3:] -= 1  # the same number as a float64
    eroded = erode_labels(labels, radius=1)
    np.testing.assert_array_equal(eroded[:, [0, 1, 4, 5]], labels[:, [0, 1, 4, 5]])
    assert not eroded[:, 2:4].any()
    assert eroded.dtype == dtype


def test_neighbouring_classes_both_lose_their_mixed_pixels() -> None:
    labels = np.repeat(np.array([[1] * 5 + [2] * 5], np.uint8), 4, axis=0)
    assert erode_labels(labels, radius=1)[0].tolist() == [1, 1, 1, 1, 0, 0, 2, 2, 2, 2]
    assert erode_labels(labels, radius=1, only=[1])[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2, 2]


def test_an_image_without_pixels() -> None:
    assert erode_labels(np.zeros((0, 5), np.uint8)).shape == (0, 5)


@pytest.mark.parametrize("radius", [-1, 1.0, True, "1"])
def test_refuses_a_radius(radius: object) -> None:
    with pytest.raises(ConfigurationError, match="radius="):
        erode_labels(square(), radius=radius)


@pytest.mark.parametrize("labels", [np.zeros((3, 3)), np.zeros((3, 3), bool), np.zeros((3, 3, 1), np.uint8)])
def test_refuses_what_is_no_label_image(labels: np.ndarray) -> None:
    with pytest.raises(FeatureError, match="shape"):
        erode_labels(labels)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (3, -2), (-4, 5), (100, 0)])
def test_shifting_brings_nothing_in(rows: int, columns: int) -> None:
    mask = np.ones((10, 12), dtype=np.bool_)
    mask[5, 5] = False
    moved = shifted(mask, rows, columns)
    for y in range(10):
        for x in range(12):
            there = (y - rows, x - columns)
            inside = 0 <= there[0] < 10 and 0 <= there[1] < 12
            assert moved[y, x] == (inside and mask[there])

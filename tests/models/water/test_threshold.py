"""Thresholds: each step against scikit-image called directly, each status, and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import canny
from skimage.filters import threshold_otsu
from skimage.morphology import binary_dilation, disk

from eotasks.models.water import threshold as steps
from eotasks.models.water.threshold import edge_threshold, frame_threshold, near_edges
from eotasks.models.water.vocabulary import AlgorithmStatus
from tests.builders.water import lakes as builders

pytestmark = pytest.mark.filterwarnings("ignore:.*binary_dilation.*:FutureWarning")


def reference(index: NDArray[np.float32]) -> tuple[float, int]:
    """The rules of the specification in a few lines, for images without NaN."""
    if len(np.unique(index)) == 1:
        return 1.0, 0
    scaled = (index - index.min()) / np.ptp(index)
    near = index[binary_dilation(canny(scaled, sigma=4, high_threshold=0.3), disk(4))]
    status = 1 if len(np.unique(near)) > 1 else 2
    value = threshold_otsu(near if status == 1 else index)
    if np.count_nonzero(index > 0) / np.count_nonzero(index > value) < 0.9:
        return 0.0, status + 2
    return float(value), status


def smooth(seed: int) -> NDArray[np.float32]:
    """Land and a lake whose shore is too gentle for an edge."""
    rows = np.linspace(-0.4, 0.4, 60)[:, np.newaxis]
    return np.asarray(rows + np.random.default_rng(seed).normal(0, 0.001, (60, 60)), dtype=np.float32)


def two_lands() -> NDArray[np.float32]:
    """Fields of two kinds and no water: Otsu finds a threshold between them."""
    return (builders.index_of(builders.disk()) - 0.6).astype(np.float32)


CASES = {
    "a lake": builders.index_of(builders.disk()),
    "no edge": smooth(1),
    "two kinds of land": two_lands(),
    "a slope of land": smooth(2) - np.float32(0.5),
    "one value": np.full((60, 60), 0.3, dtype=np.float32),
}
STATUSES = {
    "a lake": AlgorithmStatus.OTSU_AT_EDGES,
    "no edge": AlgorithmStatus.OTSU_OF_FRAME,
    "two kinds of land": AlgorithmStatus.ZERO_AFTER_EDGES,
    "a slope of land": AlgorithmStatus.ZERO_AFTER_FRAME,
    "one value": AlgorithmStatus.NO_WATER,
}


@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_scikit_image(name: str) -> None:
    found = edge_threshold(CASES[name])
    assert (found.value, int(found.status)) == reference(CASES[name])
    assert found.status is STATUSES[name]


def test_edges_are_widened_by_four_pixels() -> None:
    index = np.where(np.arange(60) < 30, -0.5, 0.5).astype(np.float32) * np.ones((60, 1), dtype=np.float32)
    columns = np.flatnonzero(near_edges(index)[30])
    assert len(columns) in (9, 10)  # one or two columns of edge, and four on each side
    assert {29, 30} <= set(columns)


def test_nan_has_no_say() -> None:
    """In the original one NaN makes the whole scaled image NaN: no edge, and a threshold of NaN."""
    index = CASES["a lake"].copy()
    index[:3], index[40, 40] = np.nan, np.nan
    before = index.copy()
    found = edge_threshold(index)
    assert found.status is AlgorithmStatus.OTSU_AT_EDGES
    assert found.value == pytest.approx(edge_threshold(CASES["a lake"]).value, abs=0.05)
    np.testing.assert_array_equal(index, before)


@pytest.mark.parametrize("index", [np.full((5, 5), np.nan), np.empty((0, 0))], ids=["all NaN", "empty"])
def test_nothing_known_is_no_water(index: NDArray[np.float64]) -> None:
    assert edge_threshold(index) == steps.WaterThreshold(1.0, AlgorithmStatus.NO_WATER)


def test_frame_threshold_is_otsu_with_nan_as_minus_one() -> None:
    index = CASES["a lake"].copy()
    index[:5] = np.nan
    found = frame_threshold(index)
    assert found.value == float(threshold_otsu(np.nan_to_num(index, nan=-1)))
    assert np.isnan(index[:5]).all()  # the example writes into its input
    assert frame_threshold(CASES["one value"]).value == 1.0

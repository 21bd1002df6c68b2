"""The sample of a frame, joined of its chunks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.models.scale_signs import MOST_PIXELS
from eotasks.xarray.chunks.sample import FEWEST_KEPT, Part, Sample, joined, sample_of

SHAPE = (300, 280)


def of_part(values: NDArray[np.int64], seen: NDArray[np.bool_], rows: slice, columns: slice) -> tuple[Sample, int]:
    """The sample of a chunk, and how many of its pixels were looked at."""
    inside, mask, looked = values[rows, columns], seen[rows, columns], 0

    def pixels(down: NDArray[np.intp], across: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        nonlocal looked
        looked += len(down)
        return inside[down, across][:, np.newaxis], mask[down, across]

    part = Part(rows.start, columns.start, *inside.shape, *values.shape)
    return sample_of(part, pixels), looked


def in_chunks(values: NDArray[np.int64], seen: NDArray[np.bool_], height: int, width: int) -> Sample:
    parts = [
        of_part(values, seen, slice(top, min(top + height, SHAPE[0])), slice(left, min(left + width, SHAPE[1])))[0]
        for top in range(0, SHAPE[0], height)
        for left in range(0, SHAPE[1], width)
    ]
    return joined(parts, values.size)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.02, 0.002, 0.0])
def test_samples_of_chunks_are_that_of_the_frame(share: float) -> None:
    values = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    seen = np.random.default_rng(1).random(SHAPE) < share
    seen[:40, :50] = False  # a chunk without data
    whole, _ = of_part(values, seen, slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    assert np.isin(whole.pixels[:, 0], values[seen]).all()
    assert len(np.unique(whole.pixels)) == len(whole.pixels)
    assert len(whole.pixels) >= min(FEWEST_KEPT, int(np.count_nonzero(seen)))
    for height, width in ((40, 50), (300, 64), (101, 280)):
        cut = in_chunks(values, seen, height, width)
        np.testing.assert_array_equal(cut.ranks, whole.ranks)
        np.testing.assert_array_equal(cut.pixels, whole.pixels)


def test_few_pixels_of_a_chunk_are_looked_at() -> None:
    values = np.zeros(SHAPE, dtype=np.int64)
    sample, looked = of_part(values, np.ones(SHAPE, dtype=bool), slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    assert looked < 2 * MOST_PIXELS < values.size / 8
    assert abs(len(sample.ranks) - MOST_PIXELS) < MOST_PIXELS / 8

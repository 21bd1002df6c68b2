"""Of numbers that may be of another scale the user is told once, and not once a chunk or a frame."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import xarray

from eotasks.errors import ScaleWarning
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import MaskSettings
from eotasks.xarray import cloud_mask, cloud_probability
from tests.builders.clouds.probabilities import smooth_probability
from tests.builders.clouds.xarrays import coordinates, dataset, scene

CHUNKS = {"time": 1, "y": 15, "x": 20}


def stored(highest: int, *, frames: int = 3, elsewhere: int = 0) -> xarray.DataArray:
    """uint8 (3, 60, 80) whose frames end at a number; ``elsewhere`` is a number of frame 0 in its last pixel."""
    values = np.stack([smooth_probability(3 + index, (60, 80)) for index in range(frames)])
    numbers = np.rint(values * (highest - 1)).astype(np.uint8)
    numbers[:, 5, 5] = highest
    if elsewhere:
        numbers[:, -1, -1] = elsewhere
    made = xarray.DataArray(numbers, coordinates(*numbers.shape), ("time", "y", "x"), name="CLP")
    return made.rio.write_crs(32633)


def told(work: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    assert all(each.category is ScaleWarning for each in caught), [str(each.message) for each in caught]
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("chunks", [None, CHUNKS, {"time": -1, "y": -1, "x": 9}], ids=str)
def test_percentages_are_told_of_once_a_run(chunks: dict[str, int] | None) -> None:
    data = stored(100)
    seen = xarray.ones_like(data, dtype=bool)
    masks: list[xarray.DataArray] = []
    at_once = told(lambda: masks.append(cloud_mask(data if chunks is None else data.chunk(chunks), is_data=seen)))
    runs = [told(masks[0].compute) for _ in range(3)]
    for messages in [at_once] if chunks is None else runs:
        assert len(messages) == 1
        assert "ends at exactly 100" in messages[0]
    if chunks is None:
        assert runs == [[], [], []]
    else:
        assert at_once == []
        assert len(told(masks[0].isel(time=1).compute)) == 1
        with pytest.warns(ScaleWarning):
            np.testing.assert_array_equal(masks[0].values, mask_of(data.values, MaskSettings(), scale="0..255"))


@pytest.mark.parametrize("chunks", [None, CHUNKS], ids=str)
def test_a_chunk_that_ends_at_100_says_nothing_of_its_frame(chunks: dict[str, int] | None) -> None:
    data = stored(100, elsewhere=250)
    seen = xarray.ones_like(data, dtype=bool)
    assert told(lambda: cloud_mask(data if chunks is None else data.chunk(chunks), is_data=seen).compute()) == []


def test_pixels_without_data_have_no_say() -> None:
    data = stored(100, elsewhere=250).chunk(CHUNKS)
    seen = xarray.ones_like(data, dtype=bool).compute()
    seen[:, -1, -1] = False
    assert len(told(lambda: cloud_mask(data, is_data=seen).compute())) == 1
    assert len(told(lambda: cloud_mask(data, is_data=seen.chunk({"y": 7})).compute())) == 1
    assert len(told(lambda: cloud_mask(data.compute(), is_data=seen.chunk({"y": 7})).compute())) == 1
    snow = xarray.zeros_like(seen).chunk({"y": 7})
    assert len(told(lambda: cloud_mask(data.compute(), is_data=seen, snow=snow).compute())) == 1


@pytest.mark.parametrize("scale", ["percent", "0..255"])
def test_a_named_scale_is_taken_at_its_word(scale: Any) -> None:
    data = stored(100).chunk(CHUNKS)
    seen = xarray.ones_like(data, dtype=bool)
    assert told(lambda: cloud_mask(data, is_data=seen, probability_scale=scale).compute()) == []


def test_the_same_call_has_the_same_keys() -> None:
    data = stored(100).chunk(CHUNKS)
    seen = xarray.ones_like(data, dtype=bool)
    first, second = (cloud_mask(data, is_data=seen) for _ in range(2))
    assert first.data.name == second.data.name
    copy = pickle.loads(pickle.dumps(first.data))
    assert len(told(copy.compute)) == 1


@pytest.mark.parametrize("chunks", [None, {"y": 20, "x": 30}], ids=str)
@pytest.mark.parametrize("make", [cloud_probability, cloud_mask])
def test_bands_of_8_bits_are_told_of_once(make: Any, chunks: dict[str, int] | None) -> None:
    values = np.rint(scene() * (255 / 10_000)).clip(1, 255).astype(np.uint8)
    data = dataset(values, chunks=chunks)
    made: list[xarray.DataArray] = []
    messages = told(lambda: made.append(make(data, scale=1 / 255, check_bands=True)))
    assert len(messages) == 1
    assert "too coarse" in messages[0]
    assert told(made[0].compute) == []


@pytest.mark.slow
def test_a_worker_of_dask_tells_the_user() -> None:
    from distributed import Client, LocalCluster

    data = stored(100).chunk(CHUNKS)
    mask = cloud_mask(data, is_data=xarray.ones_like(data, dtype=bool))
    quiet: dict[str, Any] = {"protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, **quiet) as cluster,
        Client(cluster) as client,
    ):
        assert len(told(lambda: (mask.compute(), client.run_on_scheduler(lambda: None)))) == 1

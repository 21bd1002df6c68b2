"""Probabilities and masks equal s2cloudless 1.7.3 on real scenes, for every pair of radii in 0..6.

Averaging off with dilation on has no reference, s2cloudless crashes there: scikit-image dilates in its place.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from s2cloudless import S2PixelCloudDetector
from skimage.morphology import dilation, disk

from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.postprocess import cloud_mask
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices

RADII = list(itertools.product(range(7), range(7)))
DATA = "EOTASKS_BENCHMARK_DATA"
SDIST, MEMBER = "s2cloudless-1.2.0.tar.gz", "s2cloudless-1.2.0/s2cloudless/TestInputs/input_arrays.npz"
TEN = band_indices(CLOUD_BANDS)


@functools.cache
def detector() -> Any:
    return S2PixelCloudDetector(all_bands=True)


def reference_mask(probability: Any, average_over: int, dilation_size: int) -> Any:
    if dilation_size and not average_over:
        return np.stack([dilation((each > 0.4).astype(np.uint8), disk(dilation_size)) for each in probability])
    reference = S2PixelCloudDetector(average_over=average_over, dilation_size=dilation_size)
    return reference.get_mask_from_prob(probability)


@pytest.fixture(scope="module")
def real_frames(shared_data: Path) -> Any:
    return np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")


@pytest.fixture(scope="module")
def test_scene() -> Any:
    """The test scene of s2cloudless: its thirteen bands, and the probabilities that came with it."""
    folder = os.environ.get(DATA)
    if not folder:
        pytest.skip(f"{DATA} names no folder with {SDIST}: pip download --no-deps --no-binary :all: s2cloudless==1.2.0")
    with tarfile.open(Path(folder) / SDIST) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None
        content = np.load(io.BytesIO(member.read()), allow_pickle=False)
        return content["s2_im"], content["cl_probs"]


def test_probabilities_and_all_masks_of_the_five_real_frames(real_frames: Any) -> None:
    probability = cloud_probability(real_frames)
    expected = detector().get_cloud_probability_maps(real_frames)
    np.testing.assert_array_equal(probability, expected)
    for average_over, dilation_size in RADII:
        mask = cloud_mask(probability, average_over=average_over, dilation_size=dilation_size)
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, reference_mask(expected, average_over, dilation_size)), (
            average_over,
            dilation_size,
        )


def test_the_official_probabilities_of_the_five_real_frames(real_frames: Any, shared_data: Path) -> None:
    from eolearn.core import EOPatch, FeatureType

    patch = EOPatch.load(
        str(shared_data / "slovenia" / "eopatch"), features=[(FeatureType.DATA, "CLP_S2C")], lazy_loading=True
    )
    official = patch[FeatureType.DATA, "CLP_S2C"][[2, 1, 4, 3, 0], ..., 0]
    np.testing.assert_array_equal(cloud_probability(real_frames), official)


def test_probabilities_and_all_masks_of_the_test_scene(test_scene: Any) -> None:
    bands, stored = test_scene
    probability = cloud_probability(bands)
    expected = detector().get_cloud_probability_maps(bands)
    np.testing.assert_array_equal(probability, expected)
    np.testing.assert_allclose(probability, stored, rtol=0, atol=1e-7)  # of version 1.2.0
    for average_over, dilation_size in RADII:
        mask = cloud_mask(probability, average_over=average_over, dilation_size=dilation_size)
        assert np.array_equal(mask, reference_mask(expected, average_over, dilation_size)), (
            average_over,
            dilation_size,
        )


def strided(array: Any, layout: str) -> Any:
    """The same values in another memory layout."""
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "bands first":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0)), 0, -1)
    if layout == "every second":
        wide = np.repeat(np.repeat(array, 2, axis=1), 2, axis=2)
        return wide[:, ::2, ::2]
    if layout == "mirrored":
        return np.ascontiguousarray(array[:, ::-1])[:, ::-1]
    return array


LAYOUTS = ["as it is", "fortran", "bands first", "every second", "mirrored"]
DTYPES = [np.float16, np.float32, np.float64, np.uint16, np.int16, np.int32]


@settings(max_examples=40, deadline=None)
@given(
    st.data(),
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from(DTYPES),
    st.sampled_from(LAYOUTS),
    st.booleans(),
)
def test_probability_whatever_the_shape_strides_dtype_and_gaps(
    data: Any, shape: tuple[int, int, int], dtype: Any, layout: str, all_bands: bool
) -> None:
    seed = data.draw(st.integers(0, 2**16))
    reflectance = np.random.default_rng(seed).uniform(0, 1.5, (*shape, len(BANDS)))
    bands = (np.round(reflectance * 10_000) if np.dtype(dtype).kind in "iu" else reflectance).astype(dtype)
    valid = data.draw(arrays(bool, shape))
    if np.dtype(dtype).kind == "f":
        bands[~valid] = np.nan
    chosen = strided(bands if all_bands else bands[..., TEN], layout)
    before = chosen.copy()
    probability = cloud_probability(chosen, valid=valid)
    assert (probability.shape, probability.dtype) == (shape, np.float32)
    assert (probability[~valid] == 0).all()
    assert np.array_equal(chosen, before, equal_nan=np.dtype(dtype).kind == "f")
    floats = bands.astype(np.float32) / np.float32(10_000) if np.dtype(dtype).kind in "iu" else bands
    pixels = floats[valid][np.newaxis, np.newaxis]
    if pixels.size:
        expected = detector().get_cloud_probability_maps(pixels)[0, 0]
        np.testing.assert_array_equal(probability[valid], expected)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([np.float16, np.float32, np.float64, np.uint8]),
    st.sampled_from(["as it is", "fortran", "every second", "mirrored"]),
    st.sampled_from(RADII),
    st.integers(0, 2**16),
)
def test_mask_whatever_the_shape_strides_and_dtype(
    shape: tuple[int, int, int], dtype: Any, layout: str, radii: tuple[int, int], seed: int
) -> None:
    values = np.random.default_rng(seed).random(shape)
    probability = np.round(values * 255).astype(np.uint8) if dtype is np.uint8 else values.astype(dtype)
    floats = probability.astype(np.float32) / np.float32(255 if dtype is np.uint8 else 1)
    mask = cloud_mask(strided(probability, layout), average_over=radii[0], dilation_size=radii[1])
    assert (mask.shape, mask.dtype) == (shape, np.uint8)
    if len(floats):
        assert np.array_equal(mask, reference_mask(floats, *radii))

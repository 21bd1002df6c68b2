"""The steps that s2cloudless does not have: Gaussian, erosion, metres, snow kept apart, classes beside cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from skimage.morphology import disk

from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.models.clouds import postprocess
from eotasks.models.clouds.mask_classes import with_classes, without_classes
from eotasks.models.clouds.postprocess import cloud_mask, grows, mask_of
from eotasks.models.clouds.presets import MaskSettings, mask_settings
from eotasks.models.clouds.validity import split_cloud_mask
from tests.builders.clouds.probabilities import smooth_probability

PROBABILITY = np.stack([smooth_probability(1), smooth_probability(2)])


def test_gaussian_and_cutoff_as_scipy() -> None:
    mask = mask_of(PROBABILITY, mask_settings("sentinel-hub"))
    smoothed = np.stack([ndimage.gaussian_filter(each.astype(np.float64), 3, radius=12) for each in PROBABILITY])
    decided = np.abs(smoothed - 0.6) > 1e-6
    assert decided.mean() > 0.999
    assert np.array_equal(mask[decided] == 1, smoothed[decided] > 0.6)
    assert 0 < mask.mean() < 1


def test_the_tutorial_of_earth_engine_removes_specks_and_grows_the_rest() -> None:
    mask = mask_of(PROBABILITY, mask_settings("gee"))
    cloud = np.greater(PROBABILITY, np.float32(0.5))
    for frame, found in zip(cloud, mask, strict=True):
        kept = ndimage.binary_erosion(frame, disk(2), border_value=1)
        assert np.array_equal(found == 1, ndimage.binary_dilation(kept, disk(5)))
    speck = np.zeros((1, 30, 30), dtype=np.float32)
    speck[0, 15, 15] = 1
    assert mask_of(speck, mask_settings("gee")).max() == 0


def test_a_gap_does_not_eat_into_cloud() -> None:
    cloud = np.ones((1, 9, 9), dtype=np.float32)
    valid = np.ones(cloud.shape, dtype=bool)
    valid[:, :, :3] = False
    mask = mask_of(cloud, mask_settings("gee", dilation_size=None), valid=valid)
    assert np.array_equal(mask, np.where(valid, 1, 255))


@pytest.mark.parametrize("preset", ["s2cloudless", "eo-learn", "gee"])
@pytest.mark.parametrize("size", [10.0, 20.0])
def test_metres_are_pixels_where_a_pixel_has_the_size_of_the_preset(preset: Any, size: float) -> None:
    in_metres = mask_of(PROBABILITY, mask_settings(preset, unit="metre"), pixel_size=(size, size))
    factor = {"gee": 20.0}.get(preset, 10.0) / size
    radii = mask_settings(preset)
    scaled = {
        name: None if value is None else int(value * factor + 0.5)
        for name in ("average_over", "erosion_size", "dilation_size")
        for value in [getattr(radii, name)]
    }
    assert np.array_equal(in_metres, mask_of(PROBABILITY, mask_settings(preset, **scaled)))


def test_pixels_that_measure_a_hair_less_have_the_same_radius() -> None:
    settings_ = mask_settings("eo-learn", unit="metre")
    assert np.array_equal(
        mask_of(PROBABILITY, settings_, pixel_size=(9.96, 10.04)),
        mask_of(PROBABILITY, settings_, pixel_size=(10, 10)),
    )


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0, None, 1, 2]), st.sampled_from(["pixel", "metre"]), st.sampled_from([1.0, 2.5, 10.0, 160.0]))
def test_what_does_not_grow_is_the_mask_before(dilation: int | None, unit: Any, size: float) -> None:
    chosen = MaskSettings(threshold=0.4, average_over=1, dilation_size=dilation, unit=unit)
    grown = mask_of(PROBABILITY, chosen, pixel_size=(size, size))
    before = mask_of(PROBABILITY, replace(chosen, dilation_size=None), pixel_size=(size, size))
    assert grows(chosen, (size, size)) != np.array_equal(grown, before)
    if unit == "metre":
        with pytest.raises(ConfigurationError, match="pixel_size"):
            grows(chosen)


def test_pixels_that_are_no_squares_and_coarse_ones() -> None:
    speck = np.zeros((1, 9, 9), dtype=np.float32)
    speck[0, 4, 4] = 1
    grow = MaskSettings(average_over=None, dilation_size=20, unit="metre")
    rows, columns = np.nonzero(mask_of(speck, grow, pixel_size=(20, 10))[0])
    assert (np.ptp(rows), np.ptp(columns)) == (2, 4)
    assert mask_of(speck, grow, pixel_size=(160, 160)).sum() == 1  # 20 m reach no neighbour
    gaussian = MaskSettings(smoothing="gaussian", average_over=None, sigma=30, dilation_size=None, unit="metre")
    assert np.array_equal(
        mask_of(PROBABILITY, gaussian, pixel_size=(10, 10)),
        mask_of(PROBABILITY, mask_settings("sentinel-hub", threshold=0.4)),
    )
    with pytest.raises(ConfigurationError, match="CLP of 2017: settings in metres need the size of a pixel"):
        mask_of(speck, grow, where="CLP of 2017")


def test_snow_comes_out_clear_and_does_not_make_cloud_of_its_neighbours() -> None:
    probability = np.full((1, 12, 12), 0.1, dtype=np.float32)
    snow = np.zeros(probability.shape, dtype=bool)
    snow[:, 3:9, 3:9] = True
    probability[snow] = 0.95
    as_cloud = cloud_mask(probability)
    assert as_cloud[snow].all()
    assert as_cloud[~snow].any()  # the false cloud grows
    assert (mask_of(probability, MaskSettings(), snow=snow) == 0).all()
    nothing = np.zeros_like(snow)
    assert np.array_equal(mask_of(probability, MaskSettings(), snow=nothing), as_cloud)
    with pytest.raises(GridError, match="the snow mask has shape"):
        mask_of(probability, MaskSettings(), snow=snow[:, :3])


def test_cloud_beside_snow_grows_over_it() -> None:
    probability = np.array([[[0.9, 0.9, 0.95, 0.95, 0.95, 0.1]]], dtype=np.float32)
    snow = np.array([[[False, False, True, True, True, False]]])
    mask = mask_of(probability, MaskSettings(average_over=None, dilation_size=1), snow=snow)
    assert mask.tolist() == [[[1, 1, 1, 0, 0, 0]]]


@settings(max_examples=50, deadline=None)
@given(
    st.data(),
    arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.floats(0, 1, width=32)),
    st.sampled_from(["s2cloudless", "eo-learn", "sentinel-hub", "gee"]),
)
def test_no_data_out_where_there_is_none_in_and_only_there(data: Any, probability: Any, preset: Any) -> None:
    valid = data.draw(arrays(bool, probability.shape))
    snow = data.draw(arrays(bool, probability.shape))
    before = probability.copy()
    mask = mask_of(probability, mask_settings(preset), valid=valid, snow=snow)
    assert np.array_equal(mask == 255, ~valid)
    assert np.isin(mask[valid], [0, 1]).all()
    assert np.array_equal(probability, before)
    holes = np.where(valid, probability, np.float32(np.nan))
    assert np.array_equal(mask_of(holes, mask_settings(preset), snow=snow), mask)


MASK = np.array([0, 1, 255, 0, 1, 0], dtype=np.uint8)
SNOW = np.array([True, True, True, False, False, True])
THIN = np.array([False, False, True, True, True, True])


def test_classes_lie_where_the_mask_is_clear() -> None:
    before = MASK.copy()
    assert with_classes(MASK, snow=SNOW).tolist() == [3, 1, 255, 0, 1, 3]
    assert with_classes(MASK, thin_cloud=THIN).tolist() == [0, 1, 255, 4, 1, 4]
    assert with_classes(MASK, snow=SNOW, thin_cloud=THIN).tolist() == [3, 1, 255, 4, 1, 3]
    assert with_classes(MASK).tolist() == MASK.tolist() == before.tolist()


@given(arrays(np.bool_, 12), arrays(np.bool_, 12), arrays(np.uint8, 12, elements={"min_value": 0, "max_value": 1}))
def test_folded_snow_is_clear_and_thin_cloud_is_cloud(snow: Any, thin: Any, mask: Any) -> None:
    folded = without_classes(with_classes(mask, snow=snow, thin_cloud=thin))
    assert np.array_equal(folded == 1, (mask == 1) | (thin & ~snow))
    assert set(folded.tolist()) <= {0, 1}
    assert np.array_equal(without_classes(mask), mask)


def test_a_mask_with_classes_is_refused_where_a_mask_is_due_with_what_to_do() -> None:
    with pytest.raises(FeatureError, match=r"holds 3, 4, .*thin cloud of `eotasks cloud-mask`: .*without_classes"):
        split_cloud_mask(with_classes(MASK, snow=SNOW, thin_cloud=THIN))
    with pytest.raises(FeatureError, match=r"holds 3, 7, .*AddSceneClassificationMaskTask"):
        split_cloud_mask(np.array([3, 7], dtype=np.uint8))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.integers(1, 1_500),
    average=st.integers(0, 5),
    sigma=st.sampled_from([None, 0.7, 3.0]),
    erosion=st.integers(0, 3),
    dilation=st.integers(0, 6),
    seed=st.integers(0, 9),
    gaps=st.booleans(),
)
def test_large_frames_in_strips_as_in_one(
    monkeypatch: pytest.MonkeyPatch,
    pixels: int,
    average: int,
    sigma: float | None,
    erosion: int,
    dilation: int,
    seed: int,
    gaps: bool,
) -> None:
    random = np.random.default_rng(seed)
    gaussian: Any = {"smoothing": "gaussian", "sigma": sigma, "average_over": None}
    steps = MaskSettings(
        **gaussian if sigma else {"average_over": average}, erosion_size=erosion, dilation_size=dilation
    )
    valid = random.random(PROBABILITY.shape) < 0.8 if gaps else None
    snow = random.random(PROBABILITY.shape) < 0.1 if gaps else None
    whole = mask_of(PROBABILITY, steps, valid=valid, snow=snow)
    with monkeypatch.context() as patched:
        patched.setattr(postprocess, "WHOLE_PIXELS", pixels)
        np.testing.assert_array_equal(mask_of(PROBABILITY, steps, valid=valid, snow=snow), whole)

"""Input that s2cloudless answers wrongly, without a word: here it has an error that helps, or the right mask.

Every case goes through the tasks, from bands to cloud mask. Spectra are made up, with some noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.filtering import FilterCloudyTimestampsTask
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.validity import (
    AddCloudCoverageTask,
    AddValidCountTask,
    AddValidDataMaskTask,
    AddValidFractionTask,
)
from eotasks.errors import BandError, FeatureError, GridError, ReflectanceError, TooFewFramesError
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, numbers, stack

CLM, CLP, IS_DATA = (FeatureType.MASK, "CLM"), (FeatureType.DATA, "CLP"), (FeatureType.MASK, "IS_DATA")
COVERAGE = (FeatureType.SCALAR, "CLOUD_COVERAGE")


def cloud_mask_of(frames: Any, is_data: Any = None, *, preset: Any = "s2cloudless", **options: Any) -> Any:
    """The mask (t, h, w) that the two tasks make of the bands."""
    return cloud_patch(frames, is_data, preset=preset, **options)[CLM][..., 0]


def cloud_patch(frames: Any, is_data: Any = None, *, preset: Any = "s2cloudless", **options: Any) -> EOPatch:
    patch = patch_of_bands(frames) if is_data is None else patch_of_bands(frames, IS_DATA=is_data[..., np.newaxis])
    feature = None if is_data is None else IS_DATA
    before = patch.copy(deep=True)
    result = AddCloudProbabilityTask(is_data_feature=feature, **options).execute(patch)
    assert np.array_equal(result[FeatureType.DATA, "BANDS"], before[FeatureType.DATA, "BANDS"], equal_nan=True)
    return AddCloudMaskTask(is_data_feature=feature, preset=preset).execute(result)


def without_cirrus(bands: Any) -> Any:
    bands[..., BANDS.index("B10")] = 0
    return bands


def s2cloudless_mask(bands: Any) -> Any:
    from s2cloudless import S2PixelCloudDetector

    return S2PixelCloudDetector(all_bands=True).get_cloud_masks(bands)


def test_the_honest_input_first() -> None:
    bands = stack(GRASS, LAKE, CLOUD)
    mask = cloud_mask_of(bands)
    assert mask.mean(axis=(1, 2)).tolist() == [0, 0, 1]
    assert np.array_equal(mask, s2cloudless_mask(bands))
    assert np.array_equal(cloud_mask_of(numbers(bands)), mask)


def test_raw_numbers_as_floats() -> None:
    raw = numbers(stack(GRASS)).astype(np.float32)
    assert s2cloudless_mask(raw).all()  # grass: all cloud
    with pytest.raises(
        ReflectanceError, match=r"data/BANDS of 2017-02-16T10:21: .*raw digital numbers.*Divide by 10000"
    ):
        cloud_mask_of(raw)


def test_nan_is_an_error_or_no_data_and_never_clear() -> None:
    bands = stack(CLOUD)
    is_data = np.ones(bands.shape[:3], dtype=bool)
    is_data[:, :5] = False
    bands[~is_data] = np.nan
    assert not s2cloudless_mask(bands)[0, :3].any()  # clear
    assert np.array_equal(cloud_mask_of(bands), np.where(is_data, 1, 255))
    assert np.array_equal(cloud_mask_of(bands, is_data), np.where(is_data, 1, 255))


def test_a_hole_in_one_band_is_told() -> None:
    bands = stack(GRASS)
    bands[0, 3, 4, BANDS.index("B11")] = np.nan
    with pytest.raises(ReflectanceError, match="data/BANDS of 2017-02-16T10:21: NaN"):
        cloud_mask_of(bands)


@pytest.mark.parametrize("of", [numbers, lambda bands: bands], ids=["numbers", "reflectance"])
def test_pixels_without_data_come_out_as_no_data(of: Any) -> None:
    bands = of(stack(CLOUD))
    is_data = np.ones(bands.shape[:3], dtype=bool)
    is_data[:, :, 7:] = False
    bands[~is_data] = 0
    assert not s2cloudless_mask(bands / (10_000 if bands.dtype.kind == "u" else 1))[..., 9:].any()  # clear
    assert np.array_equal(cloud_mask_of(bands, is_data), np.where(is_data, 1, 255))


def test_a_frame_without_any_data() -> None:
    bands = numbers(stack(GRASS, GRASS, CLOUD))
    bands[1] = 0
    is_data = bands.any(axis=-1)
    patch = cloud_patch(bands, is_data)
    assert (patch[CLM][1] == 255).all()
    patch = AddCloudCoverageTask().execute(patch)
    np.testing.assert_array_equal(patch[COVERAGE].ravel(), [0, np.nan, 1])
    kept = FilterCloudyTimestampsTask(COVERAGE, max_cloud_coverage=0.5).execute(patch)
    assert kept.get_timestamps() == patch.get_timestamps()[:1]
    patch = AddValidDataMaskTask().execute(patch)
    assert patch[FeatureType.MASK, "IS_VALID"].any(axis=(1, 2, 3)).tolist() == [True, False, False]
    nothing = cloud_patch(np.zeros_like(bands), np.zeros_like(is_data))
    with pytest.raises(TooFewFramesError, match="0 of 3 frames"):
        FilterCloudyTimestampsTask(CLM, max_cloud_coverage=1).execute(nothing)


def test_reflectance_above_one_is_cloud() -> None:
    bands = stack(CLOUD) * np.float32(2.4)
    assert bands.max() > 1.2
    assert cloud_mask_of(bands).all()


def test_values_of_no_data_inside_valid_data() -> None:
    bands = stack(GRASS)
    bands[0, 2, 2] = -9999
    with pytest.raises(ReflectanceError, match="no-data values inside valid data"):
        cloud_mask_of(bands)
    as_numbers = numbers(stack(GRASS)).astype(np.int16)
    as_numbers[0, 2, 2] = -9999
    with pytest.raises(ReflectanceError, match="no-data values inside valid data"):
        cloud_mask_of(as_numbers)


@pytest.mark.parametrize("count", [1, 6, 9, 11, 12])
def test_another_number_of_bands(count: int) -> None:
    with pytest.raises(BandError, match=rf"data/BANDS: {count} bands, the cloud model needs 10"):
        cloud_mask_of(stack(GRASS)[..., :count])


def test_bands_in_an_order_of_their_own_by_name() -> None:
    bands = stack(GRASS, CLOUD)
    order = np.random.default_rng(3).permutation(len(BANDS))
    named = cloud_mask_of(bands[..., order], bands=[BANDS[index] for index in order])
    assert np.array_equal(named, cloud_mask_of(bands))
    assert np.array_equal(cloud_mask_of(bands[..., band_indices(CLOUD_BANDS)]), named)
    with pytest.raises(BandError, match="band B8A is missing"):
        cloud_mask_of(bands, bands=BANDS[:8] + BANDS[9:])


@pytest.mark.parametrize("preset", ["s2cloudless", "eo-learn", "sentinel-hub", "gee"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)], ids=str)
def test_a_patch_smaller_than_the_kernels(preset: Any, shape: tuple[int, int]) -> None:
    bands = stack(GRASS, CLOUD)[:, : shape[0], : shape[1]]
    assert cloud_mask_of(bands, preset=preset).mean(axis=(1, 2)).tolist() == [0, 1]
    is_data = np.ones(bands.shape[:3], dtype=bool)
    is_data[:, 0, 0] = False
    assert np.array_equal(cloud_mask_of(bands, is_data, preset=preset) == 255, ~is_data)


def test_a_patch_smaller_than_a_cell_of_the_resolution() -> None:
    assert cloud_mask_of(stack(GRASS, CLOUD)[:, :3, :4], resolution=160).mean(axis=(1, 2)).tolist() == [0, 1]


def test_a_resolution_finer_than_the_pixels() -> None:
    with pytest.raises(GridError, match=r"data/BANDS of .*10 m is finer than the pixels of .*Give at least"):
        cloud_mask_of(stack(GRASS), resolution=10)


def test_no_frames_and_no_pixels() -> None:
    assert cloud_mask_of(np.empty((0, 4, 4, 13), dtype=np.float32)).shape == (0, 4, 4)
    assert cloud_mask_of(np.empty((2, 0, 4, 13), dtype=np.float32)).shape == (2, 0, 4)


@pytest.mark.parametrize("of", [numbers, lambda bands: bands], ids=["numbers", "reflectance"])
def test_pixels_of_zeros_have_no_data_though_no_mask_says_so(of: Any) -> None:
    bands = of(stack(CLOUD, GRASS))
    bands[:, :, 7:] = 0
    patch = cloud_patch(bands)
    assert np.isnan(patch[CLP][:, :, 7:]).all()
    assert (patch[CLM][:, :, 7:] == 255).all()
    assert patch[CLM][:, :, :7].mean(axis=(1, 2, 3)).tolist() == [1, 0]
    nothing = cloud_patch(np.zeros_like(bands))
    assert (nothing[CLM] == 255).all()
    with pytest.raises(FeatureError, match=r"data/BANDS: 120 pixels are 0 or NaN .*Give is_data_feature"):
        AddCloudProbabilityTask(dtype="uint8").execute(patch_of_bands(bands))


@pytest.mark.parametrize(
    "of",
    [lambda f: numbers(f).astype(np.int16) - np.int16(1000), lambda f: numbers(f) - np.uint16(1000),
     lambda f: (numbers(f).astype(np.float32) - 1000) / np.float32(10_000)],
    ids=["signed", "wrapped", "reflectance"],
)  # fmt: skip
def test_no_data_less_an_offset_is_no_data(of: Any) -> None:
    bands = stack(CLOUD, GRASS) + np.float32(0.1)
    bands[:, :, 7:] = 0
    patch = cloud_patch(of(bands))
    assert (patch[CLM][:, :, 7:] == 255).all()
    assert patch[CLM][:, :, :7].mean(axis=(1, 2, 3)).tolist() == [1, 0]


def test_a_cloud_mask_in_place_of_a_valid_mask() -> None:
    patch = cloud_patch(stack(CLOUD, GRASS))
    for task in (
        FilterCloudyTimestampsTask((FeatureType.MASK, "CLM")),
        AddValidFractionTask((FeatureType.MASK, "CLM")),
        AddValidCountTask((FeatureType.MASK, "CLM")),
    ):
        with pytest.raises(FeatureError, match=r"mask/CLM is uint8 where a boolean mask of valid pixels .*max_cloud"):
            task.execute(patch)


def test_masks_that_cannot_tell_no_data_are_not_asked() -> None:
    bands = stack(CLOUD, GRASS)
    bands[:, :, 7:] = 0
    patch = AddCloudMaskTask(boolean=True).execute(AddCloudProbabilityTask().execute(patch_of_bands(bands)))
    with pytest.raises(FeatureError, match=r"mask/CLM: boolean masks cannot say .*Give is_data_feature"):
        AddValidDataMaskTask(None).execute(patch)
    numbers_of = AddCloudProbabilityTask(dtype="uint8").execute(patch_of_bands(stack(CLOUD, GRASS)))
    with pytest.raises(FeatureError, match=r"data/CLP is uint8, .*give is_data_feature"):
        AddCloudMaskTask().execute(numbers_of)


@pytest.mark.parametrize("offset_of", [lambda f: f + np.float32(0.1), lambda f: numbers(f) + np.uint16(1000)])
def test_a_baseline_offset_left_in(offset_of: Any) -> None:
    bands = offset_of(stack(GRASS))
    if bands.dtype.kind == "f":
        assert s2cloudless_mask(bands).mean() > 0.9  # grass: cloud
    with pytest.raises(ReflectanceError, match=r"data/BANDS: B10 .*2017-02-16T10:21: the offset .*Subtract 1000 DN"):
        cloud_mask_of(bands)
    assert cloud_mask_of(bands, check_bands=False).shape == bands.shape[:3]


def test_mixed_baselines_in_one_stack_are_named_by_frame() -> None:
    bands = numbers(stack(GRASS, GRASS, LAKE, CLOUD))
    bands[2:] += 1000
    with pytest.raises(
        ReflectanceError, match=r"in 2017-02-26T10:21, 2017-03-03T10:21 \(2 of 4 frames with data: the stack mixes"
    ):
        cloud_mask_of(bands)
    bands[2:] -= 1000
    assert cloud_mask_of(bands).mean(axis=(1, 2)).tolist() == [0, 0, 0, 1]


def test_an_offset_removed_from_products_without_one() -> None:
    with pytest.raises(ReflectanceError, match="an offset was removed that the products do not have"):
        cloud_mask_of(stack(GRASS) - np.float32(0.1))


@pytest.mark.parametrize(
    "of",
    [lambda f: numbers((f - np.float32(0.1)).clip(0)), lambda f: (f - np.float32(0.1)).clip(0), without_cirrus],
    ids=["numbers", "reflectance", "B10 of L2A"],
)
def test_what_an_offset_took_below_0_was_cut_off(of: Any) -> None:
    """Clear everywhere, cloud too, as s2cloudless has it."""
    bands = of(stack(GRASS, CLOUD))
    with pytest.raises(ReflectanceError, match=r"data/BANDS: B10 is 0 in nearly every pixel of 2017-02-16T10:21, "):
        cloud_mask_of(bands)
    assert cloud_mask_of(bands, check_bands=False).shape == bands.shape[:3]
    mixed = numbers(stack(GRASS, GRASS))
    mixed[1, ..., BANDS.index("B10")] = 0
    with pytest.raises(ReflectanceError, match=r"pixel of 2017-02-21T10:21 \(1 of 2 frames"):
        cloud_mask_of(mixed)


@pytest.mark.parametrize("order", [[*range(8), 9, 10, 11, 12, 8], [*range(12, -1, -1)]], ids=["B8A last", "reversed"])
def test_bands_in_the_wrong_order(order: list[int]) -> None:
    with pytest.raises(BandError, match=r"data/BANDS: what should be B10 is brighter .*2017-02-16T10:21"):
        cloud_mask_of(stack(GRASS)[..., order])

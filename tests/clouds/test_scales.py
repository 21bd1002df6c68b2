"""Tasks say what their numbers mean: 8 and 16 bits, percentages, cloud masks in the place of masks of data."""

from __future__ import annotations

import datetime as dt
import functools
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks import (
    AddCloudCoverageTask,
    AddCloudMaskTask,
    AddCloudProbabilityTask,
    AddCloudShadowTask,
    AddMultiTemporalCloudProbabilityTask,
    AddSnowMaskTask,
    AddThinCloudMaskTask,
    AddValidCountTask,
    AddValidDataMaskTask,
    DetectCloudsTask,
    FilterCloudyTimestampsTask,
    LoadSampleTask,
    ResampleTimeSeriesTask,
)
from eotasks.errors import ConfigurationError, FeatureError, ReflectanceError, ScaleWarning
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.postprocess import cloud_mask
from eotasks.sources.sample import SAMPLE_BBOX
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, numbers, stack

D, M = FeatureType.DATA, FeatureType.MASK
CLM, IS_DATA = (M, "CLM"), (M, "IS_DATA")
ANGLES: dict[str, Any] = {"sun_angles": (40.0, 160.0)}


@functools.cache
def sample() -> Any:
    return LoadSampleTask(resolution=60).execute(bbox=SAMPLE_BBOX)[D, "BANDS"]


def cloud_share(bands: Any, **options: Any) -> float:
    patch = AddCloudProbabilityTask(**options).execute(patch_of_bands(bands))
    return float((AddCloudMaskTask().execute(patch)[CLM] == 1).mean())


@pytest.mark.parametrize(
    ("scale", "dtype", "loss"), [("0..255", np.uint8, 0.08), ("0..255", np.int16, 0.08), ("0..65535", np.uint16, 0.001)]
)
def test_sentinel_hub_s_8_and_16_bits(scale: Any, dtype: Any, loss: float) -> None:
    divisor = {"0..255": 255, "0..65535": 65_535}[scale]
    bands = np.round(sample() * divisor).clip(0, divisor).astype(dtype)
    with pytest.raises(ReflectanceError, match=f"[Dd]ivide.*by {divisor}"):
        cloud_share(bands)
    with pytest.warns(ScaleWarning, match="too coarse") if divisor == 255 else nullcontext():
        share = cloud_share(bands, scale=scale)
    assert share == pytest.approx(cloud_share(sample()), abs=loss)


def test_16_bits_at_a_coarser_resolution() -> None:
    bands = np.round(sample() * 65_535).clip(0, 65_535).astype(np.uint16)
    scale: Any = "0..65535"
    loss = 0.001
    assert cloud_share(bands, scale=scale, resolution=120) == pytest.approx(
        cloud_share(sample(), resolution=120), abs=loss
    )


@pytest.mark.parametrize("scale", ["percent", "0..255", "dn", "0..65535"])
def test_the_same_from_floats_of_a_named_scale(scale: Any) -> None:
    divisor = {"percent": 100, "0..255": 255, "dn": 10_000, "0..65535": 65_535}[scale]
    bands = stack(GRASS, CLOUD)
    with pytest.raises(ReflectanceError):
        cloud_share(bands * divisor)
    assert cloud_share((bands * divisor).astype(np.float64), scale=scale) == cloud_share(bands) == 0.5


def of_task(task: Any, bands: Any) -> Any:
    mask = np.zeros((*bands.shape[:3], 1), np.uint8)
    mask[:, 2:5, 2:5] = 1
    return task.execute(patch_of_bands(bands, CLM=mask, IS_DATA=np.ones(mask.shape, bool)))


TASKS: dict[str, Any] = {
    "probability": AddCloudProbabilityTask,
    "multi-temporal": AddMultiTemporalCloudProbabilityTask,
    "snow": AddSnowMaskTask,
    "thin cloud": AddThinCloudMaskTask,
    "shadow": functools.partial(AddCloudShadowTask, **ANGLES),
    "valid data": functools.partial(AddValidDataMaskTask, bands_feature=(D, "BANDS"), snow="exclude"),
}


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_with_bands_refuses_another_scale_and_takes_it_by_its_name(task: Any) -> None:
    bands = stack(GRASS, LAKE)
    of_task(task(), bands)
    of_task(task(), numbers(bands))
    with pytest.raises(ReflectanceError, match=r"data/BANDS.*[Dd]ivide"):
        of_task(task(), (bands * 255).astype(np.uint8))
    with pytest.raises(ReflectanceError, match=r"data/BANDS.*[Dd]ivide"):
        of_task(task(), (bands * 255).astype(np.int16))
    with pytest.raises(ReflectanceError, match=r"data/BANDS.*[Dd]ivide"):
        of_task(task(), (bands * 65_535).clip(0, 65_535).astype(np.uint16))
    named, honest = of_task(task(scale="dn"), (bands * 10_000).astype(np.float32)), of_task(task(), bands)
    for feature in honest.get_features():
        if feature != (D, "BANDS"):
            assert np.mean(np.isclose(named[feature], honest[feature], atol=1e-3, equal_nan=True)) > 0.99
    with pytest.raises(ConfigurationError, match="is unknown: give 'reflectance'"):
        task(scale="uint8")


@pytest.mark.parametrize("detector", ["s2cloudless", "braaten-cohen-yang"])
def test_detectors_refuse_another_scale(detector: str) -> None:
    bands = (stack(GRASS, CLOUD) * 255).astype(np.int16)
    with pytest.raises(ReflectanceError, match="by 255"):
        DetectCloudsTask(detector).execute(patch_of_bands(bands))


def percentages() -> EOPatch:
    patch = patch_of_bands(stack(GRASS))
    probability = np.zeros((1, 12, 12, 1), np.uint8)
    probability[:, :, 6:] = 100
    patch[D, "CLP"], patch[IS_DATA] = probability, np.ones(probability.shape, bool)
    return patch


@pytest.mark.parametrize("preset", ["s2cloudless", "eo-learn", "sentinel-hub"])
def test_percentages_of_earth_engine(preset: Any) -> None:
    task = AddCloudMaskTask(is_data_feature=IS_DATA, preset=preset, scale="percent")
    clear, cloudy = (task.execute(percentages())[CLM][:, :, edge] for edge in (0, -1))
    assert not clear.any()
    assert cloudy.all()
    with pytest.warns(ScaleWarning, match=r"data/CLP: uint8 that ends at exactly 100"):
        AddCloudMaskTask(is_data_feature=IS_DATA, preset=preset).execute(percentages())
    with pytest.raises(FeatureError, match="give is_data_feature"):
        AddCloudMaskTask(preset=preset, scale="percent").execute(percentages())
    with pytest.raises(ConfigurationError, match=r"scale='0\.\.100' is unknown"):
        AddCloudMaskTask(scale="0..100")  # type: ignore[arg-type]  # refused


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
def test_percentages_as_the_cloud_of_a_shadow() -> None:
    options: dict[str, Any] = {"cloud_feature": (D, "CLP"), "is_data_feature": IS_DATA, **ANGLES}
    shadow = AddCloudShadowTask(probability_scale="percent", **options).execute(percentages())
    assert (shadow[M, "SHADOW"][:, :, 6:] == 0).all()  # a cloud is no shadow
    with pytest.warns(ScaleWarning):
        AddCloudShadowTask(**options).execute(percentages())


def clouded_series() -> EOPatch:
    patch = percentages()
    times = [dt.datetime(2020, 1, 1) + dt.timedelta(days=10 * day) for day in range(4)]  # noqa: DTZ001 - naive UTC
    series = EOPatch(bbox=patch.bbox, timestamps=times)
    series[D, "NDVI"] = np.full((4, 8, 8, 1), 0.8, np.float32)
    series[D, "CLP"] = np.zeros((4, 8, 8, 1), np.float32)
    series[D, "BANDS"] = np.broadcast_to(stack(GRASS, side=8), (4, 8, 8, 13)).copy()
    series[CLM] = np.zeros((4, 8, 8, 1), np.uint8)
    series[CLM][2] = 1
    return series


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_masked_arrays_as_rasterio_gives_them(task: Any) -> None:
    """What lies under the mask would be looked at: the array says that it is not to be."""
    bands = stack(GRASS, LAKE)
    of_task(task(), np.ma.masked_array(bands))  # nothing is masked
    with pytest.raises(FeatureError, match=r"data/BANDS is a masked array"):
        of_task(task(), np.ma.masked_less(bands, 0.05))


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_masked_arrays_of_functions(dtype: Any) -> None:
    bands = np.ma.masked_array(numbers(stack(GRASS)) if dtype == np.uint16 else stack(GRASS))
    bands[0, 0, 0, 0] = np.ma.masked
    for check in (True, False):
        with pytest.raises(FeatureError, match=r"the bands: a masked array"):
            cloud_probability(bands, check_bands=check)
    valid = np.ma.masked_array(np.ones(bands.shape[:3], bool), np.eye(bands.shape[1], dtype=bool)[np.newaxis])
    with pytest.raises(FeatureError, match=r"the valid mask: a masked array"):
        cloud_probability(bands.data, valid=valid)
    with pytest.raises(FeatureError, match=r"cloud probability: a masked array"):
        cloud_mask(np.ma.masked_less(np.full(bands.shape[:3], 0.5, np.float32), 0.6))


MASKED: dict[str, Any] = {
    "resampling": ResampleTimeSeriesTask(
        (D, "NDVI"), valid_feature=CLM, start="2020-01-01", end="2020-02-01", step_days=10
    ),
    "mask": AddCloudMaskTask(is_data_feature=CLM),
    "valid data": AddValidDataMaskTask(CLM, cloud_masks=[]),
    "valid count": AddValidCountTask(CLM),
    "filter": FilterCloudyTimestampsTask(CLM, min_valid_fraction=0.5),
    "coverage": AddCloudCoverageTask(is_data_feature=CLM),
    "filter by coverage": FilterCloudyTimestampsTask(CLM, max_cloud_coverage=0.5, is_data_feature=CLM),
    "probability": AddCloudProbabilityTask(is_data_feature=CLM),
    "multi-temporal": AddMultiTemporalCloudProbabilityTask(is_data_feature=CLM),
    "snow": AddSnowMaskTask(is_data_feature=CLM),
    "thin cloud": AddThinCloudMaskTask(is_data_feature=CLM),
    "shadow": AddCloudShadowTask(is_data_feature=CLM, **ANGLES),
    "detector": DetectCloudsTask("s2cloudless", is_data_feature=CLM),
}


@pytest.mark.parametrize("task", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_cloud_mask_in_the_place_of_a_mask_of_data(task: Any, dtype: Any) -> None:
    series = clouded_series()
    series[CLM] = series[CLM].astype(dtype)
    with pytest.raises(FeatureError, match=rf"mask/CLM is {np.dtype(dtype)} where a boolean mask"):
        task.execute(series)

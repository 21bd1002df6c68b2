from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EONode, EOPatch, EOWorkflow, FeatureType, OutputTask
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.temporal import AddMultiTemporalCloudProbabilityTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError
from eotasks.models.clouds.temporal.series import multi_temporal_clouds
from eotasks.models.clouds.temporal.settings import OUTPUTS, TemporalSettings
from eotasks.models.sentinel2 import BANDS

BANDS_FEATURE = (FeatureType.DATA, "BANDS")
CLP_MULTI = (FeatureType.DATA, "CLP_MULTI")
CLP = (FeatureType.DATA, "CLP")
INTERSSIM = (FeatureType.MASK, "CLM_INTERSSIM")
CLM_MULTI = (FeatureType.MASK, "CLM_MULTI")
CLM = (FeatureType.MASK, "CLM")
IS_DATA = (FeatureType.MASK, "IS_DATA")
UTM = BBox((500_000, 5_000_000, 500_160, 5_000_240), CRS.UTM_33N)
EVERYTHING: dict[str, Any] = {
    "mask_feature": INTERSSIM,
    "multi_mask_feature": CLM_MULTI,
    "mono_probability_feature": CLP,
    "mono_mask_feature": CLM,
}


class Mean:
    """A classifier of the tests' own, which can be pickled."""

    def predict(self, rows: Any, /) -> Any:
        return np.clip(rows[:, :10].mean(axis=1), 0, 1)


MODELS: dict[str, Any] = {"mono_classifier": Mean(), "multi_classifier": Mean()}


def patch_of(bands: Any, bbox: BBox | None = UTM, **masks: Any) -> EOPatch:
    start = dt.datetime.fromisoformat("2017-02-16T10:21:01")
    times = [start + dt.timedelta(days=5 * index) for index in range(len(bands))]
    return EOPatch(bbox=bbox, timestamps=times, data={"BANDS": bands}, mask=masks)


@pytest.fixture
def bands() -> Any:
    values = np.random.default_rng(6).uniform(0.05, 1, (3, 12, 16, 13)).astype(np.float32)
    values[..., BANDS.index("B10")] *= 0.05  # the ground does not show in it
    return values


@pytest.fixture
def is_data() -> Any:
    return np.random.default_rng(7).uniform(size=(3, 12, 16, 1)) > 0.2


def test_golden_values_of_the_original(shared_data: Path) -> None:
    with np.load(shared_data / "golden" / "interssim_1_4_2.npz", allow_pickle=False) as file:
        bands, is_data = file["bands"], file["is_data"]
        expected = {feature: file[f"r120/{feature[1]}"] for feature in (CLP, CLP_MULTI, CLM, CLM_MULTI, INTERSSIM)}
    corners = (465181.0522318204, 5079244.8912012065, 466180.53145382757, 5080254.63349641)
    patch = patch_of(bands, BBox(corners, CRS.UTM_33N), IS_DATA=is_data)
    AddMultiTemporalCloudProbabilityTask(
        BANDS_FEATURE,
        CLP_MULTI,
        **EVERYTHING,
        is_data_feature=IS_DATA,
        resolution=120,
        average_over=16,
        dilation_size=8,
        boolean=True,
    ).execute(patch)
    for feature, values in expected.items():
        assert patch[feature].dtype == values.dtype
        assert np.abs(patch[feature].astype(float) - values).max() <= 1e-6, feature


def test_works_with_nothing_else(bands: Any) -> None:
    before = bands.copy()
    patch = AddMultiTemporalCloudProbabilityTask(BANDS_FEATURE, CLP_MULTI).execute(patch_of(bands))
    expected = multi_temporal_clouds(bands, pixel_size=(20, 10))
    assert np.array_equal(patch[CLP_MULTI][..., 0], expected["multi_probability"])
    assert patch[CLP_MULTI].dtype == np.float32
    assert np.array_equal(patch[INTERSSIM][..., 0], expected["mask"])
    assert patch[INTERSSIM].dtype == np.uint8
    assert np.array_equal(bands, before)


def test_every_parameter_reaches_the_method(bands: Any, is_data: Any) -> None:
    options: dict[str, Any] = {
        "max_frames": 2,
        "mono_threshold": 0.45,
        "multi_threshold": 0.55,
        "average_over": 1,
        "dilation_size": 0,
    }
    task = AddMultiTemporalCloudProbabilityTask(
        BANDS_FEATURE,
        CLP_MULTI,
        **EVERYTHING,
        **options,
        **MODELS,
        is_data_feature=IS_DATA,
        bands=BANDS[::-1],
        resolution=(30, 40),  # x, y
        threads=2,
    )
    patch = task.execute(patch_of(bands[..., ::-1], IS_DATA=is_data))
    expected = multi_temporal_clouds(
        bands,
        is_data[..., 0],
        pixel_size=(20, 10),
        outputs=OUTPUTS,
        settings=TemporalSettings(resolution=(40, 30), **options),
        **MODELS,
    )
    for output, feature in task.outputs.items():
        values = expected[output]
        if values.dtype == bool:
            values = np.where(is_data[..., 0], values, 255)
        assert np.array_equal(patch[feature][..., 0], values), output


def test_input_is_no_output() -> None:
    with pytest.raises(ConfigurationError, match="data/BANDS is input and output"):
        AddMultiTemporalCloudProbabilityTask(BANDS_FEATURE, BANDS_FEATURE)


@pytest.mark.parametrize("fill", [0, -0.1, np.nan])
def test_pixels_without_data_are_told_by_the_bands(bands: Any, is_data: Any, fill: float) -> None:
    given = np.where(is_data, bands, np.float32(fill))
    before = given.copy()
    patch = AddMultiTemporalCloudProbabilityTask(**EVERYTHING, **MODELS).execute(patch_of(given))
    options: dict[str, Any] = {**EVERYTHING, **MODELS, "is_data_feature": IS_DATA}
    blackened = patch_of(np.where(is_data, bands, np.float32(0)), IS_DATA=is_data)
    expected = AddMultiTemporalCloudProbabilityTask(**options).execute(blackened)
    for feature in (CLP_MULTI, INTERSSIM, CLM_MULTI, CLP, CLM):
        assert np.array_equal(patch[feature][is_data], expected[feature][is_data]), feature
    for mask in (INTERSSIM, CLM_MULTI, CLM):
        assert np.array_equal(patch[mask] == 255, ~is_data)
    for probability in (CLP_MULTI, CLP):
        assert np.isnan(patch[probability][~is_data]).all()  # no mask says it to the next task
        assert not expected[probability][~is_data].any()  # the original's
    assert np.array_equal(given, before, equal_nan=True)


def test_only_what_is_asked_for_is_added(bands: Any) -> None:
    task = AddMultiTemporalCloudProbabilityTask(
        BANDS_FEATURE, None, mask_feature=None, mono_mask_feature=CLM, boolean=True, **MODELS
    )
    patch = task.execute(patch_of(bands))
    assert patch[CLM].dtype == bool
    assert set(patch.get_features()) == {BANDS_FEATURE, CLM}


def test_degrees_are_metres_on_the_ground(bands: Any) -> None:
    degrees = UTM.transform(CRS.WGS84)
    there = AddMultiTemporalCloudProbabilityTask(**MODELS).execute(patch_of(bands, degrees))
    here = AddMultiTemporalCloudProbabilityTask(**MODELS).execute(patch_of(bands))
    assert np.allclose(there[CLP_MULTI], here[CLP_MULTI], atol=1e-2)


def test_runs_in_a_workflow_and_a_task_that_ran_is_small(bands: Any) -> None:
    task = AddMultiTemporalCloudProbabilityTask(resolution=60)
    expected = task.execute(patch_of(bands))[CLP_MULTI]
    content = pickle.dumps(task)
    assert len(content) < 5_000  # models stay behind
    node = EONode(pickle.loads(content))
    output = EONode(OutputTask("result"), inputs=[node])
    result = EOWorkflow([node, output]).execute({node: {"eopatch": patch_of(bands)}})
    assert np.array_equal(result.outputs["result"][CLP_MULTI], expected)


@pytest.mark.filterwarnings("ignore::eolearn.core.exceptions.EODeprecationWarning")  # a patch without a place
def test_input_that_cannot_be_used_is_refused_by_name(bands: Any, is_data: Any) -> None:
    task = AddMultiTemporalCloudProbabilityTask(is_data_feature=IS_DATA)
    with pytest.raises(FeatureError, match=r"data/BANDS is not in the EOPatch .*first"):
        task.execute(EOPatch(bbox=UTM, timestamps=["2020-01-01"]))
    with pytest.raises(FeatureError, match="mask/IS_DATA"):
        task.execute(patch_of(bands))
    with pytest.raises(GridError, match="mask/IS_DATA has shape"):
        task.execute(patch_of(bands, IS_DATA=is_data[:, :5]))
    with pytest.raises(GridError, match="bounding box"):
        task.execute(patch_of(bands, None, IS_DATA=is_data))
    with pytest.raises(BandError, match=r"5 bands.*AddSceneClassificationMaskTask"):
        task.execute(patch_of(bands[..., :5], IS_DATA=is_data))
    with pytest.raises(ReflectanceError, match=r"data/BANDS of 2017-02-16T10:21: .*raw digital numbers"):
        task.execute(patch_of(bands * 10_000, IS_DATA=is_data))
    with pytest.raises(GridError, match="finer than the pixels"):
        AddMultiTemporalCloudProbabilityTask(resolution=5).execute(patch_of(bands))


def test_an_offset_left_in_and_bands_in_a_wrong_order_are_refused(bands: Any) -> None:
    task = AddMultiTemporalCloudProbabilityTask(**MODELS)
    mixed = bands.copy()
    mixed[1] += 0.1
    with pytest.raises(ReflectanceError, match=r"2017-02-21T10:21 \(1 of 3 frames with data: the stack mixes"):
        task.execute(patch_of(mixed))
    wrong = bands.copy()
    wrong[..., BANDS.index("B10")] = 1.1
    with pytest.raises(BandError, match="order"):
        task.execute(patch_of(wrong))
    patch = AddMultiTemporalCloudProbabilityTask(check_bands=False, **MODELS).execute(patch_of(mixed))
    assert CLP_MULTI in patch


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"probability_feature": None, "mask_feature": None}, "every output feature is None"),
        ({"mono_probability_feature": CLP_MULTI}, "data/CLP_MULTI is asked for more than once"),
        ({"probability_feature": INTERSSIM}, "DATA"),
        ({"mask_feature": CLP}, "MASK"),
        ({"is_data_feature": CLP}, "MASK"),
        ({"resolution": 0}, "resolution"),
        ({"resolution": "120m"}, "resolution"),
        ({"resolution": (10, 10, 10)}, "resolution"),
        ({"max_frames": 0}, "max_frames"),
        ({"multi_threshold": 2}, "multi_threshold"),
        ({"average_over": -1}, "average_over"),
        ({"threads": 0}, "threads"),
        ({"multi_classifier": "model.txt"}, "multi_classifier='model.txt' is no classifier"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AddMultiTemporalCloudProbabilityTask(**wrong)


def test_named_bands_without_the_models_ten_are_refused() -> None:
    with pytest.raises(BandError, match="B10"):
        AddMultiTemporalCloudProbabilityTask(bands=[band for band in BANDS if band != "B10"])

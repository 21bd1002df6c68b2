"""Detectors as tasks: what they add to an EOPatch, and how they travel."""

from __future__ import annotations

import datetime as dt
import pickle

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.detectors.eopatch import eopatch_of, frames_of
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.tasks import CLM, CLP, SHADOW_MASK, DetectCloudsTask, detector_tasks
from eotasks.clouds.temporal import AddMultiTemporalCloudProbabilityTask
from eotasks.errors import BandError, ConfigurationError, FeatureError
from eotasks.models.sentinel2 import CLOUD_BANDS, SceneClass
from eotasks.workflows.batch.fingerprints import fingerprint

DATA, MASK, SCALAR = FeatureType.DATA, FeatureType.MASK, FeatureType.SCALAR
SIDE = 24


@pytest.fixture
def patch() -> EOPatch:
    """Two frames of dark ground with a bright block, the first of which lacks a row."""
    rng = np.random.default_rng(3)
    times = [dt.datetime(2020, 6, day, 10) for day in (1, 6)]  # noqa: DTZ001 - as EOPatches have them
    box = BBox((500_000, 5_000_000, 500_000 + 20 * SIDE, 5_000_000 + 20 * SIDE), CRS(32633))
    patch = EOPatch(bbox=box, timestamps=times)
    bands = rng.uniform(0.05, 0.1, (2, SIDE, SIDE, 10)).astype(np.float32)
    bands[:, 8:16, 8:16] = 0.6
    bands[..., CLOUD_BANDS.index("B10")] = 0.001
    patch[DATA, "BANDS"] = bands
    patch[MASK, "IS_DATA"] = np.ones((2, SIDE, SIDE, 1), dtype=bool)
    patch[MASK, "IS_DATA"][0, 0] = False
    classes = np.full((2, SIDE, SIDE, 1), SceneClass.VEGETATION, dtype=np.uint8)
    classes[:, 8:16, 8:16] = SceneClass.CLOUD_HIGH_PROBABILITY
    classes[:, 18:20] = SceneClass.CLOUD_SHADOW
    patch[MASK, "SCL"] = classes
    patch[SCALAR, "SUN_ANGLES"] = np.array([[40.0, 150.0]] * 2)
    return patch


def test_the_task_adds_what_the_two_tasks_of_s2cloudless_add(patch: EOPatch) -> None:
    settings = DetectorSettings(preset="gee", threshold=0.3, resolution=40.0)
    expected = patch.copy()
    steps = detector_tasks("s2cloudless", settings)
    assert [name for _, name in steps] == ["cloud probability", "cloud mask"]
    for task, _ in steps:
        expected = task.execute(expected)
    is_data = (MASK, "IS_DATA")
    found = DetectCloudsTask("s2cloudless", is_data_feature=is_data, settings=settings).execute(patch.copy())
    np.testing.assert_array_equal(found[CLM], expected[CLM])
    np.testing.assert_array_equal(found[CLP], expected[CLP])
    assert set(np.unique(found[CLM])) == {0, 1, 255}
    assert SHADOW_MASK not in found


def test_shadow_is_a_mask_of_its_own(patch: EOPatch) -> None:
    found = DetectCloudsTask("scl", is_data_feature=(MASK, "IS_DATA")).execute(patch)
    expected = np.zeros((2, SIDE, SIDE, 1), dtype=np.uint8)
    expected[0, 0] = 255
    for feature, rows, columns in ((CLM, slice(8, 16), slice(8, 16)), (SHADOW_MASK, slice(18, 20), slice(None))):
        due = expected.copy()
        due[:, rows, columns] = 1
        np.testing.assert_array_equal(found[feature], due)
        assert found[feature].dtype == np.uint8
    assert CLP not in found


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
@pytest.mark.parametrize("detector", ["multi-temporal", "shadows-geometric"])
def test_any_detector_is_one_step_and_changes_no_input(patch: EOPatch, detector: str) -> None:
    before = patch.copy(deep=True)
    ((task, name),) = detector_tasks(detector, DetectorSettings(), bands=CLOUD_BANDS)
    assert name == "clouds"
    found = task.execute(patch.copy())
    is_data = (MASK, "IS_DATA")
    expected = patch.copy()
    if detector == "multi-temporal":
        own = AddMultiTemporalCloudProbabilityTask(probability_feature=CLP, mask_feature=CLM, is_data_feature=is_data)
        own.execute(expected)
    else:
        for own, _ in detector_tasks("s2cloudless", DetectorSettings()):
            own.execute(expected)
    np.testing.assert_array_equal(found[CLM], expected[CLM])
    np.testing.assert_array_equal(found[CLP][patch[is_data]], expected[CLP][patch[is_data]])
    assert np.isnan(found[CLP][0, 0]).all()
    for feature in before.get_features():
        np.testing.assert_array_equal(patch[feature], before[feature])


def test_a_task_travels_by_the_name_of_its_detector(patch: EOPatch) -> None:
    task = DetectCloudsTask("scl")
    fresh = fingerprint(task)
    expected = task.execute(patch.copy())
    copy = pickle.loads(pickle.dumps(task))
    assert "_detector" not in vars(copy)
    assert fingerprint(task) == fingerprint(copy) == fresh
    np.testing.assert_array_equal(copy.execute(patch.copy())[CLM], expected[CLM])


def test_what_cannot_be_is_refused(patch: EOPatch) -> None:
    with pytest.raises(ConfigurationError, match="no detector 'fmask'"):
        DetectCloudsTask("fmask")
    with pytest.raises(ConfigurationError, match="needs B01, B02, B05"):
        DetectCloudsTask("multi-temporal", bands=["B04", "B08", "B8A", "B09", "B10", "B11", "B12"])
    del patch[MASK, "SCL"]
    with pytest.raises(FeatureError, match="data/BANDS: no scene classification"):
        DetectCloudsTask("scl").execute(patch)
    patch[DATA, "BANDS"] = patch[DATA, "BANDS"][..., :3]
    with pytest.raises(BandError, match="3 bands without names"):
        DetectCloudsTask("all-clear").execute(patch)


def test_frames_of_an_eopatch_and_back(patch: EOPatch) -> None:
    seen = frames_of(patch)
    assert (len(seen), seen.names, seen.pixel_size()) == (2, CLOUD_BANDS, (20.0, 20.0))
    assert seen.frame_names == ["data/BANDS of 2020-06-01T10:00", "data/BANDS of 2020-06-06T10:00"]
    assert eopatch_of(seen) == patch


@pytest.mark.parametrize(
    ("feature", "values", "message"),
    [
        ((SCALAR, "SUN_ANGLES"), np.zeros((2, 3)), r"\(2, 3\) where \(2, 2\)"),
        ((MASK, "SCL"), np.zeros((2, SIDE, SIDE, 2), np.uint8), "one channel"),
        ((MASK, "SCL"), np.zeros((2, 4, 4, 1), np.uint8), "one grid"),
    ],
    ids=["angles", "channels", "grid"],
)
def test_features_of_another_shape(
    patch: EOPatch, feature: tuple[FeatureType, str], values: np.ndarray, message: str
) -> None:
    patch[feature] = values
    with pytest.raises((FeatureError, ValueError), match=message):
        frames_of(patch)

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from scipy import ndimage
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.shadows import AddCloudShadowTask
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError, ShadowWarning
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.geometric import GeometricMethod
from eotasks.models.clouds.shadows.projection import ProjectionMethod
from eotasks.models.simulation.year import SimulatedAcquisition, SimulationSettings, simulate
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import sample_ground
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, frame

BANDS, SHADOW = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "SHADOW")
CLM, CLP = (FeatureType.MASK, "CLM"), (FeatureType.DATA, "CLP")
IS_DATA, SUN_ANGLES = (FeatureType.MASK, "IS_DATA"), (FeatureType.SCALAR, "SUN_ANGLES")
VIEW = (FeatureType.SCALAR, "VIEW_ANGLES")

FRAMES = [
    frame([Blob(150, 90, 14, 1200), Blob(120, 180, 17, 1200)], shape=(200, 210)),
    frame([Blob(160, 120, 19, 800)], shape=(200, 210), seed=2),
]
UTM = BBox((330_000, 5_814_360, 330_000 + 210 * PIXEL[1], 5_814_360 + 200 * PIXEL[0]), CRS("EPSG:32633"))


def patch_of() -> EOPatch:
    patch = EOPatch(bbox=UTM, timestamps=["2017-01-01", "2017-01-11"])
    patch[BANDS] = np.stack([bands for bands, _, _ in FRAMES])
    patch[CLM] = np.stack([cloud for _, cloud, _ in FRAMES]).astype(np.uint8)[..., None]
    patch[SUN_ANGLES] = np.array([SUN, SUN], dtype=np.float32)
    return patch


def shadows(patch: EOPatch, **options: Any) -> np.ndarray:
    result: np.ndarray = AddCloudShadowTask(bands=NAMES, **options).execute(patch)[SHADOW]
    return result


def test_shadow_of_every_frame() -> None:
    patch = patch_of()
    before = patch.copy(deep=True)
    mask = shadows(patch)
    assert mask.dtype == np.uint8
    for index, (bands, cloud, truth) in enumerate(FRAMES):
        options: dict[str, Any] = {"sun": patch[SUN_ANGLES][index], "pixel_size": PIXEL, "names": NAMES}
        assert np.array_equal(mask[index, ..., 0], cloud_shadow(bands, cloud, **options))
        assert np.mean((mask[index, ..., 0] == 1) == truth) > 0.999
    assert all(np.array_equal(patch[feature], before[feature]) for feature in (BANDS, CLM, SUN_ANGLES))
    boolean = shadows(patch_of(), boolean=True)
    assert boolean.dtype == np.bool_
    assert np.array_equal(boolean, mask == 1)


def test_angles_as_numbers_scalars_and_grids() -> None:
    expected = shadows(patch_of(), sun_angles=SUN)
    assert np.array_equal(shadows(patch_of()), expected)
    patch = patch_of()
    patch[(FeatureType.DATA, "SUN")] = np.broadcast_to(np.array(SUN, dtype=np.float32), (2, 200, 210, 2)).copy()
    assert np.array_equal(shadows(patch, sun_angles=(FeatureType.DATA, "SUN")), expected)
    patch[VIEW] = np.array([(9, 104), (9, 286)], dtype=np.float32)
    seen = shadows(patch, view_angles=VIEW)
    assert np.array_equal(shadows(patch, view_angles=(9, 104))[0], seen[0])
    assert np.array_equal(shadows(patch, view_angles=[9, 286])[1], seen[1])


def test_no_data_by_either_mask() -> None:
    patch = patch_of()
    patch[IS_DATA] = np.ones((2, 200, 210, 1), dtype=bool)
    patch[IS_DATA][0, :, :50] = False
    patch[BANDS][0, :, :50] = np.nan
    mask = shadows(patch, is_data_feature=IS_DATA)
    assert np.array_equal(mask == 255, ~patch[IS_DATA])
    assert (mask == 1).any(axis=(1, 2, 3)).all()
    marked = patch.copy()
    marked[CLM] = np.where(patch[IS_DATA], patch[CLM], 255).astype(np.uint8)
    assert np.array_equal(shadows(marked), mask)
    assert np.array_equal(shadows(patch), mask)
    patch[BANDS][0, :, :50] = 0
    assert np.array_equal(shadows(patch), mask)
    assert np.array_equal(shadows(patch, method="projection") == 255, ~patch[IS_DATA])
    patch[BANDS][0, 10, 60] = np.nan
    with pytest.raises(ReflectanceError, match="data/BANDS of 2017-01-01T00:00: NaN"):
        shadows(patch, is_data_feature=IS_DATA)


def test_no_data_in_a_cloud_probability() -> None:
    patch = patch_of()
    patch[CLP] = np.where(patch[CLM] == 1, 0.7, 0.2).astype(np.float32)
    patch[CLP][0, :, :50] = np.nan
    patch[IS_DATA] = ~np.isnan(patch[CLP])
    mask = shadows(patch, cloud_feature=CLP)
    assert np.array_equal(mask == 255, ~patch[IS_DATA])
    assert np.array_equal(shadows(patch, is_data_feature=IS_DATA), mask)
    patch[CLP][1, 0, 0] = 70
    with pytest.raises(FeatureError, match="values from 0 to 70"):
        shadows(patch, cloud_feature=CLP)


@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_a_frame_without_data_needs_no_angles(method: Any) -> None:
    patch = patch_of()
    patch[BANDS][0] = 0
    patch[SUN_ANGLES][0] = np.nan
    mask = shadows(patch, method=method)
    assert (mask[0] == 255).all()
    assert np.array_equal(mask[1], shadows(patch_of(), method=method)[1])
    patch = patch_of()
    patch[SUN_ANGLES][0] = np.nan
    with pytest.raises(FeatureError, match="2017-01-01T00:00"):
        shadows(patch, method=method)


def test_clouds_as_probability_or_booleans() -> None:
    patch = patch_of()
    expected = shadows(patch_of())
    patch[CLM] = patch[CLM] == 1
    assert np.array_equal(shadows(patch), expected)
    patch[CLP] = np.where(patch[CLM], 0.7, 0.5).astype(np.float32)
    assert np.array_equal(shadows(patch, cloud_feature=CLP), expected)
    assert not shadows(patch, cloud_feature=CLP, cloud_threshold=0.7).any()
    patch[CLP] = np.rint(patch[CLP] * 255).astype(np.uint8)
    assert np.array_equal(shadows(patch, cloud_feature=CLP, cloud_threshold=0.6), expected)


def test_methods_and_their_settings() -> None:
    patch = patch_of()
    projection = shadows(patch, method="projection")
    assert projection.any()
    assert np.array_equal(shadows(patch, method=ProjectionMethod()), projection)
    assert not shadows(patch, method=ProjectionMethod(distance=0, dilation=0)).any()
    with pytest.warns(ShadowWarning, match=r"data/BANDS of 2017-01-.1T00:00: has clouds, but no shadow"):
        high = shadows(patch, method=GeometricMethod(lowest=2000))
    assert not np.array_equal(high, shadows(patch))


def test_shadows_have_the_outlines_of_the_mask_before_it_grew() -> None:
    patch, grown = patch_of(), (FeatureType.MASK, "GROWN")
    patch[grown] = np.stack([ndimage.binary_dilation(mask, iterations=4) for mask in patch[CLM][..., 0]])[..., None]
    found = shadows(patch, cloud_feature=grown, outline_feature=CLM)
    assert np.array_equal(found, np.where(patch[grown], 0, shadows(patch_of())))
    assert (shadows(patch, cloud_feature=grown) == 1).sum() > (found == 1).sum()
    with pytest.raises(
        FeatureError, match=r"mask/OUTLINES is not in the EOPatch.*AddCloudMaskTask\(\.\.\., dilation_size=None\)"
    ):
        shadows(patch, outline_feature=(FeatureType.MASK, "OUTLINES"))
    with pytest.raises(ConfigurationError, match="is no feature that fits"):
        AddCloudShadowTask(outline_feature=(FeatureType.SCALAR, "CLOUDS"))


def without(patch: EOPatch, feature: tuple[FeatureType, str]) -> EOPatch:
    del patch[feature]
    return patch


def with_(patch: EOPatch, feature: tuple[FeatureType, str], values: Any) -> EOPatch:
    patch[feature] = values
    return patch


def elsewhere(patch: EOPatch) -> EOPatch:
    patch.bbox = BBox((12, 52, 13, 53), CRS.WGS84)
    return patch


@pytest.mark.parametrize(
    ("patch", "error", "message"),
    [
        (without(patch_of(), SUN_ANGLES), FeatureError, r"scalar/SUN_ANGLES is not in the EOPatch .*two numbers"),
        (with_(patch_of(), SUN_ANGLES, np.zeros((2, 3))), FeatureError, r"shape \(2, 3\) where \(2, 2\) is due"),
        (with_(patch_of(), SUN_ANGLES, np.full((2, 2), 95)), FeatureError, "2017-01-01T00:00, sun: zenith 95"),
        (without(patch_of(), CLM), FeatureError, "mask/CLM is not in the EOPatch"),
        (with_(patch_of(), CLM, patch_of()[CLM][:, :-1]), GridError, "mask/CLM has shape"),
        (with_(patch_of(), CLM, patch_of()[CLM] * 3), FeatureError, "mask/CLM: holds 3, a mask is"),
        (elsewhere(patch_of()), GridError, "data/BANDS, shadows: "),
    ],
)
def test_patches_that_do_not_fit_are_refused(patch: EOPatch, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        shadows(patch)
    assert SHADOW not in patch


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BandError, match="3 bands without names"):
        AddCloudShadowTask().execute(patch_of())
    with pytest.raises(BandError, match="B11 is missing"):
        AddCloudShadowTask(bands=["B02", "B08"])
    for wrong, message in (
        ({"sun_angles": 40}, "sun_angles=40"),
        ({"sun_angles": (161, 34)}, "sun_angles zenith=161"),
        ({"view_angles": ("a", 3)}, "view_angles zenith='a'"),
        ({"sun_angles": (FeatureType.MASK, "SUN")}, "is no feature that fits"),
        ({"method": "fmask"}, "method='fmask'"),
        ({"cloud_threshold": 50}, "cloud_threshold=50"),
        ({"cloud_feature": (FeatureType.SCALAR, "CLOUDS")}, "is no feature that fits"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            AddCloudShadowTask(**wrong)


@pytest.mark.parametrize("method", ["projection", GeometricMethod(highest=3000)])
def test_task_can_be_pickled(method: Any) -> None:
    task = pickle.loads(pickle.dumps(AddCloudShadowTask(bands=NAMES, method=method)))
    assert np.array_equal(task.execute(patch_of())[SHADOW], shadows(patch_of(), method=method))


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # overcast dates tell nothing
def test_simulated_dates_with_the_true_clouds() -> None:
    """The weather of seeds 1 to 3, at 20 m, was looked at when the methods were set; that of these seeds was not."""
    counts = {name: np.zeros(3) for name in ("geometric", "projection")}
    ground = sample_ground(40, 42)
    for seed in (31, 32):
        weather = SimulationSettings(seed=seed, acquisitions=8)
        for date in range(weather.acquisitions):
            seen = simulate(ground, weather, date, ground.left, ground.top, *ground.shape)
            for name, sums in counts.items():
                found = AddCloudShadowTask(method=name, boolean=True).execute(_as_patch(seen))[SHADOW][0, ..., 0]
                truth = seen.shadow
                sums += [np.count_nonzero(each) for each in (found & truth, found & ~truth, truth & ~found)]
    f1 = {name: 2 * hits / (2 * hits + wrong + missed) for name, (hits, wrong, missed) in counts.items()}
    assert f1["geometric"] >= 0.88
    assert f1["geometric"] > f1["projection"] + 0.2


def _as_patch(seen: SimulatedAcquisition) -> EOPatch:
    patch = EOPatch(bbox=SAMPLE_BBOX, timestamps=["2017-01-01"])
    patch[BANDS] = seen.bands[np.newaxis]
    patch[CLM] = np.where(seen.is_data, seen.cloud, 255).astype(np.uint8)[np.newaxis, ..., np.newaxis]
    patch[SUN_ANGLES] = np.array([[seen.sun_zenith, seen.sun_azimuth]])
    return patch

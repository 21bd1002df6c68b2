from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, TooFewFramesError
from eotasks.models.sentinel2 import BANDS
from eotasks.series import INDICES, AddNormalizedDifferenceTask, ResampleTimeSeriesTask

DATA, MASK = FeatureType.DATA, FeatureType.MASK
BBOX = BBox((500_000, 5_000_000, 500_040, 5_000_030), CRS.UTM_33N)
TIMES = [dt.datetime.fromisoformat(f"2017-{month:02}-03T10:20:31") for month in (1, 3, 4, 6, 9, 12)]
YEAR: dict[str, Any] = {"start": "2017-01-01", "end": "2018-01-01", "step_days": 15}


@pytest.fixture
def patch() -> EOPatch:
    rng = np.random.default_rng(3)
    return EOPatch(
        bbox=BBOX,
        timestamps=TIMES,
        data={
            "BANDS": rng.random((6, 3, 4, 13), dtype=np.float32),
            "FEATURES": rng.random((6, 3, 4, 2), dtype=np.float32),
        },
        mask={"IS_VALID": rng.random((6, 3, 4, 1)) < 0.7},
        scalar={"SUN": np.zeros((6, 2))},
        mask_timeless={"LULC": np.ones((3, 4, 1), dtype=np.uint8)},
        meta_info={"SIMULATED": True},
    )


@pytest.mark.parametrize("name", INDICES)
def test_known_indices_by_their_name(patch: EOPatch, name: str) -> None:
    result = AddNormalizedDifferenceTask((DATA, "BANDS"), (DATA, name)).execute(patch)
    a, b = (patch[DATA, "BANDS"][..., [BANDS.index(band)]] for band in INDICES[name])
    assert result[DATA, name].dtype == np.float32
    assert np.array_equal(result[DATA, name], (a - b) / (a + b))


def test_indices_of_the_example_by_names_of_its_six_bands(patch: EOPatch) -> None:
    six = ("B02", "B03", "B04", "B08", "B11", "B12")
    bands = patch[DATA, "BANDS"][..., [BANDS.index(band) for band in six]]
    patch[DATA, "BANDS"] = np.round(bands * 10_000).astype(np.uint16)
    patch = AddNormalizedDifferenceTask((DATA, "BANDS"), (DATA, "NDVI"), available=six).execute(patch)
    np.testing.assert_allclose(
        patch[DATA, "NDVI"][..., 0], (bands[..., 3] - bands[..., 2]) / (bands[..., 3] + bands[..., 2]), atol=2e-3
    )


def test_index_of_nothing_is_nan_without_a_warning(patch: EOPatch) -> None:
    patch[DATA, "BANDS"] = np.zeros((6, 3, 4, 13), dtype=np.float32)
    assert np.isnan(AddNormalizedDifferenceTask(bands=("B8A", "B05")).execute(patch)[DATA, "NDVI"]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_index_of_a_negative_band(patch: EOPatch, dtype: Any) -> None:
    bands = np.full((1, 2, 2, 13), 0.02)
    bands[0, 0, :, 3] = [-0.0199, -0.03]
    bands[0, 1, :, 7] = [-0.015, 0.04]
    values = bands if dtype is np.float32 else np.round(bands * 10_000)
    dark = EOPatch(bbox=patch.bbox, timestamps=["2022-06-01"])
    dark[FeatureType.DATA, "BANDS"] = values.astype(dtype)
    ndvi = AddNormalizedDifferenceTask().execute(dark)[FeatureType.DATA, "NDVI"].ravel()
    assert np.isnan(ndvi[:3]).all()
    assert ndvi[3] == pytest.approx(1 / 3)
    clipped = AddNormalizedDifferenceTask(negative="clip").execute(dark)[FeatureType.DATA, "NDVI"].ravel()
    assert clipped.tolist() == [1, 1, -1, ndvi[3]]
    with pytest.raises(ConfigurationError, match="negative='zero': give 'nan' or 'clip'"):
        AddNormalizedDifferenceTask(negative="zero")  # type: ignore[arg-type]  # refused


def test_index_that_cannot_be_made_is_refused(patch: EOPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"'EVI' is no known index \(NDVI"):
        AddNormalizedDifferenceTask((DATA, "BANDS"), (DATA, "EVI"))
    with pytest.raises(ConfigurationError, match="two bands"):
        AddNormalizedDifferenceTask(bands=("B08",))  # type: ignore[arg-type]  # on purpose
    with pytest.raises(BandError, match=r"B08 is missing, there are B02, B04"):
        AddNormalizedDifferenceTask(available=["B02", "B04"])
    patch[DATA, "BANDS"] = patch[DATA, "BANDS"][..., :6]
    with pytest.raises(BandError, match="data/BANDS: 6 bands without names"):
        AddNormalizedDifferenceTask().execute(patch)
    with pytest.raises(BandError, match="2 band names are given for 6 bands"):
        AddNormalizedDifferenceTask(available=["B04", "B08"]).execute(patch)


def expected(patch: EOPatch, dates: list[dt.datetime], place: tuple[int, int, int]) -> Any:
    seconds = [(time - TIMES[0]).total_seconds() for time in TIMES]
    row, column, feature = place
    valid = patch[MASK, "IS_VALID"][:, row, column, 0]
    if not valid.any():
        return np.full(len(dates), np.nan, dtype=np.float32)
    observed = patch[DATA, "FEATURES"][valid, row, column, feature].astype(np.float64)
    target = [(date - TIMES[0]).total_seconds() for date in dates]
    return np.interp(target, np.array(seconds)[valid], observed, left=np.nan, right=np.nan)


def test_resampling_to_a_new_patch(patch: EOPatch) -> None:
    before = patch.copy(deep=True)
    result = ResampleTimeSeriesTask((DATA, "FEATURES"), **YEAR).execute(patch)
    assert patch == before
    dates = result.get_timestamps()
    assert len(dates) == 25
    assert (dates[0].isoformat(), dates[-1].isoformat()) == ("2017-01-01T00:00:00", "2017-12-27T00:00:00")
    values = result[DATA, "FEATURES"]
    assert values.dtype == np.float32
    assert values.shape == (25, 3, 4, 2)
    for place in np.ndindex(3, 4, 2):
        np.testing.assert_allclose(values[(slice(None), *place)], expected(patch, dates, place), rtol=1e-6)
    assert set(result.get_features()) == {
        (DATA, "FEATURES"),
        (FeatureType.MASK_TIMELESS, "LULC"),
        (FeatureType.META_INFO, "SIMULATED"),
    }
    assert result.bbox == BBOX


def test_times_are_not_rounded(patch: EOPatch) -> None:
    exact = ResampleTimeSeriesTask(valid_feature=None, dates=TIMES).execute(patch)
    assert np.array_equal(exact[DATA, "FEATURES"], patch[DATA, "FEATURES"])


def test_a_new_name_no_mask_edges_and_dates_by_hand(patch: EOPatch) -> None:
    dates = ["2016-01-01", dt.date.fromisoformat("2017-02-01"), dt.datetime.fromisoformat("2019-01-01T12:00:00+02:00")]
    task = ResampleTimeSeriesTask(
        (DATA, "FEATURES"), (DATA, "REGULAR"), valid_feature=None, dates=dates, edges="nearest"
    )
    result = pickle.loads(pickle.dumps(task)).execute(patch)
    assert result.get_timestamps()[2].isoformat() == "2019-01-01T10:00:00"
    values = result[DATA, "REGULAR"]
    assert np.array_equal(values[0], patch[DATA, "FEATURES"][0])
    assert np.array_equal(values[2], patch[DATA, "FEATURES"][-1])


def test_a_patch_without_anything_timeless(patch: EOPatch) -> None:
    del patch[FeatureType.MASK_TIMELESS]
    del patch[FeatureType.META_INFO]
    result = ResampleTimeSeriesTask(**YEAR).execute(patch)
    assert result.get_features() == [(DATA, "FEATURES")]


def test_too_few_frames(patch: EOPatch) -> None:
    with pytest.raises(TooFewFramesError, match=r"data/FEATURES: 1 frames, interpolation needs 2\. Keep more"):
        ResampleTimeSeriesTask(**YEAR).execute(patch.temporal_subset([0]))
    with pytest.raises(TooFewFramesError, match="0 frames"):
        ResampleTimeSeriesTask(**YEAR).execute(patch.temporal_subset([]))
    one = ResampleTimeSeriesTask(**YEAR, edges="nearest", min_frames=1).execute(patch.temporal_subset([0]))
    assert one[DATA, "FEATURES"].shape[0] == 25


def test_what_does_not_fit_is_refused(patch: EOPatch) -> None:
    with pytest.raises(FeatureError, match="data/OTHER is not in the EOPatch"):
        ResampleTimeSeriesTask((DATA, "OTHER"), **YEAR).execute(patch)
    patch[DATA, "DN"] = np.ones((6, 3, 4, 2), dtype=np.uint16)
    with pytest.raises(FeatureError, match="uint16; only floats"):
        ResampleTimeSeriesTask((DATA, "DN"), **YEAR).execute(patch)
    patch[MASK, "IS_VALID"] = patch[MASK, "IS_VALID"][:, :2]
    with pytest.raises(GridError, match="mask/IS_VALID"):
        ResampleTimeSeriesTask(**YEAR).execute(patch)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start": "2017-01-01"},
        {"start": "2017-01-01", "end": "2017-01-01", "step_days": 15},
        {"start": "2017-01-01", "end": "2018-01-01", "step_days": 0},
        {"start": "2017-01-01", "end": "2018-01-01", "step_days": "15"},
        {"start": "2017-01-01", "end": "2018-01-01", "step_days": 1e-12},
        {"start": "2017-01-01", "end": "2018-01-01", "step_days": float("inf")},
        {"start": "January", "end": "2018-01-01", "step_days": 15},
        {**YEAR, "dates": ["2017-01-01"]},
        {"dates": []},
        {"dates": ["2017-02-01", "2017-01-01"]},
        {"dates": ["2017-01-01", "2017-01-01"]},
        {**YEAR, "edges": "zero"},
        {**YEAR, "min_frames": 0},
        {**YEAR, "feature": (MASK, "FEATURES")},
    ],
    ids=str,
)
def test_unusable_arguments_are_refused_when_the_task_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ResampleTimeSeriesTask(**options)


def test_trap_9_eolearn_gives_float64_at_shifted_and_rounded_times(
    patch: EOPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """eo-learn rounds times to hours, and drops the time of day of the first frame: dates shift by ten hours here."""
    from eolearn.features.extra import interpolation

    # the very function, without the nine seconds of its compilation
    monkeypatch.setattr(interpolation, "interpolation_function", interpolation.base_interpolation_function)
    peer = interpolation.LinearInterpolationTask(
        (DATA, "FEATURES"), mask_feature=(MASK, "IS_VALID"), resample_range=("2017-01-04", "2017-12-03", 15)
    )
    theirs = peer.execute(patch.copy(deep=True))
    dates = theirs.get_timestamps()
    ours = ResampleTimeSeriesTask(dates=dates).execute(patch)
    assert theirs[DATA, "FEATURES"].dtype == np.float64
    assert ours[DATA, "FEATURES"].dtype == np.float32
    time_of_day = TIMES[0] - dt.datetime.combine(TIMES[0], dt.time())
    shifted = ResampleTimeSeriesTask(dates=[date + time_of_day for date in dates]).execute(patch)
    hour_of_slope = 1 / (28 * 24)  # values of 0..1, frames at least 28 days apart
    np.testing.assert_allclose(shifted[DATA, "FEATURES"], theirs[DATA, "FEATURES"], atol=hour_of_slope)
    assert np.nanmax(np.abs(ours[DATA, "FEATURES"] - theirs[DATA, "FEATURES"])) > 4 * hour_of_slope


def test_real_year_of_ndvi(shared_data: Path) -> None:
    features: Any = [(DATA, "NDVI"), (MASK, "IS_VALID")]
    patch = EOPatch.load(str(shared_data / "slovenia" / "eopatch"), features=features)
    result = ResampleTimeSeriesTask((DATA, "NDVI"), **YEAR, edges="nearest").execute(patch)
    values = result[DATA, "NDVI"]
    assert values.shape == (25, 101, 100, 1)
    assert np.isfinite(values).mean() > 0.99
    assert np.nanmedian(values[12]) > np.nanmedian(values[0])  # green in summer

"""Levels and statuses of one frame; the weak points of the originals have an answer each."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from eotasks.errors import ConfigurationError
from eotasks.models.water.measure import WaterLevelSettings, measure_frame
from eotasks.models.water.vocabulary import AlgorithmStatus, MeasurementStatus, Sensor
from tests.builders.water import lakes as builders

FULL = builders.disk()
NOTHING = np.zeros_like(FULL)
OUTLINE = builders.outline()
AS_ORIGINAL = WaterLevelSettings(max_water_cloud_fraction=None, max_frozen_fraction=None, min_threshold=None)


def part(share: float) -> NDArray[np.bool_]:
    """A part of the lake's pixels, from the left."""
    order = np.argsort(np.where(FULL, np.arange(60), 10_000), axis=None)
    mask = NOTHING.copy()
    mask.flat[order[: round(share * np.count_nonzero(FULL))]] = True
    return mask


def test_a_full_lake_has_level_one() -> None:
    found = measure_frame(builders.frame_of(FULL), OUTLINE)
    assert found.status is MeasurementStatus.VALID
    assert found.level == pytest.approx(1, abs=0.01)
    assert found.level == pytest.approx(np.count_nonzero(FULL) * 100 / OUTLINE.area)
    assert found.algorithm_status is AlgorithmStatus.OTSU_AT_EDGES
    assert (found.reason, found.sensor) == ("", Sensor.NDWI)
    assert found.extent.area == pytest.approx(found.level * OUTLINE.area, rel=0.02)


@pytest.mark.parametrize(("radius", "level"), [(120, 120**2 / 180**2), (240, 240**2 / 180**2)], ids=["low", "flood"])
def test_low_lakes_and_floods(radius: float, level: float) -> None:
    assert measure_frame(builders.frame_of(builders.disk(radius)), OUTLINE).level == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("water", [NOTHING, builders.disk(40, builders.LEFT + 60, builders.TOP - 60)])
def test_an_empty_lake_has_level_zero_and_is_valid(water: NDArray[np.bool_]) -> None:
    """The original's function returns a tuple then, and its missing area ends as an invalid polygon."""
    found = measure_frame(builders.frame_of(water), OUTLINE)
    assert (found.status, found.level) == (MeasurementStatus.VALID, 0.0)
    assert found.extent.is_empty


def noisy(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    return np.asarray(values + np.random.default_rng(1).normal(0, 0.01, values.shape), dtype=np.float32)


def test_a_bare_shore_beside_muddy_water_is_no_water() -> None:
    low = builders.disk(172)
    index = noisy(np.where(low, 0.05, np.where(FULL, -0.18, -0.6)))
    frame = builders.frame_of(FULL, index=index)
    original, ours = (measure_frame(frame, OUTLINE, settings) for settings in (AS_ORIGINAL, WaterLevelSettings()))
    assert original.threshold < -0.2
    assert original.level == pytest.approx(1, abs=0.01)
    assert (ours.threshold, ours.level) == (-0.1, pytest.approx(np.count_nonzero(low) * 100 / OUTLINE.area))


def test_water_that_is_itself_as_muddy_as_that_is_found() -> None:
    """Beside a clear lake, for which the original keeps its threshold."""
    pond = builders.disk(40, builders.LEFT + 100)
    clear = np.broadcast_to(np.arange(60) >= 25, pond.shape)
    frame = builders.frame_of(FULL, index=noisy(np.where(clear, 0.45, np.where(pond, -0.15, -0.6))))
    outline = shapely.Point(builders.LEFT + 100, builders.CENTRE[1]).buffer(40)
    assert measure_frame(frame, outline, AS_ORIGINAL).threshold < -0.15
    assert measure_frame(frame, outline).level == pytest.approx(1, abs=0.1)


def test_nan_does_not_hide_the_lake() -> None:
    index = builders.index_of(FULL)
    index[0, :20] = np.nan  # less than 2 %
    found = measure_frame(builders.frame_of(FULL, index=index), OUTLINE)
    assert (found.status, found.valid_fraction) == (MeasurementStatus.VALID, pytest.approx(1 - 20 / 3600))
    assert found.level == pytest.approx(1, abs=0.01)


def missing(mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {"is_data": ~mask}


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        pytest.param(missing(np.arange(3600).reshape(60, 60) < 90), 2, "of the frame has no data", id="data 97.5 %"),
        pytest.param(missing(part(0.05)), 2, "of the water has no data", id="gap in the lake"),
        pytest.param(missing(~NOTHING), 5, "no data where", id="no data at all"),
        pytest.param({"cloud": ~builders.disk(250)}, 3, "of the frame is cloudy", id="cloud around"),
        pytest.param({"cloud": part(0.1)}, 3, "10.0% of the water is under cloud", id="cloud over the lake"),
        pytest.param({"shadow": part(0.1)}, 3, "under cloud or shadow", id="shadow on the lake"),
        pytest.param({"cloud_is_known": ~part(0.1)}, 6, "it is not known whether", id="no cloud mask"),
        pytest.param({"frozen": part(0.2)}, 8, "20.0% of the water is under ice", id="ice"),
    ],
)
def test_statuses(changes: dict[str, Any], status: int, words: str) -> None:
    found = measure_frame(builders.frame_of(FULL, **changes), OUTLINE)
    assert found.status == status
    assert words in found.reason
    assert np.isnan(found.level)
    assert found.extent.is_empty


@pytest.mark.parametrize(
    ("shape", "status"),
    [
        pytest.param(shapely.Polygon(), 7, id="empty"),
        pytest.param(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), 7, id="crosses itself"),
        pytest.param(shapely.box(0, 0, 10, 10), 5, id="elsewhere"),
        pytest.param(shapely.Point(builders.CENTRE).buffer(900), 2, id="larger than the scene"),
        pytest.param(shapely.Point(builders.LEFT, builders.CENTRE[1]).buffer(100), 2, id="over the edge"),
    ],
)
def test_outlines_that_cannot_be_measured(shape: shapely.Geometry, status: int) -> None:
    assert measure_frame(builders.frame_of(FULL), shape).status == status


def test_limits_are_as_the_originals() -> None:
    at_limit = np.zeros(3600, dtype=bool)
    at_limit[:720] = True  # 0.20 is not above 0.20
    cloud = at_limit.reshape(60, 60)
    settings = AS_ORIGINAL
    assert measure_frame(builders.frame_of(FULL, cloud=cloud), OUTLINE, settings).status == 1
    cloud = at_limit.reshape(60, 60).copy()
    cloud[20, 0] = True
    assert measure_frame(builders.frame_of(FULL, cloud=cloud), OUTLINE, settings).status == 3
    gap = np.zeros((60, 60), dtype=bool)
    gap[0, :] = gap[1, :12] = True  # 0.98 of the frame has data
    assert measure_frame(builders.frame_of(FULL, is_data=~gap), OUTLINE, settings).status == 1


def test_partial_cloud_lowers_no_level_silently() -> None:
    """A cloud over a tenth of the lake is far below 20 % of the frame: the original measures a lake that has fallen."""
    cloud = part(0.1)
    frame = builders.frame_of(FULL, cloud=cloud, index=builders.index_of(FULL & ~cloud))
    assert measure_frame(frame, OUTLINE, AS_ORIGINAL).level == pytest.approx(0.9, abs=0.02)
    found = measure_frame(frame, OUTLINE)
    assert (found.status, found.water_cloud_fraction) == (MeasurementStatus.TOO_CLOUDY, pytest.approx(0.1, abs=0.002))


def test_cloud_below_the_limit_is_neither_water_nor_in_the_threshold() -> None:
    cloud = builders.disk(25, builders.CENTRE[0] + 185)  # over the shore, as bright in the index as water
    index = builders.index_of(FULL | cloud)
    frame = builders.frame_of(FULL, cloud=cloud, index=index)
    settings = WaterLevelSettings(max_water_cloud_fraction=0.05)
    expected = np.count_nonzero(FULL & ~cloud) * 100 / OUTLINE.area
    assert measure_frame(frame, OUTLINE, settings).level == pytest.approx(expected)
    assert measure_frame(frame, OUTLINE, AS_ORIGINAL).level > expected + 0.01


def test_no_ice_is_looked_for_without_a_limit() -> None:
    frame = builders.frame_of(FULL, frozen=part(0.5))
    assert measure_frame(frame, OUTLINE, AS_ORIGINAL).status is MeasurementStatus.VALID


def test_the_veto_has_its_own_record() -> None:
    """The original sets the status of the veto on the record without it."""
    water = FULL | builders.disk(80, builders.CENTRE[0] + 200)
    elevation = np.where(builders.disk(60, builders.CENTRE[0] + 240), 50.0, 10.0)
    plain = measure_frame(builders.frame_of(water), OUTLINE)
    found = measure_frame(builders.frame_of(water, elevation=elevation), OUTLINE)
    assert (plain.sensor, found.sensor) == (Sensor.NDWI, Sensor.NDWI_WITH_ELEVATION)
    assert found.level_without_veto == plain.level > found.level + 0.01
    assert found.status is MeasurementStatus.VALID
    dry = measure_frame(builders.frame_of(NOTHING, elevation=elevation), OUTLINE)
    assert (dry.status, dry.level, dry.level_without_veto) == (MeasurementStatus.VALID, 0.0, 0.0)


def monitor(index: NDArray[np.float32], nominal: NDArray[np.bool_]) -> float:
    """The example of eo-learn in a few lines."""
    filled = np.where(np.isnan(index), -1, index)
    return float(((filled > threshold_otsu(filled)) * nominal).sum() / nominal.sum())


@pytest.mark.parametrize("radius", [60, 120, 180, 240])
@pytest.mark.parametrize("gap", [False, True], ids=["whole", "gap"])
def test_numbers_of_the_water_monitor(radius: float, gap: bool) -> None:
    index = builders.index_of(builders.disk(radius), seed=3)
    if gap:
        index[28:32, 28:32] = np.nan
    settings = dataclasses.replace(AS_ORIGINAL, method="water-monitor", min_valid_fraction=0.9)
    found = measure_frame(builders.frame_of(FULL, index=index), OUTLINE, settings)
    assert found.level == monitor(index, FULL)
    assert found.level <= 1


@pytest.mark.parametrize(("pixels", "status"), [(179, 1), (180, 3)])
def test_the_water_monitor_leaves_out_five_percent_of_coverage(pixels: int, status: int) -> None:
    cloud = (np.arange(3600) < pixels).reshape(60, 60)
    settings = dataclasses.replace(AS_ORIGINAL, method="water-monitor")
    assert measure_frame(builders.frame_of(FULL, cloud=cloud), OUTLINE, settings).status == status


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "bludot"},
        {"max_cloud_fraction": 20},
        {"min_valid_fraction": -1},
        {"elevation_margin": np.nan},
        {"min_threshold": -2},
    ],
    ids=str,
)
def test_settings_are_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        WaterLevelSettings(**changes)


def test_a_slip_is_understood() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'bluedot'"):
        WaterLevelSettings(method="bludot")  # type: ignore[arg-type]


def test_nothing_is_changed() -> None:
    frame = builders.frame_of(FULL, elevation=np.zeros((60, 60)), shadow=part(0.01), frozen=NOTHING.copy())
    before = {field.name: np.copy(getattr(frame, field.name)) for field in dataclasses.fields(frame)[:1]}
    kept = [np.copy(getattr(frame, name)) for name in ("is_data", "cloud", "shadow", "frozen", "elevation")]
    measure_frame(frame, OUTLINE)
    np.testing.assert_array_equal(frame.index, before["index"])
    for name, values in zip(("is_data", "cloud", "shadow", "frozen", "elevation"), kept, strict=True):
        np.testing.assert_array_equal(getattr(frame, name), values)


def test_an_outline_of_a_hundred_thousand_corners() -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = builders.RADIUS * (1 + 0.02 * np.cos(500 * angle))
    x, y = builders.CENTRE[0] + radius * np.cos(angle), builders.CENTRE[1] + radius * np.sin(angle)
    found = measure_frame(builders.frame_of(FULL), shapely.Polygon(np.stack([x, y], axis=1)))
    assert found.level == pytest.approx(1, abs=0.02)

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError
from eotasks.models.simulation import year as year_module
from eotasks.models.simulation.dates import date_weather
from eotasks.models.simulation.vegetation import ANCHOR_DAY
from eotasks.models.simulation.weather import CIRRUS_B10, CloudLayer, shadow_offset
from eotasks.models.simulation.year import SimulationSettings, acquisition_times, reconstructed, simulate
from eotasks.models.sun import sun_position
from tests.models.simulation.scene import (
    CLOUDY,
    FOREST,
    LATITUDE,
    LEFT,
    LONGITUDE,
    RESOLUTION,
    SHAPE,
    TIME,
    TOP,
    WATER,
    ground,
    scene,
)  # fmt: skip

HEIGHT, WIDTH = SHAPE
CLEAR = SimulationSettings(cloudiness=0, cirrus=0, swath_edges=0)
MASKS = ("is_data", "cloud", "cirrus", "shadow", "snow")


def whole(settings: SimulationSettings, index: int):
    return simulate(ground(seed=settings.seed), settings, index, LEFT, TOP, HEIGHT, WIDTH)


def ndvi(bands):
    return (bands[..., 7] - bands[..., 3]) / (bands[..., 7] + bands[..., 3])


@given(year=st.integers(1950, 2100), count=st.integers(1, 400))
@example(year=2020, count=74)
@example(year=2025, count=61)
@example(year=2025, count=73)
@example(year=2017, count=1000)
@settings(deadline=None)
def test_dates_are_of_the_year_in_order_and_different(year, count):
    times = acquisition_times(SimulationSettings(year=year, acquisitions=count))
    assert len(times) == count
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert {time.year for time in times} == {year}
    assert all(time.tzinfo is None for time in times)


@given(year=st.integers(2015, 2030), count=st.integers(1, 73))
@settings(deadline=None)
def test_dates_are_passes_of_the_samples_orbit(year, count):
    for time in acquisition_times(SimulationSettings(year=year, acquisitions=count)):
        assert (time - TIME) % dt.timedelta(days=5) == dt.timedelta(0)


def test_dates_of_the_default_year():
    dates = [f"{time:%m-%d}" for time in acquisition_times(SimulationSettings())]
    assert dates == [
        "01-12", "02-11", "03-18", "04-17", "05-17", "06-16", "07-16", "08-15", "09-14", "10-14", "11-13", "12-13",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["seed", "year", "acquisitions"])
@pytest.mark.parametrize("value", [2017.5, "2017", None, True])
def test_settings_want_whole_numbers(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}=.*whole number"):
        SimulationSettings(**{name: value})


@pytest.mark.parametrize("value", ["0.2", None, math.nan])
def test_settings_want_numbers(value):
    with pytest.raises(ConfigurationError, match=r"cloudiness=.*give a number"):
        SimulationSettings(cloudiness=value)


def test_settings_of_numpy_can_be_written_to_json():
    options = SimulationSettings(seed=np.int64(3))
    assert options == SimulationSettings(seed=3)
    assert json.loads(json.dumps(dataclasses.asdict(options)))["seed"] == 3


def test_the_anchor_day_is_that_of_the_real_scene():
    days = (TIME - TIME.replace(month=1, day=1, hour=0, minute=0, second=0)) / dt.timedelta(days=1)
    assert days == pytest.approx(ANCHOR_DAY, abs=0.005)


@given(row=st.integers(0, 60), column=st.integers(0, 60), index=st.integers(0, 11), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_patches_fit_without_a_seam_in_any_order(row, column, index, seed):
    options = SimulationSettings(seed=seed, snow=True, swath_edges=0.5, cirrus=0.5)
    base = dataclasses.replace(ground(), seed=seed)
    large = simulate(base, options, index, LEFT, TOP, HEIGHT, WIDTH)
    window = (slice(row, row + 30), slice(column, column + 40))
    small = simulate(base, options, index, LEFT + column * RESOLUTION, TOP - row * RESOLUTION, 30, 40)
    np.testing.assert_array_equal(small.bands, large.bands[window])
    for name in MASKS:
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name)[window])


def test_the_plane_has_no_end_and_goes_on_as_the_mirror_image():
    right = simulate(ground(), CLEAR, 1, LEFT + WIDTH * RESOLUTION, TOP, HEIGHT, WIDTH)
    here = whole(CLEAR, 1)
    lake, mirrored = ndvi(here.bands)[WATER], ndvi(right.bands[:, ::-1])[WATER]
    np.testing.assert_allclose(lake, mirrored, atol=0.1)
    far = simulate(ground(), SimulationSettings(), 5, LEFT - 3e6, TOP + 4e6, 16, 24)
    assert far.bands.shape == (16, 24, 13)
    assert np.isfinite(far.bands).all()


def test_another_seed_is_another_year():
    first, second = (whole(SimulationSettings(seed=seed), 5).bands for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_values_are_reflectance_in_steps_of_a_digital_number():
    bands = whole(SimulationSettings(), 4).bands
    assert bands.dtype == np.float32
    dn = np.rint(bands * 10_000)
    np.testing.assert_array_equal(bands, dn.astype(np.float32) / np.float32(10_000))
    assert dn.min() >= 1
    assert bands.max() < 2.8


def test_near_the_day_of_the_real_scene_the_ground_is_the_real_one():
    options = dataclasses.replace(CLEAR, acquisitions=73)
    index = [time.timetuple().tm_yday for time in acquisition_times(options)].index(47)
    made, real = whole(options, index).bands, scene(cloudy=False)
    land = np.ones(SHAPE, dtype=np.bool_)
    land[CLOUDY] = False
    for band in (3, 7, 8, 11, 12):
        difference = made[..., band][land] - real[..., band][land]
        assert abs(np.median(difference)) < 0.01
        assert np.quantile(np.abs(difference), 0.9) < 0.02


def test_greenness_follows_the_seasons():
    winter, summer = (ndvi(whole(CLEAR, index).bands) for index in (0, 5))
    fields = np.ones(SHAPE, dtype=np.bool_)
    fields[FOREST] = fields[WATER] = False
    assert summer[fields].mean() > winter[fields].mean() + 0.15
    change = summer - winter
    assert change[FOREST][5:-5, 5:-5].mean() < change[fields].mean()
    assert summer[WATER][5:-5, 5:-5].max() < 0


def test_a_meadow_is_greener_in_summer_than_in_winter():
    base = ground()
    meadow = dataclasses.replace(base, field_grass=np.ones_like(base.field_grass))
    here = (slice(100, 115), slice(5, 95))
    winter, summer = (
        ndvi(simulate(meadow, CLEAR, index, LEFT, TOP, HEIGHT, WIDTH).bands)[here].mean() for index in (0, 4)
    )
    assert summer > winter + 0.15


def test_shadows_lie_where_the_sun_throws_them(monkeypatch):
    weather = _with_weather(monkeypatch, clouds=CloudLayer(0.3, 1000.0, 1500.0, 5.0, 7))
    made = whole(SimulationSettings(), 6)
    zenith, azimuth = sun_position(weather.time, LATITUDE, LONGITUDE)
    reach = 1000 * math.tan(math.radians(zenith))
    # North and east of the cloud by the sun's place, in whole pixels for the comparison.
    rows = round(reach * math.cos(math.radians(azimuth)) / RESOLUTION)
    columns = round(-reach * math.sin(math.radians(azimuth)) / RESOLUTION)
    assert rows < 0  # the sun is in the south, the shadow north of the cloud
    expected = np.roll(made.cloud, (rows, columns), axis=(0, 1))[: HEIGHT + rows, : WIDTH - abs(columns)]
    inner = slice(0, HEIGHT + rows), slice(0, WIDTH - abs(columns))
    visible = ~made.cloud[inner]
    agreement = (made.shadow[inner] == expected)[visible].mean()
    assert expected.any()
    assert agreement > 0.97


def test_shadow_offset_by_hand():
    east, north = shadow_offset(1000, 45, 180)
    assert (east, north) == pytest.approx((0, 1000))
    east, north = shadow_offset(500, 45, 90)
    assert (east, north) == pytest.approx((-500, 0))


def test_shadows_dim_and_clouds_brighten(monkeypatch):
    _with_weather(monkeypatch, clouds=CloudLayer(0.3, 1500.0, 1500.0, 5.0, 7))
    made, clear = whole(SimulationSettings(), 6), whole(CLEAR, 6)
    deep = made.shadow & (clear.bands[..., 7] > 0.15)
    assert (made.bands[..., 7] < clear.bands[..., 7])[deep].mean() > 0.95
    assert made.bands[made.cloud][:, 1].mean() > 2 * clear.bands[..., 1].mean()
    assert not (made.cloud & made.shadow).any()


@pytest.mark.parametrize("cover", [0.1, 0.5, 0.9])
def test_cloud_cover_is_the_one_asked_for(cover):
    layer = CloudLayer(cover, 1200.0, 2000.0, 5.0, 3)
    step = 200.0
    x, y = np.arange(600)[None, :] * step, np.arange(600)[:, None] * step
    found = (layer.opacity(x, y, step) >= 0.35).mean()
    assert found == pytest.approx(cover, abs=0.06)


def test_years_have_the_cloudiness_asked_for():
    options = SimulationSettings(acquisitions=60, cloudiness=0.4)
    covers = [date_weather(options, index, LATITUDE, LONGITUDE).clouds.cover for index in range(60)]
    assert np.mean(covers) == pytest.approx(0.4, abs=0.02)
    assert np.std(covers) > 0.3
    clear = SimulationSettings(cloudiness=0)
    assert not any(whole(clear, index).cloud.any() for index in range(0, 12, 4))


def test_cirrus_shows_in_b10_and_nowhere_else_does_it(monkeypatch):
    options = SimulationSettings(cloudiness=0, cirrus=1, swath_edges=0)
    frames = [whole(options, index) for index in range(12)]
    assert any(frame.cirrus.any() for frame in frames)
    for frame in frames:
        b10 = frame.bands[..., 10]
        assert (b10[frame.cirrus] > CIRRUS_B10).all()
        assert (b10[~frame.cirrus] < CIRRUS_B10 + 0.003).all()
    assert not any(whole(CLEAR, index).cirrus.any() for index in range(0, 12, 3))


def test_snow_lies_in_winter_on_open_ground_and_only_on_request():
    snowy = dataclasses.replace(CLEAR, snow=True)
    january, june = whole(snowy, 0), whole(snowy, 5)
    open_ground = january.snow[45:85]
    assert open_ground.mean() > 0.4
    assert not january.snow[WATER].any()
    assert january.snow[FOREST].mean() < 0.1
    white = january.bands[january.snow]
    ndsi = (white[:, 2] - white[:, 11]) / (white[:, 2] + white[:, 11])
    assert np.quantile(ndsi, 0.05) > 0.2
    assert not june.snow.any()
    assert not any(whole(CLEAR, index).snow.any() for index in (0, 1, 11))


def test_the_swath_edge_leaves_a_straight_wedge_of_zeros():
    options = SimulationSettings(swath_edges=1)
    for index in range(3):
        made = whole(options, index)
        assert 0 < made.is_data.mean() < 1
        assert (made.bands[~made.is_data] == 0).all()
        assert (made.bands[made.is_data].max(axis=-1) > 0).all()
        for name in MASKS[1:]:
            assert not getattr(made, name)[~made.is_data].any()
        ends = made.is_data.sum(axis=1)
        assert (np.diff(ends.astype(np.int64)) <= 0).all()  # it leans to the west going south
        tilt = (ends[0] - ends[-1]) / (HEIGHT - 1)
        assert tilt == pytest.approx(math.tan(math.radians(13)), abs=0.03)
    assert all(whole(CLEAR, index).is_data.all() for index in range(12))


def test_far_from_the_scene_there_are_swaths_too():
    options = SimulationSettings(swath_edges=1)
    rows = [simulate(ground(), options, 0, LEFT + offset, TOP, 2, 2).is_data for offset in np.arange(0, 1e6, 2e4)]
    share = np.mean(rows)
    assert 0.8 < share < 0.95


def test_reconstructed_is_cut_out_and_mirrored():
    full = reconstructed(ground(), LEFT, TOP, HEIGHT, WIDTH)
    np.testing.assert_array_equal(full, ground().reconstructed)
    left = reconstructed(ground(), LEFT - WIDTH * RESOLUTION, TOP, HEIGHT, WIDTH)
    np.testing.assert_array_equal(left, full[:, ::-1])


def test_the_sun_is_the_one_of_the_date():
    made = whole(CLEAR, 6)
    expected = sun_position(acquisition_times(CLEAR)[6], LATITUDE, LONGITUDE)
    assert (made.sun_zenith, made.sun_azimuth) == expected


@pytest.mark.parametrize(
    "change",
    [{"acquisitions": 0}, {"year": 1800}, {"cloudiness": 1.0}, {"cirrus": -0.1}, {"haze": 0.0}, {"swath_edges": 2}],
    ids=lambda change: next(iter(change)),
)
def test_bad_settings_are_refused(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        SimulationSettings(**change)


def test_bad_windows_and_dates_are_refused():
    with pytest.raises(ConfigurationError, match="Date 12 of 12"):
        whole(CLEAR, 12)
    with pytest.raises(ConfigurationError, match="at least one pixel"):
        simulate(ground(), CLEAR, 0, LEFT, TOP, 0, 5)


def _with_weather(monkeypatch, **changes):
    made = dataclasses.replace(date_weather(CLEAR, 6, LATITUDE, LONGITUDE), **changes)
    real = date_weather

    def weather(options, index, latitude, longitude):
        return real(options, index, latitude, longitude) if options == CLEAR else made

    monkeypatch.setattr(year_module, "date_weather", weather)
    return made

"""The realistic year: its truth is exact, agrees with its pixels, and what an option does not touch keeps every bit."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError, GridError
from eotasks.models.simulation.dates import date_weather
from eotasks.models.simulation.ground import check_elevation
from eotasks.models.simulation.sky import LOWEST_CLOUD, reflected, sunlight_through
from eotasks.models.simulation.terrain import terrain_of
from eotasks.models.simulation.water_and_snow import FOAM, FRESH_SNOW, MUD, OLD_SNOW, WHITE_ICE, WaterKind
from eotasks.models.simulation.weather import CLOUD_OPTICAL_THICKNESS, HAZE_OPTICAL_THICKNESS
from eotasks.models.simulation.year import PLAIN, REALISTIC, Realism, SimulationSettings, simulate
from tests.models.simulation.scene import LATITUDE, LEFT, LONGITUDE, RESOLUTION, SHAPE, TOP, WATER, ground

HEIGHT, WIDTH = SHAPE
MASKS = ("is_data", "cloud", "cirrus", "shadow", "snow", "haze", "terrain_shade", "water", "water_kind")
X = LEFT + (np.arange(WIDTH) + 0.5)[None, :] * RESOLUTION
Y = TOP - (np.arange(HEIGHT) + 0.5)[:, None] * RESOLUTION

SEEDS, DATES = st.integers(0, 500), st.integers(0, 11)
few = settings(max_examples=8, deadline=None)


def whole(options: SimulationSettings, index: int, base=None):
    return simulate(base or ground(), options, index, LEFT, TOP, HEIGHT, WIDTH)


def conditions_of(options: SimulationSettings, index: int):
    return date_weather(options, index, LATITUDE, LONGITUDE)


def first_date(options: SimulationSettings, wanted) -> int:
    """The first date whose weather is as wanted."""
    return next(index for index in range(options.acquisitions) if wanted(conditions_of(options, index)))


@given(seed=SEEDS, index=DATES)
@few
def test_cloud_is_exactly_where_the_optical_thickness_reaches_the_threshold(seed, index):
    made = whole(SimulationSettings(seed=seed, realism=REALISTIC), index)
    np.testing.assert_array_equal(made.cloud, (made.optical_thickness >= CLOUD_OPTICAL_THICKNESS) & made.is_data)
    assert not (made.cloud & made.shadow).any()
    for name in MASKS[1:]:
        assert not getattr(made, name)[~made.is_data].any()


@given(seed=SEEDS, index=DATES, relief=st.sampled_from([0.0, 40.0]), second=st.sampled_from([0.0, 1.0]))
@few
def test_the_shadow_of_a_layer_is_its_cloud_moved_by_its_offset_where_no_cloud_hides_it(seed, index, relief, second):
    """By hand: the sunbeam of a pixel passes each layer where its own height and the height of the ground say."""
    realism = Realism(soft_clouds=True, second_layer=second, relief=relief)
    options = SimulationSettings(seed=seed, realism=realism)
    made, weather = whole(options, index), conditions_of(options, index)
    terrain = terrain_of(
        ground(), relief, LEFT, TOP, HEIGHT, WIDTH, sun_zenith=made.sun_zenith, sun_azimuth=made.sun_azimuth
    )
    assert (terrain is None) is (relief == 0)
    elevation = 0.0 if terrain is None else terrain.elevation.astype(np.float64)
    layers = weather.conditions.layers
    assert len(layers) == (2 if second and weather.clouds.cover else 1)
    moved = []
    for layer in layers:
        reach = np.maximum(layer.height - elevation, LOWEST_CLOUD) * math.tan(math.radians(made.sun_zenith))
        east = reach * math.sin(math.radians(made.sun_azimuth))
        north = reach * math.cos(math.radians(made.sun_azimuth))
        moved.append(layer.optical_thickness(X + east, Y + north, RESOLUTION))
    in_view = ~made.cloud & made.is_data
    # A thousandth of the threshold either way: the beam by another road may differ in its last bits.
    surely = sum(moved) >= CLOUD_OPTICAL_THICKNESS * (1 + 1e-3)
    possibly = sum(moved) >= CLOUD_OPTICAL_THICKNESS * (1 - 1e-3)
    assert made.shadow[surely & in_view].all()
    assert not made.shadow[~possibly].any()
    for thickness in moved:
        assert made.shadow[(thickness >= CLOUD_OPTICAL_THICKNESS * (1 + 1e-3)) & in_view].all()
    if len(layers) == 1:
        assert (surely == possibly).mean() > 0.99


@given(seed=SEEDS, index=DATES)
@few
def test_pixels_without_cloud_shade_or_veil_equal_the_clear_ground_in_every_bit(seed, index):
    options = SimulationSettings(seed=seed, snow=True, cirrus=0, realism=REALISTIC)
    clear = dataclasses.replace(
        options, cloudiness=0, realism=dataclasses.replace(REALISTIC, haze_veils=0, soft_clouds=True, second_layer=0)
    )
    made, bare, weather = whole(options, index), whole(clear, index), conditions_of(options, index)
    terrain = terrain_of(
        ground(), REALISTIC.relief, LEFT, TOP, HEIGHT, WIDTH, sun_zenith=made.sun_zenith, sun_azimuth=made.sun_azimuth
    )
    touched = made.optical_thickness > 0
    for layer in weather.conditions.layers:
        above = np.maximum(layer.height - terrain.elevation.astype(np.float64), LOWEST_CLOUD)
        reach = above * math.tan(math.radians(made.sun_zenith))
        azimuth = math.radians(made.sun_azimuth)
        # A trace of thickness more: the beam by another road may pass a hair beside.
        thickness = layer.optical_thickness(X + reach * math.sin(azimuth), Y + reach * math.cos(azimuth), RESOLUTION)
        touched |= thickness > 0
    if weather.conditions.veil is not None:
        touched |= weather.conditions.veil.optical_thickness(X, Y, RESOLUTION) > 0
    np.testing.assert_array_equal(made.bands[~touched], bare.bands[~touched])
    for name in ("snow", "water_kind", "terrain_shade", "is_data"):
        np.testing.assert_array_equal(getattr(made, name), getattr(bare, name))
    assert not bare.cloud.any()
    assert not bare.shadow.any()
    assert not bare.haze.any()


@given(seed=SEEDS, index=DATES, snow=st.booleans())
@few
def test_clear_dates_of_a_seed_stay_what_they_are(seed, index, snow):
    """The options draw from numbers of their own; without clouds soft ones make no difference, nor do hills of 0 m."""
    plain = SimulationSettings(seed=seed, cloudiness=0, snow=snow)
    soft = dataclasses.replace(plain, realism=Realism(soft_clouds=True, second_layer=1))
    first, second = whole(plain, index), whole(soft, index)
    np.testing.assert_array_equal(first.bands, second.bands)
    for name in MASKS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    real, other = conditions_of(plain, index), conditions_of(dataclasses.replace(plain, realism=REALISTIC), index)
    assert dataclasses.replace(other, conditions=real.conditions) == real


@given(row=st.integers(0, 60), column=st.integers(0, 60), index=DATES, seed=st.integers(0, 3), dem=st.booleans())
@few
def test_patches_fit_without_a_seam(row, column, index, seed, dem):
    base = ground()
    if dem:
        heights = np.random.default_rng(seed).normal(0, 8, SHAPE).astype(np.float32)
        base = dataclasses.replace(base, elevation=heights)
    options = SimulationSettings(seed=seed, snow=True, swath_edges=0.5, cirrus=0.5, realism=REALISTIC)
    large = whole(options, index, base)
    window = (slice(row, row + 30), slice(column, column + 40))
    small = simulate(base, options, index, LEFT + column * RESOLUTION, TOP - row * RESOLUTION, 30, 40)
    np.testing.assert_array_equal(small.bands, large.bands[window])
    np.testing.assert_array_equal(small.optical_thickness, large.optical_thickness[window])
    for name in MASKS:
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name)[window])


def test_the_mirror_image_has_the_waters_of_the_scene():
    options = SimulationSettings(cloudiness=0, cirrus=0, swath_edges=0, realism=Realism(surf=1))
    right = simulate(ground(), options, 5, LEFT + WIDTH * RESOLUTION, TOP, HEIGHT, WIDTH)
    np.testing.assert_array_equal(right.water[:, ::-1], whole(options, 5).water)


def test_rims_are_soft_and_thicker_clouds_hide_more():
    options = SimulationSettings(seed=5, cirrus=0, swath_edges=0, realism=Realism(soft_clouds=True))
    index = first_date(options, lambda weather: 0.2 < weather.clouds.cover < 0.8)
    made, bare = whole(options, index), whole(dataclasses.replace(options, cloudiness=0), index)
    depth = made.optical_thickness
    steps = [(0.05, 1), (1, 2), (2, 6), (10, 40)]
    gains = [
        np.median((made.bands - bare.bands)[..., 3][(depth >= low) & (depth < high) & ~made.shadow])
        for low, high in steps
    ]
    assert all(np.diff(gains) > 0.01)
    assert ((depth > 0) & ~made.cloud).mean() > 0.015


def test_thickness_hides_and_dims_as_the_papers_say():
    thickness = np.array([0, CLOUD_OPTICAL_THICKNESS, 10, 80], dtype=np.float32)
    assert reflected(thickness) == pytest.approx([0, 0.206, 0.565, 0.912], abs=0.002)
    assert sunlight_through(thickness, 0) == pytest.approx([1, 0.574, 0.062, 0], abs=0.002)
    assert sunlight_through(thickness, 60) == pytest.approx([1, 0.330, 0.004, 0], abs=0.002)


def test_both_layers_together_cover_what_one_covers():
    options = SimulationSettings(acquisitions=40, cloudiness=0.4, realism=Realism(soft_clouds=True, second_layer=1))
    for index in range(40):
        weather = conditions_of(options, index)
        together = 1 - np.prod([1 - layer.cover for layer in weather.conditions.layers])
        assert together == pytest.approx(weather.clouds.cover, abs=1e-9)
        if weather.clouds.cover:
            low, high = weather.conditions.layers
            assert high.height >= low.height + 1000
            assert (low.wind, low.stretch) != (high.wind, high.stretch)


def test_options_come_on_the_share_of_dates_asked_for():
    options = SimulationSettings(acquisitions=40, realism=REALISTIC)
    weather = [conditions_of(options, index) for index in range(40)]
    assert sum(each.conditions.veil is not None for each in weather) == round(0.35 * 40)
    assert sum(each.conditions.turbidity > 0 for each in weather) == round(0.4 * 40)
    assert 0 < sum(each.conditions.frost > 0 for each in weather) < 15
    assert all(not (each.conditions.flooding and each.conditions.frost) for each in weather)


@given(seed=SEEDS, index=DATES)
@few
def test_haze_is_no_cloud_and_nothing_in_b10(seed, index):
    clear = SimulationSettings(seed=seed, cloudiness=0, cirrus=0)
    hazy = dataclasses.replace(clear, realism=Realism(haze_veils=1))
    made, bare, veil = whole(hazy, index), whole(clear, index), conditions_of(hazy, index).conditions.veil
    thickness = veil.optical_thickness(X, Y, RESOLUTION)
    np.testing.assert_array_equal(made.haze, (thickness >= HAZE_OPTICAL_THICKNESS) & made.is_data)
    np.testing.assert_array_equal(made.bands[..., 10], bare.bands[..., 10])
    np.testing.assert_array_equal(made.bands[thickness == 0], bare.bands[thickness == 0])
    assert not made.cloud.any()
    dark = made.haze & (bare.bands[..., 1] < 0.15)
    assert (made.bands[dark][:, 1] > bare.bands[dark][:, 1]).all()


def test_a_flat_dem_changes_no_bit():
    level = dataclasses.replace(ground(), elevation=np.full(SHAPE, 431.0, dtype=np.float32))
    for options in (SimulationSettings(seed=2), SimulationSettings(seed=2, realism=Realism(soft_clouds=True))):
        made, flat = whole(options, 4, level), whole(options, 4)
        np.testing.assert_array_equal(made.bands, flat.bands)
        np.testing.assert_array_equal(made.shadow, flat.shadow)
        assert not made.terrain_shade.any()


@given(height=st.integers(40, 200), zenith=st.floats(20, 75))
@settings(max_examples=25, deadline=None)
def test_a_wall_shades_the_ground_behind_it_as_far_as_the_sun_says(height, zenith):
    heights = np.zeros(SHAPE, dtype=np.float32)
    heights[100] = height
    walled = dataclasses.replace(ground(), elevation=heights)
    terrain = terrain_of(walled, 0, LEFT, TOP, HEIGHT, WIDTH, sun_zenith=zenith, sun_azimuth=180)
    shaded = terrain.shade[:100, 10:-10]
    rows = np.flatnonzero(shaded.all(axis=1))
    np.testing.assert_array_equal(shaded.all(axis=1), shaded.any(axis=1))
    reach = math.ceil(height * math.tan(math.radians(zenith)) / RESOLUTION) - 1
    assert len(rows) == pytest.approx(max(reach, 0), abs=1)
    assert rows.size == 0 or rows.max() == 99
    assert not terrain.sunlight[terrain.shade].any()


def test_slopes_turned_to_the_sun_are_brighter():
    ramp = np.broadcast_to(np.abs(np.arange(HEIGHT) - 60.0)[:, None] * 2, SHAPE).astype(np.float32)
    valley = dataclasses.replace(ground(), elevation=ramp)
    terrain = terrain_of(valley, 0, LEFT, TOP, HEIGHT, WIDTH, sun_zenith=50, sun_azimuth=180)
    rising, falling = terrain.sunlight[70:110].mean(), terrain.sunlight[10:50].mean()
    # South of the valley's floor the ground rises southward: it is turned away from a sun in the south.
    slope = 2 / RESOLUTION
    upright = 1 / math.hypot(1, slope)
    assert rising == pytest.approx((1 - slope * math.tan(math.radians(50))) * upright, abs=1e-3)
    assert falling == pytest.approx((1 + slope * math.tan(math.radians(50))) * upright, abs=1e-3)


@pytest.mark.parametrize("bad", ["shape", "gap", "text", "far"])
def test_a_dem_that_cannot_be_is_refused(bad):
    heights = {
        "shape": np.zeros((3, 3)), "gap": np.full(SHAPE, np.nan), "text": np.full(SHAPE, "a"),
        "far": np.full(SHAPE, 1e9),
    }[bad]  # fmt: skip
    with pytest.raises(GridError, match="elevation"):
        check_elevation(heights, SHAPE)


def test_a_relief_that_shades_without_end_is_refused():
    steep = dataclasses.replace(ground(), elevation=np.linspace(0, 9000, SHAPE[0] * SHAPE[1]).reshape(SHAPE))
    with pytest.raises(ConfigurationError, match="500 at most"):
        whole(SimulationSettings(), 0, steep)


WATERS = SimulationSettings(cloudiness=0, cirrus=0, swath_edges=0, snow=True)
FIELDS = np.s_[45:85, 5:85]


def _with(**options) -> SimulationSettings:
    return dataclasses.replace(WATERS, realism=Realism(**options))


def test_waters_of_the_plain_year_are_clear_water():
    made = whole(WATERS, 5)
    assert set(np.unique(made.water_kind)) <= {WaterKind.NONE, WaterKind.CLEAR}
    assert (made.water_kind[WATER][5:-5, 5:-5] == WaterKind.CLEAR).all()
    np.testing.assert_array_equal(made.water, ground().water >= 0.5)


@pytest.mark.parametrize(
    ("option", "kind", "spectrum"),
    [
        ({"turbid_water": 1}, WaterKind.MUDDY, MUD),
        ({"surf": 1}, WaterKind.SURF, FOAM),
        ({"flooding": 1}, WaterKind.FLOODED, None),
    ],
    ids=["mud", "surf", "flood"],
)
def test_wet_ground_is_in_truth_where_it_is_in_the_pixels(option, kind, spectrum):
    # The lake of the scene is small, and its shore not exposed to the waves of every date.
    index = max(range(2, 10), key=lambda date: int((whole(_with(**option), date).water_kind == kind).sum()))
    made, bare = whole(_with(**option), index), whole(WATERS, index)
    where = made.water_kind == kind
    assert 0.001 < where.mean() < 0.5
    changed = (made.bands != bare.bands).any(axis=-1)
    assert changed[where].all()
    assert not changed.all()
    assert made.water[where].all()
    assert not made.snow.any()
    if spectrum is not None:
        assert made.bands[where][:, 3].mean() > bare.bands[where][:, 3].mean() + 0.02
    else:
        assert made.bands[where][:, 11].mean() < 0.09
        assert not (ground().water[where] >= 0.5).any()


def test_ice_is_no_water_and_snow_may_lie_on_it():
    frozen = _with(frozen_water=True)
    index = first_date(frozen, lambda weather: weather.conditions.frost > 0)
    made = whole(frozen, index)
    ice = made.water_kind == WaterKind.ICE
    assert ice.any()
    assert not made.water[ice].any()
    assert (ground().water[ice] >= 0.5).all()
    assert not (whole(frozen, 5).water_kind == WaterKind.ICE).any()
    bare_ice = whole(dataclasses.replace(frozen, snow=False), index)
    assert bare_ice.bands[bare_ice.water_kind == WaterKind.ICE][:, 3].max() < WHITE_ICE[3] * 1.2 + 0.1


def test_old_snow_is_darker_and_falls_off_to_the_infrared():
    """Published reflectances: the coarser the grains, the darker in the infrared (Dozier 1989)."""
    assert OLD_SNOW[7] / OLD_SNOW[2] < FRESH_SNOW[7] / FRESH_SNOW[2]
    aged = _with(snow_ages=True)
    ages = {index: conditions_of(aged, index).conditions.snow_age for index in (0, 1, 11)}
    snow = {index: whole(aged, index) for index in ages}
    young, old = min(ages, key=ages.__getitem__), max(ages, key=ages.__getitem__)

    def ratio(index: int) -> float:
        here = snow[index].bands[snow[index].snow]
        return float(np.median(here[:, 7] / here[:, 2]))

    assert ratio(old) < ratio(young)
    np.testing.assert_array_equal(snow[young].snow, whole(WATERS, young).snow)


@pytest.mark.parametrize(
    "options",
    [{"relief": -1}, {"haze_veils": 2}, {"surf": None}, {"flooding": True}, {"soft_clouds": 1}, {"second_layer": 0.5}],
    ids=lambda options: next(iter(options)),
)
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Realism(**options)
    with pytest.raises(ConfigurationError, match="realism"):
        SimulationSettings(realism="full")


def test_the_default_is_the_plain_year_and_goes_to_json():
    assert SimulationSettings().realism == PLAIN == Realism()
    assert json.loads(json.dumps(dataclasses.asdict(Realism(relief=np.float64(3)))))["relief"] == 3

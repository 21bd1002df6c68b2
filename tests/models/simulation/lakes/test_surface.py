"""Lakes in the pixels: shares of the truth add up to its level, and nothing else changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eotasks.errors import ConfigurationError
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.lakes.basin import nominal_area, outline, reach
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.placing import place_lakes
from eotasks.models.simulation.lakes.season import LakeState
from eotasks.models.simulation.year import (
    REALISTIC,
    SimulatedAcquisition,
    SimulationSettings,
    WaterKind,
    simulate,
)
from tests.models.simulation.scene import LEFT, RESOLUTION, SHAPE, TOP, ground

LAKE = Lake(x=331_500, y=5_821_000, radius=420, depth=9, shore=1.6, drawdown=0.5, turbid=0.4, seed=5)
CLEAR = SimulationSettings(seed=3, acquisitions=24, cloudiness=0, cirrus=0, swath_edges=0, snow=True)
GREEN, RED, NIR = (BANDS.index(name) for name in ("B03", "B04", "B08"))


def made(index: int, settings: SimulationSettings = CLEAR, lakes: tuple[Lake, ...] = (LAKE,)) -> SimulatedAcquisition:
    return simulate(ground(), settings, index, LEFT, TOP, *SHAPE, lakes=lakes)


@pytest.fixture(scope="module")
def dates() -> list[SimulatedAcquisition]:
    return [made(index) for index in range(CLEAR.acquisitions)]


def of_state(dates: list[SimulatedAcquisition], state: LakeState) -> list[SimulatedAcquisition]:
    found = [seen for seen in dates if seen.lakes[0].state == state]
    assert found
    return found


def water_of(seen: SimulatedAcquisition) -> np.ndarray:
    assert seen.lake_water is not None
    return seen.lake_water


def test_the_shares_of_the_pixels_add_up_to_the_level(dates: list[SimulatedAcquisition]) -> None:
    for seen in dates:
        area = water_of(seen).sum(dtype=np.float64) * RESOLUTION**2
        assert area / nominal_area(LAKE) == pytest.approx(seen.lakes[0].level, abs=4e-3)
    mixed = [np.count_nonzero((water_of(seen) > 0) & (water_of(seen) < 1)) for seen in dates]
    assert min(mixed) > 20


@pytest.mark.parametrize(
    "settings",
    [
        SimulationSettings(seed=3, acquisitions=6),
        SimulationSettings(seed=3, acquisitions=6, snow=True, realism=REALISTIC),
    ],
    ids=["plain", "realistic"],
)
def test_a_year_without_lakes_keeps_every_bit(settings: SimulationSettings) -> None:
    for index in (0, 3):
        without = simulate(ground(), settings, index, LEFT, TOP, *SHAPE)
        empty, far = made(index, settings, ()), made(index, settings, (dataclasses.replace(LAKE, x=500_000),))
        assert without.lakes == empty.lakes == ()
        assert without.lake_water is None
        assert far.lake_water is not None
        assert not far.lake_water.any()
        for field in dataclasses.fields(without):
            if field.name not in ("lakes", "lake_water"):
                assert np.array_equal(getattr(without, field.name), getattr(empty, field.name))
                assert np.array_equal(getattr(without, field.name), getattr(far, field.name))


def test_ground_beside_the_basin_keeps_every_bit(dates: list[SimulatedAcquisition]) -> None:
    x = LEFT + (np.arange(SHAPE[1]) + 0.5) * RESOLUTION
    y = TOP - (np.arange(SHAPE[0]) + 0.5) * RESOLUTION
    beside = np.hypot(x[None, :] - LAKE.x, y[:, None] - LAKE.y) > reach(LAKE) + RESOLUTION
    for index in (0, 8, 18):
        without = simulate(ground(), CLEAR, index, LEFT, TOP, *SHAPE)
        assert np.array_equal(without.bands[beside], dates[index].bands[beside])
        assert not np.array_equal(without.bands, dates[index].bands)


def test_windows_fit() -> None:
    whole = made(8)
    part = simulate(ground(), CLEAR, 8, LEFT + 60 * RESOLUTION, TOP - 30 * RESOLUTION, 25, 30, lakes=(LAKE,))
    at = (slice(30, 55), slice(60, 90))
    assert water_of(part).max() == 1
    assert np.array_equal(whole.bands[at], part.bands)
    assert np.array_equal(water_of(whole)[at], water_of(part))
    assert whole.lakes == part.lakes


def test_open_water_is_told_from_the_bare_shore_by_its_index(dates: list[SimulatedAcquisition]) -> None:
    seen = min(of_state(dates, LakeState.OPEN), key=lambda seen: seen.lakes[0].level)
    index = (seen.bands[..., GREEN] - seen.bands[..., NIR]) / (seen.bands[..., GREEN] + seen.bands[..., NIR])
    full = max(dates, key=lambda seen: seen.lakes[0].level)
    water, shore = water_of(seen) == 1, (water_of(seen) == 0) & (water_of(full) == 1)
    assert np.count_nonzero(shore) > 100
    assert np.median(index[water]) > 0.2
    assert np.quantile(index[shore], 0.9) < 0
    assert (seen.water_kind[water] == WaterKind.CLEAR).all()
    assert (seen.water_kind[shore] == WaterKind.NONE).all()


def test_sediment_makes_water_bright_in_red_and_near_infrared(dates: list[SimulatedAcquisition]) -> None:
    inner = np.logical_and.reduce([water_of(seen) == 1 for seen in dates])
    clear, muddy = (
        np.mean([seen.bands[inner][:, [RED, NIR]].mean(axis=0) for seen in of_state(dates, state)], axis=0)
        for state in (LakeState.OPEN, LakeState.TURBID)
    )
    assert (muddy > clear + 0.015).all()


def test_frozen_water_is_ice_in_truth_and_white_in_places(dates: list[SimulatedAcquisition]) -> None:
    frozen = of_state(dates, LakeState.FROZEN)
    for seen in frozen:
        water = water_of(seen) == 1
        assert np.mean(seen.water_kind[water] == WaterKind.ICE) == pytest.approx(seen.lakes[0].ice, abs=0.1)
        # Ice does not shrink the lake of the truth.
        area = water_of(seen).sum(dtype=np.float64) * RESOLUTION**2
        assert area / nominal_area(LAKE) == pytest.approx(seen.lakes[0].level, abs=4e-3)
    assert any(seen.snow[water_of(seen) == 1].any() for seen in frozen)


def test_lakes_are_placed_apart_on_dry_ground_by_their_seed() -> None:
    options = {"smallest": 100.0, "largest": 160.0}
    lakes = place_lakes(ground(), 3, seed=4, **options)
    assert lakes == place_lakes(ground(), 3, seed=4, **options)
    assert lakes != place_lakes(ground(), 3, seed=5, **options)
    for number, lake in enumerate(lakes):
        corner = outline(lake)
        assert corner[:, 0].min() > LEFT
        assert corner[:, 1].max() < TOP
        for other in lakes[:number]:
            assert np.hypot(lake.x - other.x, lake.y - other.y) > reach(lake) + reach(other)
    seen = simulate(ground(), CLEAR, 8, LEFT, TOP, *SHAPE, lakes=lakes)
    assert not (ground().water[water_of(seen) > 0] >= 0.5).any()


def test_a_scene_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"room for \d of 30 lakes"):
        place_lakes(ground(), 30, seed=4)

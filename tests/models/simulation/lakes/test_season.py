"""The year of a lake: drawn down by autumn, filled again, frozen in the cold only."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eotasks.models.simulation.dates import DateWeather, SimulationSettings, date_weather
from eotasks.models.simulation.lakes.basin import area_at, nominal_area
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.lakes.season import (
    FULL_DAY,
    LOW_DAY,
    LakeOnDate,
    LakeState,
    lake_on,
    stage_on,
)
from tests.models.simulation.scene import LATITUDE, LONGITUDE

LAKE = Lake(x=331_000, y=5_821_000, radius=350, drawdown=0.4, turbid=0.5, frozen=0.7, seed=5)
INDICES = [*range(11), *range(11, 62, 3), *range(62, 73)]
"""Of the 73 passes of a year: all of winter, and some of the rest."""


def weather(index: int, seed: int = 3) -> DateWeather:
    return date_weather(SimulationSettings(seed=seed, acquisitions=73), index, LATITUDE, LONGITUDE)


@pytest.fixture(scope="module")
def dates() -> list[tuple[DateWeather, LakeOnDate]]:
    return [(weather(index), lake_on(LAKE, weather(index))) for index in INDICES]


def test_the_level_falls_to_autumn_and_comes_back_without_a_jump() -> None:
    stages = [stage_on(LAKE, day) for day in range(366)]
    assert max(stages) <= 0
    assert min(stages) >= -LAKE.drawdown * LAKE.depth - 1e-9
    assert stage_on(LAKE, FULL_DAY) > -0.1 * LAKE.drawdown * LAKE.depth
    assert stage_on(LAKE, LOW_DAY) < -0.9 * LAKE.drawdown * LAKE.depth
    assert max(abs(after - before) for before, after in itertools.pairwise(stages)) < 0.02 * LAKE.depth


def test_a_flood_stands_above_the_outline() -> None:
    flooded = Lake(x=0, y=0, flood=0.05, seed=5)
    assert 0.5 < max(stage_on(flooded, day) for day in range(366)) / (0.05 * flooded.depth) <= 1
    assert area_at(flooded, 0.05 * flooded.depth) > 1.01 * nominal_area(flooded)


def test_the_truth_of_a_date_is_that_of_its_stage(dates: list[tuple[DateWeather, LakeOnDate]]) -> None:
    for seen, lake in dates:
        assert lake.time == seen.time
        assert lake.stage == stage_on(LAKE, seen.day)
        assert lake.level == pytest.approx(area_at(LAKE, lake.stage) / nominal_area(LAKE))
    by_stage = sorted((lake.stage, lake.level) for _, lake in dates)
    assert all(lower[1] <= higher[1] for lower, higher in itertools.pairwise(by_stage))


def test_ice_is_flagged_and_lies_in_the_cold_only(dates: list[tuple[DateWeather, LakeOnDate]]) -> None:
    frozen = [(seen, lake) for seen, lake in dates if lake.state in (LakeState.FROZEN, LakeState.PARTLY_FROZEN)]
    assert all(seen.is_cold for seen, _ in frozen)
    cold = sum(seen.is_cold for seen, _ in dates)
    assert 0.4 * cold < len(frozen) <= cold
    assert {lake.state for _, lake in dates} == set(LakeState)
    for _, lake in dates:
        assert (lake.ice >= 0.5) == (lake.state == LakeState.FROZEN)
        assert 0 <= lake.ice <= 1
        assert lake.ice == 0 or lake.frost > 0


def test_about_the_share_of_dates_asked_for_is_turbid(dates: list[tuple[DateWeather, LakeOnDate]]) -> None:
    turbid = np.mean([lake.turbidity > 0 for _, lake in dates])
    assert 0.3 < turbid < 0.7
    never = Lake(x=0, y=0, radius=350, turbid=0, frozen=0)
    assert {lake_on(never, weather(index)).state for index in range(0, 73, 6)} == {LakeState.OPEN}


def test_one_seed_one_year() -> None:
    assert lake_on(LAKE, weather(1)) == lake_on(LAKE, weather(1))
    one, other = ([lake_on(LAKE, weather(index, seed)) for index in range(20, 60, 3)] for seed in (3, 4))
    assert [lake.stage for lake in one] == [lake.stage for lake in other]
    assert [lake.turbidity for lake in one] != [lake.turbidity for lake in other]

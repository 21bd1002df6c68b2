"""Shaded land beside a lake is no flood; a river that is always there is none either, and a flood is one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.models.water.measure import DEFAULTS, WaterMeasurement, measure_frame
from eotasks.models.water.series import without_hidden_shadows
from eotasks.models.water.vocabulary import MeasurementStatus
from tests.builders.water import lakes as builders

LOW, FULL = builders.disk(150), builders.disk()
SHADED = builders.disk(70, builders.CENTRE[0] + 200)


def measured(*waters: NDArray[np.bool_]) -> list[WaterMeasurement]:
    return [measure_frame(builders.frame_of(water), builders.outline()) for water in waters]


def statuses(found: list[WaterMeasurement]) -> list[str]:
    return [each.status.name for each in found]


def test_a_shadow_that_no_mask_shows() -> None:
    before = measured(LOW, LOW | SHADED, LOW, LOW)
    assert before[1].beyond_fraction > 0.05 > before[1].inside_fraction - 0.9
    found = without_hidden_shadows(before)
    assert statuses(found) == ["VALID", "TOO_CLOUDY", "VALID", "VALID"]
    assert "no mask shows" in found[1].reason
    assert np.isnan(found[1].level)
    assert found[1].extent.is_empty
    assert found[0] is before[0]


@pytest.mark.parametrize(
    "waters",
    [
        pytest.param([LOW, LOW, FULL | SHADED], id="a flood of a full lake"),
        pytest.param([LOW | SHADED] * 4, id="a river on all dates"),
        pytest.param([LOW, LOW | SHADED], id="two dates do not tell"),
        pytest.param([LOW, builders.disk(165), FULL], id="no water beyond"),
    ],
)
def test_what_passes(waters: list[NDArray[np.bool_]]) -> None:
    assert set(statuses(without_hidden_shadows(measured(*waters)))) == {"VALID"}


def test_without_the_limit_and_dates_without_a_level() -> None:
    before = measured(LOW, LOW | SHADED, LOW)
    off = dataclasses.replace(DEFAULTS, max_beyond_fraction=None)
    assert without_hidden_shadows(before, off) == before
    cloudy = WaterMeasurement(MeasurementStatus.TOO_CLOUDY, "cloud")
    assert without_hidden_shadows([cloudy, *before])[0] is cloudy

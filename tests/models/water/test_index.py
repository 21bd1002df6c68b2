"""NDWI where it has no value, and ice told from water, mud and land."""

from __future__ import annotations

import numpy as np
import pytest

from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.water_and_snow import CLEAR_ICE, FOAM, MUD, WHITE_ICE
from eotasks.models.water.index import FROZEN_BANDS, frozen_mask, water_index

CLEAR_WATER = [0.05, 0.05, 0.04, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02, 0.01, 0.0, 0.01, 0.01]


def test_index_is_nan_where_it_has_no_value_and_changes_nothing() -> None:
    green, nir = np.array([0.3, 0.0, np.nan, 0.1], dtype=np.float32), np.array([0.1, 0.0, 0.1, 0.3], dtype=np.float32)
    before = green.copy(), nir.copy()
    found = water_index(green, nir, np.array([True, True, True, False]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, True])
    assert found[0] == pytest.approx(0.5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal((green, nir), before)


def test_index_of_whole_numbers_does_not_wrap_around() -> None:
    found = water_index(np.array([100], dtype=np.uint16), np.array([300], dtype=np.uint16))
    assert found[0] == pytest.approx(-0.5)


def test_negative_reflectance_keeps_the_index_within_its_bounds() -> None:
    """Noise around no signal: dark in the near infrared is water, dark in both is not known."""
    green = np.array([0.0010, 0.0010, -0.002, -0.001, 0.0], dtype=np.float32)
    nir = np.array([-0.0009, -0.0020, 0.100, -0.003, -0.001], dtype=np.float32)
    np.testing.assert_array_equal(water_index(green, nir), np.array([1, 1, -1, np.nan, np.nan], dtype=np.float32))


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        pytest.param(WHITE_ICE, True, id="white ice"),
        pytest.param((WHITE_ICE + CLEAR_ICE) / 2, True, id="half-white ice"),
        pytest.param(np.full(13, 0.8), False, id="cloud"),
        pytest.param(MUD, False, id="mud"),
        pytest.param(CLEAR_ICE, False, id="clear ice, which looks like water"),
        pytest.param(np.array(CLEAR_WATER), False, id="water"),
        pytest.param(0.4 * FOAM, False, id="a little foam"),
    ],
)
def test_ice(spectrum: np.ndarray, expected: bool) -> None:
    air = np.linspace(0.08, 0.0, 13)  # brightens the short waves, as at the top of the atmosphere
    seen = spectrum + air
    values = [np.array([seen[BANDS.index(name)]]) for name in FROZEN_BANDS]
    assert frozen_mask(*values).tolist() == [expected]

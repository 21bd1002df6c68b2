"""Series of one field: which dates are used, and with what weight."""

from __future__ import annotations

import numpy as np
import pytest

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.zonal.series import field_series
from tests.builders.zonal.field_tables import dates, field_table

MEANS = np.linspace(0.2, 0.8, 6)[np.newaxis, :, np.newaxis] * np.ones((2, 1, 1))
CLOUD = np.array([[0, 0.2, 0.5, 1.0, 0, 0.3], [0] * 6], dtype=float)
NO_DATA = np.array([[0, 0, 0, 0, 0.9, 0.1], [0] * 6], dtype=float)
TABLE = field_table(["meadow", "barley"], ["NDVI"], MEANS, cloud=CLOUD, no_data=NO_DATA)


def test_dates_that_are_clear_enough_are_used() -> None:
    series = field_series(TABLE, "meadow", "NDVI")
    assert series.times == dates(6)
    assert series.used.tolist() == [True, True, False, False, False, True]
    assert series.masked.tolist() == [False, False, True, True, True, False]
    np.testing.assert_allclose(series.weights, [1, 0.8, 0.5, 0, 0.1, 0.6])
    np.testing.assert_allclose(series.cloud, CLOUD[0])
    np.testing.assert_allclose(series.clear, np.where(CLOUD[0] < 1, MEANS[0, :, 0], np.nan))
    np.testing.assert_allclose(series.seen[:3], MEANS[0, :3, 0] * (1 - CLOUD[0, :3]))


def test_limits_are_the_users() -> None:
    strict = field_series(TABLE, "meadow", "NDVI", max_hidden=0.0)
    assert strict.used.tolist() == [True, False, False, False, False, False]
    assert strict.curve() is None  # a single date
    lenient = field_series(TABLE, "meadow", "NDVI", max_hidden=1, min_clear=0)
    assert lenient.used.tolist() == [True, True, True, False, True, True]


def test_the_curve_goes_through_what_is_used() -> None:
    series = field_series(TABLE, "meadow", "NDVI")
    curve = series.curve()
    assert curve is not None
    np.testing.assert_allclose(curve.at(series.times), MEANS[0, :, 0], atol=1e-6)  # a straight line


def test_rows_in_any_order_and_without_a_time() -> None:
    shuffled = TABLE.sample(frac=1, random_state=1)
    shuffled.iloc[0, shuffled.columns.get_loc("time")] = None
    series = field_series(TABLE.sample(frac=1, random_state=1), "barley", "NDVI")
    assert series.times == dates(6)
    np.testing.assert_allclose(series.seen, MEANS[1, :, 0])
    assert len(field_series(shuffled, "barley", "NDVI").times) == 6


def test_says_what_is_not_there() -> None:
    with pytest.raises(FeatureError, match=r"no row of EVI of field 'meadow': it has NDVI of 2 fields"):
        field_series(TABLE, "meadow", "EVI")
    with pytest.raises(FeatureError, match="no column mean"):
        field_series(TABLE.drop(columns="mean"), "meadow", "NDVI")
    with pytest.raises(ConfigurationError, match="max_hidden=2"):
        field_series(TABLE, "meadow", "NDVI", max_hidden=2)

"""The table in its forms: long, wide, a Dataset."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eotasks.errors import FeatureError
from eotasks.zonal.table import dataset_of, wide_table
from eotasks.zonal.task import ZonalStatisticsTask
from eotasks.zonal.vocabulary import columns, percentile_name
from tests.builders.zonal.patches import some_polygons, zonal_patch


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return ZonalStatisticsTask(some_polygons(), indices=["NDVI", "B04"], id_column="name").statistics(zonal_patch())


def test_wide_has_the_same_numbers(table: pd.DataFrame) -> None:
    wide = wide_table(table)
    assert len(wide) == len(table) / 4
    assert list(wide.columns[:6]) == [
        "id", "time", "area_pixels", "cloud_fraction", "shadow_fraction", "no_data_fraction",
    ]  # fmt: skip
    for band in ("NDVI", "B04"):
        for over, suffix in (("clear", ""), ("all", "_all")):
            part = table[(table.band == band) & (table.over == over)]
            np.testing.assert_array_equal(wide[f"{band}_mean{suffix}"], part["mean"])
            assert wide[f"{band}_status{suffix}"].tolist() == part.status.tolist()


def test_a_dataset_has_the_same_numbers(table: pd.DataFrame) -> None:
    found = dataset_of(table)
    row = table.iloc[-1]
    at = {"id": row.id, "time": row.time.tz_convert(None), "band": row.band, "over": row.over}
    assert float(found["mean"].sel(at)) == row["mean"]
    assert found["cloud_fraction"].dims == ("id", "time")
    assert float(found["cloud_fraction"].sel(id=row.id, time=at["time"])) == row.cloud_fraction


def test_refuses_tables_that_are_none(table: pd.DataFrame) -> None:
    with pytest.raises(FeatureError, match="lacks id"):
        wide_table(pd.DataFrame({"a": [1]}))
    with pytest.raises(FeatureError, match="not complete"):
        wide_table(table.iloc[1:])


def test_columns_of_percentiles() -> None:
    assert [percentile_name(each) for each in (5, 50, 100, 97.5, 2.5)] == ["p05", "p50", "p100", "p97.5", "p02.5"]
    assert columns([5])[9] == "p05"

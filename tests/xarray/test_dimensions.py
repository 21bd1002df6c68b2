"""Rows and columns by the names that they have in the wild."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eotasks.errors import FeatureError, GridError
from eotasks.xarray import cloud_mask, from_xarray
from eotasks.xarray.grid import pixel_size_of
from eotasks.xarray.layout import layout_of
from tests.builders.clouds.xarrays import STEP, dataset, scene

VALUES = scene(1, 40, 64)
MASK = cloud_mask(dataset(VALUES)).values

AXES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "axis": ({"axis": "Y"}, {"axis": "X"}),
    "standard names": ({"standard_name": "projection_y_coordinate"}, {"standard_name": "projection_x_coordinate"}),
}


def renamed(rows: str, columns: str, said: tuple[dict[str, Any], dict[str, Any]] | None = None) -> Any:
    made = dataset(VALUES)
    for name in "yx":
        made[name].attrs.clear()
    made = made.rename({"y": rows, "x": columns})
    for name, attributes in zip((rows, columns), said or ({}, {}), strict=True):
        made[name].attrs.update(attributes)
    return made


@pytest.mark.parametrize(("rows", "columns"), [("Y", "X"), ("lat", "lon"), ("latitude", "longitude"), ("Lat", "Lon")])
def test_usual_names(rows: str, columns: str) -> None:
    data = renamed(rows, columns)
    mask = cloud_mask(data)
    assert mask.dims == ("time", rows, columns)
    np.testing.assert_array_equal(mask.values, MASK)
    patch = from_xarray(data)
    assert patch.bbox == from_xarray(dataset(VALUES)).bbox
    np.testing.assert_array_equal(patch.data["BANDS"], VALUES)


@pytest.mark.parametrize("said", AXES.values(), ids=AXES)
@pytest.mark.parametrize("stacked", [False, True], ids=["variables", "a dimension of bands"])
def test_names_that_the_coordinates_explain(said: Any, stacked: bool) -> None:
    data = renamed("northing", "easting", said)
    given = data.to_array("band") if stacked else data
    mask = cloud_mask(given, unit="metre", average_over=40, dilation_size=20)
    assert mask.dims == ("time", "northing", "easting")
    expected = cloud_mask(dataset(VALUES), unit="metre", average_over=40, dilation_size=20)
    np.testing.assert_array_equal(mask.values, expected.values)
    assert pixel_size_of(layout_of(data["B02"], {}, "here"), wanted_for="radius") == (STEP, STEP)
    patch = from_xarray(given)
    assert patch.bbox == from_xarray(dataset(VALUES)).bbox
    np.testing.assert_array_equal(patch.data["BANDS"], VALUES)


@pytest.mark.parametrize(
    "said",
    [None, ({"axis": "Y"}, {}), ({"axis": "Y"}, {"axis": "Y"}), ({"long_name": "northing"}, {"long_name": "easting"})],
    ids=["nothing", "one", "both rows", "words"],
)
def test_what_nothing_explains_is_refused_with_the_ways(said: Any) -> None:
    with pytest.raises(FeatureError, match=r"dimensions time, northing, easting .* rename them, .* axis='Y'"):
        cloud_mask(renamed("northing", "easting", said))


def test_a_variable_that_is_called_as_rows_are_is_named() -> None:
    data = renamed("northing", "easting", AXES["axis"])
    with pytest.raises(GridError, match=r"has a variable 'y', .* rename it"):
        from_xarray(data.assign(y=data["B02"]))

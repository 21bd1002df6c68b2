"""What numbers mean: attributes, arguments, STAC items, stackstac's coordinates, or the dtype."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import xarray

from eotasks.errors import ConfigurationError, EOTasksError, FeatureError, ReflectanceError
from eotasks.models.sentinel2 import BANDS
from eotasks.xarray import cloud_probability
from tests.builders.clouds.xarrays import array, dataset, item, scene

PLAIN = scene()
SHIFTED = PLAIN + np.uint16(1000)


def probability(data: Any, **options: Any) -> Any:
    return cloud_probability(data, **options)


@functools.cache
def due() -> Any:
    return probability(dataset(PLAIN)).values


def with_attributes(values: Any, **attributes: Any) -> xarray.Dataset:
    made = dataset(values)
    for each in made.data_vars.values():
        each.attrs = attributes
    return made


def as_stackstac(values: Any, **beside: Any) -> Any:
    made = array(values, band_first=True)
    return made.assign_coords({name.replace("__", ":"): value for name, value in beside.items()})


RASTER = [{"scale": 0.0001, "offset": -0.1}]
MIXED = SHIFTED.copy()
MIXED[0] = PLAIN[0]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (with_attributes(PLAIN, scale_factor=0.0001), {}),
        (with_attributes(PLAIN, scale_factor=1.0, add_offset=0.0), {}),
        (with_attributes(SHIFTED, scale_factor=0.0001, add_offset=-0.1, _FillValue=0), {}),
        (with_attributes(SHIFTED.astype(np.float32), scale_factor=np.float64(0.0001), add_offset=[-0.1]), {}),
        (dataset(SHIFTED), {"offset": -0.1}),
        (dataset(MIXED), {"offset": [0, -0.1]}),
        (dataset(MIXED), {"offset": xarray.DataArray([0, -0.1], dims="time")}),
        (dataset(SHIFTED.astype(np.float32)), {"scale": 0.0001, "offset": -0.1}),
        (dataset((PLAIN / 100).astype(np.float32)), {"scale": 0.01}),
        (with_attributes(SHIFTED, scale_factor=0.5), {"scale": 0.0001, "offset": -0.1}),
        (dataset(SHIFTED), {"items": [item(day=0), item(day=1)]}),
        (dataset(MIXED), {"items": [item(day=1), item(day=0, offset=0)]}),
        (array(MIXED), {"items": [item(day=1), item(day=0, offset=0)]}),
        (as_stackstac(SHIFTED, s2__processing_baseline="05.10"), {}),
        (as_stackstac(MIXED, s2__processing_baseline=("time", ["03.01", "04.00"])), {}),
        (as_stackstac(PLAIN, s2__processing_baseline="05.10", earthsearch__boa_offset_applied=True), {}),
        (as_stackstac(PLAIN, s2__processing_baseline="02.04"), {}),
    ],
    ids=[
        "scale alone", "GDAL's nothing", "scale and offset", "floats with attributes", "offset", "offset a frame",
        "offset as array", "floats with arguments", "per cent", "arguments before attributes", "items", "mixed items",
        "mixed items, bands in a dimension", "baseline", "mixed baselines", "offset removed", "old baseline",
    ],
)  # fmt: skip
def test_the_same_reflectance_however_it_is_said(data: Any, options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(probability(data, **options).transpose("time", "y", "x").values, due())


def test_lists_of_scales_of_an_array() -> None:
    made = array(SHIFTED)
    made.attrs |= {"scales": (0.0001,) * 13, "offsets": (-0.1,) * 13}
    np.testing.assert_array_equal(probability(made).values, due())


def test_what_stackstac_notes_of_rasters() -> None:
    entries = np.empty(2, dtype=object)
    entries[0], entries[1] = {"scale": 0.0001}, RASTER
    made = as_stackstac(MIXED, raster__bands=("time", entries))
    np.testing.assert_array_equal(probability(made).values, due())


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [
        (dataset(SHIFTED), {}, ReflectanceError, "offset of processing baseline 04.00 .* items=ITEMS"),
        (dataset(MIXED), {}, ReflectanceError, "offset of processing baseline 04.00"),
        (dataset(PLAIN), {"offset": -0.1}, ReflectanceError, "an offset was removed"),
        (dataset(PLAIN), {"offset": -1000}, ConfigurationError, "-1000 shifts reflectance .* -0.1 for the -1000"),
        (dataset(PLAIN), {"offset": [0, 0, 0]}, ConfigurationError, r"shape \(3,\) where one number or 2"),
        (dataset(PLAIN), {"scale": 0}, ConfigurationError, "scale=0"),
        (dataset(PLAIN.astype(np.float32)), {}, ReflectanceError, "raw digital numbers"),
        (dataset((PLAIN >> 6).astype(np.uint8)), {}, ReflectanceError, "uint8 is too coarse"),
        (dataset(PLAIN > 9), {}, ReflectanceError, "dtype bool"),
        (with_attributes(PLAIN, scale_factor="much"), {}, FeatureError, "scale_factor is 'much', no number"),
        (with_attributes(PLAIN, scale_factor=np.nan), {}, FeatureError, "scale_factor is nan"),
        (with_attributes(PLAIN, scale_factor=0.0001, add_offset=-1000), {}, FeatureError, "make no reflectance"),
        (with_attributes(SHIFTED, scale_factor=0.0001), {"items": [item(day=0), item(day=1)]}, FeatureError,
         "attributes say scale 0.0001 and offset 0, the STAC items 0.0001 and -0.1"),
        (with_attributes(dataset(PLAIN).to_array("b").transpose("time", "y", "x", "b").values * 1e-4,
                         scale_factor=1e-4), {}, ReflectanceError, "scaled once more"),
        (dataset(PLAIN).map(lambda each: each * 1e-5), {"scale": 0.1}, ReflectanceError, "scaled once more"),
    ],
    ids=[
        "offset left in", "in one frame", "removed twice", "offset in numbers", "too many", "no scale", "raw floats",
        "bytes", "booleans", "text", "NaN", "offset in numbers as attribute", "contradiction", "stale attributes",
        "wrong scale",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_numbers_that_are_none_are_refused(
    data: xarray.Dataset, options: dict[str, Any], kind: type[EOTasksError], message: str, lazy: bool
) -> None:
    given = data.chunk({"y": 40, "x": 64}) if lazy else data
    with pytest.raises(kind, match=message):
        probability(given, **options).compute()


def test_zero_is_no_data_of_a_band_where_there_is_an_offset() -> None:
    holes = SHIFTED.copy()
    holes[:, 5, 6, 7] = 0
    shifted = probability(dataset(holes), offset=-0.1)
    assert np.isnan(shifted.values[:, 5, 6]).all()
    assert np.count_nonzero(np.isnan(shifted.values)) == 2
    plain = PLAIN.copy()
    plain[:, 5, 6, 7] = 0
    assert not np.isnan(probability(dataset(plain)).values).any()
    plain[:, 5, 6] = 0
    assert np.isnan(probability(dataset(plain)).values[:, 5, 6]).all()


@pytest.mark.parametrize("name", ["nodata", "_FillValue", "missing_value"])
def test_a_stated_value_of_no_data(name: str) -> None:
    holes = PLAIN.astype(np.int16)
    holes[0, 3, 4, BANDS.index("B10")] = -32768
    found = probability(with_attributes(holes, **{name: -32768}))
    assert np.argwhere(np.isnan(found.values)).tolist() == [[0, 3, 4]]


def test_nan_in_a_band_is_no_data() -> None:
    holes = (PLAIN / 10_000).astype(np.float32)
    holes[1, 3, 4, 0] = np.nan
    found = probability(dataset(holes))
    assert np.argwhere(np.isnan(found.values)).tolist() == [[1, 3, 4]]

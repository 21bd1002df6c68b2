"""EOPatches as datasets and back: bit for bit, and as rioxarray expects."""

from __future__ import annotations

import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  # adds `.rio`
import shapely
import xarray
from eolearn.core import EOPatch, FeatureType
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import ConfigurationError, EOTasksError, FeatureError, GridError, MissingDependencyError
from eotasks.models.sentinel2 import BANDS
from eotasks.storage.place import Place
from eotasks.xarray import cloud_probability, from_xarray, to_xarray
from tests.builders.clouds.xarrays import array, dataset, scene

# affine 3 warns of an operator that rasterio and rioxarray use.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

DATA, MASK, SCALAR, LABEL = FeatureType.DATA, FeatureType.MASK, FeatureType.SCALAR, FeatureType.LABEL
TIMES = [datetime(2019, 1, 1, 10, 11, 12, 345678), datetime(2019, 1, 6)]  # noqa: DTZ001  # EOPatch times are naive
BOUNDS = (330000.0, 5814360.0, 330040.0, 5814390.0)


def make_eopatch() -> EOPatch:
    """Three rows, four columns, every kind of feature that can go."""
    numbers = np.random.default_rng(3)
    eopatch = EOPatch(bbox=BBox(BOUNDS, CRS("32633")), timestamps=TIMES)
    eopatch[DATA, "BANDS"] = numbers.random((2, 3, 4, 10)).astype(np.float32)
    eopatch[DATA, "CLP"] = numbers.random((2, 3, 4, 1)).astype(np.float32)
    eopatch[MASK, "CLM"] = numbers.integers(0, 2, (2, 3, 4, 1)).astype(np.uint8)
    eopatch[MASK, "IS_DATA"] = numbers.random((2, 3, 4, 1)) > 0.5
    eopatch[FeatureType.DATA_TIMELESS, "FEATURES"] = numbers.random((3, 4, 5))
    eopatch[FeatureType.MASK_TIMELESS, "LULC"] = numbers.integers(0, 9, (3, 4, 1)).astype(np.uint8)
    eopatch[SCALAR, "SUN_ANGLES"] = numbers.random((2, 2)).astype(np.float32)
    eopatch[LABEL, "KIND"] = np.array([[1], [2]])
    eopatch[FeatureType.SCALAR_TIMELESS, "MEAN"] = numbers.random(3)
    eopatch[FeatureType.LABEL_TIMELESS, "CLASS"] = np.array([7], np.int16)
    eopatch[FeatureType.META_INFO, "SIMULATED"] = {"seed": 1, "names": ["a", None, 0.1]}
    return eopatch


def box_of(eopatch: EOPatch) -> BBox:
    assert eopatch.bbox is not None
    return eopatch.bbox


def assert_same(one: EOPatch, other: EOPatch) -> None:
    """Equal, and of the same types, which == of EOPatches does not ask for."""
    assert one == other
    assert tuple(box_of(one)) == tuple(box_of(other))
    assert box_of(one).crs == box_of(other).crs
    assert one.timestamps == other.timestamps
    for feature in one.get_features():
        if feature[0].is_array():
            assert one[feature].dtype == other[feature].dtype
            assert one[feature].tobytes() == other[feature].tobytes()


def test_everything_comes_back_as_it_was() -> None:
    eopatch = make_eopatch()
    assert_same(from_xarray(to_xarray(eopatch)), eopatch)


def test_names_dimensions_and_coordinates() -> None:
    dataset = to_xarray(make_eopatch())
    assert {name: variable.dims for name, variable in dataset.data_vars.items()} == {
        "BANDS": ("time", "y", "x", "band_10"),
        "CLP": ("time", "y", "x"),
        "CLM": ("time", "y", "x"),
        "IS_DATA": ("time", "y", "x"),
        "FEATURES": ("y", "x", "band_5"),
        "LULC": ("y", "x"),
        "SUN_ANGLES": ("time", "SUN_ANGLES_value"),
        "KIND": ("time", "KIND_value"),
        "MEAN": ("MEAN_value",),
        "CLASS": ("CLASS_value",),
    }
    np.testing.assert_array_equal(dataset["x"], [330005, 330015, 330025, 330035])
    np.testing.assert_array_equal(dataset["y"], [5814385, 5814375, 5814365])
    np.testing.assert_array_equal(dataset["band_5"], [1, 2, 3, 4, 5])
    assert dataset["time"].dtype == "datetime64[ns]"
    assert dataset["time"].values[0] == np.datetime64("2019-01-01T10:11:12.345678")
    assert to_xarray(make_eopatch(), [(DATA, "BANDS"), (DATA, "CLP")])["BANDS"].dims[-1] == "band"


def test_rioxarray_knows_where_it_is(tmp_path: Path) -> None:
    dataset = to_xarray(make_eopatch())
    assert dataset.rio.crs.to_epsg() == 32633
    assert dataset.rio.bounds() == BOUNDS
    assert dataset.rio.transform() == rasterio.Affine(10, 0, 330000, 0, -10, 5814390)
    assert dataset["CLP"].rio.crs == dataset.rio.crs
    dataset["BANDS"].isel(time=0).transpose("band_10", "y", "x").rio.to_raster(tmp_path / "bands.tif")
    with rasterio.open(tmp_path / "bands.tif") as file:
        assert file.crs.to_epsg() == 32633
        assert tuple(file.bounds) == BOUNDS
        np.testing.assert_array_equal(file.read(), make_eopatch()[DATA, "BANDS"][0].transpose(2, 0, 1))
    assert dataset["CLM"].rio.reproject("EPSG:4326").rio.crs.to_epsg() == 4326


def test_a_reprojected_dataset_is_a_patch_elsewhere() -> None:
    dataset = to_xarray(make_eopatch(), [(MASK, "CLM")]).rio.reproject("EPSG:32632", resolution=10)
    eopatch = from_xarray(dataset)
    assert box_of(eopatch).crs == CRS("32632")
    assert tuple(box_of(eopatch)) == pytest.approx(dataset.rio.bounds(), abs=1e-6)
    assert eopatch[MASK, "CLM"].shape == (2, *dataset["CLM"].shape[1:], 1)


def test_what_is_changed_in_the_dataset_is_in_the_patch() -> None:
    dataset = to_xarray(make_eopatch())
    with xarray.set_options(keep_attrs=True):  # type: ignore[no-untyped-call]  # the notes of the first operand come along
        dataset["DIFFERENCE"] = dataset["CLP"] - dataset["CLM"]
        dataset["CLOUDY"] = dataset["CLP"] > 0.4
        dataset["CLM"] = dataset["CLM"] / 2
    eopatch = from_xarray(dataset.rename(LULC="CLASSES").drop_vars("BANDS"))
    assert eopatch[DATA, "DIFFERENCE"].shape == (2, 3, 4, 1)
    assert eopatch[DATA, "CLOUDY"].dtype == np.bool_  # the note says data, and data may hold booleans
    assert eopatch[DATA, "CLM"].max() == 0.5
    assert eopatch[FeatureType.MASK_TIMELESS, "CLASSES"].dtype == np.uint8
    assert (DATA, "BANDS") not in eopatch


def test_a_part_lies_where_it_lies() -> None:
    part = from_xarray(to_xarray(make_eopatch()).isel(x=slice(1, 3), y=slice(0, 2), time=[1]))
    assert tuple(box_of(part)) == (330010, 5814370, 330030, 5814390)
    assert part.timestamps == TIMES[1:]
    np.testing.assert_array_equal(part[DATA, "BANDS"], make_eopatch()[DATA, "BANDS"][1:, :2, 1:3])
    pixel = from_xarray(to_xarray(make_eopatch()).isel(x=[3], y=[2]))
    assert tuple(box_of(pixel)) == (330030, 5814360, 330040, 5814370)


def test_any_dataset_on_a_grid_becomes_a_patch() -> None:
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    dataset = xarray.Dataset(
        {
            "counts": (("latitude", "longitude", "time"), np.moveaxis(values, 0, -1)),
            "height": (("latitude", "longitude"), values[0] / 2),
        },
        {"time": TIMES, "latitude": [46.0, 46.5, 47.0], "longitude": [14.0, 14.5, 15.0, 15.5]},
    ).rio.write_crs("EPSG:4326")
    eopatch = from_xarray(dataset)
    assert tuple(box_of(eopatch)) == (13.75, 45.75, 15.75, 47.25)
    assert box_of(eopatch).crs == CRS.WGS84
    np.testing.assert_array_equal(eopatch[MASK, "counts"][..., 0], values[:, ::-1])
    np.testing.assert_array_equal(eopatch[FeatureType.DATA_TIMELESS, "height"][..., 0], values[0, ::-1] / 2)


def test_arrays_go_without_a_copy_and_come_as_a_copy() -> None:
    eopatch = make_eopatch()
    before = eopatch[DATA, "BANDS"].copy()
    dataset = to_xarray(eopatch)
    assert np.shares_memory(dataset["BANDS"].values, eopatch[DATA, "BANDS"])
    back = from_xarray(dataset)
    back[DATA, "BANDS"][:] = -1
    np.testing.assert_array_equal(eopatch[DATA, "BANDS"], before)
    assert back[DATA, "BANDS"].flags.c_contiguous


def test_features_of_one_name_and_of_names_that_mean_something() -> None:
    eopatch = EOPatch(bbox=BBox(BOUNDS, CRS("32633")), timestamps=TIMES)
    for kind, name in ((DATA, "A"), (MASK, "A"), (DATA, "x"), (DATA, "time"), (MASK, "band"), (MASK, "A_value")):
        eopatch[kind, name] = np.ones((2, 3, 4, 2), np.uint8)
    eopatch[SCALAR, "A"] = np.ones((2, 2))
    dataset = to_xarray(eopatch)
    assert set(dataset.data_vars) == {
        "data_A", "mask_A", "scalar_A", "data_x", "data_time", "mask_band", "mask_A_value",
    }  # fmt: skip
    assert_same(from_xarray(dataset), eopatch)
    eopatch[MASK, "data_A"] = np.ones((2, 3, 4, 1), np.uint8)
    with pytest.raises(FeatureError, match="'data_A'"):
        to_xarray(eopatch)


def broken(**changes: Any) -> EOPatch:
    eopatch = make_eopatch()
    for name, value in changes.items():
        if name == "timestamps":
            eopatch.timestamps = value
        else:
            kind, _, feature = name.partition("__")
            eopatch[FeatureType(kind), feature] = value
    return eopatch


def frame() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(*BOUNDS)], crs=32633)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [({"vector_timeless__FIELDS": frame()}, FeatureError, "vector_timeless/FIELDS is a vector"),
     ({"meta_info__WHEN": TIMES[0]}, FeatureError, "'WHEN' does not come back from JSON"),
     ({"meta_info__PAIR": (1, 2)}, FeatureError, "'PAIR' does not come back"),
     ({"meta_info__KEYS": {1: 2}}, FeatureError, "'KEYS' does not come back"),
     ({"meta_info__NUMBER": np.float64(1)}, FeatureError, "'NUMBER' does not come back"),
     ({"meta_info__NAN": float("nan")}, FeatureError, "'NAN' does not come back"),
     ({"data_timeless__COARSE": np.zeros((1, 2, 1))}, GridError, "data_timeless/COARSE 1 x 2"),
     ({"scalar_timeless__OBJECTS": np.array([object()])}, FeatureError, "OBJECTS is an array of Python objects"),
     ({"data__MASKED": np.ma.masked_less(np.zeros((2, 3, 4, 1)), 1)}, FeatureError, "data/MASKED: a masked array"),
     ({"timestamps": [TIMES[0], datetime(1, 1, 1)]}, FeatureError, "between 1678 and 2261")],  # noqa: DTZ001
)  # fmt: skip
def test_what_cannot_go_is_refused_by_name(changes: dict[str, Any], kind: type[EOTasksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        to_xarray(broken(**changes))
    kept = make_eopatch().get_features()
    if "timestamps" not in changes:
        assert from_xarray(to_xarray(broken(**changes), kept)) == make_eopatch()


def test_times_of_any_zone_are_those_instants_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    eopatch = broken(timestamps=[time.replace(tzinfo=UTC).astimezone(tokyo) for time in TIMES])
    assert_same(from_xarray(to_xarray(eopatch)), make_eopatch())


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(FeatureError, match=r"no feature data/NDVI, there are: data/BANDS"):
        to_xarray(make_eopatch(), [(DATA, "NDVI")])
    eopatch = EOPatch(bbox=BBox(BOUNDS, CRS("32633")))
    eopatch[FeatureType.MASK_TIMELESS, "EMPTY"] = np.zeros((0, 4, 1), np.uint8)
    with pytest.raises(GridError, match="0 x 4 pixels"):
        to_xarray(eopatch)


def without_crs(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.drop_vars("spatial_ref")


def nameless_crs(dataset: xarray.Dataset) -> Any:
    return dataset.rio.write_crs("+proj=laea +lat_0=10 +ellps=sphere")


def finer_times(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.assign_coords(time=dataset["time"].values + np.timedelta64(1, "ns"))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [(without_crs, GridError, "no CRS with an EPSG code"),
     (nameless_crs, GridError, "no CRS with an EPSG code"),
     (lambda dataset: dataset.assign_coords(x=[1.0, 2, 3, 5]), GridError, "'x' have uneven steps"),
     (lambda dataset: dataset.assign_coords(x=[1.0, 1, 1, 1]), GridError, "'x' have uneven steps"),
     (lambda dataset: dataset.assign_coords(y=[1.0, np.nan, 3]), GridError, "coordinates that are no numbers"),
     (lambda dataset: dataset.isel(x=slice(None, None, -1)), GridError, "from east to west"),
     (lambda dataset: dataset.drop_vars("x"), GridError, "'x' has no coordinates"),
     (lambda dataset: dataset.isel(x=[]), GridError, "'x' has no pixels"),
     (lambda dataset: dataset.drop_vars("time"), FeatureError, "'time' has no dates"),
     (lambda dataset: dataset.assign_coords(time=[1, 2]), FeatureError, "'time' has no dates"),
     (finer_times, FeatureError, "finer than microseconds"),
     (lambda dataset: dataset.assign_coords(time=[np.datetime64("NaT", "ns")] * 2), FeatureError, "NaT"),
     (lambda dataset: dataset[["CLP"]].expand_dims(["a", "b"]), FeatureError, r"'CLP' has the dimensions a, b, time"),
     (lambda dataset: dataset.assign(row=dataset["CLP"].isel(x=0)), FeatureError, "'row' has the dimensions time, y"),
     (lambda dataset: dataset.assign(number=3), FeatureError, "'number' has the dimensions none"),
     (lambda dataset: dataset.rename(CLP="data_CLM").assign(data_CLM=lambda d: d["data_CLM"].assign_attrs(
         feature_name="CLM", feature_type="mask")).assign(CLM=dataset["CLM"] / 2), FeatureError, "second feature")],
)  # fmt: skip
def test_datasets_that_are_no_patch_are_refused(change: Any, kind: type[EOTasksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        from_xarray(change(to_xarray(make_eopatch())))


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = to_xarray(make_eopatch())
    monkeypatch.setitem(sys.modules, "rioxarray", None)
    for call in (lambda: to_xarray(make_eopatch()), lambda: from_xarray(dataset)):
        with pytest.raises(MissingDependencyError, match=r"install .*\[xarray\]'"):
            call()


DTYPES = ["float32", "float64", "uint8", "int16", "uint16", "int64", "bool"]
FINITE = st.floats(-1e7, 1e7, allow_nan=False, width=64)
UNITS = st.floats(1e-3, 1e5)


@settings(max_examples=60, deadline=None)
@given(
    origin=st.tuples(FINITE, FINITE),
    size=st.tuples(UNITS, UNITS),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)),
    bands=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=4, max_size=4),
    moments=st.lists(st.integers(-(2**52), 2**52), min_size=3, max_size=3),
    epsg=st.sampled_from(["32633", "32701", "3857", "3035"]),
    seed=st.integers(0, 99),
)
def test_any_patch_makes_the_round_trip(
    origin: tuple[float, float], size: tuple[float, float], shape: tuple[int, int, int], bands: list[int],
    dtypes: list[str], moments: list[int], epsg: str, seed: int,
) -> None:  # fmt: skip
    frames, height, width = shape
    right, top = origin[0] + size[0] * width, origin[1] + size[1] * height
    times = [datetime(1970, 1, 1) + timedelta(microseconds=moment) for moment in moments[:frames]]  # noqa: DTZ001
    eopatch = EOPatch(bbox=BBox((*origin, right, top), CRS(epsg)), timestamps=times)
    numbers = np.random.default_rng(seed)
    for index, (count, dtype) in enumerate(zip(bands, dtypes, strict=False)):
        values = numbers.bytes(frames * height * width * count * np.dtype(dtype).itemsize)
        array = np.frombuffer(values, "uint8" if dtype == "bool" else dtype).reshape(*shape, count)
        array = array > 127 if dtype == "bool" else array
        eopatch[DATA, f"F{index}"] = array
        if dtype[0] != "f" and frames:
            eopatch[FeatureType.MASK_TIMELESS, f"F{index}"] = array[0]
    back = from_xarray(to_xarray(eopatch))
    assert tuple(box_of(back)) == tuple(box_of(eopatch))
    assert back.timestamps == eopatch.timestamps
    assert set(back.get_features()) == set(eopatch.get_features())
    for feature in eopatch.get_features():
        assert back[feature].dtype == eopatch[feature].dtype
        assert back[feature].shape == eopatch[feature].shape
        assert back[feature].tobytes() == eopatch[feature].tobytes()


def test_patches_without_images_or_times() -> None:
    eopatch = EOPatch(bbox=BBox(BOUNDS, CRS("32633")))
    eopatch[FeatureType.SCALAR_TIMELESS, "MEAN"] = np.arange(3.0)
    assert_same(from_xarray(to_xarray(eopatch)), eopatch)
    assert_same(from_xarray(to_xarray(eopatch, [])), EOPatch(bbox=eopatch.bbox))


BAND_VALUES = scene(2, 12, 15)


def test_variables_of_bands_become_one_feature_of_data() -> None:
    names = {"B08": "nir", "B02": "blue", "B04": "red"}
    data = dataset(BAND_VALUES, names=names).assign(SCL=dataset(BAND_VALUES)["B01"].astype(np.uint8))
    eopatch = from_xarray(data)
    assert set(eopatch.get_features()) == {
        (DATA, "BANDS"), (MASK, "IS_DATA"), (MASK, "SCL"), (FeatureType.META_INFO, "BAND_NAMES"),
    }  # fmt: skip
    np.testing.assert_array_equal(eopatch[DATA, "BANDS"], BAND_VALUES[..., [1, 3, 7]])
    assert eopatch[DATA, "BANDS"].dtype == np.uint16
    assert eopatch.meta_info["BAND_NAMES"] == {"BANDS": ["blue", "red", "nir"]}
    back = to_xarray(eopatch)
    assert list(back["band"].values) == ["blue", "red", "nir"]
    assert_same(from_xarray(back), eopatch)
    other = from_xarray(data, bands_feature=(DATA, "S2"), bands={"B08": "nir", "B02": "red"})
    np.testing.assert_array_equal(other[DATA, "S2"], BAND_VALUES[..., [3, 7]])


def test_a_task_takes_the_patch_of_a_dataset_of_digital_numbers() -> None:
    shifted = dataset(BAND_VALUES + np.uint16(1000), chunks={"x": 8})
    eopatch = AddCloudProbabilityTask().execute(from_xarray(shifted, offset=-0.1))
    np.testing.assert_array_equal(eopatch[DATA, "BANDS"], BAND_VALUES)
    np.testing.assert_array_equal(eopatch[DATA, "CLP"][..., 0], cloud_probability(dataset(BAND_VALUES)).values)


def test_bands_by_themselves_are_data_too() -> None:
    eopatch = from_xarray(dataset(BAND_VALUES)[["B02", "B03"]], bands_feature=None)
    assert set(eopatch.get_features()) == {(DATA, "B02"), (DATA, "B03")}
    assert eopatch[DATA, "B02"].dtype == np.uint16


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_arrays_with_a_dimension_of_bands(lazy: bool) -> None:
    data = array(BAND_VALUES, chunks={"band": 1, "x": 8} if lazy else None, band_first=True)
    for each in (data, data.to_dataset(), data.isel(band=slice(None, None, -1))):
        eopatch = from_xarray(each)
        names = list(np.atleast_1d(each["band"].values))
        order = [BANDS.index(name) for name in names]
        assert ("LazyFeature" in repr(eopatch)) is lazy
        np.testing.assert_array_equal(eopatch[DATA, "BANDS"], BAND_VALUES[..., order])
        assert eopatch.meta_info["BAND_NAMES"] == {"BANDS": names}
        assert list(to_xarray(eopatch)["band"].values) == names
    numbered = from_xarray(data.drop_vars("band"))
    np.testing.assert_array_equal(numbered[DATA, "BANDS"], BAND_VALUES)


def test_pixels_without_data_are_masked_and_emptied() -> None:
    values = BAND_VALUES.copy()
    values[0, 2, 3] = 0
    eopatch = from_xarray(dataset(values + np.uint16(1000) * (values > 0)), offset=-0.1)
    assert np.argwhere(~eopatch[MASK, "IS_DATA"]).tolist() == [[0, 2, 3, 0]]
    np.testing.assert_array_equal(eopatch[DATA, "BANDS"], values)
    floats = from_xarray(dataset(np.where(values > 0, values / 10_000, np.nan)))
    assert np.isnan(floats[DATA, "BANDS"][0, 2, 3]).all()
    own = dataset(values).assign(IS_DATA=dataset(values)["B02"] > 10_000)
    assert not from_xarray(own)[MASK, "IS_DATA"].any()


def test_one_date_without_a_dimension_of_time() -> None:
    one = from_xarray(dataset(BAND_VALUES).isel(time=1))
    assert one[DATA, "BANDS"].shape == (1, 12, 15, 13)
    assert one.timestamps == [datetime(2023, 6, 6, 10, 10, 31)]  # noqa: DTZ001
    none = from_xarray(dataset(BAND_VALUES).isel(time=1, drop=True))
    assert none[FeatureType.DATA_TIMELESS, "BANDS"].shape == (12, 15, 13)
    assert none.timestamps is None


def test_other_names_of_dimensions_and_a_crs_among_the_variables() -> None:
    data = dataset(BAND_VALUES).reset_coords("spatial_ref").rename(time="t", spatial_ref="crs")
    for name, each in data.data_vars.items():
        each.encoding.clear()
        if name != "crs":
            each.attrs["grid_mapping"] = "crs"
    eopatch = from_xarray(data)
    assert box_of(eopatch).crs == CRS("32633")
    assert eopatch.timestamps is not None
    assert len(eopatch.timestamps) == 2


def test_rows_from_south_to_north_are_turned_in_bands_too() -> None:
    for chunks in (None, {"y": 5}):
        upwards = dataset(BAND_VALUES, chunks=chunks).isel(y=slice(None, None, -1))
        np.testing.assert_array_equal(from_xarray(upwards)[DATA, "BANDS"], BAND_VALUES)


def test_coordinates_of_corners_lie_where_the_transform_says() -> None:
    """Stackstac's are those of the upper left corners."""
    data = array(BAND_VALUES)
    corners = data.assign_coords(x=data["x"] - 10, y=data["y"] + 10)
    corners.attrs["transform"] = rasterio.Affine(20, 0, 600000, 0, -20, 5200020)
    part = corners.isel(x=slice(3, 9), y=slice(2, 7))
    assert tuple(box_of(from_xarray(part))) == (600060, 5199880, 600180, 5199980)
    assert tuple(box_of(from_xarray(corners))) == tuple(box_of(from_xarray(data)))


def test_lazy_features_are_computed_once_and_when_they_are_looked_at() -> None:
    looked: list[int] = []

    def look(block: Any) -> Any:
        looked.append(1)
        return block

    data = dataset(BAND_VALUES, chunks={"time": 2})
    for name in data.data_vars:
        data[name] = data[name].dims, data[name].data.map_blocks(look, dtype=np.uint16, meta=np.empty((0, 0, 0)))
    data["NDVI"] = data["B02"] / 2
    eopatch = from_xarray(data)
    copied = eopatch.copy()
    dataset_again = to_xarray(eopatch)
    again = from_xarray(dataset_again)
    pickled = pickle.loads(pickle.dumps(from_xarray(dataset(BAND_VALUES, chunks={"x": 8}))))
    assert not looked
    assert dataset_again["BANDS"].chunks is not None
    np.testing.assert_array_equal(copied[DATA, "BANDS"], BAND_VALUES)
    np.testing.assert_array_equal(copied[DATA, "BANDS"], eopatch[DATA, "BANDS"])
    assert len(looked) == 13
    np.testing.assert_array_equal(again[DATA, "NDVI"][..., 0], BAND_VALUES[..., 1] / 2)
    assert pickled == from_xarray(dataset(BAND_VALUES))
    assert copied[DATA, "BANDS"].flags.c_contiguous


def test_lazy_patches_are_saved_by_their_values(tmp_path: Path) -> None:
    eopatch = from_xarray(dataset(BAND_VALUES, chunks={"x": 8}))
    eopatch.copy().save(str(tmp_path / "plain"))
    assert EOPatch.load(str(tmp_path / "plain")) == from_xarray(dataset(BAND_VALUES))
    save_eopatch(Place(str(tmp_path)), "ours", eopatch)
    assert load_eopatch(Place(str(tmp_path)), "ours") == from_xarray(dataset(BAND_VALUES))


def test_names_of_bands_of_several_features() -> None:
    eopatch = make_eopatch()
    names = {"BANDS": [f"band {index}" for index in range(10)], "CLP": ["cloud"], "FEATURES": ["too", "few"]}
    eopatch[FeatureType.META_INFO, "BAND_NAMES"] = names
    data = to_xarray(eopatch)
    assert data["BANDS"].dims == ("time", "y", "x", "band_BANDS")
    assert list(data["band_BANDS"].values) == names["BANDS"]
    assert data["CLP"].dims == ("time", "y", "x", "band_CLP")
    assert data["FEATURES"].dims == ("y", "x", "band_5")
    assert_same(from_xarray(data), eopatch)
    chosen = from_xarray(data.isel(band_BANDS=[3, 1]))
    assert chosen.meta_info["BAND_NAMES"]["BANDS"] == ["band 3", "band 1"]


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [(dataset(BAND_VALUES).assign(BANDS=dataset(BAND_VALUES)["B02"] / 2), {}, FeatureError, "second feature data/BA"),
     (array(BAND_VALUES).assign_coords(band=["SCL", *BANDS[1:]]), {}, FeatureError, "has bands and others along"),
     (dataset(BAND_VALUES), {"bands_feature": (MASK, "BANDS")}, ConfigurationError, "FeatureType.DATA"),
     (BAND_VALUES, {}, FeatureError, "ndarray is neither a Dataset nor a DataArray"),
     (dataset(BAND_VALUES), {"offset": -1000}, ConfigurationError, "shifts reflectance by more than 1")],
)  # fmt: skip
def test_bands_that_are_no_feature_are_refused(
    data: Any, options: dict[str, Any], kind: type[EOTasksError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        from_xarray(data, **options)

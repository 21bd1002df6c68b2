"""Cloud probability of datasets and arrays: the numbers of the task, wherever the bands are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import BandError, EOTasksError, FeatureError, GridError, ReflectanceError
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS
from eotasks.xarray import cloud_mask, cloud_probability
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.xarrays import array, dataset, scene

VALUES = scene()
CHUNKS = {"time": 1, "y": 40, "x": 64}
COMMON = dict(zip(BANDS, ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08",
                          "nir09", "cirrus", "swir16", "swir22"), strict=True))  # fmt: skip


def due(values: Any = VALUES) -> Any:
    patch = AddCloudProbabilityTask().execute(patch_of_bands(values))
    return patch.data["CLP"][..., 0]


def numbered(values: Any, **options: Any) -> Any:
    return array(values, **options).drop_vars("band")


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (dataset(VALUES), {}),
        (dataset(VALUES, names=COMMON), {}),
        (dataset(VALUES, names={band: f"my_{band.lower()}" for band in BANDS}).assign(
            SCL=dataset(VALUES)["B01"], note=3), {"bands": {band: f"my_{band.lower()}" for band in BANDS}}),
        (dataset(VALUES).transpose("x", "time", "y"), {}),
        (dataset(VALUES)[list(CLOUD_BANDS)[::-1]], {}),
        (dataset(VALUES).rename(time="t", x="lon", y="lat"), {}),
        (array(VALUES), {}),
        (array(VALUES, band_first=True), {}),
        (numbered(VALUES), {}),
        (numbered(VALUES).transpose("band", "x", "y", "time"), {"bands": BANDS}),
        (array(VALUES[..., ::-1]).assign_coords(band=list(BANDS[::-1])), {}),
        (numbered(VALUES[..., [BANDS.index(band) for band in CLOUD_BANDS]]), {}),
        (numbered(VALUES).assign_coords(common_name=("band", list(COMMON.values()))), {}),
        (numbered(VALUES).assign_attrs(long_name=tuple(f"{band}, central wavelength" for band in BANDS)), {}),
        (array(VALUES).to_dataset(name="BANDS"), {}),
        (array((VALUES / 10_000).astype(np.float32)), {}),
    ],
    ids=[
        "variables", "common names", "own names", "other dimensions", "ten variables", "other names of dimensions",
        "band last", "band first", "told by number", "named in order", "backwards", "ten by number",
        "common names beside", "described by GDAL", "an array in a dataset", "reflectance",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_any_layout_gives_the_numbers_of_the_task(data: Any, options: dict[str, Any], lazy: bool) -> None:
    if lazy:
        data = data.chunk({dim: 1 if dim == "band" else 40 for dim in data.dims})
    found = cloud_probability(data, **options)
    assert (found.chunks is not None) is lazy
    assert found.dtype == np.float32
    assert found.name == "CLP"
    assert [dim for dim in data.dims if dim != "band"] == list(found.dims) or isinstance(data, xarray.Dataset)
    ordered = found.transpose(*(dim for dim in ("time", "t", "y", "lat", "x", "lon") if dim in found.dims))
    np.testing.assert_array_equal(ordered.values, due())


def test_one_image_without_time() -> None:
    for data in (dataset(VALUES).isel(time=0), array(VALUES).isel(time=0), dataset(VALUES).isel(time=0, drop=True)):
        for each in (data, data.chunk({"y": 30, "x": 70})):
            found = cloud_probability(each)
            assert found.dims == ("y", "x")
            np.testing.assert_array_equal(found.values, due()[0])


def test_coordinates_attributes_and_crs_are_kept() -> None:
    data = dataset(VALUES, chunks=CHUNKS).assign_attrs(title="mine", history="made")
    data = data.assign_coords(orbit=("time", [65, 22]), area=(("y", "x"), np.zeros(VALUES.shape[1:3])))
    found = cloud_probability(data)
    assert found.attrs["history"] == "made"
    assert found.rio.crs.to_epsg() == 32633
    assert set(found.coords) == {"time", "y", "x", "spatial_ref", "orbit", "area"}
    assert "nodata" not in found.attrs
    assert found.to_dataset().rio.crs.to_epsg() == 32633
    one = cloud_probability(array(VALUES, chunks=CHUNKS).assign_attrs(scale_factor=0.0001))
    assert one.attrs["crs"] == "epsg:32633"
    assert "scale_factor" not in one.attrs
    assert one.rio.crs.to_epsg() == 32633
    assert "band" not in one.coords


def test_the_crs_of_openeo_is_a_variable_beside_the_bands() -> None:
    data = dataset(VALUES).drop_vars("spatial_ref").rename(time="t")
    for each in data.data_vars.values():
        each.encoding.pop("grid_mapping", None)
        each.attrs["grid_mapping"] = "crs"
    mapping = dataset(VALUES)["spatial_ref"].attrs
    data["crs"] = xarray.DataArray("", attrs=mapping)
    found = cloud_mask(data)
    assert found.rio.crs.to_epsg() == 32633
    assert found.dims == ("t", "y", "x")


def test_only_the_bands_of_the_model_are_read() -> None:
    import dask.array

    def refuse(block: Any) -> Any:
        raise AssertionError("read")

    data = dataset(VALUES, chunks=CHUNKS)
    for name in ("B03", "B06", "B07"):
        lazy = dask.array.map_blocks(refuse, data[name].data, dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16))
        data[name] = data[name].dims, lazy
    cloud_probability(data).compute()


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    import dask

    def scheduler(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed")

    data = dataset(VALUES, chunks=CHUNKS)
    with dask.config.set(scheduler=scheduler):
        cloud_mask(cloud_probability(data))
        cloud_mask(data, items=None)


def test_pixels_without_data() -> None:
    seen = xarray.DataArray(np.ones(VALUES.shape[:3], bool), dataset(VALUES).coords, ("time", "y", "x"))
    seen[1, 2:5, 3:9] = False
    for data, mask in ((dataset(VALUES), seen), (dataset(VALUES, chunks=CHUNKS), seen.chunk({"x": 50}))):
        found = cloud_probability(data, is_data=mask)
        np.testing.assert_array_equal(found.values, np.where(seen, due(), np.nan))
    with pytest.raises(FeatureError, match="is_data is uint8 where a boolean DataArray is due"):
        cloud_probability(dataset(VALUES), is_data=seen.astype(np.uint8))
    with pytest.raises(GridError, match="is_data has other 'x' than the dataset"):
        cloud_probability(dataset(VALUES), is_data=seen.isel(x=slice(1, None)))
    with pytest.raises(GridError, match="is_data has other 'y'"):
        cloud_probability(dataset(VALUES), is_data=seen.assign_coords(y=seen["y"] + 20))


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [
        (dataset(VALUES).drop_vars("B10"), {}, BandError, "B10 is missing.*L2A has no B10"),
        (dataset(VALUES).rename({band: f"x{band}" for band in BANDS}), {}, BandError, "no variable has the name of a"),
        (dataset(VALUES), {"bands": BANDS}, BandError, "its bands are variables"),
        (dataset(VALUES).assign(blue=dataset(VALUES)["B02"], coastal=1), {"bands": {"B02": "azure"}}, BandError,
         "no 'azure' for B02"),
        (numbered(VALUES[..., :12]), {}, BandError, "12 bands without names"),
        (array(VALUES).isel(band=0), {}, FeatureError, "one of bands is due"),
        (array(VALUES).expand_dims("run"), {}, FeatureError, "dimensions run, time, y, x, band"),
        (array(VALUES).rename(x="across"), {}, FeatureError, "one of bands is due"),
        (VALUES, {}, FeatureError, "ndarray is neither a Dataset nor a DataArray"),
        (dataset(VALUES).assign(B10=dataset(VALUES)["B10"].isel(time=0)), {}, FeatureError, "other dimensions"),
        (dataset(VALUES).rename(B10="B11", B11="B10"), {}, BandError, "not in the order"),
    ],
    ids=[
        "L2A", "unknown names", "a list for variables", "no such variable", "twelve", "one band", "a fifth dimension",
        "no x", "NumPy", "a band of other dimensions", "exchanged",
    ],
)  # fmt: skip
def test_bands_that_are_none_are_refused(
    data: Any, options: dict[str, Any], kind: type[EOTasksError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cloud_probability(data, **options)


def test_a_frame_is_judged_as_a_whole() -> None:
    """A chunk full of high cloud would be refused alone; an offset in all of them is found."""
    values = scene(1, 80, 128)
    values[0, :40, :64, BANDS.index("B10")] = 1500
    lazy = dataset(values, chunks={"y": 40, "x": 64})
    np.testing.assert_array_equal(cloud_probability(lazy).values, cloud_probability(dataset(values)).values)
    corner = {"y": slice(0, 40), "x": slice(0, 64)}
    with pytest.raises(EOTasksError, match=r"04\.00"):
        cloud_probability(dataset(values).isel(corner))
    shifted = dataset(values + np.uint16(1000), chunks={"y": 40, "x": 64})
    with pytest.raises(EOTasksError, match=r"in 2023-06-01T10:10: the offset of processing baseline 04.00"):
        cloud_probability(shifted).isel(corner).compute()
    assert cloud_probability(shifted, check_bands=False).isel(corner).shape == (1, 40, 64)


WRONG = {
    "8 bits": (VALUES / 10_000 * 255).round().clip(0, 255).astype(np.uint16),
    "divided twice": (VALUES / 1_000_000).astype(np.float32),
    "16 bits": (VALUES * 6.5535).clip(0, 65_535).astype(np.uint16),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_another_scale_is_refused_as_by_the_array_functions(name: str, lazy: bool) -> None:
    data = dataset(WRONG[name], chunks=CHUNKS if lazy else None)
    with pytest.raises(ReflectanceError):
        cloud_probability(data).compute()
    assert cloud_probability(data, check_bands=False).shape == WRONG[name].shape[:3]


@settings(max_examples=15)
@given(rows=st.integers(20, 80), columns=st.integers(32, 128), factor=st.sampled_from([1, 1 / 40, 1 / 100, 6.5535]))
def test_the_verdict_is_the_same_however_a_frame_is_cut(rows: int, columns: int, factor: float) -> None:
    values = (scene(1, 80, 128) * factor).astype(np.uint16)

    def verdict(data: Any) -> str:
        try:
            cloud_probability(data).compute()
        except EOTasksError as error:
            return str(error)
        return ""

    assert verdict(dataset(values, chunks={"y": rows, "x": columns})) == verdict(dataset(values))

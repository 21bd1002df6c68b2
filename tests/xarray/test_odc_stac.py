"""Real loads of odc-stac from local STAC items: threaded, distributed, with offsets of each item, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import numpy as np
import odc.stac
import pystac
import pytest
import shapely
import xarray
from eolearn.core import FeatureType

from eotasks.catalogue.items import item_of
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import ReflectanceError
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import LoadSampleTask, open_sample
from eotasks.xarray import cloud_mask, cloud_probability, cloud_shadow, from_xarray, to_xarray, valid_data
from tests.builders.clouds.patches import patch_of_bands
from tests.builders.clouds.xarrays import item, scene
from tests.builders.products import LEFT, TOP, write_cog

pytestmark = [
    pytest.mark.slow,  # and not with the lowest pystac, whose items odc-stac finds no grid in
    # what odc-stac calls: rasterio on arrays without a place, a function that shapely would rather not have, and an
    # operator of affine
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dataset has no geotransform"),
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
]

SIZE, STEP = (150, 220), 20.0
CHUNKS = {"x": 130, "y": 80}
VALUES = scene(2, *SIZE)

QUIET: dict[str, Any] = {"protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[pystac.Item]:
    """Two dates on the same ground: one as products of old baselines have it, one with an offset of -1000."""
    made = []
    for day, offset in enumerate((0.0, -0.1)):
        folder: Path = tmp_path_factory.mktemp(f"day{day}")
        content = item(
            day=day, offset=offset, **{"proj:epsg": 32633, "view:sun_elevation": 50.0, "view:sun_azimuth": 150.0}
        )
        for index, band in enumerate(BANDS):
            stored = VALUES[day, ..., index] + np.uint16(1000 if offset else 0)
            write_cog(folder / f"{band}.tif", stored, STEP)
            content["assets"][band] |= {
                "href": str(folder / f"{band}.tif"),
                "raster:bands": [{**content["assets"][band]["raster:bands"][0], "data_type": "uint16", "nodata": 0}],
                "proj:shape": list(SIZE),
                "proj:transform": [STEP, 0.0, LEFT, 0.0, -STEP, TOP],
            }
        west, south, east, north = 12.0, 53.0, 12.2, 53.3
        content |= {
            "bbox": [west, south, east, north],
            "geometry": shapely.box(west, south, east, north).__geo_interface__,
        }
        content["stac_extensions"] = [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ]
        made.append(pystac.Item.from_dict(content))
    return made


def load(items: list[pystac.Item], **options: Any) -> xarray.Dataset:
    loaded: xarray.Dataset = odc.stac.load(
        items, bands=list(BANDS), crs="EPSG:32633", resolution=STEP,
        x=(LEFT, LEFT + SIZE[1] * STEP), y=(TOP - SIZE[0] * STEP, TOP), chunks=CHUNKS, **options,
    )  # fmt: skip
    assert loaded["B02"].shape == (2, *SIZE)
    return loaded


def due() -> Any:
    return AddCloudMaskTask().execute(AddCloudProbabilityTask().execute(patch_of_bands(VALUES))).mask["CLM"][..., 0]


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_offsets_of_each_item(items: list[pystac.Item], scheduler: str) -> None:
    loaded = load(items)
    with dask.config.set(scheduler=scheduler):
        mask = cloud_mask(loaded, items=items)
        assert mask.chunks is not None
        np.testing.assert_array_equal(mask.values, due())
        assert mask.rio.crs.to_epsg() == 32633
        with pytest.raises(ReflectanceError, match=r"items=ITEMS"):
            cloud_mask(loaded).compute()


def test_numbers_that_are_loaded_as_floats(items: list[pystac.Item]) -> None:
    """An item that does not say its dtype gives float32, and NaN."""
    untyped = [each.clone() for each in items]
    for each in untyped:
        for asset in each.assets.values():
            stated = asset.extra_fields["raster:bands"][0]
            plain = {key: stated[key] for key in ("scale", "offset")}
            asset.extra_fields = {**asset.extra_fields, "raster:bands": [plain]}
    loaded = load(untyped)
    assert loaded["B02"].dtype == np.float32
    np.testing.assert_array_equal(cloud_mask(loaded, items=untyped).values, due())
    with pytest.raises(ReflectanceError, match="raw digital numbers"):
        cloud_mask(loaded).compute()
    reflectance = (load(items).astype(np.float32) + xarray.DataArray([0, -1000], dims="time")) / 10_000
    np.testing.assert_array_equal(cloud_mask(reflectance).values, due())
    with pytest.raises(ReflectanceError, match="scaled once more"):
        cloud_mask(reflectance, items=items).compute()
    np.testing.assert_array_equal(cloud_mask(reflectance, items=items, scale=1, offset=0).values, due())


def test_solar_days_and_single_items(items: list[pystac.Item]) -> None:
    for groupby in ("solar_day", "id"):
        np.testing.assert_array_equal(cloud_mask(load(items, groupby=groupby), items=items).values, due())


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # made-up clouds throw none
def test_all_functions_on_a_cluster_of_dask(items: list[pystac.Item]) -> None:
    from distributed import Client, LocalCluster

    loaded = load(items)
    eager = loaded.compute()
    mask = cloud_mask(eager, items=items)
    results = {
        "probability": (lambda data, _: cloud_probability(data, items=items)),
        "mask": (lambda data, _: cloud_mask(data, items=items)),
        "shadow": (lambda data, cloud: cloud_shadow(data, cloud, items=items)),
        "valid": (lambda data, cloud: valid_data(data, [cloud], items=items, snow="exclude")),
    }
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, **QUIET) as cluster,
        Client(cluster),
    ):
        lazy = {name: make(loaded, mask.chunk(CHUNKS)) for name, make in results.items()}
        (computed,) = dask.compute(lazy)
        for name, make in results.items():
            xarray.testing.assert_identical(computed[name], make(eager, mask))
        with pytest.raises(ReflectanceError, match=r"04\.00"):
            cloud_probability(loaded).compute()


@pytest.mark.trial
def test_worker_processes_of_dask(items: list[pystac.Item]) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, **QUIET) as cluster,
        Client(cluster),
    ):
        np.testing.assert_array_equal(cloud_mask(load(items), items=items).values, due())


def test_a_lazy_load_becomes_a_lazy_patch(items: list[pystac.Item]) -> None:
    patch = from_xarray(load(items), items=items)
    assert "LazyFeature(int32 (2, 150, 220, 13))" in repr(patch)
    back = to_xarray(patch)
    assert back["BANDS"].chunks is not None
    assert list(back["band"].values) == list(BANDS)
    patch = AddCloudMaskTask().execute(AddCloudProbabilityTask().execute(patch))
    np.testing.assert_array_equal(patch.data["BANDS"], VALUES)
    np.testing.assert_array_equal(patch.mask["CLM"][..., 0], due())
    assert patch.mask["IS_DATA"].all()
    assert patch.meta_info["BAND_NAMES"] == {"BANDS": list(BANDS)}
    np.testing.assert_array_equal(cloud_mask(back).values, due())


@pytest.mark.trial
def test_the_real_sample() -> None:
    """Our own item of the embedded product, at the resolution of its coarsest band, which odc-stac has to warp to."""
    own = item_of(open_sample())
    loaded = odc.stac.load([own], bands=list(BANDS), resolution=20, chunks={"x": 300, "y": 200})
    mask = cloud_mask(loaded, items=[own])
    patch = LoadSampleTask(resolution=20).execute(bbox=from_xarray(loaded[["B02"]]).bbox)
    patch = AddCloudMaskTask().execute(AddCloudProbabilityTask().execute(patch))
    ours, theirs = patch[FeatureType.MASK, "CLM"][0, ..., 0], mask.values[0]
    assert np.mean(ours == theirs) > 0.95  # they take the nearest pixel, we the mean of all
    np.testing.assert_array_equal(cloud_mask(loaded.compute()).values, mask.values)


MEMORY = """
import resource, sys
import numpy as np, dask, dask.array, xarray
import eotasks
from eotasks.xarray import cloud_mask
from tests.builders.clouds.xarrays import scene

side, frames, chunk = map(int, sys.argv[1:])
block = scene(1, chunk, chunk)
def make(numbers):
    return block.copy()
def stack(frames, side):
    shape = dask.array.from_array(np.zeros((frames, side, side, 1), np.uint8), chunks=(1, chunk, chunk, 1))
    data = dask.array.map_blocks(make, shape, dtype=np.uint16, chunks=(*shape.chunks[:3], (13,)))
    return xarray.DataArray(data, dims=("time", "y", "x", "band"))
with dask.config.set(scheduler="threads", num_workers=2):
    cloud_mask(stack(1, 2 * chunk)).compute()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mask = cloud_mask(stack(frames, side)).data
    mask.map_blocks(lambda each: each[:, :1, :1], chunks=(1, 1, 1), dtype=np.uint8).compute()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.trial
def test_memory_is_that_of_a_few_chunks() -> None:
    """A stack of 8 x 1024 x 1024 x 13 is 218 MB, a chunk of 256 x 256 is 1.7 MB."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY, "1024", "8", "256"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert float(run.stdout.split()[-1]) < 60

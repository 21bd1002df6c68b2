"""Every real product of the shared test data, read: offsets, swath edges, masks, angles, clouds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS
from eotasks.workflows.product_masks.product import product_grid

CLEAR_SAFE = "l1c_safe/S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"
CLOUDY_SAFE = "l1c_safe/S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE"
CLEAR_ZIP = "l1c_tiles/S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.zip"
CLOUDY_AWS = "l1c_tiles/S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06.AWSPDS.zip"


def finest_grid(scene: Scene) -> Grid:
    return product_grid(scene, scene.grid_of("B02").resolution)


@pytest.mark.parametrize(("name", "offset", "cloud"), [(CLEAR_SAFE, -1000, (0, 0.1)), (CLOUDY_SAFE, -1000, (0.99, 1))])
def test_safe_of_baseline_0510(shared_data: Path, name: str, offset: int, cloud: tuple[float, float]) -> None:
    scene = open_scene(shared_data / name)
    assert scene.bands == BANDS
    grid = scene.grid_of("B02")
    assert (grid.crs, grid.left, grid.top, grid.shape) == ("EPSG:32631", 350_000, 4_850_020, (30, 30))
    dn, is_data = scene.read_masked(CLOUD_BANDS, grid)
    assert is_data.all()
    for band in ("B01", "B08", "B10", "B12"):
        stored = scene.product.files.raster_path(scene.product.bands[band].name)
        np.testing.assert_array_equal(
            dn[..., CLOUD_BANDS.index(band)], np.maximum(_stored(stored).astype(int) + offset, 0)
        )
    share = (cloud_probability(dn) > 0.4).mean()
    assert cloud[0] <= share <= cloud[1]
    assert (scene.product_cloud_mask(grid) == (1 if cloud[0] > 0.5 else 0)).all()


def _stored(path: str) -> NDArray[np.uint16]:
    with rasterio.open(path) as source:
        values: NDArray[np.uint16] = source.read(1)
    return values


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cloud"), [(CLEAR_ZIP, (0, 0.1)), (CLOUDY_AWS, (0.3, 0.75))])
def test_tiles_with_an_edge_of_the_swath(shared_data: Path, name: str, cloud: tuple[float, float]) -> None:
    scene = open_scene(shared_data / name)
    assert scene.bands == BANDS
    grid = finest_grid(scene)
    dn, is_data = scene.read_masked(CLOUD_BANDS, grid)
    assert 0.6 < is_data.mean() < 0.9
    assert not dn[~is_data].any()
    assert dn[is_data][:, CLOUD_BANDS.index("B02")].min() > 100
    # The lossy images hold small numbers outside of the swath; the footprints tell.
    unmasked = Scene(replace(scene.product, footprints={}))
    assert unmasked.is_data(grid, bands=["B05", "B11"]).mean() > is_data.mean()
    share = (cloud_probability(dn)[is_data] > 0.4).mean()
    assert cloud[0] <= share <= cloud[1]
    own = scene.product_cloud_mask(grid)
    assert ((own == 1).sum() > 10_000) == (cloud[0] > 0.1)
    assert 0.6 < (own != 255).mean() < 0.9


@pytest.mark.parametrize("name", [CLEAR_SAFE, CLOUDY_SAFE, CLEAR_ZIP, CLOUDY_AWS])
def test_angles(shared_data: Path, name: str) -> None:
    scene = open_scene(shared_data / name)
    grid = finest_grid(scene)
    zenith, azimuth = scene.sun_angles(grid)
    assert zenith.shape == azimuth.shape == grid.shape
    assert scene.acquisition.sun_zenith is not None
    assert np.abs(zenith - scene.acquisition.sun_zenith).max() < 1.5
    view, _ = scene.view_angles(grid, "B04")
    is_data = scene.is_data(grid, bands=["B04"])
    assert np.isfinite(view[is_data]).mean() > 0.99
    assert 0 <= np.nanmin(view) <= np.nanmax(view) < 13

"""Interpolation at exact places: that of GDAL where its warper is exact, and the places themselves."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.interpolation import interpolate
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.resampling import ResamplingName, resample

UTM = CRS.from_epsg(32633)
LEFT, TOP = 500_000.0, 5_800_000.0
TRANSFORM = Affine(10, 0, LEFT, 0, -10, TOP)


@pytest.mark.parametrize("has_holes", [False, True])
@pytest.mark.parametrize("method", ["bilinear", "cubic"])
@pytest.mark.parametrize("size", [(7.3, 7.3), (10, 10), (10.4, 10.4), (23, 9), (40, 30), (79.7, 80)])
def test_values_are_those_of_gdal(size: tuple[float, float], method: str, has_holes: bool) -> None:
    """Within one system its places are exact. At edges and holes, too: the grid reaches beyond the image."""
    generator = np.random.default_rng(3)
    values = generator.integers(1000, 9000, (60, 65)).astype(np.float32)
    if has_holes:
        values[generator.random(values.shape) < 0.01] = np.nan
        values[20:30, 25:35] = np.nan
    grid = Grid(
        "EPSG:32633", LEFT - 83, TOP + 91, size[0], int(650 / size[1]), int(700 / size[0]), pixel_height=size[1]
    )
    expected = np.full(grid.shape, np.nan, np.float32)
    reproject(
        values, expected, src_transform=TRANSFORM, src_crs=UTM, src_nodata=np.nan, dst_transform=grid.transform,
        dst_crs=UTM, dst_nodata=np.nan, resampling=Resampling[method], XSCALE=10 / size[0], YSCALE=10 / size[1],
    )  # fmt: skip
    found = interpolate(values, TRANSFORM, Places.of(grid, UTM), is_cubic=method == "cubic", sides=size)
    np.testing.assert_allclose(found, expected, rtol=1e-6, equal_nan=True)
    assert np.isnan(found).any()
    assert np.isfinite(found).any()


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_places_of_long_rows_in_another_system_are_exact(method: str) -> None:
    """A slope is at each place what it is there: a warper that takes rows for straight is off by a tenth of a pixel."""
    slope = np.broadcast_to(np.arange(300, dtype=np.float32)[:, np.newaxis], (300, 300)).copy()
    places = Places.of(Grid("EPSG:3857", 1_669_700, 6_859_000, 100, 20, 400), UTM)
    grid = Grid("EPSG:3857", 1_669_700, 6_859_000, 100, 20, 400)
    rows, columns = (TOP - places.y) / 10, (places.x - LEFT) / 10
    inside = (rows > 3) & (rows < 297) & (columns > 3) & (columns < 297)
    assert inside.any()
    found = resample(slope, TRANSFORM, UTM, grid, method=cast("ResamplingName", method), sides=(10, 10))
    expected = np.floor(rows) if method == "nearest" else rows - 0.5
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


def test_places_that_are_none_have_no_value() -> None:
    x = np.array([[np.inf, np.nan, LEFT + 5, LEFT - 1]])
    places = Places(UTM, x, np.full(x.shape, TOP - 5.0), is_separable=False)
    for is_cubic in (False, True):
        found = interpolate(np.full((3, 3), 7, np.float32), TRANSFORM, places, is_cubic=is_cubic, sides=(10, 10))
        np.testing.assert_array_equal(found, [[np.nan, np.nan, 7, np.nan]])

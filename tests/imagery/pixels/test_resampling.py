from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_bounds
from rasterio.warp import transform as warp

from eotasks.errors import ConfigurationError
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.resampling import ResamplingName, resample

UTM = "EPSG:32633"
LEFT, TOP = 500_000.0, 5_800_000.0


def source(size: float, shape: tuple[int, int] = (24, 30), seed: int = 0) -> tuple[NDArray[np.uint16], Affine, CRS]:
    values = np.random.default_rng(seed).integers(1, 10_000, shape).astype(np.uint16)
    return values, Affine(size, 0, LEFT, 0, -size, TOP), CRS.from_string(UTM)


def shared_lengths(count: int, size: float, offset: float, target_count: int, step: float) -> NDArray[np.float64]:
    """Length that each target pixel shares with each source pixel along an axis, by definition."""
    target = offset + np.arange(target_count + 1) * step
    edges = np.arange(count + 1) * size
    low = np.maximum(target[:-1, np.newaxis], edges[np.newaxis, :-1])
    high = np.minimum(target[1:, np.newaxis], edges[np.newaxis, 1:])
    shared: NDArray[np.float64] = np.maximum(high - low, 0)
    return shared


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([10.0, 20.0, 60.0]),
    step=st.sampled_from([10.0, 12.5, 15.0, 20.0, 25.0, 60.0, 80.0, 160.0]),
    across=st.sampled_from([0.0, -17.5, 5.0, 23.0, 300.0]),
    down=st.sampled_from([0.0, -40.0, 7.5, 100.0]),
    holes=st.booleans(),
    seed=st.integers(0, 5),
)
def test_mean_is_weighted_by_shared_area(
    size: float, step: float, across: float, down: float, holes: bool, seed: int
) -> None:
    values, transform, crs = source(size, seed=seed)
    valid = np.random.default_rng(seed).random(values.shape) > 0.4 if holes else None
    grid = Grid(UTM, LEFT + across, TOP - down, step, height=40, width=35)
    rows = shared_lengths(24, size, down, 40, step)
    columns = shared_lengths(30, size, across, 35, step)
    weights = np.ones(values.shape) if valid is None else valid.astype(float)
    area = rows @ weights @ columns.T
    with np.errstate(invalid="ignore"):
        expected = rows @ (values * weights) @ columns.T / area
    result = resample(values, transform, crs, grid, valid=valid, method="mean")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(result), area == 0)
    np.testing.assert_allclose(result, expected, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("method", ["nearest", "mean"])
def test_refining_repeats_pixels(method: str) -> None:
    values, transform, crs = source(60)
    grid = Grid(UTM, LEFT, TOP, 10, 24 * 6, 30 * 6)
    result = resample(values, transform, crs, grid, method=cast("ResamplingName", method))
    np.testing.assert_array_equal(result, values.repeat(6, axis=0).repeat(6, axis=1))


def test_pixels_go_where_their_coordinates_say() -> None:
    """A band whose grid starts 10 m west of the target's, as B05 beside B02 in some crops."""
    values, _, crs = source(20)
    grid = Grid(UTM, LEFT, TOP, 10, 48, 58)
    result = resample(values, Affine(20, 0, LEFT - 10, 0, -20, TOP), crs, grid, method="nearest")
    by_index = values.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(result, by_index[:, 1:59])
    assert (result != by_index[:, :58]).any()


def test_bilinear_interpolates_between_centres() -> None:
    values = np.broadcast_to(np.arange(30, dtype=np.uint16) * 100 + 1000, (24, 30)).copy()
    _, transform, crs = source(20)
    grid = Grid(UTM, LEFT, TOP, 10, 48, 60)
    result = resample(values, transform, crs, grid, method="bilinear")
    centres = (np.arange(60) + 0.5) * 10
    expected = np.interp(centres, (np.arange(30) + 0.5) * 20, values[0])
    np.testing.assert_allclose(result[10, 2:-2], expected[2:-2], atol=1e-2)


@pytest.mark.parametrize(("method", "tolerance"), [("bilinear", 1), ("cubic", 1), ("nearest", 6), ("mean", 10)])
def test_another_coordinate_system_puts_pixels_on_the_same_ground(method: str, tolerance: float) -> None:
    """A gradient to the east, seen on the grid of the neighbouring zone, is the gradient at the same places."""
    values = np.broadcast_to(np.arange(300, dtype=np.uint16) * 10 + 1000, (240, 300)).copy()
    _, transform, crs = source(20)
    neighbour = Grid("EPSG:32632", 911_800, 5_817_500, 20, 100, 100)
    result = resample(values, transform, crs, neighbour, method=cast("ResamplingName", method))
    inside = np.isfinite(result)
    assert inside.mean() > 0.2
    columns, rows = np.meshgrid(np.arange(100) + 0.5, np.arange(100) + 0.5)
    x, _ = warp("EPSG:32632", UTM, (911_800 + columns * 20).ravel(), (5_817_500 - rows * 20).ravel())
    expected = (np.reshape(x, (100, 100)) - LEFT) / 20 * 10 - 5 + 1000
    away_from_the_edge = inside & (expected > 1030)
    assert np.abs(result - expected)[away_from_the_edge].max() < tolerance


def test_nothing_under_the_grid_is_nan() -> None:
    values, transform, crs = source(10)
    far = Grid(UTM, LEFT + 10_000, TOP, 10, 5, 5)
    for method in ("nearest", "bilinear", "cubic", "mean"):
        assert np.isnan(resample(values, transform, crs, far, method=cast("ResamplingName", method))).all()


def test_input_is_not_changed() -> None:
    values, transform, crs = source(10)
    before = values.copy()
    valid = values > 500
    resample(values, transform, crs, Grid(UTM, LEFT, TOP, 20, 5, 5), valid=valid)
    np.testing.assert_array_equal(values, before)


def test_unknown_method() -> None:
    values, transform, crs = source(10)
    with pytest.raises(ConfigurationError, match="nearest, bilinear, cubic, mean"):
        resample(values, transform, crs, Grid(UTM, LEFT, TOP, 20, 5, 5), method=cast("ResamplingName", "average"))


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_pixels_that_are_no_squares(crs: str) -> None:
    """Each is what the squares that it consists of are together, and GDAL interpolates as for any other grid."""
    values, transform, system = source(20.0)
    left, bottom, right, top = transform_bounds(UTM, crs, LEFT + 40, TOP - 440, LEFT + 520, TOP - 40)
    wide = Grid(crs, left, top, (right - left) / 12, 20, 12, pixel_height=(top - bottom) / 20)
    for method in ("bilinear", "cubic"):
        expected = np.zeros(wide.shape, np.float32)
        options = {"dst_transform": wide.transform, "dst_crs": crs, "tolerance": 0.0}
        reproject(
            values.astype(np.float32), expected, src_transform=transform, src_crs=system,
            resampling=Resampling[method], XSCALE=0.5, YSCALE=1.0, **options,
        )  # fmt: skip
        found = resample(values, transform, system, wide, method=cast("ResamplingName", method))
        np.testing.assert_allclose(found, expected, rtol=2e-2 if crs != UTM else 1e-5)
    if crs == UTM:
        squares = Grid(crs, left, top, 20, 20, 24)
        fine = resample(values, transform, system, squares, method="mean").reshape(20, 12, 2)
        np.testing.assert_allclose(resample(values, transform, system, wide, method="mean"), fine.mean(2), rtol=1e-6)

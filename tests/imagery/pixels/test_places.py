"""Centres of pixels in other systems, against GDAL's warper. All pixels are made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.places import Places
from eotasks.imagery.pixels.resampling import resample

UTM = CRS.from_epsg(32633)
LEFT, TOP = 300_000.0, 5_900_040.0
IMAGE = np.arange(1, 48 * 40 + 1, dtype=np.uint16).reshape(48, 40)
ORIGIN = Affine(20, 0, LEFT, 0, -20, TOP)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:32632"])
@settings(max_examples=15, deadline=None)
@given(
    west=st.integers(-300, 700), south=st.integers(-1200, -100), width=st.integers(1, 60), height=st.integers(1, 60),
    valid=st.booleans(),
)  # fmt: skip
def test_nearest_pixels_are_those_of_the_warper(
    crs: str, west: int, south: int, width: int, height: int, valid: bool
) -> None:
    bounds = transform_bounds(UTM, crs, LEFT + west + 0.7, TOP + south, LEFT + west + 333, TOP + south + 405.3)
    grid = Grid(
        crs, bounds[0], bounds[3], (bounds[2] - bounds[0]) / width, height, width,
        pixel_height=(bounds[3] - bounds[1]) / height,
    )  # fmt: skip
    mask = IMAGE % 7 != 0 if valid else None
    expected = resample(IMAGE, ORIGIN, UTM, grid, valid=mask, method="nearest")
    pick = Places.of(grid, UTM).picker(ORIGIN, (48, 40))
    found, known = pick(IMAGE), pick.known(mask)
    assert found.shape == grid.shape
    known = np.ones(grid.shape, bool) if known is None else known
    sure = ~near_an_edge(grid)
    np.testing.assert_array_equal(np.isfinite(expected)[sure], known[sure])
    np.testing.assert_array_equal(np.where(known, found, 0)[sure], np.nan_to_num(expected)[sure])


def near_an_edge(grid: Grid) -> np.ndarray:
    """Centres less than a centimetre from another pixel of the image: the warper's own way there may end beyond."""
    if grid.crs == "EPSG:32633":
        return np.zeros(grid.shape, bool)
    places = Places.of(grid, UTM)
    parts = (places.x - ORIGIN.c) / ORIGIN.a, (places.y - ORIGIN.f) / ORIGIN.e
    return np.any([np.abs(each - np.round(each)) < 5e-4 for each in parts], axis=0)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857"])
@pytest.mark.parametrize("shape", [(40, 1), (1, 40), (1, 1)])
def test_one_row_or_column_is_that_of_the_whole(crs: str, shape: tuple[int, int]) -> None:
    bounds = transform_bounds(UTM, crs, LEFT, TOP - 400, LEFT + 400, TOP)
    whole = Places.of(Grid(crs, bounds[0], bounds[3], (bounds[2] - bounds[0]) / 40, 40, 40), UTM)
    alone = Places.of(Grid(crs, bounds[0], bounds[3], (bounds[2] - bounds[0]) / 40, *shape), UTM)
    expected = whole.picker(ORIGIN, (48, 40))(IMAGE)[: shape[0], : shape[1]]
    np.testing.assert_array_equal(alone.picker(ORIGIN, (48, 40))(IMAGE), expected)
    part = whole.part(slice(shape[0]), slice(shape[1])).picker(ORIGIN, (12, 11))
    np.testing.assert_array_equal(
        part.known(IMAGE[:12, :11] > 0), whole.picker(ORIGIN, (12, 11)).known(None)[: shape[0], : shape[1]]
    )


def test_parts_are_parts() -> None:
    for crs in ("EPSG:32633", "EPSG:3857"):
        bounds = transform_bounds(UTM, crs, LEFT, TOP - 400, LEFT + 400, TOP)
        grid = Grid(crs, bounds[0], bounds[3], (bounds[2] - bounds[0]) / 40, 40, 40)
        whole = Places.of(grid, UTM)
        rows, columns = slice(3, 20), slice(7, 9)
        part = whole.part(rows, columns).picker(ORIGIN, (48, 40))(IMAGE)
        np.testing.assert_array_equal(part, whole.picker(ORIGIN, (48, 40))(IMAGE)[rows, columns])


def test_what_is_picked_is_a_copy() -> None:
    grid = Grid("EPSG:32633", LEFT, TOP, 20, 10, 10)
    picked = Places.of(grid, UTM).picker(ORIGIN, (48, 40))(IMAGE)
    picked[:] = 0
    assert IMAGE.all()

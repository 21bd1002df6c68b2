from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.errors import ElevationWarning, FeatureError, GridError
from eotasks.models.clouds.shadows import large
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.terrain import tell_voids, terrain_shade
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, frame

SIZE = (30.0, 30.0)
NORTH, EAST, SOUTH = 0.0, 90.0, 180.0


def hills(seed: int, shape: tuple[int, int] = (40, 50)) -> NDArray[np.float32]:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return np.asarray(1500 + noise / noise.std() * 150, dtype=np.float32)


def by_marching(heights: NDArray[np.float32], sun: tuple[float, float]) -> NDArray[np.bool_]:
    """The same by following each beam from its pixel, the plain and slow way."""
    zenith, azimuth = np.radians(sun)
    east, south = np.sin(azimuth), -np.cos(azimuth)
    pace = max(abs(east), abs(south))
    rows, columns = np.indices(heights.shape)
    shade = np.zeros(heights.shape, dtype=bool)
    for step in range(1, 80):
        at = np.round([rows + step * south / pace, columns + step * east / pace], 9)
        level = ndimage.map_coordinates(heights, at, order=1, cval=-1e9)
        shade |= level - heights > step / pace * SIZE[0] / np.tan(zenith) + 1e-3
    return shade


def test_a_wall_throws_its_shade_away_from_the_sun() -> None:
    heights = np.full((41, 41), 100.0)
    heights[20, :] = 250
    for azimuth, rows in ((SOUTH, slice(16, 20)), (NORTH, slice(21, 25))):  # 149 m at 45 degrees: 4 pixels of 30 m
        shade = terrain_shade(np.minimum(heights, 249), (45, azimuth), pixel_size=SIZE)
        expected = np.zeros_like(shade)
        expected[rows] = True
        assert np.array_equal(shade, expected)
    shade = terrain_shade(heights.T, (70, EAST), pixel_size=SIZE)
    length = 150 * np.tan(np.radians(70)) / SIZE[1]
    assert np.array_equal(shade.sum(axis=1), np.full(41, int(length)))
    assert shade[:, 19].all()
    assert not shade[:, 20:].any()


@pytest.mark.parametrize("azimuth", [0, 17, 45, 60, 90, 133, 180, 200, 270, 301])
@pytest.mark.parametrize("zenith", [50, 75])
def test_the_sweep_is_the_march_along_each_beam(zenith: float, azimuth: float) -> None:
    heights = hills(1)
    found = terrain_shade(heights, (zenith, azimuth), pixel_size=SIZE)
    expected = by_marching(heights, (zenith, azimuth))
    assert 0.1 < expected.mean() < 0.9
    assert np.mean(found != expected) < 0.03  # heights between pixels are taken at other places


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), zenith=st.floats(1, 88), azimuth=st.floats(0, 360), lower=st.floats(0.1, 10))
def test_what_holds_under_any_sun(seed: int, zenith: float, azimuth: float, lower: float) -> None:
    heights = hills(seed, (20, 26))
    shade = terrain_shade(heights, (zenith, azimuth), pixel_size=SIZE)
    under_a_lower_sun = terrain_shade(heights, (min(zenith + lower, 89.5), azimuth), pixel_size=SIZE)
    assert not (shade & ~under_a_lower_sun).any()
    assert not shade[heights == heights.max()].any()
    for turns in (1, 2, 3):
        turned = terrain_shade(np.rot90(heights, turns), (zenith, azimuth - 90 * turns), pixel_size=SIZE)
        assert np.mean(np.rot90(turned, -turns) != shade) < 0.01  # but for rounding
    holes = heights.copy()
    holes[np.random.default_rng(seed).random(heights.shape) < 0.2] = np.nan
    with_holes = terrain_shade(holes, (zenith, azimuth), pixel_size=SIZE)
    assert not with_holes[np.isnan(holes)].any()
    assert not (with_holes & ~shade).any()  # what is not known shades nothing


def test_flat_ground_and_a_sun_overhead_have_no_shade() -> None:
    assert not terrain_shade(np.full((9, 9), 300, dtype=np.int16), (85, 33), pixel_size=SIZE).any()
    assert not terrain_shade(hills(3), (0, 33), pixel_size=SIZE).any()


def test_a_grid_of_angles_gives_its_mean() -> None:
    heights = hills(2)
    grid = np.broadcast_to(np.array((60.0, 150.0)), (*heights.shape, 2))
    assert np.array_equal(
        terrain_shade(heights, grid, pixel_size=SIZE), terrain_shade(heights, (60, 150), pixel_size=SIZE)
    )


@pytest.mark.parametrize(
    ("heights", "error", "told"),
    [
        (np.full((5, 5), -9999.0), FeatureError, "-9999 is no height"),
        (np.full((5, 5), -32768, dtype=np.int16), FeatureError, "no-data value"),
        (np.full((5, 5), np.inf), FeatureError, "inf is no height"),
        (np.full((5, 5), 9001.0), FeatureError, "9001"),
        (np.ones((5, 5), dtype=bool), FeatureError, "bool is no type"),
        (np.ones((5, 5, 1)), GridError, r"\(5, 5, 1\)"),
    ],
    ids=["no data", "no data of int16", "infinity", "above all mountains", "mask", "axes"],
)
def test_what_is_no_height_is_refused(heights: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        terrain_shade(heights, SUN, pixel_size=SIZE, where="the DEM")


def test_voids_are_told_where_there_is_data() -> None:
    unknown, data = np.zeros((10, 10), dtype=bool), np.ones((10, 10), dtype=bool)
    unknown[0] = True
    with pytest.warns(ElevationWarning, match=r"dem\.tif: has no height for 10\.0%"):
        tell_voids(unknown, data, where="dem.tif")
    data[0] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_voids(unknown, data, where="dem.tif")
    with pytest.warns(ElevationWarning, match=r"no height for 100\.0%"):  # the sea, of which most files have none
        tell_voids(np.ones((3, 3), dtype=bool), np.ones((3, 3), dtype=bool), where="dem.tif")


@pytest.mark.parametrize("searched", [large.SEARCHED_PIXELS, 20_000], ids=["small", "large"])
@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_terrain_shade_is_no_cloud_shadow(method: Any, searched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SEARCHED_PIXELS", searched)
    blobs = [Blob(200, 60, 18, 1200), Blob(150, 150, 16, 1100)]
    bands, cloud, truth = frame(blobs)
    shade = np.zeros(cloud.shape, dtype=bool)
    shade[30:90, 10:60] = True  # a mountain's, as dark as a cloud's
    shade[:, 200:] |= truth[:, 200:]
    bands[shade & ~cloud] = bands[truth & ~shade].mean(axis=0)
    options: dict[str, Any] = {"sun": SUN, "pixel_size": PIXEL, "names": NAMES, "method": method}
    without = cloud_shadow(bands, cloud, **options) == 1
    found = cloud_shadow(bands, cloud, terrain_shade=shade, **options) == 1
    assert not (found & shade).any()
    visible = truth & ~shade
    assert np.count_nonzero(found & visible) >= np.count_nonzero(without & visible)
    assert np.array_equal(
        cloud_shadow(bands, cloud, terrain_shade=np.zeros_like(shade), **options) == 1, without
    )  # flat ground changes nothing


def test_a_mask_that_is_none_is_refused() -> None:
    bands, cloud, _ = frame([Blob(150, 150, 16, 1100)])
    with pytest.raises(GridError, match="the terrain shade has shape"):
        cloud_shadow(bands, cloud, sun=SUN, pixel_size=PIXEL, names=NAMES, terrain_shade=np.zeros((3, 3), dtype=bool))
    with pytest.raises(FeatureError, match="uint8 where booleans are due"):
        cloud_shadow(
            bands,
            cloud,
            sun=SUN,
            pixel_size=PIXEL,
            names=NAMES,
            terrain_shade=np.zeros(cloud.shape, dtype=np.uint8),  # type: ignore[arg-type]
        )

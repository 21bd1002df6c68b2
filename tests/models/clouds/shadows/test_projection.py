from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eotasks.errors import ConfigurationError, ShadowWarning
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.projection import ProjectionMethod
from tests.builders.clouds.shadow_scene import NAMES, PIXEL

SHAPE = (40, 41)
RAW = ProjectionMethod(distance=200, erosion=0, dilation=0)


def ground(nir: float = 0.1) -> np.ndarray:
    return np.broadcast_to(np.array([0.1, nir, 0.1], dtype=np.float32), (*SHAPE, 3)).copy()


def one_cloud() -> np.ndarray:
    cloud = np.zeros(SHAPE, dtype=bool)
    cloud[20, 20] = True
    return cloud


@pytest.mark.parametrize(
    ("azimuth", "rows", "columns"),
    [(180, -1, 0), (0, 1, 0), (90, 0, -1), (270, 0, 1), (135, -1, -1), (225, -1, 1), (45, 1, -1), (315, 1, 1)],
)
def test_dark_ground_away_from_the_sun(azimuth: float, rows: int, columns: int) -> None:
    mask = cloud_shadow(ground(), one_cloud(), sun=(45, azimuth), pixel_size=PIXEL, names=NAMES, method=RAW)
    expected = np.zeros(SHAPE, dtype=np.uint8)
    pixels = 10 if 0 in (rows, columns) else 7  # 200 m of 20 m pixels, straight or across
    for step in range(1, pixels + 1):
        expected[20 + step * rows, 20 + step * columns] = 1
    assert np.array_equal(mask, expected)


def test_bright_ground_and_water_are_no_shadow() -> None:
    options: dict[str, Any] = {"sun": (45, 180), "pixel_size": PIXEL, "names": NAMES, "method": RAW}
    assert not cloud_shadow(ground(nir=0.15), one_cloud(), **options).any()
    water = ground(nir=0.05)
    water[..., 2] = 0.01
    with pytest.warns(ShadowWarning, match="no ground that tells light from shade") as told:
        assert not cloud_shadow(water, one_cloud(), **options).any()
    assert [each.message.reason for each in told] == ["ground"]
    assert cloud_shadow(ground(nir=0.149), one_cloud(), **options).any()
    with pytest.warns(ShadowWarning, match="shadows lie under their clouds") as told:
        assert not cloud_shadow(ground(), one_cloud(), **{**options, "sun": (0, 180)}).any()  # the sun in the zenith
    assert [each.message.reason for each in told] == ["sun"]


def test_erosion_takes_specks_and_dilation_grows_what_stays() -> None:
    cloud = one_cloud()
    options: dict[str, Any] = {"sun": (45, 180), "pixel_size": PIXEL, "names": NAMES}
    assert not cloud_shadow(ground(), cloud, method=ProjectionMethod(distance=200), **options).any()
    cloud[20, 20] = False
    cloud[20:30, 10:20] = True
    shrunk = cloud_shadow(ground(), cloud, method=ProjectionMethod(distance=200, dilation=0), **options) == 1
    assert shrunk[10:20, 12:18].sum() == shrunk.sum() == 8 * 6  # the cloud holds the side that touches it
    grown = cloud_shadow(ground(), cloud, method=ProjectionMethod(distance=200), **options) == 1
    assert grown[7:20, 8:22].any()
    assert not grown[cloud].any()
    assert grown.sum() > shrunk.sum() + 100


def test_a_gap_eats_no_shadow() -> None:
    cloud = np.zeros(SHAPE, dtype=bool)
    cloud[25:35, 10:30] = True
    options: dict[str, Any] = {"sun": (45, 180), "pixel_size": PIXEL, "names": NAMES}
    method = ProjectionMethod(distance=400, dilation=0)
    whole = cloud_shadow(ground(), cloud, method=method, **options) == 1
    valid = np.ones(SHAPE, dtype=bool)
    valid[:, 20] = False
    gap = cloud_shadow(ground(), cloud, valid=valid, method=method, **options)
    assert whole[10:20, 18:22].all()
    assert np.array_equal(gap == 1, whole & valid)


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # ground of one brightness fits no height
@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_clouds_where_there_is_no_data_throw_no_shadow(method: Any) -> None:
    valid = np.ones(SHAPE, dtype=bool)
    valid[25:35] = False
    mask = cloud_shadow(
        ground(), ~valid, sun=(np.nan, np.nan), pixel_size=PIXEL, names=NAMES, valid=valid, method=method
    )
    assert np.array_equal(mask, np.where(valid, 0, 255))
    both = ~valid
    both[25:35, :8] = valid[25:35, :8] = True
    options: dict[str, Any] = {"sun": (45, 180), "pixel_size": PIXEL, "names": NAMES, "valid": valid, "method": method}
    assert np.array_equal(cloud_shadow(ground(), both, **options), cloud_shadow(ground(), both & valid, **options))


def test_angles_on_a_grid_are_averaged() -> None:
    grid = np.full((*SHAPE, 2), np.nan)
    grid[3, 3] = 30, 180
    options: dict[str, Any] = {"pixel_size": PIXEL, "names": NAMES, "method": "projection"}
    cloud = one_cloud()
    cloud[15:25, 15:25] = True
    expected = cloud_shadow(ground(), cloud, sun=(30, 180), **options)
    assert expected.any()
    assert np.array_equal(cloud_shadow(ground(), cloud, sun=grid, **options), expected)


@pytest.mark.parametrize("setting", ["distance", "dark_nir", "erosion", "dilation"])
def test_settings_that_are_none(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{setting}=-1"):
        ProjectionMethod(**{setting: -1})

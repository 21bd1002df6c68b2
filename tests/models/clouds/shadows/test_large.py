"""Frames that are searched in cells and thrown by pixels: strips make no difference, cells a small one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eotasks.errors import ReflectanceError, ShadowWarning
from eotasks.models.clouds.shadows import large, packed
from eotasks.models.clouds.shadows.frame import cloud_shadow, packed_light, shadow_of_packed
from eotasks.models.clouds.shadows.geometric import GeometricMethod
from eotasks.models.clouds.shadows.large import SEARCHED_PIXELS, is_large
from eotasks.models.clouds.shadows.packed import CLOUD, VALID, PackedLight
from eotasks.models.clouds.shadows.projection import ProjectionMethod
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, f1, frame

SHAPE = (301, 330)  # neither a whole number of cells
BLOBS = [Blob(250, 60, 22, 1200), Blob(130, 150, 17, 1100), Blob(215, 250, 19, 1250), Blob(270, 170, 1.5, 1200)]
OPTIONS: dict[str, Any] = {"sun": SUN, "pixel_size": PIXEL, "names": NAMES}
CELLS = 12_000
"""3 by 3 pixels each, of this shape."""

Mask = NDArray[np.bool_]


def scene(**changes: Any) -> tuple[NDArray[np.float32], Mask, Mask]:
    return frame(BLOBS, shape=SHAPE, **changes)


def searched(monkeypatch: pytest.MonkeyPatch, cells: int = CELLS, strip: int = packed.STRIP_PIXELS) -> None:
    monkeypatch.setattr(large, "SEARCHED_PIXELS", cells)
    monkeypatch.setattr(packed, "STRIP_PIXELS", strip)


def test_a_full_tile_is_searched_in_cells_of_60_m() -> None:
    assert is_large((10_980, 10_980))
    assert is_large((5_490, 5_490))
    assert not is_large((1_830, 1_830))
    assert not is_large((2_000, 2_000, 4))
    assert SEARCHED_PIXELS == 4_000_000


def test_frames_that_fit_are_searched_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    expected = cloud_shadow(bands, cloud, **OPTIONS)
    searched(monkeypatch, cells=cloud.size)
    np.testing.assert_array_equal(cloud_shadow(bands, cloud, **OPTIONS), expected)


@pytest.mark.parametrize("cells", [30_000, 12_000, 6_500])
def test_cells_make_a_small_difference(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    bands, cloud, truth = scene()
    searched(monkeypatch, cells=cells)
    assert f1(cloud_shadow(bands, cloud, **OPTIONS) == 1, truth) > 0.95


def test_a_cloud_that_fills_no_cell_throws_its_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    _, one, of_one = frame([BLOBS[-1]], shape=SHAPE)
    searched(monkeypatch, cells=6_500)  # cells of 4 by 4 pixels, the cloud has 9
    found = cloud_shadow(bands, cloud, method=GeometricMethod(beyond="clear"), **OPTIONS) == 1
    assert np.count_nonzero(one) == 9
    assert np.count_nonzero(found & of_one) >= 5


def test_strips_of_three_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    searched(monkeypatch)
    expected = cloud_shadow(bands, cloud, **OPTIONS)
    searched(monkeypatch, strip=3 * SHAPE[1])
    np.testing.assert_array_equal(cloud_shadow(bands, cloud, **OPTIONS), expected)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strip=st.integers(1, 60_000),
    cells=st.sampled_from([30_000, 12_000, 6_500]),
    seed=st.integers(0, 99),
    method=st.sampled_from([GeometricMethod(), GeometricMethod(beyond="clear"), ProjectionMethod(dark_nir=0.2)]),
    azimuth=st.sampled_from([20.0, 95.0, 160.0, 250.0]),
)
def test_strips_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, strip: int, cells: int, seed: int, method: Any, azimuth: float
) -> None:
    random = np.random.default_rng(seed)
    options = {**OPTIONS, "sun": (SUN[0], azimuth), "method": method}
    bands, cloud, _ = scene(sun=options["sun"], seed=seed)
    valid = np.ones(SHAPE, dtype=bool)
    row, column = random.integers(0, 200, 2)
    valid[row : row + 40, column : column + 90] = False
    grown = cloud | np.roll(cloud, 2, axis=0)
    searched(monkeypatch, cells=cells)
    expected = cloud_shadow(bands, grown, outlines=cloud, valid=valid, **options)
    assert (expected == 1).any()
    searched(monkeypatch, cells=cells, strip=strip)
    np.testing.assert_array_equal(cloud_shadow(bands, grown, outlines=cloud, valid=valid, **options), expected)
    light = packed_light(SHAPE, names=NAMES, method=method)
    cuts = [0, *sorted(random.integers(0, SHAPE[0], 4).tolist()), SHAPE[0]]
    for start, stop in itertools.pairwise(cuts):
        if start < stop:
            light.add(start, bands[start:stop], valid[start:stop])
    del options["names"]
    light.set_clouds(cloud)
    np.testing.assert_array_equal(shadow_of_packed(light, grown, **options), expected)


def test_the_projection_in_strips_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    method = ProjectionMethod(distance=3000, dark_nir=0.2)
    expected = cloud_shadow(bands, cloud, method=method, **OPTIONS)
    searched(monkeypatch, strip=9_000)
    np.testing.assert_array_equal(cloud_shadow(bands, cloud, method=method, **OPTIONS), expected)


def test_angles_of_every_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    searched(monkeypatch)
    expected = cloud_shadow(bands, cloud, **OPTIONS)
    grid = np.broadcast_to(np.array(SUN), (*SHAPE, 2))
    np.testing.assert_array_equal(cloud_shadow(bands, cloud, **{**OPTIONS, "sun": grid}), expected)


def test_what_cannot_be_told_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    searched(monkeypatch)
    for method in (GeometricMethod(), ProjectionMethod()):
        with pytest.warns(ShadowWarning, match="sun and sensor") as caught:
            found = cloud_shadow(bands, cloud, **{**OPTIONS, "sun": (0.0, 0.0)}, method=method)
        assert caught[0].message.reason == "sun"  # type: ignore[union-attr]
        assert not found.any()
    flat = np.broadcast_to(np.array([0.1, 0.3, 0.2], np.float32), bands.shape)
    with pytest.warns(ShadowWarning, match="at no height"):
        assert not cloud_shadow(flat, cloud, **OPTIONS).any()


def test_a_frame_without_clouds_needs_no_sun(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    valid = np.ones(SHAPE, dtype=bool)
    valid[:7] = False
    searched(monkeypatch)
    found = cloud_shadow(bands, np.zeros_like(cloud), valid=valid, **{**OPTIONS, "sun": (np.nan, np.nan)})
    np.testing.assert_array_equal(found, np.where(valid, 0, 255))


def test_values_that_are_no_reflectance_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, _ = scene()
    searched(monkeypatch)
    with pytest.raises(ReflectanceError):
        cloud_shadow(bands * 100, cloud, **OPTIONS)
    with pytest.raises(ReflectanceError):
        cloud_shadow((bands * 100).astype(np.uint16), cloud, **OPTIONS)


def test_cells_of_what_is_cloud_water_and_no_data() -> None:
    bands, cloud, _ = frame([], shape=(240, 260))
    cloud[0:4, 0:3] = True  # of 16 pixels 12
    cloud[4, 4] = True
    valid = np.ones(cloud.shape, dtype=bool)
    valid[8:12, 0:3] = False
    light = PackedLight(cloud.shape, names=NAMES)
    light.add(0, bands, valid)
    light.set_clouds(cloud)
    assert light.has_clouds
    cells = light.cells(4)
    assert cells.cloud[0, 0]
    assert not cells.cloud[1, 1]
    assert cells.touched[1, 1]
    assert not cells.valid[2, 0]
    assert cells.black[40, 10]  # the lake
    assert not cells.black[0, 30]
    assert np.count_nonzero(light.bits & CLOUD) == 13
    assert np.count_nonzero(light.bits & VALID) == valid.sum()


def test_sunlight_beyond_what_is_packed_keeps_its_sign() -> None:
    bands = np.zeros((1, 3, 3), dtype=np.float32)
    bands[0, :, 0] = [1e-4, 9, 0.1]  # blue
    bands[0, :, 1:] = [[9], [1e-4], [0.3]]
    light = PackedLight((1, 3), names=NAMES)
    light.add(0, bands, np.ones((1, 3), dtype=bool))
    high, low, usual = light.sunlight[0] / packed.UNITS
    assert (high, low) == (pytest.approx(8, abs=1e-3), -8)
    assert usual == pytest.approx(np.log(3), abs=1e-3)


def forest_at_the_sunward_edge(clouds: int) -> tuple[NDArray[np.float32], Mask, Mask]:
    """Cumuli over fields, and dark forest along the edge that the sun stands over."""
    random = np.random.default_rng(5)
    blobs = [
        Blob(row, column, radius, 1200)
        for row, column, radius in zip(
            random.uniform(200, 600, clouds),
            random.uniform(80, 560, clouds),
            random.uniform(5, 14, clouds),
            strict=True,
        )
    ]
    bands, cloud, truth = frame(blobs, shape=(640, 640))
    forest = np.zeros(cloud.shape, dtype=bool)
    forest[-60:] = random.random((60, 640)) < 0.7
    forest &= ~cloud
    bands[forest] *= np.array([0.85, 0.5, 0.4], np.float32)
    return bands, cloud, truth


@pytest.mark.parametrize("clouds", [3, 40])
@pytest.mark.parametrize("cells", [SEARCHED_PIXELS, 50_000])
def test_no_strip_of_false_shadow_along_the_sunward_edge(
    monkeypatch: pytest.MonkeyPatch, cells: int, clouds: int
) -> None:
    """Clouds beyond the southern edge could shade it, and the forest there looks like shade."""
    bands, cloud, truth = forest_at_the_sunward_edge(clouds)
    searched(monkeypatch, cells=cells)
    found = cloud_shadow(bands, cloud, **OPTIONS) == 1
    assert f1(found, truth) > 0.9
    edge = slice(-70, None)
    assert np.count_nonzero(found[edge] & ~truth[edge]) < 0.02 * found[edge].size

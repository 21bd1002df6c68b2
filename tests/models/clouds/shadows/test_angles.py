from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import FeatureError, GridError
from eotasks.models.clouds.shadows.angles import mean_shift, object_shifts, shadow_shift
from eotasks.models.simulation.weather import shadow_offset

ONE = (1.0, 1.0)


@pytest.mark.parametrize(
    ("sun", "expected"),
    [
        ((45, 180), (-1, 0)),  # the sun in the south throws shadows to the north, up in the image
        ((45, 0), (1, 0)),
        ((45, 90), (0, -1)),
        ((45, 270), (0, 1)),
        ((0, 123), (0, 0)),
    ],
)
def test_shadows_lie_away_from_the_sun(sun: tuple[float, float], expected: tuple[float, float]) -> None:
    assert shadow_shift(sun, pixel_size=ONE) == pytest.approx(expected, abs=1e-12)


def test_a_cloud_is_seen_displaced_away_from_the_sensor() -> None:
    # The sensor in the east sees the cloud too far west: its shadow in the image lies east of where it is seen.
    assert shadow_shift((0, 0), (45, 90), pixel_size=ONE) == pytest.approx((0, 1))
    assert shadow_shift((0, 0), (45, 0), pixel_size=ONE) == pytest.approx((-1, 0))
    # A sensor that looks along the rays of the sun never sees a shadow beside its cloud.
    assert shadow_shift((30, 140), (30, 140), pixel_size=ONE) == pytest.approx((0, 0))


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 79), st.floats(0, 360), st.floats(100, 9000), st.floats(5, 60), st.floats(5, 60))
def test_agrees_with_the_simulation(zenith: float, azimuth: float, height: float, y: float, x: float) -> None:
    east, north = shadow_offset(height, zenith, azimuth)
    assert height * shadow_shift((zenith, azimuth), pixel_size=(y, x)) == pytest.approx((-north / y, east / x))


def test_grids_and_means() -> None:
    grid = np.full((2, 3, 2), np.nan)
    grid[0, :, 0], grid[0, :, 1] = 45, [350, 0, 10]  # a mean of these azimuths as numbers would be 120
    shift = shadow_shift(grid, pixel_size=(10, 10))
    assert shift.shape == (2, 3, 2)
    assert mean_shift(shift) == pytest.approx([0.1 * (1 + 2 * np.cos(np.radians(10))) / 3, 0])
    labels = np.array([[1, 2, 2], [3, 3, 0]], dtype=np.int32)
    shifts = object_shifts(shift, labels, 3)
    assert shifts[0] == pytest.approx(shift[0, 0])
    assert shifts[1] == pytest.approx(shift[0, 1:].mean(axis=0))
    assert shifts[2] == pytest.approx(mean_shift(shift))  # the grid does not cover it
    assert object_shifts(np.array([1.0, 2.0]), labels, 3) == pytest.approx(np.array([[1, 2]] * 3))


def test_angles_that_are_none() -> None:
    with pytest.raises(FeatureError, match=r"sun: zenith 161 where 0 to below 90 degrees is due: zenith comes first"):
        shadow_shift((161, 34), pixel_size=ONE)
    with pytest.raises(FeatureError, match=r"view: shape \(3,\) where"):
        shadow_shift((30, 160), np.zeros(3), pixel_size=ONE)
    with pytest.raises(FeatureError, match="none but NaN"):
        mean_shift(shadow_shift(np.full((2, 2, 2), np.nan), pixel_size=ONE))
    with pytest.raises(GridError, match="a pixel of"):
        shadow_shift((30, 160), pixel_size=(0, 10))

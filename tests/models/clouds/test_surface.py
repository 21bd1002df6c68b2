from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import BandError, ReflectanceError
from eotasks.models.clouds.surface import snow_in, snow_mask, surface_masks, water_mask
from eotasks.models.sentinel2 import BANDS

# green, near infrared, short-wave infrared: typical top-of-atmosphere spectra
SPECTRA = {
    "snow": (0.80, 0.75, 0.10),
    "old snow": (0.35, 0.30, 0.08),
    "cloud": (0.60, 0.62, 0.45),
    "dark lake": (0.06, 0.02, 0.01),
    "bright lake": (0.12, 0.06, 0.02),
    "grass": (0.09, 0.35, 0.20),
    "bare soil": (0.12, 0.20, 0.28),
    "conifers": (0.04, 0.16, 0.06),
    "nothing": (0.0, 0.0, 0.0),
    "gap": (np.nan, np.nan, np.nan),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_surfaces_are_told_apart(name: str) -> None:
    spectrum = np.array(SPECTRA[name], dtype=np.float32).reshape(3, 1)
    assert snow_mask(*spectrum).item() is ("snow" in name)
    assert water_mask(*spectrum).item() is ("lake" in name)


# Dozier 1989, Remote Sensing of Environment 28, 9-22, after the model of Wiscombe and Warren 1980: reflectance of snow
# in the bands of the Thematic Mapper (green, near infrared, 1.65 um) by the radius of its grains in micrometres, with
# the sun at 60 degrees. New snow has 50 to 200, old and melting snow up to 1000.
SNOW_BY_GRAIN = {
    50: (0.988, 0.934, 0.223),
    100: (0.983, 0.909, 0.130),
    200: (0.977, 0.876, 0.067),
    500: (0.964, 0.809, 0.024),
    1000: (0.949, 0.741, 0.011),
}

# Frouin, Schwindling and Deschamps 1996, Journal of Geophysical Research 101, 14361-14371: foam of surf reflects 40 %
# less at 0.85 um, and 85 % less at 1.65 um, than in the visible.
FOAM = (1.0, 0.60, 0.15)


@given(st.sampled_from(list(SNOW_BY_GRAIN)), st.floats(0.5, 1), st.floats(0, 0.06))
def test_lit_snow_of_every_age_is_snow(grain: int, light: float, air: float) -> None:
    """Under air that adds light to the green, and on slopes that get half of the sun and more."""
    green, nir, swir = (np.array([light * value]) for value in SNOW_BY_GRAIN[grain])
    assert snow_mask(green + air, nir + 0.2 * air, swir).item()


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.08))
def test_surf_is_never_snow(foam: float, water: float, air: float) -> None:
    """From water to foam, whatever light the air adds."""
    green, nir, swir = (np.array([foam * value]) for value in FOAM)
    assert not snow_mask(green + water + air, nir + 0.3 * water + 0.2 * air, swir).item()


# Red of snow lies between its green and its near infrared: green is the most that it can be. Silt, in the range of the
# estuary of Doxaran et al. 2002, Remote Sensing of Environment 81, 149-161: green, red, near and short-wave infrared.
FOAM_RED = 0.98
SILT = (0.120, 0.155, 0.115, 0.008)


@given(st.sampled_from(list(SNOW_BY_GRAIN)), st.floats(0.5, 1), st.floats(0, 0.06))
def test_lit_snow_of_every_age_is_snow_by_red_too(grain: int, light: float, air: float) -> None:
    green, nir, swir = (np.array([light * value]) for value in SNOW_BY_GRAIN[grain])
    assert snow_mask(green + air, nir + 0.2 * air, swir, red=green + 0.5 * air).item()


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.2))
def test_by_red_surf_is_never_snow_under_any_haze(foam: float, water: float, air: float) -> None:
    green, nir, swir = (np.array([foam * value]) for value in FOAM)
    red = foam * FOAM_RED + 0.6 * water + 0.5 * air
    assert not snow_mask(green + water + air, nir + 0.3 * water + 0.2 * air, swir, red=red).item()


@given(st.floats(0.2, 1.7), st.floats(0, 0.2))
def test_by_red_mud_is_never_snow_under_any_haze(silt: float, air: float) -> None:
    """Which the ratio to green takes for snow as soon as it is bright."""
    green, red, nir, swir = (np.array([silt * value]) for value in SILT)
    assert not snow_mask(green + air, nir + 0.2 * air, swir, red=red + 0.5 * air).item()


def test_what_haze_made_snow_of_before_is_none_by_red() -> None:
    """Spectra of simulated surf, mud and shores under haze and a low sun, at the top of the atmosphere."""
    for green, red, nir, swir in [
        (0.263, 0.259, 0.196, 0.078),
        (0.158, 0.166, 0.124, 0.017),
        (0.179, 0.168, 0.136, 0.055),
    ]:
        spectrum = [np.array([value]) for value in (green, nir, swir)]
        assert snow_mask(*spectrum).item()
        assert not snow_mask(*spectrum, red=np.array([red])).item()
    shallow = [np.array([value]) for value in (0.21, 0.125, 0.02)]
    assert not snow_mask(*shallow, red=np.array([0.10])).item(), "green water over sand"


def test_surfaces_are_told_by_red_where_there_is_red() -> None:
    frame = np.array([[[0.263, 0.196, 0.078, 0.259], [0.80, 0.75, 0.10, 0.80]]], dtype=np.float32)
    assert surface_masks(frame, None, ("B03", "B08", "B11", "B04"))[0].tolist() == [[False, True]]
    assert surface_masks(frame[..., :3], None, ("B03", "B08", "B11"))[0].tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("green", "nir", "swir"),
    [(0.14, 0.14, 0.04), (0.16, 0.111, 0.03), (0.30, 0.20, 0.06)],
    ids=["flooded field", "muddy water", "surf"],
)
def test_wet_ground_that_passed_before_is_no_snow(green: float, nir: float, swir: float) -> None:
    """Top-of-atmosphere spectra that pass NDSI >= 0.4, green >= 0.10 and NIR > 0.11."""
    spectrum = [np.array([value]) for value in (green, nir, swir)]
    assert snow_mask(*spectrum, min_green=0.10, min_nir_ratio=0).item()
    assert not snow_mask(*spectrum).item()


def test_thresholds_are_inclusive_as_documented() -> None:
    green, nir = np.array([0.875]), np.array([0.7])
    assert snow_mask(green, nir, np.array([0.375])).item()  # NDSI 0.4 exactly
    assert not snow_mask(green, nir, np.array([0.376])).item()
    assert not snow_mask(green, np.array([0.11]), np.array([0.05])).item()
    assert not snow_mask(green, nir, np.array([0.2]), max_swir=0.15).item()
    assert snow_mask(np.array([0.15]), np.array([0.15]), np.array([0.0])).item()
    assert not snow_mask(np.array([0.1499]), np.array([0.15]), np.array([0.0])).item()
    assert snow_mask(np.array([0.5]), np.array([0.35]), np.array([0.1])).item()  # NIR 0.7 of green
    assert not snow_mask(np.array([0.5]), np.array([0.3499]), np.array([0.1])).item()
    by_red = {"red": np.array([0.375])}
    assert snow_mask(np.array([0.5]), np.array([0.3301]), np.array([0.125]), **by_red).item()  # 0.03 + 0.6 x 0.5
    assert not snow_mask(np.array([0.5]), np.array([0.3299]), np.array([0.125]), **by_red).item()


def test_masks_of_a_frame_by_names_and_where_there_is_data() -> None:
    frame = np.full((1, 3, 13), np.nan, dtype=np.float32)
    frame[0, :2] = 0.2
    for column, name in enumerate(("snow", "dark lake")):
        frame[0, column, [BANDS.index(band) for band in ("B03", "B08", "B11")]] = SPECTRA[name]
    valid = np.array([[True, True, False]])
    snow, water = surface_masks(frame, valid, BANDS)
    assert snow.tolist() == [[True, False, False]]
    assert water.tolist() == [[False, True, False]]
    numbers = np.round(np.where(valid[..., None], frame, 0) * 10_000).astype(np.uint16)
    assert np.array_equal(surface_masks(numbers, valid, BANDS), (snow, water))
    with pytest.raises(ReflectanceError, match="2017"):
        surface_masks(frame, None, BANDS, where="2017")
    with pytest.raises(BandError, match="B11 is missing"):
        surface_masks(frame[..., :2], valid, ("B03", "B08"))


def test_the_cirrus_band_keeps_ice_clouds_from_passing_as_snow() -> None:
    ice_cloud = [np.array([value]) for value in (0.6, 0.6, 0.2)]
    assert snow_mask(*ice_cloud).item()
    assert snow_mask(*ice_cloud, cirrus=np.array([0.015])).item()
    assert not snow_mask(*ice_cloud, cirrus=np.array([0.016])).item()
    assert not snow_mask(*ice_cloud, cirrus=np.array([np.nan])).item()
    names = ("B10", "B11", "B08", "B04", "B03", "B02")
    spectra = [[0.02, 0.2, 0.6, 0.6, 0.6, 0.6], [0.002, 0.1, 0.75, 0.8, 0.8, 0.8], [np.nan] * 6]
    frame = np.array([spectra], dtype=np.float32)
    valid = np.array([[True, True, False]])
    assert snow_in(frame, valid, names).tolist() == [[True, True, False]]
    assert snow_in(frame, valid, names, max_cirrus=0.01).tolist() == [[False, True, False]]
    with pytest.raises(BandError, match="B10 is missing"):
        snow_in(frame[..., 1:], valid, names[1:], max_cirrus=0.01)

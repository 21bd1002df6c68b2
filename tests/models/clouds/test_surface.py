from __future__ import annotations

import numpy as np
import pytest

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


def test_thresholds_are_inclusive_as_documented() -> None:
    green, nir = np.array([0.875]), np.array([0.5])
    assert snow_mask(green, nir, np.array([0.375])).item()  # NDSI 0.4 exactly
    assert not snow_mask(green, nir, np.array([0.376])).item()
    assert not snow_mask(green, np.array([0.11]), np.array([0.05])).item()
    assert not snow_mask(green, nir, np.array([0.2]), max_swir=0.15).item()


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
    assert snow_mask(*ice_cloud, cirrus=np.array([0.01])).item()
    assert not snow_mask(*ice_cloud, cirrus=np.array([0.011])).item()
    assert not snow_mask(*ice_cloud, cirrus=np.array([np.nan])).item()
    names = ("B10", "B11", "B08", "B04", "B03", "B02")
    spectra = [[0.02, 0.2, 0.6, 0.6, 0.6, 0.6], [0.002, 0.1, 0.75, 0.8, 0.8, 0.8], [np.nan] * 6]
    frame = np.array([spectra], dtype=np.float32)
    valid = np.array([[True, True, False]])
    assert snow_in(frame, valid, names).tolist() == [[True, True, False]]
    assert snow_in(frame, valid, names, max_cirrus=0.01).tolist() == [[False, True, False]]
    with pytest.raises(BandError, match="B10 is missing"):
        snow_in(frame[..., 1:], valid, names[1:], max_cirrus=0.01)

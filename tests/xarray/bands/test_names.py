"""Bands by their names: those of catalogues, readers and files."""

from __future__ import annotations

import pytest

from eotasks.errors import BandError
from eotasks.models.sentinel2 import BANDS
from eotasks.xarray.bands.names import band_of, bands_among, label_of, named_bands


@pytest.mark.parametrize(
    ("label", "band"),
    [
        ("B02", "B02"), ("b02", "B02"), ("B2", "B02"), ("B8A", "B8A"), ("b8a", "B8A"), ("B08A", "B8A"), ("B12", "B12"),
        ("B02_10m", "B02"), ("B8A_60m", "B8A"), ("B05-20m", "B05"), ("Band 9", "B09"), ("Band 10", "B10"),
        ("B4, central wavelength 665 nm", "B04"), (" B03 ", "B03"), ("coastal", "B01"), ("Blue", "B02"),
        ("rededge071", "B05"), ("rededge2", "B06"), ("red-edge-3", "B07"), ("nir", "B08"), ("nir08", "B8A"),
        ("nir09", "B09"), ("water_vapor", "B09"), ("cirrus", "B10"), ("swir16", "B11"), ("swir22", "B12"),
    ],
)  # fmt: skip
def test_known_names(label: str, band: str) -> None:
    meant = band_of(label)
    assert meant is not None
    assert meant[0] == band


@pytest.mark.parametrize("label", ["band_2", "B13", "B00", "B", "SCL", "rededge", "B02_red", "AOT", 2, None, "visual"])
def test_other_names_are_no_bands(label: object) -> None:
    assert band_of(label) is None


def test_codes_win_over_common_names_and_the_finest_over_coarser_ones() -> None:
    assert bands_among(["blue", "SCL", "B02_60m", "B02_10m"], where="x") == {"B02": 3}
    assert bands_among(["blue", "B02_10m", "B02"], where="x") == {"B02": 2}
    assert list(bands_among(["swir22", "nir08", "nir", "red"], where="x")) == ["B04", "B08", "B8A", "B12"]


def test_two_names_of_one_band_are_refused() -> None:
    with pytest.raises(BandError, match=r"'coastal' and 'aerosol' mean B01: name the one to take, bands=\{'B01'"):
        bands_among(["coastal", "aerosol"], where="the dataset")


def test_names_that_the_caller_gives() -> None:
    assert named_bands({"B03": "g", "B02": "b"}, ["b", "g"], where="x") == {"B02": 0, "B03": 1}
    with pytest.raises(BandError, match=r"no 'c' for B02, there are b, g"):
        named_bands({"B02": "c"}, ["b", "g"], where="x")
    with pytest.raises(BandError, match=r"'blue' is no band of Sentinel-2"):
        named_bands({"blue": "b"}, ["b", "g"], where="x")


def test_a_variable_without_a_name_of_its_own_is_told_by_its_description() -> None:
    assert label_of("band_1", {"long_name": "B2, central wavelength 490 nm"}) == "B2, central wavelength 490 nm"
    assert label_of("B05", {"long_name": "red"}) == "B05"
    assert label_of("band_1", {"long_name": ("a", "b")}) == "band_1"
    assert all(label_of(band, {}) == band for band in BANDS)

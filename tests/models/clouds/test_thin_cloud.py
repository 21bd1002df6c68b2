from __future__ import annotations

import numpy as np
import pytest

from eotasks.errors import BandError, ReflectanceError
from eotasks.models.clouds.thin_cloud import thin_cloud_in, thin_cloud_mask
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from tests.builders.clouds.spectra import CIRRUS_OVER_GRASS, CLOUD, GRASS, LAKE, SNOW, STORM

NAMES = ("B10", "B02")


@pytest.mark.parametrize(
    ("spectrum", "is_thin"),
    [(CIRRUS_OVER_GRASS, True), (GRASS, False), (LAKE, False), (CLOUD, False), (STORM, False), (SNOW, False)],
    ids=["cirrus", "grass", "lake", "cloud", "storm", "snow"],
)
@pytest.mark.parametrize("names", [BANDS, CLOUD_BANDS], ids=["13 bands", "10 bands"])
def test_thin_cloud_is_told_from_ground_and_from_opaque_cloud(
    spectrum: tuple[float, ...], is_thin: bool, names: tuple[str, ...]
) -> None:
    frame = np.array(spectrum, dtype=np.float32)[band_indices(names, BANDS)].reshape(1, 1, -1)
    assert thin_cloud_in(frame, None, names).item() is is_thin
    numbers = np.round(frame * 10_000).astype(np.uint16)
    assert thin_cloud_in(numbers, None, names).item() is is_thin


def test_limits() -> None:
    blue, cirrus = np.array([0.1]), np.array([0.012])
    assert not thin_cloud_mask(blue, cirrus).item()  # strictly above
    assert thin_cloud_mask(blue, cirrus + 1e-6).item()
    assert thin_cloud_mask(blue, cirrus, min_cirrus=0.01).item()
    assert not thin_cloud_mask(np.array([0.22]), np.array([0.03])).item()  # strictly below
    assert thin_cloud_mask(np.array([0.22]), np.array([0.03]), max_blue=0.3).item()


def test_where_there_is_no_data() -> None:
    frame = np.array([[[0.03, 0.1], [np.nan, np.nan], [0.03, 0.1]]], dtype=np.float32)
    valid = np.array([[True, False, False]])
    assert thin_cloud_in(frame, valid, NAMES).tolist() == [[True, False, False]]
    with pytest.raises(ReflectanceError, match="2017"):
        thin_cloud_in(frame, None, NAMES, where="2017")
    with pytest.raises(BandError, match="B10 is missing"):
        thin_cloud_in(frame[..., 1:], valid, ("B02",))

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eotasks.errors import BandError, GridError, ReflectanceError
from eotasks.models.clouds import frame as frame_module
from eotasks.models.clouds import pixel
from eotasks.models.clouds.resampling import to_resolution
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices

# random numbers are no picture of the ground
frame_probability = functools.partial(frame_module.frame_probability, check_bands=False)
cloud_probability = functools.partial(pixel.cloud_probability, check_bands=False)


@pytest.fixture(scope="module")
def frame() -> Any:
    return np.random.default_rng(4).uniform(0, 1, (24, 33, 13)).astype(np.float32)


def test_without_a_resolution_or_at_its_own_it_is_the_pixel_model(frame: Any) -> None:
    expected = cloud_probability(frame)
    assert np.array_equal(frame_probability(frame), expected)
    assert np.array_equal(frame_probability(frame, pixel_size=(20, 20), resolution=20), expected)
    assert np.array_equal(frame_probability(frame[..., ::-1], names=BANDS[::-1]), expected)


@pytest.mark.parametrize("sampling", ["mean", "nearest"])
def test_cells_are_predicted_and_come_back(frame: Any, sampling: Any) -> None:
    cells, _ = to_resolution(frame, None, pixel_size=(20, 20), resolution=80, sampling=sampling)
    coarse = cloud_probability(cells)
    back = frame_probability(frame, pixel_size=(20, 20), resolution=80, sampling=sampling, upsampling="nearest")
    assert back.shape == (24, 33)
    assert np.array_equal(back[::4, ::4], coarse)
    assert np.array_equal(back, np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)[:, :33])


def test_no_data_is_zero_and_does_not_reach_its_neighbours(frame: Any) -> None:
    cloudy = np.full((16, 16, 13), 0.7, dtype=np.float32)
    level = frame_probability(cloudy)[0, 0]
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 8:] = False
    cloudy[~valid] = np.nan
    probability = frame_probability(cloudy, valid, pixel_size=(10, 10), resolution=40)
    assert level > 0.1
    np.testing.assert_allclose(probability[:, :8], level, rtol=1e-5)
    assert not probability[:, 8:].any()


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_no_valid_pixel_is_called_clear_unseen(upsampling: Any) -> None:
    cloudy = np.full((16, 16, 13), 0.7, dtype=np.float32)
    level = frame_probability(cloudy)[0, 0]
    valid = np.ones((16, 16), dtype=bool)
    valid[2::4, 2::4] = False  # the pixel under the centre of every cell
    cloudy[~valid] = np.nan
    options: dict[str, Any] = {"pixel_size": (10, 10), "resolution": 40, "upsampling": upsampling}
    probability = frame_probability(cloudy, valid, sampling="nearest", **options)
    assert level > 0.1
    np.testing.assert_allclose(probability[valid], level, rtol=1e-5)
    assert not probability[~valid].any()


def test_unused_bands_may_be_broken_and_used_ones_are_checked(frame: Any) -> None:
    broken = frame.copy()
    broken[..., BANDS.index("B03")] = np.nan
    assert np.array_equal(frame_probability(broken), frame_probability(frame[..., band_indices(CLOUD_BANDS)]))
    broken[3, 3, BANDS.index("B10")] = np.nan
    with pytest.raises(ReflectanceError, match="CLP of May"):
        frame_probability(broken, pixel_size=(10, 10), resolution=20, where="CLP of May")
    with pytest.raises(BandError):
        frame_probability(frame[..., :6])
    with pytest.raises(GridError, match="finer"):
        frame_probability(frame, pixel_size=(20, 20), resolution=10)


def test_at_eighty_metres_a_real_cloudy_scene_stays_cloudy(shared_data: Path) -> None:
    scenes = np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")
    fine = np.stack([cloud_probability(scene) > 0.4 for scene in scenes])
    coarse = np.stack([frame_probability(scene, pixel_size=(10, 10), resolution=80) > 0.4 for scene in scenes])
    assert (fine == coarse).mean() > 0.95

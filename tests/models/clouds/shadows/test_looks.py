from __future__ import annotations

import numpy as np
import pytest

from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.light import light_bands, light_of
from eotasks.models.clouds.shadows.looks import Sight, refined
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, f1, frame

SHAPE = (120, 120)


def sight(shaded: np.ndarray, difference: float, noise: float) -> Sight:
    sunlight = noise * np.random.default_rng(1).standard_normal(SHAPE) - difference * shaded
    ones, none = np.ones(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    return Sight(sunlight.astype(np.float32), ones, none, none, ones, PIXEL)


def boxes(shift: int = 0) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[30:60, 30 + shift : 70 + shift] = True
    return mask


def test_an_outline_that_is_off_is_mended() -> None:
    truth, thrown = boxes(), boxes(4)
    mended = refined(sight(truth, 1.0, 0.1), thrown)
    assert f1(thrown, truth) < 0.92
    assert f1(mended, truth) > 0.99


def test_without_contrast_the_outline_stands() -> None:
    thrown = boxes(4)
    assert np.array_equal(refined(sight(boxes(), 0.2, 0.2), thrown), thrown)


def test_dark_ground_that_touches_no_shadow_or_lies_far_is_not_added() -> None:
    truth = boxes()
    dark = truth.copy()
    dark[30:60, 74:80] = True  # beside it
    dark[30:60, 95:110] = True  # beyond 300 m
    mended = refined(sight(dark, 1.0, 0.05), truth)
    assert not mended[:, 72:].any()


@pytest.mark.parametrize("green", [True, False])
def test_turbid_water_is_no_witness(green: bool) -> None:
    """Most of the ground is muddy water, bright in the near infrared: without the green band it counts as lit."""
    blobs = [Blob(200, 200, 12, 1200), Blob(120, 220, 14, 1200)]
    bands, cloud, truth = frame(blobs)
    water = np.zeros(truth.shape, dtype=bool)
    water[:, :150] = True
    bands[water & ~cloud] = [0.12, 0.09, 0.035]
    greens = np.where(water, np.float32(0.14), bands[..., 0] * np.float32(0.9))
    light = light_of(np.dstack([bands, greens]), names=(*NAMES, "B03") if green else (*NAMES, "B04"))
    assert np.array_equal(light.turbid, water & ~cloud) if green else not light.turbid.any()
    assert light_bands(("B03",)) == (*NAMES, "B03")
    if green:
        mask = cloud_shadow(np.dstack([bands, greens]), cloud, sun=SUN, pixel_size=PIXEL, names=(*NAMES, "B03"))
        assert f1((mask == 1) & ~water, truth & ~water) > 0.97

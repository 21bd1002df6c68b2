from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.models.clouds.shadows import learned as module
from eotasks.models.clouds.shadows.learned import learned
from eotasks.models.clouds.shadows.light import light_bands, light_of
from eotasks.models.clouds.shadows.looks import Sight
from tests.builders.clouds.shadow_scene import NAMES, f1

SHAPE, PIXEL = (160, 160), (40.0, 40.0)
ONES, NONE = np.ones(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
KNOWN = np.broadcast_to(np.arange(SHAPE[1]) < 120, SHAPE)


def ground(shaded: np.ndarray, contrast: float) -> tuple[Sight, np.ndarray]:
    """Two bands that vary together, a lot, and in which shade makes a small difference of its own."""
    random = np.random.default_rng(1)
    alike, own = random.standard_normal(SHAPE), 0.05 * random.standard_normal((*SHAPE, 2))
    logs = alike[..., None] + own - np.stack([contrast * shaded, np.zeros(SHAPE)], axis=-1)
    logs = logs.astype(np.float32)
    return Sight(logs[..., 0], ONES, NONE, NONE, ONES, PIXEL), logs


def box(row: int, column: int, height: int = 40, width: int = 50) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + height, column : column + width] = True
    return mask


def test_the_mix_of_bands_is_learned_and_outlines_are_mended() -> None:
    """Each band by itself varies by 1 and tells nothing of a shade of 0.4; their difference does."""
    truth, thrown = box(30, 30), box(30, 34)
    seen = learned(*ground(truth, 0.4), thrown, ONES, beyond=False)
    assert seen is not None
    assert f1(thrown, truth) < 0.93
    assert f1(seen, truth) > 0.98


def test_without_contrast_the_outline_stands() -> None:
    thrown = box(30, 34)
    seen = learned(*ground(NONE, 0.0), thrown, ONES, beyond=True)
    assert seen is not None
    assert f1(seen, thrown) > 0.98


def test_shade_far_from_any_outline_is_none_where_its_cloud_would_be_seen() -> None:
    truth = box(30, 30)
    seen = learned(*ground(truth | box(110, 60, 40, 40), 0.4), truth, ONES, beyond=True)
    assert seen is not None
    assert not seen[85:].any()


def test_shade_whose_cloud_lies_outside_is_found_if_asked_for() -> None:
    inside, outside = box(30, 30), box(20, 125, 100, 30)
    sight, logs = ground(inside | outside, 0.4)
    found, clear = (learned(sight, logs, inside, KNOWN, beyond=beyond) for beyond in (True, False))
    assert found is not None
    assert clear is not None
    assert f1(found, inside | outside) > 0.98
    assert not (clear & ~KNOWN).any()


def test_lit_ground_whose_cloud_would_lie_outside_stays_lit() -> None:
    inside = box(30, 30)
    seen = learned(*ground(inside, 0.4), inside, KNOWN, beyond=True)
    assert seen is not None
    assert f1(seen, inside) > 0.99
    assert np.count_nonzero(seen & ~KNOWN) < 5


def test_water_keeps_the_outline() -> None:
    thrown, water = box(30, 34), box(30, 60, 60, 60)
    sight, logs = ground(box(30, 30), 0.4)
    for black, turbid in ((water, NONE), (NONE, water)):
        wet = Sight(sight.sunlight, ONES, black, turbid, ~water, PIXEL)
        seen = learned(wet, logs, thrown, ONES, beyond=True)
        assert seen is not None
        inner = box(31, 61, 58, 58)
        assert np.array_equal(seen & inner, thrown & inner)


def test_water_whose_cloud_would_lie_outside_is_as_its_shore() -> None:
    inside, outside = box(30, 30), box(0, 125, 80, 35)
    ponds = [box(20, 135, 10, 10), box(110, 135, 10, 10)]
    sight, logs = ground(inside | outside, 0.4)
    for kind in ("black", "turbid"):
        water = ponds[0] | ponds[1]
        black, turbid = (water, NONE) if kind == "black" else (NONE, water)
        seen = learned(Sight(sight.sunlight, ONES, black, turbid, ~water, PIXEL), logs, inside, KNOWN, beyond=True)
        assert seen is not None
        assert seen[ponds[0]].all()
        assert not seen[ponds[1]].any()


def test_open_water_far_from_its_shore_is_told_nothing_of() -> None:
    inside, outside, sea = box(30, 30), box(0, 120, 70, 40), box(40, 120, 120, 40)
    sight, logs = ground(inside | outside, 0.4)
    seen = learned(Sight(sight.sunlight, ONES, sea, NONE, ~sea, PIXEL), logs, inside, KNOWN, beyond=True)
    assert seen is not None
    assert seen[:40, 130:].mean() > 0.98
    assert seen[40:46, 130:].mean() > 0.95
    assert not seen[60:, 130:].any()


def test_ground_whose_cloud_would_lie_outside_is_shaded_in_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = box(30, 30), box(20, 125, 60, 30)
    arguments = (*ground(inside | outside, 0.15), inside, KNOWN)
    patches = learned(*arguments, beyond=True)
    monkeypatch.setattr(module, "_LOCAL_STEPS", 0)
    pixels = learned(*arguments, beyond=True)
    assert patches is not None
    assert pixels is not None
    assert f1(patches & ~KNOWN, outside) > f1(pixels & ~KNOWN, outside) + 0.01


def test_too_little_ground_teaches_nothing() -> None:
    sight, logs = ground(NONE, 0.0)
    assert learned(sight, logs, box(30, 30, 20, 20), ONES, beyond=True) is None
    assert learned(sight, logs, ~box(30, 30, 20, 20), ONES, beyond=True) is None


@given(seed=st.integers(0, 1000), cover=st.floats(0.1, 0.9))
@settings(max_examples=8, deadline=None)
def test_whatever_the_ground(seed: int, cover: float) -> None:
    random = np.random.default_rng(seed)
    logs = np.log(random.choice([1e-3, 0.1, 1.0], (*SHAPE, 4))).astype(np.float32)
    seen, known = random.random(SHAPE) < 0.9, random.random(SHAPE) < 0.7
    thrown = (random.random(SHAPE) < cover) & seen
    found = learned(Sight(logs[..., 0], seen, NONE, NONE, seen, PIXEL), logs, thrown, known, beyond=True)
    assert found is not None
    assert not (found & ~seen).any()


def test_green_and_red_are_looked_at_where_they_are() -> None:
    assert light_bands(()) == NAMES
    assert light_bands(("B04", "B02", "B03")) == (*NAMES, "B03", "B04")
    bands = np.full((2, 2, 4), 0.2)
    bands[0, 0] = [0.12, 0.09, 0.035, 0.14]
    assert light_of(bands, names=(*NAMES, "B03")).turbid[0, 0]
    assert not light_of(bands, names=(*NAMES, "B04")).turbid.any()
    assert np.allclose(light_of(bands, names=(*NAMES, "B04")).logs, np.log(bands))

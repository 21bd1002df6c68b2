from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import EOTasksWarning, ShadowWarning
from eotasks.models.clouds.shadows import significance as module
from eotasks.models.clouds.shadows.angles import shadow_shift
from eotasks.models.clouds.shadows.light import light_of
from eotasks.models.clouds.shadows.significance import Significance, significance
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, frame

BLOBS = [Blob(200, 60, 12, 1200), Blob(120, 120, 17, 1200), Blob(215, 200, 9, 1200)]


def found(azimuth: float, **changes: Any) -> Significance:
    bands, cloud, _ = frame(BLOBS)
    light = light_of(bands, names=NAMES)
    shift = shadow_shift((SUN[0], azimuth), pixel_size=PIXEL)
    options: dict[str, Any] = {"lowest": 200, "highest": 4000, "pixel_size": PIXEL, **changes}
    return significance(cloud, light.valid, light.sunlight, light.valid & ~cloud & ~light.black, shift, **options)


def test_true_clouds_beat_chance_and_only_away_from_the_sun() -> None:
    assert found(SUN[1]).ratio > 2
    assert found(SUN[1] + 180).ratio < 0.5


def test_the_height_of_the_best_fit() -> None:
    assert found(SUN[1]).height == pytest.approx(1200, abs=10)
    assert found(SUN[1], lowest=1500).height != pytest.approx(1200, abs=200)
    assert found(SUN[1], highest=150).height is None


def test_a_coarser_grid_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = found(SUN[1])
    monkeypatch.setattr(module, "_CELLS", 240 * 260 // 4)
    coarse = found(SUN[1])
    assert coarse != fine
    assert coarse.ratio > 2
    assert coarse.height == pytest.approx(1200, abs=20)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.floats(0, 360))
def test_whatever_the_input(seed: int, height: int, width: int, azimuth: float) -> None:
    random = np.random.default_rng(seed)
    cloud, valid = random.random((2, height, width)) < 0.5
    sunlight = random.standard_normal((height, width)).astype(np.float32)
    shift = shadow_shift((60, azimuth), pixel_size=PIXEL)
    ground = valid & ~cloud
    if not ground.any():
        return
    options: dict[str, Any] = {"lowest": 200, "highest": 800, "pixel_size": PIXEL}
    result = significance(cloud & valid, valid, sunlight, ground, shift, **options)
    assert result.ratio >= 0
    assert result == significance(cloud & valid, valid, sunlight, ground, shift, **options)


def test_ratios_without_a_match() -> None:
    assert Significance(0.0, 0.0).ratio == 0
    assert Significance(1.0, 0.0).ratio == np.inf


def test_the_warning_keeps_its_reason() -> None:
    warning = pickle.loads(pickle.dumps(ShadowWarning("here: why", "height")))
    assert isinstance(warning, EOTasksWarning)
    assert (str(warning), warning.reason) == ("here: why", "height")

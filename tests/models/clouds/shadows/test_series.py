from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.errors import ShadowWarning
from eotasks.models.clouds.shadows import large
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.light import light_of
from eotasks.models.clouds.shadows.series import shadows_of_series
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, f1, frame

TIMES = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=10 * index) for index in range(5)]


def series() -> tuple[list[NDArray[np.float32]], NDArray[np.bool_], NDArray[np.bool_]]:
    """Five dates of ground whose fields differ in sunlight far more than shade does."""
    blobs: list[list[Blob]] = [
        [],
        [Blob(190, 60, 14, 1200)],
        [Blob(190, 60, 16, 1500), Blob(120, 200, 12, 1400)],
        [],
        [],
    ]
    frames = [frame(each, seed=seed) for seed, each in enumerate(blobs)]
    rows, columns = np.indices((240, 260))
    contrast = np.exp(0.9 * np.sin(rows / 9) * np.sin(columns / 11)).astype(np.float32)
    bands = [each.copy() for each, _, _ in frames]
    for each, (_, cloud, _) in zip(bands, frames, strict=True):
        each[..., 1:][~cloud] *= contrast[~cloud][:, None] * 0.6
    return bands, np.stack([cloud for _, cloud, _ in frames]), np.stack([shadow for _, _, shadow in frames])


def both(bands: list[NDArray[np.float32]], cloud: NDArray[np.bool_], told: list[Any]) -> Any:
    def search(index: int, *, expected: Any, tell: Any) -> NDArray[np.uint8]:
        options: dict[str, Any] = {"sun": SUN, "pixel_size": PIXEL, "names": NAMES, "check_bands": False}
        return cloud_shadow(bands[index], cloud[index], expected=expected, tell=tell, where=f"date {index}", **options)

    sunlight = np.stack([light_of(each, names=NAMES, check_bands=False).sunlight for each in bands])
    valid = np.ones(cloud.shape, dtype=bool)
    alone = np.stack([search(index, expected=None, tell=lambda *_: None) for index in range(len(bands))])
    return alone, shadows_of_series(
        search, sunlight, cloud, valid, TIMES[: len(bands)], tell=lambda *message: told.append(message)
    )


@pytest.mark.parametrize("searched", [large.SEARCHED_PIXELS, 20_000], ids=["small", "large"])
def test_ground_against_itself_shows_shade(searched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SEARCHED_PIXELS", searched)
    bands, cloud, truth = series()
    told: list[Any] = []
    alone, found = both(bands, cloud, told)
    for index in (1, 2):
        assert f1(found[index] == 1, truth[index]) > 0.9
        assert f1(found[index] == 1, truth[index]) >= f1(alone[index] == 1, truth[index])
    assert f1(alone[1] == 1, truth[1]) < 0.5  # by itself the frame is too colourful
    assert not (found[[0, 3, 4]] == 1).any()
    assert not told


def test_a_frame_that_has_no_others_is_looked_at_by_itself() -> None:
    bands, cloud, _ = series()
    told: list[Any] = []
    alone, found = both(bands[1:2], cloud[1:2], told)
    assert np.array_equal(found, alone)


def test_what_neither_search_can_tell_is_warned_of_once() -> None:
    bands, cloud, _ = series()
    bands = [bands[0]] * 5
    cloud = np.zeros_like(cloud)
    cloud[3, 100:103, 100:103] = True  # a speck that throws no shadow
    told: list[Any] = []
    _, found = both(bands, cloud, told)
    assert not (found == 1).any()
    assert [(message[1], message[2], "date 3" in message[0]) for message in told] == [(ShadowWarning, "height", True)]

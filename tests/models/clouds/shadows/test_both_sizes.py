"""What holds of small frames holds of large ones, which are looked at and searched in another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.errors import FeatureError, ReflectanceError
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.shadows import large, packed
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.shadows import ShadowSearch
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, frame

BLOBS = [Blob(190, 60, 18, 1200), Blob(120, 140, 15, 1100)]
OPTIONS: dict[str, Any] = {"sun": SUN, "pixel_size": PIXEL}


@pytest.fixture(params=[large.SEARCHED_PIXELS, 20_000], ids=["small", "large"], autouse=True)
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of this module, 240 by 260, are small ones or large ones."""
    monkeypatch.setattr(large, "SEARCHED_PIXELS", request.param)
    monkeypatch.setattr(packed, "_SAMPLED", 10_000)  # not all pixels, as of a full tile


def digital(factor: float = 1) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    bands, cloud, _ = frame(BLOBS)
    return np.rint(bands * np.float32(10_000 * factor)).astype(np.uint16), cloud


def test_bands_beside_those_of_shadows_say_that_the_scale_is_another() -> None:
    bands, cloud = digital(1 / 12)  # dark everywhere: may be L2A, but no L1C, which has B10
    cloud = np.zeros_like(cloud)
    assert not cloud_shadow(bands, cloud, names=NAMES, **OPTIONS).any()
    with_cirrus = np.concatenate([bands, np.full_like(bands[..., :1], 15)], axis=-1)
    with pytest.raises(ReflectanceError, match="the air alone"):
        cloud_shadow(with_cirrus, cloud, names=(*NAMES, "B10"), **OPTIONS)


def test_numbers_of_8_bits_are_known_by_the_whole_frame() -> None:
    bands, cloud = digital(1 / 20)  # up to 350
    cloud = np.zeros_like(cloud)
    assert not cloud_shadow(bands, cloud, names=NAMES, **OPTIONS).any()
    np.minimum(bands, 250, out=bands)
    with pytest.raises(ReflectanceError, match="divide by 255"):
        cloud_shadow(bands, cloud, names=NAMES, **OPTIONS)
    bands[101, 101] = 300  # one pixel of a bright roof
    assert not cloud_shadow(bands, cloud, names=NAMES, **OPTIONS).any()


@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_angles_that_nobody_knows_are_refused_with_the_frame(method: Any) -> None:
    bands, cloud = digital()
    unknown = np.full((*cloud.shape, 2), np.nan)
    with pytest.raises(FeatureError, match="PATCH of May: there are none but NaN"):
        cloud_shadow(bands, cloud, names=NAMES, sun=unknown, pixel_size=PIXEL, method=method, where="PATCH of May")


def as_a_product(
    bands: NDArray[np.uint16], mask: NDArray[np.uint8], outlines: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The shadow of a product that is read in strips."""
    grid = Grid("EPSG:32633", 330_000, 5_822_040, PIXEL[0], *mask.shape)
    search = ShadowSearch(grid, NAMES, SUN, CloudMaskOptions(shadows=True), "the product")
    for rows in (slice(0, 100), slice(100, None)):
        search.add(rows, bands[rows], valid[rows])
    search.set_clouds(outlines)
    return search.find(mask, valid)


@pytest.mark.parametrize("without", ["mask", "outlines"])
def test_no_answer_of_a_mask_is_no_data(without: str) -> None:
    """Neither is it ground that tells light from shade, nor a cloud."""
    bands, cloud = digital()
    unknown = np.zeros(cloud.shape, dtype=bool)
    unknown[:, 130:150] = True  # through a cloud and its shadow
    bands[unknown] = bands[unknown] // 2
    masks = {name: cloud.astype(np.uint8) for name in ("mask", "outlines")}
    everywhere = np.ones(cloud.shape, dtype=bool)
    expected = as_a_product(bands, **masks, valid=~unknown)
    masks[without][unknown] = 255
    found = as_a_product(bands, **masks, valid=everywhere)
    assert (expected == 1).any()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found == 255, unknown)
    due = cloud_shadow(bands, masks["mask"], outlines=masks["outlines"], names=NAMES, **OPTIONS)
    np.testing.assert_array_equal(found, due)


def test_a_mask_without_an_answer_of_its_clouds_has_none() -> None:
    bands, cloud = digital()
    mask, everywhere = np.where(cloud, 255, 0).astype(np.uint8), np.ones(cloud.shape, dtype=bool)
    found = as_a_product(bands, mask, cloud.astype(np.uint8), everywhere)  # and no warning that there are clouds
    np.testing.assert_array_equal(found, mask)

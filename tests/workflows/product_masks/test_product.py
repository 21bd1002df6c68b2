"""Grids and strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.clouds import postprocess
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.clouds.shadows import geometric, large, packed
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.sources.sample import open_sample
from eotasks.workflows.product_masks import product
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks, product_grid
from tests.builders.products import write_jp2
from tests.builders.sample_products import LEFT, TOP, MakeProduct


def rewrite(scene: Scene, band: str, size: float, *, left: float, pixels: int) -> Scene:
    """The product with one band on another grid."""
    values = np.full((pixels, pixels), 1500, dtype=np.uint16)
    folder = Path(scene.location)
    write_jp2(folder / scene.product.bands[band].name, values, size, left=left, top=TOP)
    return open_scene(folder)


@pytest.mark.parametrize(("resolution", "shape"), [(160, (48, 96)), (60, (128, 256)), (20, (384, 768))])
def test_the_embedded_scene(resolution: int, shape: tuple[int, int]) -> None:
    assert product_grid(open_sample(), resolution) == Grid("EPSG:32633", 330_000, 5_822_040, resolution, *shape)


def test_ground_that_is_no_whole_number_of_pixels(make_product: MakeProduct) -> None:
    scene = open_scene(make_product())
    for band, size in (("B02", 10), ("B09", 60)):  # 1.8 km, that is 11.25 pixels of 160 m
        scene = rewrite(scene, band, size, left=LEFT, pixels=1_800 // size)
    grid = product_grid(scene, 160)
    assert grid.shape == (12, 12)
    masks = make_masks(scene, CloudMaskOptions(resolution=160))
    assert (masks.mask != 255).all()  # the last pixels describe the part of them that exists


def test_ground_that_all_bands_share(make_product: MakeProduct) -> None:
    scene = rewrite(open_scene(make_product()), "B05", 20, left=LEFT + 104, pixels=96)
    grid = product_grid(scene, 10)
    assert (grid.left, grid.top) == (LEFT + 110, TOP)  # a whole pixel of 10 m
    assert grid.shape == (192, 181)


def test_bands_that_share_no_ground(make_product: MakeProduct) -> None:
    scene = rewrite(open_scene(make_product()), "B05", 20, left=LEFT + 50_000, pixels=4)
    with pytest.raises(ImageryError, match="share no ground"):
        product_grid(scene, 10)


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # of some kilometres
@pytest.mark.parametrize("sampling", ["mean", "nearest"])
def test_strips_make_no_difference(
    make_product: MakeProduct, monkeypatch: pytest.MonkeyPatch, sampling: str, tmp_path: Path
) -> None:
    def corner_missing(_: str, values: np.ndarray) -> np.ndarray:
        values[: len(values) // 3, : len(values) // 2] = 0
        return values

    scene = open_scene(make_product(change=corner_missing))
    options = CloudMaskOptions(resolution=60, sampling=sampling, shadows=True)  # type: ignore[arg-type]
    told: list[tuple[int, int]] = []
    whole = make_masks(scene, options, advance=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    monkeypatch.setattr(product, "_STRIP", 48)  # 8 rows of 60 m
    told.clear()
    pieces = make_masks(scene, options, threads=2, advance=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for name in ("probability", "mask", "shadow"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name), err_msg=name)
    np.testing.assert_array_equal(pieces.picture.reflectance, whole.picture.reflectance)
    assert (whole.mask[:10, :16] == 255).all()
    assert np.isnan(whole.picture.reflectance[:60, :90]).all()


def test_the_picture_has_a_resolution_of_its_own() -> None:
    coarse, fine = (make_masks(open_sample(), CloudMaskOptions(resolution=each)) for each in (160, 60))
    np.testing.assert_array_equal(coarse.picture.reflectance, fine.picture.reflectance)
    assert coarse.picture.grid.resolution == 20
    assert max(coarse.picture.grid.shape) <= product.PICTURE_PIXELS


def test_a_large_product_is_masked_in_strips_as_a_large_frame_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the tasks; and masks of a whole product, but for shadows that were searched in cells."""
    monkeypatch.setattr(geometric, "_BEATS_CHANCE", 0.0)  # winter forests pass for cloud here, and no shadow is told
    options = CloudMaskOptions(resolution=60, shadows=True, quicklook=False)
    scene = open_sample()
    whole = make_masks(scene, options)
    monkeypatch.setattr(large, "SEARCHED_PIXELS", 10_000)  # cells of 2 by 2 pixels
    monkeypatch.setattr(packed, "STRIP_PIXELS", 3_000)
    monkeypatch.setattr(postprocess, "WHOLE_PIXELS", 3_000)
    monkeypatch.setattr(product, "_STRIP", 130)
    masks = make_masks(scene, options)
    for name in ("probability", "mask"):
        np.testing.assert_array_equal(getattr(masks, name), getattr(whole, name), err_msg=name)
    assert masks.shares.mean_probability == pytest.approx(whole.shares.mean_probability)
    assert (masks.shadow == 1).any()
    names = ("B02", "B08", "B11", "B03")
    bands, valid = scene.read_masked(names, masks.grid, resampling=options.sampling)
    outlines = postprocess.mask_of(masks.probability[np.newaxis], mask_settings("s2cloudless", dilation_size=None))[0]
    sun = (scene.acquisition.sun_zenith, scene.acquisition.sun_azimuth)
    expected = cloud_shadow(
        bands, masks.mask, outlines=outlines, sun=sun, pixel_size=(60.0, 60.0), valid=valid, names=names
    )
    np.testing.assert_array_equal(masks.shadow, expected)

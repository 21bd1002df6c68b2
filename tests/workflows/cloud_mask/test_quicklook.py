"""The picture. What it looks like is for eyes; what it says and shows can be tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image as mpl_image

from eotasks.imagery.grid import Grid
from eotasks.sources.sample import open_sample
from eotasks.workflows.cloud_mask.quicklook import draw_quicklook, quicklook_figure, true_color
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Picture, ProductMasks


def simple_masks(height: int = 60, width: int = 90, *, resolution: float = 60, crs: str = "EPSG:32633") -> ProductMasks:
    grid = Grid(crs, 300_000, 5_000_000, resolution, height, width)
    probability = np.zeros(grid.shape, dtype=np.float32)
    probability[:, : width // 3] = 0.9
    mask = (probability > 0.4).astype(np.uint8)
    mask[: height // 2, width // 3 * 2 :] = 255
    picture = np.full((*grid.shape, 3), 0.1, dtype=np.float32)
    picture[mask == 255] = np.nan
    picture[:, : width // 3] = 0.8
    return ProductMasks(open_sample().acquisition, grid, probability, mask, None, Picture(picture, grid))


def texts(masks: ProductMasks, options: CloudMaskOptions, name: str = "P") -> list[str]:
    figure = quicklook_figure(masks, options, name)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    return [text.get_text() for text in figure.texts] + legend + titles


def test_says_what_it_shows() -> None:
    said = texts(simple_masks(), CloudMaskOptions(), "A $name$ of_a product")
    assert "A $name$ of_a product" in said
    assert any(text.startswith("Sentinel-2A L1C  ·  16 February 2017, 10:21 UTC  ·  tile 33UUU  ·  ") for text in said)
    assert {"Scene, true colour", "Cloud probability", "Cloud mask"} <= set(said)
    assert "s2cloudless at 60 m; mask: mean over 1 px, > 0.4, grown by 1 px" in said
    assert "Contains modified Copernicus Sentinel data 2017" in said
    assert {"cloud  40.0%", "clear  60.0%", "no data  16.7% of all"} <= set(said)


def test_shadows_are_shown_and_counted() -> None:
    masks = simple_masks()
    shadow = np.where(masks.mask == 255, 255, 0).astype(np.uint8)
    shadow[40:50, 40:60] = 1
    said = texts(replace(masks, shadow=shadow), CloudMaskOptions(shadows=True))
    assert "Cloud and shadow mask" in said
    assert {"shadow  4.4%", "clear  55.6%"} <= set(said)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (2, 300), (300, 2), (1, 1)])
def test_any_shape(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "q.png"
    mask = np.zeros((height, width), dtype=np.uint8)
    draw_quicklook(replace(simple_masks(height, width), mask=mask), CloudMaskOptions(), "P", path)
    pixels = mpl_image.imread(path)
    assert 0.2 < pixels.shape[0] / pixels.shape[1] < 1.1  # words have room however slender the product
    assert 300 < pixels.shape[0] < 2200
    assert 1300 < pixels.shape[1] <= 2400


def test_the_same_bytes_whatever_the_settings_of_matplotlib(tmp_path: Path) -> None:
    draw_quicklook(simple_masks(), CloudMaskOptions(), "P", tmp_path / "one")
    with mpl.rc_context({"font.size": 30, "image.cmap": "jet"}):
        draw_quicklook(simple_masks(), CloudMaskOptions(), "P", tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


class TestTrueColor:
    def test_no_data_is_transparent(self) -> None:
        reflectance = np.full((4, 4, 3), 0.1, dtype=np.float32)
        reflectance[0] = np.nan
        picture = true_color(reflectance)
        assert (picture[0] == 0).all()
        assert (picture[1:, :, 3] == 255).all()

    def test_nothing_but_no_data(self) -> None:
        assert (true_color(np.full((2, 2, 3), np.nan, dtype=np.float32)) == 0).all()

    def test_a_scene_all_of_cloud_is_bright(self) -> None:
        reflectance = np.random.default_rng(0).uniform(0.6, 0.9, (50, 50, 3)).astype(np.float32)
        assert true_color(reflectance)[..., :3].min() > 200

    def test_the_blue_of_the_air_is_taken_off_and_clouds_stay_white(self) -> None:
        reflectance = np.random.default_rng(0).uniform(0, 0.02, (50, 50, 1)) + np.array([0.03, 0.06, 0.12])
        reflectance[:5] = 0.9
        picture = true_color(reflectance.astype(np.float32))[..., :3].astype(int)
        assert (picture[:5] == 255).all()
        assert np.abs(picture[5:, :, 0] - picture[5:, :, 2]).max() < 12

    def test_brighter_ground_is_never_darker(self) -> None:
        ramp = np.repeat(np.linspace(0.02, 1.2, 200, dtype=np.float32)[np.newaxis, :, np.newaxis], 3, axis=2)
        assert (np.diff(true_color(ramp)[0, :, 0].astype(int)) >= 0).all()

"""The picture. What it looks like is for eyes; what it says and shows can be tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageColor

from eotasks.imagery.grid import Grid
from eotasks.sources.sample import open_sample
from eotasks.workflows.cloud_mask.quicklook import draw_quicklook, quicklook_sheet, round_numbers, true_color
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Picture, ProductMasks


def simple_masks(height: int = 60, width: int = 90, *, resolution: float = 60, crs: str = "EPSG:32633") -> ProductMasks:
    grid = Grid(crs, 300_000, 5_000_000, resolution, height, width)
    probability = np.zeros(grid.shape, dtype=np.float32)
    probability[:, : width // 3] = 0.9
    mask = (probability > 0.4).astype(np.uint8)
    mask[: height // 2, width // 3 * 2 :] = 255
    numbers = np.full((*grid.shape, 3), 1_000, dtype=np.uint16)
    numbers[:, : width // 3] = 8_000
    picture = Picture(numbers, mask != 255, grid)
    return ProductMasks(open_sample().acquisition, grid, probability, mask, None, picture)


def texts(masks: ProductMasks, options: CloudMaskOptions, name: str = "P") -> list[str]:
    return quicklook_sheet(masks, options, name).texts


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
    with Image.open(path) as image:
        across, down = image.size
    assert 0.2 < down / across < 1.1  # words have room however slender the product
    assert 300 < down < 2200
    assert 1300 < across <= 2400


@pytest.mark.parametrize("probability", [True, False])
@pytest.mark.parametrize("name", ["S2B_MSIL1C_20240903T103629_N0511_R008_T31TGJ_20240903T123000", "W" * 200])
def test_words_have_room_in_slender_pictures(name: str, tmp_path: Path, *, probability: bool) -> None:
    masks = simple_masks(300, 60)
    masks = masks if probability else replace(masks, probability=None)
    options = CloudMaskOptions(shadows=True, snow=True, thin_cloud=True)
    said = texts(masks, options, name)
    assert (name in said) is (len(name) < 100)
    draw_quicklook(masks, options, name, tmp_path / "q.png")
    with Image.open(tmp_path / "q.png") as image:
        pixels = np.asarray(image)
    for words in (pixels[:100], pixels[-40:]):  # above the maps, and below all else
        assert (words[:, -30:] == 255).all()
    attribution, how = said[-1], said[-2]
    assert "Copernicus" in attribution
    assert how == options.describe() or "…" in how


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_quicklook(simple_masks(), CloudMaskOptions(), "P", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_maps_lie_over_the_ground(tmp_path: Path) -> None:
    path = tmp_path / "q.png"
    masks = simple_masks()
    draw_quicklook(masks, CloudMaskOptions(), "P", path)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    down, width = pixels.shape[0] - round(1.32 * 160), (15 - 0.95 - 0.25 - 2 * 0.28) / 3
    left = round((0.95 + 2 * (width + 0.28)) * 160)

    def at(row: int, column: int) -> list[int]:  # the middle of a pixel of the mask on the last map
        side = width * 160 / masks.grid.width
        y, x = down - (masks.grid.height - row - 0.5) * side, left + (column + 0.5) * side
        return [int(each) for each in pixels[round(y), round(x)]]

    no_data = [*ImageColor.getrgb("#e9ebea")]
    cloud = [round(255 * 0.28 + 0.72 * each) for each in ImageColor.getrgb("#e69f00")]
    assert np.abs(np.subtract(at(0, 0), cloud)).max() <= 2
    assert np.abs(np.subtract(at(59, 29), cloud)).max() <= 2
    assert at(0, 89) == at(29, 60) == no_data
    assert at(59, 30) == at(59, 89) == at(30, 60) != no_data
    assert len(set(at(59, 30))) == 1


@given(st.floats(0.01, 9000), st.floats(0.001, 9000), st.sampled_from([5, 6]))
def test_numbers_along_an_axis(low: float, length: float, most: int) -> None:
    numbers = round_numbers(low, low + length, most)
    assert 2 <= len(numbers) <= 2 * most
    steps = np.diff(numbers)
    assert np.allclose(steps, steps[0], rtol=1e-6)
    slack = length * 1e-6
    assert low - slack <= numbers[0] <= numbers[-1] <= low + length + slack


@pytest.mark.parametrize(("low", "high"), [(330, 345.36), (5814.3, 5822), (300, 305.4), (300, 409.8), (0.2, 0.9)])
def test_numbers_are_those_of_matplotlib(low: float, high: float) -> None:
    theirs = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)
    assert round_numbers(low, high, 6) == pytest.approx([value for value in theirs if low <= value <= high])


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

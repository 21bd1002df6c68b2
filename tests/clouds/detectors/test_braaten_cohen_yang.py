"""The threshold rule, pixel by pixel, and on a product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from eotasks.clouds.detectors.built_in.braaten_cohen_yang import BRAATEN_COHEN_YANG, bright_and_no_snow
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.run import detect_clouds
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.imagery.scene import open_scene
from eotasks.workflows.product_masks.product import product_grid
from tests.builders.command_line import command
from tests.builders.sample_products import cut_sample


def frames(*spectra: tuple[float, float, float], dtype: type = np.float32) -> Frames:
    """One pixel for each B03, B04, B11."""
    values = np.array(spectra)[np.newaxis, np.newaxis]
    bands = np.rint(values * 10_000).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
    return Frames(bands, ("B03", "B04", "B11"), np.ones(bands.shape[:3], dtype=bool))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16])
@pytest.mark.parametrize(
    ("spectrum", "cloud"),
    [
        ((0.40, 0.50, 0.30), 1),  # bright: cloud, though redder than green
        ((0.39, 0.50, 0.30), 0),  # not above the limit
        ((0.20, 0.19, 0.30), 1),  # greener than red
        ((0.20, 0.20, 0.30), 0),  # grey is not
        ((0.175, 0.10, 0.30), 0),  # not above the limit
        ((0.80, 0.70, 0.20), 0),  # snow is dark in the short-wave infrared
        ((0.80, 0.70, 0.21), 1),
        ((0.05, 0.03, 0.10), 0),  # water
    ],
)
def test_the_rule(spectrum: tuple[float, float, float], cloud: int, dtype: type) -> None:
    mask = detect_clouds(BRAATEN_COHEN_YANG, frames(spectrum, dtype=dtype), DetectorSettings()).mask
    assert mask.tolist() == [[[cloud]]]


reflectance = st.integers(0, 12_000).map(lambda number: np.float32(number) / np.float32(10_000))


@given(reflectance, reflectance, reflectance)
def test_is_the_published_form(green: np.float32, red: np.float32, swir: np.float32) -> None:
    """By its ratio and normalised difference, as the source writes it."""
    ratio = (float(green) - 0.175) / (0.39 - 0.175)
    difference = (float(green) - float(red)) / (float(green) + float(red)) if green + red else 0.0
    near_a_limit = min(abs(ratio), abs(ratio - 1), abs(float(swir) - 0.2)) < 1e-6  # float32 and float64 differ there
    published = float(swir) > 0.2 and (ratio > 1 or (ratio > 0 and difference > 0))
    assert near_a_limit or bool(bright_and_no_snow(green, red, swir)) == published


def test_masks_a_product(tmp_path: Path) -> None:
    def clouds_in_the_west(band: str, values: np.ndarray) -> np.ndarray:
        values[:, : values.shape[1] // 2] += {"B03": 1500, "B04": 1000, "B11": 1500}.get(band, 0)
        return values

    product = cut_sample(tmp_path / "small", change=clouds_in_the_west)
    result = command("cloud-mask", product, "--detector", BRAATEN_COHEN_YANG.name, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    with rasterio.open(tmp_path / "out" / "small" / "small_CLM.tif") as dataset:
        mask = dataset.read(1)
    scene = open_scene(product)
    green, red, swir = np.moveaxis(
        scene.read(["B03", "B04", "B11"], product_grid(scene, 60), resampling="fast").astype(int), -1, 0
    )
    np.testing.assert_array_equal(mask, (swir > 2000) & ((green > 3900) | ((green > 1750) & (green > red))))
    assert mask[:, :16].any()
    assert not mask[:, 16:].any()

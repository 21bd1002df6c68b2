"""What the cirrus band gives away: an offset left in or removed twice, bands in another order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from eotasks.errors import BandError, GridError, ReflectanceError
from eotasks.models.clouds.plausibility import BLOCK_PIXELS, cirrus_signs, refuse_implausible
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, STORM, numbers, stack

TEN = band_indices(CLOUD_BANDS)
ORDERS = {
    "B8A at the end": [*range(8), 9, 10, 11, 12, 8],
    "reversed": [*range(12, -1, -1)],
    "10 m bands first": [1, 2, 3, 7, 4, 5, 6, 8, 11, 12, 0, 9, 10],
    "B10 at the end": [*range(10), 11, 12, 10],
}


@pytest.mark.parametrize("of", [lambda f: f, numbers, lambda f: numbers(f).astype(np.int32), lambda f: f[..., TEN]])
def test_real_looking_frames_pass(of: Any) -> None:
    frames = of(stack(GRASS, LAKE, CLOUD, STORM))
    before = frames.copy()
    refuse_implausible(frames)
    assert np.array_equal(frames, before)


@pytest.mark.parametrize("of", [lambda f: f + np.float32(0.1), lambda f: numbers(f) + np.uint16(1000)])
@pytest.mark.parametrize("spectrum", [GRASS, LAKE], ids=["grass", "lake"])
def test_an_offset_left_in_is_told_with_the_cure(of: Any, spectrum: Any) -> None:
    with pytest.raises(ReflectanceError, match=r"BANDS: B10 is nowhere below 10\d\d DN .*frame 0.*Subtract 1000 DN"):
        refuse_implausible(of(stack(spectrum)), where="BANDS")
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(of(stack(spectrum))[..., TEN])


def test_a_storm_is_cloud_with_or_without_the_offset() -> None:
    refuse_implausible(stack(STORM))
    refuse_implausible(stack(STORM) + np.float32(0.1))


def test_the_limit_is_strictly_above_a_thousand_numbers() -> None:
    frames = np.full((1, 8, 8, 13), 3000, dtype=np.uint16)
    frames[..., 10] = 1000
    refuse_implausible(frames)
    refuse_implausible(frames.astype(np.float32) / np.float32(10_000))
    frames[..., 10] = 1001
    with pytest.raises(ReflectanceError):
        refuse_implausible(frames)


def test_mixed_baselines_are_named_by_frame() -> None:
    frames = numbers(stack(GRASS, LAKE, GRASS, STORM))
    frames[[1, 2]] += 1000
    names = ["2021-12-30", "2022-02-01", "2022-02-06", "2022-02-11"]
    with pytest.raises(ReflectanceError, match=r"2022-02-01, 2022-02-06 \(2 of 4 frames with data: the stack mixes"):
        refuse_implausible(frames, frame_names=names)
    many = np.repeat(frames[1:2], 9, axis=0)
    with pytest.raises(ReflectanceError, match=r"frame 4 and 4 more: the offset"):
        refuse_implausible(many)


def test_an_offset_removed_that_was_not_there() -> None:
    frames = stack(GRASS, LAKE)
    frames[1] -= np.float32(0.1)
    with pytest.raises(
        ReflectanceError, match=r"B10 is below -0\.03 in frame 1 \(1 of 2 frames.*an offset was removed"
    ):
        refuse_implausible(frames)
    undershoot = stack(GRASS)
    undershoot[0, 0, :3, 10] = -0.05  # resampling beside bright cloud
    refuse_implausible(undershoot)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("spectrum", [GRASS, CLOUD], ids=["grass", "cloud"])
def test_bands_in_another_order(order: list[int], spectrum: Any) -> None:
    with pytest.raises(BandError, match=r"frame 0, which the cirrus band never is.*B09, B10, B11.*name them"):
        refuse_implausible(stack(spectrum)[..., order])
    refuse_implausible(stack(spectrum)[..., order], bands=[BANDS[index] for index in order])


def test_ten_bands_cut_off_the_thirteen_are_out_of_order() -> None:
    with pytest.raises(BandError, match="should be B10"):
        refuse_implausible(stack(GRASS)[..., :10])


def test_pixels_without_data_do_not_hide_the_offset() -> None:
    frames = numbers(stack(GRASS)) + np.uint16(1000)
    frames[:, :4] = 0
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(frames)
    frames[:, :4] = 7
    refuse_implausible(frames)  # they are not marked: nothing can be told
    valid = np.ones(frames.shape[:3], dtype=bool)
    valid[:, :4] = False
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(frames, valid)
    gaps = stack(GRASS) + np.float32(0.1)
    gaps[:, :4] = np.nan
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(gaps)


def test_frames_without_data_and_tiny_ones_are_not_judged() -> None:
    frames = numbers(stack(GRASS, GRASS))
    frames[0] = 0
    refuse_implausible(frames)
    refuse_implausible(np.full((2, 3, 3, 13), np.nan, dtype=np.float32))
    refuse_implausible(np.empty((0, 3, 3, 13), dtype=np.float32))
    refuse_implausible(np.empty((1, 0, 3, 13), dtype=np.float32))
    refuse_implausible(stack(GRASS)[..., ::-1][:, :3, :3])


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = stack(GRASS, side=40)[0]
    frame[5:9] = 0
    whole = cirrus_signs(frame, None, BANDS)
    monkeypatch.setattr("eotasks.models.clouds.plausibility.BLOCK_PIXELS", 90)
    assert cirrus_signs(frame, None, BANDS) == whole
    assert whole.pixels == 36 * 40 < BLOCK_PIXELS


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GridError, match=r"\(time, height, width, bands\) is due"):
        refuse_implausible(stack(GRASS)[0])
    with pytest.raises(GridError, match="the valid mask"):
        refuse_implausible(stack(GRASS), np.ones((1, 2, 2), dtype=bool))
    with pytest.raises(BandError, match="12 bands without names"):
        refuse_implausible(stack(GRASS)[..., :12])


def test_real_frames(shared_data: Path) -> None:
    scenes = np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")
    refuse_implausible(scenes)
    with pytest.raises(ReflectanceError, match="frame 0, frame 1, frame 2, frame 3, frame 4: the offset"):
        refuse_implausible(scenes + np.float32(0.1))
    for name, order in ORDERS.items():
        with pytest.raises(BandError, match="frame 0, frame 1, frame 2, frame 3, frame 4, which"):
            refuse_implausible(scenes[..., order], where=name)


def test_a_damaged_pixel_does_not_hide_an_offset() -> None:
    frames = numbers(stack(GRASS, side=40)) + np.uint16(1000)
    frames[0, :2, 0, 10] = 1000  # two of 1600
    frames[0, 5, :, 10] = 0  # a row without B10
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(frames)


@pytest.mark.parametrize("cirrus", [0.12, 0.15, 0.19])
def test_bright_frames_with_a_bright_cirrus_band_are_told_and_not_refused(
    cirrus: float, caplog: pytest.LogCaptureFixture
) -> None:
    storm = (*STORM[:10], cirrus, *STORM[11:])
    refuse_implausible(numbers(stack(GRASS, storm, side=30)), frame_names=["a", "b"])
    assert "all that b shows is bright" in caplog.text
    caplog.clear()
    mixed = stack(storm, side=30)
    mixed[0, 10:] = stack((*GRASS[:10], cirrus, *GRASS[11:]), side=30)[
        0, 10:
    ]  # over ground no cirrus band is so bright
    with pytest.raises(ReflectanceError, match="left in"):
        refuse_implausible(mixed)
    assert not caplog.text


def test_too_few_pixels_are_not_judged() -> None:
    refuse_implausible(numbers(stack(GRASS, side=7)) + np.uint16(1000))


def test_values_of_no_data_are_no_offset_removed_twice() -> None:
    frames = stack(GRASS, side=20)
    frames[0, :8] = -0.9
    refuse_implausible(frames)


@pytest.mark.parametrize("product", ["S2A_MSIL1C_20240120", "S2B_MSIL1C_20240305"], ids=["clear", "all cloud"])
def test_real_products_of_baseline_05_10(shared_data: Path, product: str, caplog: pytest.LogCaptureFixture) -> None:
    (folder,) = (shared_data / "l1c_safe").glob(f"{product}*/GRANULE/*/IMG_DATA")
    layers = []
    for band in BANDS:
        with rasterio.open(next(folder.glob(f"*_{band}.jp2"))) as image:
            layers.append(image.read(1))
    as_stored = np.stack(layers, axis=-1)[np.newaxis]  # uint16 in one of them, int16 in the other
    if product.startswith("S2A"):
        with pytest.raises(ReflectanceError, match="left in"):
            refuse_implausible(as_stored)
    else:  # cloud everywhere, with the offset or without
        refuse_implausible(as_stored)
        assert "a baseline offset left in" in caplog.text
        caplog.clear()
    refuse_implausible(as_stored - as_stored.dtype.type(1000))
    assert not caplog.text
    with pytest.raises(ReflectanceError, match="an offset was removed"):
        refuse_implausible(as_stored.astype(np.int32) - 2000)

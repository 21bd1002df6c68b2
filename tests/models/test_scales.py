"""What the numbers of an array mean: by dtype and argument, and what contradicts is refused with the divisor."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError, FeatureError, GridError, ReflectanceError, ScaleWarning
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import cloud_mask, mask_of
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.scale_signs import MOST_PIXELS, refuse_other_scale, sampled
from eotasks.models.scales import (
    DIVISORS,
    as_probability,
    as_reflectance,
    check_mask,
    check_scale,
    reflectance_scale,
    warn_of_percent,
)
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, STORM, numbers, stack

FOREST = (0.11, 0.09, 0.06, 0.04, 0.06, 0.15, 0.19, 0.20, 0.22, 0.08, 0.002, 0.09, 0.04)
SNOW = (0.85, 0.83, 0.80, 0.82, 0.81, 0.79, 0.77, 0.75, 0.72, 0.45, 0.004, 0.10, 0.07)
SOIL = (0.15, 0.14, 0.15, 0.18, 0.21, 0.23, 0.26, 0.27, 0.30, 0.12, 0.003, 0.36, 0.28)
SPECTRA = {"grass": GRASS, "lake": LAKE, "forest": FOREST, "soil": SOIL, "snow": SNOW, "cloud": CLOUD, "storm": STORM}
SURFACES = [GRASS, LAKE, FOREST, SOIL]
SCALED: dict[str, Any] = {
    "percent, float": lambda r: r * 100,
    "percent, int16": lambda r: np.round(r * 100).astype(np.int16),
    "percent, uint8": lambda r: np.round(r * 100).clip(0, 255).astype(np.uint8),
    "8 bits, float": lambda r: r * 255,
    "8 bits, uint8": lambda r: np.round(r * 255).clip(0, 255).astype(np.uint8),
    "8 bits, int16": lambda r: np.round(r * 255).clip(0, 255).astype(np.int16),
    "8 bits, uint16": lambda r: np.round(r * 255).astype(np.uint16),
    "DN, float32": lambda r: np.round(r * 10_000).astype(np.float32),
    "DN, float64": lambda r: r.astype(np.float64) * 10_000,
    "16 bits, uint16": lambda r: np.round(r * 65_535).clip(0, 65_535).astype(np.uint16),
    "16 bits, int32": lambda r: np.round(r * 65_535).astype(np.int32),
    "16 bits, float": lambda r: (r * 65_535).astype(np.float32),
    "16 bits read as DN": lambda r: (r * 6.5535).astype(np.float32),
    "divided by 100": lambda r: r / 100,
    "divided by 255": lambda r: r / 255,
    "divided by 10000": lambda r: r / 10_000,
    "divided by 65535": lambda r: r / 65_535,
}
NAMED = {"percent": "percent", "8 bits": "0..255", "DN": "dn", "16 bits": "0..65535"}


@pytest.mark.parametrize("frames", [stack(each) for each in SPECTRA.values()], ids=SPECTRA)
def test_honest_spectra_pass(frames: Any) -> None:
    for honest in (frames, frames.astype(np.float64), frames.astype(np.float16), numbers(frames)):
        refuse_implausible(honest)
        refuse_other_scale(honest, names=BANDS)
        cloud_probability(honest)
    refuse_other_scale(frames[..., :4], names=BANDS[:4])


@pytest.mark.parametrize("kind", SCALED)
@pytest.mark.parametrize("spectrum", [*SURFACES, CLOUD], ids=["grass", "lake", "forest", "soil", "cloud"])
def test_another_scale_is_refused_and_read_right_when_it_is_named(kind: str, spectrum: Any) -> None:
    honest = stack(spectrum, side=16)
    other = SCALED[kind](honest)
    with pytest.raises(ReflectanceError, match=r"BANDS.*([Dd]ivide|Multiply)"):
        cloud_probability(other, where="BANDS")
    with pytest.raises(ReflectanceError):
        cloud_probability(other[..., band_indices(CLOUD_BANDS)])
    name = NAMED.get(kind.split(",")[0])
    if name is not None:
        again: Any = name
        coarse = other.dtype.kind in "iu" and DIVISORS[name] <= 255
        with pytest.warns(ScaleWarning, match="too coarse") if coarse else nullcontext():
            probability = cloud_probability(other, scale=again, threads=1)
        assert (probability > 0.4).mean() == pytest.approx((cloud_probability(honest) > 0.4).mean(), abs=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([GRASS, LAKE, FOREST, SOIL, CLOUD]), min_size=1, max_size=4),
    st.sampled_from(sorted(SCALED)),
    st.floats(0.8, 1.3),
    st.integers(0, 1_000),
)
def test_honest_reflectance_in_any_known_scale_is_refused_property(
    spectra: Any, kind: str, light: float, seed: int
) -> None:
    frames = (stack(*spectra, seed=seed, side=9) * np.float32(light)).astype(np.float32)
    mixed = np.moveaxis(frames, 0, 1).reshape(1, -1, 9, 13)  # a frame of all of them
    refuse_implausible(mixed)
    with pytest.raises(ReflectanceError):
        refuse_implausible(SCALED[kind](mixed))


@pytest.mark.slow
def test_real_frames_in_any_known_scale_are_refused(shared_data: Path) -> None:
    scenes = np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")
    refuse_implausible(scenes)
    for kind, scaled in SCALED.items():
        for row in range(0, 90, 30):
            for scene in scenes:
                with pytest.raises(ReflectanceError):
                    refuse_implausible(scaled(scene[np.newaxis, row : row + 30, :30]), where=kind)


def test_what_no_scale_is_refused_before_anything_else() -> None:
    for dtype in (np.uint8, np.int8):
        with pytest.raises(ReflectanceError, match=r"patch: u?int8 holds no DN.*Divide by 255.*by 100"):
            as_reflectance(np.zeros((2, 3), dtype), where="patch")
    with pytest.raises(ReflectanceError, match="neither reflectance"):
        as_reflectance(np.zeros((2, 3), bool))
    with pytest.raises(ReflectanceError, match="whole numbers are no reflectance"):
        as_reflectance(np.zeros((2, 3), np.uint16), scale="reflectance")
    with pytest.raises(ReflectanceError, match="holds no DN"):
        reflectance_scale(np.dtype(np.uint8), "dn")
    with pytest.raises(ConfigurationError, match=r"scale='procent' is unknown: give 'reflectance', 'percent'"):
        as_reflectance(np.zeros((2, 3)), scale="procent")  # type: ignore[arg-type]  # refused
    check_scale(None, None)


@pytest.mark.parametrize("scale", ["percent", "0..255", "dn", "0..65535"])
def test_a_named_scale_is_divided_away(scale: Any) -> None:
    values = np.array([[0.0, 0.25, 1.0]]) * DIVISORS[scale]
    for dtype in (np.float32, np.float64, np.int32):
        assert np.allclose(as_reflectance(values.astype(dtype), scale=scale), [[0, 0.25, 1]], atol=0.01)
    with pytest.raises(ReflectanceError, match=rf"where reflectance \* {DIVISORS[scale]} is due"):
        as_reflectance(values * 11, scale=scale)


def test_uint16_of_a_named_scale_is_checked_too() -> None:
    with pytest.raises(ReflectanceError, match=r"values up to 20000 where reflectance \* 100 is due: raw digital"):
        as_reflectance(np.array([[20_000]], np.uint16), scale="percent")


def test_what_ends_at_255_may_be_dark_water_when_that_is_said() -> None:
    water = np.full((1, 9, 9, 4), 120, np.uint16)
    with pytest.raises(ReflectanceError, match=r"end at 120.*by 255 \(scale='0..255'\), or say scale='dn'"):
        refuse_other_scale(water, names=("B02", "B03", "B04", "B08"))
    refuse_other_scale(water, names=("B02", "B03", "B04", "B08"), scale="dn")
    large = np.full((1, 300, 300, 2), 120, np.uint16)
    large[0, 7, 7] = 3_000  # a ship, which lies between the pixels that are looked at
    refuse_other_scale(large, names=("B02", "B08"))
    with pytest.raises(ReflectanceError, match="by 100"):
        refuse_other_scale(water // 2, names=("B02", "B03", "B04", "B08"))


def test_full_of_65535_and_steps_of_it() -> None:
    frames = numbers(stack(CLOUD, CLOUD))
    frames[1, :4, :, 1] = 65_535
    with pytest.raises(ReflectanceError, match=r"the bands of frame 1: full of 65535.*Divide by 65535"):
        refuse_implausible(frames)
    dn = np.arange(1_500, 2_524, dtype=np.float64).reshape(1, 32, 32, 1).repeat(13, axis=-1)  # flat, not too bright
    with pytest.raises(ReflectanceError, match=r"in steps of 6\.5535"):
        refuse_other_scale(np.floor(dn * 6.5535).astype(np.uint16), names=BANDS)


def test_frames_are_named_and_few_pixels_are_not_judged() -> None:
    frames = stack(GRASS, GRASS, LAKE)
    frames[1:] *= 100
    with pytest.raises(ReflectanceError, match=r"BANDS of May: and in 1 more \(June\): taken as reflectance"):
        refuse_other_scale(frames, names=BANDS, frame_names=["April", "May", "June"], where="BANDS")
    refuse_other_scale(frames[1:, :7, :7] / 25, names=BANDS)
    valid = np.zeros(frames.shape[:3], bool)
    valid[:, 0, :5] = True
    refuse_other_scale(frames, valid, names=BANDS)
    with pytest.raises(GridError, match="the valid mask"):
        refuse_other_scale(frames, valid[:, :5], names=BANDS)


def test_a_mask_hides_what_is_no_data_and_few_pixels_are_found() -> None:
    frame = np.zeros((300, 400, 13), np.float32)
    frame[150:159, 201:211] = stack(GRASS, side=9)[0, :, :1] * 100
    pixels, seen = sampled(frame, None)
    assert seen.sum() == 90
    with pytest.raises(ReflectanceError, match="percentages"):
        refuse_implausible(frame[np.newaxis])
    large, _ = sampled(np.ones((900, 900, 2), np.float32), None)
    assert MOST_PIXELS / 2 < large.shape[0] * large.shape[1] <= MOST_PIXELS
    tall, _ = sampled(np.ones((100_000, 1, 2), np.float32), None)
    assert MOST_PIXELS / 2 < tall.shape[0] <= MOST_PIXELS
    assert pixels.shape[-1] == 13


def test_spectra_that_are_made_up_are_not_judged_by_colour() -> None:
    refuse_other_scale(np.random.default_rng(1).uniform(0, 1, (1, 20, 20, 13)).astype(np.float32), names=BANDS)
    refuse_other_scale(np.full((1, 20, 20, 13), 0.9, np.float32), names=BANDS)


@pytest.mark.parametrize("axes", [(13,), (200, 13), (20, 20, 13), (2, 20, 20, 13), (2, 2, 20, 20, 13)], ids=str)
def test_array_functions_check_arrays_of_any_number_of_axes(axes: tuple[int, ...]) -> None:
    offset = np.broadcast_to(np.array(GRASS, np.float32) + np.float32(0.1), axes)
    if len(axes) == 1:
        cloud_probability(offset)  # a pixel tells nothing
        return
    with pytest.raises(ReflectanceError, match="1000 DN"):
        cloud_probability(offset)
    cloud_probability(offset, check_bands=False)
    valid = np.zeros(axes[:-1], bool)
    assert not cloud_probability(offset, valid=valid).any()


def test_masks_are_boolean() -> None:
    assert check_mask(np.array([True])).all()
    for dtype in (np.uint8, np.int64, np.float32):
        with pytest.raises(FeatureError, match=rf"patch: IS_DATA is {np.dtype(dtype)} where a boolean mask is due"):
            check_mask(np.ones(3, dtype), name="IS_DATA", where="patch")
    with pytest.raises(FeatureError, match="boolean mask"):
        cloud_probability(stack(GRASS), valid=np.ones((1, 12, 12), np.uint8))  # type: ignore[arg-type]  # refused
    snow: Any = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(FeatureError, match="the snow mask is uint8"):
        mask_of(np.zeros((1, 4, 4)), mask_settings("gee"), snow=snow)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_probability_in_any_scale_property(percent: list[int]) -> None:
    true = np.array(percent) / 100
    for scale, values in (
        ("percent", np.array(percent, np.uint8)),
        ("percent", np.array(percent, np.int16)),
        ("percent", np.array(percent, np.float32)),
        ("0..255", np.round(true * 255).astype(np.uint8)),
        ("0..255", true * 255),
        (None, np.round(true * 255).astype(np.uint8)),
        (None, true),
    ):
        known: Any = scale
        assert np.allclose(as_probability(values, scale=known), true, atol=0.003)
    if max(percent) > 1:
        with pytest.raises(FeatureError, match=r"Divide percentages by 100 \(scale='percent'\)"):
            as_probability(np.array(percent, np.float64))


def test_probability_of_no_scale_or_another() -> None:
    for dtype in (bool, np.int8, np.int16, np.uint16):
        with pytest.raises(FeatureError, match="is no cloud probability"):
            as_probability(np.zeros(3, dtype))
    with pytest.raises(FeatureError, match="whole numbers are no such probability"):
        as_probability(np.zeros(3, np.uint8), scale="0..1")
    with pytest.raises(FeatureError, match=r"0\.\.100 is due. Divide uint8 values by 255"):
        as_probability(np.array([0, 200], np.uint8), scale="percent")
    with pytest.raises(FeatureError, match=r"ends at 1"):
        as_probability(np.array([0, 9000.0]))
    with pytest.raises(FeatureError, match="no data"):
        as_probability(np.array([-1, 50], np.int16), scale="percent")


def test_uint8_that_ends_at_exactly_100_is_a_typed_warning() -> None:
    percent = np.array([[[0, 100]]], np.uint8)
    with pytest.warns(ScaleWarning, match=r"CLP: uint8 that ends at exactly 100.*scale='percent'"):
        cloud_mask(percent, where="CLP")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cloud_mask(percent, scale="percent", average_over=None, dilation_size=None).ravel().tolist() == [0, 1]
        warn_of_percent(percent, scale="0..255")
        warn_of_percent(percent + np.uint8(1))
        warn_of_percent(percent, np.array([[[True, False]]]))
        warn_of_percent(percent.astype(np.float32))

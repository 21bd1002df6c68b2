"""What s2cloudless answers wrongly is answered the same, and a typed warning says so; honest input gets none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from s2cloudless import S2PixelCloudDetector as Original

from eotasks.errors import (
    EOTasksWarning,
    NoDataPredictedWarning,
    NotProbabilityWarning,
    NotReflectanceWarning,
)
from eotasks.models.sentinel2 import BANDS
from eotasks.s2cloudless import S2PixelCloudDetector, suspect
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, STORM, numbers, stack

HONEST = stack(GRASS, LAKE, CLOUD, STORM, side=16)
B03, B10 = BANDS.index("B03"), BANDS.index("B10")


def with_values(value: float, bands: Any = slice(None)) -> Any:
    """The honest frames with a value in some bands of 5 x 16 pixels of the first."""
    frames = HONEST.copy()
    frames[0, :5, :, bands] = value
    return frames


def reordered() -> Any:
    return stack(GRASS, side=66)[..., [*range(10), 12, 11, 10]]


DOUBTFUL = {
    "NaN in all bands": (with_values(np.nan), NoDataPredictedWarning, r"some pixels hold no data"),
    "NaN in a band": (with_values(np.nan, B10), NoDataPredictedWarning, r"some pixels have NaN or infinity in some"),
    "infinity": (with_values(np.inf, B10), NoDataPredictedWarning, r"some pixels have NaN or infinity"),
    "zeros": (with_values(0), NoDataPredictedWarning, r"some pixels hold no data.*come out clear"),
    "zeros less an offset": (with_values(-0.1), NoDataPredictedWarning, r"some pixels hold no data"),
    "raw DN": (numbers(HONEST), NotReflectanceWarning, r"uint16 up to \d+ .*offset .*, and divide by 10000"),
    "raw DN, signed": (numbers(HONEST).astype(np.int32), NotReflectanceWarning, r"int32 up to"),
    "raw DN as floats": (numbers(HONEST).astype(np.float32), NotReflectanceWarning, r"Divide raw numbers.*by 10000"),
    "8 bits": ((HONEST * 100).astype(np.uint8), NotReflectanceWarning, r"uint8 up to \d+ .*Divide by 255"),
    "8 bits in 16": ((HONEST * 255).clip(0, 255).astype(np.uint16), NotReflectanceWarning, r"Divide by 255"),
    "16 bits": ((HONEST * 65535).clip(0, 65535).astype(np.uint16), NotReflectanceWarning, r"Divide by 65535"),
    "percent": (HONEST * 100, NotReflectanceWarning, r"where reflectance \(1.0 = 100 %\) is due"),
    "-9999": (with_values(-9999, B10), NotReflectanceWarning, r"values down to -9999"),
    "a filled corner of raw DN": (with_values(10_000), NotReflectanceWarning, r"values up to 10000"),
    "an offset left in": (HONEST[:2] + np.float32(0.1), NotReflectanceWarning, r"offset of processing baseline 04.00"),
    "an offset removed twice": (HONEST[:2] - np.float32(0.1), NotReflectanceWarning, r"or twice"),
    "another order of bands": (reordered(), NotReflectanceWarning, r"not in the order"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_is_answered_as_by_s2cloudless_with_a_warning(case: str) -> None:
    bands, category, text = DOUBTFUL[case]
    ours, theirs = S2PixelCloudDetector(all_bands=True), Original(all_bands=True)
    with pytest.warns(category, match=text) as caught:
        probability = ours.get_cloud_probability_maps(bands)
    assert [each.filename for each in caught] == [__file__] * len(caught)
    assert probability.tobytes() == theirs.get_cloud_probability_maps(bands).tobytes()
    with pytest.warns(category, match=text) as caught:
        ours.get_cloud_masks(bands)
    assert [each.filename for each in caught] == [__file__] * len(caught)


@pytest.mark.parametrize("case", DOUBTFUL)
def test_the_warning_can_be_made_an_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bands, category, _ = DOUBTFUL[case]
    detector = S2PixelCloudDetector(all_bands=True)
    monkeypatch.setattr(type(detector), "classifier", None)  # nothing is predicted before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", category=category)
        with pytest.raises(category):
            detector.get_cloud_masks(bands)


def test_masked_pixels_are_predicted_by_what_lies_under_the_mask() -> None:
    masked = np.ma.masked_array(HONEST, mask=np.zeros(HONEST.shape, dtype=bool))
    masked[1, :2] = np.ma.masked
    detector = S2PixelCloudDetector(all_bands=True)
    with pytest.warns(NoDataPredictedWarning, match="masked pixels are predicted"):
        probability = detector.get_cloud_probability_maps(masked)
    assert type(probability) is np.ndarray
    assert probability.tobytes() == Original(all_bands=True).get_cloud_probability_maps(masked).tobytes()


@pytest.mark.parametrize(
    "bands",
    [
        HONEST,
        HONEST.astype(np.float64),
        HONEST[..., ::-1][..., ::-1],
        with_values(np.nan, B03),  # a band that the model does not look at
        HONEST[:0],
        HONEST[:, :1, :1],
        np.concatenate([HONEST[:, :8, :8]] * 40),
        np.zeros((1, 3, 3, 13), dtype=np.float32) + np.float32(0.3),
    ],
    ids=["float32", "float64", "strided", "NaN in B03", "no frames", "a pixel", "many frames", "a few equal pixels"],
)
def test_honest_input_gets_none(bands: Any) -> None:
    S2PixelCloudDetector(all_bands=True).get_cloud_masks(bands)  # warnings are errors here


def test_an_offset_in_one_frame_of_many_small_ones() -> None:
    frames = np.concatenate([HONEST[:1, :10, :10]] * suspect.SAMPLE_FRAMES)
    frames[17] += np.float32(0.1)
    with pytest.warns(NotReflectanceWarning, match="frame 17"):
        S2PixelCloudDetector(all_bands=True).get_cloud_probability_maps(frames)


def test_random_numbers_are_not_called_another_order() -> None:
    for seed in range(20):
        bands = np.random.default_rng(seed).random((3, 11, 13, 10))
        S2PixelCloudDetector().get_cloud_masks(bands)


PROBABILITY = np.linspace(0, 1, 300, dtype=np.float32).reshape(3, 10, 10)


@pytest.mark.parametrize(
    ("values", "threshold"),
    [
        (PROBABILITY * 100, 0.4),
        ((PROBABILITY * 255).astype(np.uint8), 0.4),
        (PROBABILITY, 40),
        (PROBABILITY - 1, 0.4),
        (PROBABILITY, -0.1),
        (PROBABILITY, np.nan),
        (np.where(PROBABILITY > 0.9, np.float32(np.nan), PROBABILITY), 0.4),
        (PROBABILITY * 3, np.full((10, 10), 0.5)),
    ],
    ids=["percent", "uint8", "threshold of percent", "negative", "negative threshold", "NaN threshold", "NaN", "array"],
)
def test_what_is_no_probability(values: Any, threshold: Any) -> None:
    with pytest.warns(NotProbabilityWarning) as caught:
        mask = S2PixelCloudDetector().get_mask_from_prob(values, threshold)
    assert [each.filename for each in caught] == [__file__]
    assert mask.tobytes() == Original().get_mask_from_prob(values, threshold).tobytes()


@pytest.mark.parametrize(
    ("values", "threshold"),
    [
        (PROBABILITY, None),
        (PROBABILITY, 0),
        (PROBABILITY, 1),
        ((PROBABILITY * 100).astype(np.uint8), 65),
        ((PROBABILITY * 100).astype(np.uint8)[:1, :1], 65),
        (PROBABILITY[:0], 0.4),
        (PROBABILITY, np.full((10, 10), 0.5)),
    ],
    ids=["its own", "0", "1", "of Earth Engine", "clear", "no frames", "array"],
)
def test_probabilities_and_a_threshold_of_one_scale(values: Any, threshold: Any) -> None:
    S2PixelCloudDetector().get_mask_from_prob(values, threshold)


def test_every_warning_is_one_of_the_project() -> None:
    for category in (NoDataPredictedWarning, NotProbabilityWarning, NotReflectanceWarning):
        assert issubclass(category, EOTasksWarning)

from __future__ import annotations

from typing import Any, get_args

import pytest

from eotasks.errors import ConfigurationError
from eotasks.models.clouds.presets import MaskSettings, Preset, mask_settings


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("s2cloudless", MaskSettings(threshold=0.4, average_over=1, dilation_size=1)),
        ("eo-learn", MaskSettings(threshold=0.4, average_over=4, dilation_size=2)),
        (
            "sentinel-hub",
            MaskSettings(threshold=0.6, smoothing="gaussian", average_over=None, sigma=3, dilation_size=None),
        ),
        ("gee", MaskSettings(threshold=0.5, average_over=None, erosion_size=2, dilation_size=5)),
    ],
)
def test_published_numbers(preset: Preset, expected: MaskSettings) -> None:
    assert mask_settings(preset) == expected


def test_every_preset_is_there() -> None:
    for preset in get_args(Preset):
        assert isinstance(mask_settings(preset), MaskSettings)


def test_what_is_given_wins_and_none_skips_a_step() -> None:
    settings = mask_settings("gee", threshold=0.65, erosion_size=None, average_over=1)
    assert settings == MaskSettings(threshold=0.65, average_over=1, erosion_size=None, dilation_size=5)
    assert mask_settings("s2cloudless", average_over=None, dilation_size=0) == MaskSettings(
        average_over=None, dilation_size=0
    )


def test_another_smoothing_takes_nothing_of_that_of_the_preset() -> None:
    gaussian = mask_settings("eo-learn", smoothing="gaussian", sigma=1.5)
    assert gaussian == MaskSettings(smoothing="gaussian", average_over=None, sigma=1.5, dilation_size=2)
    disk = mask_settings("sentinel-hub", smoothing="disk", average_over=2)
    assert disk == MaskSettings(threshold=0.6, average_over=2, dilation_size=None)


def test_metres_are_those_of_the_pixels_a_preset_was_made_for() -> None:
    assert mask_settings("eo-learn", unit="metre") == MaskSettings(average_over=40, dilation_size=20, unit="metre")
    gee = mask_settings("gee", unit="metre", dilation_size=60.5)
    assert (gee.erosion_size, gee.dilation_size, gee.average_over) == (40, 60.5, None)
    assert mask_settings("sentinel-hub", unit="metre", sigma=30).sigma == 30
    with pytest.raises(ConfigurationError, match=r"'sentinel-hub' has no sigma in metres.*give sigma"):
        mask_settings("sentinel-hub", unit="metre")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "fmask"}, "preset='fmask' is unknown: give 's2cloudless' or 'eo-learn' or"),
        ({"unit": "km"}, "unit='km'"),
        ({"smoothing": "median"}, "smoothing='median'"),
        ({"threshold": 40}, "threshold=40"),
        ({"threshold": None}, "threshold=None"),
        ({"average_over": 1.5}, r"average_over=1\.5 is no radius in pixels"),
        ({"erosion_size": -1}, "erosion_size=-1"),
        ({"dilation_size": True}, "dilation_size=True"),
        ({"dilation_size": -5.0, "unit": "metre"}, r"dilation_size=-5\.0 is no radius in metres"),
        ({"dilation_size": float("nan"), "unit": "metre"}, "dilation_size=nan"),
        ({"smoothing": "gaussian"}, "needs sigma"),
        ({"smoothing": "gaussian", "sigma": None}, "needs sigma"),
        ({"smoothing": "gaussian", "sigma": -1}, "sigma=-1"),
        ({"sigma": 3}, "sigma=3 goes with smoothing='gaussian'"),
        ({"preset": "sentinel-hub", "average_over": 4}, "average_over=4 goes with smoothing='disk'"),
    ],
    ids=str,
)
def test_settings_that_make_no_mask_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        mask_settings(**options)

"""How a cloud probability becomes a cloud mask: the settings, and the ones that others have published, by name.

| preset | threshold | smoothing | erosion | dilation | made for pixels of |
| --- | --- | --- | --- | --- | --- |
| ``s2cloudless`` | 0.4 | disk of radius 1 | none | 1 | 10 m |
| ``eo-learn`` | 0.4 | disk of radius 4 | none | 2 | 10 m |
| ``sentinel-hub`` | 0.6 | Gaussian, sigma 3 | none | none | not published |
| ``gee`` | 0.5 | none | 2 | 5 | 20 m |

Sources: ``s2cloudless``, the defaults of ``S2PixelCloudDetector`` (s2cloudless 1.7.3); ``eo-learn``, those of its cloud
mask tasks and of the land-cover example; ``sentinel-hub``, the caption of a picture in the articles on the service
("sigma = 3", "cutoff > 0.6"), whose own CLM is made in a way that is not published; ``gee``, the Earth Engine tutorial
"Sentinel-2 Cloud Masking with s2cloudless", its cloud part alone: probability above 50 %, then at 20 m a focal minimum
of 2 pixels and a focal maximum of 50 m * 2 / 20 m = 5 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number, check_radius
from eotasks.text import did_you_mean, excerpt

Smoothing = Literal["disk", "gaussian"]
Unit = Literal["pixel", "metre"]
Preset = Literal["s2cloudless", "eo-learn", "sentinel-hub", "gee"]
FromPreset = Literal["preset"]

FROM_PRESET: FromPreset = "preset"
"""Value of an argument that leaves the choice to the preset; None is taken, it skips a step."""

MAX_METRES = 100_000.0
"""Beyond the size of a tile (110 km) a radius is a slip of the unit."""

MAX_SIGMA = 1000.0
"""Pixels."""


def check_choice(value: object, choices: Any, name: str) -> None:
    """Refuse a value that is none of a ``Literal``'s.

    :raises ConfigurationError: the message lists them.
    """
    if value not in get_args(choices):
        known = get_args(choices)
        given = excerpt(value, longest=80)
        raise ConfigurationError(
            f"{name}={given} is unknown{did_you_mean(value, known)}: give {' or '.join(map(repr, known))}."
        )


def _check_size(value: float | None, name: str, unit: Unit) -> None:
    if value is None:
        return
    if unit == "pixel":
        check_radius(value, name)
    else:
        check_number(value, name, "radius in metres", lowest=0, highest=MAX_METRES)


@dataclass(frozen=True)
class MaskSettings:
    """The steps from probability to mask: smooth, threshold, erode, dilate."""

    threshold: float = 0.4
    """Smoothed probability strictly above which a pixel is cloud, 0..1."""

    smoothing: Smoothing = "disk"
    """What the probability is smoothed with: the mean over a disk, or a Gaussian."""

    average_over: float | None = 4
    """Radius of the averaging disk; None or 0 skips the step. None with a Gaussian."""

    sigma: float | None = None
    """Standard deviation of the Gaussian. None with a disk."""

    erosion_size: float | None = None
    """Radius of the disk that cloud is eroded by, which removes specks; None or 0 skips the step."""

    dilation_size: float | None = 2
    """Radius of the disk that cloud grows by; None or 0 skips the step."""

    unit: Unit = "pixel"
    """Of the radii (whole numbers in pixels) and of sigma."""

    def __post_init__(self) -> None:
        """Refuse settings that no mask can be made with.

        :raises ConfigurationError: a setting out of its range, or one that the smoothing has no use for.
        """
        check_number(self.threshold, "threshold", "probability", lowest=0, highest=1)
        check_choice(self.smoothing, Smoothing, "smoothing")
        check_choice(self.unit, Unit, "unit")
        for name in ("average_over", "erosion_size", "dilation_size"):
            _check_size(getattr(self, name), name, self.unit)
        if self.smoothing == "gaussian":
            self._check_sigma()
        elif self.sigma is not None:
            raise ConfigurationError(f"sigma={self.sigma!r} goes with smoothing='gaussian': set that, or leave it out.")

    def _check_sigma(self) -> None:
        if self.average_over:
            raise ConfigurationError(
                f"average_over={self.average_over!r} goes with smoothing='disk': leave it out, the Gaussian has sigma."
            )
        if self.sigma is None:
            raise ConfigurationError("smoothing='gaussian' needs sigma; preset='sentinel-hub' has 3 pixels.")
        check_number(
            self.sigma,
            "sigma",
            f"standard deviation in {self.unit}s",
            lowest=0,
            highest=MAX_SIGMA if self.unit == "pixel" else MAX_METRES,
        )


@dataclass(frozen=True)
class _Published:
    settings: MaskSettings
    pixel_size: float | None
    """Metres of the pixels that the radii were made for, None where nobody has said."""


_PRESETS: dict[str, _Published] = {
    "s2cloudless": _Published(MaskSettings(threshold=0.4, average_over=1, dilation_size=1), 10),
    "eo-learn": _Published(MaskSettings(threshold=0.4, average_over=4, dilation_size=2), 10),
    "sentinel-hub": _Published(
        MaskSettings(threshold=0.6, smoothing="gaussian", average_over=None, sigma=3, dilation_size=None), None
    ),
    "gee": _Published(MaskSettings(threshold=0.5, average_over=None, erosion_size=2, dilation_size=5), 20),
}


def mask_settings(
    preset: Preset = "eo-learn",
    *,
    threshold: float | FromPreset = FROM_PRESET,
    smoothing: Smoothing | FromPreset = FROM_PRESET,
    average_over: float | FromPreset | None = FROM_PRESET,
    sigma: float | FromPreset | None = FROM_PRESET,
    erosion_size: float | FromPreset | None = FROM_PRESET,
    dilation_size: float | FromPreset | None = FROM_PRESET,
    unit: Unit = "pixel",
) -> MaskSettings:
    """The settings of a preset, those that are given put in their place.

    The radii of a preset are pixels, whatever a pixel measures, as where they come from. With ``unit="metre"`` they
    cover the ground that they cover at the pixel size they were made for (the table above), at any pixel size: those
    of ``eo-learn`` are 40 m and 20 m. A radius that is given is in the unit that is given.

    :param preset: "s2cloudless", "eo-learn", "sentinel-hub" or "gee".
    :param smoothing: "disk" or "gaussian"; another than the preset's takes nothing of the preset's smoothing.
    :param unit: "pixel" or "metre", of radii and sigma.
    :return: settings for ``eotasks.models.clouds.postprocess.mask_of``.
    :raises ConfigurationError: an unknown preset, a setting out of its range, or a preset in metres that has no
        size on the ground.
    """
    check_choice(preset, Preset, "preset")
    check_choice(unit, Unit, "unit")
    published = _PRESETS[preset]
    base = published.settings
    chosen: Smoothing = base.smoothing if smoothing == FROM_PRESET else smoothing
    same = chosen == base.smoothing
    sizes: dict[str, float | FromPreset | None] = {
        "average_over": average_over if same or average_over != FROM_PRESET else None,
        "sigma": sigma if same or sigma != FROM_PRESET else None,
        "erosion_size": erosion_size,
        "dilation_size": dilation_size,
    }
    lengths: dict[str, Any] = {
        name: _length(preset, name, unit) if value == FROM_PRESET else value for name, value in sizes.items()
    }
    limit = base.threshold if threshold == FROM_PRESET else threshold
    return MaskSettings(threshold=limit, smoothing=chosen, unit=unit, **lengths)


def _length(preset: str, name: str, unit: Unit) -> float | None:
    """A radius or sigma of a preset in the unit asked for."""
    published = _PRESETS[preset]
    pixels: float | None = getattr(published.settings, name)
    if unit == "pixel" or pixels is None:
        return pixels
    if published.pixel_size is None:
        raise ConfigurationError(
            f"preset={preset!r} has no {name} in metres, its pixel size is not published: give {name}, or unit='pixel'."
        )
    return pixels * published.pixel_size

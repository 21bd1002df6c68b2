"""The settings that detectors may use, one set for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eotasks.errors import ConfigurationError
from eotasks.models.clouds.presets import (
    FROM_PRESET,
    FromPreset,
    MaskSettings,
    Preset,
    Unit,
    check_choice,
    mask_settings,
)
from eotasks.models.clouds.resampling import Sampling
from eotasks.models.threads import resolve_threads

MASK_SETTINGS: tuple[str, ...] = ("preset", "threshold", "average_over", "dilation_size", "unit")
"""Names of the settings that make a mask of a probability."""


@dataclass(frozen=True)
class DetectorSettings:
    """What a detector is run with. Each names those that it uses, and does not look at the others."""

    preset: Preset = "eo-learn"
    """From probability to mask: published settings, which the next three replace one by one."""

    threshold: float | FromPreset = FROM_PRESET
    """Probability, after averaging, strictly above which a pixel is cloud, 0..1."""

    average_over: float | FromPreset | None = FROM_PRESET
    """Radius of the disk that probability is averaged over; None or 0 for none."""

    dilation_size: float | FromPreset | None = FROM_PRESET
    """Radius by which cloud grows; None or 0 for none."""

    unit: Unit = "pixel"
    """Of the two radii."""

    resolution: float | None = None
    """Metres at which a probability is computed; None for the pixels of the frames."""

    sampling: Sampling = "mean"
    """How bands are brought to that resolution."""

    threads: int | None = None
    """Threads of the engines, None for the setting. No value of a result depends on it."""

    def __post_init__(self) -> None:
        """Refuse what no mask can be made with.

        :raises ConfigurationError: a setting that is not usable.
        """
        self.mask  # noqa: B018 - raises
        check_choice(self.sampling, Sampling, "sampling")
        if self.resolution is not None and not self.resolution > 0:
            raise ConfigurationError(f"resolution={self.resolution!r} is none: give metres above 0, or None.")
        if self.threads is not None:
            resolve_threads(self.threads)

    @property
    def mask(self) -> MaskSettings:
        """From probability to mask, the preset resolved."""
        return mask_settings(self.preset, **self.mask_arguments())

    def mask_arguments(self) -> dict[str, Any]:
        """The settings of the mask but for the preset, as ``mask_settings`` and ``AddCloudMaskTask`` take them."""
        return {
            "threshold": self.threshold,
            "average_over": self.average_over,
            "dilation_size": self.dilation_size,
            "unit": self.unit,
        }

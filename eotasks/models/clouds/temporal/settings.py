"""What the multi-temporal method is asked for, and with which numbers."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number, check_radius, check_whole
from eotasks.models.clouds.temporal.window import DEFAULT_MAX_FRAMES

Output = Literal["mono_probability", "multi_probability", "mono_mask", "multi_mask", "mask"]
"""Probability and mask of the single-scene and of the multi-temporal model, and the mask of both together."""

OUTPUTS: tuple[Output, ...] = get_args(Output)


@dataclass(frozen=True, kw_only=True)
class TemporalSettings:
    """How clouds are told through time. The defaults are those of the original.

    :raises ConfigurationError: a value that is not usable.
    """

    resolution: tuple[float, float] | None = None
    """Metres (y, x) at which probabilities are computed; None for that of the bands."""

    max_frames: int = DEFAULT_MAX_FRAMES
    """Frames a frame is compared with, itself among them."""

    mono_threshold: float = 0.4
    """Averaged probability from which on the single-scene model calls a pixel cloud."""

    multi_threshold: float = 0.5
    """The same for the multi-temporal model."""

    average_over: int | None = 4
    """Radius, in pixels of the bands, of the disk that probabilities are averaged over; None or 0 for none."""

    dilation_size: int | None = 2
    """Radius, in pixels of the bands, by which masks grow; None or 0 for none."""

    def __post_init__(self) -> None:
        check_whole(self.max_frames, "max_frames", "number of frames", at_least=1)
        check_number(self.mono_threshold, "mono_threshold", "probability", lowest=0, highest=1)
        check_number(self.multi_threshold, "multi_threshold", "probability", lowest=0, highest=1)
        for name, radius in (("average_over", self.average_over), ("dilation_size", self.dilation_size)):
            if radius is not None:
                check_radius(radius, name)
        if self.resolution is not None and not all(size > 0 and math.isfinite(size) for size in self.resolution):
            raise ConfigurationError(f"resolution={self.resolution!r} is none: give metres above 0, or None.")


def check_outputs(outputs: Collection[Output]) -> frozenset[Output]:
    """The outputs asked for.

    :raises ConfigurationError: none, or an unknown one.
    """
    unknown = [repr(output) for output in outputs if output not in OUTPUTS]
    if unknown or not outputs or isinstance(outputs, str):
        raise ConfigurationError(f"outputs={outputs!r}: give some of {', '.join(map(repr, OUTPUTS))}, as a collection.")
    return frozenset(outputs)

"""What a detector of clouds is: the contract of those that come with eotasks and of plugins.

A detector says what it is called, what it needs and what it answers, and finds clouds in :class:`Frames`. The commands
do the rest: read products and EOPatches, check that what is needed is there, give no answer where there is no data,
write, record and judge. There are two kinds:

- a :class:`Detector` answers classes: 0 clear, 1 cloud, 2 shadow;
- a :class:`ProbabilityDetector` answers how likely a pixel is cloud. Thresholds, averaging, dilation and their presets
  are applied to it by the commands, as to the probability of s2cloudless.

A class derives from one of both, which brings the defaults of what it does not say. docs/how-to-detector.md shows a
plugin from its first line to its use.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.settings import MASK_SETTINGS, DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.models.clouds.postprocess import mask_of


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector says of frames."""

    mask: NDArray[np.generic]
    """(t, h, w): 0 clear, 1 cloud, 2 shadow, 255 no answer; or booleans, True for cloud."""

    probability: NDArray[np.floating] | None = None
    """(t, h, w) 0..1, before any averaging, of the detectors that answer one."""


@runtime_checkable
class Detector(Protocol):
    """Finds clouds. An instance holds no state of what it has seen, and is made without arguments."""

    name: str
    """As users give it: lower case letters, digits and hyphens."""

    description: str
    """A line for the help, on how it works."""

    bands: tuple[str, ...] = ()
    """Bands that it reads, such as ("B02", "B11"). It may be given others beside them, in any order."""

    optional_bands: tuple[str, ...] = ()
    """Bands that it looks at where they are there, and does without elsewhere: products that have them are read with
    them, whatever else is asked for."""

    needs: frozenset[Need] = frozenset()
    """What it needs beside bands."""

    answers: frozenset[Answer] = frozenset({"cloud"})
    """What it answers. A detector without "shadow" is not blamed for shadows."""

    uses: tuple[str, ...] = ()
    """Names of the settings (:class:`DetectorSettings`) that change its answer. Those are recorded with results; others
    that a user gives are refused where there is one detector only."""

    per_pixel: bool = False
    """Whether the answer for a pixel (of a :class:`ProbabilityDetector`, its probability) depends on that pixel alone.
    A product then comes in strips, with little memory; otherwise, and to a :class:`ProbabilityDetector` with a
    ``detect`` of its own, as a whole, at the resolution of the results."""

    keeps_apart: bool = False
    """Whether a mask of its own leaves out ``frames.apart``, as `mask_by_settings` does. Where it does not, that is
    taken out of the finished mask."""

    baseline: bool = False
    """No detector, only a number to compare with."""

    coarsest: float | None = None
    """Metres of the largest pixels that it works on, None for any. Products at coarser ones are refused before work."""

    tags: Mapping[str, str] = MappingProxyType({})
    """Facts that files of results carry, such as the file, checksum and licence of a model."""

    @abstractmethod
    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """Find clouds.

        :param frames: With the bands and whatever else was asked for. Values where ``frames.is_data`` is False mean
            nothing, and so does the answer there: the caller puts 255 and NaN.
        :param settings: Look at those that ``uses`` names.
        :raises EOTasksError: what makes an answer impossible, in one line with the cure.
        """

    def check_installed(self) -> None:
        """Refuse, before any work, where a package that it needs is missing. Looks for it, and loads nothing.

        :raises MissingDependencyError: with the line that installs it.
        """
        return None  # noqa: RET501 - a default, not an abstract method

    def prepare(self) -> None:
        """Load what the first call needs, such as a model. May be called early, from another thread, or never."""
        return None  # noqa: RET501 - a default, not an abstract method


@runtime_checkable
class ProbabilityDetector(Detector, Protocol):
    """Says how likely each pixel is cloud; a mask is made of that by the settings."""

    answers: frozenset[Answer] = frozenset({"cloud", "probability"})
    uses: tuple[str, ...] = MASK_SETTINGS

    @abstractmethod
    def probability(self, frames: Frames, settings: DetectorSettings) -> NDArray[np.float32]:
        """How likely each pixel is cloud.

        :param frames: As for :meth:`Detector.detect`.
        :return: float32 (t, h, w), 0..1, not averaged; any value where there is no data.
        :raises EOTasksError: what makes an answer impossible.
        """

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """The probability, and the mask that the settings make of it."""
        probability = self.probability(frames, settings)
        return Detection(mask_by_settings(probability, frames, settings), probability)


def is_masked_by_settings(detector: Detector) -> bool:
    """Whether a detector's mask is what the settings make of its probability, and nothing else.

    The probability may then be computed in parts, and the mask made of the whole.
    """
    own = getattr(detector.detect, "__func__", None) is not ProbabilityDetector.detect
    return isinstance(detector, ProbabilityDetector) and not own and "shadow" not in detector.answers


def mask_by_settings(probability: NDArray[np.float32], frames: Frames, settings: DetectorSettings) -> NDArray[np.uint8]:
    """The cloud mask (t, h, w) that settings make of a probability: 0 clear, 1 cloud, 255 no data; ``frames.apart`` is
    kept apart.

    :raises GridError: settings in metres where a pixel has no size in metres.
    :raises FeatureError: values outside 0..1, or NaN where there is data.
    """
    return mask_of(
        probability,
        settings.mask,
        pixel_size=None if settings.unit == "pixel" else frames.pixel_size(wanted_for="radius"),
        valid=frames.is_data,
        snow=frames.apart,
        where=f"the cloud probability of {frames.where}",
    )

"""The detectors of one evaluation, each with its settings, and what they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from eotasks.clouds.detectors.built_in.shadows_of_mask import OF_GIVEN_CLOUDS
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.registry import find_detector
from eotasks.clouds.detectors.run import detect_clouds
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.errors import ConfigurationError
from eotasks.models.clouds.evaluation import Target
from eotasks.models.clouds.presets import MaskSettings, Preset
from eotasks.text import did_you_mean
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene

GivenClouds = Literal["labels", "stored"]
"""Whose clouds the shadows are looked for of: those of the labels, or those of the mask in the scene."""

CLOUD_ONLY: tuple[Target, ...] = ("cloud",)
WITH_SHADOWS: tuple[Target, ...] = ("cloud", "shadow", "cloud or shadow", "clear")
SHADOW_ONLY: tuple[Target, ...] = ("shadow",)


@dataclass(frozen=True)
class Contestant:
    """A detector with its settings, under the name that the results carry."""

    name: str
    detector: Detector
    settings: DetectorSettings

    clouds: GivenClouds | None = None
    """Where it gets its clouds, None for those that it finds."""

    def detect(self, scene: LabelledScene) -> Detection:
        """Run it on a scene; see `LabelledScene.judgeable` before it is judged."""
        frames = scene.frames_with_labelled_clouds if self.clouds == "labels" else scene.frames
        return detect_clouds(self.detector, frames, self.settings)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What it can be judged by: a detector without shadows is not blamed for them, nor praised for labels."""
        if self.clouds == "labels":
            return SHADOW_ONLY
        return WITH_SHADOWS if "shadow" in self.detector.answers else CLOUD_ONLY

    @property
    def uses(self) -> frozenset[str]:
        """Settings that change its answer; a preset in its name takes the place of any other."""
        return frozenset(self.detector.uses) - ({"preset"} if ":" in self.name else set())

    @property
    def mask(self) -> MaskSettings | None:
        """The settings of its mask, None when it makes none of a probability."""
        return self.settings.mask if "preset" in self.detector.uses else None

    def describe(self) -> str:
        """Its settings in words."""
        mask = self.mask
        if self.clouds is not None:
            return "clouds of the labels" if self.clouds == "labels" else "clouds of the mask in the scene"
        if mask is None:
            return "none"
        unit = "px" if mask.unit == "pixel" else "m"
        smoothing = f"sigma {mask.sigma:g} {unit}" if mask.sigma else f"averaged over {mask.average_over or 0:g} {unit}"
        words = [f"threshold {mask.threshold:g}", smoothing]
        if mask.erosion_size:
            words.append(f"eroded by {mask.erosion_size:g} {unit}")
        words.append(f"grown by {mask.dilation_size or 0:g} {unit}")
        if self.settings.resolution is not None:
            words.append(f"computed at {self.settings.resolution:g} m")
        return ", ".join(words)


def contestants(names: Sequence[str], settings: DetectorSettings) -> list[Contestant]:
    """Detectors by name; `NAME:PRESET` takes the mask settings of another preset.

    `:labels` and `:stored` after a detector of shadows take the clouds of the labels and of the mask in the scene.

    :raises ConfigurationError: an unknown detector or preset, one name twice, or a plugin that cannot be loaded.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"detector {', '.join(twice)} is given twice: name each once.")
    return [_contestant(name, settings) for name in names]


def _contestant(name: str, settings: DetectorSettings) -> Contestant:
    key, colon, preset = name.partition(":")
    detector = find_detector(key)
    if key in OF_GIVEN_CLOUDS and colon and preset not in get_args(Preset):
        return _of_given_clouds(name, key, preset, settings)
    if colon and "preset" not in detector.uses:
        raise ConfigurationError(f"detector {key!r} has no preset: name it without {colon + preset!r}.")
    # DetectorSettings refuses a preset that there is not.
    chosen = replace(settings, preset=preset) if colon else settings  # type: ignore[arg-type]
    return Contestant(name, detector, chosen)


def _of_given_clouds(name: str, key: str, clouds: str, settings: DetectorSettings) -> Contestant:
    for known in get_args(GivenClouds):
        if clouds == known:
            return Contestant(name, OF_GIVEN_CLOUDS[key], settings, known)
    choices = (*get_args(GivenClouds), *get_args(Preset))
    raise ConfigurationError(
        f"detector {name!r}: {clouds!r} is neither clouds nor a preset{did_you_mean(clouds, choices)}: give one of"
        f" {', '.join(choices)}."
    )


def without_baselines(chosen: Sequence[Contestant]) -> list[Contestant]:
    """All but the baselines, or these where there is nothing else: those of pictures."""
    return [each for each in chosen if not each.detector.baseline] or list(chosen)

"""What a run will do, known before any work starts: patches, their roles, dates, requests and bytes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from eotasks.area import Patch
from eotasks.errors import TooFewFramesError
from eotasks.models.landcover.validation import split_patches
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.sections import TimeConfig, ValidationConfig
from eotasks.workflows.land_cover.sources.base import Cost, Outline, expected_frames

Role = Literal["train", "test", "blocks", "none"]
"""What a patch is for: training, testing, both by spatial blocks, or prediction only."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    patches: tuple[Patch, ...]
    """In north-up reading order."""

    test: frozenset[str]
    """Names of the patches held out for the main validation; empty where blocks are."""

    outline: Outline

    times: tuple[dt.datetime, ...] | None
    """Acquisitions of the period, where they are known before the work; None where the service has to be asked."""

    cost: Cost

    stored_bytes: int
    """Bytes of arrays in the results before compression, estimated."""

    split: Literal["patches", "blocks"] = "patches"
    """How the validation holds samples out."""

    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Texts that change when what the source reads does, by the key of the input."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Texts that change when what the source reads for a patch does, by its name."""

    absent: frozenset[str] = frozenset()
    """Features that the source brings as a rule, and has not here."""

    def role(self, name: str) -> Role:
        """What a patch is for."""
        if self.split == "blocks":
            return "blocks"
        return "test" if name in self.test else "train"


def make_plan(config: LandCoverConfig, resolved: ResolvedFeatures) -> Plan:
    """Patches, their roles, and what the run will cost.

    :raises AreaError: when the area is missing, empty, or outside of the source.
    :raises TooFewFramesError: when the source has no acquisition in the configured period.
    :raises ConfigurationError: when the patches cannot be split into training and testing as configured.
    """
    found = config.source.plan(config)
    times = _in_period(found.times, config.time)
    frames = len(times) if times is not None else expected_frames(config.time)
    return Plan(
        patches=found.patches,
        test=_test_patches(config.validation, found.patches, config.validation.seeds[0]),
        outline=found.outline,
        times=times,
        cost=found.cost,
        stored_bytes=_stored_bytes(config, resolved, found.patches, frames),
        split=config.validation.split,
        fingerprints=found.fingerprints,
        versions=found.versions,
        absent=found.absent,
    )


def _in_period(times: Sequence[dt.datetime] | None, period: TimeConfig) -> tuple[dt.datetime, ...] | None:
    if times is None:
        return None
    inside = tuple(time for time in times if period.start <= time.date() <= period.end)
    if not inside:
        raise TooFewFramesError(
            f"The source has {len(times)} acquisitions, none from {period.start} to {period.end}:"
            " change time.start and time.end."
        )
    return inside


def seed_splits(validation: ValidationConfig, patches: Sequence[Patch]) -> dict[int, frozenset[str]]:
    """Patches held out by each seed of the validation."""
    return {seed: _test_patches(validation, patches, seed) for seed in validation.seeds}


def _test_patches(validation: ValidationConfig, patches: Sequence[Patch], seed: int) -> frozenset[str]:
    if validation.split == "blocks":
        return frozenset()
    names = [patch.name for patch in patches]
    if validation.test_patches is not None:
        _, test = split_patches(names, test=list(validation.test_patches), seed=seed)
    else:
        _, test = split_patches(names, test=validation.test_fraction, seed=seed)
    return frozenset(test)


def _stored_bytes(config: LandCoverConfig, resolved: ResolvedFeatures, patches: Sequence[Patch], frames: int) -> int:
    pixels = sum(patch.height * patch.width for patch in patches)
    step = config.features.step_days
    dates = frames if step is None else -(-(config.time.end - config.time.start).days // step)
    observed = frames * (4 * (len(resolved.kept_bands) + len(resolved.indices) + 1) + 3)
    return pixels * (observed + dates * 4 * len(resolved.names))

"""A simulated year on top of the embedded real acquisition as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from eolearn.core import EOTask, FeatureType
from pydantic import Field
from sentinelhub.geometry import Geometry

from eotasks.features import Feature
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.models.simulation.year import SimulationSettings, acquisition_times
from eotasks.sources.simulated import (
    RECONSTRUCTED,
    TRUTH_CIRRUS,
    TRUTH_CLOUD,
    TRUTH_SHADOW,
    TRUTH_SNOW,
    SimulateYearTask,
)
from eotasks.workflows.land_cover.sections import TimeConfig
from eotasks.workflows.land_cover.sources.base import (
    BANDS,
    IS_DATA,
    Companion,
    Provenance,
    Settings,
    Source,
    SourcePlan,
)
from eotasks.workflows.land_cover.sources.sample import SCENE, SampleSource, plan_in_scene_crs

FULL_ACQUISITIONS = 40
"""Of a year at full size."""


class SimulatedSource(Source):
    """A simulated year on top of the embedded real acquisition."""

    title: ClassVar[str] = "Simulated year"
    has_embedded_labels: ClassVar[bool] = True
    stored_features: ClassVar[tuple[Feature, ...]] = (
        TRUTH_CLOUD,
        TRUTH_CIRRUS,
        TRUTH_SHADOW,
        TRUTH_SNOW,
        RECONSTRUCTED,
        (FeatureType.META_INFO, "SIMULATED"),
    )

    kind: Literal["simulated"] = Field("simulated", description="Which source this is.")
    year: int = Field(2017, ge=2015, le=2100, description="Calendar year that is simulated.")
    acquisitions: int = Field(12, ge=1, le=400, description="Number of simulated acquisitions in that year.")
    snow: bool = Field(False, description="Whether winter acquisitions may carry snow.")
    real_acquisition: bool = Field(
        False,
        description="Also take the real acquisition alone through reading, cloud mask and map, with all 13 bands and"
        " neither filter nor resampling. Only inside the embedded scene.",
    )

    @property
    def is_simulated(self) -> bool:
        return True

    def problems(self, settings: Settings) -> Iterator[str]:
        if settings.clouds.compares_frames and (self.acquisitions < 2 or self.real_acquisition):
            yield (
                f"clouds.detector {settings.clouds.detector!r} compares frames: give source.acquisitions of 2 or more,"
                " and leave out source.real_acquisition, which is a single one"
            )

    def check_area(self, settings: Settings, area: Geometry) -> None:
        if self.real_acquisition:
            SampleSource().check_area(settings, area)

    def at_full_size(self) -> Self:
        return self.model_copy(update={"acquisitions": FULL_ACQUISITIONS})

    def companion(self, settings: Settings) -> Companion | None:
        """The real acquisition: nothing to filter or resample; all 13 bands make up for it."""
        if not self.real_acquisition:
            return None
        valid = settings.valid.model_copy(update={"min_valid_fraction": 0.0, "keep_at_least": None, "min_frames": 1})
        features = settings.features.model_copy(update={"step_days": None, "bands": L1C_BANDS})
        changes = {"source": SampleSource(), "valid": valid, "features": features, "time": TimeConfig()}
        return Companion(SampleSource.title, changes)

    def band_names(self, settings: Settings) -> tuple[str, ...]:
        return L1C_BANDS

    def plan(self, settings: Settings) -> SourcePlan:
        """The ground goes on beyond the scene as its mirror image, but in the scene's coordinate system."""
        found = plan_in_scene_crs(settings.area)
        simulation = SimulationSettings(
            seed=settings.seed, year=self.year, acquisitions=self.acquisitions, snow=self.snow
        )
        return SourcePlan(found.patches, found.outline, times=tuple(acquisition_times(simulation)))

    def task(self, settings: Settings) -> EOTask:
        return SimulateYearTask(
            BANDS,
            IS_DATA,
            seed=settings.seed,
            year=self.year,
            acquisitions=self.acquisitions,
            snow=self.snow,
            resolution=settings.area.resolution,
        )

    def note(self, settings: Settings) -> str:
        return (
            f"{self.acquisitions} acquisitions of {self.year}, simulated on top of the real ground of one scene:"
            " seasons, crop calendars, haze, clouds, cirrus, shadows. The simulator has not seen the labels."
        )

    def provenance(self, settings: Settings) -> list[Provenance]:
        return [
            Provenance("Ground of the simulation", "real", SCENE),
            Provenance("Ground under its clouds and shadows", "reconstructed", "refilled from similar clear ground"),
            Provenance(
                f"{self.acquisitions} acquisitions of {self.year}, clouds, shadows",
                "simulated",
                f"eotasks.models.simulation, seed {settings.seed}",
            ),
        ]

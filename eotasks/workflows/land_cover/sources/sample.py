"""The embedded real acquisition as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from eolearn.core import EOTask
from pydantic import Field
from sentinelhub.geometry import Geometry

from eotasks.errors import AreaError, GridError
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.sources.sample import SAMPLE_BBOX, SAMPLE_TIME, LoadSampleTask
from eotasks.workflows.land_cover.sections import AreaConfig
from eotasks.workflows.land_cover.sources.base import BANDS, IS_DATA, Provenance, Settings, Source, SourcePlan
from eotasks.workflows.land_cover.sources.patches import area_patches

SCENE = (
    f"Sentinel-2 L1C, tile 33UUU, {SAMPLE_TIME:%Y-%m-%d}; contains modified Copernicus Sentinel data {SAMPLE_TIME:%Y};"
    " lossy JPEG 2000"
)
"""Where the pixels of the embedded scene come from."""


class SampleSource(Source):
    """The embedded real acquisition: Sentinel-2 L1C, tile 33UUU, 2017-02-16.

    With a single date, `valid.min_valid_fraction` is 0, `valid.min_frames` 1 and `features.bands` all 13 unless said
    otherwise, and there is nothing to resample.
    """

    title: ClassVar[str] = "Real acquisition"
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {"valid": {"min_valid_fraction": 0.0, "min_frames": 1}, "features": {"bands": list(L1C_BANDS)}}
    )
    has_embedded_labels: ClassVar[bool] = True

    kind: Literal["sample"] = Field("sample", description="Which source this is.")

    def problems(self, settings: Settings) -> Iterator[str]:
        if settings.features.step_days is not None:
            yield "features.step_days: the sample is a single acquisition, there is no series: leave it out"
        if settings.clouds.compares_frames:
            yield (
                f"clouds.detector {settings.clouds.detector!r} compares frames, and the sample is a single acquisition:"
                " take another detector"
            )

    def check_area(self, settings: Settings, area: Geometry) -> None:
        if not area.transform(SAMPLE_BBOX.crs).geometry.intersects(SAMPLE_BBOX.geometry):
            raise AreaError(
                f"The area lies outside of {_the_scene()}, which has the only pixels of this source: `eotasks"
                " new-config land-cover --area FILE` writes a configuration for an area of your own."
            )

    def at_full_size(self) -> Self:
        return self

    def band_names(self, settings: Settings) -> tuple[str, ...]:
        return L1C_BANDS

    def plan(self, settings: Settings) -> SourcePlan:
        found = plan_in_scene_crs(settings.area)
        outside = [patch.name for patch in found.patches if not patch.bbox.geometry.within(SAMPLE_BBOX.geometry)]
        if outside:
            raise AreaError(
                f"{len(outside)} of {len(found.patches)} patches, such as {outside[0]}, lie outside of"
                f" {_the_scene()}. Choose an area inside of it; beside a simulated year elsewhere, set"
                " source.real_acquisition = false."
            )
        return SourcePlan(found.patches, found.outline, times=(SAMPLE_TIME,))

    def task(self, settings: Settings) -> EOTask:
        return LoadSampleTask(BANDS, IS_DATA, resolution=settings.area.resolution)

    def note(self, settings: Settings) -> str:
        labels = " The labels were drawn by volunteers and cover about a third of the scene."
        return (
            "A single real winter acquisition, partly cloudy. Its scores are real, but those of one day."
            f"{labels if settings.reference.kind == 'sample' else ''}"
        )

    def provenance(self, settings: Settings) -> list[Provenance]:
        return [Provenance("Reflectance", "real", SCENE)]


def plan_in_scene_crs(area: AreaConfig) -> SourcePlan:
    """Patches of an area, the embedded scene's by default, in the scene's coordinate system.

    :raises GridError: when they are in another one.
    """
    patches, outline = area_patches(area, default=Geometry(SAMPLE_BBOX.geometry, SAMPLE_BBOX.crs))
    elsewhere = [patch.name for patch in patches if patch.bbox.crs != SAMPLE_BBOX.crs]
    if elsewhere:
        raise GridError(
            f"{len(elsewhere)} of {len(patches)} patches, such as {elsewhere[0]}, are in another coordinate system than"
            f" {_the_scene()}: give the area in that one."
        )
    return SourcePlan(patches, outline)


def _the_scene() -> str:
    return f"the embedded scene, {tuple(SAMPLE_BBOX)} in EPSG:{SAMPLE_BBOX.crs.epsg}"

"""The configuration of the land-cover workflow, read from TOML, and what of it has to fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from eotasks.models.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from eotasks.models.sentinel2 import BANDS
from eotasks.text import excerpt, unknown_words, whole_number
from eotasks.workflows.land_cover.sections import (
    AreaConfig,
    ClassEntry,
    CloudConfig,
    FeatureConfig,
    ModelConfig,
    OutputConfig,
    ReferenceConfig,
    RunConfig,
    SamplingConfig,
    Section,
    TimeConfig,
    ValidationConfig,
    ValidConfig,
    refuse,
)
from eotasks.workflows.land_cover.sources.registry import SOURCES, AnySource

CONFIG_VERSION = 1
"""Rule: a file of an older version is read as long as its keys still exist; a newer one is refused."""


def _is_table(data: dict[str, Any], name: str) -> bool:
    return isinstance(data.get(name, {}), dict)


class LandCoverConfig(Section):
    """Land cover from an area of interest to a validated map."""

    version: int = Field(CONFIG_VERSION, ge=1, description="Version of this file's form.")
    title: str = Field("Land cover", description="Title of the report.")
    seed: int = Field(42, ge=0, description="Seed of everything that is drawn at random.")
    area: AreaConfig = Field(default_factory=AreaConfig, description=AreaConfig.__doc__)
    source: AnySource = Field(description="Where the pixels come from.")
    time: TimeConfig = Field(default_factory=TimeConfig, description=TimeConfig.__doc__)
    clouds: CloudConfig = Field(default_factory=CloudConfig, description=CloudConfig.__doc__)
    valid: ValidConfig = Field(default_factory=ValidConfig, description=ValidConfig.__doc__)
    features: FeatureConfig = Field(default_factory=FeatureConfig, description=FeatureConfig.__doc__)
    reference: ReferenceConfig = Field(default_factory=ReferenceConfig, description=ReferenceConfig.__doc__)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description=SamplingConfig.__doc__)
    model: ModelConfig = Field(default_factory=ModelConfig, description=ModelConfig.__doc__)
    validation: ValidationConfig = Field(default_factory=ValidationConfig, description=ValidationConfig.__doc__)
    output: OutputConfig = Field(default_factory=OutputConfig, description=OutputConfig.__doc__)
    run: RunConfig = Field(default_factory=RunConfig, description=RunConfig.__doc__)
    classes: tuple[ClassEntry, ...] = Field(
        default_factory=lambda: tuple(ClassEntry(id=c.id, name=c.name, color=c.color) for c in SLOVENIAN_CLASSES),
        description="The class table; id 0 is unlabelled and never a class.",
    )

    @field_validator("version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version > CONFIG_VERSION:
            raise ValueError(f"file of version {version}, this eotasks reads up to {CONFIG_VERSION}: upgrade eotasks")
        return version

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_source(cls, data: Any) -> Any:
        """What a table leaves out may have another default with this source."""
        source = data.get("source") if isinstance(data, dict) else None
        kind = source.get("kind") if isinstance(source, dict) else getattr(source, "kind", None)
        if not isinstance(kind, str) or kind not in SOURCES:
            return data
        defaults = SOURCES[kind].defaults
        filled = {name: {**keys, **data.get(name, {})} for name, keys in defaults.items() if _is_table(data, name)}
        return {**data, **filled}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        refuse(
            [
                *self._area_problems(),
                *self._band_problems(),
                *self.source.problems(self),
                *self._reference_problems(),
            ]
        )
        return self

    def _area_problems(self) -> Iterator[str]:
        split = self.area.file is not None or self.area.bbox is not None
        if not split and (self.area.centre_patch is not None or self.area.buffer):
            yield "area: centre_patch and buffer belong to file or bbox; choose patches in the grid's file"

        if self.output.clip and self.area.file is None and self.area.bbox is None:
            yield "output.clip: there is no polygon to clip to: give area.file or area.bbox, or leave it out"

    def _band_problems(self) -> Iterator[str]:
        lists = {"features.bands": self.features.bands, "features.indices": self.features.indices}
        lists["source.bands"] = getattr(self.source, "bands", None) or ()
        lists |= {"validation.seeds": tuple(map(str, self.validation.seeds))}
        for name, values in lists.items():
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                yield f"{name}: {', '.join(twice)} stands there more than once: once is enough"
        unknown = [band for band in self.features.bands if band not in BANDS]
        if unknown:
            yield f"features.bands: {unknown_words(unknown, BANDS)} unknown; there are {', '.join(BANDS)}"
        if not self.features.bands and not self.features.indices:
            yield "features: neither bands nor indices are left for the model"

    def _reference_problems(self) -> Iterator[str]:
        if self.reference.kind == "sample" and not self.source.has_embedded_labels:
            yield (
                f"reference: kind 'sample' does not lie under source {self.source.kind!r}: give kind 'vector' or"
                " 'raster' and path, the file of your labels"
            )
        if self.clouds.method == "source" and not self.source.has_clouds:
            yield f"clouds.method: source {self.source.kind!r} brings no cloud mask: use 'single-scene'"
        if self.reference.kind == "raster":
            wrong = [value for value in self.reference.classes or {} if whole_number(value.removeprefix("-")) is None]
            if wrong:
                yield f"reference.classes: {excerpt(wrong[0])} is no value of a raster: give whole numbers"
        names = self.class_table.names
        unknown = sorted(set((self.reference.classes or {}).values()) - set(names))
        if unknown:
            yield (f"reference.classes: {unknown_words(unknown, names)} not in the class table: {', '.join(names)}")

    @property
    def class_table(self) -> ClassTable:
        """The class table as the models know it."""
        return ClassTable(tuple(LandCoverClass(entry.id, entry.name, entry.color) for entry in self.classes))

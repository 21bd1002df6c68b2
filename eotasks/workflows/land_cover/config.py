"""The configuration of the land-cover workflow: every field described, unknown keys refused, read from TOML."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from eotasks.models.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from eotasks.models.sentinel2 import BANDS

CONFIG_VERSION = 1
"""Rule: a file of an older version is read as long as its keys still exist; a newer one is refused."""


class Section(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AreaConfig(Section):
    """Where: one of a file of polygons, a bounding box or a patch grid. Leave all three out for the embedded sample."""

    file: str | None = Field(
        None, description="Vector file with the polygons of the area of interest, on disk or s3://."
    )
    bbox: tuple[float, float, float, float] | None = Field(
        None, description="Bounding box [west, south, east, north] in `crs`, instead of a file."
    )
    patch_grid: str | None = Field(
        None, description="Vector file in which each polygon's bounds are one patch, instead of `file` or `bbox`."
    )
    crs: str | None = Field(None, description="Coordinate system of `bbox`, such as 'EPSG:32633'.")
    buffer: float = Field(0, ge=0, description="Metres by which the polygons are widened.")
    grid: Literal["utm", "bbox"] = Field(
        "utm", description="'utm' aligns patches with the UTM zones' grid; 'bbox' with the box's own upper left corner."
    )
    patch_size: float = Field(5000, gt=0, description="Side of a patch in metres; a whole number of pixels.")
    resolution: float = Field(10, gt=0, description="Size of a pixel in metres.")
    centre_patch: int | None = Field(
        None, ge=0, description="Use only patches around this index of the grid; None uses all."
    )
    centre_radius: int = Field(2, ge=0, description="Patches on each side of `centre_patch`: 2 makes a 5 x 5 block.")

    @model_validator(mode="after")
    def _one_way_to_say_where(self) -> Self:
        given = [name for name in ("file", "bbox", "patch_grid") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: keep one")
        if self.bbox is not None and self.crs is None:
            raise ValueError("bbox needs crs, such as 'EPSG:32633'")
        return self


class SampleSource(Section):
    """The embedded real acquisition: Sentinel-2 L1C, tile 33UUU, 2017-02-16.

    With a single date, `valid.min_valid_fraction` is 0, `valid.min_frames` 1 and `features.bands` all 13 unless said
    otherwise, and there is nothing to resample.
    """

    kind: Literal["sample"] = Field("sample", description="Which source this is.")


class SimulatedSource(Section):
    """A simulated year on top of the embedded real acquisition."""

    kind: Literal["simulated"] = Field("simulated", description="Which source this is.")
    year: int = Field(2017, ge=2015, le=2100, description="Calendar year that is simulated.")
    acquisitions: int = Field(12, ge=1, le=400, description="Number of simulated acquisitions in that year.")
    snow: bool = Field(False, description="Whether winter acquisitions may carry snow.")
    real_acquisition: bool = Field(
        False,
        description="Also take the real acquisition alone through reading, cloud mask and map, with all 13 bands and"
        " neither filter nor resampling. Only inside the embedded scene.",
    )


class EOPatchesSource(Section):
    """A folder of existing EOPatches."""

    kind: Literal["eopatches"] = Field("eopatches", description="Which source this is.")
    folder: str = Field(description="Folder or s3:// prefix of EOPatches, or one EOPatch; never written to.")
    features: dict[str, str] = Field(
        description="Our feature name -> 'feature_type/NAME' in the EOPatches, such as CLM = 'mask/CLM'."
    )
    bands: tuple[str, ...] | None = Field(
        None, description="Bands of the BANDS feature in its order; None by count (13, or the ten of the cloud model)."
    )
    simulated: bool = Field(False, description="Whether these EOPatches hold simulated data; the report then says so.")


class SentinelHubSource(Section):
    """Sentinel Hub's Process API; needs an account (profile or environment of the sentinelhub package)."""

    kind: Literal["sentinelhub"] = Field("sentinelhub", description="Which source this is.")
    collection: str = Field("SENTINEL2_L1C", description="Name of a sentinelhub DataCollection.")
    bands: tuple[str, ...] = Field(
        ("B02", "B03", "B04", "B08", "B11", "B12"), description="Bands to download, in this order."
    )
    maxcc: float = Field(0.8, ge=0, le=1, description="Greatest cloud coverage of a scene, 0 to 1.")
    time_difference_minutes: float = Field(120, gt=0, description="Acquisitions closer than this count as one.")
    mosaicking_order: Literal["mostRecent", "leastRecent", "leastCC"] | None = Field(
        None, description="Which acquisition is on top where several overlap; None is the service's default."
    )
    cache_folder: str | None = Field(None, description="Folder that keeps the service's answers; None keeps none.")
    profile: str | None = Field(None, description="Profile of the sentinelhub configuration; None is the default one.")
    max_threads: int = Field(5, ge=1, le=50, description="Downloads at a time within one patch.")


Source = Annotated[SampleSource | SimulatedSource | EOPatchesSource | SentinelHubSource, Field(discriminator="kind")]


class TimeConfig(Section):
    """The period of the map."""

    start: dt.date = Field(dt.date(2017, 1, 1), description="First day that is used.")
    end: dt.date = Field(dt.date(2017, 12, 31), description="Last day that is used.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        return self


class CloudConfig(Section):
    """Cloud probability and mask."""

    method: Literal["single-scene", "source"] = Field(
        "single-scene",
        description="'single-scene' computes probabilities with the s2cloudless model (needs its ten L1C bands);"
        " 'source' takes the mask CLM that the source brings.",
    )
    resolution: float | None = Field(
        None, gt=0, description="Metres at which the probability is computed; None is the bands' own resolution."
    )
    sampling: Literal["mean", "nearest"] = Field(
        "mean", description="How bands are brought to `resolution`: exact area mean, or nearest as the service does."
    )
    threshold: float = Field(0.4, ge=0, le=1, description="A pixel is cloud strictly above this probability.")
    average_over: int = Field(
        4, ge=0, description="Radius, in pixels, of the disk over which probabilities are averaged; 0 averages nothing."
    )
    dilation_size: int = Field(
        2, ge=0, description="Radius, in pixels, of the disk by which the mask grows; 0 leaves it."
    )


class ValidConfig(Section):
    """Which observations count."""

    snow: Literal["ignore", "exclude", "keep"] = Field(
        "ignore",
        description="'exclude' drops snow, 'keep' takes snow that was called cloud back in (both need B03, B08, B11).",
    )
    water: Literal["ignore", "exclude", "keep"] = Field(
        "ignore", description="The same for water; dark lakes are a known false positive of the cloud model."
    )
    min_valid_fraction: float = Field(
        0.8, ge=0, lt=1, description="A frame stays when strictly more than this share of it is valid."
    )
    keep_at_least: int | None = Field(
        None, ge=1, description="When fewer frames pass, keep this many of the clearest ones; None never does."
    )
    min_frames: int = Field(
        2, ge=1, description="Frames that must remain in a patch; with fewer the patch fails and says so."
    )


class FeatureConfig(Section):
    """What the model sees of each pixel."""

    bands: tuple[str, ...] = Field(
        ("B02", "B03", "B04", "B08", "B11", "B12"), description="Bands that become features."
    )
    indices: tuple[str, ...] = Field(("NDVI", "NDWI", "NDBI"), description="Normalised difference indices.")
    step_days: int | None = Field(
        None, ge=1, description="Days between the dates of the resampled series; None uses the frames as they are."
    )
    edges: Literal["nan", "nearest"] = Field(
        "nan", description="Before the first and after the last valid observation: no value, or the nearest one."
    )


class ReferenceConfig(Section):
    """Where labels come from."""

    kind: Literal["sample", "vector", "raster", "feature"] = Field(
        "sample",
        description="'sample': OpenStreetMap land use of the embedded scene; 'vector' or 'raster': a file; 'feature':"
        " the LULC feature that the source brings.",
    )
    path: str | None = Field(None, description="The file, for 'vector' and 'raster'.")
    layer: str | None = Field(None, description="Layer of the vector file; None is its only or first one.")
    column: str = Field("lulcid", description="Column with the class, for 'vector'.")
    classes: dict[str, str] | None = Field(
        None, description="Value in the file -> class name; None when the file holds the ids of the class table."
    )
    overlap: Literal["smallest", "largest", "last", "exclude"] = Field(
        "smallest", description="Where polygons overlap: which one wins, or 'exclude' for no label."
    )
    ignore_unmapped: bool = Field(False, description="Leave values that `classes` does not name unlabelled.")
    erosion_radius: int = Field(1, ge=0, description="Pixels taken off the edge of each labelled area; 0 takes none.")

    @model_validator(mode="after")
    def _path_where_due(self) -> Self:
        if self.kind in ("vector", "raster") and not self.path:
            raise ValueError(f"kind = {self.kind!r} needs path, the file with the labels")
        return self


class SamplingConfig(Section):
    """Pixels that train and test the model."""

    fraction: float = Field(
        1.0, gt=0, le=1, description="Share of each class drawn from each patch; tests use all that is drawn."
    )
    per_class: int | None = Field(
        None, ge=1, description="Training takes at most this many of them, of each class in each patch; None takes all."
    )


class ModelConfig(Section):
    """The LightGBM classifier."""

    parameters: dict[str, float | int | str | bool] = Field(
        default_factory=dict, description="LightGBM parameters that replace the defaults of LGBMClassifier."
    )


class ValidationConfig(Section):
    """How the map's quality is estimated."""

    split: Literal["patches", "blocks"] = Field(
        "patches", description="'patches' holds out whole patches; 'blocks' a checkerboard of blocks, both colours."
    )
    test_patches: tuple[int, ...] | None = Field(
        None, description="Indices of the patches held out, in north-up reading order; None draws `test_fraction`."
    )
    test_fraction: float = Field(0.2, gt=0, lt=1, description="Share of the patches held out.")
    block_size: int = Field(10, ge=1, description="Side of a block in pixels, for 'blocks'.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (42, 43, 44, 45, 46), min_length=1, description="The model is validated once per seed; the first makes the map."
    )


class OutputConfig(Section):
    """Where results go."""

    folder: str = Field(
        "results/land-cover", description="A folder, or 's3://bucket/prefix'; nothing that a run reads may lie in it."
    )
    scores: bool = Field(False, description="Also save the score of each class as a map.")


class RunConfig(Section):
    """How the batch is run. Nothing here changes a value of the result."""

    executor: Literal["processes", "threads", "serial", "ray"] = Field("processes", description="What runs patches.")
    ray: str | None = Field(
        None,
        description="Cluster for executor 'ray': 'auto' joins the one that runs here, 'HOST:PORT' another, 'local'"
        " starts one. None is RAY_ADDRESS, else 'local'.",
    )
    workers: int | None = Field(None, ge=1, description="Patches at a time; None as many as cores and memory allow.")
    threads: int | None = Field(None, ge=1, description="Threads of the engines; None shares the cores out.")

    @model_validator(mode="after")
    def _ray_where_due(self) -> Self:
        if self.ray is not None and self.executor != "ray":
            raise ValueError(f"ray = {self.ray!r} belongs to executor 'ray', not {self.executor!r}: leave one out")
        return self


def _is_table(data: dict[str, Any], name: str) -> bool:
    return isinstance(data.get(name, {}), dict)


class ClassEntry(Section):
    """A class of the map."""

    id: int = Field(ge=0, le=255, description="Value in the maps.")
    name: str = Field(min_length=1, description="Name.")
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$", description="Colour as #rrggbb.")


class LandCoverConfig(Section):
    """Land cover from an area of interest to a validated map."""

    version: int = Field(CONFIG_VERSION, ge=1, description="Version of this file's form.")
    title: str = Field("Land cover", description="Title of the report.")
    seed: int = Field(42, ge=0, description="Seed of everything that is drawn at random.")
    area: AreaConfig = Field(default_factory=AreaConfig, description=AreaConfig.__doc__)
    source: Source = Field(description="Where the pixels come from.")
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
    def _defaults_of_a_single_date(cls, data: Any) -> Any:
        """What a table leaves out is another default where the source has one date only."""
        source = data.get("source") if isinstance(data, dict) else None
        kind = source.get("kind") if isinstance(source, dict) else getattr(source, "kind", None)
        if kind != "sample":
            return data
        defaults: dict[str, dict[str, Any]] = {
            "valid": {"min_valid_fraction": 0.0, "min_frames": 1},
            "features": {"bands": list(BANDS)},
        }
        filled = {name: values | data.get(name, {}) for name, values in defaults.items() if _is_table(data, name)}
        return {**data, **filled}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.source.kind == "sample" and self.features.step_days is not None:
            raise ValueError("features.step_days: the sample is a single acquisition, there is no series: leave it out")
        self._check_area()
        self._check_bands()
        self._check_reference()
        return self

    def _check_area(self) -> None:
        where = [self.area.file, self.area.bbox, self.area.patch_grid]
        if self.source.kind == "sentinelhub" and not any(where):
            raise ValueError("area: source 'sentinelhub' needs file, bbox or patch_grid")
        if self.source.kind == "eopatches" and any(where):
            raise ValueError("area: source 'eopatches' brings its own area; remove file, bbox and patch_grid")
        split = self.area.file is not None or self.area.bbox is not None
        if not split and (self.area.centre_patch is not None or self.area.buffer):
            raise ValueError("area: centre_patch and buffer belong to file or bbox; choose patches in the grid's file")

    def _check_bands(self) -> None:
        lists = {"features.bands": self.features.bands, "features.indices": self.features.indices}
        lists["source.bands"] = getattr(self.source, "bands", None) or ()
        lists |= {"validation.seeds": tuple(map(str, self.validation.seeds))}
        for name, values in lists.items():
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{name}: {', '.join(twice)} stands there more than once: once is enough")
        unknown = [band for band in self.features.bands if band not in BANDS]
        if unknown:
            raise ValueError(f"features.bands: {', '.join(unknown)} unknown; there are {', '.join(BANDS)}")
        if not self.features.bands and not self.features.indices:
            raise ValueError("features: neither bands nor indices are left for the model")
        if self.source.kind == "sentinelhub":
            missing = [band for band in self.features.bands if band not in self.source.bands]
            if missing:
                raise ValueError(f"features.bands: {', '.join(missing)} are not among source.bands: add them there")

    def _check_reference(self) -> None:
        if self.reference.kind == "sample" and self.source.kind not in ("sample", "simulated"):
            raise ValueError(f"reference: kind 'sample' does not lie under source {self.source.kind!r}")
        if self.source.kind in ("sample", "simulated") and self.clouds.method == "source":
            raise ValueError(f"clouds.method: source {self.source.kind!r} brings no cloud mask: use 'single-scene'")
        if self.reference.kind == "raster":
            wrong = [value for value in self.reference.classes or {} if not value.lstrip("-").isdigit()]
            if wrong:
                raise ValueError(f"reference.classes: {', '.join(wrong)} is no value of a raster: give whole numbers")
        table = self.class_table
        unknown = sorted(set((self.reference.classes or {}).values()) - set(table.names))
        if unknown:
            known = ", ".join(table.names)
            raise ValueError(f"reference.classes: {', '.join(unknown)} not in the class table: {known}")

    @property
    def class_table(self) -> ClassTable:
        """The class table as the models know it."""
        return ClassTable(tuple(LandCoverClass(entry.id, entry.name, entry.color) for entry in self.classes))

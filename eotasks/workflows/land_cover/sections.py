"""The tables of the land-cover configuration, but for the source's: every field described, unknown keys refused."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eotasks.clouds.detectors.protocol import Detector
from eotasks.clouds.detectors.registry import BUILT_IN, find_detector, suited
from eotasks.clouds.detectors.run import refuse_needs
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR, Need
from eotasks.errors import GridError
from eotasks.geometry.antimeridian import could_be_degrees
from eotasks.geometry.systems import crs_of, in_degrees

DETECTOR_NEEDS: frozenset[Need] = frozenset({"series"})
"""What a source has beside bands, for detectors of clouds."""


class SectionError(ValueError):
    """Several things are wrong with a table, or with how tables fit together: pydantic takes one error of each check.

    :param problems: Each names its key and the cure.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def refuse(problems: Iterable[str]) -> None:
    """:raises SectionError: when there are any."""
    found = tuple(problems)
    if found:
        raise SectionError(found)


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
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[str]:
        given = [name for name in ("file", "bbox", "patch_grid") if getattr(self, name) is not None]
        if len(given) > 1:
            yield f"{' and '.join(given)} exclude each other: keep one"
        pixels = self.patch_size / self.resolution
        if not math.isfinite(pixels) or abs(pixels - round(pixels)) > 1e-6 * pixels:
            sizes = f"patch_size {self.patch_size:g} m is no whole number of pixels of {self.resolution:g} m"
            yield f"{sizes}: choose a multiple"
        if self.bbox is None:
            return
        west, south, east, north = self.bbox
        if self.crs is None:
            example = "'EPSG:4326'" if could_be_degrees(self.bbox) else "'EPSG:32633'"
            yield f"bbox needs crs, such as {example}"
            return
        try:
            degrees: bool | None = in_degrees(crs_of(self.crs))
        except GridError:
            degrees = None
        if degrees is None:
            yield f"crs {self.crs!r} is no coordinate system that is known: write its code, such as 'EPSG:32633'"
        elif not degrees and could_be_degrees(self.bbox):
            yield (
                f"bbox {list(self.bbox)} is in degrees, crs {self.crs!r} is not: write crs = 'EPSG:4326' and grid ="
                f" 'utm', or the box in the units of {self.crs}"
            )
        elif degrees and self.grid == "bbox":
            yield (
                f"grid 'bbox' needs a box in metres, and {self.crs} is in degrees, not in metres: write grid = 'utm',"
                " or the box in a UTM zone"
            )
        if south >= north:
            yield f"bbox {list(self.bbox)} is empty: give [west, south, east, north], south below north"
        elif west == east:
            yield f"bbox {list(self.bbox)} is empty: give [west, south, east, north], west apart from east"


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
        description="'single-scene' finds clouds with `detector`; 'source' takes the mask CLM that the source brings.",
    )
    detector: str = Field(
        DEFAULT_DETECTOR,
        description="What finds clouds, and uses those of the settings below that it has:"
        f" {'; '.join(f'{name}: {BUILT_IN[name].description}' for name in suited(DETECTOR_NEEDS))}; or the name of a"
        " plugin's (eotasks evaluate-clouds --help lists them).",
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

    @model_validator(mode="after")
    def _detector_fits(self) -> Self:
        if self.method == "source":
            if self.detector != DEFAULT_DETECTOR:
                raise ValueError(f"detector {self.detector!r} goes with method 'single-scene': leave one of both out")
            return self
        detector = find_detector(self.detector, available=DETECTOR_NEEDS)
        refuse_needs(detector, DETECTOR_NEEDS, what="a source of land cover", others=suited(DETECTOR_NEEDS))
        fields = type(self).model_fields
        names = ("resolution", "sampling", "threshold", "average_over", "dilation_size")
        given = {name: getattr(self, name) for name in names if getattr(self, name) != fields[name].default}
        refuse(
            f"{name} = {value!r} is no setting of detector {self.detector!r}: leave it out"
            for name, value in given.items()
            if name not in detector.uses
        )
        return self

    @property
    def found_by(self) -> Detector | None:
        """What finds clouds, None where the source brings them."""
        return find_detector(self.detector) if self.method == "single-scene" else None

    @property
    def compares_frames(self) -> bool:
        """Whether clouds are found by comparing the frames of a series."""
        return self.found_by is not None and "series" in self.found_by.needs

    @property
    def detector_settings(self) -> DetectorSettings:
        """The settings below as a detector takes them."""
        return DetectorSettings(
            threshold=self.threshold,
            average_over=self.average_over,
            dilation_size=self.dilation_size,
            resolution=self.resolution,
            sampling=self.sampling,
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
    styles: bool = Field(False, description="Also write styles of QGIS (.qml) beside the maps.")
    clip: bool = Field(
        False,
        description="Clip maps to the polygons of `area`: pixels whose centre lies outside are no data, in maps,"
        " pictures and areas.",
    )


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
    patch_timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a patch may take before its worker is ended, for executors 'processes' and 'ray'."
        " None is any time.",
    )

    @model_validator(mode="after")
    def _ray_where_due(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[str]:
        if self.ray is not None and self.executor != "ray":
            yield f"ray = {self.ray!r} belongs to executor 'ray', not {self.executor!r}: leave one out"
        if self.patch_timeout is not None and self.executor in ("threads", "serial"):
            yield (
                f"patch_timeout = {self.patch_timeout:g} needs executor 'processes' or 'ray', {self.executor!r} has no"
                " process to end: leave one out"
            )


class ClassEntry(Section):
    """A class of the map."""

    id: int = Field(ge=0, le=255, description="Value in the maps.")
    name: str = Field(min_length=1, description="Name.")
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$", description="Colour as #rrggbb.")

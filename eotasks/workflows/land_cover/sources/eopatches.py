"""Existing EOPatches as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field
from sentinelhub.constants import CRS

from eotasks.area import Patch
from eotasks.eopatches.load import EOPatchInfo, eopatch_info
from eotasks.errors import AreaError, ConfigurationError, FeatureError, GridError
from eotasks.sources.eopatches import LoadEOPatchTask, list_source_eopatches
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.sources.base import Origin, Provenance, Settings, Source, SourcePlan
from eotasks.workflows.land_cover.sources.patches import in_reading_order

RESOLUTION_TOLERANCE = 1e-3
"""Share by which pixels of existing EOPatches may differ from what the configuration says: rounded corners."""


class EOPatchesSource(Source):
    """A folder of existing EOPatches."""

    has_clouds: ClassVar[bool] = True

    kind: Literal["eopatches"] = Field("eopatches", description="Which source this is.")
    folder: str = Field(description="Folder or s3:// prefix of EOPatches, or one EOPatch; never written to.")
    features: dict[str, str] = Field(
        description="Our feature name -> 'feature_type/NAME' in the EOPatches, such as CLM = 'mask/CLM'."
    )
    bands: tuple[str, ...] | None = Field(
        None, description="Bands of the BANDS feature in its order; None by count (13, or the ten of the cloud model)."
    )
    scales: dict[str, str] = Field(
        default_factory=dict,
        description="What the numbers of BANDS ('reflectance', 'percent', '0..255', 'dn', '0..65535') and CLP ('0..1',"
        " 'percent', '0..255') are; those not named go by their dtype.",
    )
    simulated: bool = Field(False, description="Whether these EOPatches hold simulated data; the report then says so.")

    @property
    def is_simulated(self) -> bool:
        return self.simulated

    def problems(self, settings: Settings) -> Iterator[str]:
        area = settings.area
        if area.file is not None or area.bbox is not None or area.patch_grid is not None:
            yield "area: source 'eopatches' brings its own area; remove file, bbox and patch_grid"

    def with_paths(self, absolute: Callable[[str], str]) -> Self:
        return self.model_copy(update={"folder": absolute(self.folder)})

    def band_names(self, settings: Settings) -> tuple[str, ...] | None:
        return self.bands if "BANDS" in self.features else ()

    def brought(self, settings: Settings) -> frozenset[str]:
        return frozenset(self.features)

    def check_inputs(self, settings: Settings) -> None:
        self._check_mapping(settings)
        if not self.simulated and self._says_simulated():
            raise ConfigurationError(
                f"The EOPatches in {self.folder} say that they hold simulated data: set source.simulated = true."
            )

    def inputs(self) -> dict[str, str]:
        """No fingerprint: of patches that are mended or replaced, what was made of them is made anew, and no more."""
        return {"source.folder": self.folder}

    def plan(self, settings: Settings) -> SourcePlan:
        """Patches with row and column from where they lie.

        :raises GridError: their pixels are of another size than the configuration says.
        :raises FeatureError: no EOPatch has a feature of the mapping.
        """
        infos = {name: eopatch_info(self.folder, name) for name in list_source_eopatches(self.folder)}
        if not infos:
            raise AreaError(f"{self.folder!r} holds no EOPatch: name the folder that contains them in source.folder.")
        self._check_features(infos)
        _check_pixels(infos, settings.area.resolution)
        times = sorted({time for info in infos.values() for time in info.timestamps})
        loading = self.task(settings)
        versions = {name: loading.version(name) for name in infos}
        return SourcePlan(_as_patches(infos), times=tuple(times), versions=versions)

    def task(self, settings: Settings) -> LoadEOPatchTask:
        return LoadEOPatchTask(
            self.folder, self.features, start=settings.time.start, end=settings.time.end, scales=self.scales
        )

    def arguments(self, patch: Patch, settings: Settings) -> dict[str, object]:
        return {"name": patch.name}

    def note(self, settings: Settings) -> str:
        if self.simulated:
            return "The EOPatches hold simulated data, as the configuration says."
        return super().note(settings)

    def provenance(self, settings: Settings) -> list[Provenance]:
        origin: Origin = "simulated" if self.simulated else "real"
        return [Provenance(", ".join(sorted(self.features)), origin, f"EOPatches in {self.folder}")]

    def _check_mapping(self, settings: Settings) -> None:
        """Features that the EOPatches have to bring."""
        needed = {"IS_DATA": "valid data"}
        if settings.clouds.method == "source":
            needed["CLM"] = "clouds.method 'source'"
        if settings.reference.kind == "feature":
            needed["LULC"] = "reference.kind 'feature'"
        if "BANDS" not in self.features:
            needed |= dict.fromkeys(settings.features.indices, "features.indices, without BANDS to compute it from,")
        for name, why in needed.items():
            if name not in self.features:
                cure = ", or add a mask of ones to the EOPatches" if name == "IS_DATA" else ""
                there = ", ".join(sorted(self.features))
                raise FeatureError(f"{why} needs {name}: map it in source.features{cure}; it maps {there}.")

    def _check_features(self, infos: Mapping[str, EOPatchInfo]) -> None:
        """A feature that no EOPatch has is a mistake in the configuration; one that a few lack fails these few."""
        there = {feature for info in infos.values() for feature in info.features}
        for name, feature in self.features.items():
            if feature not in there:
                raise FeatureError(
                    f"source.features: no EOPatch in {self.folder} has {feature!r} for {name}; there are"
                    f" {', '.join(sorted(there))}. Correct the mapping."
                )

    def _says_simulated(self) -> bool:
        """Whether what was simulated comes back as a folder of EOPatches."""
        if is_s3(self.folder):
            return any("/meta_info/SIMULATED.json" in f"/{path}" for path in Place(self.folder).files())
        return next(Path(self.folder).glob("**/meta_info/SIMULATED.json*"), None) is not None


def _check_pixels(infos: Mapping[str, EOPatchInfo], resolution: float) -> None:
    for name, info in infos.items():
        size = (info.bbox.max_y - info.bbox.min_y) / info.shape[0], (info.bbox.max_x - info.bbox.min_x) / info.shape[1]
        if any(abs(side - resolution) > RESOLUTION_TOLERANCE * resolution for side in size):
            raise GridError(
                f"EOPatch {name} has pixels of {size[0]:.6g} x {size[1]:.6g} {_unit(info.bbox.crs)}, area.resolution is"
                f" {resolution:g} m: set area.resolution to theirs."
            )


def _unit(crs: CRS) -> str:
    return "degrees" if crs.pyproj_crs().is_geographic else "m"


def _as_patches(infos: Mapping[str, EOPatchInfo]) -> tuple[Patch, ...]:
    tops = sorted({round(info.bbox.max_y, 3) for info in infos.values()}, reverse=True)
    lefts = sorted({round(info.bbox.min_x, 3) for info in infos.values()})
    return in_reading_order(
        Patch(
            name=name,
            bbox=info.bbox,
            row=tops.index(round(info.bbox.max_y, 3)),
            column=lefts.index(round(info.bbox.min_x, 3)),
            height=info.shape[0],
            width=info.shape[1],
        )
        for name, info in infos.items()
    )

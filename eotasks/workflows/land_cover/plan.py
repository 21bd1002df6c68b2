"""What a run will do, known before any work starts: patches, their roles, dates, requests and bytes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.area import Patch, read_area, read_patch_grid, select_block, split_area
from eotasks.eopatches.load import EOPatchInfo, eopatch_info
from eotasks.errors import AreaError, ConfigurationError, FeatureError, GridError, TooFewFramesError
from eotasks.models.landcover.validation import split_patches
from eotasks.models.simulation.year import SimulationSettings, acquisition_times
from eotasks.sources.eopatches import list_source_eopatches
from eotasks.sources.sample import SAMPLE_BBOX, SAMPLE_TIME
from eotasks.sources.sentinelhub import request_plan
from eotasks.sources.sentinelhub.account import configuration, serves_clouds
from eotasks.workflows.land_cover.config import EOPatchesSource, LandCoverConfig, SampleSource, SimulatedSource
from eotasks.workflows.land_cover.report.results import Role
from eotasks.workflows.land_cover.steps import kept_bands, source_bands

REVISIT_DAYS = 5
"""Two satellites of Sentinel-2 together, at the equator; higher latitudes see a place more often."""

RESOLUTION_TOLERANCE = 1e-3
"""Share by which pixels of existing EOPatches may differ from what the configuration says: rounded corners."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    patches: tuple[Patch, ...]
    """In north-up reading order."""

    test: frozenset[str]
    """Names of the patches held out for the main validation; empty where blocks are."""

    outline: tuple[NDArray[np.float64], ...]
    """Rings of the area of interest, (n, 2) each, in the CRS of the first patch."""

    times: tuple[dt.datetime, ...] | None
    """Acquisitions, where they are known before the work; None where the service has to be asked."""

    requests: int
    """Requests to a service, estimated."""

    download_bytes: int
    """Bytes that travel, estimated."""

    processing_units: float
    """Processing units of Sentinel Hub, estimated."""

    stored_bytes: int
    """Bytes of arrays in the results before compression, estimated."""

    def role(self, name: str, config: LandCoverConfig) -> Role:
        """What a patch is for."""
        if config.validation.split == "blocks":
            return "blocks"
        return "test" if name in self.test else "train"


def make_plan(config: LandCoverConfig) -> Plan:
    """Patches, their roles, and what the run will cost.

    :raises AreaError: when the area is missing, empty, or outside of the source.
    :raises ConfigurationError: when the patches cannot be split into training and testing as configured.
    """
    patches, outline = _patches(config)
    if not patches:
        raise AreaError("The area holds no patch: check area.bbox, area.file and area.patch_size.")
    _check_embedded_scene(config, patches)
    times = known_times(config)
    frames = len(times) if times is not None else _expected_frames(config)
    requests, received, units = 0, 0, 0.0
    if config.source.kind == "sentinelhub":
        clouds = config.clouds.method == "source"
        months = (
            12 * (config.time.end.year - config.time.start.year) + config.time.end.month - config.time.start.month + 1
        )
        own_clouds = serves_clouds(configuration(config.source.profile).sh_base_url)
        estimates = [
            request_plan(
                patch.bbox,
                config.area.resolution,
                config.source.bands,
                frames,
                clouds=clouds,
                own_clouds=own_clouds,
                months=months,
            )
            for patch in patches
        ]
        requests = sum(item.requests for item in estimates)
        received = sum(item.bytes for item in estimates)
        units = sum(item.processing_units for item in estimates)
    return Plan(
        patches=patches,
        test=_test_patches(config, patches, config.validation.seeds[0]),
        outline=outline,
        times=times,
        requests=requests,
        download_bytes=received,
        processing_units=units,
        stored_bytes=_stored_bytes(config, patches, frames),
    )


def known_times(config: LandCoverConfig) -> tuple[dt.datetime, ...] | None:
    """Acquisitions of the source inside the configured period, where they are known without asking a service.

    :raises TooFewFramesError: when there is none.
    """
    source = config.source
    if isinstance(source, SampleSource):
        times: Sequence[dt.datetime] = [SAMPLE_TIME]
    elif isinstance(source, SimulatedSource):
        times = acquisition_times(simulation_settings(config))
    elif isinstance(source, EOPatchesSource):
        infos = [eopatch_info(source.folder, name) for name in list_source_eopatches(source.folder)]
        times = sorted({time for info in infos for time in info.timestamps})
    else:
        return None
    inside = tuple(time for time in times if config.time.start <= time.date() <= config.time.end)
    if not inside:
        raise TooFewFramesError(
            f"The source has {len(times)} acquisitions, none from {config.time.start} to {config.time.end}:"
            " change time.start and time.end."
        )
    return inside


def simulation_settings(config: LandCoverConfig) -> SimulationSettings:
    """The simulator's settings of a configuration with a simulated source."""
    if not isinstance(config.source, SimulatedSource):
        raise ConfigurationError(f"source {config.source.kind!r} simulates nothing.")
    source = config.source
    return SimulationSettings(seed=config.seed, year=source.year, acquisitions=source.acquisitions, snow=source.snow)


def seed_splits(config: LandCoverConfig, patches: Sequence[Patch]) -> dict[int, frozenset[str]]:
    """Patches held out by each seed of the validation."""
    return {seed: _test_patches(config, patches, seed) for seed in config.validation.seeds}


def _patches(config: LandCoverConfig) -> tuple[tuple[Patch, ...], tuple[NDArray[np.float64], ...]]:
    area = config.area
    if isinstance(config.source, EOPatchesSource):
        return _existing_patches(config.source, area.resolution), ()
    if area.patch_grid is not None:
        return _reading_order(read_patch_grid(area.patch_grid, resolution=area.resolution)), ()
    if area.file is not None or area.bbox is not None:
        geometry = read_area(file=area.file, bbox=area.bbox, crs=area.crs, buffer=area.buffer)
    else:
        geometry = Geometry(SAMPLE_BBOX.geometry, SAMPLE_BBOX.crs)
    patches = split_area(geometry, patch_size=area.patch_size, resolution=area.resolution, grid=area.grid)
    if area.centre_patch is not None:
        patches = select_block(patches, centre=area.centre_patch, radius=area.centre_radius)
    crs = patches[0].bbox.crs if patches else geometry.crs
    return _reading_order(patches), _rings(geometry, crs)


def _check_embedded_scene(config: LandCoverConfig, patches: Sequence[Patch]) -> None:
    """The scene has an extent; the year simulated on top of it goes on beyond, but in the scene's coordinate system."""
    if not isinstance(config.source, SampleSource | SimulatedSource):
        return
    scene = f"the embedded scene, {tuple(SAMPLE_BBOX)} in EPSG:{SAMPLE_BBOX.crs.epsg}"
    elsewhere = [patch.name for patch in patches if patch.bbox.crs != SAMPLE_BBOX.crs]
    if elsewhere:
        raise GridError(
            f"{len(elsewhere)} of {len(patches)} patches, such as {elsewhere[0]}, are in another coordinate system than"
            f" {scene}: give the area in that one."
        )
    outside = [patch.name for patch in patches if not patch.bbox.geometry.within(SAMPLE_BBOX.geometry)]
    if outside and isinstance(config.source, SampleSource):
        raise AreaError(
            f"{len(outside)} of {len(patches)} patches, such as {outside[0]}, lie outside of {scene}. Choose an area"
            " inside of it; beside a simulated year elsewhere, set source.real_acquisition = false."
        )


def _reading_order(patches: Sequence[Patch]) -> tuple[Patch, ...]:
    return tuple(sorted(patches, key=lambda patch: (patch.crs, patch.row, patch.column)))


def _existing_patches(source: EOPatchesSource, resolution: float) -> tuple[Patch, ...]:
    """Existing EOPatches in reading order, their row and column from where they lie.

    :raises GridError: their pixels are of another size than the configuration says.
    """
    infos = {name: eopatch_info(source.folder, name) for name in list_source_eopatches(source.folder)}
    if not infos:
        raise AreaError(f"{source.folder!r} holds no EOPatch: name the folder that contains them in source.folder.")
    _check_mapped_features(source, infos)
    for name, info in infos.items():
        size = (info.bbox.max_y - info.bbox.min_y) / info.shape[0], (info.bbox.max_x - info.bbox.min_x) / info.shape[1]
        if any(abs(side - resolution) > RESOLUTION_TOLERANCE * resolution for side in size):
            raise GridError(
                f"EOPatch {name} has pixels of {size[0]:.6g} x {size[1]:.6g} {_unit(info.bbox.crs)}, area.resolution is"
                f" {resolution:g} m: set area.resolution to theirs."
            )
    tops = sorted({round(info.bbox.max_y, 3) for info in infos.values()}, reverse=True)
    lefts = sorted({round(info.bbox.min_x, 3) for info in infos.values()})
    return _reading_order(
        [
            Patch(
                name=name,
                bbox=info.bbox,
                row=tops.index(round(info.bbox.max_y, 3)),
                column=lefts.index(round(info.bbox.min_x, 3)),
                height=info.shape[0],
                width=info.shape[1],
            )
            for name, info in infos.items()
        ]
    )


def _check_mapped_features(source: EOPatchesSource, infos: Mapping[str, EOPatchInfo]) -> None:
    """A feature that no EOPatch has is a mistake in the configuration; one that a few lack fails these few."""
    there = {feature for info in infos.values() for feature in info.features}
    for name, feature in source.features.items():
        if feature not in there:
            raise FeatureError(
                f"source.features: no EOPatch in {source.folder} has {feature!r} for {name}; there are"
                f" {', '.join(sorted(there))}. Correct the mapping."
            )


def _unit(crs: CRS) -> str:
    return "degrees" if crs.pyproj_crs().is_geographic else "m"


def _rings(geometry: Geometry, crs: CRS) -> tuple[NDArray[np.float64], ...]:
    shape = gpd.GeoSeries([geometry.geometry], crs=geometry.crs.pyproj_crs()).to_crs(crs.pyproj_crs()).iloc[0]
    return tuple(np.asarray(polygon.exterior.coords, dtype=np.float64)[:, :2] for polygon in shapely.get_parts(shape))


def _test_patches(config: LandCoverConfig, patches: Sequence[Patch], seed: int) -> frozenset[str]:
    validation = config.validation
    if validation.split == "blocks":
        return frozenset()
    names = [patch.name for patch in patches]
    if validation.test_patches is not None:
        _, test = split_patches(names, test=list(validation.test_patches), seed=seed)
    else:
        _, test = split_patches(names, test=validation.test_fraction, seed=seed)
    return frozenset(test)


def _expected_frames(config: LandCoverConfig) -> int:
    return max(1, ((config.time.end - config.time.start).days + 1) // REVISIT_DAYS)


def _stored_bytes(config: LandCoverConfig, patches: Sequence[Patch], frames: int) -> int:
    pixels = sum(patch.height * patch.width for patch in patches)
    step = config.features.step_days
    dates = frames if step is None else -(-(config.time.end - config.time.start).days // step)
    indices = len(config.features.indices)
    bands = len(kept_bands(config)) if source_bands(config) != () else 0
    observed = frames * (4 * (bands + indices + 1) + 3)
    features = dates * 4 * (len(config.features.bands) + indices)
    return pixels * (observed + features)

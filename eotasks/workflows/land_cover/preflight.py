"""Checks of everything that can be known to be wrong before the first patch is read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pyogrio
import rasterio
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from eotasks.area import Patch
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReferenceDataError
from eotasks.models.landcover.parameters import training_parameters
from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices
from eotasks.reference.labels import check_vector_labels
from eotasks.series import INDICES
from eotasks.sources.sample import sample_reference_path
from eotasks.sources.sentinelhub import load_credentials
from eotasks.storage.local_copy import local_path_of
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.claim import input_paths, remote_inputs
from eotasks.workflows.land_cover.config import EOPatchesSource, LandCoverConfig, ReferenceConfig, SentinelHubSource
from eotasks.workflows.land_cover.steps import SNOW_AND_WATER_BANDS, observe_workflow, source_bands, source_features

Bounds = tuple[float, ...]


def check_inputs(config: LandCoverConfig) -> None:
    """Refuse bad input before work begins.

    :raises EOTasksError: a file, column, feature or band that the run needs is not there.
    """
    _check_bands(config)
    _check_features(config)
    if isinstance(config.source, EOPatchesSource):
        _check_simulated(config.source)
    _check_reference(config)
    training_parameters(config.model.parameters)
    with tempfile.TemporaryDirectory() as nowhere:  # the tasks check their own parameters when they are made
        observe_workflow(config, Place(nowhere), Place(nowhere))


def check_credentials(config: LandCoverConfig) -> None:
    """Whether the service that a run asks can be asked. Apart from the rest: what a run costs is told without them.

    :raises CredentialsError: when there are none.
    """
    if isinstance(config.source, SentinelHubSource):
        load_credentials(config.source.profile)


def check_labels_lie_here(config: LandCoverConfig, patches: Sequence[Patch]) -> None:
    """Refuse a label file that lies elsewhere, by its extent.

    :raises ReferenceDataError: when it cannot be read, or meets no patch.
    :raises GridError: when it has no CRS.
    """
    reference = config.reference
    if reference.kind == "feature":
        return
    path = str(sample_reference_path() if reference.kind == "sample" else reference.path)
    crs, bounds = _extent_of(path, reference)
    if not any(_meet(patch, crs, bounds) for patch in patches):
        raise ReferenceDataError(
            f"None of the {len(patches)} patches has a label: {path} covers"
            f" {', '.join(f'{value:g}' for value in bounds) or 'nothing'} ({crs}), the first patch"
            f" {', '.join(f'{value:g}' for value in patches[0].bbox)} ({patches[0].crs}). Choose another area, or other"
            " labels."
        )


def check_output(config: LandCoverConfig) -> None:
    """Refuse a place that cannot take results, or that inputs lie in.

    :raises ConfigurationError: a file has the name of the folder, or inputs and results lie in each other.
    :raises StorageError: on S3, there is no such bucket or no server.
    :raises CredentialsError: on S3, the credentials are refused.
    """
    place = Place(config.output.folder)
    if place.is_local:
        folder = place.local_path()
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"output.folder {str(folder)!r} is a file: choose a folder.")
        results = folder.resolve()
        for key, path in input_paths(config).items():
            read = path.resolve()
            if read.is_relative_to(results) or (path.is_dir() and results.is_relative_to(read)):
                _refuse_in_each_other(key, path, folder)
        return
    place.exists()
    for key, location in remote_inputs(config).items():
        if _is_below(location, place.location) or _is_below(place.location, location):
            _refuse_in_each_other(key, location, place)


def _refuse_in_each_other(key: str, path: object, place: object) -> NoReturn:
    raise ConfigurationError(
        f"{key} {str(path)!r} and output.folder {str(place)!r} lie in each other: results and what they are made of"
        " need folders of their own."
    )


def _is_below(location: str, folder: str) -> bool:
    return f"{location.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _check_bands(config: LandCoverConfig) -> None:
    """Indices are known, and bands that a step needs are among those of the source, where these have names."""
    unknown = [name for name in config.features.indices if name not in INDICES and name not in source_features(config)]
    if unknown:
        raise ConfigurationError(
            f"features.indices: {', '.join(unknown)} unknown; there are {', '.join(INDICES)}. Others can come from"
            " existing EOPatches, by source.features."
        )
    bands = source_bands(config)
    if bands is None:
        return
    if config.clouds.method == "single-scene":
        missing = [band for band in CLOUD_BANDS if band not in bands]
        if missing:
            raise BandError(
                f"clouds.method 'single-scene' needs {', '.join(CLOUD_BANDS)}; the source lacks {', '.join(missing)}:"
                " add them, or take the source's own mask with clouds.method = 'source'."
            )
    if (config.valid.snow, config.valid.water) != ("ignore", "ignore"):
        band_indices(SNOW_AND_WATER_BANDS, bands, where="valid.snow and valid.water")
    if bands:
        band_indices(config.features.bands, bands, where="features.bands")
    elif config.features.bands:
        raise BandError(
            f"features.bands asks for {', '.join(config.features.bands)}, but the source has no BANDS: map them in"
            " source.features, or empty features.bands."
        )


def _check_features(config: LandCoverConfig) -> None:
    """Features that existing EOPatches have to bring."""
    brought = source_features(config)
    if not brought:
        return
    needed = {"IS_DATA": "valid data"}
    if config.clouds.method == "source":
        needed["CLM"] = "clouds.method 'source'"
    if config.reference.kind == "feature":
        needed["LULC"] = "reference.kind 'feature'"
    if "BANDS" not in brought:
        needed |= dict.fromkeys(config.features.indices, "features.indices, without BANDS to compute it from,")
    for name, why in needed.items():
        if name not in brought:
            cure = ", or add a mask of ones to the EOPatches" if name == "IS_DATA" else ""
            there = ", ".join(sorted(brought))
            raise FeatureError(f"{why} needs {name}: map it in source.features{cure}; it maps {there}.")


def _check_simulated(source: EOPatchesSource) -> None:
    """What was simulated is called so, also when it comes back as a folder of EOPatches."""
    if not source.simulated and _is_marked(source.folder):
        raise ConfigurationError(
            f"The EOPatches in {source.folder} say that they hold simulated data: set source.simulated = true."
        )


def _is_marked(folder: str) -> bool:
    if is_s3(folder):
        return any("/meta_info/SIMULATED.json" in f"/{path}" for path in Place(folder).files())
    return next(Path(folder).glob("**/meta_info/SIMULATED.json*"), None) is not None


def _check_reference(config: LandCoverConfig) -> None:
    reference = config.reference
    if reference.kind == "vector":
        found = check_vector_labels(
            str(reference.path),
            layer=reference.layer,
            column=reference.column,
            classes=None if reference.classes is None else dict.fromkeys(reference.classes, 1),
            ignore_unmapped=reference.ignore_unmapped,
        )
        unknown = sorted(set(found) - set(config.class_table.ids) - {0}) if reference.classes is None else []
        if unknown:
            raise ReferenceDataError(
                f"Column {reference.column!r} of {reference.path} holds {', '.join(map(str, unknown))}, which the class"
                " table does not: add them to classes, or map them in reference.classes."
            )


def _extent_of(path: str, reference: ReferenceConfig) -> tuple[str, Bounds]:
    """CRS and (west, south, east, north) of a file with labels; no bounds where it holds nothing."""
    try:
        if reference.kind == "raster":
            with rasterio.open(local_path_of(path)) as source:
                crs, bounds = source.crs, tuple(source.bounds)
        else:
            info = pyogrio.read_info(local_path_of(path), layer=reference.layer, force_total_bounds=True)
            crs, bounds = info["crs"], tuple(info["total_bounds"] if info["total_bounds"] is not None else ())
    except (RasterioError, DataSourceError, DataLayerError) as error:
        raise ReferenceDataError(f"The labels {path} cannot be read ({error}): check reference.path.") from error
    if crs is None:
        raise GridError(f"The labels {path} have no coordinate system: write one into the file.")
    return str(crs), bounds


def _meet(patch: Patch, crs: str, bounds: Bounds) -> bool:
    if not bounds:
        return False
    try:
        left, bottom, right, top = transform_bounds(patch.crs, crs, *patch.bbox, densify_pts=21)
    except RasterioError:  # the labels' system has no coordinates for this place
        return False
    west, south, east, north = bounds
    return bool(left < east and right > west and bottom < north and top > south)

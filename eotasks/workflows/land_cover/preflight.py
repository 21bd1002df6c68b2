"""Checks of everything that can be known to be wrong before the first patch is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from eotasks.area import Patch, read_area
from eotasks.errors import (
    BandError,
    ConfigurationError,
    GeometryError,
    GridError,
    ImageryError,
    ReferenceDataError,
    reason_of,
)
from eotasks.geometry.degrees import in_degrees
from eotasks.geometry.geoparquet import is_geoparquet, read_geoparquet
from eotasks.geometry.vector_head import layer_info
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.models.classes import ClassTable
from eotasks.models.clouds.surface import SURFACE_BANDS
from eotasks.models.landcover.parameters import training_parameters
from eotasks.models.sentinel2 import band_indices
from eotasks.reference.labels import check_vector_labels
from eotasks.series import INDICES
from eotasks.sources.sample import sample_reference_path
from eotasks.storage.local_copy import local_path_of
from eotasks.storage.place import Place
from eotasks.text import unknown_words
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.problems import Causes
from eotasks.workflows.land_cover.sections import ReferenceConfig

Bounds = tuple[float, ...]


def check_inputs(config: LandCoverConfig, resolved: ResolvedFeatures, causes: Causes) -> bool:
    """Find bad input before work begins. What a task can check of its parameters, it checks when it is made.

    :param causes: Where a file, column, feature or band that the run needs and that is not there is noted.
    :return: Whether the pixels can be planned: all is well with bands and source.
    """
    with causes.noted():
        _check_bands(config, resolved)
    with causes.noted():
        config.source.check_inputs(config)
    _check_area(config, causes)
    is_sound = not causes.errors
    with causes.noted():
        _check_reference(config.reference, resolved.classes)
    with causes.noted():
        training_parameters(config.model.parameters)
    return is_sound


def _check_area(config: LandCoverConfig, causes: Causes) -> None:
    """What is wrong with an area and the grid over it: all at once, since the cures go together."""
    area = config.area
    if area.patch_grid is not None or (area.file is None and area.bbox is None):
        return
    with causes.noted():
        geometry = read_area(file=area.file, bbox=area.bbox, crs=area.crs, buffer=area.buffer)
        if area.grid == "bbox" and geometry.crs.pyproj_crs().is_geographic:
            causes.note(
                GridError(
                    f"area.grid 'bbox' needs an area in metres, and {area.file or 'area.bbox'} is in"
                    f" {geometry.crs.ogc_string()}: write grid = 'utm'."
                )
            )
        config.source.check_area(config, geometry)


def check_labels_lie_here(reference: ReferenceConfig, patches: Sequence[Patch]) -> None:
    """Refuse a label file that lies elsewhere, by its extent.

    :raises ReferenceDataError: when it cannot be read, or meets no patch.
    :raises GridError: when it has no CRS.
    """
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


def check_output(place: Place, inputs: Mapping[str, str]) -> None:
    """Refuse a place that cannot take results, or that inputs lie in.

    :param inputs: Places that are read, by the key that names them.
    :raises ConfigurationError: a file has the name of the folder, or inputs and results lie in each other.
    :raises StorageError: on S3, there is no such bucket or no server.
    :raises CredentialsError: on S3, the credentials are refused.
    """
    if place.is_local:
        folder = place.local_path()
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"output.folder {str(folder)!r} is a file: choose a folder.")
        results = folder.resolve()
        for key, location in inputs.items():
            read = Path(location).resolve()
            if "://" not in location and (
                read.is_relative_to(results) or (read.is_dir() and results.is_relative_to(read))
            ):
                _refuse_in_each_other(key, location, folder)
        return
    place.exists()
    for key, location in inputs.items():
        if _is_below(location, place.location) or _is_below(place.location, location):
            _refuse_in_each_other(key, location, place)


def _refuse_in_each_other(key: str, path: object, place: object) -> NoReturn:
    raise ConfigurationError(
        f"{key} {str(path)!r} and output.folder {str(place)!r} lie in each other: results and what they are made of"
        " need folders of their own."
    )


def _is_below(location: str, folder: str) -> bool:
    return f"{location.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _check_bands(config: LandCoverConfig, resolved: ResolvedFeatures) -> None:
    """Indices are known, and bands that a step needs are among those of the source, where these have names."""
    unknown = [name for name in resolved.computed_indices if name not in INDICES]
    if unknown:
        raise ConfigurationError(
            f"features.indices: {unknown_words(unknown, INDICES)} unknown; there are {', '.join(INDICES)}. Others"
            " can come from existing EOPatches, by source.features."
        )
    bands = resolved.source_bands
    if bands is None:
        return
    detector = config.clouds.found_by
    if detector is not None:
        missing = [band for band in detector.bands if band not in bands]
        if missing:
            raise BandError(
                f"clouds.detector {detector.name!r} needs {', '.join(detector.bands)}; the source lacks"
                f" {', '.join(missing)}: add them, or take the source's own mask with clouds.method = 'source'."
            )
    if (config.valid.snow, config.valid.water) != ("ignore", "ignore"):
        band_indices(SURFACE_BANDS, bands, where="valid.snow and valid.water")
    if bands:
        band_indices(resolved.bands, bands, where="features.bands")
    elif resolved.bands:
        raise BandError(
            f"features.bands asks for {', '.join(resolved.bands)}, but the source has no BANDS: map them in"
            " source.features, or empty features.bands."
        )


def _check_reference(reference: ReferenceConfig, classes: ClassTable) -> None:
    if reference.kind == "vector":
        found = check_vector_labels(
            str(reference.path),
            layer=reference.layer,
            column=reference.column,
            classes=None if reference.classes is None else dict.fromkeys(reference.classes, 1),
            ignore_unmapped=reference.ignore_unmapped,
        )
        unknown = sorted(set(found) - set(classes.ids) - {0}) if reference.classes is None else []
        if unknown:
            raise ReferenceDataError(
                f"Column {reference.column!r} of {reference.path} holds {', '.join(map(str, unknown))}, which the class"
                " table does not: add them to classes, or map them in reference.classes."
            )


def _extent_of(path: str, reference: ReferenceConfig) -> tuple[str, Bounds]:
    """CRS and (west, south, east, north) of a file with labels; no bounds where it holds nothing."""
    try:
        if reference.kind == "raster":
            with open_raster(local_path_of(path), f"The label raster {path}", name=path) as source:
                crs, bounds = source.crs, tuple(source.bounds)
        elif is_geoparquet(path):
            places = read_geoparquet(local_path_of(path), [])
            crs, bounds = places.crs, tuple(map(float, places.total_bounds)) if len(places) else ()
        else:
            info = layer_info(local_path_of(path), reference.layer, bounds=True)
            crs, bounds = info["crs"], tuple(info["total_bounds"] if info["total_bounds"] is not None else ())
    except ImageryError as error:
        raise ReferenceDataError(str(error)) from error
    except (*GDAL_ERRORS, DataSourceError, DataLayerError, GeometryError, ValueError) as error:
        reason = reason_of(error)
        raise ReferenceDataError(f"The labels {path} cannot be read ({reason}): check reference.path.") from error
    if crs is None:
        raise GridError(f"The labels {path} have no coordinate system: write one into the file.")
    return str(crs), bounds


def _meet(patch: Patch, crs: str, bounds: Bounds) -> bool:
    if not bounds:
        return False
    try:
        left, bottom, right, top = transform_bounds(patch.crs, crs, *patch.bbox, densify_pts=21)
    except GDAL_ERRORS:  # the labels' system has no coordinates for this place
        return False
    west, south, east, north = bounds
    if not (bottom < north and top > south):
        return False
    if not in_degrees(CRS.from_user_input(crs)):
        return bool(left < east and right > west)
    right += 360 * (right < left)  # over the antimeridian, which labels may reach beyond, or jump over
    return east - west > 180 or any(left + turn < east and right + turn > west for turn in (-360, 0, 360))

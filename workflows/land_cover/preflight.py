"""Checks of everything that can be known to be wrong before the first patch is read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from eotasks.labels import check_vector_labels
from eotasks.sources.sentinelhub import load_credentials
from models.errors import BandError, ConfigurationError, FeatureError, ReferenceDataError
from models.sentinel2 import CLOUD_BANDS, band_indices
from workflows.land_cover.config import LandCoverConfig, ReferenceConfig, SentinelHubSource
from workflows.land_cover.steps import SNOW_AND_WATER_BANDS, observe_workflow, source_bands, source_features
from workflows.places import Place


def check_inputs(config: LandCoverConfig) -> None:
    """Refuse bad input before work begins.

    :raises EOTasksError: a file, column, feature, band or credential that the run needs is not there.
    """
    _check_bands(config)
    _check_features(config)
    _check_reference(config.reference)
    if isinstance(config.source, SentinelHubSource):
        load_credentials(config.source.profile)
    with tempfile.TemporaryDirectory() as nowhere:  # the tasks check their own parameters when they are made
        observe_workflow(config, Place(nowhere), Place(nowhere))
    _check_place(config)


def _check_bands(config: LandCoverConfig) -> None:
    """Bands that a step needs are among those of the source, as far as these are known by name."""
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
    if "ignore" not in (config.valid.snow, config.valid.water) or config.valid.snow != config.valid.water:
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
            raise FeatureError(f"{why} needs {name}: map it in source.features; it maps {', '.join(sorted(brought))}.")


def _check_reference(reference: ReferenceConfig) -> None:
    if reference.kind == "vector":
        check_vector_labels(
            str(reference.path),
            layer=reference.layer,
            column=reference.column,
            classes=None if reference.classes is None else dict.fromkeys(reference.classes, 1),
            ignore_unmapped=reference.ignore_unmapped,
        )
    if reference.kind == "raster" and "://" not in str(reference.path) and not Path(str(reference.path)).is_file():
        raise ReferenceDataError(f"There is no label raster {reference.path}: check reference.path.")


def _check_place(config: LandCoverConfig) -> None:
    """Maps and report are written to disk only; a place that cannot be made is told at once."""
    place = Place(config.output.folder)
    if not place.is_local:
        raise ConfigurationError(
            f"output.folder {config.output.folder!r} is on S3, where maps and report cannot be written: choose a"
            " folder on disk."
        )
    folder = place.local_path()
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"output.folder {str(folder)!r} is a file: choose a folder.")

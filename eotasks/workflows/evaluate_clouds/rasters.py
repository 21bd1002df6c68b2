"""The GeoTIFFs of a labelled scene."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError, GridError, ImageryError, ReferenceDataError, reason_of
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.limits import ARRAY_BYTES
from eotasks.models.band_sets import band_names
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, NO_DATA_DN
from eotasks.times import naive_utc
from eotasks.workflows.evaluate_clouds.labels import LabelFormat, SceneFacts, read_scene_facts

BANDS_FILE, LABEL_FILE, SCL_FILE, MASK_FILE = "bands.tif", "label.tif", "scl.tif", "clm.tif"

_ALIGNMENT = 1e-3
"""Share of a pixel by which two files may miss each other: rounding of coordinates."""


@dataclass(frozen=True, eq=False)
class RasterScene:
    """What the folder of a scene holds."""

    name: str
    bbox: BBox
    time: datetime
    """Naive UTC; 1970 where nobody has said."""

    bands: NDArray[np.generic]
    """(h, w, bands), integer DN or float reflectance."""

    band_names: tuple[str, ...]
    is_data: NDArray[np.bool_]
    labels: NDArray[np.generic]
    """(h, w) as in the file."""

    scl: NDArray[np.generic] | None
    mask: NDArray[np.generic] | None
    sun: tuple[float, float] | None
    """Zenith and azimuth, degrees."""


@dataclass(frozen=True, eq=False)
class _Raster:
    values: NDArray[np.generic]
    """(bands, h, w)."""

    descriptions: tuple[str | None, ...]
    nodata: float | None
    crs: rasterio.crs.CRS | None
    transform: rasterio.Affine


def read_raster_scene(folder: Path, name: str, label_format: LabelFormat) -> RasterScene:
    """Read a scene, which is to be called ``name``.

    :raises ImageryError: a file is missing, damaged, or has no place on the ground.
    :raises GridError: files that are not on one grid.
    :raises BandError: bands that are not named and fit no known set.
    :raises ReferenceDataError: labels in several bands.
    :raises ConfigurationError: a `scene.toml` that cannot be used.
    """
    facts = read_scene_facts(folder)
    bands = _read(folder / BANDS_FILE)
    is_data = _is_data(bands)
    values, names = _known_bands(bands, label_format, folder / BANDS_FILE)
    return RasterScene(
        name=name,
        bbox=_bbox(bands, folder / BANDS_FILE),
        time=_time(facts),
        bands=_with_offset(values, is_data, label_format.offset, folder / BANDS_FILE),
        band_names=names,
        is_data=is_data,
        labels=_single(folder / LABEL_FILE, bands),
        scl=_single(folder / SCL_FILE, bands) if (folder / SCL_FILE).exists() else None,
        mask=_single(folder / MASK_FILE, bands) if (folder / MASK_FILE).exists() else None,
        sun=None if facts.sun_zenith is None or facts.sun_azimuth is None else (facts.sun_zenith, facts.sun_azimuth),
    )


def _read(file: Path) -> _Raster:
    if not file.exists():
        raise ImageryError(f"{file} is missing. A scene has {BANDS_FILE} and {LABEL_FILE}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # _bbox says it, with a cure
            with open_raster(file, str(file)) as image:
                _check_size(image, file)
                return _Raster(image.read(), image.descriptions, image.nodata, image.crs, image.transform)
    except ImageryError:  # an OSError too
        raise
    except GDAL_ERRORS as error:
        raise ImageryError(f"{file} cannot be read as an image ({reason_of(error)}): write it again.") from error


def _check_size(image: rasterio.DatasetReader, file: Path) -> None:
    """Refuse an image that takes more memory than any scene, before it is read whole."""
    size = image.count * image.height * image.width * max(np.dtype(each).itemsize for each in image.dtypes)
    if size > ARRAY_BYTES.value:
        raise ImageryError(f"{file}: {ARRAY_BYTES.excess(size)}. Cut the scene into smaller ones.")


def _single(file: Path, bands: _Raster) -> NDArray[np.generic]:
    """The one band of a file on the grid of the bands."""
    raster = _read(file)
    if len(raster.values) != 1:
        raise ReferenceDataError(f"{file} has {len(raster.values)} bands: give one band of whole numbers.")
    values: NDArray[np.generic] = raster.values[0]
    if values.shape != bands.values.shape[1:]:
        raise GridError(
            f"{file} has {values.shape} pixels, {BANDS_FILE} {bands.values.shape[1:]}: bring both to one grid."
        )
    placed = raster.crs is not None and bands.crs is not None
    tolerance = _ALIGNMENT * abs(bands.transform.a)
    if placed and (raster.crs != bands.crs or not raster.transform.almost_equals(bands.transform, tolerance)):
        raise GridError(f"{file} lies elsewhere than {BANDS_FILE}: bring both to one grid.")
    return values


def _is_data(bands: _Raster) -> NDArray[np.bool_]:
    values = bands.values
    present = (values != NO_DATA_DN).any(axis=0)
    if values.dtype.kind == "f":
        present &= np.isfinite(values).all(axis=0)
    if bands.nodata is not None and np.isfinite(bands.nodata) and bands.nodata != NO_DATA_DN:
        present &= (values != bands.nodata).all(axis=0)
    return np.asarray(present, dtype=bool)


def _known_bands(bands: _Raster, label_format: LabelFormat, file: Path) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """The bands by name, those of the sensor in its order: a file may hold others beside them."""
    described = [name for name in bands.descriptions if name in BANDS]
    if label_format.bands is None and described and len(set(described)) == len(described):
        names = [name or "" for name in bands.descriptions]
    else:
        names = list(band_names(len(bands.values), label_format.bands, where=str(file)))
    there = set(names)
    wanted = BANDS if there.issuperset(BANDS) else CLOUD_BANDS
    kept = (
        tuple(name for name in wanted if name in there)
        if there.issuperset(wanted)
        else tuple(name for name in names if name in BANDS)
    )
    return np.moveaxis(bands.values[[names.index(name) for name in kept]], 0, -1), kept


def _with_offset(
    values: NDArray[np.generic], is_data: NDArray[np.bool_], offset: int, file: Path
) -> NDArray[np.generic]:
    if not offset:
        return values
    if values.dtype.kind not in "iu":
        raise ConfigurationError(f"{file} holds reflectance, no digital numbers: leave offset={offset} out.")
    return np.where(is_data[..., np.newaxis], values.astype(np.int32) + offset, NO_DATA_DN).astype(np.int32)


def _bbox(bands: _Raster, file: Path) -> BBox:
    transform = bands.transform
    if bands.crs is None or transform.b or transform.d or transform.e >= 0 or transform.a <= 0:
        raise ImageryError(
            f"{file} has no place on a north-up grid: give it a coordinate system and corners"
            " (gdal_edit.py -a_srs EPSG:32633 -a_ullr LEFT TOP RIGHT BOTTOM)."
        )
    epsg = bands.crs.to_epsg()
    if epsg is None:
        raise ImageryError(f"{file} is in a coordinate system without an EPSG number: warp it to the UTM zone.")
    height, width = bands.values.shape[1:]
    right, bottom = transform.c + width * transform.a, transform.f + height * transform.e
    return BBox((transform.c, bottom, right, transform.f), CRS(epsg))


def _time(facts: SceneFacts) -> datetime:
    if facts.time is None:
        return datetime(1970, 1, 1)  # noqa: DTZ001 - EOPatch timestamps are naive UTC
    return naive_utc(facts.time)

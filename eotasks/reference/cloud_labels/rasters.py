"""GeoTIFFs of a data set: all their pixels and where they lie."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from eotasks.errors import ImageryError, ReferenceDataError, reason_of
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.models.rasters import Bounds
from eotasks.models.sentinel2 import BANDS, NO_DATA_DN
from eotasks.reference.cloud_labels.classes import LabelClass
from eotasks.reference.cloud_labels.files import check_pixels
from eotasks.reference.cloud_labels.names import band_called, time_in
from eotasks.reference.cloud_labels.protocol import LabelledFrame


@dataclass(frozen=True, eq=False)
class Raster:
    """A raster, read whole."""

    values: NDArray[np.generic]
    """(bands, h, w)."""

    names: tuple[str | None, ...]
    """What the file calls its bands."""

    crs: str | None
    """"EPSG:..." of a north-up grid, None where it has none."""

    bounds: Bounds | None
    resolution: float | None


def read_geotiff(path: object, where: str) -> Raster:
    """A GeoTIFF, within the bounds of any array.

    :param path: A file, or a part of one as GDAL names it (``/vsisubfile/``).
    :param where: What it is, for messages.
    :raises ReferenceDataError: it is absent, damaged, too large or none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with open_raster(path, where, name="labels.tif") as image:
                check_pixels((image.count, image.height, image.width), max_itemsize(image.dtypes), where)
                transform, system = image.transform, image.crs
                epsg = system.to_epsg() if system is not None else None
                upright = not (transform.b or transform.d) and transform.a > 0 > transform.e
                placed = epsg is not None and upright
                return Raster(
                    image.read(),
                    tuple(image.descriptions),
                    f"EPSG:{epsg}" if placed else None,
                    tuple(image.bounds) if placed else None,
                    float(transform.a) if upright else None,
                )
    except ReferenceDataError:
        raise
    except (ImageryError, *GDAL_ERRORS) as error:
        raise ReferenceDataError(
            f"{where}: no GeoTIFF that can be read ({reason_of(error)}): download it again."
        ) from (error)


def max_itemsize(dtypes: tuple[str, ...]) -> int:
    """Bytes of a value of the widest band."""
    return max(np.dtype(each).itemsize for each in dtypes)


def l1c_frame(
    image: Raster, labels: Raster, classes: Mapping[int, LabelClass], *, identifier: str, where: str, resolution: float
) -> LabelledFrame:
    """A frame of an image with the 13 bands of L1C as digital numbers, and of its labels.

    :param classes: Of the data set, for the message about another number.
    :param identifier: Of the product: its name says the time.
    :param resolution: Metres of a pixel where the image does not say it.
    :raises ReferenceDataError: other bands, labels in several bands, of another size or with other numbers.
    """
    if len(image.values) != len(BANDS) or image.values.dtype.kind not in "iu":
        raise ReferenceDataError(
            f"{where}: {len(image.values)} bands of type {image.values.dtype} where the {len(BANDS)} bands of L1C as"
            " digital numbers are due."
        )
    check_names(image.names, where)
    if len(labels.values) != 1 or labels.values.shape[1:] != image.values.shape[1:]:
        raise ReferenceDataError(
            f"{where}: labels of shape {labels.values.shape} for an image of {image.values.shape}: one band of the"
            " same pixels is due."
        )
    check_labels(labels.values[0], classes, where)
    bands = np.moveaxis(image.values, 0, -1)
    return LabelledFrame(
        bands,
        BANDS,
        np.asarray((bands != NO_DATA_DN).any(axis=-1), dtype=bool),
        labels.values[0],
        resolution if image.resolution is None else image.resolution,
        time_in(identifier),
        image.crs,
        image.bounds,
    )


def check_names(names: tuple[str | None, ...], where: str) -> None:
    """Refuse bands whose names say another order than that of L1C.

    :raises ReferenceDataError: when they do.
    """
    found = tuple(band_called(name) for name in names if name)
    if len(found) == len(BANDS) and None not in found and found != BANDS:
        raise ReferenceDataError(f"{where}: its bands are named {', '.join(map(str, names))}, not in the order of L1C.")


def check_labels(labels: NDArray[np.generic], classes: Mapping[int, LabelClass], where: str) -> None:
    """Refuse labels with a number that the data set does not have.

    :raises ReferenceDataError: when they hold one.
    """
    if labels.dtype.kind not in "iub":
        raise ReferenceDataError(f"{where}: labels of type {labels.dtype} where whole numbers are due.")
    unknown = [int(value) for value in np.unique(labels) if int(value) not in classes]
    if unknown:
        known = ", ".join(f"{value} {name}" for value, name in classes.items())
        raise ReferenceDataError(f"{where}: the label {unknown[0]} is none of this data set's ({known}).")

"""What GDAL needs to read a file where it lies: a path of its own, and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath

import rasterio

from eotasks.errors import ImageryError
from eotasks.storage import s3
from eotasks.storage.location import is_s3

SETTINGS: Mapping[str, str] = {
    # With more threads GDAL's JP2 driver decodes ahead and drops the errors: a truncated file reads as zeros.
    "GDAL_NUM_THREADS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
}
"""Of GDAL while a file of a product is open: no sibling file has a say."""

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".jp2": "JP2OpenJPEG", ".png": "PNG", ".img": "HFA"}


def driver_of(path: object) -> str | None:
    """The only driver that may open a file of a name; None where the name says no format: the user chose it."""
    return _DRIVERS.get(PurePath(str(path)).suffix.lower())


def check_overviews(source: rasterio.DatasetReader, where: str) -> None:
    """Refuse a raster whose metadata names another file as its overviews: GDAL would open it, whatever and wherever.

    To be asked before anything of overviews is: their count, a level, a read at lower resolution.

    :param where: The file, for the message.
    :raises ImageryError: when it does.
    """
    if source.tags(ns="OVERVIEWS"):
        raise ImageryError(f"{where}: says that its overviews lie in another file. It is not read: fetch it again.")


def gdal_path(location: str) -> str:
    """What rasterio opens for a path or an ``s3://`` address.

    An address of the web has none: it is read through `eotasks.imagery.files.remote.WebRaster`.
    """
    return f"/vsis3/{location.removeprefix('s3://')}" if is_s3(location) else location


def gdal_settings(*locations: str) -> AbstractContextManager[object]:
    """GDAL's settings while files at some locations are open.

    :raises CredentialsError: when those of a bucket are half given.
    """
    if not any(map(is_s3, locations)):
        return nullcontext()
    environment: AbstractContextManager[object] = rasterio.Env(**s3.gdal_environment())
    return environment

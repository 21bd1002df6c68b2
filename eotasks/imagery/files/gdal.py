"""What GDAL needs to read a file where it lies: a path of its own, and credentials."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import rasterio

from eotasks.storage import s3
from eotasks.storage.location import is_s3


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

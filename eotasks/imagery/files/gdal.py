"""What GDAL needs to read a file where it lies: a path of its own, credentials, timeouts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import rasterio

from eotasks.imagery.files import http
from eotasks.storage import s3
from eotasks.storage.location import is_remote, is_s3, is_web


def gdal_path(location: str) -> str:
    """What rasterio opens for a path, an ``s3://`` or an ``https://`` address."""
    if is_s3(location):
        return f"/vsis3/{location.removeprefix('s3://')}"
    if is_web(location):
        return f"/vsicurl/{location}"
    return location


def gdal_settings(*locations: str) -> AbstractContextManager[object]:
    """GDAL's settings while files at some locations are open.

    :raises CredentialsError: when those of a bucket are half given.
    """
    if not any(map(is_remote, locations)):
        return nullcontext()
    settings: dict[str, Any] = {}
    if any(map(is_web, locations)):
        settings |= http.GDAL_SETTINGS
    if any(map(is_s3, locations)):
        settings |= s3.gdal_environment()
    environment: AbstractContextManager[object] = rasterio.Env(**settings)
    return environment

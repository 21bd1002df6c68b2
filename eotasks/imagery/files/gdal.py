"""What GDAL is told of a file that others gave: its path, its only driver, and that nothing beside it has a say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError

from eotasks.errors import ImageryError
from eotasks.models.rasters import block_excess
from eotasks.reading import check_regular
from eotasks.storage.location import is_s3

SETTINGS: Mapping[str, str] = {
    # With more threads GDAL's JP2 driver decodes ahead and drops the errors: a truncated file reads as zeros.
    "GDAL_NUM_THREADS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
}
"""Of GDAL while a file of a product is open: no sibling file has a say."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)
"""What rasterio raises: the second one by some of its calls, as GDAL has it, which is none of its own kind."""

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


@contextmanager
def open_raster(path: object, where: str, *, name: object = None) -> Iterator[rasterio.DatasetReader]:
    """A raster on this machine that is no file of a product: a label, a map, a scene to evaluate.

    :param path: A path, or a ``/vsi`` path that the user gave.
    :param where: The raster, for messages.
    :param name: What it is called where it was copied from; None for the path's own name.
    :raises ImageryError: when its overviews lie in another file, or a block of it has more pixels than any.
    :raises OSError: when it is no regular file.
    :raises RasterioError: when it is damaged, or not of the format that its name says.
    """
    if not str(path).startswith("/vsi"):
        check_regular(str(path))
    with rasterio.open(path, driver=driver_of(name or path)) as source:
        check_overviews(source, where)
        excess = block_excess(source.block_shapes, interleaved=source.interleaving is Interleaving.pixel)
        if excess is not None:
            raise ImageryError(f"{where}: {excess}. Write it in tiles (gdal_translate -co TILED=YES).")
        yield source


def gdal_path(location: str) -> str:
    """How GDAL names a path or an ``s3://`` address, for catalogues.

    GDAL itself opens what lies on this machine alone: see `eotasks.imagery.files.remote`.
    """
    return f"/vsis3/{location.removeprefix('s3://')}" if is_s3(location) else location

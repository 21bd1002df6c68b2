"""Heights of the ground on a grid, from a digital elevation model (DEM) as a GeoTIFF, cloud optimized or not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from eotasks.errors import WARNING_FILTERS, ConfigurationError, EOTasksError, FeatureError, GridError, ImageryError
from eotasks.imagery.ending import in_gdal
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.files.gdal import GDAL_ERRORS, SETTINGS, check_overviews, check_system
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import Fingerprint
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.shadows.terrain import check_heights
from eotasks.models.rasters import block_excess
from eotasks.reading import check_regular
from eotasks.storage.location import is_remote, plain_scheme
from eotasks.text import redacted, shortened

T = TypeVar("T")

_ASSET = "dem"
_METRES = frozenset({"", "m", "metre", "metres", "meter", "meters"})
_UNIT = 20
_TOLERANCE = 1e-3
"""Share of a pixel by which GDAL may miss the place of a pixel when it warps. (0 makes GDAL 3.10 fail.)"""


class ElevationFile:
    """A DEM that the user named: metres above the sea in one band, in any coordinate system.

    It may lie on this machine, on S3 or on the web; of one far away only the blocks under the grid are read. It has no
    say in what else is opened: other drivers, files beside it and overviews elsewhere are refused.

    :param location: A path, ``s3://bucket/key`` or ``https://…``.
    :raises ConfigurationError: a location that names none.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        text = plain_scheme(os.fspath(location))
        if not text.strip():
            raise ConfigurationError("The elevation has no location: give a path, s3://… or https://… of a GeoTIFF.")
        if not is_remote(text):
            text = os.path.abspath(text)  # noqa: PTH100 - links stay
        self._address = text
        self.name = redacted(text)
        """For messages and records: without secrets."""

        self._files = AssetFiles(self.name, {_ASSET: text}, Origin.of(text))

    def fingerprint(self) -> Fingerprint:
        """Bytes, and time of change, as far as they are known.

        :raises ImageryError: when it is not there.
        :raises StorageError: when it lies in a bucket that cannot be read.
        """
        return self._files.fingerprint(_ASSET)

    def check(self) -> None:
        """Refuse what is no DEM, before any work; its heights are not looked at.

        :raises ImageryError: it is missing, damaged or no GeoTIFF, or has several bands or no place.
        """
        self._opened(lambda _: None)

    def read(self, grid: Grid, *, margin: float = 0) -> NDArray[np.float32]:
        """Heights at the pixels of a grid: bilinear where the grid is finer, by area where it is coarser.

        :param margin: Units of the grid's coordinate system about it that are read too, in whole pixels.
        :return: (h, w) metres, with a margin (h + 2 m, w + 2 m); NaN where the file has none.
        :raises ImageryError: it is missing, damaged or no GeoTIFF, or has several bands or no place.
        :raises FeatureError: numbers that are no heights in metres.
        :raises GridError: it lies elsewhere.
        """
        if grid.pixel_height is not None:
            raise GridError(f"{self.name}: heights are read on grids of squares. Give one resolution.")
        pixels = math.ceil(margin / grid.resolution)
        around = replace(
            grid,
            left=grid.left - pixels * grid.resolution,
            top=grid.top + pixels * grid.resolution,
            height=grid.height + 2 * pixels,
            width=grid.width + 2 * pixels,
        )
        covers, values, known = self._opened(lambda source: (_covers(source, grid), *_on_grid(source, around)))
        heights = np.where(known, values, np.nan).astype(np.float32, copy=False)
        try:
            heights = check_heights(heights, where=self.name)
        except FeatureError as error:
            raise FeatureError(f"{error} gdal_edit.py -a_nodata VALUE does that.") from None
        if not covers and np.isnan(heights[pixels : pixels + grid.height, pixels : pixels + grid.width]).all():
            raise GridError(
                f"{self.name}: has no height within {tuple(map(float, grid.bounds))} ({grid.crs}). Give a DEM of this"
                " area."
            )
        return heights

    def _opened(self, look: Callable[[rasterio.DatasetReader], T]) -> T:
        """What is seen of the file, checked and open."""
        far = self._files.raster_source(_ASSET)
        path = self._files.raster_path(_ASSET) if far is None else far.name
        try:
            if far is None:
                check_regular(path)
            options: dict[str, Any] = {"driver": "GTiff", "sharing": False, "opener": far}
            with in_gdal(), rasterio.Env(**SETTINGS), rasterio.open(path, **options) as source:
                self._check(source)
                seen = look(source)
        except EOTasksError:
            raise
        except GDAL_ERRORS:
            if far is not None and far.failure is not None:
                raise ImageryError(f"{self.name}: {far.failure}") from None
            raise ImageryError(  # GDAL would repeat an address, which may carry a signature
                f"{self.name}: missing, damaged or no GeoTIFF. Give a digital elevation model as a GeoTIFF."
            ) from None
        if far is not None and far.failure is not None:  # GDAL takes what could not be fetched for the end of the file
            raise ImageryError(f"{self.name}: {far.failure}") from None
        return seen

    def _check(self, source: rasterio.DatasetReader) -> None:
        check_overviews(source, self.name)
        check_system(source, self.name)
        excess = block_excess(source.block_shapes, interleaved=source.interleaving is Interleaving.pixel)
        if excess is not None:
            raise ImageryError(f"{self.name}: {excess}. Write it in tiles (gdal_translate -of COG).")
        if source.count != 1 or np.dtype(source.dtypes[0]).kind not in "iuf":
            raise ImageryError(
                f"{self.name}: {source.count} bands of {source.dtypes[0]} where one of heights in metres is due. Give"
                " the elevation model itself, no picture of it."
            )
        unit = (source.units[0] or "").strip().lower()
        if unit not in _METRES:
            raise ImageryError(
                f"{self.name}: heights in {shortened(unit, _UNIT)!r} where metres are due. Write it anew in metres, or"
                " mend its unit (gdal_edit.py -units m)."
            )
        if source.crs is None or not np.isfinite(source.transform[:6]).all() or not source.transform.determinant:
            raise ImageryError(f"{self.name}: has no place on the ground. Write a coordinate system into it.")


def _covers(source: rasterio.DatasetReader, grid: Grid) -> bool:
    """Whether a grid lies on the ground of a file, which may know no height there: of the sea most do not."""
    west, south, east, north = transform_bounds(grid.crs, source.crs, *grid.bounds)
    left, right = sorted((source.bounds.left, source.bounds.right))
    bottom, top = sorted((source.bounds.bottom, source.bounds.top))
    return bool(west < right and left < east and south < top and bottom < north)


def _on_grid(source: rasterio.DatasetReader, grid: Grid) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values on the grid, and where the file has any. Without a no-data value an alpha band marks the outside."""
    bare = MaskFlags.nodata not in source.mask_flag_enums[0]  # a band that masks has no say beyond its own file
    options: dict[str, Any] = {
        "crs": grid.crs,
        "transform": grid.transform,
        "height": grid.height,
        "width": grid.width,
        "add_alpha": bare,
        "tolerance": _TOLERANCE,
    }
    with WARNING_FILTERS:
        with WarpedVRT(source, resampling=Resampling.nearest, crs=grid.crs) as warped:
            finer = warped.res[0] < grid.resolution
        method = Resampling.average if finer else Resampling.bilinear
        with WarpedVRT(source, resampling=method, **options) as warped:
            # read as a band: rasterio does not take the alpha band of a signed or floating raster for a mask
            known = warped.read(warped.count) if bare else warped.read_masks(1)
            values = warped.read(1)
    known = np.asarray((known != 0) & np.isfinite(values))
    scale, offset = source.scales[0], source.offsets[0]
    if (scale, offset) != (1, 0):
        values = np.where(known, values * scale + offset, np.nan)
    return values, known

"""Patches of an area, in reading order."""

from __future__ import annotations

from collections.abc import Iterable

import geopandas as gpd
import numpy as np
import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.area import Patch, read_area, read_patch_grid, select_block, split_area
from eotasks.errors import AreaError
from eotasks.workflows.land_cover.sections import AreaConfig
from eotasks.workflows.land_cover.sources.base import Outline


def area_patches(area: AreaConfig, *, default: Geometry | None = None) -> tuple[tuple[Patch, ...], Outline]:
    """Patches of a configured area, and its outline; a grid of patches has none.

    :param default: The area where the configuration names none.
    :raises AreaError: when it is empty or its file unreadable.
    :raises ConfigurationError: when there is neither a configured area nor a default.
    """
    if area.patch_grid is not None:
        return _some(in_reading_order(read_patch_grid(area.patch_grid, resolution=area.resolution))), ()
    if default is None or area.file is not None or area.bbox is not None:
        geometry = read_area(file=area.file, bbox=area.bbox, crs=area.crs, buffer=area.buffer, grid=area.grid)
    else:
        geometry = default
    patches = split_area(geometry, patch_size=area.patch_size, resolution=area.resolution, grid=area.grid)
    if area.centre_patch is not None:
        patches = select_block(patches, centre=area.centre_patch, radius=area.centre_radius)
    ordered = _some(in_reading_order(patches))
    return ordered, _rings(geometry, patches[0].bbox.crs)


def in_reading_order(patches: Iterable[Patch]) -> tuple[Patch, ...]:
    """Patches by CRS, from north to south and west to east."""
    return tuple(sorted(patches, key=lambda patch: (patch.crs, patch.row, patch.column)))


def _some(patches: tuple[Patch, ...]) -> tuple[Patch, ...]:
    if not patches:
        raise AreaError("The area holds no patch: check area.bbox, area.file and area.patch_size.")
    return patches


def _rings(geometry: Geometry, crs: CRS) -> Outline:
    shape = gpd.GeoSeries([geometry.geometry], crs=geometry.crs.pyproj_crs()).to_crs(crs.pyproj_crs()).iloc[0]
    return tuple(np.asarray(polygon.exterior.coords, dtype=np.float64)[:, :2] for polygon in shapely.get_parts(shape))

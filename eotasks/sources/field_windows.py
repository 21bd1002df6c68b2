"""Windows of pixels that hold fields: what is read of products for them, and not the ground between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from eotasks.geometry.degrees import WGS84, to_degrees
from eotasks.geometry.systems import utm_of
from eotasks.imagery.grid import Grid
from eotasks.models.zonal import PolygonPixels
from eotasks.reference.places import in_one_form
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.polygons import Polygons

if TYPE_CHECKING:
    from eotasks.catalogue.request import SearchRequest

SIDE = 512
"""Pixels of a cell: fields whose middles lie in one are read together."""

_SOUTH, _NORTH = -80.0, 84.0
"""Degrees of latitude between which there are UTM zones."""

_NONE = ""


@dataclass(frozen=True)
class FieldWindow:
    """A window, and the fields that it holds whole."""

    grid: Grid
    polygons: NDArray[np.intp]
    """(n): which."""

    pixels: PolygonPixels
    """Of these."""

    request: SearchRequest
    """Whose area is that of the window."""


def zoned(polygons: Polygons) -> dict[str, tuple[NDArray[np.intp], NDArray[Any]]]:
    """Polygons that have an area in the UTM zones of their middles: by zone, which they are and their geometries.

    Those that no zone has a place for, as beyond 84° north and 80° south, are left out: no image shows them.
    """
    usable = polygons.usable
    if not usable.size:
        return {}
    series = gpd.GeoSeries(list(in_one_form(polygons.shapes[usable], polygons.crs)), crs=polygons.crs)
    points = series.representative_point().to_crs(WGS84)
    zones = np.array([_zone(point.x, point.y) for point in points])
    found = {}
    for zone in dict.fromkeys(zones[zones != _NONE].tolist()):
        inside = np.flatnonzero(zones == zone)
        shapes = np.asarray(series.iloc[inside].to_crs(zone).array, dtype=object)
        there = np.isfinite(shapely.bounds(shapes)).all(axis=1)
        if there.any():
            found[str(zone)] = usable[inside[there]], shapes[there]
    return found


def _zone(longitude: float, latitude: float) -> str:
    """The UTM zone of a place; none where there is none."""
    if not (math.isfinite(longitude) and _SOUTH <= latitude < _NORTH):
        return _NONE
    return utm_of(longitude, latitude).ogc_string()


def windows_of(polygons: Polygons, resolution: float, *, margin: float = 0.0, step: int = 1) -> list[FieldWindow]:
    """Windows that hold all polygons of UTM zones, each polygon whole in one of them.

    Their pixels lie on whole multiples of the resolution, as those of Sentinel-2 do.

    :param resolution: Metres.
    :param margin: Metres around the fields.
    :param step: Pixels on whole multiples of which windows begin and end: with those of a coarser grid, what is found
        on it does not depend on the window.
    :raises GridError: when a polygon has more pixels than a grid may have.
    :raises MissingDependencyError: when exactextract is not installed.
    """
    from eotasks.catalogue.request import SearchRequest

    windows = []
    for crs, (indices, shapes) in zoned(polygons).items():
        bounds = shapely.bounds(shapes)
        middles = np.floor((bounds[:, :2] + bounds[:, 2:]) / 2 / (SIDE * resolution)).astype(np.int64)
        _, cells = np.unique(middles, axis=0, return_inverse=True)
        for cell in range(int(cells.max()) + 1):
            inside = np.flatnonzero(cells.reshape(-1) == cell)
            grid = _around(bounds[inside], crs, resolution, margin, step)
            part = Polygons(
                polygons.ids[indices[inside]], polygons.shapes[indices[inside]],
                tuple(polygons.states[index] for index in indices[inside]), polygons.crs,
            )  # fmt: skip
            coverage = coverage_of(part, grid)
            area = to_degrees(shapely.box(*grid.bounds), crs)
            windows.append(FieldWindow(grid, indices[inside][coverage.polygons], coverage.pixels, SearchRequest(area)))
    return windows


def _around(bounds: NDArray[np.float64], crs: str, resolution: float, margin: float, step: int) -> Grid:
    left, bottom = bounds[:, :2].min(axis=0) - margin
    right, top = bounds[:, 2:].max(axis=0) + margin
    size = resolution * step
    west, north = math.floor(left / size) * size, math.ceil(top / size) * size
    columns, rows = (max(math.ceil(each / size), 1) * step for each in (right - west, north - bottom))
    return Grid(crs, west, north, resolution, rows, columns)

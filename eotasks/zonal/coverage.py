"""Which part of each pixel of a grid lies in a polygon, exactly: once for a grid and all polygons on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.models.zonal import PolygonPixels
from eotasks.reference.places import in_one_form, reprojected
from eotasks.zonal.packages import package
from eotasks.zonal.polygons import Polygons, only_polygons

_TOGETHER = 20_000
"""Polygons that exactextract is given at once: a moment's memory."""

_EDGE_PARTS = 32
"""Into how many pieces an edge as long as its polygon is cut before it is moved to another system."""

_ROUNDING = 1e-9
"""Of an area, below which it is rounding."""


@dataclass(frozen=True)
class Coverage:
    """Polygons of a grid, and their pixels."""

    polygons: NDArray[np.intp]
    """(n): which of the polygons touch the grid, ascending."""

    pixels: PolygonPixels
    """Of these."""

    whole: NDArray[np.bool_]
    """(n): the polygon lies inside of the grid with all of its area."""

    beyond: NDArray[np.float64]
    """(n): its area outside of the grid, in pixels."""


def coverage_of(polygons: Polygons, grid: Grid) -> Coverage:
    """Pixels of each polygon that touches a grid, with the parts of them that it covers.

    A polygon smaller than a pixel covers a part of one, or of the few that it lies in.

    :param grid: North up, in any coordinate system. Edges of polygons stay straight in their own.
    :raises GeometryError: when a polygon lies at no place on Earth.
    :raises MissingDependencyError: when exactextract is not installed.
    """
    usable = polygons.usable
    shapes = on_grid(polygons.shapes[usable], polygons.crs, grid)
    box = shapely.box(*grid.bounds)
    near = shapely.intersects(shapes, box)
    indices, shapes = usable[near], shapes[near]
    inside = shapely.area(shapely.intersection(shapes[~shapely.within(shapes, box)], box))
    whole = shapely.within(shapes, box)
    touching = whole.copy()
    touching[~whole] = inside > 0
    pixels = _pixels(shapes[touching], grid)
    beyond = np.zeros(np.count_nonzero(touching))
    partly = np.flatnonzero(~whole[touching])
    outlines = outlines_in(polygons.shapes[indices[touching][partly]], polygons.crs, grid.crs)
    beyond[partly] = area_beyond(np.where(shapely.is_empty(outlines), shapes[touching][partly], outlines), box, grid)
    return Coverage(indices[touching], pixels, whole[touching], beyond)


def outlines_in(shapes: NDArray[Any], crs: str, target: str) -> NDArray[Any]:
    """Polygons in another system, valid, with all of them; empty where that has no coordinates for one.

    :raises GeometryError: when a polygon lies at no place on Earth.
    """
    if not len(shapes) or pyproj.CRS.from_user_input(crs) == pyproj.CRS.from_user_input(target):
        return shapes
    fine = in_one_form(shapes, crs)
    left, bottom, right, top = shapely.bounds(fine).T
    fine = shapely.segmentize(fine, np.maximum(right - left, top - bottom) / _EDGE_PARTS)
    return _valid(np.asarray(gpd.GeoSeries(fine, crs=crs).to_crs(target).array, dtype=object))


def area_beyond(outlines: Any, grounds: Any, grid: Grid) -> NDArray[np.float64]:
    """Area of polygons outside of what images show, in pixels of a grid.

    :param outlines: In the system of the grid.
    :param grounds: What the images show, in the same.
    """
    area = shapely.area(outlines)
    outside = area - shapely.area(shapely.intersection(outlines, grounds))
    result: NDArray[np.float64] = np.where(outside > _ROUNDING * area, outside, 0.0) / (grid.across * grid.down)
    return result


def on_grid(shapes: NDArray[Any], crs: str, grid: Grid) -> NDArray[Any]:
    """Polygons in the system of a grid, valid; what reaches far beyond it is cut, and may be empty."""
    if not len(shapes):
        return shapes
    return _valid(reprojected(in_one_form(shapes, crs), crs, grid.crs, grid.bounds))


def _valid(moved: NDArray[Any]) -> NDArray[Any]:
    moved[~np.isfinite(shapely.bounds(moved)).all(axis=1)] = shapely.Polygon()  # where the grid's system ends
    for index in np.flatnonzero(~shapely.is_valid(moved)):
        moved[index] = only_polygons(shapely.make_valid(moved[index])) or shapely.Polygon()
    return moved


def _pixels(shapes: NDArray[Any], grid: Grid) -> PolygonPixels:
    found = [_of_some(shapes[start : start + _TOGETHER], grid) for start in range(0, len(shapes), _TOGETHER)]
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(each[0] for each in found)])
    pixels = np.concatenate([np.zeros(0, dtype=np.int64), *(each[1] for each in found)])
    weights = np.concatenate([np.zeros(0), *(each[2] for each in found)])
    return PolygonPixels(np.cumsum(counts), pixels, weights)


def _of_some(shapes: NDArray[Any], grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Counts, pixels and weights of some polygons."""
    frame = gpd.GeoDataFrame(geometry=list(shapes), crs=grid.crs)
    nothing = np.broadcast_to(np.uint8(0), grid.shape)  # it has a value for every pixel, and takes no memory
    left, bottom, right, top = grid.bounds
    source = package("exactextract.raster").NumPyRasterSource(
        nothing, left, bottom, right, top, srs_wkt=frame.crs.to_wkt()
    )
    extract = package("exactextract").exact_extract
    table = extract(source, frame, ["cell_id", "coverage"], output="pandas")
    cells, parts = list(table["cell_id"]), list(table["coverage"])
    for index, each in enumerate(cells):
        if not len(each):  # too thin for the arithmetic of exactextract
            cells[index], parts[index] = _of_point(shapes[index], grid)
    counts = np.array([len(each) for each in cells], dtype=np.int64)
    return counts, np.concatenate(cells).astype(np.int64), np.concatenate(parts).astype(np.float64)


def _of_point(shape: Any, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pixel that a point of a sliver lies in, with the sliver's area."""
    inside = shapely.intersection(shape, shapely.box(*grid.bounds))
    point = inside.representative_point()
    row = min(max(int((grid.top - point.y) / grid.down), 0), grid.height - 1)
    column = min(max(int((point.x - grid.left) / grid.across), 0), grid.width - 1)
    return np.array([row * grid.width + column]), np.array([inside.area / (grid.across * grid.down)])

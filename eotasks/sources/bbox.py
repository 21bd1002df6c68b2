"""Bounding boxes as grids of whole pixels."""

from __future__ import annotations

import math
import numbers

import geopandas as gpd
import shapely
from eolearn.core import EOPatch
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError, GeometryError, GridError
from eotasks.geometry.antimeridian import unrolled
from eotasks.geometry.degrees import EDGE_PARTS, WGS84, to_degrees
from eotasks.geometry.systems import check_ground_metres, has_ground_metres, in_metres, utm_of
from eotasks.imagery.grid import Grid, parse_crs

_ON_LATTICE = 1e-6
"""Of a pixel: a side that misses a multiple by less is on it."""


def grid_of_bbox(bbox: BBox, resolution: float) -> Grid:
    """The grid that fills a bounding box.

    :param bbox: In a projected CRS whose metres are the ground's.
    :param resolution: Metres.
    :raises GridError: for degrees, metres that are not the ground's, or an extent that is no whole number of pixels.
    """
    crs = bbox.crs.ogc_string()
    if parse_crs(crs).is_geographic:
        raise GridError(f"Bounding box {tuple(bbox)} in {crs}: degrees are no metres. {_cure(bbox, resolution)}")
    grid = Grid.from_bounds(tuple(bbox), crs, resolution)
    if not has_ground_metres(bbox.crs, grid.bounds):
        check_ground_metres(bbox.crs, grid.bounds, f"Bounding box {tuple(bbox)}", _cure(bbox, resolution))
    return grid


def snap_bbox(bbox: BBox, resolution: float) -> BBox:
    """The smallest box of whole pixels that holds a bounding box.

    Its sides are multiples of the pixel, where the pixels of Sentinel-2 of that size have theirs, too. A box in
    degrees, or in metres that are not the ground's, is brought to the UTM zone of its middle. A box of this kind stays
    as it is.

    :param bbox: In any CRS; longitudes may be beyond 180.
    :param resolution: Size of a pixel in metres.
    :raises ConfigurationError: when the resolution is no number of metres above 0.
    :raises GridError: when the box lies at no place on Earth.
    """
    check_resolution(resolution)
    crs, bounds = bbox.crs, tuple(bbox)
    if not all(math.isfinite(value) for value in bounds):
        raise GridError(f"Bounding box {bounds}: give four finite numbers.")
    if not (in_metres(crs) and has_ground_metres(crs, bounds)):
        try:
            ground = unrolled(to_degrees(shapely.box(*bounds), crs.ogc_string()))
        except GeometryError as error:
            raise GridError(f"Bounding box {bounds} in {crs.ogc_string()}: {error}.") from error
        west, south, east, north = ground.bounds
        crs = utm_of((west + east) / 2, (south + north) / 2)
        edges = ground.segmentize(max(east - west, north - south) / EDGE_PARTS)
        bounds = gpd.GeoSeries([edges], crs=WGS84).to_crs(crs.pyproj_crs()).iloc[0].bounds
    low, high = ([value / resolution for value in side] for side in (bounds[:2], bounds[2:]))
    left, bottom = (math.floor(value + _ON_LATTICE) * resolution for value in low)
    right, top = (math.ceil(value - _ON_LATTICE) * resolution for value in high)
    return BBox((left, bottom, max(right, left + resolution), max(top, bottom + resolution)), crs)


def _cure(bbox: BBox, resolution: float) -> str:
    """The box to use instead, in numbers that can be copied."""
    try:
        snapped = snap_bbox(bbox, resolution)
    except (ConfigurationError, GridError) as error:
        return str(error)
    return (
        f"Give it in the UTM zone of the place: BBox({tuple(snapped)}, CRS('{snapped.crs.value}')), which"
        f" eotasks.snap_bbox(bbox, {resolution:g}) gives."
    )


def check_resolution(resolution: object) -> None:
    """Refuse what is no size of a pixel.

    :raises ConfigurationError: when it is no number of metres above 0.
    """
    if not isinstance(resolution, numbers.Real) or not 0 < float(resolution) < math.inf:
        raise ConfigurationError(f"resolution={resolution!r}: give a number of metres above 0.")


def bbox_for(eopatch: EOPatch | None, bbox: BBox | None) -> BBox:
    """The bounding box a source fills: the one given, or the EOPatch's.

    :raises GridError: when both are given and differ.
    :raises ConfigurationError: when neither is given.
    """
    known = eopatch.bbox if eopatch is not None else None
    if bbox is not None and known is not None and bbox != known:
        raise GridError(f"Bounding box {tuple(bbox)} is not that of the EOPatch, {tuple(known)}: give one of them.")
    area = bbox if bbox is not None else known
    if area is None:
        raise ConfigurationError("No bounding box: give bbox=..., or an EOPatch that has one.")
    return area

"""The area of interest, from a file or a bounding box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.area.vector import damage, in_system, known_crs, layers_of, on_disk, read_layer, system_of
from eotasks.errors import AreaError, ConfigurationError, GridError
from eotasks.geometry.antimeridian import box_of, could_be_degrees, crosses, normalised, unrolled
from eotasks.geometry.degrees import FARTHEST, to_degrees
from eotasks.geometry.repair import repaired
from eotasks.geometry.systems import crs_of, has_ground_metres, in_degrees, in_metres, utm_of

GridName = Literal["utm", "bbox"]
"""What patches are aligned with: the lattice of each UTM zone, or the upper left corner of the area's own box."""

_WIDEST_ACROSS = 180
"""Degrees of a box whose west is greater than its east; a wider one has them exchanged more likely than not."""

_NOT_IN_METRES = "It is not in metres either, which grid 'bbox' needs: use grid 'utm'."


def read_area(
    *,
    file: str | Path | None = None,
    bbox: Sequence[float] | None = None,
    crs: str | int | CRS | None = None,
    buffer: float = 0,
    grid: GridName | None = None,
) -> Geometry:
    """The area of interest: the union of all polygons of a vector file, or a bounding box.

    In degrees, what lies over the antimeridian may be written in any way (`eotasks.geometry.antimeridian`), and WGS 84
    is recognised in any spelling, as OGC:CRS84.

    :param file: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet, KML, GML or GPX, on disk or
        ``s3://bucket/key``; points and lines become an area by a buffer only.
    :param bbox: ``(min x, min y, max x, max y)``; longitude is x. In degrees, a west greater than the east goes over
        the antimeridian, and longitudes may be beyond 180.
    :param crs: CRS of the bounding box, such as ``"EPSG:32633"`` or 32633; of a file that has none; or what a file
        whose CRS has no EPSG code is brought to.
    :param buffer: Metres on the ground added all around (a negative one takes away).
    :param grid: Of the patches that the area is for, see :func:`eotasks.area.split_area`: what does not go with it is
        said together with what else is wrong with the coordinate system.
    :return: The area in the CRS of the file or box, cut at the antimeridian where that is in degrees.
    :raises ConfigurationError: unless exactly one of ``file`` and ``bbox`` is given.
    :raises AreaError: when the file is missing, unreadable or empty, or the area is, or lies at no place on Earth.
    :raises GridError: when there is no CRS, another one than the file has, or one in metres for numbers of degrees.
    """
    if (file is None) == (bbox is None):
        raise ConfigurationError("An area is either a file or a bbox: give exactly one of them.")
    if file is not None:
        with on_disk(file) as path, damage(path):
            geometry, system = _read_file(path, None if crs is None else crs_of(crs), grid)
        what = str(file)
    else:
        bbox = () if bbox is None else tuple(bbox)
        what = f"The bbox {list(bbox)}"
        with damage(what):
            geometry, system = _read_bbox(bbox, crs, grid)
    with damage(what):
        if not geometry.is_empty and not np.abs(geometry.bounds).max() < FARTHEST:
            raise AreaError(f"{what} reaches to {geometry.bounds}, where no place is: check its coordinates.")
        if buffer:
            geometry = _buffered(geometry, system, buffer)
        polygonal = _polygons(geometry)
    if polygonal.is_empty:
        raise AreaError(f"{what} with a buffer of {buffer} m has no area: give polygons, or a larger buffer.")
    return Geometry(polygonal, system)


def _read_file(path: Path, crs: CRS | None, grid: GridName | None) -> tuple[Any, CRS]:
    frames = [read_layer(path, layer) for layer in layers_of(path)]
    frames = [frame for frame in frames if not frame.geometry.isna().all()]
    if not frames:
        raise AreaError(f"{path} is empty: give a file with at least one polygon.")
    try:
        system = system_of(frames[0], path, crs)
    except GridError as error:
        own = None if frames[0].crs is None else known_crs(frames[0].crs)
        if own is None or own == crs or grid != "bbox" or in_metres(own):
            raise
        raise GridError(f"{error} {_NOT_IN_METRES}") from error
    geometries = [geometry for frame in frames for geometry in _as_valid(in_system(frame, system), in_degrees(system))]
    return shapely.union_all(geometries), system


def _as_valid(frame: gpd.GeoDataFrame, degrees: bool) -> Iterable[Any]:
    """Geometries that are valid, and in degrees cut at the antimeridian."""
    given = (geometry for geometry in frame.geometry if geometry is not None)
    west, _, east, _ = frame.total_bounds
    normal = not degrees or (could_be_degrees(frame.total_bounds) and east - west <= 180)
    for geometry in given:
        yield repaired(geometry if normal else normalised(geometry))


def _read_bbox(bbox: Sequence[float], crs: str | int | CRS | None, grid: GridName | None) -> tuple[Any, CRS]:
    if crs is None:
        raise GridError(f"The bbox {list(bbox)} has no CRS: give one, such as crs='EPSG:32633'.")
    values = [float(value) for value in bbox]
    if len(values) != 4 or not np.isfinite(values).all():
        raise AreaError(f"The bbox {list(bbox)} is none: give min x, min y, max x, max y.")
    system = crs_of(crs)
    west, south, east, north = values
    degrees = in_degrees(system)
    if (west >= east and not (degrees and west > east)) or south >= north:
        raise AreaError(f"The bbox {values} is empty: give min x, min y, max x, max y, each minimum below its maximum.")
    if degrees:
        _refuse_exchanged(values)
        return box_of(west, south, east, north), system
    _refuse_degrees(values, system, grid)
    return shapely.box(*values), system


def _refuse_exchanged(box: Sequence[float]) -> None:
    """Refuse a box that would go round most of the Earth because its sides are exchanged.

    West of east only, as RFC 7946 has it over the antimeridian; a wide area can be said by an east beyond 180.
    """
    west, south, east, north = box
    around = (east - west) % 360
    if -180 <= east < west <= 180 and around > _WIDEST_ACROSS:
        raise AreaError(
            f"The bbox {list(box)}: its west lies east of its east, so that it would go {around:g} degrees over the"
            f" antimeridian: exchange them ({east}, {south}, {west}, {north}), or give {east + 360} as its east if that"
            " is meant."
        )


def _refuse_degrees(box: Sequence[float], system: CRS, grid: GridName | None) -> None:
    """Refuse a box whose numbers are degrees and whose system is in metres: it would be as small as a hand."""
    west, south, east, north = box
    if not (in_metres(system) and could_be_degrees(box)):
        return
    cures = ["crs='EPSG:4326'", *(["grid='utm'"] if grid == "bbox" else [])]
    raise GridError(
        f"The bbox {list(box)} has numbers of degrees, but {system.ogc_string()} is in metres, so that it would be"
        f" {east - west:g} x {north - south:g} m: give {' and '.join(cures)}, or the box in metres."
    )


def _buffered(geometry: Any, crs: CRS, buffer: float) -> Any:
    """A buffer in metres on the ground: in the CRS itself where its metres are, else in the UTM zone of each part."""
    if in_metres(crs) and has_ground_metres(crs, geometry.bounds):
        return geometry.buffer(buffer)
    whole = unrolled(to_degrees(geometry, crs.ogc_string()) if not in_degrees(crs) else geometry)
    zones: dict[CRS, list[Any]] = {}
    for part in shapely.get_parts(whole):
        middle = _reprojected(part, crs, CRS.WGS84).centroid if in_degrees(crs) else part.centroid
        zones.setdefault(utm_of(middle.x, middle.y), []).append(part)
    degrees = crs if in_degrees(crs) else CRS.WGS84
    buffered = []
    for zone, parts in zones.items():
        wide = _reprojected(shapely.union_all(parts), degrees, zone).buffer(buffer)
        place = normalised(_reprojected(wide, zone, degrees))
        if in_degrees(crs):
            buffered.append(place)
        elif crosses(place):  # as one piece, its corners on both sides would span a band round the world
            buffered += [_reprojected(part, degrees, crs) for part in shapely.get_parts(place)]
        else:
            buffered.append(_reprojected(wide, zone, crs))
    return shapely.union_all(buffered)


def _reprojected(geometry: Any, source: CRS, target: CRS) -> Any:
    return gpd.GeoSeries([geometry], crs=source.pyproj_crs()).to_crs(target.pyproj_crs()).iloc[0]


def _polygons(geometry: Any) -> Any:
    parts = [part for part in shapely.get_parts(geometry) if part.area > 0]
    polygons = [piece for part in parts for piece in shapely.get_parts(part) if piece.area > 0]
    return shapely.union_all(polygons)

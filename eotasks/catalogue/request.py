"""What a search asks for: an area, a time, and limits; the same for our own files and for STAC APIs."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import shapely
from rasterio.warp import transform
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from eotasks.errors import ConfigurationError, GridError, reason_of
from eotasks.imagery.grid import parse_crs
from eotasks.times import naive_utc

Level = Literal["L1C", "L2A"]
Moment = str | dt.date | dt.datetime | None
TimeInterval = tuple[Moment, Moment]
"""First and last; a day means all of it, None is open. Times without a zone are UTC."""

WGS84 = "EPSG:4326"
EDGE_PARTS = 32
"""Into how many pieces an edge is cut before it is brought to degrees, where straight lines become curves."""

_TILE = re.compile(r"^T?([0-6]?\d[C-HJ-NP-X][A-HJ-NP-Z]{2})$")
_WORLD = box(-180, -90, 180, 90)


@dataclass(frozen=True)
class SearchRequest:
    """A search, checked and normalised."""

    area: BaseGeometry | None = None
    """Degrees (WGS84, longitude first), cut at the antimeridian; None for the whole world."""

    start: dt.datetime | None = None
    """UTC, naive, inclusive."""

    end: dt.datetime | None = None
    """UTC, naive, inclusive."""

    max_cloud_cover: float | None = None
    """Of a whole scene, 0..1."""

    level: Level | None = None
    tile: str | None = None
    """Such as ``"33UUU"``."""

    limit: int | None = None

    @classmethod
    def of(
        cls,
        *,
        bbox: Sequence[float] | None = None,
        intersects: BaseGeometry | Mapping[str, Any] | None = None,
        crs: str = WGS84,
        time_interval: TimeInterval | None = None,
        max_cloud_cover: float | None = None,
        level: Level | None = None,
        tile: str | None = None,
        limit: int | None = None,
    ) -> SearchRequest:
        """See :meth:`eotasks.catalogue.store.Catalogue.search` for the parameters.

        :raises ConfigurationError: when one of them is not usable.
        :raises GridError: when the coordinate system is not known, or an extent is empty.
        """
        start, end = (None, None) if time_interval is None else interval_of(time_interval)
        if max_cloud_cover is not None and not 0 <= max_cloud_cover <= 1:
            raise ConfigurationError(f"max_cloud_cover={max_cloud_cover!r}: give a share from 0 to 1, such as 0.8.")
        if level is not None and level not in get_args(Level):
            raise ConfigurationError(f"level={level!r} is not known: use {' or '.join(get_args(Level))}.")
        if limit is not None and (isinstance(limit, bool) or limit < 1):
            raise ConfigurationError(f"limit={limit!r}: give a whole number above 0, or None for all.")
        return cls(area_of(bbox, intersects, crs), start, end, max_cloud_cover, level, tile_of(tile), limit)

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """(west, south, east, north) of the area: one box, or two where it crosses the antimeridian."""
        if self.area is None:
            return []
        parts = shapely.get_parts(self.area) if self.area.geom_type.startswith("Multi") else [self.area]
        west = [part.bounds for part in parts if part.bounds[2] <= 0]
        east = [part.bounds for part in parts if part.bounds[2] > 0]
        sides = (west, east) if west and east and max(b[2] for b in east) == 180 else ([*west, *east],)
        return [_around(side) for side in sides if side]


_FARTHEST = 1e6
"""Degrees: beyond the world, to which areas are cut, and within what GEOS computes with."""


def area_of(
    bbox: Sequence[float] | None, intersects: BaseGeometry | Mapping[str, Any] | None, crs: str
) -> BaseGeometry | None:
    """An extent or a geometry in degrees.

    An extent in degrees whose west is greater than its east crosses the antimeridian.

    :raises ConfigurationError: when both are given, or the geometry is none.
    :raises GridError: when the coordinate system is not known, or the extent is empty or not of this world.
    """
    if bbox is not None and intersects is not None:
        raise ConfigurationError("bbox and intersects are two ways to name an area: give one of them.")
    if bbox is None and intersects is None:
        return None
    geographic = parse_crs(crs).is_geographic
    area = _geometry(intersects) if intersects is not None else _box(bbox or (), geographic)
    if not geographic:
        area = _to_degrees(area, crs)
    if not np.abs(shapely.get_coordinates(area)).max(initial=0) < _FARTHEST:  # NaN and infinity too
        raise GridError(f"Area {_short(area)}: is no place on Earth. Is its coordinate system {crs}?")
    try:
        inside = area.intersection(_WORLD) if area.is_valid else shapely.make_valid(area).intersection(_WORLD)
    except shapely.errors.ShapelyError as error:  # NaN or infinity among its corners
        raise GridError(f"Area {_short(area)}: is no place on Earth ({reason_of(error)}).") from error
    if inside.is_empty:
        raise GridError(f"Area {_short(area)}: is no place on Earth. Is its coordinate system {crs}?")
    return inside


def interval_of(interval: TimeInterval) -> tuple[dt.datetime | None, dt.datetime | None]:
    """First and last moment (naive UTC) of an interval; the last day is searched to its end.

    :raises ConfigurationError: when it is no two times, or ends before it starts.
    """
    if isinstance(interval, str) or len(interval) != 2:
        raise ConfigurationError(f"time_interval={interval!r}: give two times, (first, last); None leaves one open.")
    start, end = _moment(interval[0], last=False), _moment(interval[1], last=True)
    if start is not None and end is not None and end < start:
        raise ConfigurationError(f"time_interval={interval!r} ends before it starts: exchange the two.")
    return start, end


def tile_of(tile: str | None) -> str | None:
    """A tile of the military grid without the T and with two digits, such as "33UUU" or "05QKB".

    :raises ConfigurationError: when it is none.
    """
    if tile is None:
        return None
    found = _TILE.match(tile.upper())
    if found is None:
        raise ConfigurationError(f"tile={tile!r} is no tile of the military grid: write it as 33UUU.")
    return found.group(1).zfill(5)


def _moment(value: Moment, *, last: bool) -> dt.datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            value = (
                dt.date.fromisoformat(value) if len(value) == len("2024-01-31") else dt.datetime.fromisoformat(value)
            )
        if not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time.max if last else dt.time.min)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"time_interval: {value!r} is no time: write 2024-01-31 or 2024-01-31T10:20:00."
        ) from error
    return naive_utc(value)


def _geometry(value: BaseGeometry | Mapping[str, Any]) -> BaseGeometry:
    try:
        geometry = value if isinstance(value, BaseGeometry) else shape(value)
        geometry = shapely.force_2d(geometry)
    except (
        AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError,
        shapely.errors.ShapelyError,
    ) as error:  # fmt: skip
        raise ConfigurationError("intersects is no geometry: give one of shapely, or GeoJSON.") from error
    if geometry.is_empty:
        raise ConfigurationError("intersects is an empty geometry: there is nothing to search for.")
    return geometry


def _box(bbox: Sequence[float], geographic: bool) -> BaseGeometry:
    if len(bbox) != 4 or not all(math.isfinite(value) for value in bbox):
        raise GridError(f"Extent {tuple(bbox)!r}: give four finite numbers (west, south, east, north).")
    west, south, east, north = (float(value) for value in bbox)
    if north < south or (east < west and not geographic):
        raise GridError(f"Extent {(west, south, east, north)}: empty, east must exceed west and north south.")
    if east < west:
        return shapely.MultiPolygon([box(west, south, 180, north), box(-180, south, east, north)])
    return box(west, south, east, north)


def _to_degrees(area: BaseGeometry, crs: str) -> BaseGeometry:
    """Edges are curves in degrees, so that points are set along them first."""
    west, south, east, north = area.bounds
    step = max(east - west, north - south) / EDGE_PARTS
    fine = area.segmentize(step) if step > 0 else area
    points = shapely.get_coordinates(fine)
    degrees = np.column_stack(transform(parse_crs(crs), WGS84, points[:, 0], points[:, 1]))
    moved = shapely.set_coordinates(fine, degrees)
    if not all(math.isfinite(value) for value in moved.bounds):
        raise GridError(f"Area {_short(area)} lies outside of what {crs} can show: check its coordinate system.")
    return cut(moved)


def cut(area: BaseGeometry) -> BaseGeometry:
    """Parts on both sides of the antimeridian, when the area jumps from one to the other."""
    west, _, east, _ = area.bounds
    if east - west <= 180:
        return area
    unrolled = shapely.transform(area, lambda points: points + [[360, 0]] * (points[:, :1] < 0))
    left = unrolled.intersection(box(0, -90, 180, 90))
    right = shapely.transform(unrolled.intersection(box(180, -90, 360, 90)), lambda points: points - [[360, 0]])
    return shapely.union_all([left, right])


def _around(bounds: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    west, south, east, north = zip(*bounds, strict=True)
    return min(west), min(south), max(east), max(north)


def _short(area: BaseGeometry) -> str:
    return "(" + ", ".join(f"{value:g}" for value in area.bounds) + ")"


def as_geojson(area: BaseGeometry) -> dict[str, Any]:
    """A geometry as GeoJSON with lists."""
    import json

    geojson: dict[str, Any] = json.loads(json.dumps(mapping(area)))
    return geojson

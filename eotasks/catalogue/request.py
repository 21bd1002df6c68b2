"""What a search asks for: an area, a time, and limits; the same for our own files and for STAC APIs."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import shapely
from rasterio.crs import CRS
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from eotasks.errors import ConfigurationError, GeometryError, GridError, reason_of
from eotasks.geometry.antimeridian import box_of, boxes_of
from eotasks.geometry.degrees import WGS84, in_degrees, to_degrees
from eotasks.geometry.repair import repaired
from eotasks.imagery.grid import parse_crs
from eotasks.times import naive_utc

Level = Literal["L1C", "L2A"]
Moment = str | dt.date | dt.datetime | None
TimeInterval = tuple[Moment, Moment]
"""First and last; a day means all of it, None is open. Times without a zone are UTC."""

_TILE = re.compile(r"^T?([0-6]?\d[C-HJ-NP-X][A-HJ-NP-Z]{2})$")


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
        return [] if self.area is None else boxes_of(self.area)


def area_of(
    bbox: Sequence[float] | None, intersects: BaseGeometry | Mapping[str, Any] | None, crs: str
) -> BaseGeometry | None:
    """An extent or a geometry in degrees.

    An extent in degrees whose west is greater than its east crosses the antimeridian, and longitudes may be beyond 180:
    see `eotasks.geometry.antimeridian`.

    :raises ConfigurationError: when both are given, or the geometry is none.
    :raises GridError: when the coordinate system is not known, or the extent is empty or not of this world.
    """
    if bbox is not None and intersects is not None:
        raise ConfigurationError("bbox and intersects are two ways to name an area: give one of them.")
    if bbox is None and intersects is None:
        return None
    system = parse_crs(crs)
    given = _four(bbox or ()) if intersects is None else _geometry(intersects)
    try:
        return repaired(to_degrees(_box(given, system) if isinstance(given, tuple) else given, system))
    except (GeometryError, shapely.errors.ShapelyError) as error:
        what = f"Extent {given}" if isinstance(given, tuple) else f"Area {_short(given)}"
        raise GridError(f"{what} in {crs}: {reason_of(error)}.") from error


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


def _four(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    if len(bbox) != 4 or not all(math.isfinite(value) for value in bbox):
        raise GridError(f"Extent {tuple(bbox)!r}: give four finite numbers (west, south, east, north).")
    west, south, east, north = (float(value) for value in bbox)
    return west, south, east, north


def _box(bounds: tuple[float, float, float, float], system: CRS) -> BaseGeometry:
    """A box in units of a system, in the form of degrees where it is in them."""
    if in_degrees(system):
        return box_of(*bounds)
    west, south, east, north = bounds
    if north < south or east < west:
        raise GeometryError("empty, east must exceed west and north south")
    return box(west, south, east, north)


def _short(area: BaseGeometry) -> str:
    return "(" + ", ".join(f"{value:g}" for value in area.bounds) + ")"


def as_geojson(area: BaseGeometry) -> dict[str, Any]:
    """A geometry as GeoJSON with lists."""
    import json

    geojson: dict[str, Any] = json.loads(json.dumps(mapping(area)))
    return geojson

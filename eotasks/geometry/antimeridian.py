"""Geometries in degrees that cross the antimeridian, however they say so, as the same set of points in one form.

Others write the same ground in four ways: cut at 180 degrees (RFC 7946, section 3.1.9), with longitudes beyond 180,
with longitudes from 0 to 360, or with corners that jump from one side to the other. An edge of more than 180 degrees is
taken for such a jump, so that it runs the short way round; one of exactly 360 degrees is one too unless its ring goes
round the world (boxes of the whole world have such edges). A ring that goes round a pole holds the pole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError
from eotasks.geometry.repair import repaired

TURN = 360.0
FARTHEST = 1080.0
"""Degrees: more than a turn beyond what any convention writes, and less than metres are."""

_BEYOND_POLE = 1e-6
"""Degrees that rounding may lead beyond a pole: 10 cm."""

_MOST_TURNS = 7
"""That a part may reach over: those that numbers may have, and one more."""

_AT_EDGE = 1e-4
"""Degrees from the antimeridian within which a part touches it: 10 m. Who cuts writes 179.99999, too."""

_ROUNDING = 1e-9
_DECIMALS = 12
"""Of longitudes that were shifted: -179.7 + 360 - 360 is -179.7 again."""

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


def normalised(geometry: BaseGeometry) -> BaseGeometry:
    """The same set of points with longitudes from -180 to 180, cut at the antimeridian.

    A geometry that has this form already is returned as it is. Parts of a cut geometry touch 180 or -180 exactly.

    :param geometry: Degrees, longitude first.
    :raises GeometryError: when a corner is not finite or at no place on Earth, or a ring cannot be mended.
    """
    check_degrees(geometry)
    if _is_normal(geometry):
        return geometry
    try:
        pieces = [piece for part in _single_parts(geometry) for piece in _pieces(part)]
        return shapely.union_all(pieces)
    except shapely.errors.ShapelyError as error:
        raise GeometryError(f"it cannot be cut at the antimeridian ({error})") from error


def check_degrees(geometry: BaseGeometry) -> None:
    """Refuse what is no place on Earth, by name.

    :param geometry: Degrees, longitude first.
    :raises GeometryError: with the coordinate and the cure.
    """
    points = shapely.get_coordinates(geometry)
    if not np.isfinite(points).all():
        raise GeometryError("a corner that is not finite")
    far = np.abs(points).max(axis=0, initial=0)
    if (far > FARTHEST).any():
        x, y = points[np.argmax(np.abs(points).max(axis=1))].tolist()
        raise GeometryError(
            f"({x:g}, {y:g}) in degrees is no place on Earth. Numbers in metres need their coordinate system named"
            " (crs='EPSG:32633')"
        )
    if far[1] > 90 + _BEYOND_POLE:
        latitude = points[np.argmax(np.abs(points[:, 1])), 1]
        raise GeometryError(
            f"latitude {latitude:.10g} lies beyond the pole, at no place on Earth. Longitude comes first: exchange the"
            " two if they stand as latitude, longitude"
        )


def could_be_degrees(bounds: Sequence[float]) -> bool:
    """Whether the numbers of a box are such as degrees have: of metres, none is as near to where a system begins."""
    west, south, east, north = bounds
    return west >= -180 and south >= -90 and east <= 180 and north <= 90


def crosses(geometry: BaseGeometry) -> bool:
    """Whether a geometry of the form of :func:`normalised` goes over the antimeridian, and not round the world."""
    return _start(geometry) is not None


def unrolled(geometry: BaseGeometry) -> BaseGeometry:
    """In one piece where it crosses the antimeridian: what lies west of 180 there has longitudes beyond 180.

    :param geometry: Of the form of :func:`normalised`.
    """
    start = _start(geometry)
    if start is None:
        return geometry
    parts = [_shifted(part, TURN) if part.bounds[0] < start else part for part in _single_parts(geometry)]
    return shapely.union_all(parts)


def bounds_of(geometry: BaseGeometry) -> Bounds:
    """Bounding box as RFC 7946, section 5.2, has it: west is greater than east where it crosses the antimeridian.

    :param geometry: Of the form of :func:`normalised`, not empty.
    """
    west, south, east, north = geometry.bounds
    start = _start(geometry)
    if start is not None:
        west, east = start, max(part.bounds[2] for part in _single_parts(geometry) if part.bounds[0] < start)
    return west, south, east, north


def boxes_of(geometry: BaseGeometry) -> list[Bounds]:
    """Boxes that hold a geometry, none of them over the antimeridian: one, or one on each side of it.

    :param geometry: Of the form of :func:`normalised`.
    """
    start = _start(geometry)
    if start is None:
        return [geometry.bounds] if not geometry.is_empty else []
    parts = [part.bounds for part in _single_parts(geometry)]
    sides = [part for part in parts if part[0] < start], [part for part in parts if part[0] >= start]
    return [_around(side) for side in sides if side]


def box_of(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """A bounding box in degrees; west greater than east goes over the antimeridian, as RFC 7946 has it.

    Longitudes may be beyond 180. A box of more than 180 degrees is as wide as it says.

    :raises GeometryError: when north is less than south, west greater than east beyond 180, or it is no place on Earth.
    """
    if north < south:
        raise GeometryError("empty, south is greater than north: exchange the two")
    if west > east:
        if max(abs(west), abs(east)) > 180:
            raise GeometryError(
                "empty, west is greater than east. That means over the antimeridian only from -180 to 180"
            )
        east += TURN
    check_degrees(shapely.linestrings([(west, south), (west + min(east - west, TURN), north)]))
    if east - west >= TURN:
        west, east = -180.0, 180.0
    steps = max(1, math.ceil((east - west) / 120))  # an edge of over 180 degrees would be taken for a jump
    along = np.linspace(west, east, steps + 1)
    there, back = [(x, south) for x in along], [(x, north) for x in along[::-1]]
    if steps == 1:
        return normalised(shapely.box(west, south, east, north))
    return normalised(shapely.Polygon([*there, *back]))


def _is_normal(geometry: BaseGeometry) -> bool:
    if geometry.is_empty:
        return True
    west, _, east, _ = geometry.bounds
    if west < -180 or east > 180:
        return False
    return east - west <= 180 or not any(_has_jump(points) for points in _lines(geometry))


def _lines(geometry: BaseGeometry) -> Iterator[NDArray[np.float64]]:
    for part in _single_parts(geometry):
        rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
        yield from (shapely.get_coordinates(ring) for ring in rings)


def _has_jump(points: NDArray[np.float64]) -> bool:
    return bool((np.abs(np.diff(points[:, 0])) > 180).any())


def _single_parts(geometry: BaseGeometry) -> list[Any]:
    """Points, lines and polygons of any collection, however deep."""
    parts = [geometry]
    while any(hasattr(part, "geoms") for part in parts):
        parts = [piece for part in parts for piece in shapely.get_parts(part)]
    return [part for part in parts if not part.is_empty]


def _pieces(part: Any) -> list[Any]:
    """One point, line or polygon, in the form."""
    points = shapely.get_coordinates(part)
    if part.geom_type == "Point":
        return [part if abs(points[0, 0]) <= 180 else _shifted(part, -TURN * np.round(points[0, 0] / TURN))]
    if part.geom_type != "Polygon":
        return _cut(shapely.linestrings(_without_jumps(points)))
    area = _ring_area(shapely.get_coordinates(part.exterior))
    holes = [_ring_area(shapely.get_coordinates(hole)) for hole in part.interiors]
    return _polygons(area.difference(shapely.union_all(holes)) if holes else area)


def _ring_area(points: NDArray[np.float64]) -> BaseGeometry:
    """The ground inside of a ring."""
    steps = np.abs(np.diff(points[:, 0]))
    ring = _without_jumps(points)
    if (steps == TURN).any() and (_winds(ring) or not shapely.Polygon(ring).area):
        ring = _without_jumps(points, longest=TURN)  # a ring round the world
    turns = _winds(ring)
    if abs(turns) > 1:
        raise GeometryError(f"a ring that goes {abs(turns)} times round the Earth")
    if turns:
        pole = math.copysign(90, float(ring[:, 1].mean()))
        ring = np.concatenate([ring, [(ring[-1, 0], pole), (ring[0, 0], pole), ring[0]]])
    return shapely.union_all(_cut(repaired(shapely.Polygon(ring))))


def _without_jumps(points: NDArray[np.float64], longest: float = 180) -> NDArray[np.float64]:
    """Corners whose longitudes go on beyond 180 where they jumped."""
    steps = np.diff(points[:, 0])
    turns = np.where(np.abs(steps) > longest, -np.round(steps / TURN), 0)
    return points + np.column_stack([TURN * np.concatenate([[0], np.cumsum(turns)]), np.zeros(len(points))])


def _winds(ring: NDArray[np.float64]) -> int:
    """Times that a ring goes round the Earth, positive eastwards."""
    return round(float(ring[-1, 0] - ring[0, 0]) / TURN)


def _cut(geometry: BaseGeometry) -> list[Any]:
    """Parts of a geometry without jumps by the turn that they lie in, shifted into the first."""
    west, _, east, _ = geometry.bounds
    first = math.floor((west + 180) / TURN)
    last = max(first, math.ceil((east + 180) / TURN) - 1)
    if first == last:
        return [_shifted(geometry, -TURN * first)]
    if last - first > _MOST_TURNS:
        raise GeometryError(f"it goes {last - first} times round the Earth")
    dimension, pieces = shapely.get_dimensions(geometry), []
    for turn in range(first, last + 1):
        band = shapely.box(-180 + TURN * turn, -91, 180 + TURN * turn, 91)
        inside = _shifted(geometry.intersection(band), -TURN * turn)
        pieces += [part for part in _single_parts(inside) if shapely.get_dimensions(part) == dimension]
    return pieces


def _shifted(geometry: BaseGeometry, degrees: float) -> BaseGeometry:
    def shift(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.round(points[:, 0] + degrees, _DECIMALS)
        x = np.where(np.abs(np.abs(x) - 180) < _ROUNDING, np.copysign(180, x), x)
        return np.column_stack([x, points[:, 1]])

    return shapely.transform(geometry, shift) if degrees else geometry


def _polygons(area: BaseGeometry) -> list[Any]:
    return [part for part in _single_parts(area) if part.geom_type == "Polygon"]


def _start(geometry: BaseGeometry) -> float | None:
    """Where a geometry that crosses the antimeridian begins in the west: behind its widest gap; None for others."""
    if geometry.is_empty or geometry.bounds[0] > -180 + _AT_EDGE or geometry.bounds[2] < 180 - _AT_EDGE:
        return None
    reached, widest, start = -180.0, 0.0, None
    for west, _, east, _ in sorted(part.bounds for part in _single_parts(geometry)):
        if west - reached > widest:
            widest, start = west - reached, west
        reached = max(reached, east)
    return start if widest > _AT_EDGE else None


def _around(boxes: list[Bounds]) -> Bounds:
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)

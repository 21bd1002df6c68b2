"""The same ground near the antimeridian, in all the ways that others write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

Corners = Sequence[tuple[float, float]]


def _shifted(corners: Corners, degrees: float) -> list[tuple[float, float]]:
    return [(x + degrees, y) for x, y in corners]


def _jumping(corners: Corners) -> Polygon:
    return Polygon([(round((x + 180) % 360 - 180, 12), y) for x, y in corners])


def _from_0_to_360(corners: Corners) -> Polygon:
    return Polygon([(x % 360, y) for x, y in corners])


def _split(corners: Corners) -> BaseGeometry:
    parts = []
    for turn in (-1, 0, 1):
        band = Polygon(corners).intersection(shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90))
        moved = shapely.transform(band, lambda points, turn=turn: points - [[360 * turn, 0]])
        parts += [part for part in shapely.get_parts(moved) if part.area > 0]
    return MultiPolygon(parts) if parts[1:] else parts[0]


def _split_east_first(corners: Corners) -> BaseGeometry:
    return shapely.multipolygons(list(shapely.get_parts(_split(corners)))[::-1])


FORMS: Mapping[str, Callable[[Corners], BaseGeometry]] = {
    "as it is": Polygon,
    "a turn to the east": lambda corners: Polygon(_shifted(corners, 360)),
    "a turn to the west": lambda corners: Polygon(_shifted(corners, -360)),
    "with jumps": _jumping,
    "from 0 to 360": _from_0_to_360,
    "split": _split,
    "split, east first": _split_east_first,
}
"""Ways to write a ring less than 180 degrees wide, whose longitudes go on beyond 180 where it does."""


def covers(area: BaseGeometry, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether points of a sphere lie inside of a geometry of longitudes from -180 to 180; none on its edges."""
    x = (points[:, 0] + 180) % 360 - 180
    return np.asarray(shapely.contains_xy(area, x, points[:, 1]), dtype=np.bool_)

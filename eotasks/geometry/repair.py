"""Rings that cross or meet themselves, mended within a bound: GEOS takes a minute for 300 corners that all cross."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError

MOST_CROSSINGS = 1000
"""Times that a ring may cross itself and still be repaired."""

_PART, _FIRST_PART = 256, 4
"""Edges that are compared with all others at once: few at first, as a ring that crosses itself everywhere does so there
already, and each comparison that hits takes ten microseconds."""

_MOST_MEETINGS = 100
"""Others that an edge meets at most, on average. Neighbours in a ring are two, and of parcels that share corners some
ten; a ring that goes round and round the same square meets itself by the square of the rounds, as does the room that
GEOS takes: gigabytes for 240 kB of text."""

_MOST_HITS = 4_000_000
"""Pairs that are looked at together."""


def repaired(area: BaseGeometry) -> BaseGeometry:
    """A valid geometry of the same ground.

    :raises GeometryError: when its rings cross themselves more often than any real one.
    """
    if area.is_valid:
        return area
    _refuse_tangles(area)
    if area.geom_type == "MultiPolygon":  # of parcels side by side GEOS leaves out those whose edges others share
        return shapely.union_all(shapely.make_valid(shapely.get_parts(area)))
    return shapely.make_valid(area)


def _refuse_tangles(area: BaseGeometry) -> None:
    points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(area)), return_index=True)
    # Of one ring; an edge of no length crosses nothing.
    is_edge = (ring[1:] == ring[:-1]) & (points[1:] != points[:-1]).any(axis=1)
    edges = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1)[is_edge])
    tree, crossings, meetings = shapely.STRtree(edges), 0, 0
    start, part = 0, _FIRST_PART
    while start < len(edges):
        some = edges[start : start + part]
        crossings += len(tree.query(some, predicate="crosses")[0])
        if crossings > 2 * MOST_CROSSINGS:
            raise GeometryError(f"a ring that crosses itself over {MOST_CROSSINGS} times")
        meetings += len(tree.query(some, predicate="intersects")[0])
        if meetings > _MOST_MEETINGS * max(len(edges), MOST_CROSSINGS):
            raise GeometryError("a ring that goes over its own edges again and again")
        start, part = start + part, min(2 * part, _PART, max(_FIRST_PART, _MOST_HITS // len(edges)))

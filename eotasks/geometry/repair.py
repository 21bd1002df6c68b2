"""Rings that cross themselves, mended within a bound: GEOS takes a minute for 300 corners that cross everywhere."""

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


def repaired(area: BaseGeometry) -> BaseGeometry:
    """A valid geometry of the same ground.

    :raises GeometryError: when its rings cross themselves more often than any real one.
    """
    if area.is_valid:
        return area
    points = shapely.get_coordinates(area)
    edges = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1))
    tree, crossings = shapely.STRtree(edges), 0
    start, part = 0, _FIRST_PART
    while start < len(edges):
        crossings += len(tree.query(edges[start : start + part], predicate="crosses")[0])
        if crossings > 2 * MOST_CROSSINGS:
            raise GeometryError(f"a ring that crosses itself over {MOST_CROSSINGS} times")
        start, part = start + part, min(2 * part, _PART)
    return shapely.make_valid(area)

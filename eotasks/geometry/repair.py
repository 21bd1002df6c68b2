"""Rings that cross themselves, mended within a bound: GEOS takes a minute for 300 corners that cross everywhere."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError

MOST_CROSSINGS = 1000
"""Times that a ring may cross itself and still be repaired."""

_PART = 256


def repaired(area: BaseGeometry) -> BaseGeometry:
    """A valid geometry of the same ground.

    :raises GeometryError: when its rings cross themselves more often than any real one.
    """
    if area.is_valid:
        return area
    points = shapely.get_coordinates(area)
    edges = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1))
    tree, crossings = shapely.STRtree(edges), 0
    for start in range(0, len(edges), _PART):
        crossings += len(tree.query(edges[start : start + _PART], predicate="crosses")[0])
        if crossings > 2 * MOST_CROSSINGS:
            raise GeometryError(f"a ring that crosses itself over {MOST_CROSSINGS} times")
    return shapely.make_valid(area)

"""From a raster of water to the extent of one body of water, and its level.

The level is the area of the extent over the area of the nominal outline: water that is connected with the outline
counts beyond it, so that the level of a flood exceeds 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import Polygon

MAX_CHARACTERS = 100_000
"""Of the text (WKT) of an extent that is kept."""

CHARACTERS_OF_OUTLINE = 100
"""Times those of the outline that an extent may have."""

MOST_STEPS = 50

ELEVATION_MARGIN = 15.0
"""Metres above the mean height inside of the outline from which there is no water outside of it."""

Geometry = BaseGeometry


def outline_pixels(outline: BaseGeometry, shape: tuple[int, int], transform: Affine) -> NDArray[np.bool_]:
    """(h, w), the pixels whose centres lie in an outline; of one that has no centre in it, all that it touches.

    :param outline: In the coordinate system of the raster.
    """
    for all_touched in (False, True):
        inside = _burnt(outline, shape, transform, all_touched=all_touched)
        if inside.any():
            break
    return inside


def water_extent(water: NDArray[np.bool_], outline: BaseGeometry, transform: Affine) -> BaseGeometry:
    """The union of the patches of water that meet an outline; empty where none does.

    :param water: (h, w), pixels of water; those that share an edge are connected.
    :param outline: Nominal outline, in the coordinate system of the raster.
    :param transform: From (column, row) to that system.
    """
    found = [
        shape(part)
        for part, _ in rasterio.features.shapes(water.astype(np.uint8), mask=water, connectivity=4, transform=transform)
    ]
    if not found:
        return Polygon()
    shapely.prepare(outline)
    parts = np.array(found, dtype=object)
    return shapely.union_all(parts[shapely.intersects(parts, outline)]).buffer(0)


def without_high_ground(
    water: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    elevation: NDArray[np.floating[Any]],
    *,
    margin: float = ELEVATION_MARGIN,
) -> NDArray[np.bool_]:
    """Water without that which stands outside of the outline and much above it: the veto of an elevation model.

    :param water: (h, w)
    :param inside: (h, w), pixels of the outline.
    :param elevation: (h, w) metres; NaN where it is not known, and nothing is taken away.
    :param margin: Metres above the mean inside of the outline from which water is none.
    """
    heights = elevation[inside & np.isfinite(elevation)]
    if not heights.size:
        return water.copy()
    with np.errstate(invalid="ignore"):
        return np.asarray(water & ~(~inside & (elevation >= heights.mean() + margin)))


def shortened_extent(extent: BaseGeometry, outline: BaseGeometry, step: float) -> BaseGeometry:
    """An extent whose text is at most min(100,000, 100 times the outline's) characters long, simplified as far as that
    needs; should 50 steps not do, without its smallest parts.

    :param step: By which the tolerance grows, in units of the coordinate system, such as the size of a pixel.
    """
    most = min(MAX_CHARACTERS, CHARACTERS_OF_OUTLINE * len(outline.wkt))
    found = extent
    for number in range(1, MOST_STEPS + 1):
        if len(found.wkt) <= most:
            return found
        found = extent.simplify(number * step)
    parts = sorted(shapely.get_parts(found), key=lambda part: float(part.area), reverse=True)
    while len(parts) > 1 and sum(len(part.wkt) for part in parts) > most:
        parts = parts[: max(1, len(parts) // 2)]
    return shapely.union_all(parts)


def _burnt(outline: BaseGeometry, shape: tuple[int, int], transform: Affine, *, all_touched: bool) -> NDArray[np.bool_]:
    burnt = rasterio.features.rasterize(
        [outline], out_shape=shape, transform=transform, dtype="uint8", all_touched=all_touched
    )
    return np.asarray(burnt, dtype=bool)

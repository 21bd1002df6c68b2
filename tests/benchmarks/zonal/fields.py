"""Made-up fields over the embedded scene: quadrilaterals side by side, none like the other."""

from __future__ import annotations

import math

import geopandas as gpd
import numpy as np
import shapely

from eotasks.sources.sample import SAMPLE_BBOX

_SHRUNK = 0.22
"""Of the side of a cell, by which corners of a field lie inside of it, at most."""


def fields(count: int, seed: int = 1) -> gpd.GeoDataFrame:
    """So many, of one scene: the more, the smaller."""
    left, bottom, right, top = SAMPLE_BBOX
    rows = math.ceil(math.sqrt(count * (top - bottom) / (right - left)))
    columns = math.ceil(count / rows)
    across, down = (right - left) / columns, (top - bottom) / rows
    random = np.random.default_rng(seed)
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=float)
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], dtype=float)
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)[:count]
    points = places[:, None] + corners + inward * random.random((len(places), 4, 2)) * _SHRUNK
    shapes = shapely.polygons(points * (across, down) + (left, bottom))
    return gpd.GeoDataFrame(geometry=shapes, crs=SAMPLE_BBOX.crs.ogc_string())

"""Small EOPatches with masks, polygons on them, and exactextract called by hand."""

from __future__ import annotations

import datetime as dt

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from eolearn.core import EOPatch, FeatureType
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

LEFT, TOP, SIZE = 500_000.0, 5_000_400.0, 10.0
TIMES = [dt.datetime(2020, 5, day) for day in (1, 6, 11)]  # noqa: DTZ001 - EOPatch times are naive

BY_HAND = {
    "mean": "mean", "std": "stdev", "min": "min", "max": "max", "median": "median", "p05": "quantile_5",
    "p95": "quantile_95", "pixels": "count",
}  # fmt: skip
"""Our columns by exactextract's."""


def zonal_patch(rows: int = 30, columns: int = 40, *, seed: int = 0, column: int = 0) -> EOPatch:
    """Three dates of 13 bands on pixels of 10 m, with random clouds, shadows and gaps.

    :param column: Of the upper left corner, from the one of other patches.
    """
    random = np.random.default_rng(seed)
    left = LEFT + column * SIZE
    bbox = BBox((left, TOP - rows * SIZE, left + columns * SIZE, TOP), CRS("EPSG:32633"))
    patch = EOPatch(bbox=bbox, timestamps=TIMES)
    shape = (len(TIMES), rows, columns)
    bands = np.round(random.uniform(0.0, 0.5, (*shape, 13)), 4).astype(np.float32)
    bands[0, 3:6, 3:6] = 0  # an index of 0/0
    patch[FeatureType.DATA, "BANDS"] = bands
    patch[FeatureType.MASK, "CLM"] = (random.random((*shape, 1)) < 0.3).astype(np.uint8)
    patch[FeatureType.MASK, "SHADOW"] = (random.random((*shape, 1)) < 0.2).astype(np.uint8)
    patch[FeatureType.MASK, "IS_DATA"] = random.random((*shape, 1)) > 0.1
    return patch


def some_polygons() -> gpd.GeoDataFrame:
    """A hexagon, one with a hole, two parts, one smaller than a pixel, and one half beside the patch of 30 x 40."""
    disk = shapely.Point(LEFT + 123, TOP - 141).buffer(47.3, quad_segs=2)
    ring = shapely.Point(LEFT + 250, TOP - 150).buffer(63).difference(shapely.Point(LEFT + 247, TOP - 148).buffer(21))
    parts = shapely.MultiPolygon([shapely.box(LEFT + 31, TOP - 90, LEFT + 77, TOP - 51), shapely.box(
        LEFT + 333.3, TOP - 271, LEFT + 371, TOP - 211.1)])  # fmt: skip
    small = shapely.box(LEFT + 212.5, TOP - 33.5, LEFT + 214.5, TOP - 31)
    beside = shapely.box(LEFT - 55, TOP - 204, LEFT + 42, TOP - 118)
    names = ["disk", "ring", "parts", "small", "beside"]
    return gpd.GeoDataFrame({"name": names}, geometry=[disk, ring, parts, small, beside], crs=32633)


def by_hand(
    values: NDArray[np.floating], counted: NDArray[np.bool_], bounds: tuple[float, ...], polygons: gpd.GeoDataFrame
) -> pd.DataFrame:
    """What exactextract gives of an image (h, w)."""
    source = NumPyRasterSource(np.where(counted, values, np.nan).astype(float), *bounds, srs_wkt=polygons.crs.to_wkt())
    operations = ["mean", "stdev", "min", "max", "median", "quantile(q=0.05)", "quantile(q=0.95)", "count"]
    return exact_extract(source, polygons, operations, output="pandas")

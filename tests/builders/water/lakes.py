"""Lakes drawn by hand: frames of NDWI, EOPatches, outlines."""

from __future__ import annotations

import datetime as dt
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry.base import BaseGeometry

from eotasks.models.sentinel2 import BANDS
from eotasks.models.water.measure import WaterFrame

SIZE, PIXEL = 60, 10.0
LEFT, TOP = 500_000.0, 5_000_600.0
CENTRE = (LEFT + SIZE * PIXEL / 2, TOP - SIZE * PIXEL / 2)
RADIUS = 180.0
TRANSFORM = Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)
BOX = BBox((LEFT, TOP - SIZE * PIXEL, LEFT + SIZE * PIXEL, TOP), CRS("EPSG:32633"))

WATER, LAND, CLOUD, ICE = (0.08, 0.03, 0.01), (0.08, 0.25, 0.2), (0.5, 0.65, 0.5), (0.45, 0.33, 0.02)
"""Reflectance of green, near infrared and short-wave infrared."""


def disk(radius: float = RADIUS, x: float = CENTRE[0], y: float = CENTRE[1]) -> NDArray[np.bool_]:
    """(h, w), pixels whose centres lie within a radius of a place."""
    columns, rows = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    across, down = LEFT + (columns + 0.5) * PIXEL - x, TOP - (rows + 0.5) * PIXEL - y
    return np.asarray(np.hypot(across, down) <= radius)


def outline(radius: float = RADIUS) -> BaseGeometry:
    """The lake that fills `disk(radius)`."""
    return shapely.Point(CENTRE).buffer(radius, quad_segs=64)


def outlines(*shapes: BaseGeometry, crs: str = "EPSG:32633", **columns: Any) -> gpd.GeoDataFrame:
    """Outlines with the ids a, b, ... unless others are given."""
    ids = columns.pop("id", [chr(ord("a") + number) for number in range(len(shapes))])
    return gpd.GeoDataFrame({"id": ids, **columns}, geometry=list(shapes), crs=crs)


def index_of(water: NDArray[np.bool_], *, seed: int = 0) -> NDArray[np.float32]:
    """NDWI of about 0.45 on water and -0.5 on land, with noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, water.shape)
    return np.asarray(np.where(water, 0.45, -0.5) + noise, dtype=np.float32)


def frame_of(water: NDArray[np.bool_], **changes: Any) -> WaterFrame:
    """A clear frame."""
    values: dict[str, Any] = {
        "index": index_of(water),
        "transform": TRANSFORM,
        "is_data": np.ones(water.shape, dtype=bool),
        "cloud": np.zeros(water.shape, dtype=bool),
    }
    return WaterFrame(**values | changes)


def lake_patch(*waters: NDArray[np.bool_], cloud: Any = None, ice: Any = None) -> EOPatch:
    """An EOPatch of 13 bands with a frame for each raster of water; mask/CLM of 0 and 1, mask/IS_DATA.

    :param cloud: Date -> (h, w) of cloud, in the bands and in the mask.
    :param ice: Date -> (h, w) of ice.
    """
    bands = np.full((len(waters), SIZE, SIZE, len(BANDS)), 0.1, dtype=np.float32)
    clm = np.zeros((len(waters), SIZE, SIZE, 1), dtype=np.uint8)
    chosen = [BANDS.index(name) for name in ("B03", "B08", "B11")]
    for index, water in enumerate(waters):
        spectrum = np.where(water[..., np.newaxis], np.float32(WATER), np.float32(LAND))
        frozen, clouded = (ice or {}).get(index), (cloud or {}).get(index)
        if frozen is not None:
            spectrum[frozen] = ICE
            bands[index][frozen] = 0.4
        if clouded is not None:
            spectrum[clouded] = CLOUD
            clm[index, ..., 0] = clouded
        bands[index][..., chosen] = spectrum
    times = [dt.datetime(2020, 5, 1 + index, 10) for index in range(len(waters))]  # noqa: DTZ001 - naive UTC
    patch = EOPatch(bbox=BOX, timestamps=times)
    patch[FeatureType.DATA, "BANDS"] = bands
    patch[FeatureType.MASK, "IS_DATA"] = np.ones((len(waters), SIZE, SIZE, 1), dtype=bool)
    patch[FeatureType.MASK, "CLM"] = clm
    return patch

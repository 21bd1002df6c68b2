"""A small EOPatch to store."""

from __future__ import annotations

from datetime import datetime

import geopandas as gpd
import numpy as np
import shapely
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches.files import write_eopatch
from eotasks.eopatches.marker import Marker, new_generation
from eotasks.features import Feature
from eotasks.storage.place import Place

BANDS: Feature = (FeatureType.DATA, "BANDS")
LULC: Feature = (FeatureType.MASK_TIMELESS, "LULC")
SIMULATED: Feature = (FeatureType.META_INFO, "SIMULATED")
SUN_ANGLES: Feature = (FeatureType.SCALAR, "SUN_ANGLES")
LANDUSE: Feature = (FeatureType.VECTOR_TIMELESS, "LANDUSE")


def make_eopatch(value: float = 0.25, *, every_kind: bool = False) -> EOPatch:
    """Two frames of 8 x 8 pixels: BANDS of one value, LULC and SIMULATED.

    :param every_kind: With SUN_ANGLES and LANDUSE: an array without pixels, and polygons.
    """
    times = [datetime(2019, 1, 1), datetime(2019, 1, 6, 10, 30)]  # noqa: DTZ001  # EOPatch times are naive
    eopatch = EOPatch(bbox=BBox((330000, 5814360, 330080, 5814440), CRS("32633")), timestamps=times)
    eopatch[BANDS] = np.full((2, 8, 8, 3), value, dtype=np.float32)
    eopatch[LULC] = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    eopatch[SIMULATED] = True
    if every_kind:
        eopatch[SUN_ANGLES] = np.ones((2, 2), dtype=np.float32)
        box = shapely.box(330000, 5814360, 330040, 5814400)
        eopatch[LANDUSE] = gpd.GeoDataFrame({"fclass": ["forest"]}, geometry=[box], crs=32633)
    return eopatch


def save_as_generation(place: Place, name: str, eopatch: EOPatch) -> str:
    """An EOPatch as eotasks saved it before its files were plain ones; the folder of its generation."""
    generation = new_generation()
    files = write_eopatch(eopatch, place.child(name).child(generation), list(eopatch.get_features()))
    place.write_bytes(f"{name}/_current.json", Marker(generation, files, name).to_bytes())
    return generation

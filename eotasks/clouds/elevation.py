"""The height of the ground of an EOPatch, from a feature or a file, and what hills shade of its frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of
from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.shadows.terrain import REACH, check_heights, tell_voids, terrain_shade

Elevation = Feature | str | Path
"""A feature DATA_TIMELESS (h, w, 1) in metres, NaN where unknown; or the location of a DEM as a GeoTIFF."""

_SQUARE = 1e-6


def elevation_source(value: Elevation | None) -> Feature | ElevationFile | None:
    """Where heights come from, checked.

    :raises ConfigurationError: neither a feature of the type nor a location.
    """
    if value is None:
        return None
    if isinstance(value, str | os.PathLike):
        return ElevationFile(value)
    return feature_of(value, {FeatureType.DATA_TIMELESS})


@dataclass(frozen=True)
class Heights:
    """The height of the ground of frames, and of hills about them."""

    values: NDArray[np.float32]
    """(h + 2 m, w + 2 m) metres, NaN where unknown, with a margin m, which is 0 where no more is known."""

    shape: tuple[int, int]
    pixel_size: tuple[float, float]

    def shade(self, sun: NDArray[np.float64], where: str) -> NDArray[np.bool_]:
        """Boolean (h, w) terrain shade of a frame.

        :param sun: (2,) or (h, w, 2) zenith and azimuth in degrees.
        :raises FeatureError: angles that are none, or not known.
        """
        found = terrain_shade(self.values, sun, pixel_size=self.pixel_size, where=f"{where}, terrain")
        rows, columns = ((all_of - side) // 2 for all_of, side in zip(found.shape, self.shape, strict=True))
        return found[rows : rows + self.shape[0], columns : columns + self.shape[1]]


def heights_of(
    eopatch: EOPatch,
    source: Feature | ElevationFile,
    frames: NDArray[Any],
    valid: NDArray[np.bool_],
    pixel_size: tuple[float, float],
) -> Heights:
    """The height of the ground of an EOPatch; of a file also that of the hills 10 km about it.

    :param frames: (t, h, w, bands).
    :param valid: (t, h, w) where there is data.
    :raises FeatureError: the feature is missing, or holds no heights.
    :raises GridError: another shape, or a file that lies elsewhere.
    :raises ImageryError: a file that cannot be read.
    :warns ElevationWarning: ground with data whose height is not known.
    """
    shape = frames.shape[1:3]
    if isinstance(source, ElevationFile):
        values, where = source.read(_grid(eopatch, shape, pixel_size), margin=REACH), source.name
    else:
        where = describe(source)
        array = array_of(eopatch, source, "add the height of the ground, or give the location of a DEM")
        if array.ndim != 3 or array.shape[-1] != 1:
            raise FeatureError(f"Feature {where} has shape {array.shape} where (h, w, 1) is due: metres of height.")
        if array.shape[:2] != shape:
            raise GridError(f"{where} has shape {array.shape[:2]}, the frames {shape}: bring both to one grid.")
        values = check_heights(array[..., 0], where=where)
    heights = Heights(values, (shape[0], shape[1]), pixel_size)
    rows, columns = ((all_of - side) // 2 for all_of, side in zip(values.shape, shape, strict=True))
    inner = values[rows : rows + shape[0], columns : columns + shape[1]]
    tell_voids(np.isnan(inner), np.asarray(valid.any(axis=0)), where=where)
    return heights


def _grid(eopatch: EOPatch, shape: tuple[int, ...], pixel_size: tuple[float, float]) -> Grid:
    height, width = pixel_size
    if abs(height - width) > _SQUARE * width:
        raise GridError(
            f"Pixels of {height:g} x {width:g} m are no squares, for which a DEM is read: give a feature of heights."
        )
    bbox = bbox_of(eopatch)
    return Grid(bbox.crs.ogc_string(), bbox.min_x, bbox.max_y, width, shape[0], shape[1])

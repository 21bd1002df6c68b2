"""Terrain shade of a product, from a digital elevation model that the user names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.clouds.shadows.terrain import REACH, tell_voids, terrain_shade

_CELLS = 32_000_000
"""Heights that are looked at, at most: of a tile at 10 m one for 20 m of ground, finer than the elevation models of the
whole Earth (30 m). They take half a gigabyte for a moment, before anything else of the product is there."""


class ProductTerrain:
    """What hills shade of a product, and of which of its ground the height is not known: a bit a pixel each.

    :param location: Of the DEM. Hills within 10 km of the product count too, as far as it has them.
    :param grid: Of the results.
    :param sun: Zenith and azimuth in degrees.
    :raises ImageryError: it cannot be read.
    :raises FeatureError: numbers that are no heights.
    :raises GridError: it lies elsewhere.
    """

    def __init__(self, location: str, grid: Grid, sun: tuple[float, float], where: str) -> None:
        file = ElevationFile(location)
        self._where = f"{where}, {file.name}"
        self._shape = grid.shape
        step = math.ceil(math.sqrt(grid.height * grid.width / _CELLS))
        cells = replace(
            grid,
            resolution=grid.resolution * step,
            height=math.ceil(grid.height / step),
            width=math.ceil(grid.width / step),
        )
        heights = file.read(cells, margin=REACH)
        size = (cells.resolution, cells.resolution)
        shade = terrain_shade(heights, sun, pixel_size=size, where=self._where)
        margin = (heights.shape[0] - cells.height) // 2
        inner = (slice(margin, margin + cells.height), slice(margin, margin + cells.width))
        self._shade = np.packbits(_as_pixels(shade[inner], step, grid.shape), axis=1)
        self._unknown = np.packbits(_as_pixels(np.isnan(heights[inner]), step, grid.shape), axis=1)

    def shade(self, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(h, w) where there is data.

        :param valid: (h, w) data.
        :warns ElevationWarning: of some ground the height is not known.
        """
        if self._unknown.any():
            tell_voids(self._unpacked(self._unknown), valid, where=self._where)
        shade = self._unpacked(self._shade)
        shade &= valid
        return shade

    def _unpacked(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, axis=1, count=self._shape[1]).view(bool)


def coded_shade(shade: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, w): 0 none, 1 terrain shade, 255 no data; in the place of the mask, which is used up by it."""
    coded = shade.view(np.uint8)
    coded[~valid] = NO_DATA
    return coded


def _as_pixels(cells: NDArray[np.bool_], step: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if step == 1:
        return cells
    return cells.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]]

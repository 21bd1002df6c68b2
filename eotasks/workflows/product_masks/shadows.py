"""Shadows of the clouds of a product: the bands they are searched in, put together of strips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.models.clouds.shadows.frame import cloud_shadow, packed_light, shadow_of_packed
from eotasks.models.clouds.shadows.large import is_large
from eotasks.models.clouds.shadows.light import light_bands
from eotasks.models.clouds.shadows.packed import PackedLight
from eotasks.models.sentinel2 import band_indices
from eotasks.workflows.product_masks.options import CloudMaskOptions


class ShadowSearch:
    """What a product is looked at for its shadows: all bands of a small one, three bytes a pixel of a large one.

    :param bands: Those that are read.
    :param sun: Zenith and azimuth in degrees.
    """

    def __init__(
        self, grid: Grid, bands: tuple[str, ...], sun: tuple[float, float], options: CloudMaskOptions, where: str
    ) -> None:
        self._sun, self._method, self._where = sun, options.shadow_search, where
        self._size = (grid.resolution, grid.resolution)
        self._names = light_bands(bands)
        self._light: PackedLight | None = None
        if is_large(grid.shape):
            self._light = packed_light(grid.shape, names=bands, method=self._method, where=where)
        else:
            self._chosen = band_indices(self._names, bands)
            self._outlines: NDArray[np.uint8] = np.zeros((0, 0), dtype=np.uint8)
            self._bands: NDArray[np.uint16] = np.zeros((*grid.shape, len(self._names)), dtype=np.uint16)

    def add(self, rows: slice, bands: NDArray[np.uint16], valid: NDArray[np.bool_]) -> None:
        """Look at some rows."""
        if self._light is None:
            self._bands[rows] = bands[..., self._chosen]
        else:
            self._light.add(rows.start, bands, valid)

    def set_clouds(self, outlines: NDArray[np.uint8]) -> None:
        """Whose shadows are searched, when all rows have been added.

        :param outlines: (h, w) the mask before it is grown: 0 clear, 1 cloud, 255 no data.
        """
        if self._light is None:
            self._outlines = outlines
        else:
            self._light.set_clouds(outlines)  # not kept: 0.1 GB of a full tile

    def find(self, mask: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """(h, w): 0 none, 1 shadow, 255 no data; once.

        :param mask: (h, w) 0 clear, 1 cloud, 255 no data.
        :param valid: (h, w) data.
        :raises ReflectanceError: values that are no reflectance.
        :warns ShadowWarning: shadows that cannot be told.
        """
        if self._light is not None:
            self._light.check()
            return shadow_of_packed(
                self._light,
                mask,
                sun=self._sun,
                pixel_size=self._size,
                method=self._method,
                where=self._where,
            )
        return cloud_shadow(
            self._bands,
            mask,
            outlines=self._outlines,
            sun=self._sun,
            pixel_size=self._size,
            valid=valid,
            names=self._names,
            method=self._method,
            where=self._where,
        )

"""Where the detectors of a band saw all: looked at once for each part of a product, at a low resolution.

A product that is read again and again (a service, a long series of small windows) would decode a detector footprint
beside every band, which takes as long as the band. Nearly all of a product lies far from the edge of its swath.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import RasterInfo, read_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from eotasks.imagery.files.protocol import ProductFiles, RasterFile
    from eotasks.imagery.products.product import MaskPolygons

LOOK = 80.0
"""Metres of the pixels by which it is seen whether a detector footprint has an edge under a grid at all."""

SPREAD = {True: 2, False: 1}
"""Pixels of a level that a hole reaches beyond those that are 0. The kernel of a wavelet's low band spans four, two on
each side; a hole may have less than a hundredth part in what is left. An overview's pixel is the mean of its block."""

_PART = 5_120.0
"""Metres of a side of the parts that are looked at, half a tile of the JP2 files at 10 m."""

Bounds = tuple[float, float, float, float]


class SeenGround:
    """Of one product. May be used by several threads.

    An edge of a swath is a line across the ground: one that reaches into a part of the product shows beside it at 80 m.
    A hole in the middle of a footprint that is smaller than that, which no product has, counts where the band is 0.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._parts: dict[tuple[str, int, int], bool] = {}
        self._polygons: dict[str, MaskPolygons] = {}

    def polygons(self, band: str, source: Callable[[], MaskPolygons]) -> MaskPolygons:
        """Footprints as polygons, which are parsed once."""
        with self._lock:
            found = self._polygons.get(band)
        if found is None:
            found = source()
            with self._lock:
                self._polygons[band] = found
        return found

    def is_all(self, files: ProductFiles, raster: RasterFile, info: RasterInfo, bounds: Bounds) -> bool:
        """Whether all ground in some bounds, in units of the file's CRS, is known to be seen.

        :raises ImageryError: when the file is damaged.
        """
        left, bottom, right, top = info.grid.bounds
        if bounds[0] < left or bounds[1] < bottom or bounds[2] > right or bounds[3] > top:
            return False
        across = range(int((bounds[0] - left) // _PART), int((bounds[2] - left) // _PART) + 1)
        down = range(int((top - bounds[3]) // _PART), int((top - bounds[1]) // _PART) + 1)
        return all(self._is_part(files, raster, info, row, column) for row in down for column in across)

    def _is_part(self, files: ProductFiles, raster: RasterFile, info: RasterInfo, row: int, column: int) -> bool:
        key = raster.name, row, column
        with self._lock:
            known = self._parts.get(key)
        if known is None:
            look = [each for each in info.levels if each.size <= LOOK][-1:] or [info.full]
            west, _, _, north = info.grid.bounds
            around = Grid(info.crs.to_wkt(), west + column * _PART, north - row * _PART, _PART, 1, 1)
            seen = read_window(files, raster, info, look[0], around, margin=2 * SPREAD[info.wavelet])
            known = seen is None or bool(seen.values.all())  # of a part beyond the edge there is nothing to see
            with self._lock:
                self._parts[key] = known
        return known

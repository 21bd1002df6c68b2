"""Decoded blocks of a product's files, kept for windows that come next: a JP2 file is decoded by tiles of a square
kilometre and a hundred, however little of one is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import Level, Pixels, RasterInfo, damaged, read_window

if TYPE_CHECKING:
    from rasterio.windows import Window

    from eotasks.imagery.files.protocol import ProductFiles, RasterFile

SIDE = 512
"""Rows and columns of a block, at least: several of a file with smaller ones."""

_LARGEST = 2_048
"""Of the blocks of a file that are kept: one that is stored in whole rows has none."""

_MOST = 6_500_000
"""Pixels of a window whose blocks are kept: an image of 2500 x 2500, and the edges of its kernels."""

Keep = Callable[[Hashable, Callable[[], NDArray[Any]]], NDArray[Any]]
"""Gives what is kept under a key, else what is made now and kept."""


class DecodedBlocks:
    """Of one product. May be used by several threads as far as its keeper may.

    :param keep: Keeps blocks, of this and of other products.
    :param key: Of the product, another one whenever it was opened anew.
    """

    def __init__(self, keep: Keep, key: Hashable) -> None:
        self._keep, self._key = keep, key

    def takes(self, info: RasterInfo, level: Level, window: Window) -> bool:
        """Whether blocks under a window are kept: of the full resolution, where they are no large part of the file, and
        no window is so large that all else would have to go for it.
        """
        return level is info.full and max(info.block) <= _LARGEST and window.width * window.height <= _MOST

    def window(self, files: ProductFiles, raster: RasterFile, info: RasterInfo, level: Level, window: Window) -> Pixels:
        """The pixels of a window, put together of blocks; to be read only.

        :raises ImageryError: when the file is damaged.
        """
        high, wide = (max(-(-SIDE // size), 1) * size for size in info.block)
        top, left = int(window.row_off), int(window.col_off)
        bottom, right = top + int(window.height), left + int(window.width)
        at = level.transform
        origin = Affine(at.a, 0, at.c + left * at.a, 0, at.e, at.f + top * at.e)
        rows, columns = range(top // high, -(-bottom // high)), range(left // wide, -(-right // wide))
        values: NDArray[Any] | None = None
        for i in rows:
            for j in columns:
                block = self._block(files, raster, info, level, (i * high, j * wide, high, wide))
                north, west = max(top, i * high), max(left, j * wide)
                inner = block[north - i * high : bottom - i * high, west - j * wide : right - j * wide]
                if len(rows) == len(columns) == 1:
                    return Pixels(inner, origin, info.crs)
                if values is None:
                    values = np.empty((bottom - top, right - left), dtype=block.dtype)
                values[north - top : north - top + inner.shape[0], west - left : west - left + inner.shape[1]] = inner
        assert values is not None  # a window has pixels
        return Pixels(values, origin, info.crs)

    def _block(
        self,
        files: ProductFiles,
        raster: RasterFile,
        info: RasterInfo,
        level: Level,
        place: tuple[int, int, int, int],
    ) -> NDArray[Any]:
        row, column, high, wide = place
        height, width = min(high, level.height - row), min(wide, level.width - column)

        def decode() -> NDArray[Any]:
            at = level.transform
            around = Grid(info.crs.to_wkt(), at.c + column * at.a, at.f + row * at.e, at.a, height, width)
            found = read_window(files, raster, info, level, around)
            if found is None or found.shape != (height, width):
                raise damaged(files, raster)
            return found.values

        return self._keep((self._key, raster.name, row, column), decode)

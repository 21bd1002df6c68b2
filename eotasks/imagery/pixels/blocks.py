"""Decoded blocks of a product's files, kept for windows that come next: a JP2 file is decoded by tiles of a square
kilometre and a hundred, however little of one is wanted.
"""

from __future__ import annotations

import functools
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

SQUARE = 128
"""Rows and columns of what is kept beside blocks, for small windows."""

_SMALL = 1 / 8
"""Of a block, that a window is small: the blocks of a field on a hundred dates are more than there is room for, and
each would push out the one that is wanted next time; the squares under it are not.
"""

_LARGEST = 2_048
"""Of the blocks of a file that are kept: one that is stored in whole rows has none."""

_MOST = 6_500_000
"""Pixels of a window whose blocks are kept: an image of 2500 x 2500, and the edges of its kernels."""

Keep = Callable[[Hashable, Callable[[], NDArray[Any]]], NDArray[Any]]
"""Gives what is kept under a key, else what is made now and kept."""

_Piece = Callable[[int, int], NDArray[Any]]
"""Of a file, by its number down and across; those at the end are smaller."""


class DecodedBlocks:
    """Of one product. May be used by several threads as far as its keepers may.

    :param keep: Keeps blocks, of this and of other products.
    :param key: Of the product, another one whenever it was opened anew.
    :param keep_square: Keeps squares under small windows, which blocks do not push out.
    """

    def __init__(self, keep: Keep, key: Hashable, *, keep_square: Keep) -> None:
        self._keep, self._key, self._keep_square = keep, key, keep_square

    def takes(self, info: RasterInfo, level: Level, window: Window) -> bool:
        """Whether blocks under a window are kept: of the full resolution, where they are no large part of the file, and
        no window is so large that all else would have to go for it.
        """
        return level is info.full and max(info.block) <= _LARGEST and window.width * window.height <= _MOST

    def window(self, files: ProductFiles, raster: RasterFile, info: RasterInfo, level: Level, window: Window) -> Pixels:
        """The pixels of a window, put together of blocks; to be read only.

        :raises ImageryError: when the file is damaged.
        """
        height, width = (max(-(-SIDE // size), 1) * size for size in info.block)
        at, (rows, columns) = level.transform, window.toslices()

        def block(row: int, column: int) -> NDArray[Any]:
            place = (row * height, column * width, height, width)
            return self._block(files, raster, info, level, place)

        once = functools.cache(block)  # of one come several squares, and there may be no room to keep it

        def square(row: int, column: int) -> NDArray[Any]:
            down = slice(row * SQUARE, min((row + 1) * SQUARE, level.height))
            across = slice(column * SQUARE, min((column + 1) * SQUARE, level.width))
            return self._keep_square(
                (self._key, raster.name, row, column),
                lambda: _put_together(down, across, (height, width), once).copy(),  # a view would keep its block
            )

        if window.width * window.height <= _SMALL * height * width:
            values = _put_together(rows, columns, (SQUARE, SQUARE), square)
        else:
            values = _put_together(rows, columns, (height, width), block)
        origin = Affine(at.a, 0, at.c + columns.start * at.a, 0, at.e, at.f + rows.start * at.e)
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


def _numbers(pixels: slice, size: int) -> range:
    """Of the pieces of this size that have the pixels."""
    return range(pixels.start // size, -(-pixels.stop // size))


def _put_together(rows: slice, columns: slice, size: tuple[int, int], piece: _Piece) -> NDArray[Any]:
    """The pixels of a window; a view where one piece has them all."""
    height, width = size
    values: NDArray[Any] | None = None
    for i in _numbers(rows, height):
        for j in _numbers(columns, width):
            found = piece(i, j)
            down, across = i * height, j * width
            top, left = max(rows.start, down), max(columns.start, across)
            inner = found[top - down : rows.stop - down, left - across : columns.stop - across]
            if inner.shape == (rows.stop - rows.start, columns.stop - columns.start):
                return inner
            if values is None:
                values = np.empty((rows.stop - rows.start, columns.stop - columns.start), dtype=found.dtype)
            values[top - rows.start :, left - columns.start :][: inner.shape[0], : inner.shape[1]] = inner
    assert values is not None  # a window has pixels
    return values

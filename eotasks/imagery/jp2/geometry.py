"""Tiles, resolutions, precincts and code-blocks (ITU-T T.800, annex B): which packets a tile has, and what is in them.

All places are whole numbers on the grids of the standard, rectangles ``(left, top, right, bottom)`` without their right
and bottom edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from eotasks.imagery.jp2.codestream import Codestream, Order

Rectangle = tuple[int, int, int, int]
Cells = tuple[int, int]
"""Code-blocks across and down."""

REACH = 128
"""Rows by which windows overlap that go on where another ends: twice what kernels reach."""

_KNOWN, _KNOWN_PACKETS = 1024, 128
"""Tiles whose packets are known from a file before, and packets of a tile, at most: files of all bands of a size are
laid out alike, and those of all products. Together they are some megabytes."""

_NONE: Cells = (0, 0)
_BANDS = ((1, 0), (0, 1), (1, 1))
"""HL, LH, HH: whether a band is the high one across, and down."""


def tile_rectangle(stream: Codestream, tile: int) -> Rectangle:
    """A tile on the image."""
    row, column = divmod(tile, stream.tiles_across)
    left, top = column * stream.tile_width, row * stream.tile_height
    return left, top, min(left + stream.tile_width, stream.width), min(top + stream.tile_height, stream.height)


def tile_pixels(stream: Codestream, tile: int) -> int:
    """Pixels of the image in a tile."""
    left, top, right, bottom = tile_rectangle(stream, tile)
    return (right - left) * (bottom - top)


def tiles_under(stream: Codestream, discarded: int, window: Rectangle) -> list[int]:
    """Tiles that have pixels in a window.

    :param discarded: Resolutions that are left out: the window is in pixels of what is left.
    """
    left, top, right, bottom = window

    def touched(size: int, whole: int, first: int, last: int) -> list[int]:
        found = []
        for number in range(-(-whole // size)):
            start, stop = number * size, min((number + 1) * size, whole)
            if _ceil(start, discarded) < last and _ceil(stop, discarded) > first:
                found.append(number)
        return found

    columns = touched(stream.tile_width, stream.width, left, right)
    rows = touched(stream.tile_height, stream.height, top, bottom)
    return [row * stream.tiles_across + column for row, column in product(rows, columns)]


def tiles_at_edge(stream: Codestream, discarded: int, window: Rectangle) -> set[int]:
    """Tiles that another window may need which goes on where one ends; none where that one has all rows.

    The parameters of `tiles_under`.
    """
    _, top, _, bottom = window
    if top <= 0 and bottom >= _ceil(stream.height, discarded):
        return set()
    across = stream.tiles_across
    first = (max(bottom - REACH, 0) << discarded) // stream.tile_height
    last = ((bottom << discarded) - 1) // stream.tile_height
    return set(range(first * across, (last + 1) * across))


def packet_counts(stream: Codestream, tile: int) -> tuple[int, ...]:
    """Packets of each resolution of a tile, the coarsest first. A resolution without pixels has none."""
    return _packet_counts(stream.layout, tile)


@lru_cache(_KNOWN)
def _packet_counts(stream: Codestream, tile: int) -> tuple[int, ...]:
    areas = _component_areas(stream, tile)
    return tuple(
        sum(_precinct_count(stream, area, resolution) for area in areas) for resolution in range(stream.levels + 1)
    )


def packet_cells(stream: Codestream, tile: int, resolutions: int) -> NDArray[np.int64]:
    """Code-blocks of each packet of the coarsest resolutions, in the order in which the packets come.

    :return: int64 (packets, 6), to be read only: code-blocks across and down of the bands LL, or HL, LH and HH, of the
        packet's precinct; 0 where a band has none.
    """
    few = sum(packet_counts(stream, tile)[:resolutions]) <= _KNOWN_PACKETS
    return (_few_packet_cells if few else _packet_cells)(stream.layout, tile, resolutions)


def _packet_cells(stream: Codestream, tile: int, resolutions: int) -> NDArray[np.int64]:
    areas = _component_areas(stream, tile)
    found: list[tuple[Cells, Cells, Cells]] = []
    for resolution in range(resolutions):
        of_components = [list(_precinct_cells(stream, area, resolution)) for area in areas]
        if stream.order == Order.RPCL:  # no component is subsampled: precincts are the same in all
            found += [cells for together in zip(*of_components, strict=True) for cells in together]
        else:
            found += [cells for component in of_components for cells in component]
    return np.array(found, dtype=np.int64).reshape(len(found), 6)


_few_packet_cells = lru_cache(_KNOWN)(_packet_cells)


def _component_areas(stream: Codestream, tile: int) -> list[Rectangle]:
    """A tile in pixels of each component."""
    left, top, right, bottom = tile_rectangle(stream, tile)
    return [
        (-(-left // across), -(-top // down), -(-right // across), -(-bottom // down)) for across, down in stream.steps
    ]


def _resolution_area(stream: Codestream, area: Rectangle, resolution: int) -> Rectangle:
    by = stream.levels - resolution
    left, top, right, bottom = area
    return _ceil(left, by), _ceil(top, by), _ceil(right, by), _ceil(bottom, by)


def _precincts(stream: Codestream, area: Rectangle, resolution: int) -> tuple[range, range]:
    """Columns and rows of the precincts of a resolution, counted from 0 of its grid."""
    left, top, right, bottom = _resolution_area(stream, area, resolution)
    if left >= right or top >= bottom:
        return range(0), range(0)
    across, down = stream.precincts[resolution]
    return range(left >> across, _ceil(right, across)), range(top >> down, _ceil(bottom, down))


def _precinct_count(stream: Codestream, area: Rectangle, resolution: int) -> int:
    columns, rows = _precincts(stream, area, resolution)
    return len(columns) * len(rows)


def _precinct_cells(stream: Codestream, area: Rectangle, resolution: int) -> Iterator[tuple[Cells, Cells, Cells]]:
    """Code-blocks of the bands of each precinct of a resolution of a component."""
    columns, rows = _precincts(stream, area, resolution)
    halved = 1 if resolution else 0
    across, down = (exponent - halved for exponent in stream.precincts[resolution])
    wide, high = min(stream.block[0], across), min(stream.block[1], down)
    by = stream.levels - resolution + halved
    left, top, right, bottom = area
    bands = []
    for high_across, high_down in _BANDS if resolution else ((0, 0),):
        x, y = (high_across << by) >> 1, (high_down << by) >> 1
        in_columns = [_cells(_ceil(left - x, by), _ceil(right - x, by), column, across, wide) for column in columns]
        in_rows = [_cells(_ceil(top - y, by), _ceil(bottom - y, by), row, down, high) for row in rows]
        bands.append((in_columns, in_rows))
    for row, column in product(range(len(rows)), range(len(columns))):
        cells = [
            (in_columns[column], in_rows[row]) if in_columns[column] and in_rows[row] else _NONE
            for in_columns, in_rows in bands
        ]
        yield (cells[0], cells[1], cells[2]) if resolution else (cells[0], _NONE, _NONE)


def _cells(first: int, last: int, precinct: int, size: int, block: int) -> int:
    """Code-blocks along a side of a precinct, of a band from a first to a last pixel."""
    start, stop = max(first, precinct << size), min(last, (precinct + 1) << size)
    return _ceil(stop, block) - (start >> block) if stop > start else 0


def _ceil(value: int, exponent: int) -> int:
    """A value through a power of two, rounded up."""
    return -(-value >> exponent)

"""Plain operations on label rasters and tiles of a map."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError
from eotasks.limits import BLOCK_PIXELS
from eotasks.models.checks import check_radius

Bounds = tuple[float, float, float, float]
"""left, bottom, right, top in the units of the coordinate system."""

_ALIGNMENT = 1e-3
"""Share of a pixel by which an edge may miss the common grid: rounding of coordinates, never a shift one could see."""


def erode_labels(
    labels: NDArray[np.integer],
    *,
    radius: int = 1,
    no_data: int = 0,
    only: Collection[int] | None = None,
) -> NDArray[np.integer]:
    """Take from every class the pixels that lie within a radius of another class or of no data.

    A pixel stays when the whole disk around it (all pixels at a distance <= radius) carries its own label; that is the
    erosion of each class by a true disk. The border of the image is not an edge of a class: what lies outside is
    unknown, and the erosion leaves it out of the disk, so a field that goes on in the next patch keeps its pixels.

    :param labels: Labels (h, w), any integer type; not changed.
    :param radius: Radius of the disk in pixels, >= 0; 0 takes nothing.
    :param no_data: Value of pixels without a label, and of those taken.
    :param only: Labels to erode; None for all. The others stay as they are, and are still "another class".
    :return: Labels (h, w) of the same type.
    :raises ConfigurationError: when the radius is not a whole number of at least 0.
    :raises FeatureError: when the labels are not a 2-D array of integers.
    """
    check_radius(radius)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise FeatureError(f"Labels to erode are {labels.dtype} {labels.shape}: give integers of shape (h, w).")
    if radius == 0 or labels.size == 0:
        return labels.copy()
    from skimage.morphology import dilation, disk, erosion  # a tenth of a second that writers of maps need not wait for

    # One label fills the disk exactly when its smallest and its largest label are equal: one pass for all classes.
    footprint = disk(radius)  # type: ignore[no-untyped-call]  # scikit-image has no hints here
    # Ranks of the labels, because scikit-image pads with the extremes of the type and 64-bit ones overflow in float64.
    codes = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    lowest = erosion(codes, footprint, mode="ignore")
    highest = dilation(codes, footprint, mode="ignore")
    keep = lowest == highest
    if only is not None:
        keep |= ~np.isin(labels, list(only))
    return np.where(keep, labels, labels.dtype.type(no_data))


def pixel_transform(bounds: Bounds, shape: tuple[int, int]) -> Affine:
    """From (column, row) of a north-up image to coordinates.

    :param bounds: left, bottom, right, top.
    :param shape: Rows and columns.
    """
    # rasterio's own helpers multiply matrices in a way that current versions of affine warn about.
    left, bottom, right, top = bounds
    return Affine((right - left) / shape[1], 0.0, left, 0.0, (bottom - top) / shape[0], top)


def block_excess(shapes: Sequence[tuple[int, int]], *, interleaved: bool = False) -> str | None:
    """What is wrong with the blocks of a raster: each is decoded whole, however little of it is wanted.

    :param shapes: Rows and columns of those of each band.
    :param interleaved: Whether a block holds all bands, which are decoded together.
    """
    height, width = max(shapes, key=lambda shape: shape[0] * shape[1], default=(0, 0))
    bands = len(shapes) if interleaved else 1
    if height * width * bands <= BLOCK_PIXELS.value:
        return None
    return f"blocks of {height:,} x {width:,} pixels of {bands:,} band(s), {BLOCK_PIXELS.excess()}"


def union_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """The smallest bounds that hold all of these."""
    lefts, bottoms, rights, tops = zip(*bounds, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def offset_in(
    whole: Bounds, part: Bounds, size: tuple[float, float], shape: tuple[int, ...], what: str
) -> tuple[int, int]:
    """Row and column of a tile's top left pixel in the grid of the whole.

    :param whole: Bounds of the grid; its top left corner is pixel (0, 0).
    :param part: Bounds of the tile.
    :param size: Width and height of a pixel of the grid.
    :param shape: Rows and columns of the tile.
    :param what: Name of the tile in messages.
    :raises GridError: when the tile has other pixels than the grid, or lies between them.
    """
    own = (part[2] - part[0]) / shape[1], (part[3] - part[1]) / shape[0]
    if any(abs(a / b - 1) * n > _ALIGNMENT for a, b, n in zip(own, size, (shape[1], shape[0]), strict=True)):
        raise GridError(
            f"{what} has pixels of {own[0]:g} x {own[1]:g}, the first tile {size[0]:g} x {size[1]:g}: "
            "bring all tiles to one resolution first."
        )
    column, row = (part[0] - whole[0]) / size[0], (whole[3] - part[3]) / size[1]
    if abs(row - round(row)) > _ALIGNMENT or abs(column - round(column)) > _ALIGNMENT:
        raise GridError(
            f"{what} lies {column % 1:.3f} columns and {row % 1:.3f} rows off the grid of the others: "
            "use patches of one grid, or resample first."
        )
    return round(row), round(column)


def shifted(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """A mask (h, w) moved down by rows and right by columns; what comes in from outside is False."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    if abs(rows) < height and abs(columns) < width:
        moved[max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = mask[
            max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
        ]
    return moved

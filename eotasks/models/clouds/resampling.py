"""Between the grid of the bands and the coarser grid on which cloud probability is computed.

Both grids share their top left corner. Where the size is no multiple of the coarse cell, the last cells are clipped at
the border: they describe the part of them that exists.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.scales import as_reflectance

if TYPE_CHECKING:  # a tenth of a second that only a grid coarser than the bands needs
    from scipy import sparse

Sampling = Literal["mean", "nearest"]
Upsampling = Literal["bilinear", "nearest"]

_TOLERANCE = 1e-9
"""Relative: a ratio such as 160 / (10 + 1e-12) counts as the whole number it is meant to be."""


def cell_factor(pixel_size: float, resolution: float, *, where: str = "the bands") -> float:
    """Width of a coarse cell in pixels.

    :param pixel_size: Metres of a pixel.
    :param resolution: Metres of a cell.
    :raises GridError: when the cells are smaller than the pixels.
    """
    factor = resolution / pixel_size
    if abs(factor - round(factor)) < _TOLERANCE * factor:
        factor = float(round(factor))
    if factor < 1:
        raise GridError(
            f"{where}: a processing resolution of {resolution:g} m is finer than the pixels of {pixel_size:g} m."
            f" Give at least {pixel_size:g} m, or None for the resolution of the bands."
        )
    return factor


def cells_of(size: int, factor: float) -> int:
    """Number of cells over ``size`` pixels; the last one may be clipped."""
    return max(math.ceil(size / factor - _TOLERANCE), 0)


def area_mean(
    bands: NDArray[np.generic],
    factor_y: float,
    factor_x: float,
    valid: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of the bands over every coarse cell, each pixel weighted by the area it shares with the cell.

    :param bands: Array (h, w, bands), any unit.
    :param factor_y: Height of a cell in pixels, at least 1, whole or not.
    :param factor_x: Width of a cell in pixels.
    :param valid: Boolean array (h, w); pixels that are not valid do not count, NaN in them does no harm. None: all.
    :return: the means, float32 (H, W, bands), 0 in cells without a valid pixel, and the valid share of each cell,
        float32 (H, W), 0..1, of the part of the cell that lies within the image.
    """
    height, width, count = bands.shape
    rows, columns = _overlaps(height, factor_y), _overlaps(width, factor_x)
    inside = np.ones((height, width)) if valid is None else valid.astype(np.float64)
    weight = rows @ inside @ columns.T
    area = np.outer(rows.sum(axis=1), columns.sum(axis=1))
    means = np.zeros((*weight.shape, count), dtype=np.float32)
    filled = weight > 0
    for band in range(count):
        values = bands[..., band].astype(np.float64)
        if valid is not None:
            values = np.where(valid, values, 0.0)
        np.divide(rows @ values @ columns.T, weight, out=means[..., band], where=filled, casting="unsafe")
    return means, np.divide(weight, area, where=area > 0, out=np.zeros_like(weight)).astype(np.float32)


def to_resolution(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    *,
    pixel_size: tuple[float, float],
    resolution: float,
    sampling: Sampling = "mean",
    where: str = "the bands",
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring one frame to a coarser resolution.

    ``"mean"`` is the exact area mean, the better one for land cover; ``"nearest"`` takes the pixel under the centre of
    a cell (the one to its lower right when the centre lies on a corner), as Sentinel Hub does for its CLP. Where that
    pixel is not valid, the area mean of the valid pixels stands in, so that no valid pixel is left unseen.

    :param bands: Array (h, w, bands), reflectance or integer DN.
    :param valid: Boolean array (h, w), or None when every pixel is valid.
    :param pixel_size: (y, x) metres.
    :param resolution: Metres of a cell.
    :param sampling: "mean" or "nearest".
    :param where: What the array is, for messages.
    :return: float32 reflectance (H, W, bands) and boolean (H, W): cells with any valid pixel.
    :raises GridError: when the resolution is finer than the pixels.
    :raises ReflectanceError: values that are no reflectance inside valid data.
    """
    factor_y, factor_x = (cell_factor(size, resolution, where=where) for size in pixel_size)
    cells = _nearest_cells if sampling == "nearest" else _mean_cells
    return cells(bands, valid, factor_y, factor_x, where)


def _mean_cells(
    bands: NDArray[np.generic], valid: NDArray[np.bool_] | None, factor_y: float, factor_x: float, where: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    checked = None if valid is None else valid[..., np.newaxis]
    means, share = area_mean(as_reflectance(bands, checked, where=where), factor_y, factor_x, valid)
    return means, share > 0


def _nearest_cells(
    bands: NDArray[np.generic], valid: NDArray[np.bool_] | None, factor_y: float, factor_x: float, where: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    height, width = bands.shape[:2]
    picked = np.ix_(_nearest(height, factor_y), _nearest(width, factor_x))
    kept = np.ones(bands[picked].shape[:2], dtype=bool) if valid is None else valid[picked]
    cells = as_reflectance(bands[picked], kept[..., np.newaxis], where=where)
    if kept.all():
        return cells, kept
    means, seen = _mean_cells(bands, valid, factor_y, factor_x, where)
    return np.where(kept[..., np.newaxis], cells, means), seen


def from_resolution(
    values: NDArray[np.floating[Any]],
    shape: tuple[int, int],
    *,
    factor: tuple[float, float],
    valid: NDArray[np.bool_] | None = None,
    method: Upsampling = "bilinear",
) -> NDArray[np.float32]:
    """Bring values of coarse cells back to the pixels.

    Bilinear between the centres of the cells (half-pixel centres; beyond the outermost centres the value stays).
    Cells without data take no part: their neighbours' weights are scaled up.

    :param values: Array (H, W).
    :param shape: (h, w) of the pixels.
    :param factor: (y, x) pixels a cell, as given by ``cell_factor``.
    :param valid: Boolean array (H, W), or None for all.
    :param method: "bilinear" or "nearest" (the cell that holds the centre of the pixel).
    :return: float32 (h, w), 0 where no cell with data contributes.
    """
    (height, width), (factor_y, factor_x) = shape, factor
    if method == "nearest":
        picked = np.ix_(_holding(height, factor_y), _holding(width, factor_x))
        chosen = values if valid is None else np.where(valid, values, 0)
        return np.asarray(chosen[picked], dtype=np.float32)
    rows, columns = _interpolation(height, factor_y), _interpolation(width, factor_x)
    if valid is None or valid.all():
        return np.asarray(rows @ values.astype(np.float64) @ columns.T, dtype=np.float32)
    weight = rows @ valid.astype(np.float64) @ columns.T
    total = rows @ np.where(valid, values, 0).astype(np.float64) @ columns.T
    result = np.zeros(shape, dtype=np.float32)
    np.divide(total, weight, out=result, where=weight > _TOLERANCE, casting="unsafe")
    return result


def _edges(size: int, factor: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start and end of every cell in pixels, the last one clipped."""
    bounds: NDArray[np.float64] = np.minimum(np.arange(cells_of(size, factor) + 1) * factor, size).astype(np.float64)
    return bounds[:-1], bounds[1:]


def _overlaps(size: int, factor: float) -> sparse.csr_array:
    """Matrix (cells, pixels) of shared lengths in pixels."""
    starts, ends = _edges(size, factor)
    first = np.floor(starts).astype(np.intp)
    reach = math.ceil(factor) + 1
    pixels = first[:, np.newaxis] + np.arange(reach)
    lengths = np.minimum(pixels + 1.0, ends[:, np.newaxis]) - np.maximum(pixels, starts[:, np.newaxis])
    used = (lengths > _TOLERANCE) & (pixels < size)
    cells = np.broadcast_to(np.arange(len(starts))[:, np.newaxis], used.shape)
    from scipy import sparse

    return sparse.csr_array((lengths[used], (cells[used], pixels[used])), shape=(len(starts), size))


def _interpolation(size: int, factor: float) -> sparse.csr_array:
    """Matrix (pixels, cells) of linear weights between the centres of the cells; rows sum to 1."""
    starts, ends = _edges(size, factor)
    centres = (starts + ends) / 2
    points = np.clip(np.arange(size) + 0.5, centres[0] if size else 0, centres[-1] if size else 0)
    left = np.clip(np.searchsorted(centres, points, side="right") - 1, 0, max(len(centres) - 2, 0))
    right = np.minimum(left + 1, max(len(centres) - 1, 0))
    gap = centres[right] - centres[left]
    share = np.divide(points - centres[left], gap, out=np.zeros(size), where=gap > 0)
    pixels = np.arange(size)
    weights = np.concatenate([1 - share, share])
    cells = (np.concatenate([pixels, pixels]), np.concatenate([left, right]))
    from scipy import sparse

    return sparse.csr_array((weights, cells), shape=(size, len(centres)))


def _nearest(size: int, factor: float) -> NDArray[np.intp]:
    """The pixel under the centre of every cell; of a clipped cell, under the centre of what is left."""
    starts, ends = _edges(size, factor)
    return np.asarray(np.minimum(np.floor((starts + ends) / 2 + _TOLERANCE), size - 1), dtype=np.intp)


def _holding(size: int, factor: float) -> NDArray[np.intp]:
    """The cell that holds the centre of every pixel."""
    cells = np.floor((np.arange(size) + 0.5) / factor)
    return np.asarray(np.minimum(cells, max(cells_of(size, factor) - 1, 0)), dtype=np.intp)

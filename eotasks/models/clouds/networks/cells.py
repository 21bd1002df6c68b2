"""Networks see pixels of the size that they were trained on: to those cells, through the network, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.resampling import Sampling, cell_factor, from_resolution, to_resolution
from eotasks.models.scales import as_reflectance

Predict = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]
"""Reflectance (H, W, bands), 0 where it is not valid, and what is valid (H, W) -> probabilities (H, W, classes)."""


def cell_size(
    pixel_size: tuple[float, float],
    wanted: float | None = None,
    *,
    trained: float,
    coarsest: float,
    where: str = "the bands",
) -> float | None:
    """Metres of the cells that a network is given.

    :param pixel_size: (y, x) metres of a pixel.
    :param wanted: Metres that the user asks for; None for those that it was trained on, or the pixels as they are where
        these are larger.
    :param trained: Metres of a pixel that the network was made for.
    :param coarsest: Metres of the largest ones that it is given.
    :return: None for the pixels as they are.
    :raises GridError: cells larger than the coarsest.
    """
    size = max(pixel_size)
    cell = wanted or max(trained, size)
    if cell > coarsest:
        raise GridError(
            f"{where}: pixels of {cell:g} m are too coarse for this network, which was made for some {trained:g} m."
            f" Give it {coarsest:g} m or finer, or choose another detector."
        )
    return wanted if wanted is not None else (cell if size < trained else None)


def probabilities_by_cells(
    predict: Predict,
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_],
    *,
    pixel_size: tuple[float, float],
    cell: float | None,
    sampling: Sampling = "mean",
    where: str = "the bands",
) -> NDArray[np.float32]:
    """Probabilities of the pixels of a frame, by a network that sees cells.

    :param bands: Array (h, w, bands), float reflectance or integer DN = reflectance * 10000.
    :param valid: Boolean array (h, w).
    :param pixel_size: (y, x) metres of a pixel.
    :param cell: Metres of a cell, None for the pixels as they are.
    :param sampling: How bands come to cells; probabilities come back bilinearly.
    :return: float32 (h, w, classes); any value where not valid.
    :raises GridError: cells smaller than the pixels.
    :raises ReflectanceError: values that are no reflectance where there is data.
    """
    if cell is None:
        return predict(_blank(as_reflectance(bands, valid[..., np.newaxis], where=where), valid), valid)
    factor = (cell_factor(pixel_size[0], cell, where=where), cell_factor(pixel_size[1], cell, where=where))
    cells, seen = to_resolution(bands, valid, pixel_size=pixel_size, resolution=cell, sampling=sampling, where=where)
    coarse = predict(_blank(cells, seen), seen)
    shape = (bands.shape[0], bands.shape[1])
    layers = [from_resolution(layer, shape, factor=factor, valid=seen) for layer in np.moveaxis(coarse, -1, 0)]
    return np.stack(layers, axis=-1)


def _blank(bands: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(valid[..., np.newaxis], bands, np.float32(0))

"""Values between the pixels of an image, at places in another coordinate system: bilinear and cubic, as GDAL's warper.

The warper itself (`rasterio.warp.reproject`) finds places of a row by a straight line between its ends, its middle, and
as many places between them as are needed to be off by an eighth of a pixel at most: what else a row reaches over moves
its pixels by so much. Here each place is found by itself. Weights are those of GDAL: kernels as wide as the pixels of
the target where these are larger, and where an image has a hole or an edge, cubic is bilinear, or what remains of the
weights counts for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from eotasks.imagery.pixels.places import Places
from eotasks.models.compiled import kernel

_AS_FINE = 0.95
"""Pixels of the image for one of the target, along a side, from which on kernels are not widened: GDAL's."""


def interpolate(
    values: NDArray[np.float32], transform: Affine, places: Places, *, is_cubic: bool, sides: tuple[float, float]
) -> NDArray[np.float32]:
    """Values at some places.

    :param values: Image (h, w), NaN where it has none.
    :param transform: Of the image, north up, from (column, row) to (x, y).
    :param places: Where to look, (n, m). Those outside the image, in its holes, and such as are of no place have no
        value.
    :param sides: Width and height of what a place stands for, in the units of the image.
    :return: float32 (n, m), NaN where there is no value.
    """
    shape = np.broadcast_shapes(places.x.shape, places.y.shape)
    x, y = np.broadcast_to(places.x, shape), np.broadcast_to(places.y, shape)
    result = np.empty(shape, dtype=np.float32)
    across, down = transform.a / sides[0], -transform.e / sides[1]
    is_wide = across <= _AS_FINE or down <= _AS_FINE
    # Widened in one direction, GDAL takes the other as it is, but never narrower than a pixel of the image.
    widths = (min(across, 1.0), min(down, 1.0)) if is_wide else (1.0, 1.0)
    origin = transform.c, transform.f, transform.a, transform.e
    _interpolate(np.ascontiguousarray(values, dtype=np.float32), origin, x, y, is_cubic, is_wide, widths, result)
    return result


@kernel
def _weight(distance: float, is_cubic: bool) -> float:
    away = abs(distance)
    if not is_cubic:
        return 1.0 - away if away < 1.0 else 0.0
    if away <= 1.0:
        return 1.0 + away * away * (1.5 * away - 2.5)
    if away < 2.0:
        return 2.0 + away * (-4.0 + away * (2.5 - 0.5 * away))
    return 0.0


@kernel
def _interpolate(
    values: NDArray[Any],
    origin: tuple[float, float, float, float],
    places_x: NDArray[Any],
    places_y: NDArray[Any],
    is_cubic: bool,
    is_wide: bool,
    widths: tuple[float, float],
    result: NDArray[Any],
) -> None:
    height, width = values.shape
    across, down = widths
    radius = 2 if is_cubic else 1
    reach_x, reach_y = int(np.ceil(radius / across)), int(np.ceil(radius / down))
    weights_x, weights_y = np.empty(2 * reach_x + 1), np.empty(2 * reach_y + 1)
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            x, y = (places_x[i, j] - origin[0]) / origin[2], (places_y[i, j] - origin[1]) / origin[3]
            result[i, j] = np.nan
            if not (0.0 <= x < width and 0.0 <= y < height) or np.isnan(values[int(y), int(x)]):
                continue
            left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
            first_x, last_x = left - reach_x + 1, left + reach_x
            first_y, last_y = top - reach_y + 1, top + reach_y
            cubic = is_cubic
            if cubic and not is_wide:
                cubic = first_x >= 0 and last_x < width and first_y >= 0 and last_y < height
                if cubic:
                    for row in range(first_y, last_y + 1):
                        for column in range(first_x, last_x + 1):
                            if np.isnan(values[row, column]):
                                cubic = False
                if not cubic:
                    first_x, last_x, first_y, last_y = left, left + 1, top, top + 1
            first_x, last_x = max(first_x, 0), min(last_x, width - 1)
            first_y, last_y = max(first_y, 0), min(last_y, height - 1)
            for column in range(first_x, last_x + 1):
                weights_x[column - first_x] = _weight((column + 0.5 - x) * across, cubic)
            for row in range(first_y, last_y + 1):
                weights_y[row - first_y] = _weight((row + 0.5 - y) * down, cubic)
            total, weight = 0.0, 0.0
            for row in range(first_y, last_y + 1):
                sum_x, weight_x = 0.0, 0.0
                for column in range(first_x, last_x + 1):
                    value = values[row, column]
                    if not np.isnan(value):
                        sum_x += weights_x[column - first_x] * value
                        weight_x += weights_x[column - first_x]
                total += weights_y[row - first_y] * sum_x
                weight += weights_y[row - first_y] * weight_x
            if weight > 1e-6:
                result[i, j] = total / weight

"""The water index, and ice and snow on water, from top-of-atmosphere reflectance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.surface import MIN_SNOW_BLUE, MIN_SNOW_NIR_RATIO_BESIDE_RED, snow_mask
from eotasks.models.series import normalized_difference

INDEX_BANDS: tuple[str, ...] = ("B03", "B08")
FROZEN_BANDS: tuple[str, ...] = ("B02", "B03", "B04", "B08", "B11")


def water_index(
    green: NDArray[np.floating[Any]], nir: NDArray[np.floating[Any]], is_data: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """NDWI = (green - nir) / (green + nir), McFeeters 1996, International Journal of Remote Sensing 17, 1425-1432.

    Reflectance below 0, which noise and corrections of the atmosphere leave on dark water, is taken as 0: the quotient
    has no bounds otherwise, and a few such pixels would decide the scale and the threshold of a whole frame. So water
    without a near-infrared signal has the index 1.

    :param green: B03, any shape and scale (reflectance or digital numbers without an offset).
    :param nir: B08, alike.
    :param is_data: Pixels with data; None for all.
    :return: float32, -1..1; NaN where there is no data, where a band is no number, and where neither is above 0.
    """
    with np.errstate(invalid="ignore"):  # infinity where there is no data
        result = normalized_difference(np.asarray(green), np.asarray(nir), negative="clip")
    if is_data is not None:
        result[~is_data] = np.nan
    return result


def frozen_mask(
    blue: NDArray[np.floating[Any]],
    green: NDArray[np.floating[Any]],
    red: NDArray[np.floating[Any]],
    nir: NDArray[np.floating[Any]],
    swir: NDArray[np.floating[Any]],
) -> NDArray[np.bool_]:
    """Ice and snow where there would be water: bright, dark in short-wave infrared, and not brown.

    The snow of ``eotasks.models.clouds.surface.snow_mask`` without its limit on red, which half-white ice does not
    reach; what that limit keeps out elsewhere, mud, is redder than ice. Clear dark ice is not found: its index is that
    of water, so that it does not spoil a level.

    :param blue: B02 reflectance, any shape; then B03, B04, B08 and B11.
    :return: boolean, False where a value is NaN.
    """
    frozen = snow_mask(green, nir, swir, min_nir_ratio=MIN_SNOW_NIR_RATIO_BESIDE_RED)
    return np.asarray(frozen & (blue >= MIN_SNOW_BLUE * red), dtype=bool)

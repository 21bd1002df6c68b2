"""Snow and open water from a spectrum: the two bright or dark surfaces that cloud masks get wrong.

Both work on top-of-atmosphere reflectance. They describe what a clear pixel shows; under an opaque cloud they see the
cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.scale_signs import refuse_other_scale
from eotasks.models.scales import ReflectanceScale, as_reflectance, check_mask
from eotasks.models.sentinel2 import band_indices

SURFACE_BANDS: tuple[str, ...] = ("B03", "B08", "B11")
"""Green, near infrared and short-wave infrared: what both masks need. Red (B04) tells surf and mud from snow."""

SNOW_BANDS: tuple[str, ...] = ("B02", "B03", "B04", "B08", "B11")
"""Blue, green, red, near infrared and short-wave infrared."""

MIN_SNOW_NDSI = 0.4
"""Lowest normalised difference of green and short-wave infrared of snow."""

MIN_SNOW_NIR = 0.11
"""B08 reflectance that snow exceeds, and open water does not."""

MIN_SNOW_GREEN = 0.15
"""Lowest B03 reflectance of snow at the top of the atmosphere. Hall et al. 1995 ask for 0.10 at the surface, so that
dark conifers are no snow; the air adds about 0.05."""

MIN_SNOW_NIR_RATIO = 0.7
"""Lowest ratio of near infrared to green of snow, where there is no red. The coarsest grains keep 0.78 (Dozier 1989),
while foam on water has lost 40 % of its light at 0.85 um (Frouin, Schwindling and Deschamps 1996, Journal of
Geophysical Research 101, 14361-14371), and water and flooded ground more."""

MIN_SNOW_NIR_SHARE = 0.6
"""Lowest near infrared of snow, less ``SNOW_NIR_OF_AIR``, against red and short-wave infrared together. Water takes
light away from red to near infrared, and snow little: foam keeps 0.54 of the sum (Frouin et al. 1996), silt in an
estuary 0.7 (Doxaran et al. 2002), of so little light that the air's share decides; snow 0.8 (Dozier 1989). Red, since
the air adds less to it than to green: under haze and a low sun the ratio to green takes foam for snow, and snow for
foam. The short-wave infrared is the share of bare land, which lifts the near infrared of mixed shores."""

MIN_SNOW_NIR_RATIO_BESIDE_RED = 0.6
"""Lowest ratio of near infrared to green of snow where there is red too: keeps out shallow green water over sand, whose
red is faint. No lit snow falls below it."""

SNOW_NIR_OF_AIR = 0.03
"""Near infrared that haze adds at most, and snow exceeds by far."""

MIN_SNOW_BLUE = 0.8
"""Lowest ratio of blue to red of snow, which is about neutral; bright snow under haze keeps 0.83. Muddy water can be as
bright in the near infrared and as dark in the short-wave infrared, and is redder: 0.5 to 0.75 in an estuary full of
silt."""

MAX_SNOW_CIRRUS = 0.015
"""B10 reflectance above which what looks like snow is rather a high ice cloud. Cirrus that hides nothing reaches 0.013:
of lit snow of simulated years 98.6 to 99.9 % is found with 0.015, and 93 to 98.6 % with 0.01, while the false snow of a
tropical scene is 0.11 % with either."""


def snow_mask(
    green: NDArray[np.floating[Any]],
    nir: NDArray[np.floating[Any]],
    swir: NDArray[np.floating[Any]],
    *,
    min_ndsi: float = MIN_SNOW_NDSI,
    min_green: float = MIN_SNOW_GREEN,
    min_nir: float = MIN_SNOW_NIR,
    min_nir_ratio: float | None = None,
    max_swir: float | None = None,
    red: NDArray[np.floating[Any]] | None = None,
    cirrus: NDArray[np.floating[Any]] | None = None,
    max_cirrus: float = MAX_SNOW_CIRRUS,
) -> NDArray[np.bool_]:
    """Snow: bright in green, dark in short-wave infrared, and not water.

    Method: NDSI = (green - swir) / (green + swir), Dozier 1989, Remote Sensing of Environment 28, 9-22; NDSI >= 0.4
    with NIR > 0.11, so that water is never snow, and a lowest green, so that dark conifers are not: Hall, Riggs and
    Salomonson 1995, Remote Sensing of Environment 54, 127-140, and the MODIS snow algorithm (Hall et al. 2001).
    Flooded ground, surf and mud pass all of these. What keeps them out is a lowest NIR: with ``red``, NIR - 0.03 >= 0.6
    (red + SWIR), whatever haze and sun; without it NIR >= 0.7 green, which mistakes surf and mud under haze and a low
    sun. What it costs is snow in the shade of clouds and slopes, which is lit by the blue sky alone.

    High ice clouds can look like snow to it; ``max_swir`` holds off the brighter ones, and ``cirrus`` those that stand
    above the water vapour, where snow on the ground is dark: over low clear ground B10 stays below 0.006 in the real
    frames of the tests, and snow on the highest mountains may exceed the limit.

    :param green: B03 reflectance, any shape.
    :param nir: B08 reflectance (or B8A).
    :param swir: B11 reflectance.
    :param min_green: Lowest green reflectance of snow; 0.10 for reflectance of the surface (L2A).
    :param min_nir_ratio: Lowest ratio of NIR to green of snow; 0 for no limit, None for 0.7, or 0.6 with ``red``.
    :param max_swir: Highest SWIR reflectance of snow, or None for no such limit.
    :param red: B04 reflectance, or None to do without it.
    :param cirrus: B10 reflectance, or None for no limit on it.
    :param max_cirrus: Highest B10 reflectance of snow.
    :return: boolean, False where a value is NaN.
    """
    # min_ndsi as a product, so that 0 / 0 needs no care and NaN is False
    snow = (green - swir >= min_ndsi * (green + swir)) & (green >= min_green) & (nir > min_nir)
    if min_nir_ratio is None:
        min_nir_ratio = MIN_SNOW_NIR_RATIO if red is None else MIN_SNOW_NIR_RATIO_BESIDE_RED
    snow &= nir >= min_nir_ratio * green
    if red is not None:
        snow &= nir - SNOW_NIR_OF_AIR >= MIN_SNOW_NIR_SHARE * (red + swir)
    if max_swir is not None:
        snow &= swir <= max_swir
    if cirrus is not None:
        snow &= cirrus <= max_cirrus
    return np.asarray(snow, dtype=bool)


def water_mask(
    green: NDArray[np.floating[Any]],
    nir: NDArray[np.floating[Any]],
    swir: NDArray[np.floating[Any]],
    *,
    min_ndwi: float = 0.0,
    max_nir: float = MIN_SNOW_NIR,
    max_swir: float = 0.11,
) -> NDArray[np.bool_]:
    """Clear open water: greener than near infrared, and dark in both infrared bands.

    Method: NDWI = (green - nir) / (green + nir) > 0, McFeeters 1996, International Journal of Remote Sensing 17,
    1425-1432. Clouds and snow can exceed 0 too, hence the limit on NIR: the value below which Hall et al. 2001 call
    nothing snow; the same limit on SWIR keeps out cloud over water.

    :param green: B03 reflectance, any shape.
    :param nir: B08 reflectance (or B8A).
    :param swir: B11 reflectance.
    :return: boolean, False where a value is NaN.
    """
    water = (green - nir > min_ndwi * (green + nir)) & (nir <= max_nir) & (swir <= max_swir)
    return np.asarray(water, dtype=bool)


def surface_masks(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    names: Sequence[str],
    *,
    max_snow_swir: float | None = None,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    where: str = "the bands",
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(snow, water) of one frame; snow by red too where there is red (``snow_mask``), so that surf and mud are none.

    :param bands: Array (h, w, bands): float reflectance, or integer DN.
    :param valid: Boolean array (h, w) of the pixels with data, or None for all.
    :param names: Names of the bands in their order, B03, B08 and B11 among them, B04 where there is one.
    :param max_snow_swir: Highest B11 reflectance of snow, or None.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether values that contradict it are refused (``eotasks.models.scale_signs``); False for
        callers that have looked at the whole series.
    :return: boolean (h, w) each, False where there is no data.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    """
    wanted = (*SURFACE_BANDS, *(("B04",) if "B04" in names else ()))
    green, nir, swir, *rest = reflectance_of(
        bands, valid, wanted, names, scale=scale, check_bands=check_bands, where=where
    )
    snow = snow_mask(green, nir, swir, max_swir=max_snow_swir, red=rest[0] if rest else None)
    water = water_mask(green, nir, swir)
    return (snow, water) if valid is None else (snow & valid, water & valid)


def snow_bands(max_cirrus: float | None) -> tuple[str, ...]:
    """The bands that ``snow_in`` needs."""
    return SNOW_BANDS if max_cirrus is None else (*SNOW_BANDS, "B10")


def snow_in(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    names: Sequence[str],
    *,
    min_ndsi: float = MIN_SNOW_NDSI,
    min_green: float = MIN_SNOW_GREEN,
    max_swir: float | None = None,
    max_cirrus: float | None = None,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    where: str = "the bands",
) -> NDArray[np.bool_]:
    """Snow of one frame, with more bands than ``snow_mask`` needs: no surf, no mud, and with B10 less high ice cloud.

    In a tropical scene, where no snow can be, 0.11 % of it passed, nine tenths of it cloud (without the limits
    on blue and cirrus, and with the limits on green and near infrared of surfaces: 2 %, the silt of a river).

    :param bands: Array (h, w, bands): float reflectance, or integer DN.
    :param valid: Boolean array (h, w) of the pixels with data, or None for all.
    :param names: Names of the bands in their order, ``SNOW_BANDS`` among them, and B10 where ``max_cirrus`` is given.
    :param min_ndsi: Lowest NDSI of snow; higher is surer.
    :param min_green: Lowest B03 reflectance of snow; 0.10 for reflectance of the surface (L2A).
    :param max_swir: Highest B11 reflectance of snow, or None.
    :param max_cirrus: Highest B10 reflectance of snow, or None.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether values that contradict it are refused (``eotasks.models.scale_signs``); False for
        callers that have looked at the whole series.
    :return: boolean (h, w), False where there is no data.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    """
    blue, green, red, nir, swir, *rest = reflectance_of(
        bands, valid, snow_bands(max_cirrus), names, scale=scale, check_bands=check_bands, where=where
    )
    snow = snow_mask(
        green,
        nir,
        swir,
        min_ndsi=min_ndsi,
        min_green=min_green,
        max_swir=max_swir,
        red=red,
        cirrus=rest[0] if rest else None,
        max_cirrus=MAX_SNOW_CIRRUS if max_cirrus is None else max_cirrus,
    )
    snow &= blue >= MIN_SNOW_BLUE * red
    return snow if valid is None else snow & valid


def reflectance_of(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    wanted: Sequence[str],
    names: Sequence[str],
    *,
    scale: ReflectanceScale | None,
    check_bands: bool,
    where: str,
) -> NDArray[np.float32]:
    """Some bands of a frame as reflectance, band by band.

    :param bands: Array (h, w, bands): float reflectance, or integer DN.
    :param valid: Boolean array (h, w) of the pixels with data, or None for all.
    :param wanted: Names of the bands to give.
    :param names: Names of the bands in their order.
    :param check_bands: Whether bands of another scale are refused.
    :return: float32 (number of wanted, h, w), any value where there is no data.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    """
    chosen = bands[..., band_indices(wanted, names, where=where)]
    inside = None if valid is None else check_mask(valid, name="the valid mask", where=where)
    if check_bands:
        seen = None if inside is None else inside[np.newaxis]
        refuse_other_scale(bands[np.newaxis], seen, names=names, scale=scale, frame_names=[where], where=where)
    data = None if inside is None else inside[..., np.newaxis]
    return np.moveaxis(as_reflectance(chosen, data, scale=scale, where=where), -1, 0)

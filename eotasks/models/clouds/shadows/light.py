"""How much of the light of a pixel is the sun's: what tells shaded ground from ground that is merely dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.band_sets import band_names
from eotasks.models.scale_signs import refuse_other_scale
from eotasks.models.scales import ReflectanceScale, as_reflectance, check_mask
from eotasks.models.sentinel2 import band_indices

SHADOW_BANDS: tuple[str, ...] = ("B02", "B08", "B11")
"""Blue, near infrared and short-wave infrared: what both methods look at."""

GREEN = "B03"
"""Looked at where it is there: it tells turbid water from ground, and with RED and SWIR_2 shade from dark ground."""

RED, SWIR_2 = "B04", "B12"

_DARKEST = np.float32(1e-3)
_DARK_NIR = np.float32(0.07)
_DARK_SWIR = np.float32(0.03)
_TURBID_NDWI = np.float32(0.1)
_TURBID_SWIR = np.float32(0.05)


@dataclass(frozen=True)
class Ground:
    """What one frame shows of light and shade: what clouds are matched with."""

    sunlight: NDArray[np.float32]
    """(h, w) ln(sqrt(NIR * SWIR) / blue). Shaded ground is lit by the sky alone, which is blue: it loses most in the
    infrared and least in the blue, whatever its colour, while dark soil and conifers are dark in the blue too."""

    black: NDArray[np.bool_]
    """(h, w) dark in both infrared bands, as open water is, and the deepest shade: it tells nothing. (Water indices of
    green and near infrared alone do not help: they take most shaded ground for water.)"""

    turbid: NDArray[np.bool_]
    """(h, w) what may be turbid water, bright in the near infrared but not in the short-wave: NDWI (McFeeters 1996,
    International Journal of Remote Sensing 17(7), 1425-1432) above 0.1 and SWIR below 0.05. It would count as lit
    ground, so it is no witness; some of the shade on land is among it. None without a green band."""

    valid: NDArray[np.bool_]
    """(h, w) data."""


@dataclass(frozen=True)
class Light(Ground):
    """The same with what is dark by itself, and the bands."""

    nir: NDArray[np.float32]
    """(h, w) reflectance."""

    logs: NDArray[np.float32]
    """(h, w, bands) ln of the reflectance in the bands that are looked at."""


def light_bands(there: Sequence[str]) -> tuple[str, ...]:
    """The bands that are looked at, of those that are there: what has to be read.

    :param there: Names of bands; the three of SHADOW_BANDS are named whether they are there or not.
    """
    return (*SHADOW_BANDS, *(band for band in (GREEN, RED, SWIR_2) if band in there))


def light_of(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    names: Sequence[str] | None = None,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    where: str = "the bands",
) -> Light:
    """Light and shade of one frame.

    :param bands: (h, w, bands) reflectance, float or DN, top-of-atmosphere or surface, B02, B08 and B11 among them;
        B03, B04 and B12 are used where they are there.
    :param valid: Boolean (h, w), or None for all.
    :param names: Names of the bands, or None to tell by count (10 or 13).
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether values that contradict it are refused (``eotasks.models.scale_signs``); False for
        callers that have looked at the whole series.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    :raises GridError: shapes that do not fit.
    """
    if bands.ndim != 3:
        raise GridError(f"{where}: shape {bands.shape} where (height, width, bands) is due.")
    data = np.ones(bands.shape[:2], dtype=bool)
    if valid is not None:
        data = check_mask(valid, name="the data mask", where=where)
    if data.shape != bands.shape[:2]:
        raise GridError(f"{where}: the data mask has shape {data.shape}, the bands {bands.shape[:2]}.")
    there = band_names(bands.shape[-1], names, where=where)
    looked_at = light_bands(there)
    chosen = band_indices(looked_at, there, where=where)
    reflectance = as_reflectance(bands[..., chosen], data[..., np.newaxis], scale=scale, where=where)
    if check_bands:
        frames, seen = bands[np.newaxis], data[np.newaxis]
        refuse_other_scale(frames, seen, names=there, scale=scale, frame_names=[where], where=where)
    filled = np.where(data[..., np.newaxis], reflectance, _DARKEST)
    nir, swir = filled[..., 1], filled[..., 2]
    turbid = np.zeros(data.shape, dtype=bool)
    if GREEN in looked_at:
        green = filled[..., looked_at.index(GREEN)]
        turbid = np.asarray((green - nir > _TURBID_NDWI * (green + nir)) & (swir < _TURBID_SWIR))
    logs = np.log(np.maximum(filled, _DARKEST))
    return Light(
        sunlight=np.asarray((logs[..., 1] + logs[..., 2]) / 2 - logs[..., 0], dtype=np.float32),
        nir=np.asarray(nir),
        logs=np.asarray(logs, dtype=np.float32),
        black=np.asarray((nir < _DARK_NIR) & (swir < _DARK_SWIR)),
        turbid=turbid,
        valid=data,
    )

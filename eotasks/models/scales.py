"""What the numbers of an array mean: reflectance, digital numbers, percentages, 8 or 16 bits; booleans of masks.

One rule for tasks, functions on arrays, xarray and loaders. The dtype says the scale: floats are reflectance (1.0 = 100
%) or probability (0..1), integers of more than 8 bits digital numbers (reflectance * 10000, the baseline offset
removed), unsigned 8 bits of a probability 0..255. Another scale is named by an argument. What contradicts is refused,
with the divisor.

Whether the values agree with it is seen by ``eotasks.models.scale_signs``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError, ReflectanceError, ScaleWarning, warn_caller
from eotasks.models.sentinel2 import MAX_REFLECTANCE, MIN_REFLECTANCE, QUANTIFICATION, SATURATED_DN

ReflectanceScale = Literal["reflectance", "percent", "0..255", "dn", "0..65535"]
"""Of bands: 1.0 = 100 %; 100 = 100 %; reflectance times 255; times 10000, offset removed; times 65535."""

ProbabilityScale = Literal["0..1", "percent", "0..255"]
"""Of a cloud probability: as float; as Earth Engine and MSK_CLDPRB of L2A have it; as Sentinel Hub has it."""

DIVISORS: Mapping[str, int] = MappingProxyType(
    {"reflectance": 1, "0..1": 1, "percent": 100, "0..255": 255, "dn": QUANTIFICATION, "0..65535": 65_535}
)
"""What the numbers of a scale are divided by."""

_BITS_8 = 255
_PERCENT = 100


def check_scale(scale: object, kind: Any, name: str = "scale") -> None:
    """Refuse what names no scale.

    :param scale: The argument; None is left to the dtype.
    :param kind: ``ReflectanceScale`` or ``ProbabilityScale``.
    :raises ConfigurationError: a scale that is not known.
    """
    if scale is not None and scale not in get_args(kind):
        raise ConfigurationError(
            f"{name}={scale!r} is unknown: give {', '.join(map(repr, get_args(kind)))}, or None (by the dtype)."
        )


def unmasked(values: NDArray[Any], where: str) -> NDArray[Any]:
    """An array as NumPy's plain one; masked arrays, as rasterio gives them, are refused: what lies under their mask
    would count.

    :param where: What the array is, for the message.
    :raises FeatureError: a masked array of which something is masked.
    """
    if np.ma.is_masked(values):
        raise FeatureError(
            f"{where}: a masked array, whose mask is not looked at: what lies under it would count. Give a boolean mask"
            " of the pixels with data beside array.data, or NaN for them (array.astype('float32').filled(np.nan))."
        )
    return np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else values


def check_mask(mask: NDArray[np.generic], *, name: str = "the mask", where: str = "") -> NDArray[np.bool_]:
    """A mask as it is, when it is boolean.

    :param name: What it is a mask of, for the message.
    :param where: Where it comes from, for the message.
    :raises FeatureError: another dtype: a cloud mask in the place of a mask of data is read the wrong way round.
    """
    mask = unmasked(mask, f"{where}: {name}" if where else name)
    if np.asarray(mask).dtype != np.bool_:
        raise FeatureError(
            f"{where + ': ' if where else ''}{name} is {np.asarray(mask).dtype} where a boolean mask is due: 1 and 255"
            " mean cloud and no data in one mask, and data in another. Say it: mask == 1 where 1 is what it is a mask"
            " of, mask == 0 where that is 0."
        )
    return np.asarray(mask, dtype=bool)


def reflectance_scale(
    dtype: np.dtype[Any], scale: ReflectanceScale | None = None, *, where: str = "the bands"
) -> ReflectanceScale:
    """The scale of bands, by dtype and argument.

    :param scale: What the user says, None for what the dtype says.
    :raises ConfigurationError: a scale that is not known.
    :raises ReflectanceError: a dtype that has none, or that contradicts.
    """
    check_scale(scale, ReflectanceScale)
    if dtype.kind not in "iuf":
        raise ReflectanceError(f"{where}: dtype {dtype} is neither reflectance (float) nor DN (integer).")
    if dtype.kind == "f":
        return scale or "reflectance"
    if scale == "reflectance":
        raise ReflectanceError(
            f"{where}: {dtype} and scale='reflectance': whole numbers are no reflectance (1.0 = 100 %). DN are divided"
            f" by {QUANTIFICATION} (scale='dn'), percentages by 100, 8 bits by 255, 16 bits by 65535."
        )
    if dtype.itemsize == 1 and scale not in ("percent", "0..255"):
        raise ReflectanceError(
            f"{where}: {dtype} holds no DN, which reach {QUANTIFICATION}. Divide by 255 (scale='0..255') where"
            " reflectance 1.0 is 255, by 100 (scale='percent') where it is 100."
        )
    return scale or "dn"


def is_said_by_dtype(dtype: np.dtype[Any], scale: ReflectanceScale | None) -> bool:
    """Whether the argument says no more than the dtype does."""
    return scale is None or scale == ("reflectance" if dtype.kind == "f" else "dn")


def as_reflectance(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    scale: ReflectanceScale | None = None,
    where: str = "the bands",
) -> NDArray[np.float32]:
    """Reflectance as float32, 1.0 = 100 %, by the scale of the bands (:func:`reflectance_scale`).

    Every value is checked against the limits of what can be; ``eotasks.models.scale_signs`` looks at all together.

    :param bands: Array (..., bands): float reflectance, or integer DN = reflectance * 10000 with the baseline offset
        removed, or of the named scale.
    :param valid: Boolean array that broadcasts against ``bands[..., :1]``; only there the values are checked. None
        checks all.
    :param scale: What the user says, None for what the dtype says.
    :param where: What the array is (patch, file), for the message.
    :return: float32, the input itself when it is float32 reflectance already. NaN outside valid data stays NaN.
    :raises ConfigurationError: a scale that is not known.
    :raises ReflectanceError: NaN or infinity inside valid data, a reflectance below -0.9 (a no-data value such as
        -9999) or above 10 (another scale; the message names the divisor), or a dtype that is no number.
    """
    bands = unmasked(bands, where)
    known = reflectance_scale(bands.dtype, scale, where=where)
    divisor = DIVISORS[known]
    lowest, highest = _limits(bands, valid, known)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ReflectanceError(
            f"{where}: NaN or infinity inside valid data. Set IS_DATA to False there, or fill the values, first."
        )
    if highest > MAX_REFLECTANCE * divisor:
        raise ReflectanceError(
            f"{where}: values up to {highest:.0f} where {due_words(known)} is due: {_suspicion(highest)}."
        )
    if lowest < MIN_REFLECTANCE * divisor:
        raise ReflectanceError(
            f"{where}: values down to {lowest:g}: no-data values inside valid data. Set IS_DATA to False there."
        )
    values = np.asarray(bands, dtype=np.float32)
    return values if divisor == 1 else values / np.float32(divisor)


def _limits(
    bands: NDArray[np.generic], valid: NDArray[np.bool_] | None, scale: ReflectanceScale
) -> tuple[float, float]:
    """Lowest and highest value inside valid data, 0 where there is none. NaN is either."""
    if not bands.size or (bands.dtype == np.uint16 and scale in ("dn", "0..65535")):  # all that it can hold
        return 0.0, 0.0
    if valid is None:
        return float(bands.min()), float(bands.max())
    inside = np.broadcast_to(valid, bands.shape)
    if bands.dtype.kind != "f":
        return float(np.min(bands, initial=0, where=inside)), float(np.max(bands, initial=0, where=inside))
    lowest = float(np.min(bands, initial=np.inf, where=inside))
    highest = float(np.max(bands, initial=-np.inf, where=inside))
    return (0.0, 0.0) if lowest == np.inf and highest == -np.inf and not inside.any() else (lowest, highest)


def as_probability(
    values: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    scale: ProbabilityScale | None = None,
    where: str = "cloud probability",
) -> NDArray[np.float32]:
    """Probability as float32 0..1, 0 where not valid; from floats 0..1 or uint8 0..255 by the dtype, or as named.

    :param values: Array of any shape.
    :param valid: Boolean array of that shape, None for all.
    :param scale: What the user says, None for what the dtype says.
    :param where: What the array is, for messages.
    :raises ConfigurationError: a scale that is not known.
    :raises FeatureError: a dtype that has none or contradicts, values beyond it (the message names the divisor), or NaN
        inside valid data.
    """
    values = unmasked(values, where)
    known = probability_scale(values.dtype, scale, where=where)
    floats = values.astype(np.float32, copy=False)
    if valid is not None and not valid.all():
        floats = np.where(valid, floats, np.float32(0))
    lowest, highest = (float(floats.min()), float(floats.max())) if floats.size else (0.0, 0.0)
    if math.isnan(lowest):
        raise FeatureError(
            f"{where}: NaN inside valid data. Set IS_DATA to False there, or leave the data mask out: NaN is no data."
        )
    divisor = DIVISORS[known]
    if not (lowest >= 0 and highest <= divisor):
        raise FeatureError(
            f"{where}: values from {lowest:g} to {highest:g} inside valid data where 0..{divisor} is due."
            f" {_probability_cure(lowest, highest)}"
        )
    return floats if divisor == 1 else floats / np.float32(divisor)


def probability_scale(
    dtype: np.dtype[Any], scale: ProbabilityScale | None = None, *, where: str = "cloud probability"
) -> ProbabilityScale:
    """The scale of a cloud probability, by dtype and argument.

    :raises ConfigurationError: a scale that is not known.
    :raises FeatureError: a dtype that has none, or that contradicts.
    """
    check_scale(scale, ProbabilityScale)
    if dtype.kind not in "iuf" or (scale is None and dtype.kind != "f" and dtype != np.uint8):
        raise FeatureError(
            f"{where}: dtype {dtype} is no cloud probability. Give float 0..1 or uint8 0..255, or say what they are:"
            " scale='percent' (0..100) or scale='0..255'."
        )
    if dtype.kind != "f" and scale == "0..1":
        raise FeatureError(
            f"{where}: {dtype} and scale='0..1': whole numbers are no such probability. Divide percentages by 100"
            " (scale='percent'), 8 bits by 255 (scale='0..255')."
        )
    return scale or ("0..1" if dtype.kind == "f" else "0..255")


def warn_of_percent(
    values: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    scale: ProbabilityScale | None = None,
    where: str = "cloud probability",
) -> None:
    """Warn of uint8 that ends at exactly 100, as a whole: percentages as Earth Engine and L2A products have them.

    :warns ScaleWarning: for these, where no scale is named.
    """
    if scale is None and values.dtype == np.uint8 and values.size:
        highest = int(np.max(values, initial=0, where=True if valid is None else valid))
        if ends_as_percent(highest):
            warn_caller(percent_words(where), ScaleWarning)


def ends_as_percent(highest: int) -> bool:
    """Whether the highest number of a uint8 probability is what percentages end at."""
    return highest == _PERCENT


def percent_words(where: str) -> str:
    """What is said of a uint8 probability that ends so.

    :param where: What the array is.
    """
    return (
        f"{where}: uint8 that ends at exactly 100 is read as 0..255, so that nothing is above 0.39. Say"
        " scale='percent' for percentages, as Earth Engine's cloud probability and MSK_CLDPRB of L2A are, or"
        " scale='0..255' (probability_scale, where there is one)."
    )


def _probability_cure(lowest: float, highest: float) -> str:
    if lowest < 0:
        return "Mark values of no data: give is_data_feature, or NaN."
    if highest <= 100:
        return "Divide percentages by 100 (scale='percent')."
    if highest <= _BITS_8:
        return "Divide uint8 values by 255 (scale='0..255')."
    return "Divide percentages by 100, 8 bits by 255, 10000 by 10000: a probability ends at 1."


def due_words(scale: ReflectanceScale) -> str:
    """What numbers of a scale are, for messages."""
    return "reflectance (1.0 = 100 %)" if scale == "reflectance" else f"reflectance * {DIVISORS[scale]}"


def _suspicion(highest: float) -> str:
    """What numbers may be that are beyond reflectance, by the highest of them."""
    if highest == _BITS_8:
        return "8 bits. Divide by 255 (scale='0..255')"
    if highest < 700:  # clouds reach 2.8
        return "percentages or 8 bits. Divide by 100 (scale='percent'), or by 255 (scale='0..255')"
    if highest >= SATURATED_DN:
        return "16 bits. Divide by 65535 (scale='0..65535')"
    return (
        f"raw digital numbers. Divide by {QUANTIFICATION} after removing the baseline offset, or give them as integers"
        " (scale='dn' takes floats too)"
    )

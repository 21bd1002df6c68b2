"""What s2cloudless answers wrongly and without a word: found before it is answered, for a typed warning.

The checks are those of the tasks, whose errors are warnings here: a program that s2cloudless ran is not to end because
its import was changed. Who wants it to end makes them errors (``warnings.filterwarnings``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import (
    BandError,
    EOTasksWarning,
    NoDataPredictedWarning,
    NotProbabilityWarning,
    NotReflectanceWarning,
    ReflectanceError,
)
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.validity import is_fill
from eotasks.models.sentinel2 import (
    MAX_REFLECTANCE,
    MIN_REFLECTANCE,
    QUANTIFICATION,
    SATURATED_DN,
)

Finding = tuple[type[EOTasksWarning], str]

SAMPLE_PIXELS = 1 << 16
"""Of a frame, looked at for an offset and the order of bands: both show everywhere or not at all."""

SAMPLE_FRAMES = 64

FEWEST_FOR_ORDER = 1 << 12
"""Pixels of a frame to judge the order of its bands by; fewer may be all of one thing."""

_UINT8_MAX = 255
_TAKEN = "They are taken as they are, as s2cloudless takes them."
_CLEAR = "They come out clear, as from s2cloudless: set the mask to no data there."


def of_bands(data: NDArray[Any], columns: list[int]) -> list[Finding]:
    """What is wrong with bands that are to be predicted. Of no data nothing is counted: a text that is the same for
    every image is shown once for all of them.

    :param data: Array (N, height, width, bands).
    :param columns: Which of the bands the model looks at.
    """
    if not data.size:
        return []
    found: list[Finding] = []
    if np.ma.is_masked(data):
        text = "data: masked pixels are predicted by what lies under the mask, as by s2cloudless."
        found.append((NoDataPredictedWarning, f"{text} Apply the mask to the result."))
    values = np.asarray(data)
    if values.dtype.kind not in "fiub":
        text = f"data: dtype {values.dtype} is read as float32, as by s2cloudless. Give float32 or float64."
        return [*found, (NotReflectanceWarning, text)]
    empty = is_fill(values)
    if empty.any():
        found.append((NoDataPredictedWarning, f"data: some pixels hold no data (0 or NaN in all bands). {_CLEAR}"))
    return found + (_of_floats(values, columns, empty) if values.dtype.kind == "f" else _of_whole_numbers(values))


def _of_whole_numbers(values: NDArray[Any]) -> list[Finding]:
    highest = int(values.max())
    if values.dtype == np.uint8 or highest == _UINT8_MAX:
        cure = f"Divide by {_UINT8_MAX}."
    elif highest == SATURATED_DN:
        cure = f"Divide by {SATURATED_DN} if that is reflectance 1, and raw numbers by {QUANTIFICATION}."
    else:
        cure = f"Remove the offset of baselines from 04.00 on, and divide by {QUANTIFICATION}."
    text = f"data: {values.dtype} up to {highest} where reflectance (floats, 1.0 = 100 %) is due. {_TAKEN} {cure}"
    return [(NotReflectanceWarning, text)]


def _of_floats(values: NDArray[Any], columns: list[int], empty: NDArray[np.bool_]) -> list[Finding]:
    found: list[Finding] = []
    present = ~empty
    try:
        if not (values.min() >= MIN_REFLECTANCE and values.max() <= MAX_REFLECTANCE):
            bands = [values[..., column] for column in columns]  # views: the ten by themselves would be a copy
            for band in bands:
                present &= np.isfinite(band)
            if not np.array_equal(present, ~empty):
                text = "data: some pixels have NaN or infinity in some bands; NaN counts as 0, as in s2cloudless."
                found.append((NoDataPredictedWarning, f"{text} Fill it, or set the mask to no data there."))
            lowest = min(float(band.min(initial=0, where=present)) for band in bands)
            highest = max(float(band.max(initial=0, where=present)) for band in bands)
            if text := _beyond(lowest, highest):
                return [*found, (NotReflectanceWarning, f"data: {text} {_TAKEN}")]
        _refuse_sample(values, present)
    except (ReflectanceError, BandError) as error:
        found.append((NotReflectanceWarning, f"{error} {_TAKEN}"))
    return found


def _beyond(lowest: float, highest: float) -> str:
    """What is wrong with values of which these are the ends, and the cure."""
    if highest > MAX_REFLECTANCE:
        cure = f"Divide raw numbers, the offset of baselines from 04.00 on removed, by {QUANTIFICATION}"
        return f"values up to {highest:g} where reflectance (1.0 = 100 %) is due. {cure}, percentages by 100."
    if lowest < MIN_REFLECTANCE:
        return f"values down to {lowest:g}, which mean no data. Set the mask to no data there."
    return ""


def _refuse_sample(values: NDArray[Any], valid: NDArray[np.bool_]) -> None:
    """Look for an offset and another order of bands, in some pixels of some frames."""
    number, height, width = valid.shape
    step = math.ceil(math.sqrt(height * width / SAMPLE_PIXELS))
    frames, sides = slice(None, None, -(-number // SAMPLE_FRAMES)), slice(None, None, step)
    there = valid[frames, sides, sides]
    names = [f"frame {index}" for index in range(number)[frames]]
    try:
        refuse_implausible(values[frames, sides, sides], there, frame_names=names, where="data")
    except BandError:
        if max(np.count_nonzero(frame) for frame in there) >= FEWEST_FOR_ORDER:
            raise


def of_probability(probability: NDArray[Any], threshold: Any) -> list[Finding]:
    """What is wrong with probabilities that are to be compared with a threshold.

    :param probability: Array (N, height, width).
    :param threshold: A number, or an array that broadcasts.
    """
    limits, values = np.asarray(threshold, dtype=float), np.asarray(probability)
    if not (limits.min(initial=0) >= 0):
        text = f"threshold {threshold} is negative or NaN: all or nothing is cloud. Give one from 0 to 1."
        return [(NotProbabilityWarning, text)]
    if not values.size or not limits.size:
        return []
    lowest, highest = float(values.min()), float(values.max())
    if math.isnan(lowest):
        text = "cloud_probs: NaN is never cloud, and spreads by averaging, as in s2cloudless. Set it to 0 before,"
        return [(NotProbabilityWarning, f"{text} and the mask to no data afterwards.")]
    above_one = highest > 1 and limits.min() <= 1
    below_threshold = highest <= 1 < limits.max() and values.dtype.kind == "f"
    if lowest < 0 or above_one or below_threshold:
        text = f"cloud_probs: from {lowest:g} to {highest:g}, compared with {threshold}: these are not of one scale."
        return [(NotProbabilityWarning, f"{text} Give both as 0..1: divide percentages by 100, uint8 by 255.")]
    return []

"""Running a detector: what it needs is checked before, what it answers after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector, ProbabilityDetector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Need
from eotasks.errors import BandError, ConfigurationError, EOTasksError, FeatureError, ModelError
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.scale_signs import refuse_other_scale
from eotasks.models.sentinel2 import CLOUD_BANDS

_LACKS: dict[Need, str] = {
    "series": "a single frame, and this detector compares frames. Give EOPatches of a series.",
    "sun angles": "does not say where the sun stood. Add scalar/SUN_ANGLES, or sun_zenith and sun_azimuth to its"
    " scene.toml.",
    "classification": "no scene classification. Add scl.tif (mask/SCL) of L2A to the scene.",
    "stored mask": "no mask of its own. Add clm.tif (mask/CLM) to the scene.",
}
_WORDS: dict[Need, str] = {
    "series": "several frames of a place",
    "sun angles": "the angles of the sun",
    "classification": "a scene classification (SCL)",
    "stored mask": "a mask that lies beside the bands",
}
_L2A = "L2A has no B10: use AddSceneClassificationMaskTask on its SCL band, or detector 'scl'."

_Answered = TypeVar("_Answered")


def detect_clouds(
    detector: Detector, frames: Frames, settings: DetectorSettings, *, check_bands: bool = True
) -> Detection:
    """Run a detector on frames.

    :param check_bands: Whether bands are refused that are of another scale; or carry a baseline offset or are in
        another order, where the ten bands of the cloud model are there to see it by. False for callers that see parts
        of a product and check the whole.
    :return: Mask uint8 (t, h, w): 0 clear, 1 cloud, 2 shadow, 255 where there is no data or no answer. Probability
        float32 (t, h, w), NaN where there is no data; None of a detector without one.
    :raises BandError: a band is missing, or the bands are not in their order.
    :raises FeatureError: something else that the detector needs is not there.
    :raises ReflectanceError: values that are no reflectance.
    :raises ModelError: the detector is at fault: it failed in a way of its own, or answered something else than it
        says.
    """
    check_frames(detector, frames)
    if check_bands and detector.bands:
        _check_plausible(frames)
    return _checked(detector, frames, call(detector, frames, lambda: detector.detect(frames, settings)))


def cloud_probability_of(
    detector: ProbabilityDetector, frames: Frames, settings: DetectorSettings
) -> NDArray[np.float32]:
    """The probability alone, for callers that see parts of a product and check and mask the whole of it themselves.

    :return: float32 (t, h, w), any value where there is no data.
    :raises EOTasksError: as :func:`detect_clouds`.
    """
    check_frames(detector, frames)
    probability = call(detector, frames, lambda: detector.probability(frames, settings))
    return _checked_probability(detector, frames, probability)


def check_frames(detector: Detector, frames: Frames) -> None:
    """Refuse frames that lack what a detector needs.

    :raises BandError: a band is missing.
    :raises FeatureError: something else.
    """
    missing = [band for band in detector.bands if band not in frames.names]
    if missing:
        raise BandError(
            f"{frames.where}: detector {detector.name!r} needs band {', '.join(missing)}, there are"
            f" {', '.join(frames.names) or 'none'}. {_L2A if 'B10' in missing else 'Read it from the source too.'}"
        )
    there = {
        "series": len(frames) > 1,
        "sun angles": frames.sun_angles is not None,
        "classification": frames.classification is not None,
        "stored mask": frames.stored_mask is not None,
    }
    for need in sorted(detector.needs):
        if not there[need]:
            raise FeatureError(f"{frames.where}: {_LACKS[need]}")


def refuse_needs(detector: Detector, available: Collection[Need], *, what: str, others: Collection[str]) -> None:
    """Refuse, before any work, a detector that needs what there cannot be.

    :param available: What there can be beside bands.
    :param what: That lacks it, for the message, such as "a product".
    :param others: Names of detectors that can be used.
    :raises ConfigurationError: it needs more, or is a baseline.
    """
    lacking = [_WORDS[need] for need in sorted(frozenset(detector.needs) - frozenset(available))]
    if not lacking and not detector.baseline:
        return
    why = f"needs {' and '.join(lacking)}, which {what} does not have" if lacking else "is no detector but a baseline"
    raise ConfigurationError(f"detector {detector.name!r} {why}: use {', '.join(others)}, or that of a plugin.")


def refuse_unused(uses: Mapping[str, Collection[str]], given: Mapping[str, str]) -> None:
    """Refuse, before any work, settings that none of the detectors uses: they would change nothing.

    :param uses: Names of the settings that a detector uses, by its name.
    :param given: The setting's name in :class:`DetectorSettings` by what the user calls it, such as ``--dilation``.
    :raises ConfigurationError: names them.
    """
    used = {name for names in uses.values() for name in names}
    unused = [option for option, name in given.items() if name not in used]
    if unused:
        names = [repr(name) for name in uses]
        who = f"none of {', '.join(names)} uses" if len(names) > 1 else f"detector {names[0]} does not use"
        raise ConfigurationError(f"{who} {', '.join(unused)}: leave that out, nothing would change.")


def call(detector: Detector, frames: Frames, work: Callable[[], _Answered]) -> _Answered:
    """What a detector's method returns; a fault of its own is named as that.

    :raises ModelError: instead of whatever it raises but for our errors, the system's and a lack of memory.
    """
    try:
        return work()
    except (EOTasksError, OSError, MemoryError):
        raise
    except Exception as error:  # code of anybody
        raise ModelError(
            f"{frames.where}: detector {detector.name!r} failed ({type(error).__name__}: {error}). Tell those who made"
            f" {type(detector).__module__}."
        ) from error


def _check_plausible(frames: Frames) -> None:
    frames.shared.once("plausible", lambda: _refuse_implausible(frames))


def _refuse_implausible(frames: Frames) -> None:
    bands, is_data, names, moments = frames.bands, frames.is_data, frames.names, _moments(frames)
    if set(CLOUD_BANDS) <= set(names):
        refuse_implausible(bands, is_data, bands=names, frame_names=moments, where=frames.where)
    else:
        refuse_other_scale(bands, is_data, names=names, frame_names=moments, where=frames.where)


def _moments(frames: Frames) -> list[str]:
    if len(frames.times) != len(frames):
        return [f"frame {index + 1}" for index in range(len(frames))]
    return [f"{time:%Y-%m-%dT%H:%M}" for time in frames.times]


def _checked(detector: Detector, frames: Frames, detection: Detection) -> Detection:
    if not isinstance(detection, Detection):  # code of anybody
        raise _fault(detector, f"a {type(detection).__name__}", "a Detection is")
    mask = _array(detector, frames, detection.mask)
    if mask.shape != frames.shape or mask.dtype.kind not in "iub":
        raise _fault(detector, f"a mask {mask.dtype} {mask.shape}", f"whole numbers {frames.shape} are")
    known = [CLEAR, CLOUD, *([SHADOW] if "shadow" in detector.answers else []), NO_DATA]
    wrong = ~np.isin(mask, known) & frames.is_data
    if wrong.any():
        raise _fault(detector, f"the class {mask[wrong][0]}", f"{', '.join(map(str, known))} are")
    mask = np.where(frames.is_data, mask, NO_DATA).astype(np.uint8)
    if ("probability" in detector.answers) != (detection.probability is not None):
        what = "no probability" if detection.probability is None else "a probability"
        raise _fault(detector, what, f"{', '.join(sorted(detector.answers))} is")
    if detection.probability is None:
        return Detection(mask)
    probability = _checked_probability(detector, frames, detection.probability)
    return Detection(mask, np.where(frames.is_data, probability, np.float32(np.nan)))


def _checked_probability(detector: Detector, frames: Frames, probability: NDArray[np.floating]) -> NDArray[np.float32]:
    values = _array(detector, frames, probability)
    if values.shape != frames.shape or values.dtype.kind != "f":
        raise _fault(detector, f"a probability {values.dtype} {values.shape}", f"floats {frames.shape} are")
    outside = np.isnan(values) | (values < 0) | (values > 1)
    if (outside & frames.is_data).any():
        raise _fault(detector, f"the probability {values[outside & frames.is_data][0]:g}", "0..1 is")
    return values.astype(np.float32, copy=False)


def _array(detector: Detector, frames: Frames, answered: object) -> NDArray[Any]:
    """What was answered as an array; rows of several lengths are none."""
    return call(detector, frames, lambda: np.asarray(answered))


def _fault(detector: Detector, answered: str, due: str) -> ModelError:
    return ModelError(
        f"detector {detector.name!r} answered {answered} where {due} due. Tell those who made"
        f" {type(detector).__module__}."
    )

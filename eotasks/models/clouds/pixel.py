"""Cloud probability of a pixel from its own spectrum: the single-scene model of s2cloudless.

The weights are read from the installed s2cloudless package (CC BY-SA 4.0) and run by the tree engine
(``eotasks.models.forest``), so the values equal those of s2cloudless 1.7.3 to the last bit, many times faster. Added
here: refusal of values that are no reflectance, and pixels without data that are skipped (s2cloudless calls NaN, nodata
and raw digital numbers clear or cloudy without a word).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, GridError, MissingDependencyError
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.scales import ReflectanceScale, as_reflectance, check_mask, is_said_by_dtype, unmasked
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices

if TYPE_CHECKING:
    from eotasks.models.forest import Forest

MODEL_FILE = "pixel_s2_cloud_detector_lightGBM_v0.1.txt"
MODEL_SHA256 = "0f92b6822cc0ad42982f55bab9b1688329e119451ad9a9e0a56384b9f37bc61d"

CHUNK_PIXELS = 1 << 19
"""Pixels predicted at a time: bounds the copies of a call, whatever the image's size."""

_REINSTALL = "Install it again: pip install --force-reinstall s2cloudless==1.7.3."
_L2A = "L2A has no B10: use AddSceneClassificationMaskTask on its SCL band."
_LOADING = threading.Lock()


def cloud_probability(
    spectra: NDArray[np.generic],
    *,
    valid: NDArray[np.bool_] | None = None,
    bands: Sequence[str] | None = None,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    threads: int | None = None,
    where: str = "the bands",
) -> NDArray[np.float32]:
    """Probability that a pixel is cloud, from its top-of-atmosphere (L1C) spectrum.

    Method: gradient-boosted trees on ten bands, Zupanc 2017, "Improving Cloud Detection with Machine Learning"; model
    and numbers of s2cloudless 1.7.3.

    :param spectra: Array (..., bands): float reflectance (1.0 = 100 %), integer DN = reflectance * 10000 with the
        baseline offset removed, or of the named scale. float64 is predicted in float64, as s2cloudless does.
    :param valid: Boolean array (...) or (..., 1). Where False, the result is 0 and the spectrum is not looked at. None
        predicts every pixel.
    :param bands: Names of the bands in their order. None tells by count: ten in the order of
        ``eotasks.models.sentinel2.CLOUD_BANDS``, or the thirteen of ``eotasks.models.sentinel2.BANDS``.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether bands are refused whose values show another scale, the offset of processing baseline
        04.00 and later left in or removed twice, or another order (``eotasks.models.clouds.plausibility``); an array
        (h, w, bands) is one frame, (t, h, w, bands) are several. False for spectra that are no picture of the ground,
        and for callers that have looked at the whole of which this is a part.
    :param threads: Threads of the engine; None for the setting (``eotasks.models.threads``). The values do not depend
        on it.
    :param where: What the array is (patch, frame), for messages.
    :return: float32 (...), 0..1.
    :raises BandError: when the ten bands are not all there, or not in their order.
    :raises ReflectanceError: NaN or infinity inside valid data, another scale (the message names the divisor), or a
        baseline offset.
    :raises FeatureError: a ``valid`` that is not boolean, or a masked array.
    :raises GridError: when ``valid`` has another shape.
    :raises MissingDependencyError: when the model of s2cloudless 1.7.3 is not installed.
    """
    if spectra.ndim < 1:
        raise GridError(f"{where}: a single number where an array (..., bands) is due.")
    spectra = unmasked(spectra, where)
    indices = cloud_band_indices(spectra.shape[-1], bands, where=where)
    shape = spectra.shape[:-1]
    probability = np.zeros(shape, dtype=np.float32)
    inside = None if valid is None else _like_pixels(valid, shape, where)
    if check_bands:
        _refuse_implausible(spectra, inside, bands, scale, where)
    rows, seen = np.atleast_2d(spectra), inside
    target: NDArray[np.float32] = probability
    if spectra.ndim == 1:
        seen, target = None if inside is None else inside.reshape(1), probability.reshape(1)
    for pixels, mask, part in _chunks(rows, seen, target):
        if mask is None or mask.all():
            part[:] = _predict(pixels, indices, scale, threads, where)
        elif mask.any():
            part[mask] = _predict(pixels[mask], indices, scale, threads, where)
    return probability


def _chunks(
    spectra: NDArray[np.generic], inside: NDArray[np.bool_] | None, probability: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.bool_] | None, NDArray[np.float32]]]:
    """Pixels (n, bands), their mask and a view of their result, cut along the first axes: a crop is copied in parts."""
    width = int(np.prod(spectra.shape[1:-1]))
    if width > CHUNK_PIXELS:
        for index in range(len(spectra)):
            yield from _chunks(spectra[index], None if inside is None else inside[index], probability[index])
        return
    step = max(1, CHUNK_PIXELS // max(width, 1))
    for start in range(0, len(spectra), step):
        part = slice(start, start + step)
        mask = None if inside is None else inside[part].reshape(-1)
        yield spectra[part].reshape(-1, spectra.shape[-1]), mask, probability[part].reshape(-1)


def cloud_band_indices(count: int, bands: Sequence[str] | None = None, *, where: str = "the bands") -> list[int]:
    """Positions of the model's ten bands in an array of bands.

    :param count: Number of bands in the array.
    :param bands: Their names in order, or None to tell by count (10 or 13).
    :param where: What the array is, for the message.
    :raises BandError: when a band is missing or the count fits no known set.
    """
    if bands is None and count not in (len(CLOUD_BANDS), len(BANDS)):
        raise BandError(
            f"{where}: {count} bands, the cloud model needs {len(CLOUD_BANDS)} ({', '.join(CLOUD_BANDS)}) or all"
            f" {len(BANDS)} of L1C. Read them from the source, B10 among them, or name the bands. {_L2A}"
        )
    names = band_names(count, bands, where=where)
    try:
        return band_indices(CLOUD_BANDS, names, where=where)
    except BandError as error:
        raise (BandError(f"{error} {_L2A}") if "B10" not in names else error) from error


def _like_pixels(valid: NDArray[np.bool_], shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    if valid.shape not in (shape, (*shape, 1)):
        raise GridError(f"{where}: the valid mask has shape {valid.shape}, the pixels {shape}. Give both on one grid.")
    return check_mask(valid, name="the valid mask", where=where).reshape(shape)


def _refuse_implausible(
    spectra: NDArray[np.generic],
    inside: NDArray[np.bool_] | None,
    bands: Sequence[str] | None,
    scale: ReflectanceScale | None,
    where: str,
) -> None:
    """The checks of a series of frames, of an array with any number of axes."""
    height_and_width = spectra.shape[-3:-1] if spectra.ndim > 2 else (*spectra.shape[:-1], 1, 1)[:2]
    if spectra.size:
        frames = spectra.reshape(-1, *height_and_width, spectra.shape[-1])
        seen = None if inside is None else inside.reshape(frames.shape[:3])
        names = [where] if len(frames) == 1 else None
        refuse_implausible(frames, seen, bands=bands, scale=scale, frame_names=names, where=where)


def _predict(
    pixels: NDArray[np.generic],
    indices: list[int],
    scale: ReflectanceScale | None,
    threads: int | None,
    where: str,
) -> NDArray[np.floating[Any]]:
    """Probabilities of pixels (n, bands), whose values are checked; float64 keeps its precision."""
    forest = pixel_forest()
    if pixels.dtype == np.uint16 and is_said_by_dtype(pixels.dtype, scale):
        return forest.predict(pixels, columns=indices, table=_table_of_numbers(), threads=threads)
    chosen = pixels if indices == list(range(pixels.shape[1])) else pixels[:, indices]
    reflectance = as_reflectance(chosen, scale=scale, where=where)
    is_double = chosen.dtype == np.float64 and is_said_by_dtype(chosen.dtype, scale)
    return forest.predict(chosen if is_double else reflectance, threads=threads)


def model_path() -> Path:
    """The file of the weights inside the installed s2cloudless, which is not imported for it.

    :raises MissingDependencyError: when the package or the file is missing.
    """
    folders = list(_folders_of_s2cloudless())
    if not folders:
        raise MissingDependencyError(
            "s2cloudless, which carries the cloud model, is not installed: pip install s2cloudless==1.7.3."
        )
    for folder in folders:
        path = folder / "models" / MODEL_FILE
        if path.is_file():
            return path
    raise MissingDependencyError(f"s2cloudless is installed without its model file {MODEL_FILE}. {_REINSTALL}")


def _folders_of_s2cloudless() -> Iterator[Path]:
    """Where the package is, also by its metadata: another module may go by its name, such as the drop-in."""
    with contextlib.suppress(ValueError):  # a module of that name without a spec
        spec = importlib.util.find_spec("s2cloudless")
        yield from map(Path, () if spec is None else spec.submodule_search_locations or ())
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield Path(str(importlib.metadata.distribution("s2cloudless").locate_file("s2cloudless")))


def pixel_forest() -> Forest:
    """The model, loaded once per process and in one thread; never a part of a task, so never pickled.

    :raises MissingDependencyError: when the file is missing, or is not that of s2cloudless 1.7.3.
    """
    with _LOADING:
        return _load_forest()


@functools.cache
def _load_forest() -> Forest:
    content = model_path().read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != MODEL_SHA256:
        raise MissingDependencyError(f"{MODEL_FILE} of s2cloudless is not the file of version 1.7.3. {_REINSTALL}")
    from eotasks.models.forest import (
        Forest,  # here: a worker that predicts no clouds does not pay for the import of numba
    )

    return Forest.from_known_text(content, digest, where=MODEL_FILE)


@functools.cache
def _table_of_numbers() -> NDArray[np.uint8]:
    """Bins of all digital numbers, by the very reflectance that each stands for."""
    return pixel_forest().table_of(as_reflectance(np.arange(1 << 16, dtype=np.uint16)))

"""Which pixels of a time series can be used, how many, and which frames are worth keeping."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError, TooFewFramesError
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.scales import check_mask
from eotasks.models.sentinel2 import BASELINE_OFFSET, QUANTIFICATION

Treatment = Literal["ignore", "exclude", "keep"]


def split_cloud_mask(
    mask: NDArray[np.generic], *, where: str = "the cloud mask"
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(cloud, no data) of a mask: boolean, or integer 0 clear, 1 cloud, 255 no data.

    :raises FeatureError: another dtype or other values.
    """
    if mask.dtype == np.bool_:
        return np.asarray(mask, dtype=bool), np.zeros(mask.shape, dtype=bool)
    if mask.dtype.kind not in "iu":
        raise FeatureError(f"{where}: dtype {mask.dtype} is no mask. Give booleans, or integers 0, 1 and 255.")
    cloud, no_data = mask == CLOUD, mask == NO_DATA
    unknown = ~(cloud | no_data | (mask == CLEAR))
    if unknown.any():
        values = ", ".join(str(value) for value in np.unique(mask[unknown])[:5])
        cure = "AddSceneClassificationMaskTask does it for SCL"
        if np.isin(mask[unknown], (SNOW, THIN_CLOUD)).all():
            cure = (
                f"{SNOW} snow and {THIN_CLOUD} thin cloud of `eotasks cloud-mask`:"
                " eotasks.models.clouds.mask_classes.without_classes"
            )
        raise FeatureError(
            f"{where}: holds {values}, a mask is 0 clear, 1 cloud, 255 no data. Turn classes into a mask first"
            f" ({cure})."
        )
    return np.asarray(cloud), np.asarray(no_data)


def is_fill(bands: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Pixels that hold a value of no data in every band: 0, NaN, or 0 from which a baseline offset was subtracted.

    No ground and no cloud is black in every band of L1C, the air alone is brighter; 0 is what products, services and
    mosaics write where they have nothing. Less the offset it is -0.1 as reflectance, -1000 as DN, and 64536 where the
    subtraction of unsigned numbers wrapped around.

    :param bands: Array (..., bands): float reflectance, or integer DN.
    :return: boolean (...).
    """
    first = bands[..., 0]
    fill = np.zeros(first.shape, dtype=bool)
    if bands.dtype.kind == "f":
        less = -BASELINE_OFFSET / QUANTIFICATION  # in double precision, or widened from single
        values = np.unique(np.array([0.0, less, float(np.float32(less))]).astype(bands.dtype))
        unknown = np.isnan(first)
        if unknown.any():
            fill[unknown] = np.all(np.isnan(bands[unknown]), axis=-1)
    else:
        known = [0, -BASELINE_OFFSET, (1 << 16) - BASELINE_OFFSET] if bands.dtype.itemsize > 1 else [0]
        values = np.unique(np.array(known).astype(bands.dtype))  # -1000 as uint16 is 64536
    for value in values:
        alike = first == value
        if alike.any():
            fill[alike] |= np.all(bands[alike] == value, axis=-1)
    return fill


def has_data(bands: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Pixels with data, told from the bands alone: neither black (:func:`is_fill`) nor NaN in any band.

    A mask that comes with the data (IS_DATA) knows better where it exists.

    :param bands: Array (..., bands): float reflectance, or integer DN.
    :return: boolean (...).
    """
    present = ~is_fill(bands)
    if bands.dtype.kind == "f":
        present = present & ~np.any(np.isnan(bands), axis=-1)
    return np.asarray(present, dtype=bool)


def valid_data(
    is_data: NDArray[np.bool_],
    cloud_masks: Sequence[NDArray[np.generic]],
    *,
    snow: NDArray[np.bool_] | None = None,
    water: NDArray[np.bool_] | None = None,
    snow_treatment: Treatment = "ignore",
    water_treatment: Treatment = "ignore",
    where: str = "the masks",
) -> NDArray[np.bool_]:
    """Pixels with data that no mask calls cloud, corrected for snow and water.

    ``"exclude"``: the surface is never valid. ``"keep"``: it is valid though a mask calls it cloud, since snow and
    bright lakes are what such masks take for cloud. ``"ignore"``: the surface makes no difference. Exclusion wins over
    keeping. No data stays no data whatever the surface.

    :param is_data: Boolean array (t, h, w, 1).
    :param cloud_masks: Arrays of that shape: boolean, or 0/1/255.
    :param snow: Boolean array of that shape; may be None when ``snow_treatment`` is "ignore".
    :param water: The same for water.
    :return: boolean array of that shape.
    :raises GridError: shapes that differ.
    :raises FeatureError: cloud masks that are none, or another mask that is not boolean.
    """
    valid = check_mask(is_data, name="the data mask", where=where).copy()
    for name, surface in (("snow", snow), ("water", water)):
        if surface is not None:
            check_mask(surface, name=f"the {name} mask", where=where)
    cloudy = np.zeros(valid.shape, dtype=bool)
    for mask in cloud_masks:
        if mask.shape != valid.shape:
            raise GridError(f"{where}: a cloud mask has shape {mask.shape}, the data mask {valid.shape}.")
        cloud, no_data = split_cloud_mask(mask, where=where)
        cloudy |= cloud
        valid &= ~no_data
    surfaces = [(s, t) for s, t in ((snow, snow_treatment), (water, water_treatment)) if s is not None]
    for surface, treatment in surfaces:
        if treatment == "keep":
            cloudy &= ~surface
    for surface, treatment in surfaces:
        if treatment == "exclude":
            valid &= ~surface
    return np.asarray(valid & ~cloudy)


def valid_count(valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Number of valid observations of every pixel: uint16 (h, w, 1) of a boolean mask (t, h, w, 1).

    :raises FeatureError: a mask that is not boolean.
    """
    return np.asarray(np.count_nonzero(check_mask(valid, name="the valid mask"), axis=0), dtype=np.uint16)


def valid_fraction(valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of valid pixels of every frame, 0..1: float64 (t,) of a boolean mask (t, ...). One of no pixels has 0.

    :raises FeatureError: a mask that is not boolean.
    """
    check_mask(valid, name="the valid mask")
    pixels = valid.reshape(len(valid), -1) if valid.size else np.zeros((len(valid), 0), dtype=bool)
    return np.asarray(np.count_nonzero(pixels, axis=1) / max(pixels.shape[1], 1), dtype=np.float64)


def cloud_coverage(
    mask: NDArray[np.generic], is_data: NDArray[np.bool_] | None = None, *, where: str = "the cloud mask"
) -> NDArray[np.float64]:
    """Share of cloud among the pixels with data of every frame, 0..1, NaN for a frame without data.

    :param mask: Array (t, ...): boolean, or 0/1/255.
    :param is_data: Boolean array of that shape, or None when the mask itself says where there is none.
    :return: float64 (t,).
    :raises FeatureError: a mask that is none.
    :raises GridError: shapes that differ.
    """
    cloud, no_data = split_cloud_mask(mask, where=where)
    has_data = ~no_data
    if is_data is not None:
        if is_data.shape != mask.shape:
            raise GridError(f"{where}: shape {mask.shape}, the data mask {is_data.shape}.")
        has_data &= check_mask(is_data, name="the data mask", where=where)
    axes: Any = tuple(range(1, mask.ndim))
    pixels = np.count_nonzero(has_data, axis=axes)
    clouds = np.count_nonzero(cloud & has_data, axis=axes)
    coverage = np.full(len(mask), np.nan)
    np.divide(clouds, pixels, out=coverage, where=pixels > 0)
    return coverage


def select_frames(
    quality: NDArray[np.float64],
    passing: NDArray[np.bool_],
    *,
    keep_at_least: int | None = None,
    min_frames: int = 1,
    times: Sequence[dt.datetime] | None = None,
    rule: str = "the filter",
) -> list[int]:
    """Frames to keep: those that pass, or the best ones when too few pass.

    :param quality: float (t,), higher is better; 0 or NaN is of no use at all and is never kept as one of the best.
    :param passing: boolean (t,).
    :param keep_at_least: Number of frames kept whatever the rule says: the best by quality, the earlier of equals.
        None keeps those that pass.
    :param min_frames: Fewest frames that are of use.
    :param times: Dates of the frames, for the message.
    :param rule: The rule in words, for the message.
    :return: indices in ascending order.
    :raises TooFewFramesError: fewer than ``min_frames`` (or ``keep_at_least``) are left.
    """
    kept = np.flatnonzero(passing)
    score = np.where(np.isnan(quality), 0.0, quality)
    best = np.argsort(-score, kind="stable")
    wanted = max(min_frames, keep_at_least or 0)
    if keep_at_least is not None and len(kept) < keep_at_least:
        # those that pass stay, also where quality ranks a frame that fails above them
        spare = [index for index in best if score[index] > 0 and not passing[index]]
        kept = np.sort(np.concatenate([kept, np.array(spare[: keep_at_least - len(kept)], dtype=np.intp)]))
    if len(kept) < wanted:
        raise TooFewFramesError(
            f"{len(kept)} of {len(quality)} frames are left where {wanted} are needed ({rule})."
            f"{_best_frames(score, best[:3], times)}"
            " Lower the threshold, set keep_at_least, or widen the time interval."
        )
    return [int(index) for index in kept]


def _best_frames(score: NDArray[np.float64], best: NDArray[np.intp], times: Sequence[dt.datetime] | None) -> str:
    if not len(best):
        return ""
    names = [f"{times[index]:%Y-%m-%d}" if times is not None else f"frame {index}" for index in best]
    listed = ", ".join(f"{name} ({score[index]:.0%})" for name, index in zip(names, best, strict=True))
    return f" The best: {listed}."

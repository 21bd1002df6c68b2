"""What the tasks of this folder ask of an EOPatch: masks of the right shape, names of frames, metres of a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from eolearn.core import EOPatch
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.errors import FeatureError, GridError
from eotasks.features import Feature, array_of, describe
from eotasks.models.clouds.postprocess import CLOUD
from eotasks.models.clouds.validity import is_fill, split_cloud_mask
from eotasks.models.scale_signs import refuse_other_scale
from eotasks.models.scales import ReflectanceScale, check_mask

WEB_MERCATOR = 3857


def single_channel(eopatch: EOPatch, feature: Feature, cure: str) -> NDArray[Any]:
    """The array (t, h, w) of a feature (t, h, w, 1).

    :raises FeatureError: when it is missing or has several channels.
    """
    array = array_of(eopatch, feature, cure)
    if array.ndim != 4 or array.shape[-1] != 1:
        raise FeatureError(f"Feature {describe(feature)} has shape {array.shape} where (time, h, w, 1) is due: {cure}.")
    return array[..., 0]


def beside(eopatch: EOPatch, feature: Feature, other: NDArray[Any], other_feature: Feature) -> NDArray[Any]:
    """The values (t, h, w) of a feature on the grid of another one.

    :raises FeatureError: when it is missing or has several channels.
    :raises GridError: when time, height or width differ.
    """
    mask = single_channel(eopatch, feature, "make it first, or leave it out of the task")
    if mask.shape != other.shape[:3]:
        raise GridError(
            f"{describe(feature)} has shape {mask.shape}, {describe(other_feature)} {other.shape[:3]}: bring both to"
            " one grid and one time axis."
        )
    return mask


def mask_beside(eopatch: EOPatch, feature: Feature, other: NDArray[Any], other_feature: Feature) -> NDArray[np.bool_]:
    """The boolean mask (t, h, w) of a feature on the grid of another one.

    :raises FeatureError: when it is missing, has several channels or is not boolean.
    :raises GridError: when time, height or width differ.
    """
    return check_mask(beside(eopatch, feature, other, other_feature), name=describe(feature))


def snow_of(
    eopatch: EOPatch, feature: Feature | None, other: NDArray[Any], other_feature: Feature
) -> NDArray[np.bool_] | None:
    """Where a mask (t, h, w, 1) has snow: boolean, or 1 of 0, 1 and 255; None where no mask is named.

    :raises FeatureError: when it is missing, has several channels or other values.
    :raises GridError: when time, height or width differ.
    """
    if feature is None:
        return None
    return split_cloud_mask(beside(eopatch, feature, other, other_feature), where=describe(feature))[0]


def scalar_fraction(eopatch: EOPatch, feature: Feature, cure: str) -> NDArray[np.floating[Any]]:
    """The values (t,) of a scalar feature (t, 1) of fractions, NaN for a frame without data.

    :raises FeatureError: when it is missing, has another shape, or values outside 0..1.
    """
    values = array_of(eopatch, feature, cure)
    if values.ndim != 2 or values.shape[1] != 1 or values.dtype.kind != "f":
        raise FeatureError(f"Feature {describe(feature)} is {values.dtype} {values.shape}: fractions are float (t, 1).")
    if ((values < 0) | (values > 1)).any():
        raise FeatureError(
            f"Feature {describe(feature)} has values from {np.nanmin(values):g} to {np.nanmax(values):g}: fractions"
            " are 0..1. Divide percentages by 100."
        )
    fractions: NDArray[np.floating[Any]] = values[:, 0]
    return fractions


def as_stored(mask: NDArray[np.uint8], boolean: bool) -> NDArray[np.generic]:
    """A mask (t, h, w) of 0/1/255 as the feature (t, h, w, 1), or as booleans where 1 alone is True."""
    return (mask == CLOUD if boolean else mask)[..., np.newaxis]


def seen_pixels(
    eopatch: EOPatch, is_data_feature: Feature | None, frames: NDArray[Any], bands_feature: Feature
) -> NDArray[np.bool_] | None:
    """Pixels with data (t, h, w): by their mask, else all but values of no data in every band; None when all have data.

    :raises FeatureError: when the mask is missing or has several channels, or the bands have another number of axes.
    :raises GridError: when time, height or width differ.
    """
    if frames.ndim != 4:
        raise FeatureError(f"{describe(bands_feature)} has shape {frames.shape}: give (time, h, w, bands).")
    if is_data_feature is not None:
        return mask_beside(eopatch, is_data_feature, frames, bands_feature)
    seen = np.ones(frames.shape[:3], dtype=bool)
    for index, frame in enumerate(frames):
        seen[index] = ~is_fill(frame)
    return None if seen.all() else seen


def refuse_wrong_scale(
    eopatch: EOPatch,
    feature: Feature,
    frames: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    names: Sequence[str],
    scale: ReflectanceScale | None,
) -> None:
    """Refuse bands whose values contradict their scale, by feature and frame.

    :raises ReflectanceError: for these.
    """
    moments = [moment(eopatch, index) for index in range(len(frames))]
    refuse_other_scale(frames, valid, names=names, scale=scale, frame_names=moments, where=describe(feature))


def valid_pixels(eopatch: EOPatch, feature: Feature) -> NDArray[np.bool_]:
    """A mask of valid pixels, which is boolean: a cloud mask in its place would be read the wrong way round.

    :raises FeatureError: when it is missing or of another dtype.
    """
    mask = array_of(eopatch, feature, "run AddValidDataMaskTask first")
    if mask.dtype != bool:
        raise FeatureError(
            f"Feature {describe(feature)} is {mask.dtype} where a boolean mask of valid pixels is due. Make one of a"
            " cloud mask by AddValidDataMaskTask, judge a cloud mask by max_cloud_coverage, or bring a valid mask of 0"
            " and 1 to booleans."
        )
    valid: NDArray[np.bool_] = mask
    return valid


def frame_name(eopatch: EOPatch, feature: Feature, index: int) -> str:
    """A feature at a frame, as messages name it."""
    return f"{describe(feature)} of {moment(eopatch, index)}"


def moment(eopatch: EOPatch, index: int) -> str:
    """A frame as messages name it: its time, or its number."""
    times = eopatch.timestamps
    return f"{times[index]:%Y-%m-%dT%H:%M}" if times is not None and index < len(times) else f"frame {index}"


def pixel_size(bbox: BBox, height: int, width: int, *, wanted_for: str = "resolution") -> tuple[float, float]:
    """Metres (y, x) of a pixel.

    :param wanted_for: What is given in metres, for the message.
    :raises GridError: when the coordinate system is not in metres on the ground.
    """
    crs = bbox.crs.pyproj_crs()
    metric = crs.is_projected and all(axis.unit_name == "metre" for axis in crs.axis_info)
    if not metric or crs.to_epsg() == WEB_MERCATOR:
        raise GridError(
            f"a {wanted_for} in metres needs a bounding box in metres, this one is in {bbox.crs.ogc_string()}. Use the"
            f" UTM zone of the area, or leave out the {wanted_for}."
        )
    left, bottom, right, top = bbox
    return (top - bottom) / max(height, 1), (right - left) / max(width, 1)

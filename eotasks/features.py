"""Naming features in a task's configuration, and getting their arrays with a message that helps."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from eolearn.core.utils.parsing import parse_feature, parse_renamed_feature
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError, FeatureError, GridError

Feature = tuple[FeatureType, str]

IMAGES = frozenset({FeatureType.DATA, FeatureType.MASK, FeatureType.DATA_TIMELESS, FeatureType.MASK_TIMELESS})
"""Feature types that have rows and columns."""


def feature_of(feature: object, allowed: Collection[FeatureType]) -> Feature:
    """A checked (type, name).

    :raises ConfigurationError: when it is no feature, or of a type that the task cannot use.
    """
    try:
        feature_type, name = parse_feature(feature, allowed_feature_types=set(allowed))  # type: ignore[arg-type]  # checked by the parser
    except (TypeError, ValueError) as error:
        raise _no_feature(feature, allowed) from error
    return feature_type, name


def renamed_feature_of(feature: object, allowed: Collection[FeatureType], suffix: str) -> tuple[FeatureType, str, str]:
    """A checked (type, name, new name); the new name is the name with the suffix where none is given.

    :raises ConfigurationError: when it is no feature, or of a type that the task cannot use.
    """
    try:
        feature_type, name, new_name = parse_renamed_feature(feature, allowed_feature_types=set(allowed))  # type: ignore[arg-type]  # checked by the parser
    except (TypeError, ValueError) as error:
        raise _no_feature(feature, allowed) from error
    return feature_type, name, new_name if new_name != name else f"{name}{suffix}"


def array_of(eopatch: EOPatch, feature: Feature, cure: str) -> NDArray[Any]:
    """The array of a feature.

    :param cure: What to do when it is missing, as the end of a sentence.
    :raises FeatureError: when the patch does not have it; the message lists what is there. Or it is a masked array.
    """
    value = value_of(eopatch, feature, cure)
    if not isinstance(value, np.ndarray):
        raise FeatureError(f"Feature {describe(feature)} is a {type(value).__name__}, not an array: {cure}.")
    if np.ma.is_masked(value):
        raise FeatureError(
            f"Feature {describe(feature)} is a masked array, whose mask is not looked at: what lies under it would"
            " count. Make a mask of data of it (IS_DATA), or NaN (array.astype('float32').filled(np.nan))."
        )
    return np.ma.getdata(value) if isinstance(value, np.ma.MaskedArray) else value


def value_of(eopatch: EOPatch, feature: Feature, cure: str) -> Any:
    """The value of a feature.

    :raises FeatureError: when the patch does not have it; the message lists what is there.
    """
    if feature not in eopatch:
        there = ", ".join(describe((ftype, name)) for ftype, name in eopatch.get_features()) or "nothing"
        raise FeatureError(f"Feature {describe(feature)} is not in the EOPatch (there: {there}): {cure}.")
    return eopatch[feature]


def labels_of(eopatch: EOPatch, feature: Feature, cure: str) -> NDArray[Any]:
    """The labels (h, w) of a feature (h, w, 1).

    :raises FeatureError: when it is missing, has several channels, or is not of integers.
    """
    labels = array_of(eopatch, feature, cure)
    if labels.ndim != 3 or labels.shape[2] != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise FeatureError(
            f"Feature {describe(feature)} is {labels.dtype} {labels.shape}: labels are integers of shape (h, w, 1)."
        )
    result: NDArray[Any] = labels[..., 0]
    return result


def bbox_of(eopatch: EOPatch) -> BBox:
    """The patch's bounding box.

    :raises GridError: when it has none.
    """
    if eopatch.bbox is None:
        raise GridError("The EOPatch has no bounding box, so its pixels have no place: make it with EOPatch(bbox=...).")
    return eopatch.bbox


def describe(feature: Feature) -> str:
    """A feature as messages name it: mask_timeless/LULC."""
    return f"{feature[0].value}/{feature[1]}"


def _no_feature(feature: object, allowed: Collection[FeatureType]) -> ConfigurationError:
    names = ", ".join(sorted(f"FeatureType.{each.name}" for each in allowed))
    return ConfigurationError(f"{feature!r} is no feature that fits here: give (type, name) with a type of {names}.")

"""Cloud masks from the scene classification (SCL) that Sen2Cor gives with L2A."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.sentinel2 import SceneClass
from eotasks.text import unknown_words

SCL_CLOUD: tuple[str, ...] = ("CLOUD_MEDIUM_PROBABILITY", "CLOUD_HIGH_PROBABILITY", "THIN_CIRRUS")
"""What Sen2Cor calls cloud."""

SCL_INVALID: tuple[str, ...] = ("SATURATED_OR_DEFECTIVE", "CLOUD_SHADOW", *SCL_CLOUD)
"""What the L2A edition of the land-cover example masks beside no data."""


def scene_classes(names: Sequence[str]) -> tuple[SceneClass, ...]:
    """Classes by their names.

    :raises ConfigurationError: a name that is no class, or NO_DATA, which is always 255 in a mask.
    """
    if isinstance(names, str):
        raise ConfigurationError(f"invalid={names!r} is one name: give a list of class names.")
    there = [each.name for each in SceneClass if each is not SceneClass.NO_DATA]
    unknown = [str(name) for name in names if name not in there]
    if unknown:
        raise ConfigurationError(
            f"no scene class that can be masked: {unknown_words(unknown, there)}. Choose of {', '.join(there)}."
        )
    return tuple(SceneClass[name] for name in names)


def mask_of_classes(
    classes: NDArray[np.generic], invalid: Sequence[SceneClass], *, where: str = "SCL"
) -> NDArray[np.uint8]:
    """Mask of a scene classification.

    :param classes: Integers 0..11, any shape.
    :param invalid: Classes to mask.
    :return: uint8 of that shape: 0 for the other classes, 1 for the masked ones, 255 for NO_DATA.
    :raises FeatureError: other values than those of the classification.
    """
    if classes.dtype.kind not in "iu":
        raise FeatureError(f"{where}: dtype {classes.dtype} is no scene classification. Give the integers 0..11.")
    if classes.size and not (classes.min() >= SceneClass.NO_DATA and classes.max() <= max(SceneClass)):
        raise FeatureError(
            f"{where}: values from {classes.min()} to {classes.max()} where the classes 0..{int(max(SceneClass))} are"
            " due. Read SCL with nearest neighbour, it cannot be averaged."
        )
    table = np.full(len(SceneClass), CLEAR, dtype=np.uint8)
    table[list(invalid)] = CLOUD
    table[SceneClass.NO_DATA] = NO_DATA
    return np.asarray(table[classes.astype(np.intp)], dtype=np.uint8)

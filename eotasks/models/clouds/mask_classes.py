"""Cloud masks with more classes than clear and cloud: what `eotasks cloud-mask --snow --thin-cloud` writes.

A mask of cloud stays 0 clear, 1 cloud, 255 no data unless more is asked for. Snow is ground that is in view, and thin
cloud a cloud: where two classes are wanted, they are folded so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.postprocess import CLEAR, CLOUD

SNOW, THIN_CLOUD = 3, 4
"""Values in a mask, beside 0 clear, 1 cloud and 255 no data. 2 is the cloud shadow of masks that have one."""


def with_classes(
    mask: NDArray[np.uint8], *, snow: NDArray[np.bool_] | None = None, thin_cloud: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """A mask with snow and thin cloud where it is clear: cloud that has grown over them stays cloud.

    :param mask: uint8, any shape: 0 clear, 1 cloud, 255 no data; made with these pixels set apart
        (``eotasks.models.clouds.postprocess.mask_of``).
    :param snow: Boolean array of that shape, or None for none.
    :param thin_cloud: The same; where both are, it is snow.
    :return: uint8 of that shape, 3 and 4 among its values.
    """
    result = mask.copy()
    for value, pixels in ((THIN_CLOUD, thin_cloud), (SNOW, snow)):
        if pixels is not None:
            result[pixels & (mask == CLEAR)] = value
    return result


def without_classes(mask: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A mask of two classes: snow becomes clear, thin cloud becomes cloud, all else stays what it is.

    :param mask: uint8, any shape, as :func:`with_classes` gives it or without its classes.
    :return: uint8 of that shape.
    """
    result = mask.astype(np.uint8)
    result[mask == SNOW] = CLEAR
    result[mask == THIN_CLOUD] = CLOUD
    return result

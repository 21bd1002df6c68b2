"""Masks of what the spectrum of each pixel tells, for all frames of an EOPatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from eolearn.core import EOPatch
from numpy.typing import NDArray

from eotasks.clouds.checks import frame_name, refuse_wrong_scale, seen_pixels
from eotasks.features import Feature, array_of, describe
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.scales import ReflectanceScale


def frame_masks(
    eopatch: EOPatch,
    bands_feature: Feature,
    is_data_feature: Feature | None,
    find: Callable[..., NDArray[np.bool_]],
    *,
    bands: Sequence[str] | None,
    scale: ReflectanceScale | None,
) -> NDArray[np.uint8]:
    """What a function finds in each frame.

    :param find: Of a frame: its bands (h, w, bands), its pixels with data or None, the names of the bands; ``scale``,
        ``check_bands``, ``where``. Gives boolean (h, w).
    :param bands: Names of the bands in their order; None to tell by their count.
    :return: (t, h, w): 0 none, 1 found, 255 no data.
    :raises FeatureError: a feature is missing.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    :raises GridError: shapes that differ.
    """
    frames = array_of(eopatch, bands_feature, "load or download the bands first")
    names = band_names(frames.shape[-1], bands, where=describe(bands_feature))
    valid = seen_pixels(eopatch, is_data_feature, frames, bands_feature)
    refuse_wrong_scale(eopatch, bands_feature, frames, valid, names=names, scale=scale)
    mask = np.zeros(frames.shape[:3], dtype=np.uint8)
    for index in range(len(frames)):
        mask[index] = find(
            frames[index],
            None if valid is None else valid[index],
            names,
            scale=scale,
            check_bands=False,  # of all frames together, above
            where=frame_name(eopatch, bands_feature, index),
        )
    if valid is not None:
        mask[~valid] = NO_DATA
    return mask

"""Between EOPatches and the frames that a detector sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.checks import beside, seen_pixels, single_channel
from eotasks.clouds.detectors.frames import Frames
from eotasks.errors import FeatureError
from eotasks.features import Feature, array_of, describe
from eotasks.models.band_sets import band_names

BANDS: Feature = (FeatureType.DATA, "BANDS")
IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
SCL: Feature = (FeatureType.MASK, "SCL")
STORED_MASK: Feature = (FeatureType.MASK, "CLM")
SUN_ANGLES: Feature = (FeatureType.SCALAR, "SUN_ANGLES")


def frames_of(
    eopatch: EOPatch,
    bands_feature: Feature = BANDS,
    *,
    is_data_feature: Feature | None = IS_DATA,
    bands: Sequence[str] | None = None,
    where: str = "",
) -> Frames:
    """The frames of an EOPatch, with its mask/SCL, mask/CLM and scalar/SUN_ANGLES as they are there. Nothing is copied.

    :param bands_feature: Bands (t, h, w, bands).
    :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: all that are not a fill value in every
        band.
    :param bands: Names of the bands in their order; None tells by count (13, or the ten of the cloud model).
    :param where: What the EOPatch is, for messages; empty for the name of the feature.
    :raises FeatureError: a feature is missing or has another shape.
    :raises BandError: names that do not fit the bands, or none and an unknown number of them.
    :raises GridError: a mask that does not lie on the bands.
    """
    values = array_of(eopatch, bands_feature, "load or download the bands first")
    where = where or describe(bands_feature)
    seen = seen_pixels(eopatch, is_data_feature, values, bands_feature)
    masks = {
        feature: single_channel(eopatch, feature, "bring it as one channel") if feature in eopatch else None
        for feature in (SCL, STORED_MASK)
    }
    for feature, mask in masks.items():
        if mask is not None:
            beside(eopatch, feature, values, bands_feature)
    angles = array_of(eopatch, SUN_ANGLES, "bring them") if SUN_ANGLES in eopatch else None
    if angles is not None and angles.shape != (len(values), 2):
        raise FeatureError(f"{describe(SUN_ANGLES)} has shape {angles.shape} where {(len(values), 2)} is due.")
    bbox = eopatch.bbox
    left, bottom, right, top = (0.0, 0.0, 0.0, 0.0) if bbox is None else bbox
    return Frames(
        bands=values,
        names=band_names(values.shape[-1], bands, where=where),
        is_data=np.ones(values.shape[:3], dtype=bool) if seen is None else seen,
        where=where,
        times=tuple(eopatch.timestamps or ()),
        crs=None if bbox is None else bbox.crs.ogc_string(),
        bounds=None if bbox is None else (left, bottom, right, top),
        sun_angles=angles,
        classification=masks[SCL],
        stored_mask=masks[STORED_MASK],
    )


def eopatch_of(frames: Frames) -> EOPatch:
    """An EOPatch of frames, for detectors made of EOTasks: data/BANDS, mask/IS_DATA, and as they are there mask/SCL,
    mask/CLM and scalar/SUN_ANGLES. The arrays are shared: add features, change none.

    :raises GridError: the frames have no place.
    """
    patch = EOPatch(bbox=frames.bbox, timestamps=list(frames.times))
    patch[BANDS] = frames.bands
    patch[IS_DATA] = frames.is_data[..., np.newaxis]
    for feature, mask in ((SCL, frames.classification), (STORED_MASK, frames.stored_mask)):
        if mask is not None:
            patch[feature] = mask[..., np.newaxis]
    if frames.sun_angles is not None:
        patch[SUN_ANGLES] = frames.sun_angles
    return patch

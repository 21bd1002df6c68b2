"""Clouds and their shadows around a lake, where the source does not bring them."""

from __future__ import annotations

import warnings

from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.clouds.shadows import AddCloudShadowTask
from eotasks.errors import WARNING_FILTERS, FeatureError, ShadowWarning
from eotasks.features import Feature, bbox_of
from eotasks.sources.sample import SUN_ANGLES
from eotasks.workflows.water_level.sources.base import BANDS, CLM, IS_DATA, SHADOW

CLOUD_RESOLUTION = 80.0
"""Metres at which clouds are looked for, at the finest, as the Water Observatory has it."""

CLOUD_THRESHOLD = 0.4

_CLP: Feature = (FeatureType.DATA, "CLP")
_NOT_GROWN: Feature = (FeatureType.MASK, "CLM_NOT_GROWN")


def add_clouds(patch: EOPatch, bands: tuple[str, ...], *, shadows: bool, threads: int | None = None) -> int:
    """Adds CLM, by s2cloudless at 80 m (threshold 0.4, averaged over and grown by one of these pixels), and SHADOW, by
    geometry, to a patch that lacks them.

    :return: Dates whose clouds may throw shadows that cannot be told.
    :raises BandError: the bands are not those that s2cloudless needs.
    :raises FeatureError: shadows are asked for, and the patch has no angles of the sun.
    """
    outline = None
    if CLM not in patch:
        _add_mask(patch, bands, threads)
        outline = _NOT_GROWN
    if not shadows or SHADOW in patch:
        return 0
    if SUN_ANGLES not in patch:
        raise FeatureError(
            "to find cloud shadow, scalar/SUN_ANGLES (zenith and azimuth in degrees) are missing: add them, or"
            " mask/SHADOW, or measure with --no-shadows."
        )
    task = AddCloudShadowTask(
        BANDS, SHADOW, cloud_feature=CLM, outline_feature=outline, is_data_feature=IS_DATA, bands=bands
    )
    with WARNING_FILTERS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ShadowWarning)
        task.execute(patch)
    return len(caught)


def _add_mask(patch: EOPatch, bands: tuple[str, ...], threads: int | None) -> None:
    box = bbox_of(patch)
    size = (box.max_x - box.min_x) / patch[BANDS].shape[2]
    AddCloudProbabilityTask(
        BANDS, _CLP, is_data_feature=IS_DATA, bands=bands, resolution=max(size, CLOUD_RESOLUTION), threads=threads
    ).execute(patch)
    for feature, dilation in ((CLM, CLOUD_RESOLUTION), (_NOT_GROWN, None)):
        AddCloudMaskTask(
            _CLP,
            feature,
            is_data_feature=IS_DATA,
            preset="s2cloudless",
            threshold=CLOUD_THRESHOLD,
            average_over=CLOUD_RESOLUTION,
            dilation_size=dilation,
            unit="metre",
        ).execute(patch)

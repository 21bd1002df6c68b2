"""What datasets of EOPatches note of them, so that all comes back as it was."""

from __future__ import annotations

from eotasks.features import Feature

TYPE, NAME, META_INFO = "feature_type", "feature_name", "eotasks_meta_info"
"""Attributes: of a variable, of a variable, of a dataset."""

BAND_NAMES = "BAND_NAMES"
"""META_INFO of an EOPatch: names of the bands of features, by the name of the feature."""


def long_name(feature: Feature) -> str:
    return f"{feature[0].value}_{feature[1]}"

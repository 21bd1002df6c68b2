"""Features of the chain."""

from __future__ import annotations

from eolearn.core import FeatureType

from tests.benchmarks.land_cover.layout import INDEX_NAMES

Feature = tuple[FeatureType, str]

BANDS: Feature = (FeatureType.DATA, "BANDS")
CLP: Feature = (FeatureType.DATA, "CLP")
CLM: Feature = (FeatureType.MASK, "CLM")
IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
IS_VALID: Feature = (FeatureType.MASK, "IS_VALID")
VALID_COUNT: Feature = (FeatureType.MASK_TIMELESS, "VALID_COUNT")
INDICES: tuple[Feature, ...] = tuple((FeatureType.DATA, name) for name in INDEX_NAMES)
FEATURES: Feature = (FeatureType.DATA, "FEATURES")
FEATURES_SAMPLED: Feature = (FeatureType.DATA, "FEATURES_SAMPLED")
LULC: Feature = (FeatureType.MASK_TIMELESS, "LULC")
LULC_ERODED: Feature = (FeatureType.MASK_TIMELESS, "LULC_ERODED")
LABELS_SAMPLED: Feature = (FeatureType.MASK_TIMELESS, "LULC_ERODED_SAMPLED")
PREDICTION: Feature = (FeatureType.MASK_TIMELESS, "PREDICTION")
SCORES: Feature = (FeatureType.DATA_TIMELESS, "SCORES")
REFERENCE: Feature = (FeatureType.VECTOR_TIMELESS, "REFERENCE")

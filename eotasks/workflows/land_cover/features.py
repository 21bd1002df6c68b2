"""Names of the features and bands of the land-cover workflow."""

from __future__ import annotations

from eolearn.core import FeatureType

from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.workflows.land_cover.config import LandCoverConfig

IS_VALID = (FeatureType.MASK, "IS_VALID")
VALID_COUNT = (FeatureType.MASK_TIMELESS, "VALID_COUNT")
FEATURES = (FeatureType.DATA, "FEATURES")
LULC = (FeatureType.MASK_TIMELESS, "LULC")
LULC_ERODED = (FeatureType.MASK_TIMELESS, "LULC_ERODED")
PREDICTION = (FeatureType.MASK_TIMELESS, "PREDICTION")
SCORES = (FeatureType.DATA_TIMELESS, "SCORES")

TRUE_COLOR_BANDS = ("B04", "B03", "B02")
SNOW_AND_WATER_BANDS = ("B03", "B08", "B11")


def source_bands(config: LandCoverConfig) -> tuple[str, ...] | None:
    """Bands that the source brings, in order; None for an EOPatch whose bands are known by their number only."""
    return config.source.band_names(config)


def kept_bands(config: LandCoverConfig) -> tuple[str, ...]:
    """Bands that are stored: what the model uses, and what a true colour picture needs, as far as they are there."""
    available = source_bands(config)
    if available is None:
        available = L1C_BANDS
    wanted = {*config.features.bands, *TRUE_COLOR_BANDS}
    return tuple(band for band in available if band in wanted)


def feature_names(config: LandCoverConfig) -> tuple[str, ...]:
    """Names of the model's features of one date, in their order."""
    return (*config.features.bands, *config.features.indices)

"""Names of the features and bands of the land-cover workflow, and which of them a configuration comes down to."""

from __future__ import annotations

from dataclasses import dataclass

from eolearn.core import FeatureType

from eotasks.features import Feature
from eotasks.models.classes import ClassTable
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.sources.base import BANDS, CLM, CLP, IS_DATA, TRUE_COLOR_BANDS

SHADOW: Feature = (FeatureType.MASK, "SHADOW")
IS_VALID: Feature = (FeatureType.MASK, "IS_VALID")
VALID_COUNT: Feature = (FeatureType.MASK_TIMELESS, "VALID_COUNT")
FEATURES: Feature = (FeatureType.DATA, "FEATURES")
LULC: Feature = (FeatureType.MASK_TIMELESS, "LULC")
LULC_ERODED: Feature = (FeatureType.MASK_TIMELESS, "LULC_ERODED")
PREDICTION: Feature = (FeatureType.MASK_TIMELESS, "PREDICTION")
INSIDE: Feature = (FeatureType.MASK_TIMELESS, "INSIDE_AREA")
SCORES: Feature = (FeatureType.DATA_TIMELESS, "SCORES")


@dataclass(frozen=True)
class ResolvedFeatures:
    """Bands, features and classes that a configuration and its source come down to, resolved once for the whole run."""

    source_bands: tuple[str, ...] | None
    """Bands that the source brings, in order; empty without bands, None where only their number is known."""

    kept_bands: tuple[str, ...]
    """Bands that are stored: what the model uses, and what a true colour picture needs, as far as they are there."""

    bands: tuple[str, ...]
    """Bands that the model sees."""

    indices: tuple[str, ...]
    """Indices that the model sees, after the bands."""

    computed_indices: tuple[str, ...]
    """Those of them that the source does not bring."""

    brought: frozenset[str]
    """Features that the source brings besides BANDS and IS_DATA."""

    cloud_masks: tuple[Feature, ...]
    """Masks of what is not valid: cloud, and shadow where the detector finds it."""

    observed: tuple[Feature, ...]
    """Features that are stored of the observations; the full set of bands is not."""

    classes: ClassTable

    @classmethod
    def of(cls, config: LandCoverConfig) -> ResolvedFeatures:
        """Resolve a configuration."""
        source_bands, brought = config.source.band_names(config), config.source.brought(config)
        indices = config.features.indices
        wanted = {*config.features.bands, *TRUE_COLOR_BANDS}
        kept = tuple(band for band in (L1C_BANDS if source_bands is None else source_bands) if band in wanted)
        observed = [IS_DATA, CLM, IS_VALID, VALID_COUNT, LULC, *((FeatureType.DATA, name) for name in indices)]
        if kept:
            observed.append(BANDS)
        detector = config.clouds.found_by
        if "CLP" in brought if detector is None else "probability" in detector.answers:
            observed.append(CLP)
        shadows = [SHADOW] if detector is not None and "shadow" in detector.answers else []
        return cls(
            source_bands=source_bands,
            kept_bands=kept,
            bands=config.features.bands,
            indices=indices,
            computed_indices=tuple(name for name in indices if name not in brought),
            brought=brought,
            cloud_masks=(CLM, *shadows),
            observed=(*observed, *shadows, *config.source.stored_features),
            classes=config.class_table,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's features of one date, in their order."""
        return (*self.bands, *self.indices)

    @property
    def named_bands(self) -> tuple[str, ...]:
        """Bands that the source brings; the 13 of L1C, or their beginning, where it names none."""
        return self.source_bands or L1C_BANDS

    @property
    def true_color(self) -> list[int] | None:
        """Positions of red, green and blue among the stored bands; None unless all three are there."""
        if not all(band in self.kept_bands for band in TRUE_COLOR_BANDS):
            return None
        return [self.kept_bands.index(band) for band in TRUE_COLOR_BANDS]

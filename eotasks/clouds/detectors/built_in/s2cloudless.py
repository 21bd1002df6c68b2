"""The single-scene model of s2cloudless, and a mask by the settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import ProbabilityDetector
from eotasks.clouds.detectors.settings import MASK_SETTINGS, DetectorSettings
from eotasks.models.clouds.frame import frame_probability
from eotasks.models.clouds.pixel import MODEL_FILE, MODEL_SHA256, cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION

MODEL_TAGS: Mapping[str, str] = MappingProxyType(
    {"MODEL": MODEL_FILE, "MODEL_SHA256": MODEL_SHA256, "MODEL_ORIGIN": "s2cloudless 1.7.3, CC BY-SA 4.0"}
)


class S2Cloudless(ProbabilityDetector):
    """Gradient-boosted trees on ten L1C bands, one pixel at a time."""

    name = "s2cloudless"
    description = "single-scene cloud probability and mask"
    bands = CLOUD_BANDS
    uses = (*MASK_SETTINGS, "resolution", "sampling")
    per_pixel = True
    tags = MODEL_TAGS

    def probability(self, frames: Frames, settings: DetectorSettings) -> NDArray[np.float32]:
        """As ``AddCloudProbabilityTask`` computes it, 0 where there is no data. Computed once for all masks of it."""
        key = (self.name, settings.resolution, settings.sampling)
        return frames.shared.once(key, lambda: self._probability(frames, settings))

    def _probability(self, frames: Frames, settings: DetectorSettings) -> NDArray[np.float32]:
        size = None if settings.resolution is None else frames.pixel_size()
        probability = np.empty(frames.shape, dtype=np.float32)
        for index, where in enumerate(frames.frame_names):
            probability[index] = frame_probability(
                frames.bands[index],
                frames.is_data[index],
                names=frames.names,
                pixel_size=size,
                resolution=settings.resolution,
                sampling=settings.sampling,
                check_bands=False,  # the whole was looked at before
                threads=settings.threads,
                where=where,
            )
        return probability

    def prepare(self) -> None:
        """Load the weights and compile the engine, on one pixel."""
        cloud_probability(np.full((1, len(CLOUD_BANDS)), QUANTIFICATION, dtype=np.uint16), threads=1)


S2CLOUDLESS = S2Cloudless()

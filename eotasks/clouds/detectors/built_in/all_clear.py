"""Nothing is cloud: what a detector has to beat."""

from __future__ import annotations

import numpy as np

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings


class AllClear(Detector):
    """A constant answer."""

    name = "all-clear"
    description = "nothing is cloud: what a detector has to beat"
    per_pixel = True
    baseline = True

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:  # noqa: ARG002 - it has none
        """0 everywhere."""
        return Detection(np.zeros(frames.shape, dtype=np.uint8))


ALL_CLEAR = AllClear()

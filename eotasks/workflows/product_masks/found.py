"""What a detector finds of a product, put together of strips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detector, ProbabilityDetector, is_masked_by_settings
from eotasks.clouds.detectors.run import cloud_probability_of, detect_clouds
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.postprocess import CLOUD, NO_DATA, mask_of
from eotasks.models.clouds.presets import MaskSettings
from eotasks.workflows.product_masks.apart import KeptApart


class Found:
    """What a detector has found of a product, put together of strips."""

    def __init__(self, detector: Detector, shape: tuple[int, int], apart: KeptApart) -> None:
        self._detector, self._apart = detector, apart
        self.probability: NDArray[np.float32] | None = None
        """(h, w), 0 without data; None of a detector that has none."""
        if "probability" in detector.answers:
            self.probability = np.zeros(shape, dtype=np.float32)
        self._classes: NDArray[np.uint8] | None = None
        """(h, w): 0 clear, 1 cloud, 2 shadow, 255 no data; None where the mask is made of the whole probability."""
        if not is_masked_by_settings(detector):
            self._classes = np.zeros(shape, dtype=np.uint8)

    def add(self, rows: slice, frames: Frames, settings: DetectorSettings) -> None:
        """Run the detector on some rows."""
        if self._classes is None:
            assert isinstance(self._detector, ProbabilityDetector)
            probability = cloud_probability_of(self._detector, frames, settings)
        else:
            detection = detect_clouds(self._detector, frames, settings, check_bands=False)
            self._classes[rows] = detection.mask[0]
            if detection.probability is None:
                return
            probability = detection.probability
        assert self.probability is not None
        self.probability[rows] = np.where(frames.is_data[0], probability[0], np.float32(0))

    def mask(
        self, valid: NDArray[np.bool_], settings: MaskSettings, size: tuple[float, float], where: str
    ) -> NDArray[np.uint8]:
        """(h, w): 0 clear, 1 cloud, 255 no data. What is kept apart is clear, but where cloud grows over it.

        A detector with a mask of its own has averaged and grown it before: unless it keeps apart what it is told to,
        that is clear there wherever it lies.
        """
        apart = self._apart.pixels
        if self._classes is not None:
            cloud = self._classes == CLOUD
            if apart is not None and not self._detector.keeps_apart:
                cloud &= ~apart
            return np.where(self._classes == NO_DATA, NO_DATA, cloud).astype(np.uint8)
        assert self.probability is not None
        mask: NDArray[np.uint8] = mask_of(
            self.probability[np.newaxis],
            settings,
            pixel_size=size,
            valid=valid[np.newaxis],
            snow=None if apart is None else apart[np.newaxis],
            where=where,
        )[0]
        return mask

    def shadow(self) -> NDArray[np.uint8] | None:
        """(h, w): 0 none, 1 shadow, 255 no data; None of a detector that finds none."""
        if self._classes is None or "shadow" not in self._detector.answers:
            return None
        return np.where(self._classes == NO_DATA, NO_DATA, self._classes == SHADOW).astype(np.uint8)

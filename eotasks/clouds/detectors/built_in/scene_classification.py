"""What Sen2Cor says: the scene classification of L2A."""

from __future__ import annotations

import numpy as np

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.scene_classification import SCL_CLOUD, mask_of_classes, scene_classes
from eotasks.models.sentinel2 import SceneClass


class SceneClassification(Detector):
    """Sen2Cor's classes 8, 9 and 10 as cloud, 3 as shadow."""

    name = "scl"
    description = "scene classification of L2A: 8, 9, 10 cloud, 3 shadow"
    needs: frozenset[Need] = frozenset({"classification"})
    answers: frozenset[Answer] = frozenset({"cloud", "shadow"})
    per_pixel = True

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:  # noqa: ARG002 - it has none
        """The classes by a table; no answer where Sen2Cor has none."""
        assert frames.classification is not None  # it is among the needs
        mask = mask_of_classes(frames.classification, scene_classes(SCL_CLOUD), where=f"the SCL of {frames.where}")
        mask[np.asarray(frames.classification == SceneClass.CLOUD_SHADOW)] = SHADOW
        return Detection(mask)


SCENE_CLASSIFICATION = SceneClassification()

"""A mask that lies beside the bands: anybody's detector can be judged this way."""

from __future__ import annotations

import numpy as np

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.errors import FeatureError
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD, without_classes
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA


class StoredMask(Detector):
    """The mask as it is, its values checked; snow (3) counts as clear and thin cloud (4) as cloud."""

    name = "stored"
    description = "the mask in the scene (clm.tif, mask/CLM), whoever made it"
    needs: frozenset[Need] = frozenset({"stored mask"})
    answers: frozenset[Answer] = frozenset({"cloud", "shadow"})
    per_pixel = True

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:  # noqa: ARG002 - it has none
        """The mask.

        :raises FeatureError: values that are no class.
        """
        assert frames.stored_mask is not None  # it is among the needs
        mask = frames.stored_mask
        unknown = set(np.unique(mask).tolist()) - {CLEAR, CLOUD, SHADOW, SNOW, THIN_CLOUD, NO_DATA}
        if mask.dtype.kind not in "iub" or unknown:
            values = ", ".join(map(str, sorted(unknown)[:5])) or "no classes"
            raise FeatureError(
                f"{frames.where}: its own mask is {mask.dtype} with {values} where"
                " 0 clear, 1 cloud, 2 shadow, 255 none are due (and 3 snow, 4 thin cloud of eotasks cloud-mask)."
            )
        return Detection(without_classes(mask))


STORED_MASK = StoredMask()

"""Shadows of clouds that are given: so that how shadows are found is judged apart from how clouds are.

It needs the bands of shadows alone (B02, B08, B11, and B03 where it is there), so that scenes of six bands will do, of
other sensors too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from eotasks.clouds.detectors.built_in.shadows import GEOMETRIC, PROJECTION, optional_bands_of
from eotasks.clouds.detectors.built_in.stored import STORED_MASK
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.clouds.shadows.light import SHADOW_BANDS

if TYPE_CHECKING:
    from eotasks.models.clouds.shadows.frame import MethodName


class ShadowsOfMask(Detector):
    """The clouds of a mask that lies beside the bands, as they are, and the shadows found of them.

    Shadows that the mask itself has are not looked at. A mask that was grown gives shadows that are grown as much.
    """

    bands = SHADOW_BANDS
    needs: frozenset[Need] = frozenset({"sun angles", "stored mask"})
    answers: frozenset[Answer] = frozenset({"cloud", "shadow"})

    def __init__(self, method: MethodName, name: str) -> None:
        """
        :param method: How shadows are found, see ``eotasks.models.clouds.shadows``.
        :param name: Of the detector with that method.
        """
        self.name = name
        self.description = f"shadows of given clouds, by the method {method!r}"
        self.optional_bands = optional_bands_of(method)
        self._method: MethodName = method

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """Clouds of the mask, and shadows where they do not lie under them; no answer where the mask has none.

        :raises FeatureError: a mask with values that are no class.
        """
        from eotasks.models.clouds.shadows.frame import cloud_shadow

        mask = np.asarray(STORED_MASK.detect(frames, settings).mask, dtype=np.uint8).copy()
        mask[mask == SHADOW] = CLEAR
        size = frames.pixel_size(wanted_for="shadow")
        assert frames.sun_angles is not None  # it is among the needs
        for index, where in enumerate(frames.frame_names):
            known = frames.is_data[index] & (mask[index] != NO_DATA)
            shadow = cloud_shadow(
                frames.bands[index],
                mask[index] == CLOUD,
                sun=frames.sun_angles[index].astype(np.float64),
                pixel_size=size,
                valid=known,
                names=frames.names,
                method=self._method,
                where=where,
            )
            mask[index][(shadow == 1) & (mask[index] == CLEAR)] = SHADOW
        return Detection(mask)


OF_GIVEN_CLOUDS: Mapping[str, Detector] = {
    GEOMETRIC.name: ShadowsOfMask("geometric", GEOMETRIC.name),
    PROJECTION.name: ShadowsOfMask("projection", PROJECTION.name),
}
"""Name of a detector of clouds and their shadows -> what finds the shadows of other clouds by its method."""

"""The clouds of s2cloudless and their shadows, by either method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from eotasks.clouds.detectors.built_in.s2cloudless import MODEL_TAGS, S2CLOUDLESS
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector, mask_by_settings
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.shadows.light import GREEN

if TYPE_CHECKING:  # engines of shadows, scipy among them, are loaded when shadows are looked for
    from eotasks.models.clouds.shadows.frame import MethodName


def optional_bands_of(method: MethodName) -> tuple[str, ...]:
    """What a method looks at where it is there: the projection does not ask what turbid water is."""
    return (GREEN,) if method == "geometric" else ()


class CloudsWithShadows(Detector):
    """Shadows of the mask before it grows, whose outlines fit theirs; where cloud grows over them, it is cloud."""

    bands = S2CLOUDLESS.bands
    needs: frozenset[Need] = frozenset({"sun angles"})
    answers: frozenset[Answer] = frozenset({"cloud", "shadow", "probability"})
    uses = S2CLOUDLESS.uses
    tags = MODEL_TAGS
    keeps_apart = True

    def __init__(self, method: MethodName, description: str) -> None:
        """
        :param method: How shadows are found, see ``eotasks.models.clouds.shadows``.
        :param description: A line for the help.
        """
        self.name = f"shadows-{method}"
        self.description = description
        self.optional_bands = optional_bands_of(method)
        self._method: MethodName = method

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """Clouds, and shadows where they do not lie under them."""
        from eotasks.models.clouds.shadows.frame import cloud_shadow

        probability = S2CLOUDLESS.probability(frames, settings)
        mask = mask_by_settings(probability, frames, settings)
        outlines = mask_by_settings(probability, frames, replace(settings, dilation_size=None))
        size = frames.pixel_size(wanted_for="shadow")
        assert frames.sun_angles is not None  # it is among the needs
        for index, where in enumerate(frames.frame_names):
            shadow = cloud_shadow(
                frames.bands[index],
                mask[index],
                outlines=outlines[index],
                sun=frames.sun_angles[index].astype(np.float64),
                pixel_size=size,
                valid=frames.is_data[index],
                names=frames.names,
                method=self._method,
                where=where,
            )
            mask[index][shadow == 1] = SHADOW
        return Detection(mask, probability)

    def prepare(self) -> None:
        """As s2cloudless."""
        S2CLOUDLESS.prepare()


GEOMETRIC = CloudsWithShadows(
    "geometric", "s2cloudless, and its shadows by cloud height and the angles of sun and view"
)
PROJECTION = CloudsWithShadows("projection", "s2cloudless, and its shadows as the Earth Engine tutorial projects them")

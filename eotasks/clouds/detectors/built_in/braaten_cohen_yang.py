"""A threshold rule on three bands, for a first look and as a rival: the detector of Braaten, Cohen and Yang.

Made for Landsat MSS, which had green, red and little else: Braaten, Cohen and Yang 2015, "Automated cloud and cloud
shadow identification in Landsat MSS imagery for temperate ecosystems", Remote Sensing of Environment 169, 128-138.
Sentinel Hub's custom scripts brought its cloud test to Sentinel-2 and added a test of B11, which takes off snow
(custom-scripts.sentinel-hub.com/sentinel-2/cby_cloud_detection):

    B11 > 0.2 and (B03 > 0.39 or (B03 > 0.175 and B03 > B04))

with reflectance 1.0 = 100 %. That page reports 88 % of the labelled pixels of Hollstein et al. 2016 right, 73 % without
B11, and that most of the missed ones are cirrus; its script itself has 0.1 for B11.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings

BRIGHT, GREENISH, NO_SNOW = np.float32(0.39), np.float32(0.175), np.float32(0.2)
"""Reflectance of B03 that is cloud by itself, of B03 that is cloud where it exceeds B04, and of B11."""


def bright_and_no_snow(
    green: NDArray[np.float32], red: NDArray[np.float32], swir: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """The rule.

    :param green: B03, reflectance, any shape.
    :param red: B04.
    :param swir: B11.
    :return: Whether a pixel is cloud; not where a value is NaN.
    """
    cloud: NDArray[np.bool_] = (swir > NO_SNOW) & ((green > BRIGHT) | ((green > GREENISH) & (green > red)))
    return cloud


class BraatenCohenYang(Detector):
    """Bright, no redder than green, and no snow."""

    name = "braaten-cohen-yang"
    description = "a fast threshold rule on B03, B04 and B11, of L1C or L2A; misses thin cloud"
    bands = ("B03", "B04", "B11")
    per_pixel = True

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:  # noqa: ARG002 - it has none
        """The rule on every pixel."""
        return Detection(bright_and_no_snow(*np.moveaxis(frames.reflectance(*self.bands), -1, 0)))


BRAATEN_COHEN_YANG = BraatenCohenYang()

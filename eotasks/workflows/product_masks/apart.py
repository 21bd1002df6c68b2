"""What a mask keeps apart from cloud, each as a class of its own: snow, and thin cloud that the ground is seen through.

Both are told by spectrum, at the resolution of the results and with the sampling of the other bands; by the classes of
Sen2Cor where the detector goes by them. They have no say in the averages of cloud beside them, and stay what they are,
but where that cloud grows over them, as with ``AddCloudMaskTask``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD, with_classes
from eotasks.models.clouds.surface import (
    MAX_SNOW_CIRRUS,
    MIN_SNOW_BLUE,
    MIN_SNOW_GREEN,
    MIN_SNOW_NDSI,
    MIN_SNOW_NIR,
    MIN_SNOW_NIR_RATIO_BESIDE_RED,
    MIN_SNOW_NIR_SHARE,
    SNOW_BANDS,
    SNOW_NIR_OF_AIR,
    snow_in,
)
from eotasks.models.clouds.thin_cloud import MAX_THIN_BLUE, MIN_THIN_CIRRUS, THIN_CLOUD_BANDS, thin_cloud_in
from eotasks.models.sentinel2 import SceneClass

if TYPE_CHECKING:
    from eotasks.clouds.detectors.frames import Frames
    from eotasks.clouds.detectors.protocol import Detector

_CIRRUS = "B10"


def bands_apart(detector: Detector, there: Sequence[str], *, snow: bool, thin_cloud: bool) -> tuple[str, ...]:
    """Bands by which snow and thin cloud are told: those of snow with B10 where the product has it, as L1C does.

    :param there: Names of the bands of the product.
    """
    if _by_classes(detector):
        return ()
    of_snow = (*SNOW_BANDS, *([_CIRRUS] if _CIRRUS in there else [])) if snow else ()
    return (*of_snow, *(THIN_CLOUD_BANDS if thin_cloud else ()))


def rules_of(detector: Detector, *, snow: bool, thin_cloud: bool) -> dict[str, str]:
    """How what is kept apart is told, in words: "snow" and "thin_cloud", as they are asked for."""
    classes = {"snow": SceneClass.SNOW_OR_ICE, "thin_cloud": SceneClass.THIN_CIRRUS}
    spectra = {
        "snow": f"NDSI >= {MIN_SNOW_NDSI:g}, B03 >= {MIN_SNOW_GREEN:g}, B08 > {MIN_SNOW_NIR:g},"
        f" B08 >= {MIN_SNOW_NIR_RATIO_BESIDE_RED:g} B03,"
        f" B08 - {SNOW_NIR_OF_AIR:g} >= {MIN_SNOW_NIR_SHARE:g} (B04 + B11),"
        f" B02 >= {MIN_SNOW_BLUE:g} B04, B10 <= {MAX_SNOW_CIRRUS:g} (L1C)",
        "thin_cloud": f"B10 > {MIN_THIN_CIRRUS:g}, B02 < {MAX_THIN_BLUE:g}",
    }
    asked = {"snow": snow, "thin_cloud": thin_cloud}
    return {
        name: f"SCL {int(classes[name])}" if _by_classes(detector) else spectra[name]
        for name, is_asked in asked.items()
        if is_asked
    }


def _by_classes(detector: Detector) -> bool:
    """Whether the detector goes by the scene classification of L2A, which has classes for both."""
    return "classification" in detector.needs


class KeptApart:
    """Snow and thin cloud of a product, put together of strips.

    :param shape: (h, w) of the results.
    """

    def __init__(self, detector: Detector, shape: tuple[int, int], *, snow: bool, thin_cloud: bool) -> None:
        self._by_classes = _by_classes(detector)
        self._snow = np.zeros(shape, dtype=bool) if snow else None
        self._thin_cloud = np.zeros(shape, dtype=bool) if thin_cloud else None

    @property
    def values(self) -> tuple[int, ...]:
        """Classes that the mask may hold beside clear and cloud."""
        return tuple(value for value, each in ((SNOW, self._snow), (THIN_CLOUD, self._thin_cloud)) if each is not None)

    @property
    def pixels(self) -> NDArray[np.bool_] | None:
        """(h, w): all that is kept apart; None where nothing is."""
        return self._of_rows(slice(None))

    def _of_rows(self, rows: slice) -> NDArray[np.bool_] | None:
        asked = [each[rows] for each in (self._snow, self._thin_cloud) if each is not None]
        return np.logical_or.reduce(asked) if asked else None

    def add(self, rows: slice, frames: Frames) -> None:
        """Look at some rows.

        :raises ReflectanceError: values that are no reflectance.
        """
        bands, valid, names = frames.bands[0], frames.is_data[0], frames.names
        # bands of another scale are looked for in the product as a whole, when all of it has been read
        if self._snow is not None:
            cirrus = MAX_SNOW_CIRRUS if _CIRRUS in names else None
            self._snow[rows] = (
                _of_class(frames, SceneClass.SNOW_OR_ICE)
                if self._by_classes
                else snow_in(bands, valid, names, max_cirrus=cirrus, check_bands=False, where=frames.where)
            )
        if self._thin_cloud is not None:
            self._thin_cloud[rows] = (
                _of_class(frames, SceneClass.THIN_CIRRUS)
                if self._by_classes
                else thin_cloud_in(bands, valid, names, check_bands=False, where=frames.where)
            )

    def told(self, frames: Frames, rows: slice) -> Frames:
        """Some rows with what is kept apart in them, for a detector that makes a mask of its own."""
        pixels = self._of_rows(rows)
        return frames if pixels is None else replace(frames, apart=pixels[np.newaxis])

    def classes(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask (h, w) of clear, cloud and no data with what is kept apart as classes of their own."""
        return with_classes(mask, snow=self._snow, thin_cloud=self._thin_cloud) if self.values else mask


def _of_class(frames: Frames, scene_class: SceneClass) -> NDArray[np.bool_]:
    assert frames.classification is not None  # it is among the needs
    found: NDArray[np.bool_] = np.asarray(frames.classification[0] == scene_class, dtype=bool) & frames.is_data[0]
    return found

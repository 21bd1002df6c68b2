"""Facts of the Sentinel-2 MultiSpectral Instrument: bands, order, units, classes.

Sources: ESA Sentinel-2 User Handbook (bands, native resolution, SCL); s2cloudless 1.7.3 (the ten bands of its model).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from eotasks.errors import BandError
from eotasks.text import unknown_words

BANDS: tuple[str, ...] = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
"""The 13 L1C bands in the order that every 13-band array of the project has."""

CLOUD_BANDS: tuple[str, ...] = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
"""The ten bands of the cloud model, in its own order."""

NATIVE_RESOLUTION: dict[str, int] = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20,
    "B09": 60, "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip
"""Metres."""

CENTRAL_WAVELENGTH: dict[str, float] = {
    "B01": 443, "B02": 490, "B03": 560, "B04": 665, "B05": 705, "B06": 740, "B07": 783, "B08": 842, "B8A": 865,
    "B09": 945, "B10": 1375, "B11": 1610, "B12": 2190,
}  # fmt: skip
"""Nanometres."""

QUANTIFICATION = 10_000
"""Digital numbers of reflectance 1.0 (100 %), the baseline offset removed."""

BASELINE_OFFSET = 1_000
"""Digital numbers that products of processing baseline 04.00 and later have added to every band."""

NO_DATA_DN = 0
SATURATED_DN = 65_535

MAX_REFLECTANCE = 10.0
"""Clouds exceed 1 (up to 2.8 in the sample); a float above this is a raw digital number, not a reflectance."""

MIN_REFLECTANCE = -0.9
"""Baseline offsets reach -0.1; a value below this is a no-data value (-9999 as float or as DN), not a reflectance."""


class SceneClass(IntEnum):
    """Classes of the L2A scene classification (SCL)."""

    NO_DATA = 0
    SATURATED_OR_DEFECTIVE = 1
    DARK_AREA = 2
    CLOUD_SHADOW = 3
    VEGETATION = 4
    BARE_SOIL = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM_PROBABILITY = 8
    CLOUD_HIGH_PROBABILITY = 9
    THIN_CIRRUS = 10
    SNOW_OR_ICE = 11


def band_indices(wanted: Sequence[str], available: Sequence[str] = BANDS, *, where: str = "the bands") -> list[int]:
    """Positions of bands in a list of bands.

    :param wanted: Band names, such as ``("B04", "B08")``.
    :param available: The bands of the array, in its order.
    :param where: What the array is, for the message.
    :raises BandError: when a band is not among them.
    """
    missing = [band for band in wanted if band not in available]
    if missing:
        raise BandError(
            f"{where}: band {unknown_words(missing, available)} is missing, there are {', '.join(available) or 'none'}."
            " Read it from the source too, or leave out the step that needs it."
        )
    return [list(available).index(band) for band in wanted]

"""What is said of a measurement of a water level: its status, and how its threshold was found.

The numbers are those of the Water Observatory (BlueDot): ``sentinel-hub/water-observatory-backend``, definitions.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class MeasurementStatus(IntEnum):
    """Whether there is a level, and why not: MEAS_STATUS of the Water Observatory, and one of our own."""

    UNKNOWN_ERROR = -1
    VALID = 1
    """The level was measured. 0 of it is a lake without water that was seen, never one that was not."""

    INVALID_DATA = 2
    """Too many pixels without data, in the frame or over the body of water."""

    TOO_CLOUDY = 3
    """Too much cloud (or shadow, where that is given) in the frame or over the body of water."""

    REQUEST_ERROR = 4
    """The source failed."""

    NO_DATA = 5
    """The frame does not reach the body of water, or has no pixel with data."""

    NO_CLOUD_DATA = 6
    """There is data, but nothing is known of its clouds."""

    INVALID_POLYGON = 7
    """The outline is empty, no area, or cannot be computed with."""

    FROZEN = 8
    """Ice or snow over the body of water. Ours: the Water Observatory knows no ice; its columns have 2 for it."""


class AlgorithmStatus(IntEnum):
    """How the threshold of water was found: ALG_STATUS of the Water Observatory."""

    NO_WATER = 0
    """The image has one value (or none): the threshold is 1, and there is no water."""

    OTSU_AT_EDGES = 1
    OTSU_OF_FRAME = 2
    """There are no edges, or one value beside them."""

    ZERO_AFTER_EDGES = 3
    """Otsu's threshold at the edges would have taken much land for water: NDWI 0 is taken instead."""

    ZERO_AFTER_FRAME = 4
    """As that, after Otsu's threshold of the whole frame."""


class Sensor(StrEnum):
    """What a level was measured with: SENSOR_TYPE of the Water Observatory."""

    NDWI = "S2_NDWI"
    NDWI_WITH_ELEVATION = "S2_NDWI_DEM"

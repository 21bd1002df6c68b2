"""What grows through a year: crop calendars, canopies and their spectra.

Calendars follow the farming year of the north German plain (sowing, emergence, ripeness and harvest as in the
phenological observations of Deutscher Wetterdienst); canopy spectra are round numbers in the range of the USGS Spectral
Library 7 (Kokaly et al. 2017). Both are made to be plausible, not to be measured from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


class Cover(IntEnum):
    """What may stand on a pixel or field."""

    EVERGREEN = 0
    BROADLEAF = 1
    GARDEN = 2
    PASTURE = 3
    MEADOW = 4
    WINTER_CEREAL = 5
    RAPESEED = 6
    SPRING_CEREAL = 7
    MAIZE = 8
    ROOT_CROP = 9
    FALLOW = 10


ANCHOR_DAY = 46.43
"""Day of the real scene (16 February, 10:21; 0 = 1 January 00:00), on which pixels keep the greenness they have."""

CANOPY: Float = np.array(
    [
        [0.012, 0.015, 0.030, 0.018, 0.045, 0.145, 0.185, 0.190, 0.205, 0.200, 0, 0.085, 0.038],
        [0.015, 0.020, 0.055, 0.022, 0.080, 0.270, 0.360, 0.370, 0.390, 0.390, 0, 0.175, 0.075],
        [0.020, 0.029, 0.068, 0.041, 0.092, 0.240, 0.310, 0.325, 0.345, 0.340, 0, 0.180, 0.085],
        [0.022, 0.033, 0.083, 0.048, 0.113, 0.270, 0.345, 0.365, 0.385, 0.380, 0, 0.225, 0.110],
        [0.022, 0.033, 0.085, 0.044, 0.113, 0.290, 0.375, 0.395, 0.415, 0.410, 0, 0.215, 0.100],
        [0.020, 0.028, 0.071, 0.034, 0.097, 0.320, 0.420, 0.440, 0.460, 0.450, 0, 0.190, 0.090],
        [0.020, 0.031, 0.083, 0.036, 0.108, 0.330, 0.430, 0.450, 0.470, 0.460, 0, 0.200, 0.090],
        [0.021, 0.029, 0.074, 0.037, 0.102, 0.315, 0.410, 0.430, 0.450, 0.440, 0, 0.200, 0.095],
        [0.020, 0.028, 0.077, 0.036, 0.108, 0.300, 0.400, 0.420, 0.450, 0.440, 0, 0.230, 0.110],
        [0.020, 0.033, 0.088, 0.036, 0.119, 0.360, 0.480, 0.500, 0.520, 0.500, 0, 0.220, 0.100],
        [0.024, 0.035, 0.080, 0.054, 0.113, 0.240, 0.300, 0.315, 0.335, 0.330, 0, 0.230, 0.125],
    ],
    dtype=np.float32,
)
"""(covers, 13) surface reflectance of the full green canopy."""

LITTER: Float = np.array(
    [
        [0.020, 0.030, 0.050, 0.060, 0.090, 0.140, 0.170, 0.180, 0.200, 0.200, 0, 0.150, 0.090],
        [0.020, 0.030, 0.070, 0.095, 0.145, 0.200, 0.230, 0.240, 0.260, 0.260, 0, 0.190, 0.100],
        *[[0.035, 0.050, 0.085, 0.115, 0.155, 0.205, 0.235, 0.250, 0.275, 0.280, 0, 0.290, 0.190]] * 3,
        *[[0.048, 0.064, 0.105, 0.145, 0.185, 0.230, 0.255, 0.275, 0.300, 0.310, 0, 0.345, 0.250]] * 6,
    ],
    dtype=np.float32,
)
"""(covers, 13) surface reflectance of dead leaves, ripe ears and straw."""

FLOWERING: Float = np.array(
    [0.012, 0.018, 0.080, 0.085, 0.095, 0.040, 0.020, 0.010, 0.010, 0.005, 0, 0.000, 0.010], dtype=np.float32
)
"""(13,) what rapeseed in full flower adds: yellow."""

_FLOWERS = ((105, 0.0), (122, 1.0), (134, 1.0), (148, 0.0))

# (day of the year, green share, dry share)
_CALENDARS: dict[Cover, tuple[tuple[float, float, float], ...]] = {
    Cover.EVERGREEN: ((0, 0.74, 0), (90, 0.75, 0), (150, 0.86, 0), (240, 0.86, 0), (310, 0.77, 0)),
    Cover.BROADLEAF: (
        (0, 0.30, 0), (105, 0.32, 0), (120, 0.55, 0), (138, 0.90, 0), (180, 0.93, 0), (255, 0.84, 0.02),
        (282, 0.52, 0.30), (300, 0.34, 0.28), (325, 0.30, 0.05),
    ),
    Cover.GARDEN: (
        (0, 0.22, 0), (80, 0.24, 0), (115, 0.38, 0), (145, 0.52, 0), (200, 0.50, 0.03), (260, 0.47, 0.02),
        (295, 0.34, 0.05), (330, 0.24, 0),
    ),
    Cover.PASTURE: (
        (0, 0.28, 0), (75, 0.30, 0), (105, 0.55, 0), (135, 0.80, 0), (180, 0.72, 0.05), (210, 0.62, 0.12),
        (250, 0.66, 0.06), (290, 0.55, 0.02), (330, 0.34, 0),
    ),
    Cover.MEADOW: (
        (0, 0.28, 0), (78, 0.31, 0), (110, 0.66, 0), (140, 0.90, 0), (150, 0.88, 0.02), (154, 0.46, 0.16),
        (180, 0.84, 0.02), (196, 0.85, 0.02), (200, 0.45, 0.16), (230, 0.80, 0.03), (258, 0.80, 0.03),
        (262, 0.50, 0.10), (290, 0.62, 0), (330, 0.36, 0),
    ),
    Cover.WINTER_CEREAL: (
        (0, 0.30, 0), (60, 0.33, 0), (85, 0.52, 0), (115, 0.86, 0), (145, 0.94, 0), (168, 0.80, 0.10),
        (186, 0.28, 0.62), (200, 0.05, 0.88), (206, 0.05, 0.55), (228, 0.08, 0.34), (248, 0.04, 0.05),
        (275, 0.04, 0), (305, 0.20, 0), (335, 0.28, 0),
    ),
    Cover.RAPESEED: (
        (0, 0.46, 0), (60, 0.48, 0), (82, 0.70, 0), (108, 0.93, 0), (150, 0.92, 0), (172, 0.66, 0.22),
        (190, 0.20, 0.66), (198, 0.05, 0.60), (225, 0.14, 0.25), (248, 0.10, 0.05), (275, 0.30, 0), (320, 0.44, 0),
    ),
    Cover.SPRING_CEREAL: (
        (0, 0.14, 0), (80, 0.08, 0), (100, 0.10, 0), (125, 0.55, 0), (150, 0.90, 0), (178, 0.72, 0.16),
        (196, 0.22, 0.66), (209, 0.05, 0.85), (216, 0.05, 0.50), (250, 0.22, 0.12), (290, 0.42, 0), (330, 0.24, 0),
    ),
    Cover.MAIZE: (
        (0, 0.13, 0), (95, 0.12, 0), (112, 0.03, 0), (135, 0.05, 0), (160, 0.40, 0), (185, 0.86, 0), (225, 0.92, 0),
        (250, 0.74, 0.14), (268, 0.44, 0.42), (275, 0.06, 0.35), (310, 0.06, 0.18), (340, 0.11, 0.05),
    ),
    Cover.ROOT_CROP: (
        (0, 0.13, 0), (90, 0.10, 0), (108, 0.03, 0), (132, 0.10, 0), (162, 0.66, 0), (185, 0.93, 0), (245, 0.90, 0.02),
        (282, 0.80, 0.05), (292, 0.08, 0.08), (330, 0.08, 0),
    ),
    Cover.FALLOW: (
        (0, 0.22, 0.02), (85, 0.24, 0.02), (115, 0.40, 0), (150, 0.60, 0.06), (190, 0.46, 0.24), (225, 0.36, 0.30),
        (270, 0.36, 0.18), (320, 0.26, 0.06),
    ),
}  # fmt: skip

_DAYS = np.arange(367, dtype=np.float64)


def _daily(cover: Cover, column: int) -> Float:
    table = np.array(_CALENDARS[cover])
    values = np.interp(_DAYS, table[:, 0], table[:, column], period=366)
    return np.asarray(values, dtype=np.float32)


GREEN: Float = np.stack([_daily(cover, 1) for cover in Cover])
"""(covers, 367) share of the ground under green leaves, by day of the year 0..366."""

DRY: Float = np.stack([_daily(cover, 2) for cover in Cover])
"""(covers, 367) share of the ground under dead leaves, ripe crop or straw."""


@dataclass(frozen=True)
class FieldTraits:
    """How fields differ from their calendar: all arrays (n,), one entry per field."""

    cover: NDArray[np.int64]
    """Values of :class:`Cover`."""

    shift: Float
    """Days later than the calendar."""

    vigour: Float
    """Factor of the green share in the growing season, about 0.8 to 1.05."""

    tone: Float
    """Factor of the canopy's reflectance, about 1."""


@dataclass(frozen=True)
class Canopy:
    """State of fields on a day: arrays (n,) and (n, 13)."""

    green: Float
    dry: Float
    spectrum: Float
    litter: Float


def canopy_on(day: float, fields: FieldTraits) -> Canopy:
    """Leaves, straw and their spectra on a day of the year (0 = 1 January, with fraction)."""
    green = _season(GREEN, day, fields)
    growing = np.clip((green - 0.35) / 0.3, 0, 1)
    # On the anchor day the leaves are those the ground was unmixed with; their own looks come with the season.
    season = np.float32(_season_weight(day))
    young = CANOPY[np.where(fields.cover < Cover.GARDEN, fields.cover, Cover.PASTURE)]
    spectrum = young + season * (CANOPY[fields.cover] * fields.tone[:, None] - young)
    flowers = np.interp(day - fields.shift, *np.array(_FLOWERS).T).astype(np.float32)
    spectrum += (flowers * (fields.cover == Cover.RAPESEED))[:, None] * FLOWERING
    return Canopy(
        green=green * (1 + (fields.vigour - 1) * growing),
        dry=_season(DRY, day, fields),
        spectrum=spectrum,
        litter=LITTER[fields.cover] * fields.tone[:, None],
    )


def keeps_anomaly(day: float) -> float:
    """How much of a pixel's departure from its field on the anchor day is left: 1 on that day, 0.24 in summer."""
    return 0.62 + 0.38 * float(np.cos(2 * np.pi * (day - ANCHOR_DAY) / 365.25))


def _season(curves: Float, day: float, fields: FieldTraits) -> Float:
    # The shift acts not at all on the anchor day, where the truth is known.
    when = (day - fields.shift * np.float32(_season_weight(day))) % 366
    below = when.astype(np.int64)
    share = when - below
    values = curves[fields.cover, below] * (1 - share) + curves[fields.cover, below + 1] * share
    return np.asarray(values, dtype=np.float32)


def _season_weight(day: float) -> float:
    """0 on the anchor day, 1 from about May to November."""
    return min(1.0, 1 - float(np.cos(2 * np.pi * (day - ANCHOR_DAY) / 365.25)))

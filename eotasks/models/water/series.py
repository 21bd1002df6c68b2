"""What the dates of one lake say about each other: shadows that no mask shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from shapely.geometry.polygon import Polygon

from eotasks.models.water.measure import DEFAULTS, WaterLevelSettings, WaterMeasurement
from eotasks.models.water.vocabulary import MeasurementStatus

FULL_FROM = 0.95
"""Share of the outline that is water from which a lake may stand beyond it."""

LEAST_DATES = 3
"""With a level, before one is told to be unlike the others."""


def without_hidden_shadows(
    measurements: Sequence[WaterMeasurement], settings: WaterLevelSettings = DEFAULTS
) -> list[WaterMeasurement]:
    """Levels of one lake without those that a shadow on the land around it has made: TOO_CLOUDY in their place.

    Shaded land is as dark in the near infrared as water, and counts as a flood where it is connected with the lake. But
    a lake floods the land beyond its outline when it is full. So a date is refused on which much more water lies beyond
    the outline than on the median of the dates, while the lake is not full. A river or a pond that is connected with
    the lake is there on all dates, and passes.

    :param measurements: Of one lake, in any order.
    :return: As many, in that order.
    """
    most = settings.max_beyond_fraction
    valid = [each for each in measurements if each.status is MeasurementStatus.VALID]
    if most is None or len(valid) < LEAST_DATES:
        return list(measurements)
    usual = float(np.median([each.beyond_fraction for each in valid]))
    return [
        _refused(each)
        if each.status is MeasurementStatus.VALID
        and each.beyond_fraction > usual + most
        and each.inside_fraction < FULL_FROM
        else each
        for each in measurements
    ]


def _refused(found: WaterMeasurement) -> WaterMeasurement:
    reason = (
        f"dark land beyond the outline ({found.beyond_fraction:.1%} of its area) while only"
        f" {found.inside_fraction:.1%} of the outline is water: a shadow that no mask shows, not a flood"
    )
    return replace(
        found,
        status=MeasurementStatus.TOO_CLOUDY,
        reason=reason,
        level=np.nan,
        level_without_veto=np.nan,
        extent=Polygon(),
        threshold=np.nan,
        algorithm_status=None,
    )

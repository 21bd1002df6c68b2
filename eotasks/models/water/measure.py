"""The level of one body of water in one frame, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import Polygon

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number
from eotasks.models.water.extent import (
    ELEVATION_MARGIN,
    outline_pixels,
    shortened_extent,
    water_extent,
    without_high_ground,
)
from eotasks.models.water.threshold import WaterThreshold, edge_threshold, frame_threshold
from eotasks.models.water.vocabulary import AlgorithmStatus, MeasurementStatus, Sensor
from eotasks.text import did_you_mean

Method = Literal["bluedot", "water-monitor"]
"""Of the Water Observatory, or of eo-learn's example of water monitoring."""


@dataclass(frozen=True)
class WaterLevelSettings:
    """How levels are measured, and what is refused.

    :raises ConfigurationError: a value that is not usable.
    """

    method: Method = "bluedot"
    """"bluedot": threshold near edges, water that is connected with the outline, areas. "water-monitor": threshold of
    the whole frame, pixels inside of the outline only, counts; never above 1."""

    min_valid_fraction: float = 0.98
    """Lowest share of pixels with data, of the frame and of the body of water."""

    max_cloud_fraction: float = 0.20
    """Highest share of cloud in the frame. Method "water-monitor" takes neither this nor the least share of data of the
    frame: it measures where cloud and missing data together are less than 0.05 of it, as the example does."""

    max_water_cloud_fraction: float | None = 0.02
    """Highest share of cloud (and shadow, where given) over the body of water; what is below it is kept out of the
    threshold and is no water. None: as the originals, which look at the frame only, so that a cloud over the lake
    lowers its level."""

    max_frozen_fraction: float | None = 0.05
    """Highest share of ice and snow over the body of water; None looks for none."""

    max_beyond_fraction: float | None = 0.02
    """Of a series: by how much more water (share of the nominal area) may lie beyond the outline of a lake that is not
    full than on the median of its dates (`eotasks.models.water.series`); None looks at no other date."""

    min_threshold: float | None = -0.1
    """Lowest NDWI from which on there is water (method "bluedot"). Between green land and muddy water Otsu's threshold
    may lie below the NDWI of a bare shore. Not used where most of what Otsu's threshold finds in the outline lies below
    it: such water is itself that muddy. None: as the original."""

    elevation_margin: float = ELEVATION_MARGIN
    """Metres above the lake from which there is no water outside of its outline, where an elevation is given."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            known = get_args(Method)
            raise ConfigurationError(
                f"method={self.method!r} is unknown{did_you_mean(self.method, known)}: give"
                f" {' or '.join(map(repr, known))}."
            )
        for name in (
            "min_valid_fraction",
            "max_cloud_fraction",
            "max_water_cloud_fraction",
            "max_frozen_fraction",
            "max_beyond_fraction",
        ):
            value = getattr(self, name)
            if value is not None:
                check_number(value, name, "share", lowest=0, highest=1)
        if self.min_threshold is not None:
            check_number(self.min_threshold, "min_threshold", "NDWI", lowest=-1, highest=1)
        check_number(self.elevation_margin, "elevation_margin", "height in metres", lowest=0, highest=10_000)


DEFAULTS = WaterLevelSettings()

_KEPT_WATER = 0.5
"""Share of the water of Otsu's threshold that has to stay where the lowest NDWI is taken in its place."""

MOST_COVERAGE = 0.05
"""Share of the frame without data or under cloud from which the example of water monitoring leaves a date out."""


@dataclass(frozen=True, eq=False)
class WaterFrame:
    """One date of the ground around a body of water. No array is changed."""

    index: NDArray[np.floating[Any]]
    """(h, w) NDWI, NaN where it is not known (``eotasks.models.water.index.water_index``)."""

    transform: Affine
    """From (column, row) to the coordinate system of the outline."""

    is_data: NDArray[np.bool_]
    """(h, w), pixels with data."""

    cloud: NDArray[np.bool_]
    """(h, w), cloud."""

    cloud_is_known: NDArray[np.bool_] | None = None
    """(h, w), pixels of which it is known whether they are cloud; None: all."""

    shadow: NDArray[np.bool_] | None = None
    """(h, w), cloud shadow; None: nothing is known of it."""

    frozen: NDArray[np.bool_] | None = None
    """(h, w), ice and snow (``frozen_mask``); None: not looked for."""

    elevation: NDArray[np.floating[Any]] | None = None
    """(h, w) metres, for the veto; None without one."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """left, bottom, right, top."""
        rows, columns = self.index.shape
        left, top = self.transform.c, self.transform.f
        return left, top + rows * self.transform.e, left + columns * self.transform.a, top

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(h, w), pixels with data whose NDWI is a number."""
        return np.asarray(self.is_data & np.isfinite(self.index))


@dataclass(frozen=True, eq=False)
class WaterMeasurement:
    """What came out of one frame."""

    status: MeasurementStatus
    reason: str = ""
    """Why there is no level, in words; empty where there is one."""

    level: float = math.nan
    """Area of the extent over that of the outline; NaN unless the status is VALID."""

    level_without_veto: float = math.nan
    """The level before the veto of an elevation model; NaN where there was none."""

    extent: BaseGeometry = field(default_factory=Polygon)
    """Where the water is, shortened; empty unless the status is VALID."""

    threshold: float = math.nan
    algorithm_status: AlgorithmStatus | None = None
    sensor: Sensor = Sensor.NDWI
    valid_fraction: float = math.nan
    """Share of the frame's pixels with data."""

    cloud_fraction: float = math.nan
    """Share of the frame's pixels that are cloud."""

    water_cloud_fraction: float = math.nan
    """Share of the body's pixels under cloud or shadow."""

    frozen_fraction: float = math.nan
    """Share of the body's pixels under ice or snow; NaN where none was looked for."""

    inside_fraction: float = math.nan
    """Share of the outline's pixels that are water of the extent; NaN unless the status is VALID."""

    beyond_fraction: float = math.nan
    """Area of the extent's pixels beyond the outline, and not beside it, over that of the outline; NaN likewise."""


def measure_frame(
    frame: WaterFrame, outline: BaseGeometry, settings: WaterLevelSettings = DEFAULTS
) -> WaterMeasurement:
    """The level of a body of water in one frame.

    :param outline: Nominal outline, in the coordinate system of the frame.
    :return: A level, or a status that says why there is none; never an error of the data.
    """
    if outline.is_empty or not outline.is_valid or not outline.area > 0:
        return WaterMeasurement(MeasurementStatus.INVALID_POLYGON, "the outline is empty, no area or not valid")
    ground = box(*frame.bounds)
    if not ground.intersects(outline) or not frame.seen.any():
        return WaterMeasurement(MeasurementStatus.NO_DATA, "the frame has no data where the water would be")
    inside = outline_pixels(outline, frame.index.shape, frame.transform)
    beyond = 1 - outline.intersection(ground).area / outline.area
    found = _with_shares(frame, inside)
    for status, reason in _refusals(frame, inside, beyond, found, settings):
        return replace(found, status=status, reason=reason)
    if settings.method == "water-monitor":
        return _by_counts(frame, inside, outline, found)
    return _by_areas(frame, inside, outline, found, settings)


def _with_shares(frame: WaterFrame, inside: NDArray[np.bool_]) -> WaterMeasurement:
    """What a frame shows beside its water."""
    covered = _covered(frame)
    return WaterMeasurement(
        MeasurementStatus.UNKNOWN_ERROR,
        valid_fraction=float(frame.seen.mean()),
        cloud_fraction=float((frame.cloud & frame.seen).mean()),
        water_cloud_fraction=float(covered[inside].mean()),
        frozen_fraction=math.nan if frame.frozen is None else float((frame.frozen & ~covered)[inside].mean()),
    )


def _covered(frame: WaterFrame) -> NDArray[np.bool_]:
    """(h, w), ground that is not seen as it is: under cloud, or in its shadow."""
    covered = frame.cloud if frame.shadow is None else frame.cloud | frame.shadow
    return np.asarray(covered & frame.is_data)


def _refusals(
    frame: WaterFrame,
    inside: NDArray[np.bool_],
    beyond: float,
    found: WaterMeasurement,
    settings: WaterLevelSettings,
) -> Iterator[tuple[MeasurementStatus, str]]:
    """Reasons not to measure, the first first."""
    least = settings.min_valid_fraction
    if 1 - beyond < least:
        yield MeasurementStatus.INVALID_DATA, f"{beyond:.1%} of the outline lies beyond the scene"
    yield from _refusals_of_frame(found, settings)
    seen = float(frame.seen[inside].mean())
    if seen < least:
        yield MeasurementStatus.INVALID_DATA, f"{1 - seen:.1%} of the water has no data"
    if frame.cloud_is_known is not None:
        known = float((frame.cloud_is_known | ~frame.is_data)[inside].mean())
        if known < least:
            yield (
                MeasurementStatus.NO_CLOUD_DATA,
                f"of {1 - known:.1%} of the water it is not known whether it is cloudy",
            )
    most = settings.max_water_cloud_fraction
    if most is not None and found.water_cloud_fraction > most:
        yield MeasurementStatus.TOO_CLOUDY, f"{found.water_cloud_fraction:.1%} of the water is under cloud or shadow"
    most = settings.max_frozen_fraction
    if most is not None and found.frozen_fraction > most:
        yield MeasurementStatus.FROZEN, f"{found.frozen_fraction:.1%} of the water is under ice or snow"


def _refusals_of_frame(
    found: WaterMeasurement, settings: WaterLevelSettings
) -> Iterator[tuple[MeasurementStatus, str]]:
    missing, cloud = 1 - found.valid_fraction, found.cloud_fraction
    if settings.method == "water-monitor":
        if missing + cloud >= MOST_COVERAGE:
            status = MeasurementStatus.TOO_CLOUDY if cloud > missing else MeasurementStatus.INVALID_DATA
            yield status, f"{missing + cloud:.1%} of the frame is cloudy or has no data"
        return
    if found.valid_fraction < settings.min_valid_fraction:
        yield MeasurementStatus.INVALID_DATA, f"{missing:.1%} of the frame has no data"
    if cloud > settings.max_cloud_fraction:
        yield MeasurementStatus.TOO_CLOUDY, f"{cloud:.1%} of the frame is cloudy"


def _by_areas(
    frame: WaterFrame,
    inside: NDArray[np.bool_],
    outline: BaseGeometry,
    found: WaterMeasurement,
    settings: WaterLevelSettings,
) -> WaterMeasurement:
    index = frame.index
    if settings.max_water_cloud_fraction is not None:
        index = np.where(_covered(frame), np.float32(np.nan), index)
    threshold = _above_shores(edge_threshold(index), index[inside], settings.min_threshold)
    water = _above(index, threshold)
    plain = _with_extent(found, water, inside, outline, frame, threshold)
    if frame.elevation is None:
        return plain
    kept = without_high_ground(water, inside, frame.elevation, margin=settings.elevation_margin)
    vetoed = _with_extent(found, kept, inside, outline, frame, threshold)
    return replace(vetoed, sensor=Sensor.NDWI_WITH_ELEVATION, level_without_veto=plain.level)


def _above_shores(threshold: WaterThreshold, index: NDArray[np.floating[Any]], least: float | None) -> WaterThreshold:
    """A threshold that is at least ``least``, unless that would take most of the water away.

    :param index: (n,) NDWI within the outline.
    """
    if least is None or threshold.value >= least:
        return threshold
    found, kept = np.count_nonzero(index > threshold.value), np.count_nonzero(index > least)
    return replace(threshold, value=least) if kept >= _KEPT_WATER * found else threshold


def _with_extent(
    found: WaterMeasurement,
    water: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    outline: BaseGeometry,
    frame: WaterFrame,
    threshold: WaterThreshold,
) -> WaterMeasurement:
    """No water is a level of 0 (the original has no answer then, and calls the polygon invalid)."""
    extent = water_extent(water, outline, frame.transform)
    covered = outline_pixels(extent, water.shape, frame.transform) if not extent.is_empty else np.zeros_like(water)
    beyond = np.count_nonzero(covered & ~ndimage.binary_dilation(inside, iterations=2))
    return replace(
        found,
        status=MeasurementStatus.VALID,
        level=float(extent.area / outline.area),
        inside_fraction=float(covered[inside].mean()),
        beyond_fraction=float(beyond * abs(frame.transform.a * frame.transform.e) / outline.area),
        extent=shortened_extent(extent, outline, abs(frame.transform.a)),
        threshold=threshold.value,
        algorithm_status=threshold.status,
    )


def _by_counts(
    frame: WaterFrame, inside: NDArray[np.bool_], outline: BaseGeometry, found: WaterMeasurement
) -> WaterMeasurement:
    threshold = frame_threshold(frame.index)
    water = _above(frame.index, threshold) & inside
    extent = water_extent(water, shapely.box(*frame.bounds), frame.transform)
    return replace(
        found,
        status=MeasurementStatus.VALID,
        level=float(np.count_nonzero(water) / np.count_nonzero(inside)),
        inside_fraction=float(water[inside].mean()),
        beyond_fraction=0.0,
        extent=shortened_extent(extent, outline, abs(frame.transform.a)),
        threshold=threshold.value,
        algorithm_status=threshold.status,
    )


def _above(index: NDArray[np.floating[Any]], threshold: WaterThreshold) -> NDArray[np.bool_]:
    return np.asarray(np.nan_to_num(index, nan=-2.0) > threshold.value)

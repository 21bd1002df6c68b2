"""Levels of bodies of water in an EOPatch, date by date."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from affine import Affine
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox
from shapely.geometry.base import BaseGeometry

from eotasks.clouds.checks import beside, mask_beside, moment
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of, value_of
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.rasters import pixel_transform
from eotasks.models.scales import ReflectanceScale, as_reflectance, check_scale
from eotasks.models.sentinel2 import BANDS, band_indices
from eotasks.models.water.index import FROZEN_BANDS, INDEX_BANDS, frozen_mask, water_index
from eotasks.models.water.measure import DEFAULTS, WaterFrame, WaterLevelSettings, WaterMeasurement, measure_frame
from eotasks.models.water.series import without_hidden_shadows
from eotasks.models.water.vocabulary import MeasurementStatus
from eotasks.water.columns import COLUMNS, NO_ALGORITHM, TIME
from eotasks.water.outlines import ID, NAME, checked_outlines

FRAME_MARGIN = 0.1
"""Share of an outline's width and height that its frame has more on each side."""


class WaterLevelTask(EOTask):
    """Adds levels of bodies of water: for each outline and date the measured area over the nominal one, or a status
    that says why there is none (`eotasks.water.COLUMNS`).

    The method is that of the Water Observatory (BlueDot): NDWI, a threshold by Otsu near Canny's edges, the water that
    is connected with the nominal outline; or that of eo-learn's example of water monitoring. Unlike both it looks for
    clouds over the water itself, and for ice, so that a lake that was not seen is never taken for an empty one.
    """

    def __init__(
        self,
        outlines: gpd.GeoDataFrame | Feature,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        levels_feature: Feature = (FeatureType.VECTOR, "WATER_LEVEL"),
        *,
        clm_feature: Feature = (FeatureType.MASK, "CLM"),
        is_data_feature: Feature | None = (FeatureType.MASK, "IS_DATA"),
        shadow_feature: Feature | None = None,
        snow_feature: Feature | None = None,
        elevation_feature: Feature | None = None,
        bands: Sequence[str] | None = None,
        scale: ReflectanceScale | None = None,
        margin: float | None = FRAME_MARGIN,
        settings: WaterLevelSettings = DEFAULTS,
    ) -> None:
        """
        :param outlines: Nominal outlines: a GeoDataFrame with the columns id (text, each once), name (may be left out)
            and geometry in any coordinate system, as `eotasks.water.read_outlines` gives it; or a VECTOR_TIMELESS.
        :param bands_feature: L1C bands (t, h, w, bands), reflectance or integer DN, B03 and B08 among them; B02, B04
            and B11 too, where ice is looked for.
        :param levels_feature: Output, a VECTOR.
        :param clm_feature: Cloud mask (t, h, w, 1): uint8 0 clear, 1 cloud, 255 not known, or boolean.
        :param is_data_feature: Mask (t, h, w, 1) of the pixels with data; None: those that are no NaN.
        :param shadow_feature: Mask (t, h, w, 1) of cloud shadow, which counts as cloud over the water does; None
            without.
        :param snow_feature: Mask (t, h, w, 1) of snow or ice of another method, beside what the bands show; None
            without.
        :param elevation_feature: DATA_TIMELESS (h, w, 1) metres: water outside of an outline that stands much higher
            is none. None without this veto.
        :param bands: Names of the bands in their order; None when they are the 13 of L1C.
        :param scale: What the numbers of the bands are (``eotasks.models.scales``), None for what the dtype says.
        :param margin: Share of an outline's width and height that its frame has more on each side, inside of the patch;
            None takes the whole patch as the frame of each.
        :param settings: Method and limits.
        :raises ConfigurationError: an argument that is not usable.
        :raises AreaError: no outline, or an id twice.
        :raises BandError: when the named bands lack one that is needed.
        """
        self.outlines: gpd.GeoDataFrame | None = None
        self.outlines_feature: Feature | None = None
        if isinstance(outlines, gpd.GeoDataFrame):
            self.outlines = checked_outlines(outlines)
        else:
            self.outlines_feature = feature_of(outlines, {FeatureType.VECTOR_TIMELESS})
        self.bands_feature = feature_of(bands_feature, {FeatureType.DATA})
        self.levels_feature = feature_of(levels_feature, {FeatureType.VECTOR})
        self.clm_feature = feature_of(clm_feature, {FeatureType.MASK})
        self.is_data_feature = _optional(is_data_feature, FeatureType.MASK)
        self.shadow_feature = _optional(shadow_feature, FeatureType.MASK)
        self.snow_feature = _optional(snow_feature, FeatureType.MASK)
        self.elevation_feature = _optional(elevation_feature, FeatureType.DATA_TIMELESS)
        if not isinstance(settings, WaterLevelSettings):
            raise ConfigurationError(f"settings={settings!r}: give WaterLevelSettings(...).")
        self.settings = settings
        self.bands: tuple[str, ...] = BANDS if bands is None else tuple(bands)
        self._check_bands(describe(self.bands_feature))
        check_scale(scale, ReflectanceScale)
        self.scale: ReflectanceScale | None = scale
        if margin is not None and not 0 <= margin <= 10:
            raise ConfigurationError(f"margin={margin!r}: give a share from 0 to 10, such as 0.1, or None.")
        self.margin = margin

    def _check_bands(self, where: str) -> None:
        band_indices(INDEX_BANDS, self.bands, where=where)
        missing = [name for name in FROZEN_BANDS if name not in self.bands]
        if missing and self.settings.max_frozen_fraction is not None:
            raise BandError(
                f"{where}: to tell ice from water, {', '.join(missing)} are missing. Add them, or measure with"
                " WaterLevelSettings(max_frozen_fraction=None), which takes ice for what it looks like."
            )

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the levels.

        :raises FeatureError: a feature is missing, or of another shape.
        :raises GridError: shapes differ, or the patch has no bounding box.
        :raises ReflectanceError: values that are no reflectance where there is data.
        """
        bands = array_of(eopatch, self.bands_feature, "load or download the bands first")
        if bands.shape[-1] != len(self.bands):
            raise BandError(
                f"{describe(self.bands_feature)} has {bands.shape[-1]} bands where {len(self.bands)} are named: name"
                " them in their order (bands=[...])."
            )
        bbox = bbox_of(eopatch)
        masks = self._masks(eopatch, bands)
        bodies = self._bodies(self._outlines(eopatch), bbox, bands.shape[1:3])
        times = eopatch.timestamps or ()
        dates = [self._measure(eopatch, bands, masks, index, bodies) for index in range(len(times))]
        lakes = [without_hidden_shadows(lake, self.settings) for lake in zip(*dates, strict=True)]
        rows = [
            _row(body, time, lake[index])
            for index, time in enumerate(times)
            for body, lake in zip(bodies, lakes, strict=True)
        ]
        eopatch[self.levels_feature] = _table(rows, bbox)
        return eopatch

    def _outlines(self, eopatch: EOPatch) -> gpd.GeoDataFrame:
        if self.outlines is not None:
            return self.outlines
        assert self.outlines_feature is not None  # one of both is there: see __init__
        return checked_outlines(value_of(eopatch, self.outlines_feature, "add the outlines first"))

    def _masks(self, eopatch: EOPatch, bands: NDArray[Any]) -> _Masks:
        def optional(feature: Feature | None) -> NDArray[np.bool_] | None:
            if feature is None:
                return None
            values = beside(eopatch, feature, bands, self.bands_feature)
            return values if values.dtype == bool else values == 1

        clm = beside(eopatch, self.clm_feature, bands, self.bands_feature)
        if clm.dtype != bool and not np.isin(clm, (0, 1, NO_DATA)).all():
            raise FeatureError(f"{describe(self.clm_feature)} is no cloud mask of 0 clear, 1 cloud, 255 not known.")
        elevation = None
        if self.elevation_feature is not None:
            elevation = array_of(eopatch, self.elevation_feature, "add the elevation first, or leave it out")
            if elevation.shape != (*bands.shape[1:3], 1):
                raise GridError(
                    f"{describe(self.elevation_feature)} has shape {elevation.shape} where {(*bands.shape[1:3], 1)} is"
                    " due: bring it to the grid of the bands."
                )
            elevation = elevation[..., 0]
        if self.is_data_feature is None:
            is_data = np.isfinite(bands).all(axis=-1) if bands.dtype.kind == "f" else (bands != 0).any(axis=-1)
        else:
            is_data = mask_beside(eopatch, self.is_data_feature, bands, self.bands_feature)
        return _Masks(is_data, clm, optional(self.shadow_feature), optional(self.snow_feature), elevation)

    def _bodies(self, outlines: gpd.GeoDataFrame, bbox: BBox, shape: tuple[int, int]) -> list[_Body]:
        """The outlines in the system of the patch, each with its window of pixels."""
        moved = outlines.to_crs(bbox.crs.pyproj_crs())
        return [
            _Body(str(name), str(title), outline, frame_window(outline, bbox, shape, self.margin))
            for name, title, outline in zip(moved[ID], moved[NAME], moved.geometry, strict=True)
        ]

    def _measure(
        self, eopatch: EOPatch, bands: NDArray[Any], masks: _Masks, index: int, bodies: Sequence[_Body]
    ) -> list[WaterMeasurement]:
        """Those of one date, in the order of the bodies."""
        found = []
        where = f"{describe(self.bands_feature)} of {moment(eopatch, index)}"
        box = bbox_of(eopatch)
        transform = pixel_transform((box.min_x, box.min_y, box.max_x, box.max_y), bands.shape[1:3])
        for body in bodies:
            if body.window is None:
                status = MeasurementStatus.INVALID_POLYGON if body.outline.is_empty else MeasurementStatus.NO_DATA
                found.append(WaterMeasurement(status, _NO_WINDOW[status]))
                continue
            frame = self._frame(bands[index][body.window], masks.part(index, body.window), where)
            rows, columns = body.window
            place = _moved(transform, rows.start, columns.start)
            found.append(measure_frame(replace(frame, transform=place), body.outline, self.settings))
        return found

    def _frame(self, pixels: NDArray[Any], masks: _Masks, where: str) -> WaterFrame:
        names = INDEX_BANDS if self.settings.max_frozen_fraction is None else FROZEN_BANDS
        chosen = pixels[..., band_indices(names, self.bands)]
        values = as_reflectance(chosen, masks.is_data[..., np.newaxis], scale=self.scale, where=where)
        spectrum = {name: values[..., position] for position, name in enumerate(names)}
        frozen = masks.snow
        if names is FROZEN_BANDS:
            ice = frozen_mask(*(spectrum[name] for name in FROZEN_BANDS)) & masks.is_data
            frozen = ice if frozen is None else ice | frozen
        return WaterFrame(
            index=water_index(spectrum["B03"], spectrum["B08"], masks.is_data),
            transform=Affine.identity(),
            is_data=masks.is_data,
            cloud=masks.clm == 1,
            cloud_is_known=None if masks.clm.dtype == bool else masks.clm != NO_DATA,
            shadow=masks.shadow,
            frozen=frozen,
            elevation=masks.elevation,
        )


_NO_WINDOW = {
    MeasurementStatus.INVALID_POLYGON: "the outline is empty, or no polygon",
    MeasurementStatus.NO_DATA: "the outline lies beyond the scene",
}


@dataclass(frozen=True, eq=False)
class _Masks:
    """Masks of a patch (t, h, w), or of a window of one frame (h, w)."""

    is_data: NDArray[np.bool_]
    clm: NDArray[Any]
    shadow: NDArray[np.bool_] | None
    snow: NDArray[np.bool_] | None
    elevation: NDArray[Any] | None
    """(h, w)"""

    def part(self, index: int, window: tuple[slice, slice]) -> _Masks:
        """Those of a window of one frame."""

        def cut(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[index][window]

        elevation = None if self.elevation is None else self.elevation[window]
        shadow, snow = cut(self.shadow), cut(self.snow)
        return _Masks(self.is_data[index][window], self.clm[index][window], shadow, snow, elevation)


@dataclass(frozen=True, eq=False)
class _Body:
    """A body of water and where it lies in the patch."""

    id: str
    name: str
    outline: BaseGeometry
    window: tuple[slice, slice] | None
    """Rows and columns of its frame; None where it does not meet the patch."""


def _optional(feature: Feature | None, allowed: FeatureType) -> Feature | None:
    return None if feature is None else feature_of(feature, {allowed})


def frame_window(
    outline: BaseGeometry, bbox: BBox, shape: tuple[int, int], margin: float | None
) -> tuple[slice, slice] | None:
    """Rows and columns of an outline's frame in a patch; None where they do not meet.

    :param outline: In the coordinate system of the patch.
    :param shape: Rows and columns of the patch.
    :param margin: As of `WaterLevelTask`.
    """
    if outline.is_empty or not np.isfinite(outline.bounds).all():
        return None
    left, bottom, right, top = outline.bounds
    height, width = shape
    across, down = (bbox.max_x - bbox.min_x) / width, (bbox.max_y - bbox.min_y) / height
    wider, higher = ((right - left) * (margin or 0), (top - bottom) * (margin or 0))
    first_row, last_row = (bbox.max_y - top - higher) / down, (bbox.max_y - bottom + higher) / down
    first_column, last_column = (left - wider - bbox.min_x) / across, (right + wider - bbox.min_x) / across
    rows = slice(max(0, math.floor(first_row)), min(height, math.ceil(last_row)))
    columns = slice(max(0, math.floor(first_column)), min(width, math.ceil(last_column)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    return (slice(0, height), slice(0, width)) if margin is None else (rows, columns)


def _moved(transform: Affine, row: int, column: int) -> Affine:
    """That of a window which begins at a row and a column."""
    left, top = transform.c + column * transform.a, transform.f + row * transform.e
    return Affine(transform.a, 0.0, left, 0.0, transform.e, top)


def _row(body: _Body, time: Any, found: WaterMeasurement) -> dict[str, Any]:
    return {
        "id": body.id,
        "name": body.name,
        TIME: time,
        "status": found.status.name.lower(),
        "reason": found.reason,
        "level": found.level,
        "level_without_veto": found.level_without_veto,
        "area": found.level * body.outline.area,
        "nominal_area": body.outline.area,
        "threshold": found.threshold,
        "algorithm_status": NO_ALGORITHM if found.algorithm_status is None else int(found.algorithm_status),
        "sensor": str(found.sensor),
        "valid_fraction": found.valid_fraction,
        "cloud_fraction": found.cloud_fraction,
        "water_cloud_fraction": found.water_cloud_fraction,
        "frozen_fraction": found.frozen_fraction,
        "inside_fraction": found.inside_fraction,
        "beyond_fraction": found.beyond_fraction,
        "geometry": found.extent,
    }


def _table(rows: list[dict[str, Any]], bbox: BBox) -> gpd.GeoDataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=bbox.crs.pyproj_crs())

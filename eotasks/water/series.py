"""The test of hidden shadows on a table of levels, whose rows may come from many EOPatches."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
from shapely.geometry.polygon import Polygon

from eotasks.models.water.measure import DEFAULTS, WaterLevelSettings, WaterMeasurement
from eotasks.models.water.series import without_hidden_shadows
from eotasks.models.water.vocabulary import MeasurementStatus
from eotasks.water.columns import NO_ALGORITHM
from eotasks.water.outlines import ID


def levels_without_hidden_shadows(
    levels: gpd.GeoDataFrame, settings: WaterLevelSettings = DEFAULTS
) -> gpd.GeoDataFrame:
    """A table in which each lake is compared with all of its dates, as `without_hidden_shadows` does.

    `eotasks.WaterLevelTask` sees the dates of one EOPatch only. Where those of a lake lie in several, measure with
    ``max_beyond_fraction=None``, put the tables together, and call this.

    :param levels: Table with the columns `eotasks.water.COLUMNS`.
    :return: A copy: dates that a shadow has spoilt are too_cloudy.
    """
    reasons: dict[int, str] = {}
    for positions in levels.groupby(ID).indices.values():
        before = [_measurement(levels, position) for position in positions]
        for position, old, new in zip(positions, before, without_hidden_shadows(before, settings), strict=True):
            if new is not old:
                reasons[int(position)] = new.reason
    return _refused(levels, reasons)


def _measurement(levels: gpd.GeoDataFrame, position: int) -> WaterMeasurement:
    row = levels.iloc[position]
    return WaterMeasurement(
        MeasurementStatus[str(row["status"]).upper()],
        inside_fraction=float(row["inside_fraction"]),
        beyond_fraction=float(row["beyond_fraction"]),
    )


def _refused(levels: gpd.GeoDataFrame, reasons: dict[int, str]) -> gpd.GeoDataFrame:
    """Rows without a level, as the task writes them.

    :param reasons: Position of a row -> why.
    """
    where = np.array(list(reasons), dtype=np.intp)
    result = levels.copy()
    for name, value in (
        ("status", MeasurementStatus.TOO_CLOUDY.name.lower()),
        ("level", np.nan),
        ("level_without_veto", np.nan),
        ("area", np.nan),
        ("threshold", np.nan),
        ("algorithm_status", NO_ALGORITHM),
    ):
        result.iloc[where, result.columns.get_loc(name)] = value
    result.iloc[where, result.columns.get_loc("reason")] = list(reasons.values())
    shapes = result.geometry.to_numpy().copy()
    shapes[where] = Polygon()
    return result.set_geometry(gpd.GeoSeries(shapes, index=result.index, crs=levels.crs))

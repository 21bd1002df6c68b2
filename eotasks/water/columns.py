"""The table of levels: a row for each body of water and date, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import geopandas as gpd
import numpy as np
import pandas as pd

from eotasks.models.water.vocabulary import MeasurementStatus

TIME = "TIMESTAMP"
"""eo-learn's name of the column of times in vectors."""

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "of the body of water, as the outlines have it",
        "name": "of the body of water; empty where the outlines have none",
        TIME: "acquisition, UTC",
        "status": "valid, invalid_data, too_cloudy, request_error, no_data, no_cloud_data, invalid_polygon, frozen",
        "reason": "why there is no level, in words; empty where there is one",
        "level": "measured area over nominal area; 0 is no water, above 1 more than the outline; empty unless valid",
        "level_without_veto": "the level before the veto of an elevation model; empty where there was none",
        "area": "measured area in square units of the coordinate system; empty unless valid",
        "nominal_area": "area of the outline, in the same units",
        "threshold": "NDWI above which a pixel was water; empty unless valid",
        "algorithm_status": "0 no water, Otsu 1 at edges or 2 of the frame, 3 and 4: 0 in their place; -1 unless valid",
        "sensor": "S2_NDWI, or S2_NDWI_DEM with the veto of an elevation model",
        "valid_fraction": "share of the frame's pixels with data",
        "cloud_fraction": "share of the frame's pixels that are cloud",
        "water_cloud_fraction": "share of the outline's pixels under cloud (or shadow, where that is given)",
        "frozen_fraction": "share of the outline's pixels under ice or snow; empty where none was looked for",
        "inside_fraction": "share of the outline's pixels that are water; empty unless measured",
        "beyond_fraction": "water more than two pixels beyond the outline, over the nominal area",
        "geometry": "the measured extent; empty unless valid",
    }
)
"""Column -> what it holds."""

NO_ALGORITHM = -1
"""algorithm_status where no threshold was looked for."""

BLUEDOT_COLUMNS: tuple[str, ...] = (
    "BLUEDOT_WB_ID",
    "BLUEDOT_MEAS_DATE",
    "SAT_IMAGE_DATE",
    "SENSOR_TYPE",
    "MEAS_STATUS",
    "MEAS_ALG_VER",
    "CLOUD_COVERAGE",
    "SURF_WATER_LEVEL",
    "CC_ORIG",
    "CC_CLEAN",
    "ALG_STATUS",
    "GEOMETRY",
    "S3_IMAGE_URL",
)
"""The record of the Water Observatory."""

ALGORITHM = "eotasks"
"""What MEAS_ALG_VER begins with: the original's "v.0.2" would claim its numbers."""


def with_bluedot_names(levels: gpd.GeoDataFrame, *, measured: pd.Timestamp | None = None) -> pd.DataFrame:
    """The table with the columns of the Water Observatory, so that programs that read those go on.

    FROZEN, which it does not know, is 2 (invalid data). BLUEDOT_MEAS_DATE is empty unless given; CC_ORIG, CC_CLEAN and
    S3_IMAGE_URL, which the optical method of the original does not fill either, are empty.

    :param levels: Table with the columns `COLUMNS`.
    :param measured: When it was measured.
    """
    codes = [_code(status) for status in levels["status"]]
    extents = [None if each is None or each.is_empty else each.wkt for each in levels.geometry]
    algorithm = levels["algorithm_status"].astype("Int64")
    return pd.DataFrame(
        {
            "BLUEDOT_WB_ID": levels["id"].to_numpy(),
            "BLUEDOT_MEAS_DATE": pd.Series([measured] * len(levels), dtype="datetime64[ns]"),
            "SAT_IMAGE_DATE": levels[TIME].to_numpy(),
            "SENSOR_TYPE": levels["sensor"].to_numpy(),
            "MEAS_STATUS": np.array(codes, dtype=np.int64),
            "MEAS_ALG_VER": ALGORITHM,
            "CLOUD_COVERAGE": levels["cloud_fraction"].to_numpy(),
            "SURF_WATER_LEVEL": levels["level"].to_numpy(),
            "CC_ORIG": np.nan,
            "CC_CLEAN": np.nan,
            "ALG_STATUS": algorithm.where(algorithm >= 0).to_numpy(),
            "GEOMETRY": pd.Series(extents, dtype=object),
            "S3_IMAGE_URL": pd.Series([None] * len(levels), dtype=object),
        },
        columns=list(BLUEDOT_COLUMNS),
    )


def _code(status: str) -> int:
    code = MeasurementStatus[status.upper()]
    return int(MeasurementStatus.INVALID_DATA if code is MeasurementStatus.FROZEN else code)

"""Small EOPatches of bands for the cloud tasks."""

from __future__ import annotations

import datetime as dt
from typing import Any

from eolearn.core import EOPatch
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

UTM = BBox((500_000, 5_000_000, 500_320, 5_000_240), CRS.UTM_33N)


def patch_of_bands(bands: Any, bbox: BBox = UTM, **masks: Any) -> EOPatch:
    """BANDS (t, h, w, n), five days apart, with masks by their names."""
    start = dt.datetime.fromisoformat("2017-02-16T10:21:01")
    times = [start + dt.timedelta(days=5 * index) for index in range(len(bands))]
    return EOPatch(bbox=bbox, timestamps=times, data={"BANDS": bands}, mask=masks)

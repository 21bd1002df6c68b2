"""Bounding boxes as grids of whole pixels."""

from __future__ import annotations

import math
import numbers

from eolearn.core import EOPatch
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError, GridError
from eotasks.imagery.grid import Grid, parse_crs


def grid_of_bbox(bbox: BBox, resolution: float) -> Grid:
    """The grid that fills a bounding box.

    :param bbox: In a projected CRS (metres).
    :param resolution: Metres.
    :raises GridError: for degrees, or an extent that is no whole number of pixels.
    """
    crs = bbox.crs.ogc_string()
    if parse_crs(crs).is_geographic:
        raise GridError(
            f"Bounding box in {crs}: degrees are no metres. Give it in the UTM zone of the place, such as EPSG:32633."
        )
    return Grid.from_bounds(tuple(bbox), crs, resolution)


def check_resolution(resolution: object) -> None:
    """Refuse what is no size of a pixel.

    :raises ConfigurationError: when it is no number of metres above 0.
    """
    if not isinstance(resolution, numbers.Real) or not 0 < float(resolution) < math.inf:
        raise ConfigurationError(f"resolution={resolution!r}: give a number of metres above 0.")


def bbox_for(eopatch: EOPatch | None, bbox: BBox | None) -> BBox:
    """The bounding box a source fills: the one given, or the EOPatch's.

    :raises GridError: when both are given and differ.
    :raises ConfigurationError: when neither is given.
    """
    known = eopatch.bbox if eopatch is not None else None
    if bbox is not None and known is not None and bbox != known:
        raise GridError(f"Bounding box {tuple(bbox)} is not that of the EOPatch, {tuple(known)}: give one of them.")
    area = bbox if bbox is not None else known
    if area is None:
        raise ConfigurationError("No bounding box: give bbox=..., or an EOPatch that has one.")
    return area

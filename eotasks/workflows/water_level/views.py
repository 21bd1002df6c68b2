"""What pictures of a lake need: its frames with the highest and the lowest level, thinned out to what a page shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from sentinelhub.geometry import BBox
from shapely.geometry.base import BaseGeometry

from eotasks.water.columns import TIME
from eotasks.water.outlines import ID
from eotasks.water.task import FRAME_MARGIN, frame_window

LONGEST_SIDE = 480
"""Pixels of an image that is kept."""

Colors = Callable[[int, tuple[slice, slice]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class FrameView:
    """One date of a lake."""

    time: dt.datetime
    level: float
    colors: NDArray[np.float32]
    """(h, w, 3) reflectance of red, green and blue, NaN without data."""

    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top of the image."""

    extent: BaseGeometry


@dataclass(eq=False)
class LakeView:
    """A lake in the coordinate system of its frames."""

    id: str
    name: str
    crs: str
    outline: BaseGeometry
    frames: dict[str, FrameView] = field(default_factory=dict)
    """"highest" and "lowest"."""


def keep_views(
    views: dict[str, LakeView],
    levels: gpd.GeoDataFrame,
    outlines: gpd.GeoDataFrame,
    bbox: BBox,
    colors: Colors | None,
    most: int,
) -> None:
    """Keeps the frames of a patch that show a higher or a lower level than those kept before.

    :param views: By id; added to.
    :param levels: Table of the patch, in its coordinate system; a row for each date and outline.
    :param most: Lakes of which views are kept.
    """
    if colors is None:
        return
    moved = outlines.to_crs(bbox.crs.pyproj_crs())
    for position in range(len(moved)):
        row = moved.iloc[position]
        mine = levels[levels[ID] == row[ID]].reset_index(drop=True)  # a row for each frame
        valid = mine[mine["status"] == "valid"]
        if valid.empty or (row[ID] not in views and len(views) >= most):
            continue
        view = views.setdefault(row[ID], LakeView(row[ID], row["name"], bbox.crs.ogc_string(), row.geometry))
        for which, index in (("highest", valid["level"].idxmax()), ("lowest", valid["level"].idxmin())):
            found, kept = valid.loc[index], view.frames.get(which)
            sign = 1 if which == "highest" else -1
            if kept is None or sign * found["level"] > sign * kept.level:
                view.frames[which] = _frame(found, int(index), row.geometry, bbox, colors)


def _frame(found: Any, index: int, outline: BaseGeometry, bbox: BBox, colors: Colors) -> FrameView:
    whole = (slice(None), slice(None))
    shape = colors(index, whole).shape[:2]
    window = frame_window(outline, bbox, shape, FRAME_MARGIN)
    assert window is not None  # the level is valid
    image = colors(index, window)
    step = max(1, -(-max(image.shape[:2]) // LONGEST_SIDE))
    rows, columns = window
    across, down = (bbox.max_x - bbox.min_x) / shape[1], (bbox.max_y - bbox.min_y) / shape[0]
    thinned = image[::step, ::step]
    left, top = bbox.min_x + columns.start * across, bbox.max_y - rows.start * down
    bounds = (left, top - thinned.shape[0] * step * down, left + thinned.shape[1] * step * across, top)
    return FrameView(found[TIME].to_pydatetime(), float(found["level"]), thinned, bounds, found["geometry"])

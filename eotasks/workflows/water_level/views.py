"""What pictures of a lake need: its frames with the highest and the lowest level, thinned out to what a page shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sentinelhub.geometry import BBox
from shapely.geometry.base import BaseGeometry

from eotasks.water.columns import TIME
from eotasks.water.outlines import ID
from eotasks.water.task import FRAME_MARGIN, frame_window

LONGEST_SIDE = 480
"""Pixels of an image that is kept."""

CANDIDATES = 3
"""Frames of each kind that are kept while the levels of other EOPatches may still refuse them."""

Colors = Callable[[int, tuple[slice, slice]], NDArray[np.float32]]
Which = Literal["highest", "lowest"]


@dataclass(frozen=True, eq=False)
class FrameView:
    """One date of a lake, in the coordinate system of its EOPatch: those of a lake may lie in several UTM zones."""

    time: dt.datetime
    level: float
    colors: NDArray[np.float32]
    """(h, w, 3) reflectance of red, green and blue, NaN without data."""

    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top of the image."""

    extent: BaseGeometry
    outline: BaseGeometry
    crs: str


@dataclass(eq=False)
class LakeView:
    """A lake in pictures."""

    id: str
    name: str
    candidates: dict[Which, list[FrameView]] = field(default_factory=lambda: {"highest": [], "lowest": []})
    """Of each kind the most extreme first."""

    @property
    def shown(self) -> list[FrameView]:
        """The frames with the highest and the lowest level; one where they are the same, or the other is not kept."""
        found = [frames[0] for frames in self.candidates.values() if frames]
        return found[:1] if len({(each.time, each.level, each.bounds) for each in found}) == 1 else found


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
        view = views.setdefault(row[ID], LakeView(row[ID], row["name"]))
        _keep(view, "highest", valid, row.geometry, bbox, colors)
        _keep(view, "lowest", valid, row.geometry, bbox, colors)


def settle_views(views: dict[str, LakeView], levels: pd.DataFrame) -> None:
    """Drops frames whose level was refused in the end, and lakes of which none is left.

    :param levels: Table of all patches.
    """
    valid = levels[levels["status"] == "valid"]
    there = set(zip(valid[ID], valid[TIME], valid["level"], strict=True))
    for name, view in list(views.items()):
        for which, frames in view.candidates.items():
            view.candidates[which] = [each for each in frames if (name, each.time, each.level) in there]
        if not view.shown:
            del views[name]


def _keep(view: LakeView, which: Which, valid: pd.DataFrame, outline: BaseGeometry, bbox: BBox, colors: Colors) -> None:
    """Adds the extreme frames of a patch to those kept; an image is made only of one that stays."""
    sign = 1 if which == "highest" else -1
    kept = view.candidates[which]
    extreme = valid["level"].sort_values(ascending=which == "lowest", kind="stable")
    for index in extreme.index[:CANDIDATES]:
        if len(kept) == CANDIDATES and sign * extreme[index] <= sign * kept[-1].level:
            break
        kept.append(_frame(valid.loc[index], int(index), outline, bbox, colors))
        kept.sort(key=lambda frame: -sign * frame.level)
        del kept[CANDIDATES:]


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
    return FrameView(
        found[TIME].to_pydatetime(),
        float(found["level"]),
        thinned.copy(),  # not a view of the whole image
        bounds,
        found["geometry"],
        outline,
        bbox.crs.ogc_string(),
    )

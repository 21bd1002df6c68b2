"""Grids of patches as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.area.patches import TOLERANCE, Patch, name_of, whole
from eotasks.area.vector import damage, layers_of, on_disk, read_layer, system_of
from eotasks.durable import atomic_path, make_folder
from eotasks.eopatches.marker import patch_folder
from eotasks.errors import AreaError, GridError, StorageError
from eotasks.geometry.degrees import FARTHEST
from eotasks.geometry.systems import check_ground_metres, require_metres
from eotasks.text import excerpt


def save_patch_grid(patches: Sequence[Patch], path: str | Path) -> None:
    """Writes patches to a GeoPackage, a layer per CRS, with name, row and column; in one operation.

    :raises AreaError: when there are no patches.
    """
    if not patches:
        raise AreaError(f"There are no patches to write to {path}: check the area.")
    target = Path(path)
    make_folder(target.parent)
    with atomic_path(target) as temporary:
        for crs in sorted({patch.crs for patch in patches}):
            members = [patch for patch in patches if patch.crs == crs]
            frame = gpd.GeoDataFrame(
                {
                    "name": [patch.name for patch in members],
                    "row": [patch.row for patch in members],
                    "column": [patch.column for patch in members],
                },
                geometry=[shapely.box(*patch.bbox) for patch in members],
                crs=crs,
            )
            pyogrio.write_dataframe(
                frame, temporary, layer=crs.replace(":", "_"), driver="GPKG", append=temporary.exists()
            )


def read_patch_grid(file: str | Path, resolution: float) -> list[Patch]:
    """Patches of a vector file of boxes (all its layers): one that `save_patch_grid` wrote, or any other.

    Columns ``name``, ``row`` and ``column`` are taken where they are; otherwise rows and columns follow from the
    positions of the boxes, and names from those.

    :param resolution: Size of a pixel in metres.
    :raises AreaError: when the file is missing, unreadable or empty, has names twice, or one that no EOPatch can have.
    :raises GridError: when a CRS is missing, or not in metres of the ground, a polygon is no box, or a box no whole
        number of pixels.
    """
    with on_disk(file) as path, damage(path):
        return _patches_of(path, resolution)


def _patches_of(path: Path, resolution: float) -> list[Patch]:
    patches: list[Patch] = []
    layers = layers_of(path)
    for layer in layers:
        frame = read_layer(path, layer)
        crs = system_of(frame, path)
        require_metres(crs, str(path))
        boxes = [_box(geometry, crs, path, position) for position, geometry in enumerate(frame.geometry)]
        if boxes:
            edges = np.array([tuple(box) for box in boxes])
            extent = (*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0))
            check_ground_metres(crs, extent, str(path), "Make the grid in UTM zones.")
        patches += _grid_patches(frame, boxes, resolution, path, tagged=len(layers) > 1)
    if not patches:
        raise AreaError(f"{path} has no patches: give a file with a box per patch.")
    names = [patch.name for patch in patches]
    try:
        for name in names:
            patch_folder(name)
    except StorageError as error:
        raise AreaError(f"{path}: {error}") from error
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise AreaError(f"{path} has patches of the same name: {', '.join(twice[:5])}. Give each its own.")
    return patches


def _grid_patches(
    frame: gpd.GeoDataFrame, boxes: list[BBox], resolution: float, path: Path, *, tagged: bool
) -> list[Patch]:
    lefts = sorted({box.min_x for box in boxes})
    tops = sorted({box.max_y for box in boxes}, reverse=True)
    patches = []
    for position, box in enumerate(boxes):
        height, width = (whole(extent / resolution) for extent in (box.max_y - box.min_y, box.max_x - box.min_x))
        if not height or not width:
            raise GridError(
                f"{path}: box {position} ({box.max_x - box.min_x} x {box.max_y - box.min_y} m) is no whole number of"
                f" pixels of {resolution} m. Choose another resolution or grid."
            )
        row = _index(frame, "row", position, tops.index(box.max_y), path)
        column = _index(frame, "column", position, lefts.index(box.min_x), path)
        tag = box.crs.ogc_string().partition(":")[2] if tagged else None
        name = name_of(row, column, tag)
        if "name" in frame:
            given = frame["name"].iloc[position]
            name = "" if pd.isna(given) else str(given)
        patches.append(Patch(name, box, row, column, height, width))
    return patches


def _index(frame: gpd.GeoDataFrame, column: str, position: int, default: int, path: Path) -> int:
    if column not in frame:
        return default
    value = frame[column].iloc[position]
    try:
        if abs(number := int(value)) > FARTHEST:
            raise ValueError(number)
        return number
    except (TypeError, ValueError, OverflowError) as error:
        raise GridError(
            f"{path}: {column} of patch {position} is {excerpt(value)}: give whole numbers, or leave the column out."
        ) from error


def _box(geometry: Any, crs: CRS, path: Path, position: int) -> BBox:
    if geometry is None or geometry.is_empty:
        raise GridError(f"{path}: patch {position} has no geometry: remove it from the file.")
    if not np.abs(geometry.bounds).max() < FARTHEST:  # NaN and infinity too
        raise GridError(f"{path}: patch {position} is no place in {crs.ogc_string()}: check its coordinates.")
    box = shapely.box(*geometry.bounds)
    if abs(box.area - geometry.area) > TOLERANCE * box.area:
        raise GridError(f"{path}: patch {position} is no box along the axes of {crs.ogc_string()}: give boxes.")
    return BBox(geometry.bounds, crs)

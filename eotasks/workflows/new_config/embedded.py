"""Areas inside of the embedded scene: patches that lie in it, for sources that have no other ground."""

from __future__ import annotations

import math
from typing import TypeAlias

import shapely
from sentinelhub.geometry import Geometry

from eotasks.area import Patch, split_area
from eotasks.errors import AreaError
from eotasks.sources.sample import SAMPLE_BBOX

Box: TypeAlias = tuple[int, int, int, int]
"""West, south, east, north in the coordinate system of the scene."""

_SIDES = {10: (2560, 1280, 640, 320), 20: (2560, 1280, 640, 320), 60: (1920, 960, 480)}
"""Metres that a patch may measure, by the size of its pixels: both sides of the scene are whole numbers of them. The
first with so many patches or more is taken:"""
_PATCHES = 8


def inside_of_scene(area: Geometry, *, resolution: int, source: str) -> tuple[int, list[Patch], Box | None]:
    """The side of patches in metres, the patches, and the box to split where those of the UTM grid reach beyond the
    scene; None where they do not.

    :param resolution: Metres of a pixel: 10, 20 or 60.
    :param source: That has this ground only, for the message.
    :raises AreaError: when the area lies outside of the scene, wholly or in part.
    """
    scene, crs = SAMPLE_BBOX.geometry, SAMPLE_BBOX.crs
    shape = area.transform(crs).geometry
    if not shape.within(scene):
        raise AreaError(
            f"The area, {tuple(round(value) for value in shape.bounds)} in {crs.ogc_string()}, does not lie inside of"
            f" the embedded scene, {tuple(SAMPLE_BBOX)} in {crs.ogc_string()}, which has the only pixels and labels of"
            f" source {source!r}: choose one inside of it, or leave out --source to read products of your own area."
        )
    for side in _SIDES[resolution]:
        patches, box = split_area(area, patch_size=side, resolution=resolution), None
        if not all(patch.bbox.geometry.within(scene) for patch in patches):
            box = _whole_box(shape.bounds, side)
            around = Geometry(shapely.box(*box), crs)
            patches = split_area(around, patch_size=side, resolution=resolution, grid="bbox")
        if len(patches) >= _PATCHES:
            break
    return side, patches, box


def _whole_box(bounds: tuple[float, float, float, float], side: int) -> Box:
    """The smallest box of whole patches around bounds, on the lattice that begins in the corner of the scene."""
    left, bottom = round(SAMPLE_BBOX.min_x), round(SAMPLE_BBOX.min_y)
    west, south, east, north = bounds
    return (
        left + math.floor((west - left) / side) * side,
        bottom + math.floor((south - bottom) / side) * side,
        left + math.ceil((east - left) / side) * side,
        bottom + math.ceil((north - bottom) / side) * side,
    )

"""An area split into patches."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence

import numpy as np
import shapely
from sentinelhub.areas import UtmZoneSplitter
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry
from shapely.geometry.base import BaseGeometry

from eotasks.area.patches import Patch, name_of, whole
from eotasks.area.polygons import GridName
from eotasks.area.vector import damage
from eotasks.errors import AreaError, ConfigurationError
from eotasks.geometry.antimeridian import boxes_of, could_be_degrees, crosses
from eotasks.geometry.degrees import to_degrees
from eotasks.geometry.systems import check_ground_metres, in_degrees, in_metres, require_metres
from eotasks.limits import GRID_PIXELS, PATCHES
from eotasks.text import did_you_mean

LOGGER = logging.getLogger(__name__)

_METRES_OF_DEGREE = 111_320.0
_UTM_LATITUDES = (-80.0, 84.0)


def split_area(area: Geometry, *, patch_size: float, resolution: float, grid: GridName = "utm") -> list[Patch]:
    """Splits an area into patches; patches without any of the area are left out.

    ``utm``: the lattice of multiples of ``patch_size`` in each UTM zone (`sentinelhub.UtmZoneSplitter`), in the order
    of the splitter, column after column from the south: an index that other people publish for it stays valid.
    ``bbox``: rows and columns from the top left corner of the area's own box, in its own CRS, row after row. Patches at
    the right and at the bottom are cut off at the box, on whole pixels.

    :param patch_size: Side of a patch in metres, a whole number of pixels.
    :param resolution: Size of a pixel in metres.
    :return: Patches named ``patch_r03_c05`` (row 0 = north), with the EPSG code when there are several UTM zones.
    :raises ConfigurationError: when the patch size is no whole number of pixels, has too many of them, or the grid is
        unknown.
    :raises AreaError: when the area has too many patches, reaches beyond UTM (80 degrees south to 84 north), or is
        smaller than a pixel, of numbers that are degrees.
    :raises GridError: when ``bbox`` meets a CRS that is not in metres of the ground.
    """
    side = patch_size / resolution if resolution > 0 else math.nan
    if side * side > GRID_PIXELS.value:
        raise ConfigurationError(
            f"A patch of {patch_size} m has {side:,.0f} x {side:,.0f} pixels of {resolution} m, {GRID_PIXELS.excess()}:"
            " choose a smaller patch or a larger pixel."
        )
    pixels = whole(side)
    if not pixels or pixels < 1:
        raise ConfigurationError(
            f"A patch of {patch_size} m is no whole number of pixels of {resolution} m: choose a multiple."
        )
    with damage("The area"):
        _check_size(area, resolution)
        if grid == "utm":
            degrees = to_degrees(area.geometry, area.crs.ogc_string())
            _check_count(degrees, CRS.WGS84, patch_size)
            return _utm_patches(_without_jumps(area, degrees), patch_size, pixels)
        if grid == "bbox":
            return _bbox_patches(area, resolution, pixels)
    raise ConfigurationError(f"Grid {grid!r} is unknown{did_you_mean(grid, ('utm', 'bbox'))}: choose 'utm' or 'bbox'.")


def select_block(patches: Sequence[Patch], centre: str | int, radius: int = 2) -> list[Patch]:
    """The block of patches around one, row after row from the north-west: 25 patches for a radius of 2.

    :param patches: Patches of one grid.
    :param centre: Name of the patch in the middle, or its position in ``patches``.
    :param radius: Number of patches on each side.
    :raises AreaError: when there is no such patch. A block that the area's border cuts off is only logged.
    """
    middle = _find(patches, centre)
    block = [
        patch
        for patch in patches
        if patch.crs == middle.crs
        and abs(patch.row - middle.row) <= radius
        and abs(patch.column - middle.column) <= radius
    ]
    if len(block) != (2 * radius + 1) ** 2:
        LOGGER.warning(
            "The block of radius %d around %s has %d patches instead of %d: it reaches over the border of the area.",
            radius,
            middle.name,
            len(block),
            (2 * radius + 1) ** 2,
        )
    return sorted(block, key=lambda patch: (patch.row, patch.column))


def _check_size(area: Geometry, resolution: float) -> None:
    """Refuse numbers of degrees in a system of metres: an area of less than a pixel, near where the system begins."""
    left, bottom, right, top = area.geometry.bounds
    metres = in_metres(area.crs) and max(right - left, top - bottom) < resolution
    if metres and could_be_degrees(area.geometry.bounds):
        raise AreaError(
            f"The area {area.geometry.bounds} is smaller than a pixel of {resolution:g} m in {area.crs.ogc_string()}:"
            " its numbers are degrees. Give crs='EPSG:4326', and grid 'utm'."
        )


def _check_count(area: BaseGeometry, crs: CRS, patch_size: float) -> None:
    """Refuse an area of more patches than can be listed, counted over its box: that is where they are looked for."""
    sides = [
        ((east - west) * _METRES_OF_DEGREE * _narrowest(south, north), (north - south) * _METRES_OF_DEGREE)
        for west, south, east, north in (boxes_of(area) if in_degrees(crs) else ())
    ] or [(area.bounds[2] - area.bounds[0], area.bounds[3] - area.bounds[1])]
    count = sum(wide / patch_size * (high / patch_size) for wide, high in sides)
    if count > PATCHES.value:
        raise AreaError(
            f"The area reaches over {sum(wide for wide, _ in sides) / 1000:,.0f} x"
            f" {max(high for _, high in sides) / 1000:,.0f} km: some {count:,.0f} patches of {patch_size:g} m,"
            f" {PATCHES.excess()}. Give a smaller area, or larger patches."
        )


def _narrowest(south: float, north: float) -> float:
    """How much a degree of longitude is shorter than one at the equator, at the widest between two latitudes."""
    return 1.0 if south <= 0 <= north else math.cos(math.radians(min(abs(south), abs(north))))


def _without_jumps(area: Geometry, degrees: BaseGeometry) -> Geometry:
    """The area as the splitter of UTM zones can take it: over the antimeridian it has to be in degrees, and cut.

    :raises AreaError: when it reaches beyond UTM, where the splitter has no patches.
    """
    south, north = degrees.bounds[1], degrees.bounds[3]
    low, high = _UTM_LATITUDES
    if south < low or north > high:
        raise AreaError(
            f"The area reaches from latitude {south:.10g} to {north:.10g}; UTM zones end at {low:g} and {high:g}."
            " Give a smaller area, or one in a polar system, such as EPSG:3413 or EPSG:3031, with grid 'bbox'."
        )
    if area.crs is CRS.WGS84 or crosses(degrees):
        return Geometry(degrees, CRS.WGS84)
    return area


def _utm_patches(area: Geometry, patch_size: float, pixels: int) -> list[Patch]:
    with warnings.catch_warnings():  # sentinelhub 3.12 calls a function that shapely 2.2 has deprecated
        warnings.filterwarnings("ignore", message=r"The 'shapely.ops.transform\(\)' function is deprecated")
        boxes = UtmZoneSplitter([area.geometry], area.crs, bbox_size=patch_size).get_bbox_list()
    zones = {box.crs for box in boxes}
    corner = {
        zone: (min(box.min_x for box in boxes if box.crs is zone), max(box.max_y for box in boxes if box.crs is zone))
        for zone in zones
    }
    patches = []
    for box in boxes:
        left, top = corner[box.crs]
        row, column = round((top - box.max_y) / patch_size), round((box.min_x - left) / patch_size)
        tag = box.crs.ogc_string().partition(":")[2] if len(zones) > 1 else None
        patches.append(Patch(name_of(row, column, tag), box, row, column, pixels, pixels))
    return patches


def _bbox_patches(area: Geometry, resolution: float, pixels: int) -> list[Patch]:
    require_metres(area.crs, "The area")
    _check_count(area.geometry, area.crs, resolution * pixels)
    check_ground_metres(area.crs, area.geometry.bounds, "The area", "Use grid 'utm', or bring the area to a UTM zone.")
    left, bottom, right, top = area.geometry.bounds
    total_width, total_height = (_whole_or_more(extent / resolution) for extent in (right - left, top - bottom))
    shapely.prepare(area.geometry)
    patches = []
    for row, first_row in enumerate(range(0, total_height, pixels)):
        for column, first_column in enumerate(range(0, total_width, pixels)):
            height, width = min(pixels, total_height - first_row), min(pixels, total_width - first_column)
            x, y = left + first_column * resolution, top - first_row * resolution
            bounds = (x, y - height * resolution, x + width * resolution, y)
            if area.geometry.intersection(shapely.box(*bounds)).area > 0:
                patches.append(Patch(name_of(row, column), BBox(bounds, area.crs), row, column, height, width))
    return patches


def _find(patches: Sequence[Patch], centre: str | int) -> Patch:
    if isinstance(centre, str):
        found = next((patch for patch in patches if patch.name == centre), None)
    else:
        found = patches[centre] if 0 <= centre < len(patches) else None
    if found is None:
        raise AreaError(f"There is no patch {centre!r} among the {len(patches)} patches: check the name or number.")
    return found


def _whole_or_more(value: float) -> int:
    return whole(value) or int(np.ceil(value))

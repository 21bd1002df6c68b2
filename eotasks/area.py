"""From an area of interest to patches: boxes of a whole number of pixels, named by row and column."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely
from sentinelhub.areas import UtmZoneSplitter
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry

from eotasks.durable import atomic_path, make_folder
from eotasks.eopatches.marker import patch_folder
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, GridError, StorageError, reason_of
from eotasks.limits import GRID_PIXELS, PATCHES, VECTOR_BYTES, VECTOR_FEATURES
from eotasks.reading import check_regular
from eotasks.storage.local_copy import local_path_of
from eotasks.storage.location import is_s3
from eotasks.text import did_you_mean, excerpt

LOGGER = logging.getLogger(__name__)

_FARTHEST = 1e9
"""Units of any coordinate system, and patches from the edge of any grid: what lies farther away is a mistake."""

_TOLERANCE = 1e-6
"""Of a pixel: what an extent may miss a whole number of pixels by."""

_METRES_OF_DEGREE = 111_320.0


@dataclass(frozen=True)
class Patch:
    """One box of the grid that an area is worked through in."""

    name: str
    """Unique among the patches of a run; also the name of its EOPatch in storage."""

    bbox: BBox
    """Extent in a CRS in metres."""

    row: int
    """Row of the grid, 0 = north."""

    column: int
    """Column of the grid, 0 = west."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    @property
    def crs(self) -> str:
        """Such as ``EPSG:32633``."""
        return str(self.bbox.crs.ogc_string())


def read_area(
    *,
    file: str | Path | None = None,
    bbox: Sequence[float] | None = None,
    crs: str | int | CRS | None = None,
    buffer: float = 0,
) -> Geometry:
    """The area of interest: the union of all polygons of a vector file, or a bounding box.

    :param file: Any vector file that GDAL reads, on disk or ``s3://bucket/key``; points and lines become an area by a
        buffer only.
    :param bbox: ``(min x, min y, max x, max y)``; longitude is x.
    :param crs: CRS of the bounding box, or of a file that has none, such as ``"EPSG:32633"`` or 32633.
    :param buffer: Metres added all around (a negative one takes away).
    :return: The area in the CRS of the file or box.
    :raises ConfigurationError: unless exactly one of ``file`` and ``bbox`` is given.
    :raises AreaError: when the file is missing, unreadable or empty, or the area is.
    :raises GridError: when there is no CRS, or another one than the file has.
    """
    if (file is None) == (bbox is None):
        raise ConfigurationError("An area is either a file or a bbox: give exactly one of them.")
    if file is not None:
        with _on_disk(file) as path, _damage(path):
            geometry, system = _read_file(path, None if crs is None else _crs(crs))
        what = str(file)
    else:
        geometry, system = _read_bbox(bbox or (), crs)
        what = f"bbox {list(bbox or ())}"
    with _damage(what):
        if not geometry.is_empty and not np.abs(geometry.bounds).max() < _FARTHEST:
            raise AreaError(f"{what} reaches to {geometry.bounds}, where no place is: check its coordinates.")
        if buffer:
            geometry = _buffered(geometry, system, buffer)
        polygonal = _polygons(geometry)
    if polygonal.is_empty:
        raise AreaError(f"{what} with a buffer of {buffer} m has no area: give polygons, or a larger buffer.")
    return Geometry(polygonal, system)


def split_area(
    area: Geometry, *, patch_size: float, resolution: float, grid: Literal["utm", "bbox"] = "utm"
) -> list[Patch]:
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
    :raises AreaError: when the area has too many patches.
    :raises GridError: when ``bbox`` meets a CRS that is not in metres.
    """
    side = patch_size / resolution if resolution > 0 else math.nan
    if side * side > GRID_PIXELS.value:
        raise ConfigurationError(
            f"A patch of {patch_size} m has {side:,.0f} x {side:,.0f} pixels of {resolution} m, {GRID_PIXELS.excess()}:"
            " choose a smaller patch or a larger pixel."
        )
    pixels = _whole(side) if math.isfinite(side) else None
    if not pixels or pixels < 1:
        raise ConfigurationError(
            f"A patch of {patch_size} m is no whole number of pixels of {resolution} m: choose a multiple."
        )
    if grid == "utm":
        _check_count(area, patch_size)
        return _utm_patches(area, patch_size, pixels)
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
    :raises GridError: when a CRS is missing or not in metres, a polygon is no box, or a box no whole number of pixels.
    """
    with _on_disk(file) as path, _damage(path):
        return _patches_of(path, resolution)


def _patches_of(path: Path, resolution: float) -> list[Patch]:
    patches: list[Patch] = []
    layers = _layers(path)
    for layer in layers:
        frame = _read_layer(path, layer)
        crs = _crs_of(frame, path, None)
        _require_metres(crs, str(path))
        boxes = [_box(geometry, crs, path, position) for position, geometry in enumerate(frame.geometry)]
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


def _check_count(area: Geometry, patch_size: float) -> None:
    """Refuse an area of more patches than can be listed, counted over its box: that is where they are looked for."""
    left, bottom, right, top = area.geometry.bounds
    metres = 1.0 if area.crs.pyproj_crs().is_projected else _METRES_OF_DEGREE
    count = (right - left) * metres / patch_size * ((top - bottom) * metres / patch_size)
    if count > PATCHES.value:
        raise AreaError(
            f"The area reaches over {(right - left) * metres / 1000:,.0f} x {(top - bottom) * metres / 1000:,.0f} km:"
            f" some {count:,.0f} patches of {patch_size:g} m, {PATCHES.excess()}. Give a smaller area, or larger"
            " patches."
        )


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
        patches.append(Patch(_name(row, column, tag), box, row, column, pixels, pixels))
    return patches


def _bbox_patches(area: Geometry, resolution: float, pixels: int) -> list[Patch]:
    _require_metres(area.crs, "The area")
    _check_count(area, resolution * pixels)
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
                patches.append(Patch(_name(row, column), BBox(bounds, area.crs), row, column, height, width))
    return patches


def _grid_patches(
    frame: gpd.GeoDataFrame, boxes: list[BBox], resolution: float, path: Path, *, tagged: bool
) -> list[Patch]:
    lefts = sorted({box.min_x for box in boxes})
    tops = sorted({box.max_y for box in boxes}, reverse=True)
    patches = []
    for position, box in enumerate(boxes):
        height, width = (_whole(extent / resolution) for extent in (box.max_y - box.min_y, box.max_x - box.min_x))
        if not height or not width:
            raise GridError(
                f"{path}: box {position} ({box.max_x - box.min_x} x {box.max_y - box.min_y} m) is no whole number of"
                f" pixels of {resolution} m. Choose another resolution or grid."
            )
        row = _index(frame, "row", position, tops.index(box.max_y), path)
        column = _index(frame, "column", position, lefts.index(box.min_x), path)
        tag = box.crs.ogc_string().partition(":")[2] if tagged else None
        name = _name(row, column, tag)
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
        if abs(number := int(value)) > _FARTHEST:
            raise ValueError(number)
        return number
    except (TypeError, ValueError, OverflowError) as error:
        raise GridError(
            f"{path}: {column} of patch {position} is {excerpt(value)}: give whole numbers, or leave the column out."
        ) from error


def _name(row: int, column: int, zone: str | None = None) -> str:
    return f"patch_{zone}_r{row:02d}_c{column:02d}" if zone else f"patch_r{row:02d}_c{column:02d}"


def _find(patches: Sequence[Patch], centre: str | int) -> Patch:
    if isinstance(centre, str):
        found = next((patch for patch in patches if patch.name == centre), None)
    else:
        found = patches[centre] if 0 <= centre < len(patches) else None
    if found is None:
        raise AreaError(f"There is no patch {centre!r} among the {len(patches)} patches: check the name or number.")
    return found


@contextmanager
def _on_disk(file: str | Path) -> Iterator[Path]:
    """The file, or a copy of it when it is on S3; messages name what was asked for."""
    path = Path(local_path_of(file))
    try:
        yield path
    except (AreaError, GridError) as error:
        if not is_s3(file):
            raise
        raise type(error)(str(error).replace(str(path), str(file))) from error


@contextmanager
def _damage(what: str | Path) -> Iterator[None]:
    """Names the file when GDAL, GEOS or PROJ stumble over places that are none, or over damage."""
    try:
        yield
    except EOTasksError:
        raise
    except (OverflowError, RuntimeError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise AreaError(f"{what} cannot be read as an area ({reason_of(error)}): check its coordinates.") from error


def _read_file(path: Path, crs: CRS | None) -> tuple[Any, CRS]:
    frames = [_read_layer(path, layer) for layer in _layers(path)]
    frames = [frame for frame in frames if not frame.geometry.isna().all()]
    if not frames:
        raise AreaError(f"{path} is empty: give a file with at least one polygon.")
    system = _crs_of(frames[0], path, crs)
    geometries = [
        geometry
        for frame in frames
        for geometry in _as_valid(frame.to_crs(system.pyproj_crs()) if frame.crs is not None else frame)
    ]
    return shapely.union_all(geometries), system


def _as_valid(frame: gpd.GeoDataFrame) -> Iterable[Any]:
    return (shapely.make_valid(geometry) for geometry in frame.geometry if geometry is not None)


def _layers(path: Path) -> list[str]:
    if not path.exists():
        raise AreaError(f"{path} is not there: check the path.")
    try:
        if not path.is_dir():  # as some formats are
            check_regular(path, VECTOR_BYTES)
    except OSError as error:
        raise AreaError(f"{path} cannot be read as a vector file ({error.strerror}): give another one.") from error
    try:
        return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        raise AreaError(
            f"{path} cannot be read as a vector file ({reason_of(error)}): give GeoPackage or GeoJSON."
        ) from error


def _read_layer(path: Path, layer: str) -> gpd.GeoDataFrame:
    try:
        # Counted before: a bound of the reading itself takes room for as many as may come.
        count = pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"]
        if count > VECTOR_FEATURES.value:
            raise AreaError(f"{path}, layer {layer!r}: {VECTOR_FEATURES.excess(count)}. Give a file of the area alone.")
        return pyogrio.read_dataframe(path, layer=layer, columns=["name", "row", "column"])
    except AreaError:  # a ValueError too
        raise
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise AreaError(f"{path}, layer {layer!r} cannot be read ({reason_of(error)}): check the file.") from error


def _crs_of(frame: gpd.GeoDataFrame, path: Path, given: CRS | None) -> CRS:
    if frame.crs is None:
        if given is None:
            raise GridError(f"{path} has no CRS: give one (crs), or write it into the file.")
        return given
    system = _crs(frame.crs)
    if given is not None and given != system:
        raise GridError(
            f"{path} is in {system.ogc_string()}, not in {given.ogc_string()}: leave out crs, or reproject the file."
        )
    return system


def _read_bbox(bbox: Sequence[float], crs: str | int | CRS | None) -> tuple[Any, CRS]:
    if crs is None:
        raise GridError(f"The bbox {list(bbox)} has no CRS: give one, such as crs='EPSG:32633'.")
    values = [float(value) for value in bbox]
    if len(values) != 4 or not np.isfinite(values).all():
        raise AreaError(f"The bbox {list(bbox)} is none: give min x, min y, max x, max y.")
    if values[0] >= values[2] or values[1] >= values[3]:
        raise AreaError(f"The bbox {values} is empty: give min x, min y, max x, max y, each minimum below its maximum.")
    return shapely.box(*values), _crs(crs)


def _crs(value: Any) -> CRS:
    """Sentinelhub's CRS of an EPSG code or a pyproj CRS (by its code: sentinelhub warns of latitude-first axes)."""
    try:
        code = value.to_epsg() if isinstance(value, pyproj.CRS) else value
        system = CRS(code)
        system.pyproj_crs()  # any number is taken until it is used
    except (ValueError, TypeError, pyproj.exceptions.CRSError) as error:
        name = value.name if isinstance(value, pyproj.CRS) else value
        raise GridError(
            f"The CRS {str(name)!r} has no known EPSG code: use one that has, such as EPSG:32633 (reproject a file)."
        ) from error
    return system


def _in_metres(crs: CRS) -> bool:
    system = crs.pyproj_crs()
    return bool(system.is_projected and all(axis.unit_name == "metre" for axis in system.axis_info))


def _require_metres(crs: CRS, what: str) -> None:
    if not _in_metres(crs):
        raise GridError(f"{what} is in {crs.ogc_string()}, which is not in metres: use a UTM zone, or grid 'utm'.")


def _buffered(geometry: Any, crs: CRS, buffer: float) -> Any:
    """A buffer in metres, in the CRS itself or, where that is in degrees, in the UTM zone of the middle."""
    if _in_metres(crs):
        return geometry.buffer(buffer)
    middle = _reprojected(geometry, crs, CRS.WGS84).centroid
    utm = CRS.get_utm_from_wgs84(middle.x, middle.y)
    return _reprojected(_reprojected(geometry, crs, utm).buffer(buffer), utm, crs)


def _reprojected(geometry: Any, source: CRS, target: CRS) -> Any:
    return gpd.GeoSeries([geometry], crs=source.pyproj_crs()).to_crs(target.pyproj_crs()).iloc[0]


def _polygons(geometry: Any) -> Any:
    parts = [part for part in shapely.get_parts(geometry) if part.area > 0]
    polygons = [piece for part in parts for piece in shapely.get_parts(part) if piece.area > 0]
    return shapely.union_all(polygons)


def _box(geometry: Any, crs: CRS, path: Path, position: int) -> BBox:
    if geometry is None or geometry.is_empty:
        raise GridError(f"{path}: patch {position} has no geometry: remove it from the file.")
    if not np.abs(geometry.bounds).max() < _FARTHEST:  # NaN and infinity too
        raise GridError(f"{path}: patch {position} is no place in {crs.ogc_string()}: check its coordinates.")
    box = shapely.box(*geometry.bounds)
    if abs(box.area - geometry.area) > _TOLERANCE * box.area:
        raise GridError(f"{path}: patch {position} is no box along the axes of {crs.ogc_string()}: give boxes.")
    return BBox(geometry.bounds, crs)


def _whole(value: float) -> int | None:
    nearest = round(value)
    return nearest if abs(value - nearest) <= _TOLERANCE else None


def _whole_or_more(value: float) -> int:
    return _whole(value) or int(np.ceil(value))

"""Labels on the grid of a patch, from vector and raster files of any label set. Knows no EOPatch.

A label is a class id 1..255; 0 is unlabelled, and never a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError
from rasterio.enums import MaskFlags, Resampling
from rasterio.vrt import WarpedVRT

from eotasks.errors import (
    ConfigurationError,
    EOTasksError,
    GeometryError,
    GridError,
    ImageryError,
    ReferenceDataError,
    reason_of,
)
from eotasks.geometry import repair
from eotasks.geometry.geoparquet import describe_geoparquet, is_geoparquet, read_geoparquet, values_of
from eotasks.geometry.packed import path_for_gdal
from eotasks.geometry.vector_head import check_vector, layer_info
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.limits import VECTOR_FEATURES
from eotasks.models.rasters import Bounds, pixel_transform
from eotasks.reference.places import in_one_form, reprojected, window_of
from eotasks.storage.local_copy import local_path_of
from eotasks.storage.location import is_s3
from eotasks.text import did_you_mean, excerpt

Overlap = Literal["smallest", "largest", "last", "exclude"]
"""Who gets a pixel where polygons overlap: the polygon of smallest or largest area, the last of the file, or nobody."""

ClassMapping = Mapping[Any, int]
"""From values of the source (numbers or text) to class ids 1..255; a value mapped to 0 is left unlabelled."""

_MAX_ID = 255
_TOLERANCE = 1e-3
"""Share of a pixel by which GDAL may miss the place of a pixel when it warps. (0 makes GDAL 3.10 fail.)"""

_SHOWN = 12

_DAMAGE = (*GDAL_ERRORS, RuntimeError, ValueError, OverflowError, shapely.errors.ShapelyError)
"""What GDAL (pyogrio), GEOS and PROJ raise over damaged files and places that are none."""


@dataclass(frozen=True)
class _Layer:
    """Of a vector file."""

    name: str
    crs: str
    count: int
    """Of its features, as the file says."""
    fields: list[str]

    extent: Bounds | None
    """Of all of them, where the file says it."""


@dataclass(frozen=True)
class LabelGrid:
    """The pixels that labels are made for."""

    crs: str
    """Coordinate system, as rasterio and pyproj read it (EPSG:32633)."""

    bounds: Bounds
    """left, bottom, right, top in units of the coordinate system."""

    shape: tuple[int, int]
    """Rows and columns."""

    @property
    def transform(self) -> Affine:
        """From (column, row) to coordinates."""
        return pixel_transform(self.bounds, self.shape)


def check_mapping(classes: ClassMapping | None) -> dict[Any, int] | None:
    """A mapping from source values to class ids, checked and copied.

    :raises ConfigurationError: when it is empty, names a value twice (1 and "1"), or an id outside 0..255.
    """
    if classes is None:
        return None
    if not classes:
        raise ConfigurationError("classes is empty: map at least one value of the labels to a class id.")
    for value, label in classes.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label <= _MAX_ID:
            raise ConfigurationError(f"classes maps {value!r} to {label!r}: give a class id from 0 to {_MAX_ID}.")
    twice = [text for text, count in Counter(map(str, classes)).items() if count > 1]
    if twice:
        raise ConfigurationError(f"classes names the value {twice[0]!r} twice, as number and as text: keep one.")
    return {value: int(label) for value, label in classes.items()}


def check_overlap(overlap: str) -> None:
    """:raises ConfigurationError: when it is no rule for overlapping polygons."""
    if overlap not in get_args(Overlap):
        raise ConfigurationError(f"overlap={overlap!r} is not known: use {', '.join(get_args(Overlap))}.")


def check_vector_labels(
    path: str | Path,
    *,
    layer: str | None = None,
    column: str,
    classes: ClassMapping | None = None,
    ignore_unmapped: bool = False,
) -> dict[int, int]:
    """Look through a whole vector file before the work starts; geometries are not read.

    :return: Number of polygons per class id; 0 counts those that will stay unlabelled.
    :raises ReferenceDataError: as :func:`read_polygons` and :func:`class_ids` do.
    :raises GridError: when the file does not say its coordinate system.
    """
    described = _describe_vector(path, layer, column)
    values = _read_column(path, described, column, read_geometry=False)[column]
    ids = class_ids(values, check_mapping(classes), f"column {column!r} of {path}", ignore_unmapped=ignore_unmapped)
    found, counts = np.unique(ids, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def vector_label_values(
    path: str | Path, *, layer: str | None = None, column: str | None = None
) -> tuple[str, list[Any]]:
    """The column with the labels of a vector file, and its values, each once, in order; geometries are not read.

    :param column: None: the only one that there is.
    :raises ReferenceDataError: when file, layer or column are missing, the file is damaged, or has several columns and
        none is named.
    """
    if column is None:
        fields = _describe_vector(path, layer, None).fields
        if not fields:
            raise ReferenceDataError(f"The label file {path} has no column: give one of polygons with a class each.")
        if len(fields) != 1:
            raise ReferenceDataError(f"The label file {path} has the columns {_shorten(fields)}: say which one.")
        column = fields[0]
    values = _read_column(path, _describe_vector(path, layer, column), column, read_geometry=False)[column]
    return column, sorted(values.dropna().unique().tolist(), key=str)


def read_polygons(path: str | Path, grid: LabelGrid, *, layer: str | None = None, column: str) -> gpd.GeoDataFrame:
    """Read the polygons of a vector file that lie in or near the grid, in the file's own coordinate system and order.

    :param path: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet, KML, GML, GPX or File Geodatabase, on disk or,
        of one file, ``s3://bucket/key``.
    :param layer: Layer; may be left out where the file has one.
    :param column: Column with the label values; the only one that is read.
    :raises ReferenceDataError: when file, layer or column are missing, or the file is damaged.
    :raises GridError: when the file does not say its coordinate system.
    """
    described = _describe_vector(path, layer, column)
    try:
        bbox = window_of(grid.crs, grid.bounds, described.crs, described.extent)
    except _DAMAGE as error:
        raise ReferenceDataError(f"The labels in {path} lie at no place ({reason_of(error)}): replace it.") from error
    # A spatial index may hand the features over in its own order.
    return _read_column(path, described, column, bbox=bbox, fid_as_index=True).sort_index()


def _read_column(path: str | Path, layer: _Layer, column: str, **options: Any) -> Any:
    most = VECTOR_FEATURES.value
    if layer.count > most:  # not otherwise: room is taken for as many as may come
        options["max_features"] = most + 1
    file = local_path_of(path)
    try:
        if is_geoparquet(file):
            return _geoparquet_column(file, column, options.get("bbox"), options.get("read_geometry", True))
        frame = pyogrio.read_dataframe(path_for_gdal(file), layer=layer.name, columns=[column], **options)
    except _DAMAGE as error:
        raise ReferenceDataError(f"Cannot read the labels in {path} ({reason_of(error)}): replace the file.") from error
    if len(frame) > most:
        raise ReferenceDataError(f"The label file {path}: {VECTOR_FEATURES.excess()}. Give a file of the area alone.")
    return frame


def _geoparquet_column(file: str | Path, column: str, bbox: Bounds | None, read_geometry: bool) -> Any:
    if not read_geometry:
        return values_of(file, column).to_frame()
    frame = read_geoparquet(file, [column])
    return frame if bbox is None else frame[frame.intersects(shapely.box(*bbox))]


def rasterize_polygons(
    frame: gpd.GeoDataFrame,
    ids: NDArray[np.integer],
    grid: LabelGrid,
    *,
    overlap: Overlap = "smallest",
    all_touched: bool = False,
) -> NDArray[np.uint8]:
    """Burn polygons into a grid.

    A pixel belongs to a polygon when its centre lies inside (GDAL's rule; points and lines label the pixels they
    touch). Where polygons overlap, the rule decides, the same way in every patch that sees them: areas are those of
    whole polygons in their own coordinate system, and of two equal ones the later in the file wins.

    :param frame: Geometries with a coordinate system.
    :param ids: Class id of each geometry; 0 leaves it out.
    :param overlap: "smallest", "largest" or "last" polygon wins; "exclude" leaves pixels of several classes unlabelled.
    :param all_touched: Label every pixel that a polygon touches.
    :return: Labels (h, w) uint8, 0 where unlabelled.
    :raises GridError: when the geometries have no coordinate system.
    :raises ReferenceDataError: when a geometry is none.
    """
    if frame.crs is None:
        raise GridError(
            "The label polygons have no coordinate system: set it (GeoDataFrame.set_crs) before using them."
        )
    try:
        shapes = _valid(in_one_form(np.asarray(frame.geometry.array, dtype=object), frame.crs))
        wanted = (ids != 0) & ~shapely.is_missing(shapes)
        shapes, ids = shapes[wanted], ids[wanted]
        areas = shapely.area(shapes)
        shapes = reprojected(shapes, frame.crs, grid.crs, grid.bounds)
    except _DAMAGE as error:
        raise ReferenceDataError(f"The label polygons cannot be used ({reason_of(error)}): repair the file.") from error
    left = ~shapely.is_empty(shapes)
    shapes, ids, areas = shapes[left], ids[left], areas[left]

    def burn(members: Iterable[int], value: int | None = None) -> NDArray[np.uint8]:
        pairs = [(shapes[i], int(ids[i]) if value is None else value) for i in members]
        if not pairs:
            return np.zeros(grid.shape, np.uint8)
        burnt: NDArray[np.uint8] = rasterio.features.rasterize(
            pairs, out_shape=grid.shape, transform=grid.transform, fill=0, all_touched=all_touched, dtype="uint8"
        )
        return burnt

    if overlap == "exclude":
        labels = np.zeros(grid.shape, np.uint8)
        taken = np.zeros(grid.shape, np.uint8)
        for label in np.unique(ids):
            inside = burn(np.flatnonzero(ids == label), 1)
            labels[inside == 1] = label
            taken += inside
        return np.where(taken > 1, np.uint8(0), labels)
    order = {"smallest": np.argsort(-areas, kind="stable"), "largest": np.argsort(areas, kind="stable")}
    return burn(order.get(overlap, np.arange(len(shapes))).tolist())  # what is burnt later covers what was before


def read_raster_labels(
    path: str | Path,
    grid: LabelGrid,
    *,
    band: int = 1,
    classes: ClassMapping | None = None,
    resampling: Literal["nearest", "mode"] = "nearest",
    ignore_unmapped: bool = False,
) -> NDArray[np.uint8]:
    """Bring a raster of labels onto the grid, by coordinates.

    :param path: A raster in any coordinate system, on disk or ``s3://bucket/key``. One whose name says its format
        (.tif, .jp2, .png, .img, .vrt) is of no other; else it is one of these but the last, JPEG, ENVI, EHdr, an
        ASCII grid, SRTM or DTED.
    :param band: Band, counted from 1.
    :param classes: From raster values to class ids; None when the values are class ids.
    :param resampling: "nearest", or "mode" (the most frequent label of a pixel) for a raster finer than the grid.
    :return: Labels (h, w) uint8; 0 outside the raster and where it has no data.
    :raises ReferenceDataError: when the file or band is missing, the file damaged, or a value has no class.
    :raises GridError: when the raster does not say its coordinate system.
    """
    try:
        with open_raster(local_path_of(path), f"The label raster {path}", name=path) as source:
            if source.crs is None:
                raise GridError(
                    f"The label raster {path} has no coordinate system: write one into it (gdal_edit -a_srs)."
                )
            if not 1 <= band <= source.count:
                raise ReferenceDataError(f"The label raster {path} has {source.count} band(s), no band {band}.")
            values, known = _warp(source, band, grid, Resampling[resampling])
    except ImageryError as error:
        raise ReferenceDataError(str(error)) from error
    except EOTasksError:
        raise
    except GDAL_ERRORS as error:
        raise ReferenceDataError(f"Cannot read the label raster {path} ({reason_of(error)}): replace it.") from error
    labels = np.zeros(grid.shape, np.uint8)
    mapping = check_mapping(classes)
    labels[known] = class_ids(pd.Series(values[known]), mapping, f"raster {path}", ignore_unmapped=ignore_unmapped)
    return labels


def class_ids(
    values: pd.Series[Any], classes: Mapping[Any, int] | None, where: str, *, ignore_unmapped: bool = False
) -> NDArray[np.uint8]:
    """Class ids of the values of a column. A missing value (null, NaN) gives 0.

    :param values: Numbers or text.
    :param classes: From value to id; a number also matches a key that is its text, as keys of a TOML table are. None
        when the values are ids.
    :param where: Where the values come from, for messages.
    :param ignore_unmapped: Leave values unlabelled that the mapping does not name.
    :raises ReferenceDataError: when a value is not in the mapping, or no id from 0 to 255.
    """
    try:
        codes, unique = pd.factorize(values)
    except TypeError as error:  # a list or an object of GeoJSON
        raise ReferenceDataError(f"Values of {where} are no numbers or text: give a column of these.") from error
    table = np.zeros(len(unique) + 1, np.uint8)  # the last entry is for code -1: missing
    unknown = []
    for code, value in enumerate(map(_plain, unique)):
        label = _lookup(value, classes)
        if label is None:
            unknown.append(value)
        else:
            table[code] = label
    if unknown and classes is None:
        raise ReferenceDataError(
            f"Values of {where} are no class ids from 0 to {_MAX_ID}: {_shorten(unknown)}; map them with classes."
        )
    if unknown and not ignore_unmapped:
        raise ReferenceDataError(
            f"Values of {where} have no class: {_shorten(unknown)}; add them to classes or set ignore_unmapped."
        )
    return table[codes]


def _describe_vector(path: str | Path, layer: str | None, column: str | None) -> _Layer:
    name = str(path)
    if not is_s3(path) and not Path(name).exists():
        raise ReferenceDataError(
            f"There is no label file {name} on this machine: check the path, or give s3://bucket/key; what the web has,"
            " fetch before."
        )
    try:
        file = local_path_of(path)
        if is_geoparquet(file):
            return _describe_geoparquet(file, name, column)
        _check_file(file, name)
        layers = pyogrio.list_layers(path_for_gdal(file))[:, 0].tolist()
        if layer is None and len(layers) != 1:
            raise ReferenceDataError(f"The label file {name} has the layers {_shorten(layers)}: say which one.")
        layer = layer or layers[0]
        info = layer_info(file, layer)
    except EOTasksError:
        raise
    except DataLayerError as error:
        raise ReferenceDataError(
            f"The label file {name} has no layer {layer!r}{did_you_mean(layer, layers)}, but {_shorten(layers)}."
        ) from error
    except _DAMAGE as error:
        raise ReferenceDataError(f"Cannot read the label file {name} ({reason_of(error)}): replace it.") from error
    fields = list(info["fields"])
    _check_column(column, fields, name)
    if info["crs"] is None:
        raise GridError(f"The label file {name} has no coordinate system: write one into it (ogr2ogr -a_srs).")
    names = [str(name) for name in fields]
    return _Layer(str(layer), str(info["crs"]), int(info["features"]), names, info["total_bounds"])


def _describe_geoparquet(file: str | Path, name: str, column: str | None) -> _Layer:
    try:
        described = describe_geoparquet(file)
        _check_column(column, described.columns, name)
        frame = read_geoparquet(file, [])
    except GeometryError as error:
        raise ReferenceDataError(f"The label file {name}: {error}. Replace it.") from error
    if frame.crs is None:
        raise GridError(f"The label file {name} has no coordinate system: write one into it (ogr2ogr -a_srs).")
    extent = tuple(map(float, frame.total_bounds))
    return _Layer(Path(name).stem, frame.crs.to_wkt(), described.count, list(described.columns), extent)  # type: ignore[arg-type]  # four of them


def _check_column(column: str | None, fields: Sequence[str], name: str) -> None:
    if column is not None and column not in fields:
        raise ReferenceDataError(
            f"The label file {name} has no column {column!r}{did_you_mean(column, fields)}, but {_shorten(fields)}."
        )


def _check_file(file: str | Path, name: str) -> None:
    """Refuse what would never end, take more memory than labels do, or lead elsewhere."""
    try:
        check_vector(file)
    except OSError as error:
        raise ReferenceDataError(f"Cannot read the label file {name} ({error.strerror}): replace it.") from error
    except ValueError as error:
        raise ReferenceDataError(f"Cannot read the label file {name} ({error}): replace it.") from error


def _valid(shapes: NDArray[Any]) -> NDArray[Any]:
    """The same geometries, the invalid ones repaired; of a repaired polygon only the polygons are kept."""
    broken = ~(shapely.is_valid(shapes) | shapely.is_missing(shapes))
    if not broken.any():
        return shapes
    repaired = shapes.copy()
    for index in np.flatnonzero(broken):
        dimension = shapely.get_dimensions(shapes[index])
        parts = shapely.get_parts(shapely.get_parts(repair.repaired(shapes[index])))
        repaired[index] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])
    return repaired


def _warp(
    source: rasterio.DatasetReader, band: int, grid: LabelGrid, resampling: Resampling
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values on the grid, and where the raster has any. Without a no-data value an alpha band marks the outside."""
    height, width = grid.shape
    options = {"crs": grid.crs, "transform": grid.transform, "height": height, "width": width}
    bare = MaskFlags.all_valid in source.mask_flag_enums[band - 1]
    with WarpedVRT(source, resampling=resampling, add_alpha=bare, tolerance=_TOLERANCE, **options) as warped:
        # Read as a band: rasterio does not take the alpha band of a signed or floating raster for a mask.
        known = warped.read(warped.count) if bare else warped.read_masks(band)
        return warped.read(band), known != 0


def _lookup(value: Any, classes: Mapping[Any, int] | None) -> int | None:
    if classes is not None:
        found = classes.get(value)
        return classes.get(str(value)) if found is None else found
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_ID:
        return value
    return None


def _plain(value: Any) -> Any:
    """A Python value; a whole number stored as float (a column with nulls) as int."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shorten(values: Sequence[Any]) -> str:
    named = ", ".join(excerpt(value) for value in values[:_SHOWN])
    return named + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")

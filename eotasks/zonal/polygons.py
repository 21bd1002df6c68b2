"""Polygons to make statistics of: fields, lakes, plots, from a file of others or a GeoDataFrame."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from eotasks.area.vector import damage, geoparquet_of, layers_of, on_disk
from eotasks.errors import (
    AreaError,
    ConfigurationError,
    GeometryError,
    GridError,
    PolygonWarning,
    reason_of,
    warn_caller,
)
from eotasks.geometry.degrees import FARTHEST
from eotasks.geometry.geoparquet import is_geoparquet
from eotasks.geometry.packed import path_for_gdal
from eotasks.geometry.repair import repaired
from eotasks.geometry.vector_head import layer_info
from eotasks.limits import VECTOR_FEATURES
from eotasks.reference.places import in_one_form
from eotasks.storage.location import is_s3
from eotasks.text import did_you_mean, excerpt
from eotasks.zonal.vocabulary import Status

_POLYGONS = (int(shapely.GeometryType.POLYGON), int(shapely.GeometryType.MULTIPOLYGON))
_KINDS_OF_IDS = (str, int, float, decimal.Decimal, dt.date)
_NAMED = 5
"""Polygons or columns that a message names."""


@dataclass(frozen=True)
class Polygons:
    """What statistics are made of, in one coordinate system."""

    ids: NDArray[Any]
    """(n): values of a column, or 0, 1, ...; no two alike."""

    shapes: NDArray[Any]
    """(n) of shapely's polygons and multipolygons, valid; None where the status is not OK."""

    states: tuple[Status, ...]
    """(n): OK, EMPTY or INVALID."""

    crs: str
    """Coordinate system, as WKT."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_texts(self) -> bool:
        """Whether the ids are texts."""
        return bool(len(self.ids)) and isinstance(self.ids[0], str)

    @property
    def usable(self) -> NDArray[np.intp]:
        """Indices of those with an area."""
        return np.flatnonzero([each == Status.OK for each in self.states])

    def unseen_state(self, index: int) -> Status:
        """The status of a polygon that no image shows."""
        return Status.OUTSIDE if self.states[index] == Status.OK else self.states[index]

    def frame(self) -> gpd.GeoDataFrame:
        """Ids and geometries, as a GeoDataFrame."""
        return gpd.GeoDataFrame({"id": self.ids}, geometry=list(self.shapes), crs=self.crs)


def read_polygons(
    file: str | Path, *, id_column: str | None = None, layer: str | None = None, crs: Any = None
) -> Polygons:
    """Polygons of a vector file.

    :param file: GeoPackage, GeoJSON, GeoParquet, Shapefile, FlatGeobuf, KML or GML, on disk or, but for
        Shapefiles, ``s3://bucket/key``.
    :param id_column: Column whose values tell polygons apart; None numbers them from 0.
    :param layer: Of a file with several.
    :param crs: Coordinate system of a file that says none, as pyproj takes it.
    :raises AreaError: when it is absent, unreadable or empty, or ids are missing or there twice.
    :raises GridError: when it has no coordinate system and none is given.
    :raises ConfigurationError: when there is no such column or layer.
    :raises MissingDependencyError: GeoParquet without pyarrow.
    :warns PolygonWarning: polygons were repaired, or have no area.
    """
    if is_s3(file) and str(file).lower().endswith(".shp"):
        raise AreaError(
            f"{file} is one of the files of a Shapefile, which is read from disk alone: copy all of them, or give"
            " GeoPackage or GeoParquet."
        )
    with on_disk(file) as path, damage(path):
        frame = geoparquet_of(path) if is_geoparquet(path) else _layer(path, layer, id_column)
        return polygons_of(frame, id_column=id_column, crs=crs, where=str(file))


def polygons_of(
    frame: gpd.GeoDataFrame, *, id_column: str | None = None, crs: Any = None, where: str = "the polygons"
) -> Polygons:
    """Polygons of a GeoDataFrame; see `read_polygons` for the parameters, errors and warnings.

    :param where: What they are, for messages.
    """
    if not len(frame):
        raise AreaError(f"{where}: no polygon in it. Give at least one.")
    ids = _ids(frame, id_column, where)
    system = _system(frame, crs, where)
    shapes, states, mended = _placed(*_checked(np.array(frame.geometry.array, dtype=object)), system)
    _warn(ids, states, mended, where)
    return Polygons(ids, shapes, states, system)


def _layer(path: Path, layer: str | None, id_column: str | None) -> gpd.GeoDataFrame:
    layers = layers_of(path)
    if layer is None and len(layers) > 1:
        raise ConfigurationError(f"{path} has the layers {', '.join(layers)}: name one.")
    if not layers:
        raise AreaError(f"{path} has no geometries: give a file with polygons.")
    if layer is not None and layer not in layers:
        raise ConfigurationError(
            f"{path} has no layer {layer!r}{did_you_mean(layer, layers)}: it has {', '.join(layers)}."
        )
    chosen = layer or layers[0]
    try:
        info = layer_info(path, chosen)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise AreaError(f"{path}, layer {chosen!r} cannot be read ({reason_of(error)}): check the file.") from error
    if info["features"] > VECTOR_FEATURES.value:
        raise AreaError(f"{path}: {VECTOR_FEATURES.excess(info['features'])}. Give a file of fewer polygons.")
    fields = [str(each) for each in info["fields"]]
    numbered = id_column is not None and id_column not in fields and id_column == info["fid_column"]
    if id_column is not None and id_column not in fields and not numbered:
        raise _no_column(id_column, fields, str(path))
    columns = [] if id_column is None or numbered else [id_column]
    try:
        frame = pyogrio.read_dataframe(path_for_gdal(path), layer=chosen, columns=columns, fid_as_index=numbered)
        return frame.reset_index(names=id_column) if numbered else frame
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise AreaError(f"{path}, layer {chosen!r} cannot be read ({reason_of(error)}): check the file.") from error


def _no_column(name: str, there: Sequence[str], where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where} has no column {name!r}{did_you_mean(name, there)}: it has {', '.join(there) or 'none'}. Name one of"
        " them, or none to number the polygons."
    )


def _ids(frame: gpd.GeoDataFrame, column: str | None, where: str) -> NDArray[Any]:
    if column is None:
        return np.arange(len(frame))
    columns = [str(each) for each in frame.columns if each != frame.geometry.name]
    if column not in columns:
        raise _no_column(column, columns, where)
    values = frame[column]
    if values.isna().any():
        raise AreaError(
            f"{where}: {int(values.isna().sum())} of {len(values)} polygons have no {column}: fill it in, or name"
            " another column for the ids, or none."
        )
    ids: NDArray[Any] = values.to_numpy()
    try:
        twice = [value for value, count in Counter(ids.tolist()).items() if count > 1]
    except TypeError as error:
        raise AreaError(f"{where}: values of {column} are no ids: name a column of numbers or texts.") from error
    kinds = {type(value) for value in ids.tolist()}
    if len(kinds) > 1 or not all(issubclass(each, _KINDS_OF_IDS) for each in kinds):
        named = " and ".join(sorted(each.__name__ for each in kinds))
        raise AreaError(f"{where}: values of {column} are {named}: name a column of numbers or texts of one kind.")
    if twice:
        named = ", ".join(excerpt(each) for each in twice[:_NAMED]) + ", …" * (len(twice) > _NAMED)
        raise AreaError(
            f"{where}: {len(twice)} values of {column} stand for several polygons ({named}): dissolve these, or name"
            " another column for the ids, or none."
        )
    return ids


def _system(frame: gpd.GeoDataFrame, given: Any, where: str) -> str:
    says = frame.crs is not None and not str(frame.crs.name).lower().startswith("undefined")
    if not says and given is None:
        raise GridError(f"{where}: no coordinate system. Give it (crs), or write it into the file.")
    try:
        other = None if given is None else pyproj.CRS.from_user_input(given)
    except pyproj.exceptions.CRSError as error:
        raise GridError(f"Coordinate system {excerpt(given)} is not known: give one such as EPSG:32633.") from error
    if says and other is not None and not frame.crs.equals(other, ignore_axis_order=True):
        raise GridError(f"{where}: it is in {frame.crs.name}, not in {other.name}: leave out crs.")
    system = frame.crs if says else other
    assert system is not None
    return str(system.to_wkt())


def _checked(shapes: NDArray[Any]) -> tuple[NDArray[Any], tuple[Status, ...], list[int]]:
    """Valid polygons, what each is, and which were repaired."""
    empty = np.asarray(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    result = np.array(shapely.force_2d(shapes), dtype=object)
    result[empty] = None
    states: list[Status] = [Status.EMPTY if each else Status.OK for each in empty]
    polygonal = np.isin(shapely.get_type_id(result), _POLYGONS)
    on_earth = np.abs(shapely.bounds(result)).max(axis=1) < FARTHEST  # not NaN and infinity
    sound = polygonal & on_earth & shapely.is_valid(result) & (shapely.area(result) > 0)
    mended = []
    for index in np.flatnonzero(~empty & ~sound):
        try:
            result[index] = only_polygons(repaired(result[index])) if on_earth[index] else None
            states[index] = Status.INVALID if not on_earth[index] else Status.EMPTY
        except GeometryError:
            result[index], states[index] = None, Status.INVALID
        if result[index] is not None:
            states[index] = Status.OK
            mended.append(int(index))
    return result, tuple(states), mended


def _placed(
    shapes: NDArray[Any], states: tuple[Status, ...], mended: list[int], crs: str
) -> tuple[NDArray[Any], tuple[Status, ...], list[int]]:
    """The same, where degrees that are no place on Earth are invalid."""
    found = list(states)
    usable = [index for index, state in enumerate(states) if state == Status.OK]
    try:
        in_one_form(shapes[usable], crs)
    except GeometryError:  # of one of them, at least
        for index in usable:
            try:
                in_one_form(shapes[[index]], crs)
            except GeometryError:
                shapes[index], found[index] = None, Status.INVALID
    return shapes, tuple(found), [index for index in mended if found[index] == Status.OK]


def only_polygons(shape: Any) -> Any | None:
    """Polygons of a geometry, as one valid geometry; None where it has none with an area."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    polygons = [each for each in parts if each.geom_type == "Polygon" and each.area > 0]
    if not polygons:
        return None
    return polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)


def _warn(ids: NDArray[Any], states: Sequence[Status], mended: Sequence[int], where: str) -> None:
    kinds = {"repaired, since their rings cross themselves": list(mended)}
    for status, words in (
        (Status.EMPTY, "without an area"),
        (Status.INVALID, "that cannot be repaired, or are no place"),
    ):
        kinds[words] = [index for index, each in enumerate(states) if each == status]
    said = []
    for words, indices in kinds.items():
        if indices:
            named = ", ".join(excerpt(each) for each in ids[indices[:_NAMED]].tolist())
            said.append(f"{len(indices)} {words} ({named}{', …' * (len(indices) > _NAMED)})")
    if said:
        warn_caller(f"{where}: of {len(ids)} polygons {'; '.join(said)}. Those without an area have rows without"
                    " numbers; mend the file if that is not meant.", PolygonWarning)  # fmt: skip

"""Nominal outlines of bodies of water, from a file as others write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.polygon import Polygon

from eotasks.area.vector import damage, in_system, layers_of, on_disk, read_layer, system_of
from eotasks.errors import AreaError, ConfigurationError, GeometryError
from eotasks.geometry.antimeridian import normalised
from eotasks.geometry.repair import repaired
from eotasks.geometry.systems import crs_of, in_degrees
from eotasks.text import did_you_mean

ID, NAME = "id", "name"
_ID_COLUMNS = ("id", "ID", "Id", "BLUEDOT_WB_ID", "osm_id")
_NAME_COLUMNS = ("name", "NAME", "Name")
_LONGEST = 100
"""Characters of an id or a name."""

_POLYGONAL = ("Polygon", "MultiPolygon")
_NAMED = 5


def read_outlines(
    file: str | Path, *, id_column: str | None = None, name_column: str | None = None, crs: str | int | None = None
) -> gpd.GeoDataFrame:
    """The outlines of a vector file: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, KML, GML, GeoParquet.

    What is no polygon, is empty or cannot be repaired stays as an empty outline, so that the table of levels has a row
    that says so; rings that cross themselves are repaired.

    :param file: On disk or ``s3://bucket/key``; every layer of it that has geometries.
    :param id_column: Column of ids; None takes ``id``, ``BLUEDOT_WB_ID`` or ``osm_id``, and numbers the outlines from 1
        where there is none of them.
    :param name_column: Column of names; None takes ``name``, where it is there.
    :param crs: Of a file that says none, or what one without an EPSG code is brought to.
    :return: GeoDataFrame with the columns id and name (text) and geometry, in the coordinate system of the file.
    :raises AreaError: the file is missing, damaged or without a feature, has no such column, or an id twice.
    :raises GridError: there is no coordinate system, or another one than is given.
    """
    given = None if crs is None else crs_of(crs)
    with on_disk(file) as path, damage(path):
        frames = _layers(path)
        if not frames:
            raise AreaError(f"{path} has no feature: give a file with at least one outline.")
        system = system_of(frames[0], path, given)
        frame = pd.concat([in_system(each, system) for each in frames], ignore_index=True)
        ids = _ids(frame, id_column, path)
        names = _names(frame, name_column, path)
        shapes = [_outline(each, in_degrees(system)) for each in frame.geometry]
        return gpd.GeoDataFrame({ID: ids, NAME: names}, geometry=shapes, crs=system.pyproj_crs())


def checked_outlines(outlines: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Outlines that did not come from `read_outlines`, in its form: a copy.

    :raises ConfigurationError: they are no GeoDataFrame with an id column and a coordinate system.
    :raises AreaError: there is none, or an id is there twice.
    """
    if not isinstance(outlines, gpd.GeoDataFrame) or ID not in outlines or outlines.crs is None:
        raise ConfigurationError(
            "outlines: give a GeoDataFrame with a column 'id' and a coordinate system, as read_outlines(file) does."
        )
    if outlines.empty:
        raise AreaError("outlines: there is none. Give at least one.")
    names = outlines[NAME].map(_text) if NAME in outlines else [""] * len(outlines)
    frame = gpd.GeoDataFrame(
        {ID: outlines[ID].map(_text).to_numpy(), NAME: np.asarray(names, dtype=object)},
        geometry=[_outline(each, outlines.crs.is_geographic) for each in outlines.geometry],
        crs=outlines.crs,
    )
    _refuse_twice(frame[ID], "outlines", "make them different")
    return frame


def _layers(path: Path) -> list[gpd.GeoDataFrame]:
    frames = [read_layer(path, layer, columns=None) for layer in layers_of(path)]
    return [frame for frame in frames if len(frame)]


def _ids(frame: gpd.GeoDataFrame, column: str | None, path: Path) -> list[str]:
    found = column or next((each for each in _ID_COLUMNS if each in frame), None)
    if found is None:
        return [str(number) for number in range(1, len(frame) + 1)]
    _check_column(frame, found, path)
    ids = [_text(value) for value in frame[found]]
    if "" in ids:
        raise AreaError(
            f"{path}: {ids.count('')} outlines have no {found!r} (the first is number {ids.index('') + 1}): fill it in,"
            " or name another column of ids (id_column, --id-column)."
        )
    _refuse_twice(ids, str(path), "make them different, or name another column (id_column, --id-column)")
    return ids


def _names(frame: gpd.GeoDataFrame, column: str | None, path: Path) -> list[str]:
    found = column or next((each for each in _NAME_COLUMNS if each in frame), None)
    if found is None:
        return [""] * len(frame)
    _check_column(frame, found, path)
    return [_text(value) for value in frame[found]]


def _check_column(frame: gpd.GeoDataFrame, column: str, path: Path) -> None:
    there = [str(name) for name in frame.columns if name != frame.geometry.name]
    if column not in there:
        raise AreaError(
            f"{path} has no column {column!r}{did_you_mean(column, there)}; it has {', '.join(there) or 'none'}."
        )


def _refuse_twice(ids: Iterable[str], where: str, cure: str) -> None:
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        more = f" and {len(twice) - _NAMED} more" if len(twice) > _NAMED else ""
        raise AreaError(f"{where}: ids that are there twice, {', '.join(twice[:_NAMED])}{more}: {cure}.")


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()[:_LONGEST]


def _outline(geometry: Any, degrees: bool) -> Any:
    """A valid polygon, or an empty one."""
    if geometry is None or geometry.is_empty or geometry.geom_type not in (*_POLYGONAL, "GeometryCollection"):
        return Polygon()
    try:
        flat = shapely.force_2d(geometry)
        if not np.isfinite(flat.bounds).all():
            return Polygon()
        valid = repaired(normalised(flat) if degrees else flat)
    except GeometryError:
        return Polygon()
    parts = [part for part in shapely.get_parts(valid) if part.geom_type in _POLYGONAL]
    if not parts:
        return Polygon()
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)

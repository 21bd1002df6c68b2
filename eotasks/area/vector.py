"""Vector files as others write them: on disk or on S3, with damage, and in coordinate systems of any spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pyogrio
import pyproj
import shapely
from sentinelhub.constants import CRS

from eotasks.errors import AreaError, EOTasksError, GeometryError, GridError, reason_of
from eotasks.geometry.geoparquet import is_geoparquet, read_geoparquet
from eotasks.geometry.packed import path_for_gdal
from eotasks.geometry.systems import crs_of
from eotasks.geometry.vector_head import check_vector, layer_info
from eotasks.limits import VECTOR_FEATURES
from eotasks.storage.local_copy import local_path_of
from eotasks.storage.location import is_s3
from eotasks.text import excerpt


@contextmanager
def on_disk(file: str | Path) -> Iterator[Path]:
    """The file, or a copy of it when it is on S3; messages name what was asked for."""
    path = Path(local_path_of(file))
    try:
        yield path
    except (AreaError, GridError) as error:
        if not is_s3(file):
            raise
        raise type(error)(str(error).replace(str(path), str(file))) from error


@contextmanager
def damage(what: str | Path) -> Iterator[None]:
    """Names the file when GDAL, GEOS or PROJ stumble over places that are none, or over damage."""
    try:
        yield
    except GeometryError as error:
        raise AreaError(f"{what}: {error}.") from error
    except EOTasksError:
        raise
    except (OverflowError, RuntimeError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise AreaError(f"{what} cannot be read as an area ({reason_of(error)}): check its coordinates.") from error


def layers_of(path: Path) -> list[str]:
    if not path.exists():
        raise AreaError(f"{path} is not there: check the path.")
    try:
        check_vector(path)
    except OSError as error:
        raise AreaError(
            f"{path} cannot be read as a vector file ({error.strerror}): give GeoPackage or GeoJSON."
        ) from error
    except ValueError as error:
        raise AreaError(f"{path} cannot be read as a vector file ({error}): give GeoPackage or GeoJSON.") from error
    if is_geoparquet(path):
        return [path.stem]
    try:
        return [str(name) for name, kind in pyogrio.list_layers(path_for_gdal(path)) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        raise AreaError(
            f"{path} cannot be read as a vector file ({reason_of(error)}): give GeoPackage or GeoJSON."
        ) from error


def read_layer(path: Path, layer: str, columns: Sequence[str] | None = ("name", "row", "column")) -> gpd.GeoDataFrame:
    """A layer with its geometries.

    :param columns: Those to read, where they are there; None for all.
    """
    if is_geoparquet(path):
        return geoparquet_of(path, columns)
    try:
        # Counted before: a bound of the reading itself takes room for as many as may come.
        count = layer_info(path, layer)["features"]
        if count > VECTOR_FEATURES.value:
            raise AreaError(f"{path}, layer {layer!r}: {VECTOR_FEATURES.excess(count)}. Give a file of the area alone.")
        return pyogrio.read_dataframe(path_for_gdal(path), layer=layer, columns=columns)
    except AreaError:  # a ValueError too
        raise
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise AreaError(f"{path}, layer {layer!r} cannot be read ({reason_of(error)}): check the file.") from error


def geoparquet_of(path: Path, columns: Sequence[str] | None = None) -> gpd.GeoDataFrame:
    """A file of GeoParquet with its geometries; parameters and errors as `read_layer`.

    :raises MissingDependencyError: pyarrow is not installed.
    """
    if not path.exists():
        raise AreaError(f"{path} is not there: check the path.")
    try:
        return read_geoparquet(path, columns)
    except GeometryError as error:
        raise AreaError(f"{path}: {error}. Give another file.") from error


def system_of(frame: gpd.GeoDataFrame, path: Path, given: CRS | None = None) -> CRS:
    """The coordinate system that a layer is in, or is to be brought to.

    :param given: Counts where the file has none; where the file's has no EPSG code, the layer is brought to it.
    :raises GridError: when there is none, it has no code, or the file has another one.
    """
    if not _says_system(frame.crs):
        if given is None:
            raise GridError(f"{path} has no CRS: give one (crs), or write it into the file.")
        return given
    system = known_crs(frame.crs)
    if system is None:
        if given is not None:
            return given
        raise GridError(
            f"{path}: the CRS {excerpt(frame.crs.name)} has no known EPSG code: give crs='EPSG:4326', and the area is"
            " brought to it, or reproject the file to one that has, such as EPSG:32633."
        )
    if given is not None and given != system:
        raise GridError(
            f"{path} is in {system.ogc_string()}, not in {given.ogc_string()}: leave out crs, or reproject the file."
        )
    return system


def in_system(frame: gpd.GeoDataFrame, system: CRS) -> gpd.GeoDataFrame:
    """A layer in a coordinate system; one that does not say its own is in it already."""
    if not _says_system(frame.crs):
        return frame
    if known_crs(frame.crs) == system:  # in another spelling, or with heights
        return frame
    return frame.to_crs(system.pyproj_crs())


def known_crs(crs: pyproj.CRS) -> CRS | None:
    """A coordinate system by its code; None where it has none."""
    try:
        return crs_of(crs)
    except GridError:
        return None


def _says_system(crs: pyproj.CRS | None) -> bool:
    """GeoPackage has two systems that stand for none."""
    return crs is not None and not crs.name.lower().startswith("undefined")

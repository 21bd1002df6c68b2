"""One map from the maps of many patches, on disk or on S3. Knows no EOPatch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from eotasks.durable import make_folder, temporary_beside
from eotasks.errors import EOTasksError, GridError, ImageryError, StorageError, reason_of
from eotasks.export.cog import (
    BLOCK,
    Compression,
    check_compression,
    classes_of,
    describe_bands,
    publish_cog,
)
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_by_name, open_raster
from eotasks.limits import MOSAIC_PIXELS
from eotasks.models.classes import ClassTable
from eotasks.models.rasters import Bounds, offset_in, pixel_transform, union_bounds
from eotasks.storage.location import Location, is_s3
from eotasks.storage.place import place_of
from eotasks.storage.s3 import download_file
from eotasks.storage.temporary import temporary_folder

_DOWNLOADS = 8
"""Maps that are copied from S3 at a time."""


def mosaic_cogs(
    paths: Sequence[str | Path],
    path: Location,
    *,
    tags: Mapping[str, str] | None = None,
    compression: Compression = "deflate",
) -> Location:
    """Put the maps of patches together to one Cloud Optimized GeoTIFF, block by block.

    Where patches overlap, the first in the list that has data wins. Colours and names of classes are kept, as are tags
    and band names that all files share. Never more than a block of the map is in memory; maps on S3 are copied to the
    machine's temporary folder first.

    :param paths: Rasters of one coordinate system, grid, type and number of bands, on disk or ``s3://bucket/key``.
    :param path: File to write, on disk or ``s3://bucket/key``, complete or not at all.
    :param tags: More metadata of the file.
    :return: The path, as it was given.
    :raises GridError: when there are no files, or they differ in coordinate system, grid, type, bands or no data; for
        patches of several UTM zones see :func:`mosaic_cogs_by_crs`.
    :raises ImageryError: when a file is damaged, or missing on disk.
    :raises StorageError: when the mosaic cannot be written, or a file on S3 is missing.
    """
    check_compression(compression)
    with _tiles(paths) as tiles:
        return _mosaic(tiles, path, tags, compression)


def mosaic_cogs_by_crs(
    paths: Sequence[str | Path],
    path: Location,
    *,
    tags: Mapping[str, str] | None = None,
    compression: Compression = "deflate",
) -> dict[str, Location]:
    """One mosaic per coordinate system, for areas in several UTM zones: labels are not resampled to make them one.

    :param path: File to write when all patches share a coordinate system; otherwise its name gets the code of each
        (map_EPSG32633.tif, map_EPSG32634.tif).
    :return: Coordinate system -> path of its mosaic, sorted.
    :raises GridError: ImageryError, StorageError: as :func:`mosaic_cogs`.
    """
    check_compression(compression)
    with _tiles(paths) as tiles:
        groups: dict[str, list[_Tile]] = {}
        for tile in tiles:
            groups.setdefault(tile.crs, []).append(tile)
        if not groups:
            raise GridError("There are no maps to put together: predict and export at least one patch.")
        written: dict[str, Location] = {}
        for crs, members in sorted(groups.items()):
            target = path if len(groups) == 1 else _with_code(path, crs)
            written[crs] = _mosaic(members, target, tags, compression)
        return written


def _with_code(path: Location, crs: str) -> Location:
    code = "".join(character for character in crs if character.isalnum())[:24]
    folder, slash, name = str(path).rpartition("/")
    stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix
    return type(path)(f"{folder}{slash}{stem}_{code}{ending}")


def _mosaic(
    tiles: Sequence[_Tile], path: Location, tags: Mapping[str, str] | None, compression: Compression
) -> Location:
    bounds, size, profile = _common_grid(tiles)
    offsets = [offset_in(bounds, tile.bounds, size, tile.shape, tile.name) for tile in tiles]
    shared = dict(set.intersection(*(set(tile.tags.items()) for tile in tiles))) | dict(tags or {})
    names = tiles[0].descriptions if all(tile.descriptions == tiles[0].descriptions for tile in tiles) else None
    try:
        with _scratch(path) as build:
            with rasterio.open(build, "w+", **profile, sparse_ok=True, bigtiff="IF_SAFER") as mosaic:
                for tile, offset in reversed(list(zip(tiles, offsets, strict=True))):
                    _paste(tile, mosaic, offset)
                describe_bands(mosaic, tiles[0].classes, names, shared)
            with rasterio.open(build) as mosaic:
                return publish_cog(mosaic, path, tiles[0].classes, compression)
    except EOTasksError:
        raise
    except GDAL_ERRORS as error:
        raise StorageError(
            f"Cannot write {path} ({reason_of(error)}): check space and rights of the folder."
        ) from error


@contextmanager
def _tiles(paths: Sequence[str | Path]) -> Iterator[list[_Tile]]:
    """What the maps are like; those on S3 are copied side by side, and the copies removed at the end."""
    with ExitStack() as stack:
        files: list[str | Path] = list(paths)
        if any(is_s3(each) for each in paths):
            folder = stack.enter_context(temporary_folder())
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                files = list(pool.map(_fetch, paths, (folder / f"{number}.tif" for number in itertools.count())))
        yield [_Tile.read(Path(file), str(path)) for file, path in zip(files, paths, strict=True)]


def _fetch(path: str | Path, target: Path) -> str | Path:
    if not is_s3(path):
        return path
    download_file(str(path), target)
    return target


@contextmanager
def _scratch(path: str | Path) -> Iterator[Path]:
    """A file to build the mosaic in, beside a target on disk: there is the space for it, and it is removed again."""
    place, name = place_of(path)
    if not place.is_local:
        with temporary_folder() as scratch:
            yield scratch / name
        return
    beside = temporary_beside(place.local_path(name))  # a name that `eotasks clean` knows
    make_folder(beside.parent)
    with TemporaryDirectory(prefix=beside.name, dir=beside.parent) as scratch:
        yield Path(scratch, name)


@dataclass(frozen=True)
class _Tile:
    """What has to agree between the maps of a mosaic."""

    path: Path
    """Where it is read: the file itself, or a copy."""

    name: str
    """Of the file, for messages."""

    crs: str
    bounds: Bounds
    shape: tuple[int, int]
    dtype: str
    bands: int
    nodata: float | None
    classes: ClassTable | None
    descriptions: tuple[str | None, ...]
    tags: dict[str, str]

    @classmethod
    def read(cls, path: Path, name: str) -> _Tile:
        try:
            with open_raster(path, name) as dataset:
                if dataset.crs is None:
                    raise GridError(f"{name} has no coordinate system: export it again.")
                return cls(
                    path=path,
                    name=name,
                    crs=dataset.crs.to_string(),
                    bounds=tuple(dataset.bounds),
                    shape=dataset.shape,
                    dtype=dataset.dtypes[0],
                    bands=dataset.count,
                    nodata=dataset.nodata,
                    classes=classes_of(dataset),
                    descriptions=dataset.descriptions,
                    tags={key: value for key, value in dataset.tags().items() if key != "AREA_OR_POINT"},
                )
        except EOTasksError:
            raise
        except GDAL_ERRORS as error:
            raise ImageryError(f"Cannot read the map {name} ({reason_of(error)}): export the patch again.") from error


def _common_grid(tiles: Sequence[_Tile]) -> tuple[Bounds, tuple[float, float], dict[str, Any]]:
    """Bounds, pixel size and rasterio profile of the mosaic."""
    if not tiles:
        raise GridError("There are no maps to put together: predict and export at least one patch.")
    first = tiles[0]
    systems = sorted({tile.crs for tile in tiles})
    if len(systems) > 1:
        raise GridError(f"The maps lie in {', '.join(systems)}: make one mosaic for each (mosaic_cogs_by_crs).")
    for tile in tiles[1:]:
        for what, own, other in (
            ("type", tile.dtype, first.dtype),
            ("number of bands", tile.bands, first.bands),
            ("no-data value", repr(tile.nodata), repr(first.nodata)),  # as text: NaN is not equal to itself
            ("class table", tile.classes, first.classes),
        ):
            if own != other:
                raise GridError(
                    f"{tile.name} has another {what} than {first.name} ({own} / {other}): export both again."
                )
    left, bottom, right, top = first.bounds
    size = (right - left) / first.shape[1], (top - bottom) / first.shape[0]
    bounds = union_bounds([tile.bounds for tile in tiles])
    rows, columns = (bounds[3] - bounds[1]) / size[1], (bounds[2] - bounds[0]) / size[0]
    if not rows * columns <= MOSAIC_PIXELS.value:  # NaN is refused, too
        raise GridError(
            f"The maps reach over {rows:,.0f} x {columns:,.0f} pixels, {MOSAIC_PIXELS.excess()}: make a mosaic of those"
            f" that lie together. {first.name} is the first."
        )
    shape = round(rows), round(columns)
    profile = {
        "driver": "GTiff",
        "dtype": first.dtype,
        "count": first.bands,
        "nodata": first.nodata,
        "crs": first.crs,
        "height": shape[0],
        "width": shape[1],
        "transform": pixel_transform(bounds, shape),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
    }
    return bounds, size, profile


def _paste(tile: _Tile, mosaic: DatasetWriter, offset: tuple[int, int]) -> None:
    """Copy the pixels of a map that have data, block by block."""
    for (row, column), values, nodata in _blocks(tile):
        height, width = values.shape[1:]
        target = Window(offset[1] + column, offset[0] + row, width, height)
        if nodata is not None:
            absent = np.isnan(values) if np.isnan(nodata) else values == nodata
            values = np.where(absent, mosaic.read(window=target), values)
        mosaic.write(values, window=target)


def _blocks(tile: _Tile) -> Iterator[tuple[tuple[int, int], NDArray[Any], float | None]]:
    """Blocks of a map: (row, column) of its first pixel, values (b, h, w), the value of no data.

    :raises ImageryError: when the map is damaged.
    """
    try:
        with open_by_name(tile.path) as source:
            rows, columns = (range(0, length, BLOCK) for length in source.shape)
            for row, column in itertools.product(rows, columns):
                height, width = min(BLOCK, source.height - row), min(BLOCK, source.width - column)
                yield (row, column), source.read(window=Window(column, row, width, height)), source.nodata
    except GDAL_ERRORS as error:
        raise ImageryError(f"Cannot read the map {tile.name} ({reason_of(error)}): export the patch again.") from error

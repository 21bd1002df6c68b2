"""One map from the maps of many patches. Knows no EOPatch."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from eotasks.cog import (
    BLOCK,
    Compression,
    check_compression,
    classes_of,
    describe_bands,
    publish_cog,
    temporary_beside,
)
from models.errors import GridError, ImageryError, StorageError
from models.landcover.classes import ClassTable
from models.rasters import Bounds, offset_in, pixel_transform, union_bounds


def mosaic_cogs(
    paths: Sequence[str | Path],
    path: str | Path,
    *,
    tags: Mapping[str, str] | None = None,
    compression: Compression = "deflate",
) -> Path:
    """Put the maps of patches together to one Cloud Optimized GeoTIFF, block by block.

    Where patches overlap, the first in the list that has data wins. Colours and names of classes are kept, as are tags
    and band names that all files share. Never more than a block of the map is in memory.

    :param paths: Rasters of one coordinate system, grid, type and number of bands.
    :param path: File to write, complete or not at all.
    :param tags: More metadata of the file.
    :return: The path.
    :raises GridError: when there are no files, or they differ in coordinate system, grid, type, bands or no data; for
        patches of several UTM zones see :func:`mosaic_cogs_by_crs`.
    :raises ImageryError: when a file is missing or damaged.
    :raises StorageError: when the mosaic cannot be written.
    """
    check_compression(compression)
    sources = [Path(each) for each in paths]
    tiles = [_Tile.read(source) for source in sources]
    bounds, size, profile = _common_grid(tiles)
    offsets = [offset_in(bounds, tile.bounds, size, tile.shape, str(tile.path)) for tile in tiles]
    shared = dict(set.intersection(*(set(tile.tags.items()) for tile in tiles))) | dict(tags or {})
    names = tiles[0].descriptions if all(tile.descriptions == tiles[0].descriptions for tile in tiles) else None
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(target, ".build.tif") as build:
            with rasterio.open(build, "w+", **profile, sparse_ok=True, bigtiff="IF_SAFER") as mosaic:
                for tile, offset in reversed(list(zip(tiles, offsets, strict=True))):
                    _paste(tile.path, mosaic, offset)
                describe_bands(mosaic, tiles[0].classes, names, shared)
            with rasterio.open(build) as mosaic:
                return publish_cog(mosaic, target, tiles[0].classes, compression)
    except (RasterioError, OSError) as error:
        raise StorageError(f"Cannot write {target} ({error}): check space and rights of the folder.") from error


def mosaic_cogs_by_crs(
    paths: Sequence[str | Path],
    path: str | Path,
    *,
    tags: Mapping[str, str] | None = None,
    compression: Compression = "deflate",
) -> dict[str, Path]:
    """One mosaic per coordinate system, for areas in several UTM zones: labels are not resampled to make them one.

    :param path: File to write when all patches share a coordinate system; otherwise its name gets the code of each
        (map_EPSG32633.tif, map_EPSG32634.tif).
    :return: Coordinate system -> path of its mosaic, sorted.
    :raises GridError: ImageryError, StorageError: as :func:`mosaic_cogs`.
    """
    groups: dict[str, list[Path]] = {}
    for each in paths:
        groups.setdefault(_Tile.read(Path(each)).crs, []).append(Path(each))
    if not groups:
        raise GridError("There are no maps to put together: predict and export at least one patch.")
    target = Path(path)
    written = {}
    for crs, members in sorted(groups.items()):
        code = "".join(character for character in crs if character.isalnum())[:24]
        name = target if len(groups) == 1 else target.with_name(f"{target.stem}_{code}{target.suffix}")
        written[crs] = mosaic_cogs(members, name, tags=tags, compression=compression)
    return written


@dataclass(frozen=True)
class _Tile:
    """What has to agree between the maps of a mosaic."""

    path: Path
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
    def read(cls, path: Path) -> _Tile:
        try:
            with rasterio.open(path) as dataset:
                if dataset.crs is None:
                    raise GridError(f"{path} has no coordinate system: export it again.")
                return cls(
                    path=path,
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
        except RasterioError as error:
            raise ImageryError(f"Cannot read the map {path} ({error}): export the patch again.") from error


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
                    f"{tile.path} has another {what} than {first.path} ({own} / {other}): export both again."
                )
    left, bottom, right, top = first.bounds
    size = (right - left) / first.shape[1], (top - bottom) / first.shape[0]
    bounds = union_bounds([tile.bounds for tile in tiles])
    shape = round((bounds[3] - bounds[1]) / size[1]), round((bounds[2] - bounds[0]) / size[0])
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


def _paste(path: Path, mosaic: DatasetWriter, offset: tuple[int, int]) -> None:
    """Copy the pixels of a map that have data, block by block."""
    try:
        with rasterio.open(path) as source:
            rows, columns = (range(0, length, BLOCK) for length in source.shape)
            for row, column in itertools.product(rows, columns):
                height, width = min(BLOCK, source.height - row), min(BLOCK, source.width - column)
                values = source.read(window=Window(column, row, width, height))
                target = Window(offset[1] + column, offset[0] + row, width, height)
                if source.nodata is not None:
                    absent = np.isnan(values) if np.isnan(source.nodata) else values == source.nodata
                    values = np.where(absent, mosaic.read(window=target), values)
                mosaic.write(values, window=target)
    except RasterioError as error:
        raise ImageryError(f"Cannot read the map {path} ({error}): export the patch again.") from error

"""Tiles in the layout of the AWS buckets sentinel-s2-l1c and sentinel-s2-l2a: ``metadata.xml``, ``B02.jp2``, ``qi/``.

The metadata of the product, which says the offset of the numbers, lies elsewhere in the bucket (``products/…``). It is
looked for there; a tile of a baseline that has an offset is refused without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.warp import transform
from shapely.geometry import Polygon

from eotasks.documents import parse_json_object
from eotasks.errors import ImageryError, StorageError
from eotasks.imagery.files.bucket import BucketFiles
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.products.acquisition import Acquisition, checked
from eotasks.imagery.products.metadata import (
    NameFacts,
    ProductFacts,
    TileFacts,
    check_same,
    parse_product_name,
    read_product_metadata,
    read_tile_metadata,
)
from eotasks.imagery.products.offsets import carries_offset
from eotasks.imagery.products.parts import (
    PRODUCT_METADATA,
    TILE_METADATA,
    acquisition_of,
    angles_of,
    attribution,
    base_name,
    cloud_mask,
    finest,
    footprints,
    in_order,
    layers,
    own_name,
)
from eotasks.imagery.products.product import Product

_IMAGE = re.compile(r"^(?:R(?P<size>\d\d)m/)?(?P<band>B\d[\dA]|SCL)\.jp2$")


def describe_tile(files: ProductFiles) -> Product:
    """A tile in the layout of the AWS buckets, a folder or the zip of one.

    :raises ImageryError: when metadata is missing, damaged or contradicts itself, or there are no band files.
    :raises StorageError: when a bucket cannot be read.
    """
    names = files.names()
    where = f"{files.location}: {TILE_METADATA}"
    tile = read_tile_metadata(files.read_bytes(TILE_METADATA), where)
    tile_info, product_info = (_json(files, name) for name in ("tileInfo.json", "productInfo.json"))
    name = parse_product_name(str(product_info.get("name") or tile_info.get("productName") or ""))
    facts = _product_facts(files, product_info, tile_info)
    if facts is not None:
        check_same(tile, facts, where)
    elif carries_offset(tile.baseline):
        raise ImageryError(
            f"{files.location}: baseline {tile.baseline} has an offset in its numbers, which the metadata of the"
            f" product says and that of a tile does not. Put {PRODUCT_METADATA[0]} (or L2A) beside it."
        )
    if name is not None and (name.tile, name.level) != (tile.tile, tile.level):
        raise ImageryError(
            f"{files.location}: its JSON names tile {name.tile} of {name.level}, {TILE_METADATA} {tile.tile} of"
            f" {tile.level}. Fetch the original again."
        )
    found: dict[str, dict[int, str]] = {}
    for path in names:
        match = _IMAGE.match(path)
        if match is not None:
            found.setdefault(match["band"], {})[int(match["size"] or 0)] = path
    rasters = {band: RasterFile(path, "JP2OpenJPEG") for band, path in finest(found).items()}
    classification = rasters.pop("SCL", None)
    bands = in_order(rasters)
    if not bands:
        raise ImageryError(f"{files.location}: no band files beside {TILE_METADATA}. Fetch the tile again.")
    masks = [path for path in names if path.startswith("qi/")]
    ring = _footprint(tile_info, tile.crs)
    acquisition = _of_tile(tile, name, ring) if facts is None else acquisition_of(facts, tile)
    if not acquisition.footprint:
        acquisition = replace(acquisition, footprint=ring)
    return Product(
        name=own_name(files, facts) if facts is not None else _name(product_info, tile_info, files),
        files=files,
        acquisition=checked(acquisition, files.location),
        bands=bands,
        footprints=footprints(files, masks, tile.crs),
        classification=classification,
        layers=layers(names) if tile.level == "L2A" else {},
        cloud_mask=cloud_mask(files, masks, tile.crs),
        angles=partial(angles_of, files, TILE_METADATA),
    )


def _name(product_info: Mapping[str, Any], tile_info: Mapping[str, Any], files: ProductFiles) -> str:
    return str(product_info.get("name") or tile_info.get("productName") or base_name(files.location))


def _of_tile(tile: TileFacts, name: NameFacts | None, ring: tuple[tuple[float, float], ...]) -> Acquisition:
    """An acquisition of a baseline without offsets, from what lies in the tile's folder."""
    derived = {"quantification": "10000, as of all products of the baseline"}
    if name is None:
        derived["time"] = "sensing time of the tile; no productInfo.json says when the datatake began"
    return Acquisition(
        time=tile.sensing_time.replace(microsecond=0) if name is None else name.time,
        satellite=tile.satellite,
        tile=tile.tile,
        relative_orbit=None if name is None else name.orbit,
        processing_baseline=tile.baseline,
        datastrip=tile.datastrip,
        level=tile.level,
        generation_time=None if name is None else name.made,
        cloud_cover=tile.cloud_cover,
        footprint=ring,
        sun_zenith=tile.sun_zenith,
        sun_azimuth=tile.sun_azimuth,
        derived=derived,
        attribution=attribution(tile.sensing_time.year),
    )


def _product_facts(
    files: ProductFiles, product_info: Mapping[str, Any], tile_info: Mapping[str, Any]
) -> ProductFacts | None:
    """Facts of the metadata of the product: beside the tile, or where the bucket keeps it."""
    for name in PRODUCT_METADATA:
        if name in files.names():
            return read_product_metadata(files.read_bytes(name), f"{files.location}: {name}")
    path = product_info.get("path") or tile_info.get("productPath")
    tile_path = tile_info.get("path")
    location = files.location.rstrip("/")
    if not isinstance(path, str) or not isinstance(tile_path, str) or not location.endswith(f"/{tile_path}"):
        return None
    root = location.removesuffix(tile_path).rstrip("/")
    beside = _below(files, root, path)
    if beside is None:
        return None
    try:
        content = beside.read_bytes(TILE_METADATA)
    except (ImageryError, StorageError):
        return None
    return read_product_metadata(content, f"{beside.location}: {TILE_METADATA}")


def _below(files: ProductFiles, root: str, path: str) -> ProductFiles | None:
    """Files of another folder of the same bucket or disk; None where a path leads out of it, or in an archive."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        return None
    if isinstance(files, BucketFiles):
        return BucketFiles(f"{root}/{path}")
    if isinstance(files, WebFiles):
        return WebFiles(f"{root}/{path}", files.origin)
    return FolderFiles(Path(root, path)) if isinstance(files, FolderFiles) else None


def _json(files: ProductFiles, name: str) -> dict[str, Any]:
    """A JSON object beside the tile; empty when there is none."""
    if name not in files.names():
        return {}
    return parse_json_object(
        files.read_bytes(name),
        lambda reason: ImageryError(f"{files.location}: {name} is cut off, or {reason}. Fetch it again."),
    )


def _footprint(tile_info: Mapping[str, Any], crs: str) -> tuple[tuple[float, float], ...]:
    """Outline of the data as (longitude, latitude); empty when the tile does not say, or has several, or none that is.

    The outline of many tiles is empty: they are described without it.
    """
    geometry = tile_info.get("tileDataGeometry") or {}
    try:
        corners = np.array([(float(x), float(y)) for x, y in geometry["coordinates"][0]])
        if len(corners) < 4 or not np.isfinite(corners).all() or Polygon(corners).area == 0:
            return ()
        ring = np.column_stack(transform(crs, "EPSG:4326", corners[:, 0], corners[:, 1]))
    except (KeyError, IndexError, OverflowError, TypeError, ValueError, *GDAL_ERRORS):
        return ()
    if not np.isfinite(ring).all():
        return ()
    return tuple(zip(ring[:, 0].tolist(), ring[:, 1].tolist(), strict=True))

"""Products in the layout of the ground segment: `.SAFE`, compact format (since December 2016), L1C and L2A."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from eotasks.errors import ImageryError
from eotasks.imagery.products.acquisition import Acquisition
from eotasks.imagery.products.angles import AngleGrids
from eotasks.imagery.products.metadata import (
    ProductFacts,
    TileFacts,
    check_same,
    parse_product_name,
    read_angles,
    read_product_metadata,
    read_tile_metadata,
)
from eotasks.imagery.products.open import PRODUCT_METADATA, base_name, in_order
from eotasks.imagery.products.polygons import read_polygons
from eotasks.imagery.products.product import MaskSource, Product, ProductFiles, RasterFile
from eotasks.models.sentinel2 import BANDS

_GRANULE = re.compile(r"^GRANULE/[^/]+/MTD_TL\.xml$")
_IMAGE = re.compile(r"/IMG_DATA/(?:R(?P<folder>\d\d)m/)?[^/]*_(?P<band>B\d[\dA]|SCL)(?:_(?P<size>\d\d)m)?\.jp2$")
_OF_WHICH = re.compile(r"/IMG_DATA/(?:R\d\dm/)?(?:L2A_)?T(?P<tile>\d\d[A-Z]{3})_(?P<time>\d{8}T\d{6})_[^/]*\.jp2$")
_FOOTPRINT = re.compile(r"/?MSK_DETFOO_(?P<band>B\d[\dA])\.(?P<kind>jp2|gml)$")
_CLOUDS = re.compile(r"/?(?:MSK_CLASSI_B00\.jp2|MSK_CLOUDS_B00\.gml)$")


def describe_safe(files: ProductFiles) -> Product:
    """The product in a `.SAFE` folder.

    :raises ImageryError: when metadata is missing, damaged or contradicts itself, or there are no band files.
    """
    names = files.names()
    product_file = next((name for name in PRODUCT_METADATA if name in names), None)
    if product_file is None:
        raise ImageryError(
            f"{files.location}: no {' or '.join(PRODUCT_METADATA)} in it, which says the offset of its numbers. Fetch"
            " the product again."
        )
    facts = read_product_metadata(files.read_bytes(product_file), f"{files.location}: {product_file}")
    tiles = [name for name in names if _GRANULE.match(name)]
    if len(tiles) != 1:
        raise ImageryError(
            f"{files.location}: {len(tiles)} granules with MTD_TL.xml, expected one. Fetch the product again, in the"
            " format since December 2016 (one tile a product)."
        )
    granule = tiles[0].removesuffix("MTD_TL.xml")
    where = f"{files.location}: {tiles[0]}"
    tile = read_tile_metadata(files.read_bytes(tiles[0]), where)
    check_same(tile, facts, where)
    _check_folder(files, facts, tile)
    inside = [name for name in names if name.startswith(granule)]
    _check_images(files, inside, facts, tile)
    bands, classification = _images(files, inside)
    masks = [name for name in inside if "/QI_DATA/" in name]
    return Product(
        name=own_name(files, facts),
        files=files,
        acquisition=acquisition_of(facts, tile),
        bands=bands,
        footprints=footprints(files, masks, tile.crs),
        classification=classification,
        cloud_mask=cloud_mask(files, masks, tile.crs),
        angles=partial(angles_of, files, tiles[0]),
    )


def own_name(files: ProductFiles, facts: ProductFacts | None) -> str:
    """The product's name as its metadata has it, or that of its folder."""
    name = None if facts is None else facts.name
    if name is None:
        return base_name(files.location)
    stamp = "%Y%m%dT%H%M%S"
    return (
        f"{name.satellite}_MSI{name.level}_{name.time:{stamp}}_N{name.baseline.replace('.', '')}_R{name.orbit:03}"
        f"_T{name.tile}_{name.made:{stamp}}"
    )


def acquisition_of(facts: ProductFacts, tile: TileFacts) -> Acquisition:
    """What the metadata of a product and of its tile say together."""
    return Acquisition(
        time=facts.time,
        satellite=facts.satellite,
        tile=tile.tile,
        relative_orbit=facts.orbit if facts.name is None else facts.name.orbit,
        processing_baseline=facts.baseline,
        level=facts.level,
        offsets=facts.offsets,
        quantification=facts.quantification,
        saturated=facts.saturated,
        generation_time=facts.made,
        orbit_direction=facts.direction,
        cloud_cover=tile.cloud_cover if facts.cloud_cover is None else facts.cloud_cover,
        footprint=facts.footprint,
        sun_zenith=tile.sun_zenith,
        sun_azimuth=tile.sun_azimuth,
        attribution=attribution(facts.time.year),
    )


def attribution(year: int) -> str:
    """The line that the legal notice of Copernicus Sentinel data asks for."""
    return f"contains modified Copernicus Sentinel data {year}"


def footprints(files: ProductFiles, masks: Sequence[str], crs: str) -> dict[str, MaskSource]:
    """Detector footprints by band: images since baseline 04.00, polygons before.

    :param masks: Names of the files of masks.
    :param crs: Of the tile.
    """
    found: dict[str, MaskSource] = {}
    for name in masks:
        match = _FOOTPRINT.search(name)
        if match is not None and match["band"] in BANDS:
            found[match["band"]] = _mask(files, name, crs)
    return {band: found[band] for band in BANDS if band in found}


def cloud_mask(files: ProductFiles, masks: Sequence[str], crs: str) -> MaskSource | None:
    """The product's own cloud mask: an image since baseline 04.00, polygons before; None when there is none."""
    name = next((name for name in masks if _CLOUDS.search(name)), None)
    return None if name is None else _mask(files, name, crs)


def angles_of(files: ProductFiles, name: str) -> AngleGrids:
    """The angle grids of the metadata of a tile.

    :raises ImageryError: when they are missing or damaged.
    """
    return read_angles(files.read_bytes(name), f"{files.location}: {name}")


def finest(found: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
    """The file of the finest resolution of each band. L2A has most of them at several."""
    return {band: by_size[min(by_size)] for band, by_size in found.items()}


def _mask(files: ProductFiles, name: str, crs: str) -> MaskSource:
    return RasterFile(name, "JP2OpenJPEG") if name.endswith(".jp2") else partial(read_polygons, files, name, crs)


def _images(files: ProductFiles, names: Sequence[str]) -> tuple[dict[str, RasterFile], RasterFile | None]:
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = _IMAGE.search(name)
        if match is None:
            continue
        by_size = found.setdefault(match["band"], {})
        size = int(match["size"] or match["folder"] or 0)
        if size in by_size:
            raise ImageryError(f"{files.location}: two files of {match['band']}, {by_size[size]} and {name}.")
        by_size[size] = name
    chosen = {band: RasterFile(name, "JP2OpenJPEG") for band, name in finest(found).items()}
    classification = chosen.pop("SCL", None)
    bands = in_order(chosen)
    if not bands:
        raise ImageryError(f"{files.location}: no band files in its IMG_DATA. Fetch the product again.")
    return bands, classification


def _check_images(files: ProductFiles, names: Sequence[str], facts: ProductFacts, tile: TileFacts) -> None:
    """Refuse images that are named after another tile or time than their metadata."""
    expected = tile.tile, f"{facts.time:%Y%m%dT%H%M%S}"
    for name in names:
        match = _OF_WHICH.search(name)
        if match is not None and match.groups() != expected:
            raise ImageryError(
                f"{files.location}: {name} is of tile {match['tile']} and time {match['time']}, its metadata of"
                f" {expected[0]} and {expected[1]}. These are files of two products: fetch the original again."
            )


def _check_folder(files: ProductFiles, facts: ProductFacts, tile: TileFacts) -> None:
    """Refuse a folder that is named like another product; any other name is the user's own affair."""
    name = parse_product_name(base_name(files.location))
    if name is None:
        return
    pairs = [
        ("level", name.level, facts.level),
        ("tile", name.tile, tile.tile),
        ("time", name.time, facts.time),
        ("processing baseline", name.baseline, facts.baseline),
    ]
    for what, named_so, said in pairs:
        if named_so != said:
            raise ImageryError(
                f"{files.location}: named after {what} {named_so}, its metadata says {said}. Fetch the original again."
            )

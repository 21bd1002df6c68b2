"""Products in the layout of the ground segment: `.SAFE`, compact format (since December 2016), L1C and L2A."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from eotasks.errors import ImageryError
from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.products.acquisition import checked
from eotasks.imagery.products.metadata import (
    ProductFacts,
    TileFacts,
    check_same,
    parse_product_name,
    read_product_metadata,
    read_tile_metadata,
)
from eotasks.imagery.products.parts import (
    PRODUCT_METADATA,
    acquisition_of,
    angles_of,
    base_name,
    cloud_mask,
    finest,
    footprints,
    in_order,
    layers,
    own_name,
)
from eotasks.imagery.products.product import Product

_GRANULE = re.compile(r"^GRANULE/[^/]+/MTD_TL\.xml$")
_IMAGE = re.compile(r"/IMG_DATA/(?:R(?P<folder>\d\d)m/)?[^/]*_(?P<band>B\d[\dA]|SCL)(?:_(?P<size>\d\d)m)?\.jp2$")
_OF_WHICH = re.compile(r"/IMG_DATA/(?:R\d\dm/)?(?:L2A_)?T(?P<tile>\d\d[A-Z]{3})_(?P<time>\d{8}T\d{6})_[^/]*\.jp2$")


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
        acquisition=checked(acquisition_of(facts, tile), files.location),
        bands=bands,
        footprints=footprints(files, masks, tile.crs),
        classification=classification,
        layers=layers(inside) if facts.level == "L2A" else {},
        cloud_mask=cloud_mask(files, masks, tile.crs),
        angles=partial(angles_of, files, tiles[0]),
    )


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

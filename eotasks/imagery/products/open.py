"""From a location to a product, whatever its layout.

That is `.SAFE`, the zip of one, a tile of the AWS buckets, a bare folder of band files with a sidecar, or a STAC item.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eotasks.errors import ImageryError
from eotasks.imagery.files.open import open_files
from eotasks.imagery.files.origin import UNKNOWN, Origin, origin_of
from eotasks.imagery.files.protocol import ProductFiles
from eotasks.imagery.files.signing import Modifier, modifier_of, signing_of
from eotasks.imagery.files.zip import ZipFiles
from eotasks.imagery.products.acquisition import SIDECAR_NAME
from eotasks.imagery.products.aws import describe_tile
from eotasks.imagery.products.bare import describe_bare
from eotasks.imagery.products.parts import PRODUCT_METADATA, TILE_METADATA
from eotasks.imagery.products.product import Product
from eotasks.imagery.products.roots import product_roots
from eotasks.imagery.products.safe import describe_safe
from eotasks.imagery.products.stac import describe_item, read_item
from eotasks.storage.location import plain_scheme
from eotasks.text import excerpt

_NAMED = 3
"""Products that a message names at most."""

ProductLocation = str | os.PathLike[str] | Mapping[str, Any]
"""A path, ``s3://…`` or ``https://…`` of a product or of a STAC item (``.json``), or an item itself."""


def describe_product(
    location: ProductLocation | Any, *, origin: Origin | None = None, modifier: Modifier | str | None = None
) -> Product:
    """Describe a product; its metadata is read, none of its pixels.

    :param location: Where it lies: a folder, a zip, a STAC item as file or address, or an item (a mapping, or an object
        of pystac).
    :param origin: Who named the location, or where the item was got from; None for the user himself. An item in memory
        without one names no files of this machine, whatever it says of its own place; those of our searches have one.
    :param modifier: Signs the addresses of a STAC item before they are read, as of
        `eotasks.imagery.files.signing.modifier_of`. Items of a search of ours have theirs.
    :raises ImageryError: when nothing readable lies there, metadata is missing, damaged or contradicts itself.
    :raises StorageError: when a bucket cannot be read.
    :raises CredentialsError: when a bucket wants other credentials.
    """
    modify = modifier_of(modifier)
    if isinstance(location, Mapping):
        return describe_item(location, _with(origin or UNKNOWN, modify))
    if not isinstance(location, str | os.PathLike) and hasattr(location, "get_self_href"):
        # Links are left alone: pystac would fetch some of them.
        content = location.to_dict(include_self_link=False, transform_hrefs=False)
        own = _with(origin or origin_of(location), modify)
        return describe_item(content, own, None if modify is not None else signing_of(location, content))
    if not isinstance(location, str | os.PathLike):
        raise ImageryError(f"{excerpt(location)} is no location of a product: give a path, s3:// or https:// address.")
    text = plain_scheme(os.fspath(location))
    if origin is None:
        origin = Origin.of(text)
    else:
        text = origin.resolved(text)
        origin = origin.at(text)
    origin = _with(origin, modify)
    if text.lower().partition("?")[0].endswith((".json", ".geojson")):
        return describe_item(read_item(text, origin), origin)
    return describe_files(open_files(text, origin))


def _with(origin: Origin, modifier: Modifier | None) -> Origin:
    return origin if modifier is None else replace(origin, modifier=modifier)


def describe_files(files: ProductFiles) -> Product:
    """The product that some files are.

    :raises ImageryError: as `describe_product`.
    """
    names = files.names()
    if TILE_METADATA in names:
        return describe_tile(files)
    if any(name in names for name in PRODUCT_METADATA) or any(name.startswith("GRANULE/") for name in names):
        return describe_safe(files)
    if SIDECAR_NAME in names:
        return describe_bare(files)
    roots = product_roots(names)
    if len(roots) == 1 and isinstance(files, ZipFiles) and not roots[0].lower().endswith(".zip"):
        return describe_files(files.below(roots[0]))
    if roots:
        raise ImageryError(_several(files, roots))
    bands = sum(1 for name in names if name.lower().endswith(".jp2"))
    raise ImageryError(
        f"{files.location}: no product of Sentinel-2 ({len(names)} files, {bands} of them JP2). Give a .SAFE folder,"
        f" the zip of one, a tile of the AWS buckets, or JP2 files with an {SIDECAR_NAME} (time, satellite, tile)."
    )


def _several(files: ProductFiles, roots: Sequence[str]) -> str:
    """What to do with a place that holds products and is none."""
    named = ", ".join(roots[:_NAMED]) + (f" and {len(roots) - _NAMED} more" if len(roots) > _NAMED else "")
    count = "a product" if len(roots) == 1 else "two products" if len(roots) == 2 else f"{len(roots)} products"
    if isinstance(files, ZipFiles):
        return f"{files.location}: {count} in it ({named}). Unpack it, and give the folder of one."
    return (
        f"{files.location}: no product of Sentinel-2 itself, but a folder with {count} in it ({named}). Give one of"
        " them, or the folder to what takes many: eotasks cloud-mask, eotasks catalogue add, LoadScenesTask. A product"
        f" is a .SAFE folder, its zip, a tile of the AWS buckets, or JP2 files with an {SIDECAR_NAME}."
    )

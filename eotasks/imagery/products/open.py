"""From a location to a product, whatever its layout.

That is `.SAFE`, the zip of one, a tile of the AWS buckets, a bare folder of band files with a sidecar, or a STAC item.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from eotasks.errors import ImageryError
from eotasks.imagery.files.location import is_remote, open_files
from eotasks.imagery.products.acquisition import SIDECAR_NAME, parse_sidecar
from eotasks.imagery.products.product import Product, ProductFiles, RasterFile
from eotasks.models.sentinel2 import BANDS

PRODUCT_METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
TILE_METADATA = "metadata.xml"

_BARE_BAND = re.compile(r"^[^/]*_(B\d[\dA])\.jp2$", re.IGNORECASE)

Location = str | os.PathLike[str] | Mapping[str, Any]
"""A path, ``s3://…`` or ``https://…`` of a product or of a STAC item (``.json``), or an item itself."""


def describe_product(location: Location | Any) -> Product:
    """Describe a product; its metadata is read, none of its pixels.

    :param location: Where it lies: a folder, a zip, a STAC item as file or address, or an item (a mapping, or an object
        of pystac).
    :raises ImageryError: when nothing readable lies there, metadata is missing, damaged or contradicts itself.
    :raises StorageError: when a bucket cannot be read.
    :raises CredentialsError: when a bucket wants other credentials.
    """
    from eotasks.imagery.products.stac import describe_item, read_item

    if isinstance(location, Mapping):
        return describe_item(location, base="")
    if not isinstance(location, str | os.PathLike) and hasattr(location, "get_self_href"):
        return describe_item(location.to_dict(), base=str(location.get_self_href() or ""))
    text = os.fspath(location)
    if text.lower().partition("?")[0].endswith((".json", ".geojson")):
        return describe_item(read_item(text), base=text)
    return describe_files(open_files(text))


def describe_files(files: ProductFiles) -> Product:
    """The product that some files are.

    :raises ImageryError: as `describe_product`.
    """
    from eotasks.imagery.products.aws import describe_tile
    from eotasks.imagery.products.safe import describe_safe

    names = files.names()
    if TILE_METADATA in names:
        return describe_tile(files)
    if any(name in names for name in PRODUCT_METADATA) or any(name.startswith("GRANULE/") for name in names):
        return describe_safe(files)
    if SIDECAR_NAME in names:
        return describe_bare(files)
    bands = sum(1 for name in names if name.lower().endswith(".jp2"))
    raise ImageryError(
        f"{files.location}: no product of Sentinel-2 ({len(names)} files, {bands} of them JP2). Give a .SAFE folder,"
        f" the zip of one, a tile of the AWS buckets, or JP2 files with an {SIDECAR_NAME} (time, satellite, tile)."
    )


def describe_bare(files: ProductFiles) -> Product:
    """A folder of JP2 files, one a band (``..._B02.jp2``), with an ``acquisition.json`` beside them.

    :raises ImageryError: when band files are missing or double, or the sidecar is wrong.
    """
    acquisition = parse_sidecar(files.read_bytes(SIDECAR_NAME), f"{files.location}: {SIDECAR_NAME}")
    found: dict[str, RasterFile] = {}
    for name in files.names():
        match = _BARE_BAND.match(name)
        band = "" if match is None else match.group(1).upper()
        if band not in BANDS:
            continue
        if band in found:
            raise ImageryError(
                f"{files.location}: two files of {band}, {found[band].name} and {name}. One folder holds one"
                " acquisition."
            )
        found[band] = RasterFile(name, "JP2OpenJPEG")
    if not found:
        raise ImageryError(f"{files.location}: no band files in it. Their names end in _B01.jp2 to _B12.jp2.")
    return Product(base_name(files.location), files, acquisition, in_order(found))


def in_order(found: Mapping[str, RasterFile]) -> dict[str, RasterFile]:
    """Bands in the order of eotasks.models.sentinel2.BANDS."""
    return {band: found[band] for band in BANDS if band in found}


def base_name(location: str) -> str:
    """Last part of a location, without .zip and .SAFE."""
    text = location.rstrip("/")
    name = text.rpartition("/")[2] if is_remote(text) else os.path.basename(os.path.realpath(text))  # noqa: PTH119
    for ending in (".zip", ".SAFE"):
        name = name.removesuffix(ending)
    return name

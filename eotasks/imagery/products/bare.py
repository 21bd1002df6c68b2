"""Folders of JP2 files, one a band, with an ``acquisition.json`` beside them."""

from __future__ import annotations

import re

from eotasks.errors import ImageryError
from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.products.acquisition import SIDECAR_NAME, parse_sidecar
from eotasks.imagery.products.parts import base_name, in_order
from eotasks.imagery.products.product import Product
from eotasks.models.sentinel2 import BANDS

_BARE_BAND = re.compile(r"^[^/]*_(B\d[\dA])\.jp2$", re.IGNORECASE)


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

"""The collections of the service, as the Catalog API describes them."""

from __future__ import annotations

from typing import Any

from eotasks.catalogue.items import COMMON_NAMES, EXTENSIONS
from eotasks.models.sentinel2 import CENTRAL_WAVELENGTH
from eotasks.service.errors import NotFoundError, RequestError
from eotasks.service.pixels.collections import COLLECTIONS, BandKind, Collection, collection_of

STAC_VERSION = "1.0.0"

_FIRST_PRODUCT = "2015-06-27T00:00:00Z"
_NORTH, _SOUTH = 84, -56
"""Degrees between which Sentinel-2 looks at land."""


def described(collection: Collection, links: list[dict[str, Any]]) -> dict[str, Any]:
    """A collection as STAC has it."""
    bands = [
        {
            "name": band.name,
            "common_name": COMMON_NAMES[band.name],
            "center_wavelength": round(CENTRAL_WAVELENGTH[band.name] / 1000, 4),
        }
        for band in collection.bands.values()
        if band.kind is BandKind.REFLECTANCE
    ]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSIONS["eo"]],
        "id": collection.id,
        "title": collection.title,
        "description": f"{collection.title}: {', '.join(collection.bands)}.",
        "license": "proprietary",
        "providers": [{"name": "ESA", "roles": ["producer"], "url": "https://www.esa.int"}],
        "extent": {
            "spatial": {"bbox": [[-180, _SOUTH, 180, _NORTH]]},
            "temporal": {"interval": [[_FIRST_PRODUCT, None]]},
        },
        "summaries": {
            "constellation": ["sentinel-2"],
            "instruments": ["msi"],
            "gsd": [10],
            "eo:cloud_cover": {"minimum": 0, "maximum": 100},
            "eo:bands": bands,
        },
        "links": links,
    }


def all_collections() -> list[Collection]:
    """Those that are served."""
    return list(COLLECTIONS.values())


def collection_named(name: str) -> Collection:
    """The collection that a search names.

    :raises RequestError: when there is none.
    """
    try:
        return collection_of(name)
    except NotFoundError as error:
        raise RequestError(f"collections: {error}") from None

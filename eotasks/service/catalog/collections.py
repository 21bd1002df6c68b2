"""The collections of the service, as the Catalog API describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eotasks.catalogue.items import COMMON_NAMES, EXTENSIONS
from eotasks.catalogue.request import Level
from eotasks.models.sentinel2 import BANDS, CENTRAL_WAVELENGTH
from eotasks.service.errors import NotFoundError, RequestError
from eotasks.text import excerpt

STAC_VERSION = "1.0.0"


@dataclass(frozen=True)
class Collection:
    """Products of one kind."""

    id: str
    title: str
    level: Level
    begins: str
    """When the first product was taken."""

    lacks: frozenset[str] = frozenset()
    """Bands that its products have not."""

    def described(self, links: list[dict[str, Any]]) -> dict[str, Any]:
        """As STAC has a collection."""
        bands = [
            {
                "name": band,
                "common_name": COMMON_NAMES[band],
                "center_wavelength": round(CENTRAL_WAVELENGTH[band] / 1000, 4),
            }
            for band in BANDS
            if band not in self.lacks
        ]
        return {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "stac_extensions": [EXTENSIONS["eo"]],
            "id": self.id,
            "title": self.title,
            "description": f"{self.title}: all bands, and cloud masks of 160 m (CLP, CLM).",
            "license": "proprietary",
            "providers": [{"name": "ESA", "roles": ["producer"], "url": "https://www.esa.int"}],
            "extent": {
                "spatial": {"bbox": [[-180, -56, 180, 84]]},
                "temporal": {"interval": [[self.begins, None]]},
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


COLLECTIONS: Mapping[str, Collection] = {
    each.id: each
    for each in (
        Collection("sentinel-2-l1c", "Sentinel 2 L1C", "L1C", "2015-06-27T00:00:00Z"),
        Collection("sentinel-2-l2a", "Sentinel 2 L2A", "L2A", "2015-06-27T00:00:00Z", frozenset({"B10"})),
    )
}
"""By id."""


def collection_at(name: str) -> Collection:
    """The collection of an address.

    :raises NotFoundError: when there is none.
    """
    if name not in COLLECTIONS:
        raise NotFoundError(f"There is no collection {excerpt(name)}: known are {', '.join(COLLECTIONS)}.")
    return COLLECTIONS[name]


def collection_named(name: str) -> Collection:
    """The collection that a search names.

    :raises RequestError: when there is none.
    """
    if name not in COLLECTIONS:
        raise RequestError(f"collections: there is no {excerpt(name)}: known are {', '.join(COLLECTIONS)}.")
    return COLLECTIONS[name]

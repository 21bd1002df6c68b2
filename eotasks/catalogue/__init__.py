"""Products found, described as STAC items, kept in a GeoParquet file and searched; STAC APIs give the same objects."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["StacApi"],
        "discovery": ["Found", "find_products"],
        "fields": ["location_of"],
        "items": ["add_masks", "item_of"],
        "request": ["SearchRequest"],
        "open": ["catalogue_of"],
        "store": ["Catalogue", "CatalogueSummary", "CatalogueUpdate"],
    },
)
